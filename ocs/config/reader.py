"""From `ocs.toml` and the environment to `Settings`, or to the list of all that is wrong.

    ocs.toml:12: server.port: expected an integer <= 65535
    ocs.toml:31: server.worker: unknown option; did you mean workers?

Whoever starts a service does not want to mend its configuration one error a start, so every key is
read for itself, and what is wrong is collected. tomllib keeps no line numbers; they are found again
in the text, by section and key, as all options stand one a line.

`OCS_SERVER_PORT=9000` overrides `port` in `[server]`, and so on for every option of the plain
sections: what differs between two containers of one image. A name that begins like one and is none
is an error as well, since a mistyped override would be silently without effect.
"""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from ocs.config.settings import FilePath, Settings
from ocs.domain.zones import zone_named

_SECTION: Final = re.compile(r"^\s*(\[\[?)\s*([\w-]+)\s*\]\]?")
_KEY: Final = re.compile(r"^\s*([\w-]+)\s*=")
_VALIDATION_PATH: Final = re.compile(r" - at `\$(.*)`$")
_ENVIRONMENT_PREFIX: Final = "OCS_"

Place = tuple[str, int, str]
"""Section, its number among those of the same name (0 for the first), key."""


class Problem(Struct, frozen=True):
    """One thing that is wrong: `key` is `section.option`, `line` 0 where there is none."""

    file: str
    line: int
    key: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.reason}" if self.key else f"{where}: {self.reason}"


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` are all the reasons, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def read_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Raises `ConfigurationError`."""
    text, document = read_toml(path)
    reading = _Reading(path, text)
    settings = reading.settings(document, environment)
    if settings is None:
        raise ConfigurationError(sorted(reading.problems, key=lambda problem: problem.line))
    return settings


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a file's text and what it says; raises `ConfigurationError`."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except ValueError as error:  # not UTF-8, or not TOML: the message tells the place
        reason = f"is not TOML: {error}"
    raise ConfigurationError([Problem(str(path), 0, "", reason)])


class _Reading:
    """One file that is being read; `problems` grows."""

    def __init__(self, path: Path, text: str) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._base = path.absolute().parent
        self._lines = dict(_places(text))

    def settings(
        self, document: dict[str, object], environment: Mapping[str, str]
    ) -> Settings | None:
        sections = {field.name: field for field in fields(Settings) if field.name != "file"}
        self._unknown(document, sections, ("", 0, ""))
        self._override(document, sections, environment)
        values: dict[str, Any] = {"file": str(self._path.absolute())}
        for name, section in sections.items():
            if get_origin(section.type) is tuple:
                kind = get_args(section.type)[0]
                values[name] = self._tables(kind, document.get(name, []), section)
            else:
                values[name] = self._table(section.type, document.get(name, {}), (name, 0, ""))
        if self.problems:
            return None
        settings = Settings(**values)
        for place, reason in _contradictions(settings):
            self._problem(place, reason)
        return None if self.problems else settings

    def _tables(self, kind: type[Struct], tables: object, section: FieldInfo) -> tuple[Any, ...]:
        name = section.name
        if not isinstance(tables, list):
            self._problem((name, 0, ""), f"expected one or more [[{name}]]")
            return ()
        if section.required and not tables:
            self._problem((name, 0, ""), f"at least one [[{name}]] is needed")
        return tuple(self._table(kind, table, (name, i, "")) for i, table in enumerate(tables))

    def _table(self, kind: type[Struct], table: object, place: Place) -> Struct | None:
        section, number, _ = place
        if not isinstance(table, dict):
            self._problem(place, f"expected a section [{section}]")
            return None
        known = {field.name: field for field in fields(kind)}
        self._unknown(table, known, place)
        before = len(self.problems)
        values = {
            name: self._value(field, table, (section, number, name))
            for name, field in known.items()
            if name in table or field.required or _is_path(field)
        }
        return kind(**values) if len(self.problems) == before else None

    def _value(self, field: FieldInfo, table: Mapping[str, object], place: Place) -> object:
        if field.name not in table and field.required:
            self._problem(place, "is missing")
            return None
        try:
            value = msgspec.convert(table.get(field.name, field.default), field.type)
        except msgspec.ValidationError as error:
            self._problem(place, expectation(str(error)))
            return None
        if _is_path(field) and value:
            return str((self._base / cast("str", value)).resolve())
        return cast("object", value)

    def _override(
        self,
        document: dict[str, object],
        sections: Mapping[str, FieldInfo],
        environment: Mapping[str, str],
    ) -> None:
        for variable, text in environment.items():
            head, _, key = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().partition("_")
            section = sections.get(head)
            plain = section is not None and get_origin(section.type) is not tuple
            if not variable.startswith(_ENVIRONMENT_PREFIX) or section is None or not plain:
                continue
            options = {field.name: field for field in fields(section.type)}
            table = document.setdefault(head, {})
            if key not in options:
                reason = f"unknown option{meant(key, options)}"
                self.problems.append(Problem("environment", 0, variable, reason))
            elif isinstance(table, dict):
                self._put(table, options[key], variable, text)

    def _put(self, table: dict[str, object], field: FieldInfo, variable: str, text: str) -> None:
        try:
            table[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            self.problems.append(Problem("environment", 0, variable, expectation(str(error))))

    def _unknown(
        self, table: Mapping[str, object], known: Mapping[str, FieldInfo], place: Place
    ) -> None:
        section, number, _ = place
        for key in table:
            if key not in known:
                what = "option" if section else "section"
                where = (section or key, number, key if section else "")
                self._problem(where, f"unknown {what}{meant(key, known)}")

    def _problem(self, place: Place, reason: str) -> None:
        section, number, key = place
        line = self._lines.get(place) or self._lines.get((section, number, "")) or 0
        name = f"{section}[{number + 1}]" if number else section
        self.problems.append(
            Problem(str(self._path), line, f"{name}.{key}" if key else name, reason)
        )


def _places(text: str) -> Iterator[tuple[Place, int]]:
    counts: dict[str, int] = {}
    section, number = "", 0
    for line_number, line in enumerate(text.splitlines(), 1):
        header, key = _SECTION.match(line), _KEY.match(line)
        if header:
            section = header[2]
            number = counts.get(section, -1) + 1
            counts[section] = number
            yield (section, number, ""), line_number
        elif key:
            yield (section, number, key[1]), line_number


def _is_path(field: FieldInfo) -> bool:
    return bool(field.type == FilePath)


def expectation(message: str) -> str:
    """Turn msgspec's "Expected `int`, got `str` - at `$[0]`" into a line for people."""
    at = _VALIDATION_PATH.search(message)
    text = _VALIDATION_PATH.sub("", message).replace("`", "")
    text = text[:1].lower() + text[1:]
    return f"{text} (at {at[1]})" if at else text


def meant(key: str, known: Mapping[str, FieldInfo]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def _contradictions(settings: Settings) -> Iterator[tuple[Place, str]]:
    """What is well-formed by itself and wrong together."""
    yield from _repeated_names(settings)
    yield from _unknown_tenants(settings)
    yield from _unusable_networks(settings)
    yield from _unusable_tenants(settings)
    for number, plan in enumerate(settings.plans):
        try:
            plan.plan()
        except ValueError as error:
            yield ("plans", number, ""), str(error)
    yield from _unusable_store(settings)


def _unusable_store(settings: Settings) -> Iterator[tuple[Place, str]]:
    store = settings.store
    if store.replica_timeout_ms >= store.timeout_ms:
        yield ("store", 0, "replica_timeout_ms"), "must be less than timeout_ms"
    if store.shed_starts_percent > store.shed_percent:
        yield ("store", 0, "shed_starts_percent"), "must not be greater than shed_percent"


def _unusable_tenants(settings: Settings) -> Iterator[tuple[Place, str]]:
    for number, tenant in enumerate(settings.tenants):
        try:
            zone_named(tenant.zone)
        except ValueError as error:
            yield ("tenants", number, "zone"), str(error)
        if not tenant.country_code:
            for key in ("national_digits", "short_codes"):
                if getattr(tenant, key):
                    yield ("tenants", number, key), "needs a country_code to put before them"


def _repeated_names(settings: Settings) -> Iterator[tuple[Place, str]]:
    for section in ("tenants", "plans", "credentials"):
        names = [each.name for each in getattr(settings, section)]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield (section, number, "name"), f"{name!r} is there twice"


def _unusable_networks(settings: Settings) -> Iterator[tuple[Place, str]]:
    for number, credential in enumerate(settings.credentials):
        for network in credential.networks:
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                yield ("credentials", number, "networks"), str(error)


def _unknown_tenants(settings: Settings) -> Iterator[tuple[Place, str]]:
    named: list[tuple[Place, str]] = [
        (("charging", 0, "default_tenant"), settings.charging.default_tenant),
        (("provision", 0, "tenant"), settings.provision.tenant),
    ]
    for number, credential in enumerate(settings.credentials):
        named += [(("credentials", number, "tenants"), tenant) for tenant in credential.tenants]
    known = [tenant.name for tenant in settings.tenants]
    for place, tenant in named:
        if tenant not in known:
            yield place, f"there is no tenant {tenant!r}; known are {', '.join(known)}"

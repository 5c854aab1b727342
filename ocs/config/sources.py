"""Event sources: from the files of a folder to `Source`, or to the list of all that is wrong.

    classic.toml:14: fields.used_unit: there is no such canonical field

The folder is the operator's; what `ocs` comes with is used where the folder has no file of the same
name, so that a source is changed by a copy of it, and an update brings the others along. A source
that nobody changed is still read and held against the tenants: it costs nothing, and a shipped file
that is broken is found by a test rather than by a client.

The structs say what may stand in a file; this walks through them and the file together, so that
each thing that is wrong is told with its line.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args, get_origin

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from ocs.config.location import shipped_configuration
from ocs.config.reader import ConfigurationError, Problem, expectation, meant, read_toml
from ocs.config.settings import Settings
from ocs.entrypoints.sources.faults import faults_of
from ocs.entrypoints.sources.source import Source

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PART: Final = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w-]+)"""
_KEYS: Final = rf"({_PART}(?:\s*\.\s*{_PART})*)"
_HEADER: Final = re.compile(rf"\s*\[(\[?)\s*{_KEYS}\s*\]")
_KEY: Final = re.compile(rf"\s*{_KEYS}\s*=")

Place = tuple[str | int, ...]


def read_sources(settings: Settings) -> tuple[Source, ...]:
    """Raises `ConfigurationError` with the problems of all files."""
    problems: list[Problem] = []
    sources = []
    try:
        files = source_files(settings)
    except OSError as error:
        place = (settings.file, 0, "sources.folder")
        raise ConfigurationError([Problem(*place, f"cannot be read: {error.strerror}")]) from None
    for path in files.values():
        try:
            sources.append(read_source(path))
        except ConfigurationError as error:
            problems += error.problems
    problems += _unknown_tenants(settings, files, sources)
    if problems:
        raise ConfigurationError(problems)
    return tuple(sources)


def source_files(settings: Settings) -> dict[str, Path]:
    """Return the files by the names of their sources; OSError: the folder cannot be read."""
    own = Path(settings.sources.folder)
    beside = Path(settings.file).parent / "sources"
    found: dict[str, Path] = {}
    for folder in (shipped_configuration().parent / "sources", own):
        if folder.exists() or folder != beside:  # a folder that was asked for must be there
            found |= {path.stem: path for path in sorted(_toml_files(folder))}
    return found


def _toml_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix == ".toml"]


def read_source(path: Path) -> Source:
    """Read one file; raises `ConfigurationError`."""
    text, document = read_toml(path)
    reading = _Reading(path, text)
    source = reading.source(document)
    if source is None:
        raise ConfigurationError(sorted(reading.problems, key=lambda problem: problem.line))
    return source


class _Reading:
    """One file that is being read; `problems` grows."""

    def __init__(self, path: Path, text: str) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._lines: dict[Place, int] = {}
        for place, line in _places(text):
            self._lines.setdefault(place, line)

    def source(self, document: dict[str, Any]) -> Source | None:
        name = self._path.stem
        if not _NAME.fullmatch(name):
            self._problem((), "a source's name, which is its file's, has letters, digits and ._-")
        if document.get("name", name) != name:
            self._problem(("name",), f"the name of a source is its file's, {name}")
        source = self._value({**document, "name": name}, Source, ())
        if self.problems:
            return None
        assert isinstance(source, Source)
        for place, reason in faults_of(source):
            self._problem(place, reason)
        return None if self.problems else source

    def _value(self, value: object, kind: Any, place: Place) -> object:  # noqa: ANN401 -- a type
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self._struct(value, kind, place)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(value, arguments[1], place)
        if origin is tuple and isinstance(arguments[0], type) and issubclass(arguments[0], Struct):
            return self._structs(value, arguments[0], place)
        try:
            return cast("object", msgspec.convert(value, kind))
        except msgspec.ValidationError as error:
            self._problem(place, expectation(str(error)))
        return None

    def _struct(self, value: object, kind: type[Struct], place: Place) -> Struct | None:
        if not isinstance(value, dict):
            self._problem(place, "expected a table")
            return None
        before = len(self.problems)
        known = {field.name: field for field in fields(kind)}
        for key in value.keys() - known.keys():
            self._problem((*place, key), f"unknown key{meant(key, known)}")
        for field in known.values():
            if field.required and field.name not in value:
                self._problem((*place, field.name), "is missing")
        values = {
            name: self._value(value[name], field.type, (*place, name))
            for name, field in known.items()
            if name in value
        }
        return kind(**values) if len(self.problems) == before else None

    def _structs(self, value: object, kind: type[Struct], place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            self._problem(place, f"expected one or more [[{place[-1]}]]")
            return ()
        return tuple(self._struct(each, kind, (*place, at)) for at, each in enumerate(value))

    def _mapping(self, value: object, kind: object, place: Place) -> dict[str, object]:
        if not isinstance(value, dict):
            self._problem(place, "expected a table")
            return {}
        return {key: self._value(each, kind, (*place, key)) for key, each in value.items()}

    def _problem(self, place: Place, reason: str) -> None:
        line = next(
            (
                self._lines[place[:end]]
                for end in range(len(place), 0, -1)
                if place[:end] in self._lines
            ),
            0,
        )
        self.problems.append(Problem(str(self._path), line, _written(place), reason))


def _written(place: Place) -> str:
    words = ""
    for part in place:
        words += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if words else part
    return words


def _places(text: str) -> Iterator[tuple[Place, int]]:
    """Find the lines of tables and keys again, which tomllib does not tell."""
    table: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _keys(header[2])
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_keys(key[1])), number


def _keys(written: str) -> Place:
    """Return the keys of a dotted one, as TOML reads them."""
    found: list[str] = []
    inner: Any = tomllib.loads(f"{written} = 0")
    while isinstance(inner, dict):
        ((key, inner),) = inner.items()
        found.append(key)
    return tuple(found)


def _unknown_tenants(
    settings: Settings, files: Mapping[str, Path], sources: list[Source]
) -> Iterator[Problem]:
    known = [tenant.name for tenant in settings.tenants]
    for source in sources:
        for key, tenant in source.tenants.items():
            if tenant not in known:
                reason = f"there is no tenant {tenant!r}; known are {', '.join(known)}"
                yield Problem(str(files[source.name]), 0, f"tenants.{key}", reason)

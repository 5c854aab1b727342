"""The head of a tariff file: its settings and the names of its columns.

    # currency = EUR
    # timing.peak = mon-fri 08:00-18:00
    # anything without an equals sign is a comment
    prefix,destination,price_1,price_n,interval_1,interval_n
    49,Germany,0.02,0.02,60,60

A setting says what the whole file is (`currency`, which is required, `usage_type`, `model`, `zone`,
`gaps`), what holds in all of its rows (`valid_from`, `valid_to`), what a row's empty cell means
(`tax`, `rounding` and other columns), or defines a timing. Any other line with an equals sign is
taken for a misspelt setting, not for a comment: a tax that is silently not set costs money.
Spreadsheets put quotes around a line with commas, commas behind one without, and a capital where it
begins; that is understood.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar

import msgspec

from ocs.adapters.tariff_files.columns import TERMS, check_defaults, columns_of
from ocs.adapters.tariff_files.timings import read_timings
from ocs.adapters.tariff_files.values import Instant, Reader, one_of, read_instant, read_quantity
from ocs.domain.money import Currency, currency
from ocs.domain.rates import MODELS
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS
from ocs.domain.timing import Timing
from ocs.domain.usage import USAGE_TYPES
from ocs.domain.zones import zone_named

_SETTING: Final = re.compile(r"#+\s*([^=]*?)\s*=\s*(.*?)\s*")
_TIMING: Final = "timing."
_TIMING_NAME: Final = re.compile(r"[A-Za-z0-9_.*-]{1,64}", re.ASCII)
_LONGEST_SHOWN: Final = 40  # how much of an unknown setting is repeated
_T = TypeVar("_T")
_OTHER_SEPARATOR: Final = re.compile("[;\t]")
_PLACE_COLUMNS: Final = ("prefix", "destination")
SCOPE_COLUMNS: Final = ("valid_from", "valid_to", "from_prefix", "trunk")
"""Columns that say when, and for whom, a row holds."""

_PRICE_COLUMNS: Final = ("blocked", "timing")
"""Columns that every model has and that belong to its price."""

_TOLD_BY_COLUMNS: Final = ("interval", "per_minute")
"""Models that no other's columns can be taken for."""

ALLOWED: Final = "allowed"
ALWAYS: Final = (Instant(ALWAYS_FROM_MS), Instant(NEVER_ENDS_MS))


class BadLine(msgspec.Struct, frozen=True, order=True):
    """A line of a tariff file that cannot be used. `line` 0 is the file, `column` "" the line."""

    file: str
    line: int
    column: str
    reason: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a tariff file says about all its rows; `currency` None: it does not say.

    `zone` is "" where the file names none; `gaps` is ALLOWED where a price need not cover the week;
    `defaults` are the values of empty cells.
    """

    currency: Currency | None = None
    usage_type: str = "voice"
    model: str | None = None
    zone: str = ""
    gaps: str = ""
    valid: tuple[Instant, Instant] = ALWAYS
    timings: dict[str, tuple[Timing, ...]] = {}
    defaults: dict[str, object] = {}
    lines: dict[str, int] = {}
    """Where each setting stands."""


class Columns(msgspec.Struct, frozen=True):
    """Where a file has what: the rate model, and the position of each column by name."""

    model: str
    positions: dict[str, int]
    price_columns: tuple[str, ...]
    scope_columns: tuple[str, ...]


def read_settings(file: str, lines: Iterable[str], bad: list[BadLine]) -> tuple[Settings, int]:
    """Read the leading comment lines; return the settings and how many lines they take."""
    found: dict[str, tuple[int, str]] = {}
    count = 0
    for line in lines:
        text = _without_spreadsheet(line)
        if text and not text.startswith("#"):
            break
        count += 1
        match = _SETTING.fullmatch(text)
        if match is None:
            continue
        name, value = match.groups()
        name = _in_small_letters(name)
        if name in found:
            bad.append(BadLine(file, count, name, "is set twice"))
        elif not _is_known(name):
            known = ", ".join((*_FIRST, *_VALID, *_DEFAULTS, "timing.<name>"))
            reason = f"unknown setting: expected one of {known}; a comment has no equals sign"
            bad.append(BadLine(file, count, name[:_LONGEST_SHOWN], reason))
        else:
            found[name] = count, value
    if "currency" not in found:
        bad.append(BadLine(file, 0, "currency", 'is not set: add a line "# currency = EUR"'))
    return _Reading(file, found, bad).settings(), count


def read_columns(
    file: str, line: int, names: list[str], settings: Settings, bad: list[BadLine]
) -> Columns | None:
    """Find the rate model and the columns in a header line; None, with reasons, if it cannot be."""
    names = [name.strip().lower() for name in names]
    before = len(bad)
    if len(names) == 1 and _OTHER_SEPARATOR.search(names[0]):
        reason = "is separated by semicolons or tabs: save it with commas, and decimal points"
        bad.append(BadLine(file, line, "", reason))
        return None
    for position, name in enumerate(names):
        if name in names[:position]:
            bad.append(BadLine(file, line, name, "appears twice"))
    model = settings.model or _model_of(file, line, names, bad)
    if model is None:
        return None
    columns = columns_of(model)
    required = (*_PLACE_COLUMNS, *(name for name, column in columns.items() if column.required))
    bad.extend(
        BadLine(file, line, name, f"missing column (model {model})")
        for name in required
        if name not in names
    )
    known = {*_PLACE_COLUMNS, *SCOPE_COLUMNS, *_PRICE_COLUMNS, *columns}
    bad.extend(
        BadLine(file, line, name, f"unknown column (model {model})")
        for name in names
        if name not in known
    )
    bad.extend(
        BadLine(file, settings.lines[name], name, f"model {model} has no such column")
        for name in settings.defaults
        if name not in columns
    )
    if len(bad) > before:
        return None
    return Columns(
        model,
        {name: position for position, name in enumerate(names)},
        tuple(name for name in (*columns, *_PRICE_COLUMNS) if name in names),
        tuple(name for name in SCOPE_COLUMNS if name in names),
    )


def _model_of(file: str, line: int, names: list[str], bad: list[BadLine]) -> str | None:
    """Return the one model whose required columns are there."""
    needs = {
        model: [name for name, column in columns_of(model).items() if column.required]
        for model in _TOLD_BY_COLUMNS
    }
    fitting = [model for model, required in needs.items() if set(required) <= set(names)]
    if len(fitting) == 1:
        return fitting[0]
    fault = "more than one rate model fits" if fitting else "no rate model fits"
    told = "; ".join(f"{model} needs {', '.join(required)}" for model, required in needs.items())
    others = ", ".join(model for model in MODELS if model not in needs)
    reason = f'{fault} these columns: {told}; for {others} add a line "# model = ..."'
    bad.append(BadLine(file, line, "", reason))
    return None


class _Reading:
    """The settings of one file while they are read: some need others, in whatever order."""

    def __init__(self, file: str, found: dict[str, tuple[int, str]], bad: list[BadLine]) -> None:
        self._file = file
        self._found = found
        self._bad = bad

    def settings(self) -> Settings:
        first = {name: self._value(name, read) for name, read in _FIRST.items()}
        said = {name: value for name, value in first.items() if value is not None}
        usage_type, zone = str(said.get("usage_type", "voice")), str(said.get("zone", ""))
        settings = msgspec.convert(said, Settings, from_attributes=True)
        return msgspec.structs.replace(
            settings,
            valid=self._valid(zone),
            timings=self._timings(),
            defaults=self._defaults(usage_type, settings.currency),
            lines={name: line for name, (line, _) in self._found.items()},
        )

    def _defaults(self, usage_type: str, money: Currency | None) -> dict[str, object]:
        """Return what empty cells mean, without what no price could be made with."""
        values = {
            name: self._value(name, partial(_given, read, usage_type))
            for name, read in _DEFAULTS.items()
        }
        defaults = {name: value for name, value in values.items() if value is not None}
        try:
            if money is not None:
                check_defaults(defaults, usage_type, money)
        except RateFieldError as error:
            self._report(error.field, str(error))
            return {}
        return defaults

    def _valid(self, zone: str) -> tuple[Instant, Instant]:
        """Return when the whole file holds."""
        from_, to = (self._value(name, lambda text: read_instant(text, zone)) for name in _VALID)
        valid = from_ or ALWAYS[0], to or ALWAYS[1]
        if valid[1].ms <= valid[0].ms:
            self._report("valid_to", "must be later than valid_from")
        return valid

    def _timings(self) -> dict[str, tuple[Timing, ...]]:
        """Return all timings that are named; a name with a bad one has an empty tuple."""
        names = [name for name in self._found if name.startswith(_TIMING)]
        return {name.removeprefix(_TIMING): self._value(name, read_timings) or () for name in names}

    def _value(self, name: str, read: Callable[[str], _T]) -> _T | None:
        if name not in self._found:
            return None
        try:
            return read(self._found[name][1])
        except ValueError as error:
            self._report(name, str(error))
            return None

    def _report(self, name: str, reason: str) -> None:
        self._bad.append(BadLine(self._file, self._found[name][0], name, reason))


def _is_known(name: str) -> bool:
    if name.startswith(_TIMING):
        return _TIMING_NAME.fullmatch(name.removeprefix(_TIMING)) is not None
    return name in {*_FIRST, *_VALID, *_DEFAULTS}


def _in_small_letters(name: str) -> str:
    """Return the name of a setting in small letters; what a timing is called stays as it is."""
    word, dot, called = name.partition(".")
    return f"{word.lower()}{dot}{called}"


def _without_spreadsheet(line: str) -> str:
    """Return a line without the commas of empty cells and the quotes of a cell with commas."""
    text = line.strip().rstrip(",").rstrip()
    if text.startswith('"#') and text.endswith('"'):
        text = text[1:-1].replace('""', '"')
    return text


def _given(read: Reader, usage_type: str, text: str) -> object:
    return read(text, usage_type)


def _zone(text: str) -> str:
    return zone_named(text).name


_FIRST: Final[dict[str, Callable[[str], object]]] = {
    "currency": currency,
    "usage_type": one_of(USAGE_TYPES),
    "model": one_of(MODELS),
    "zone": _zone,
    "gaps": one_of((ALLOWED,)),
}
"""What the whole file is; the readers of the others need it."""

_VALID: Final = ("valid_from", "valid_to")
_DEFAULTS: Final = {name: column.read for name, column in TERMS.items()} | {"per": read_quantity}
"""Settings that stand for the empty cells of the column of their name."""

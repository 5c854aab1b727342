"""The head of a tariff file: its settings and the names of its columns.

    # currency = EUR
    # anything without an equals sign is a comment
    prefix,destination,price_1,price_n,interval_1,interval_n
    49,Germany,0.02,0.02,60,60

Settings: `currency` (required), `usage_type` (voice), `model` (by the columns), `zone` (UTC; of
dates that carry no offset), `rounding` (half_up). A line `# word = value` with another word is
taken for a misspelt setting, not for a comment: a currency that is silently not set costs money.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ocs.domain.money import Currency, Rounding, currency
from ocs.domain.plan import USAGE_TYPES
from ocs.domain.rates import MODELS, type_of_model

_SETTING: Final = re.compile(r"#\s*([a-z_]+)\s*=\s*(.*?)\s*", re.ASCII)
_PLACE_COLUMNS: Final = ("prefix", "destination")
_OPTIONAL_COLUMNS: Final = ("valid_from", "valid_to", "blocked")
_NOT_A_COLUMN: Final = "rounding"  # a field of every model, but one for the whole file


class BadLine(msgspec.Struct, frozen=True, order=True):
    """A line of a tariff file that cannot be used. `line` 0 is the file, `column` "" the line."""

    file: str
    line: int
    column: str
    reason: str


class Settings(msgspec.Struct, frozen=True):
    """What a tariff file says about all its rows; `currency` None: it does not say."""

    currency: Currency | None = None
    usage_type: str = "voice"
    model: str | None = None
    zone: tzinfo = UTC
    rounding: Rounding = Rounding.HALF_UP


class Columns(msgspec.Struct, frozen=True):
    """Where a file has what: the rate model, and the position of each column by name."""

    model: str
    positions: dict[str, int]
    price_columns: tuple[str, ...]


def read_settings(file: str, lines: Iterable[str], bad: list[BadLine]) -> tuple[Settings, int]:
    """Read the leading comment lines; return the settings and how many lines they take."""
    found: dict[str, object] = {}
    count = 0
    for line in lines:
        if line.strip() and not line.startswith("#"):
            break
        count += 1
        match = _SETTING.fullmatch(line.rstrip("\r\n"))
        if match is None:
            continue
        name, text = match.groups()
        if name in found:
            bad.append(BadLine(file, count, name, "is set twice"))
            continue
        try:
            found[name] = _read_setting(name, text)
        except ValueError as error:
            found[name] = None
            bad.append(BadLine(file, count, name, str(error)))
    if "currency" not in found:
        bad.append(BadLine(file, 0, "currency", 'is not set: add a line "# currency = EUR"'))
    usable = {name: value for name, value in found.items() if value is not None}
    return msgspec.convert(usable, Settings, from_attributes=True), count


def read_columns(
    file: str, line: int, names: list[str], model: str | None, bad: list[BadLine]
) -> Columns | None:
    """Find the rate model and the columns in a header line; None, with reasons, if it cannot be."""
    names = [name.strip().lower() for name in names]
    before = len(bad)
    for position, name in enumerate(names):
        if name in names[:position]:
            bad.append(BadLine(file, line, name, "appears twice"))
    model = model or _model_of(file, line, names, bad)
    if model is None:
        return None
    required, optional = _fields_of(MODELS[model])
    bad.extend(
        BadLine(file, line, name, f"missing column (model {model})")
        for name in (*_PLACE_COLUMNS, *required)
        if name not in names
    )
    known = {*_PLACE_COLUMNS, *_OPTIONAL_COLUMNS, *required, *optional}
    bad.extend(
        BadLine(file, line, name, f"unknown column (model {model})")
        for name in names
        if name not in known
    )
    if len(bad) > before:
        return None
    prices = tuple(name for name in (*required, *optional, "blocked") if name in names)
    return Columns(model, {name: position for position, name in enumerate(names)}, prices)


def _model_of(file: str, line: int, names: list[str], bad: list[BadLine]) -> str | None:
    """Return the one model whose required columns are there."""
    fitting = [name for name, kind in MODELS.items() if set(_fields_of(kind)[0]) <= set(names)]
    if len(fitting) == 1:
        return fitting[0]
    needs = "; ".join(f"{name} needs {', '.join(_fields_of(MODELS[name])[0])}" for name in MODELS)
    fault = "more than one rate model fits" if fitting else "no rate model fits"
    bad.append(BadLine(file, line, "", f"{fault} these columns: {needs}"))
    return None


def _fields_of(model: type_of_model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the required and the optional columns of a rate model."""
    fields = [field for field in msgspec.structs.fields(model) if field.name != _NOT_A_COLUMN]
    return (
        tuple(field.name for field in fields if field.required),
        tuple(field.name for field in fields if not field.required),
    )


def _read_setting(name: str, text: str) -> object:
    reader = _SETTING_READERS.get(name)
    if reader is None:
        raise ValueError(f"unknown setting: expected one of {', '.join(_SETTING_READERS)}")
    return reader(text)


def _one_of(choices: Iterable[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        return text

    return read


def _zone(text: str) -> tzinfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is not a time zone such as Europe/Berlin") from error


_SETTING_READERS: Final[dict[str, Callable[[str], object]]] = {
    "currency": currency,
    "usage_type": _one_of(USAGE_TYPES),
    "model": _one_of(MODELS),
    "zone": _zone,
    "rounding": _one_of([rounding.value for rounding in Rounding]),
}

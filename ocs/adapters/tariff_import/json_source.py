"""JSON as other systems export it, and where in it a value stands.

Numbers are read as exact decimals: a price that passed through a float is another price. MongoDB's
extended JSON (`{"$date": ...}`, `{"$numberLong": ...}`) is unwrapped, and a file of one object a
line, as mongoexport writes it, is a list.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from ocs.domain.money import exact_decimal
from ocs.domain.zones import LATEST_MS
from ocs.usecases.price_lists import Fault

_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_NUMBERS: Final = ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal")
_MILLISECONDS: Final = 1000
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SourceError(ValueError):
    """A file that cannot be read at all; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


def read_json(path: Path) -> object:
    """Read a file of JSON, or of one JSON object a line."""
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise SourceError(Fault(path.name, 0, "", "", reason)) from error
    try:
        return plain(_DECODER.decode(content))
    except _NOT_JSON as error:
        lines = content.splitlines()
        if len(lines) < 2 or not lines[0].rstrip().endswith(b"}"):  # noqa: PLR2004 -- one line is no list
            reason = f"is not JSON: {error}"
            raise SourceError(Fault(path.name, 0, "", "", reason)) from error
    return _read_lines(path.name, lines)


def parse_json(text: str) -> object:
    """Read JSON that is given as text."""
    try:
        return plain(_DECODER.decode(text))
    except _NOT_JSON as error:
        raise SourceError(Fault("", 0, "", "", f"is not JSON: {error}")) from error


def plain(value: object) -> object:
    """Unwrap MongoDB's way to say a number or a date."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$date" in value:
        return plain(value["$date"])
    for name in _NUMBERS:
        if name in value:
            return Decimal(str(value[name])) if _is_number(value[name]) else value[name]
    return {key: plain(item) for key, item in value.items()}


def date_ms(value: object) -> int | None:
    """Return a date as milliseconds; None for none. ValueError for what is no date.

    Text (RFC 3339, UTC where it has no offset), milliseconds, or {"sec": ...}. A number beyond the
    calendar, as some write "without end", is the end of the calendar.
    """
    if value is None or value == "":
        return None
    if isinstance(value, Mapping) and isinstance(value.get("sec"), int):
        return _within_calendar(value["sec"] * _MILLISECONDS)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _within_calendar(value)
    try:
        time = datetime.fromisoformat(str(value).strip())
        absolute = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        reason = f"{str(value)[:40]!r} is not a date such as 2026-01-31T00:00:00Z"
        raise ValueError(reason) from error
    return round(absolute * _MILLISECONDS)


def number(value: object) -> Decimal:
    """Return an exact number, also of text; ValueError for what is none."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        found = Decimal(value)
    elif isinstance(value, str) and _is_number(value):
        found = Decimal(value.strip())
    else:
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    if not found.is_finite():
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    exact_decimal(found)  # an exponent of millions would be worked out, digit by digit
    return found


def _within_calendar(milliseconds: int | Decimal) -> int:
    if not Decimal(milliseconds).is_finite():
        raise ValueError(f"{milliseconds} is not a date")
    return int(min(max(milliseconds, -LATEST_MS), LATEST_MS))


def _read_lines(file: str, lines: list[bytes]) -> list[object]:
    documents = []
    for line, content in enumerate(lines, 1):
        if not content.strip():
            continue
        try:
            documents.append(plain(_DECODER.decode(content)))
        except _NOT_JSON as error:
            raise SourceError(Fault(file, line, "", "", f"is not JSON: {error}")) from error
    return documents


def _is_number(value: object) -> bool:
    try:
        Decimal(str(value).strip())
    except ArithmeticError:
        return False
    return True

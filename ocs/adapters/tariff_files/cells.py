"""The cells of a tariff row: prefix, destination, price, dates; each with its reason when wrong.

A cell's reader raises `CellError` with the column and the reason. Prices are read from the tuple of
a row's cells as one thing, because a deck has far fewer of those tuples than rows.
"""

from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

import msgspec

from ocs.adapters.tariff_files.header import Columns, Settings
from ocs.domain.ladder import FREE
from ocs.domain.money import Currency, parse_decimal
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.rates import MODELS
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.tariff import CATCH_ALL, Price

_LONGEST_DESTINATION: Final = 255
_LONGEST_COUNT: Final = 16  # digits of 2^53
_MILLISECONDS: Final = 1000
_TRUTH: Final = {
    **dict.fromkeys(("", "0", "no", "false"), False),
    **dict.fromkeys(("1", "yes", "true"), True),
}


class CellError(ValueError):
    """A cell that cannot be read: its column and why."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def read_prefix(text: str) -> str:
    """Return the digits of a prefix; a leading + is dropped, * is the empty prefix."""
    digits = text.strip().removeprefix("+")
    if digits == CATCH_ALL:
        return ""
    if not (digits.isdecimal() and digits.isascii()):
        raise CellError("prefix", f"{text[:40]!r} is not a prefix: digits, or * for everything")
    if len(digits) > MAX_PREFIX_DIGITS:
        raise CellError("prefix", f"{text[:40]!r} has more than {MAX_PREFIX_DIGITS} digits")
    return digits


def read_destination(text: str) -> str:
    """Return the name of a destination, stripped."""
    name = text.strip()
    if not name or len(name) > _LONGEST_DESTINATION or not name.isprintable():
        raise CellError(
            "destination", f"must have 1 to {_LONGEST_DESTINATION} printable characters"
        )
    return name


def read_price(
    cells: tuple[str, ...], columns: Columns, settings: Settings, money: Currency
) -> Price:
    """Compile the price cells of a row; a blocked row needs none of them."""
    texts = {name: text.strip() for name, text in zip(columns.price_columns, cells, strict=True)}
    blocked = _TRUTH.get(texts.pop("blocked", "").lower())
    if blocked is None:
        raise CellError("blocked", "must be yes or no")
    if blocked:
        return Price("blocked", blocked=True, ladder=FREE)
    kind = MODELS[columns.model]
    values: dict[str, object] = {"rounding": settings.rounding}
    for field in msgspec.structs.fields(kind):
        text = texts.get(field.name, "")
        if text or (field.required and field.name in texts):
            values[field.name] = _read_number(field.name, text, is_count=field.type is int)
    try:
        ladder = msgspec.convert(values, kind).compile(money)
    except RateFieldError as error:
        raise CellError(error.field, str(error)) from error
    except ValueError as error:
        raise CellError("", str(error)) from error
    return Price(columns.model, blocked=False, ladder=ladder)


def read_instant(column: str, text: str, zone: tzinfo, default_ms: int) -> int:
    """Return a date as epoch milliseconds; RFC 3339, or without an offset in the file's zone."""
    stripped = text.strip()
    if not stripped:
        return default_ms
    try:
        instant = datetime.fromisoformat(stripped)
        local = instant.replace(tzinfo=zone) if instant.tzinfo is None else instant
        absolute = local.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CellError(
            column, f"{text[:40]!r} is not a date such as 2026-01-31T00:00:00Z"
        ) from error
    if absolute.astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise CellError(column, f"{text[:40]!r} does not exist in {zone}: clocks are put forward")
    milliseconds = round(absolute.timestamp() * _MILLISECONDS)
    if milliseconds < 0:
        raise CellError(column, f"{text[:40]!r} lies before 1970")
    return milliseconds


def _read_number(column: str, text: str, *, is_count: bool) -> Decimal | int:
    try:
        parse_decimal(text)
    except ValueError as error:
        raise CellError(column, str(error)) from error
    if not is_count:
        return Decimal(text)
    if not (text.isdecimal() and len(text) <= _LONGEST_COUNT):
        raise CellError(column, f"{text[:40]!r} is not a whole number of seconds")
    return int(text)

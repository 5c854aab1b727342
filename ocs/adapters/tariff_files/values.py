"""The values that cells and settings of a tariff file hold; ValueError says why one cannot be read.

    quantity   60, 60s, 1min, 1h of calls; 1024, 10KiB, 1GB of data; 1 of messages and events
    steps      0-60: 0.10 per 60; 60-: 0.05 per 60 by 1
    decimal    0.0125, never 1e-3 or 1,25
    date       2026-01-31, 2026-01-31T18:00:00, 2026-01-31T18:00:00+01:00

Price lists are written by people in spreadsheets, so a value is said in few ways and everything
else is refused: a unit that is guessed is a price that is wrong by a thousand.
"""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from ocs.domain.money import Rounding, parse_decimal
from ocs.domain.rates.steps import MOST_STEPS, PriceStep
from ocs.domain.zones import zone_named

Reader = Callable[[str, str], object]
"""Reads the text of a value, given the usage type of the file."""

_TRUTH: Final = {
    **dict.fromkeys(("", "0", "no", "false"), False),
    **dict.fromkeys(("1", "yes", "true"), True),
}
_SHOWN: Final = 40  # how much of a bad value a reason repeats
_LONGEST_COUNT: Final = 16  # digits of 2^53

_SIZES: Final = {
    "B": 1,
    **{f"{prefix}B": 1_000**power for power, prefix in enumerate("kMGT", 1)},
    **{f"{prefix}iB": 1_024**power for power, prefix in enumerate("KMGT", 1)},
}
_UNITS: Final[dict[str, dict[str, int]]] = {
    "voice": {"s": 1, "min": 60, "h": 3_600},
    "data": _SIZES | {"KB": 1_000},
}
"""By usage type, the names of units and how many of its smallest they are."""

_AMOUNT: Final = r"[0-9]+ ?[A-Za-z]*|[A-Za-z]+"
_QUANTITY: Final = re.compile(r"([0-9]*) ?([A-Za-z]*)", re.ASCII)
_STEP: Final = re.compile(
    rf"({_AMOUNT})\s*-\s*({_AMOUNT})?\s*:\s*(\S+)\s+per\s+({_AMOUNT})(?:\s+by\s+({_AMOUNT}))?",
    re.ASCII,
)


class Instant(msgspec.Struct, frozen=True):
    """A date as milliseconds; `is_wall`: as the clocks of a zone show it that is not known yet."""

    ms: int
    is_wall: bool = False


def shown(text: str) -> str:
    """Repeat a bad value in a reason, at a bounded length."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def read_decimal(text: str, _usage_type: str = "") -> Decimal:
    """Read an exact decimal."""
    parse_decimal(text)
    return Decimal(text)


def read_whole(text: str, _usage_type: str = "") -> int:
    """Read a number of digits only."""
    if not (text.isdecimal() and text.isascii() and len(text) <= _LONGEST_COUNT):
        raise ValueError(f"{shown(text)} is not a whole number")
    return int(text)


def read_quantity(text: str, usage_type: str) -> int:
    """Read a number of units, maybe with the name of a larger one: 60, 1min, MiB."""
    match = _QUANTITY.fullmatch(text)
    names = _UNITS.get(usage_type, {})
    if match is None or not text:
        raise ValueError(f"{shown(text)} is not a whole number{_among(names)}")
    digits, name = match.groups()
    if name and name not in names:
        raise ValueError(f"{shown(text)} is not a whole number{_among(names)}")
    return (read_whole(digits) if digits else 1) * names.get(name, 1)


def read_steps(text: str, usage_type: str) -> tuple[PriceStep, ...]:
    """Read the steps of a price."""
    items = [item.strip() for item in text.removesuffix(";").split(";")]
    if len(items) > MOST_STEPS:
        raise ValueError(f"there are {len(items)} steps, more than {MOST_STEPS}")
    return tuple(_step(item, usage_type) for item in items)


def read_truth(text: str, _usage_type: str = "") -> bool:
    """Read yes or no."""
    truth = _TRUTH.get(text.lower())
    if truth is None:
        raise ValueError("must be yes or no")
    return truth


def read_rounding(text: str, _usage_type: str = "") -> Rounding:
    """Read the name of a way to round."""
    return Rounding(one_of([rounding.value for rounding in Rounding])(text))


def one_of(choices: Collection[str]) -> Callable[..., str]:
    """Return what reads one of some words."""

    def read(text: str, _usage_type: str = "") -> str:
        if text not in choices:
            raise ValueError(f"{shown(text)} is not one of {', '.join(choices)}")
        return text

    return read


def read_instant(text: str, zone: str) -> Instant:
    """Read a date: RFC 3339, or without an offset in `zone`; where that is "", as a wall time."""
    try:
        moment = datetime.fromisoformat(text)
        naive = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{shown(text)} is not a date such as 2026-01-31T00:00:00Z") from error
    milliseconds = round(naive.timestamp() * 1_000)
    is_wall = moment.tzinfo is None
    if is_wall and zone:
        place = zone_named(zone)
        wall_ms = milliseconds
        milliseconds = place.instant_ms(wall_ms)
        if place.wall_ms(milliseconds) != wall_ms:
            raise ValueError(f"{shown(text)} does not exist in {zone}: clocks are put forward")
    if milliseconds < 0:
        raise ValueError(f"{shown(text)} lies before 1970")
    return Instant(milliseconds, is_wall and not zone)


def _step(item: str, usage_type: str) -> PriceStep:
    match = _STEP.fullmatch(item)
    if match is None:
        raise ValueError(f"{shown(item)} is not a step such as 0-60: 0.10 per 60 by 1")
    start, end, price, per, by = match.groups()
    counted = read_quantity(per, usage_type)
    return PriceStep(
        start=read_quantity(start, usage_type),
        end=None if end is None else read_quantity(end, usage_type),
        price=read_decimal(price),
        per=counted,
        by=counted if by is None else read_quantity(by, usage_type),
    )


def _among(names: Collection[str]) -> str:
    return f", nor one of {' '.join(names)}" if names else ""

"""Cells as switches write them: numbers of seconds, instants, and texts that JSON did not quote.

A reader of a cell returns what it says, None where it says "never" (empty, or a time of 0), and
raises ValueError with what was expected. Times are read in the order in which they happened, and
each is told the one before: a wall time that the clocks show twice means the first time, unless the
call would then end before it began.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

from ocs.domain.money import MAX_UNITS
from ocs.domain.zones import LATEST_MS, UTC_ZONE, Zone

SECOND_MS: Final = 1_000
_HOUR_MS: Final = 3_600_000
_MOST_REMEMBERED: Final = 1 << 16  # times; the seconds of most of a day
_QUOTED_CHARACTERS: Final = 40  # how much of a bad cell a reason repeats
_DECIMAL: Final = re.compile(r"([0-9]{1,17})(?:\.([0-9]{1,30}))?")
_STAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)

TIME_EXPECTED: Final = "expected a time such as 2026-11-20 09:30:00, or seconds since 1970"
SECONDS_EXPECTED: Final = "expected seconds such as 61 or 61.250"
NOT_ANSWERED: Final = "is more than 0, although the call was not answered"
EARLIER: Final = "is earlier than what came before it in the call"


class CellError(ValueError):
    """A cell (or all of an entry, where `column` is empty) that cannot be used."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


ReadTime = Callable[[str, Zone, int], int | None]
"""(cell, zone, the time before) -> milliseconds since 1970."""

ReadDuration = Callable[[str], int | None]
"""Cell -> milliseconds."""


def quoted(value: object) -> str:
    """Say what stood there, without repeating all of something long."""
    text = str(value)
    short = text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "..."
    return f"is {short!r}"


def text_of(value: object) -> str:
    """Return a member of a JSON object as text; ValueError for what holds others."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("is a list or an object, expected a text or a number")


def seconds(cell: str) -> int | None:
    """Read seconds, with a fraction or without; to the nearest millisecond."""
    return None if cell == "" else _decimal(cell, 3, SECONDS_EXPECTED)


def milliseconds(cell: str) -> int | None:
    return None if cell == "" else _decimal(cell, 0, "expected milliseconds such as 61250")


def moment(cell: str, zone: Zone, after_ms: int) -> int | None:
    """Read a wall time of a zone, a time with an offset, or seconds since 1970."""
    if cell in {"", "0"}:
        return None
    first_ms, second_ms = _readings(cell, zone)
    return (first_ms if first_ms >= after_ms else second_ms) or None


@lru_cache(maxsize=_MOST_REMEMBERED)
def _readings(cell: str, zone: Zone) -> tuple[int, int]:
    """Return the instants that a cell may mean: two, where the clocks show it twice."""
    found = _STAMP.fullmatch(cell)
    if found is None:
        at_ms = _epoch(cell, 3, TIME_EXPECTED) or 0
        return at_ms, at_ms
    day, time, fraction, offset = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{time}{offset or 'Z'}")
    except ValueError:
        raise ValueError(f"{quoted(cell)}, {TIME_EXPECTED}") from None
    shown_ms = round(at.timestamp()) * SECOND_MS + _rounded(fraction or "", 3)
    if shown_ms < 0:
        raise ValueError(f"{quoted(cell)}, expected a time after 1970")
    if offset or zone is UTC_ZONE:
        return shown_ms, shown_ms
    return _instants_ms(zone, shown_ms)


def epoch_s(cell: str, _zone: Zone, _after_ms: int) -> int | None:
    """Read seconds since 1970, with a fraction or without; 0 is never."""
    return _epoch(cell, 3, "expected seconds since 1970")


def epoch_us(cell: str, _zone: Zone, _after_ms: int) -> int | None:
    """Read microseconds since 1970; 0 is never."""
    return _epoch(cell, -3, "expected microseconds since 1970")


def _epoch(cell: str, decimals: int, expected: str) -> int | None:
    if cell == "":
        return None
    found = _decimal(cell, decimals, expected)
    if found >= LATEST_MS:
        raise ValueError(f"{quoted(cell)}, expected a time before the year 9999")
    return found or None


def _decimal(cell: str, decimals: int, expected: str) -> int:
    """Return the cell times 10^decimals, to the nearest whole."""
    found = _DECIMAL.fullmatch(cell)
    if found is None:
        raise ValueError(f"{quoted(cell)}, {expected}")
    if decimals < 0:
        divisor: int = 10**-decimals
        return (int(found[1]) + divisor // 2) // divisor
    value: int = int(found[1]) * 10**decimals + _rounded(found[2] or "", decimals)
    if value > MAX_UNITS:
        raise ValueError(f"{quoted(cell)}, {expected}, and not that many")
    return value


def _rounded(fraction: str, digits: int) -> int:
    """Return the first digits of a fraction, rounded half up."""
    if not fraction:
        return 0
    padded = fraction.ljust(digits + 1, "0")
    return int(padded[:digits] or "0") + (padded[digits] >= "5")


def _instants_ms(zone: Zone, wall_ms: int) -> tuple[int, int]:
    """Return when the clocks first show a time, and when they show it last."""
    first_ms = zone.instant_ms(wall_ms)
    later_ms = first_ms + 6 * _HOUR_MS  # no zone changes twice within a day
    second_ms = wall_ms - (zone.wall_ms(later_ms) - later_ms)
    if second_ms > first_ms and zone.wall_ms(second_ms) == wall_ms:
        return first_ms, second_ms
    return first_ms, first_ms

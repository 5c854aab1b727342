"""Time zones: what the clocks of a place show at an instant, and when they show a given time.

Instants are milliseconds since 1970 in UTC. A *wall time* is the same count as the clocks of a zone
show it: 2026-03-29 08:00 in London is the wall time of 08:00, whatever the offset. Prices follow
wall times (peak begins at eight), calls last in instants; all conversions are here.

Twice a year a wall time does not exist or exists twice:

    spring    wall  00:59 | 02:00      01:30 is never shown: it stands for the jump
    autumn    wall  01:59 | 01:00      01:30 is shown twice: a date means the first time

The offset of an instant comes from zoneinfo, which costs a microsecond and does not tell when it
changes. So a day (of UTC) is asked about once, at both ends, and remembered as *stretches* of one
offset; where the ends differ, the change is found by halving. No zone has changed twice within a
day since 1970 (a test asks them all).
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

DAY_MS: Final = 86_400_000
_SECOND_MS: Final = 1_000
_MOST_DAYS_KEPT: Final = 1_000
LATEST_MS: Final = 253_370_764_800_000
"""The year 9999: calendars end there."""
_FARTHEST_WEST_MS: Final = 16 * 3_600_000
"""No clock is further ahead of UTC (the greatest offset is +15 hours)."""


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A time within one day of UTC, [from_ms, to_ms), with one offset of the clocks.

    `shown_ms` is the latest wall time that was shown before it, as far as that is later than its
    own first: the hour that is repeated.
    """

    from_ms: int
    to_ms: int
    offset_ms: int
    shown_ms: int


class Zone:
    """A time zone; ValueError for a name that is none."""

    __slots__ = ("_days", "_info", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._info = _info(name)
        self._days: dict[int, tuple[Stretch, ...]] = {}

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"

    def wall_ms(self, at_ms: int) -> int:
        """Return the time that the clocks show at an instant."""
        return at_ms + self._stretch(at_ms).offset_ms

    def reached_ms(self, at_ms: int) -> int:
        """Return the latest wall time shown up to an instant; it never goes back.

        At an instant not earlier than `instant_ms(date)`, and only then, it is at least the date.
        """
        stretch = self._stretch(at_ms)
        return max(at_ms + stretch.offset_ms, stretch.shown_ms)

    def instant_ms(self, wall_ms: int) -> int:
        """Return when a wall time is first reached; one that is skipped, at the jump over it."""
        day = (wall_ms - _FARTHEST_WEST_MS) // DAY_MS
        while True:
            for stretch in self.stretches(day):
                if stretch.to_ms + stretch.offset_ms > wall_ms:
                    return max(stretch.from_ms, wall_ms - stretch.offset_ms)
            day += 1

    def stretches(self, day: int) -> tuple[Stretch, ...]:
        """Return the stretches of a day of UTC, counted from 1970-01-01."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) >= _MOST_DAYS_KEPT:
                self._days.clear()
            known = self._days[day] = self._ask(day)
        return known

    def _stretch(self, at_ms: int) -> Stretch:
        stretches = self.stretches(at_ms // DAY_MS)
        return next(stretch for stretch in stretches if at_ms < stretch.to_ms)

    def _ask(self, day: int) -> tuple[Stretch, ...]:
        """Cut a day where its offset changes, knowing what was shown on the day before."""
        begin, end = day * DAY_MS, (day + 1) * DAY_MS
        cuts = [begin - DAY_MS, *self._change(begin - DAY_MS, begin), begin]
        cuts += [*self._change(begin, end), end]
        stretches, shown_ms = [], begin - 2 * DAY_MS
        for from_ms, to_ms in pairwise(cuts):
            offset_ms = self._offset(from_ms)
            if from_ms >= begin:
                stretches.append(Stretch(from_ms, to_ms, offset_ms, shown_ms))
            shown_ms = max(shown_ms, to_ms + offset_ms - 1)
        return tuple(stretches)

    def _change(self, from_ms: int, to_ms: int) -> list[int]:
        """Return the instant in (from_ms, to_ms) at which the offset becomes another, if any."""
        before = self._offset(from_ms)
        if self._offset(to_ms - _SECOND_MS) == before:
            return []
        low, high = from_ms, to_ms - _SECOND_MS
        while high - low > _SECOND_MS:
            middle = (low + high) // (2 * _SECOND_MS) * _SECOND_MS
            low, high = (middle, high) if self._offset(middle) == before else (low, middle)
        return [high]

    def _offset(self, at_ms: int) -> int:
        seconds = max(0, min(at_ms, LATEST_MS) // _SECOND_MS)
        offset = datetime.fromtimestamp(seconds, self._info).utcoffset()
        assert offset is not None
        return offset // timedelta(milliseconds=1)


@lru_cache(maxsize=1_000)
def zone_named(name: str) -> Zone:
    """Return the one `Zone` of a name such as Europe/London; ValueError if there is no such."""
    return Zone(name)


def _info(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # a folder of zones is an OSError
        raise ValueError(f"{name!r} is not a time zone such as Europe/Berlin") from error


UTC_ZONE: Final = zone_named("UTC")

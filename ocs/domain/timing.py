"""When a price is in force: by year, month, day, day of the week and time of day.

A price with peak hours has several *bands*, each with a timing. At an instant one of them is
active: that of the highest weight, among equals the one that begins latest in the day, then the
one listed first. So "any time, weight 0" may lie under "mon-fri 08:00-18:00, weight 10", and that
under one for Christmas.

    mon-fri 08:00-18:00            |##########|              weight 10
    any                  |oooooooooooooooooooooooooooo|      weight 0
    in force             |oooooooo|##########|oooooooo|
                         00:00    08:00      18:00

Timings speak of wall times; a `Timetable` works out at which instants of a day another band takes
over, in one zone, and remembers it: the calls of a day ask for the same few switches. It goes
through the day's stretches of one offset, so that an hour that is shown twice is priced twice by
its wall time, and one that is skipped not at all.

Rejected: asking for the active band second by second (a call of a day is 86,400 of them), and
timings over midnight (whose Friday is it?): an overnight price has two.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from ocs.domain.zones import DAY_MS, Stretch, Zone

NO_BAND: Final = -1
LAST_DAY: Final = -1
"""In `month_days`: the last day of a month, whichever it is."""
MOST_BANDS: Final = 64
"""Bands of one price; the switches of a day are in proportion to them."""

_DAY_S: Final = 86_400
_SECOND_MS: Final = 1_000
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_MOST_DAYS_KEPT: Final = 400
_FIELDS: Final = (
    ("years", range(1970, 10_000)),
    ("months", range(1, 13)),
    ("month_days", (LAST_DAY, *range(1, 32))),
    ("week_days", range(1, 8)),
)


class Timing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A recurring time. A tuple that is empty means any; ValueError names what cannot be.

    `week_days` are those of ISO 8601, 1 for Monday to 7 for Sunday. `start_s` (inclusive) and
    `end_s` (exclusive) are seconds of the day as clocks show them.
    """

    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    start_s: int = 0
    end_s: int = _DAY_S
    weight: float = 0.0

    def __post_init__(self) -> None:
        for name, possible in _FIELDS:
            for value in getattr(self, name):
                if value not in possible:
                    raise ValueError(f"{name} may not hold {value}")
        if not 0 <= self.start_s < self.end_s <= _DAY_S:
            raise ValueError(f"{self.start_s} to {self.end_s} is not a span of seconds in a day")

    def falls_on(self, day: date) -> bool:
        """Whether this timing has its hours on a day."""
        return (
            (not self.years or day.year in self.years)
            and (not self.months or day.month in self.months)
            and (not self.week_days or day.isoweekday() in self.week_days)
            and (not self.month_days or self._has_month_day(day))
        )

    def edges(self) -> tuple[int, int]:
        """Return the seconds of the day at which it begins and ends."""
        return self.start_s, self.end_s

    def _has_month_day(self, day: date) -> bool:
        if day.day in self.month_days:
            return True
        return LAST_DAY in self.month_days and (day + timedelta(days=1)).day == 1


_ANY_TIME: Final = Timing()


class Timetable:
    """Which band of a price is active when, in one zone; by index, NO_BAND where none is.

    A timing that is None is any time.
    """

    __slots__ = ("_days", "_ranked", "_zone")

    def __init__(self, timings: Sequence[Timing | None], zone: Zone) -> None:
        self._ranked = _ranked(timings)
        self._zone = zone
        self._days: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def at(self, at_ms: int) -> int:
        """Return the band that is active at an instant."""
        instants, bands = self._switches_of(at_ms // DAY_MS)
        return bands[bisect_right(instants, at_ms) - 1]

    def switches(self, at_ms: int, until_ms: int) -> tuple[tuple[int, int], ...]:
        """Return the band at an instant, then each change before `until_ms`, with its instant."""
        found = [(at_ms, self.at(at_ms))]
        for day in range(at_ms // DAY_MS, -(-until_ms // DAY_MS)):
            for instant, band in zip(*self._switches_of(day), strict=True):
                if at_ms < instant < until_ms and band != found[-1][1]:
                    found.append((instant, band))
        return tuple(found)

    def _switches_of(self, day: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return instants and bands of a day of UTC; the first stands at the day's beginning."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) >= _MOST_DAYS_KEPT:
                self._days.clear()
            found: list[tuple[int, int]] = []
            for stretch in self._zone.stretches(day):
                found += self._walk(stretch)
            kept = [
                found[0],
                *(later for former, later in pairwise(found) if later[1] != former[1]),
            ]
            known = tuple(instant for instant, _ in kept), tuple(band for _, band in kept)
            self._days[day] = known
        return known

    def _walk(self, stretch: Stretch) -> Iterator[tuple[int, int]]:
        """Go through the wall times of a stretch, from one edge of a timing to the next."""
        low, high = stretch.from_ms + stretch.offset_ms, stretch.to_ms + stretch.offset_ms
        for day in range(low // DAY_MS, -(-high // DAY_MS)):
            timings = _falling_on(day, self._ranked)
            begin = max(low - day * DAY_MS, 0)
            edges = {second * _SECOND_MS for _, timing in timings for second in timing.edges()}
            end = min(high - day * DAY_MS, DAY_MS)
            for edge in (begin, *sorted(edge for edge in edges if begin < edge < end)):
                instant = day * DAY_MS + edge - stretch.offset_ms
                yield instant, _first_at(timings, edge // _SECOND_MS)


_Ranked = list[tuple[int, Timing]]
"""Timings with their positions, in order of precedence."""


def _ranked(timings: Sequence[Timing | None]) -> _Ranked:
    given = [(position, timing or _ANY_TIME) for position, timing in enumerate(timings)]
    return sorted(given, key=lambda each: (-each[1].weight, -each[1].start_s))


def _falling_on(day: int, ranked: _Ranked) -> _Ranked:
    date_of_day = date.fromordinal(_FIRST_DAY + day)
    return [each for each in ranked if each[1].falls_on(date_of_day)]


def _first_at(ranked: _Ranked, second: int) -> int:
    return next(
        (position for position, timing in ranked if timing.start_s <= second < timing.end_s),
        NO_BAND,
    )

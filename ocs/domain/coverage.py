"""Whether the timings of a price leave nothing out and say nothing twice.

At every instant exactly one band must have the highest weight: where none holds there is no price,
where two do it would depend on the order of the file. Lower weights may lie under higher ones as
they like.

All days that can be told apart are looked at, each once. Where no timing names a month, a day or a
year, that is a week; otherwise a year of each of the fourteen calendars that there are (on which
week day it begins, and whether it leaps), and each year that is named. Days on which the same
timings fall are alike; the times of such a day are gone through from edge to edge.

Rejected: comparing timings by twos (says nothing about gaps), and going through the minutes of
years (20 s for a price list with one holiday).
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from ocs.domain.timing import Timing

_DAY_S: Final = 86_400
_FIRST_YEAR: Final = 2001
_CALENDARS: Final = 14


class Flaw(msgspec.Struct, frozen=True):
    """A time of a day at which no timing (`by` is empty) or more than one has the highest weight.

    `by` are indices; `start_s` and `end_s` seconds of the day.
    """

    day: date
    start_s: int
    end_s: int
    by: tuple[int, ...]


def flaw_of(timings: Sequence[Timing], *, gaps: bool = False) -> Flaw | None:
    """Return the first flaw of the timings of one price; None where they cover all time once.

    With `gaps` a time at which none holds is none.
    """
    seen: set[tuple[int, ...]] = set()
    for day in _days(timings):
        falling = tuple(i for i, timing in enumerate(timings) if timing.falls_on(day))
        if falling in seen:
            continue
        seen.add(falling)
        flaw = _flaw_of_day(timings, falling, day, gaps=gaps)
        if flaw is not None:
            return flaw
    return None


def ever_holds(timing: Timing) -> bool:
    """Whether there is a day on which a timing falls: 30 February is none."""
    return any(map(timing.falls_on, _days([timing])))


def _flaw_of_day(
    timings: Sequence[Timing], falling: tuple[int, ...], day: date, *, gaps: bool
) -> Flaw | None:
    edges = {0, _DAY_S}
    for index in falling:
        edges |= {timings[index].start_s, timings[index].end_s}
    for start_s, end_s in pairwise(sorted(edges)):
        holding = [i for i in falling if timings[i].start_s <= start_s < timings[i].end_s]
        highest = max((timings[i].weight for i in holding), default=None)
        by = tuple(i for i in holding if timings[i].weight == highest)
        if len(by) > 1 or not (by or gaps):
            return Flaw(day, start_s, end_s, by)
    return None


def _days(timings: Sequence[Timing]) -> Iterator[date]:
    """Yield every day that these timings can tell from another."""
    named = sorted({year for timing in timings for year in timing.years})
    calendars = _calendars(named)
    if not any(timing.months or timing.month_days for timing in timings):
        for year in (calendars[0], *named):
            yield from (date(year, 1, day) for day in range(1, 8))
        return
    for year in (*calendars, *named):
        first, after = date(year, 1, 1), date(year + 1, 1, 1)
        yield from (first + timedelta(days=day) for day in range((after - first).days))


def _calendars(named: Sequence[int]) -> list[int]:
    """Return a year of each calendar that is not among those that are named."""
    found: dict[tuple[int, bool], int] = {}
    year = _FIRST_YEAR
    while len(found) < _CALENDARS:
        if year not in named:
            first = date(year, 1, 1)
            leaps = date(year, 3, 1) - first == timedelta(days=60)
            found.setdefault((first.weekday(), leaps), year)
        year += 1
    return list(found.values())

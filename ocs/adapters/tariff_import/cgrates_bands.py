"""The times of one prefix's prices, told apart as our files demand.

In CGRateS the times of a plan may overlap: of equal weight the one that begins latest in the day is
in force. Our files refuse two rows of a prefix that hold at once with the same weight, so what that
rule decides is written out:

    mon-fri 00:00-24:00  morning              mon-fri 00:00-08:00
    mon-fri 08:00-24:00  peak          ->     mon-fri 08:00-19:00
    mon-fri 19:00-24:00  evening              mon-fri 19:00-24:00

Times on the same days are cut where the next one begins. What overlaps still (any day, and the
weekend) gets weights in the order of precedence. Both are worked out once for all prefixes that
have the same times.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Final

from msgspec.structs import replace

from ocs.domain.coverage import flaw_of
from ocs.domain.timing import Timing

_ANY_TIME: Final = Timing()
_GREATEST_WEIGHT: Final = 1_000_000


@lru_cache(maxsize=10_000)
def told_apart(timings: tuple[Timing, ...]) -> tuple[Timing | None, ...]:
    """Return the timings so that no two collide; None for one that is there already."""
    distinct = list(dict.fromkeys(timings))
    cut = [_cut(timing, distinct) for timing in distinct]
    if any(_collide(one, other) for one, other in combinations(cut, 2)) or _is_out_of_range(cut):
        cut = _ranked(distinct)
    elif len({timing.weight for timing in cut}) == 1:
        cut = [replace(timing, weight=0.0) for timing in cut]
    found = dict(zip(distinct, cut, strict=True))
    return tuple(found.pop(timing, None) for timing in timings)


@lru_cache(maxsize=10_000)
def leave_gaps(timings: tuple[Timing, ...]) -> bool:
    """Whether there is a time at which none of them holds."""
    flaw = flaw_of(timings)
    return flaw is not None and not flaw.by


def is_always(timing: Timing) -> bool:
    """Whether a timing says nothing but its weight."""
    return replace(timing, weight=0.0) == _ANY_TIME


def _ranked(timings: Sequence[Timing]) -> list[Timing]:
    """Weigh each timing by its place in the order of precedence."""
    order = sorted(
        range(len(timings)),
        key=lambda place: (timings[place].weight, timings[place].start_s, -place),
    )
    weights = {place: float(weight) for weight, place in enumerate(order)}
    return [replace(timing, weight=weights[place]) for place, timing in enumerate(timings)]


def _cut(timing: Timing, others: Sequence[Timing]) -> Timing:
    """End a timing where a later one of the same days and weight begins that lasts as long."""
    later = [
        other.start_s
        for other in others
        if _days(other) == _days(timing)
        and other.weight == timing.weight
        and timing.start_s < other.start_s < timing.end_s <= other.end_s
    ]
    return replace(timing, end_s=min(later)) if later else timing


def _days(timing: Timing) -> tuple[tuple[int, ...], ...]:
    return timing.years, timing.months, timing.month_days, timing.week_days


def _collide(one: Timing, other: Timing) -> bool:
    """Whether two timings of one weight may hold at one instant."""
    if one.weight != other.weight or one.end_s <= other.start_s or other.end_s <= one.start_s:
        return False
    return all(
        not mine or not theirs or set(mine) & set(theirs)
        for mine, theirs in zip(_days(one), _days(other), strict=True)
    )


def _is_out_of_range(timings: Sequence[Timing]) -> bool:
    return any(not 0 <= timing.weight <= _GREATEST_WEIGHT for timing in timings)

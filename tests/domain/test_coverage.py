"""Timings cover all time once: against a dumb oracle that asks every minute of many days."""

from collections import Counter
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.coverage import ever_holds, flaw_of
from ocs.domain.timing import Timing

HOUR = 3_600
WEEK = (1, 2, 3, 4, 5, 6, 7)
PEAK = Timing(week_days=(1, 2, 3, 4, 5), start_s=8 * HOUR, end_s=18 * HOUR)
OFF_PEAK = (
    Timing(week_days=(1, 2, 3, 4, 5), end_s=8 * HOUR),
    Timing(week_days=(1, 2, 3, 4, 5), start_s=18 * HOUR),
    Timing(week_days=(6, 7)),
)
DAYS = [date(2027, 1, 1) + timedelta(days=day) for day in range(2 * 366)]


def test_what_covers_all_time_has_no_flaw() -> None:
    assert flaw_of([Timing()]) is None
    assert flaw_of([PEAK, *OFF_PEAK]) is None
    assert flaw_of([Timing(), weighted(PEAK, 1)]) is None


def weighted(timing: Timing, weight: float) -> Timing:
    return Timing(
        week_days=timing.week_days, start_s=timing.start_s, end_s=timing.end_s, weight=weight
    )


def test_a_gap_is_found() -> None:
    flaw = flaw_of([PEAK, *OFF_PEAK[1:]])
    assert flaw is not None
    assert (flaw.day.isoweekday(), flaw.start_s, flaw.end_s, flaw.by) == (1, 0, 8 * HOUR, ())


def test_an_overlap_is_found_at_the_highest_weight_only() -> None:
    flaw = flaw_of([Timing(), PEAK])
    assert flaw is not None
    assert (flaw.start_s, flaw.end_s, flaw.by) == (8 * HOUR, 18 * HOUR, (0, 1))
    assert flaw_of([Timing(), Timing(), Timing(weight=1)]) is None


@pytest.mark.parametrize(
    "hole",
    [
        Timing(months=(2,), month_days=(29,)),
        Timing(month_days=(-1,), week_days=(5,)),
        Timing(years=(2031,), months=(12,), month_days=(25,)),
        Timing(months=(2,), month_days=(29,), week_days=(7,), start_s=1, end_s=2),
    ],
)
def test_rare_days_are_looked_at(hole: Timing) -> None:
    twice = [Timing(), hole]
    flaw = flaw_of(twice)
    assert flaw is not None
    assert hole.falls_on(flaw.day)
    assert (flaw.start_s, flaw.end_s, flaw.by) == (hole.start_s, hole.end_s, (0, 1))


def test_a_timing_for_some_years_leaves_the_others() -> None:
    flaw = flaw_of([Timing(years=tuple(range(1970, 2100)))])
    assert flaw is not None
    assert flaw.day.year >= 2100
    assert flaw.by == ()


def test_days_that_never_come() -> None:
    assert ever_holds(Timing(months=(2,), month_days=(29,)))
    assert ever_holds(Timing(years=(2028,), months=(2,), month_days=(29,)))
    assert not ever_holds(Timing(months=(2,), month_days=(30,)))
    assert not ever_holds(Timing(years=(2027,), months=(2,), month_days=(29,)))


subsets = st.sampled_from([(), (1,), (1, 2, 3), (5, 6, 7)])


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    start_s = draw(st.sampled_from([0, 0, 8 * HOUR, 18 * HOUR]))
    end_s = draw(st.sampled_from([18 * HOUR, 24 * HOUR, 24 * HOUR]))
    return Timing(
        years=draw(st.sampled_from([(), (), (2027,)])),
        months=draw(st.sampled_from([(), (), (2,), (1, 12)])),
        month_days=draw(st.sampled_from([(), (), (-1,), (29,), (1, 2)])),
        week_days=draw(subsets),
        start_s=start_s,
        end_s=max(end_s, start_s + HOUR),
        weight=draw(st.sampled_from([0.0, 0.0, 1.0])),
    )


def oracle_is_flawed(given_timings: list[Timing]) -> bool:
    """Ask every hour of two years, one of which leaps, which timings of the top weight hold."""
    for day in DAYS:
        for second in range(0, 24 * HOUR, HOUR):
            weights = Counter(
                timing.weight
                for timing in given_timings
                if timing.falls_on(day) and timing.start_s <= second < timing.end_s
            )
            if not weights or weights[max(weights)] != 1:
                return True
    return False


@given(st.lists(timings(), min_size=1, max_size=4))
def test_flaws_are_those_that_asking_every_hour_finds(given_timings: list[Timing]) -> None:
    flaw = flaw_of(given_timings)
    if oracle_is_flawed(given_timings):
        assert flaw is not None
    if flaw is not None:
        assert len(flaw.by) != 1
        holding = [
            index
            for index, timing in enumerate(given_timings)
            if timing.falls_on(flaw.day) and timing.start_s <= flaw.start_s < timing.end_s
        ]
        top = max((given_timings[index].weight for index in holding), default=None)
        assert flaw.by == tuple(i for i in holding if given_timings[i].weight == top)

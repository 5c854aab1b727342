"""The price of a use across switches, against a walk unit by unit."""

from fractions import Fraction
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import MAX_DENOMINATOR, Ladder, affordable, compile_ladder, cost, steps
from ocs.domain.money import MAX_UNITS, round_fraction
from ocs.domain.rating import Segment, affordable_use, rate_use
from tests.domain.walked import increments, ladders, rounded

ANSWER_MS = 1_000_000


@st.composite
def schedules(draw: st.DrawFn) -> list[Segment]:
    """One to four ladders; switches fall from just before the answer to 90 seconds behind it."""
    instants = draw(st.lists(st.integers(-2_000, 90_000), max_size=3, unique=True))
    starts = [0, *(ANSWER_MS + instant for instant in sorted(instants))]
    return [Segment(start, draw(ladders())) for start in starts]


def per_second(micros: int, increment: int = 1) -> Ladder:
    return compile_ladder(Fraction(0), [(0, increment, Fraction(micros * increment))])


def walked_ladders(segments: list[Segment], units: int, *, timed: bool) -> list[tuple[int, int]]:
    """For each unit: which segment prices it, and where that one took over."""
    priced: list[tuple[int, int]] = []
    index, begin, paid_to = 0, 0, 0
    for unit in range(units):
        if unit >= paid_to:
            used_ms = ANSWER_MS + unit * 1_000
            now = max(i for i, s in enumerate(segments) if i == 0 or s.from_ms <= used_ms)
            if timed and now != index:
                index, begin = now, unit
            paid_to = increments(segments[index].ladder, begin, unit + 1)[-1][0]
        priced.append((index, begin))
    return priced


def walked_use(segments: list[Segment], units: int, *, timed: bool, hold: bool = False) -> int:
    """The rules of docs/design.md 2.5, as they read."""
    used_by = walked_ladders(segments, units, timed=timed)
    first = segments[used_by[0][0]].ladder if units else segments[0].ladder
    if units == 0 or (units < first.grace and not hold):
        return 0
    exact, den = Fraction(first.fee, first.den), first.den
    for index, begin in dict.fromkeys(used_by):
        ladder = segments[index].ladder
        if lcm(den, ladder.den) > MAX_DENOMINATOR:
            carried = round_fraction(exact.numerator, exact.denominator, first.rounding)
            exact, den = Fraction(carried), 1
        end = max(unit for unit, by in enumerate(used_by) if by == (index, begin)) + 1
        exact += sum(price for _, price in increments(ladder, begin, end))
        den = lcm(den, ladder.den)
    return rounded(first, exact)


@given(schedules(), st.integers(0, 100), st.booleans())
def test_a_use_costs_what_its_units_cost(segments: list[Segment], units: int, timed: bool) -> None:
    rated = rate_use(segments, units, ANSWER_MS, timed=timed)
    assert rated.total == walked_use(segments, units, timed=timed)


@given(schedules(), st.integers(0, 100), st.booleans(), st.booleans())
def test_the_parts_follow_each_other_and_their_steps_add_up(
    segments: list[Segment], units: int, timed: bool, answered: bool
) -> None:
    rated = rate_use(segments, units, ANSWER_MS, timed=timed, answered=answered)
    assert sum(step.amount for part in rated.parts for step in part.steps) == rated.total
    edges = [0, *(part.to_units for part in rated.parts)]
    assert [part.from_units for part in rated.parts] == edges[:-1]
    assert edges[-1] == units
    for part in rated.parts:
        assert part.from_ms == ANSWER_MS + (part.from_units * 1_000 if timed else 0)


@given(schedules(), st.integers(-5, 3_000), st.integers(0, 100), st.booleans())
def test_affordable_use_is_the_exact_inverse(
    segments: list[Segment], money: int, most_units: int, timed: bool
) -> None:
    def within(units: int) -> bool:
        index, _ = walked_ladders(segments, units, timed=timed)[-1]
        return (
            units <= segments[index].ladder.end
            and walked_use(segments, units, timed=timed, hold=True) <= budget
        )

    first = segments[walked_ladders(segments, 1, timed=timed)[0][0]].ladder
    budget = money if first.limit < 0 else min(money, first.limit)
    reached = affordable_use(segments, money, ANSWER_MS, timed=timed, most_units=most_units)
    assert all(within(units) for units in range(1, reached + 1))
    assert reached == most_units or not within(reached + 1)


@given(ladders(), st.integers(0, 200), st.integers(0, 6_000), st.booleans())
def test_one_ladder_is_the_ladder(ladder: Ladder, units: int, money: int, answered: bool) -> None:
    alone = [Segment(0, ladder)]
    rated = rate_use(alone, units, ANSWER_MS, timed=True, answered=answered)
    assert rated.total == cost(ladder, units, answered=answered)
    assert rated.parts[0].steps == steps(ladder, units, answered=answered)
    bought = affordable_use(alone, money, ANSWER_MS, timed=True, most_units=MAX_UNITS)
    assert bought == affordable(ladder, money)


@given(st.integers(0, 5_000), st.integers(1, 300), st.integers(1, 60))
def test_segments_of_one_unit_cost_the_same_as_one(micros: int, units: int, count: int) -> None:
    """With increments of 1, however often the price is taken up anew."""
    ladder = compile_ladder(Fraction(7), [(0, 1, Fraction(micros, 60)), (40, 1, Fraction(1, 7))])
    pieces = [Segment(ANSWER_MS + second * 1_000, ladder) for second in range(count)]
    assert rate_use(pieces, units, ANSWER_MS, timed=True).total == cost(ladder, units)


def test_a_begun_increment_is_used_to_its_end_at_the_old_price() -> None:
    """Example: 60/60, the switch at 90 s: the second minute, begun before it, is of the old price."""
    segments = [
        Segment(0, per_second(1_000, 60)),
        Segment(ANSWER_MS + 90_000, per_second(2_000, 60)),
    ]
    rated = rate_use(segments, 200, ANSWER_MS, timed=True)
    assert [(part.from_units, part.to_units) for part in rated.parts] == [(0, 120), (120, 200)]
    assert rated.total == 120 * 1_000 + 120 * 2_000


def test_a_switch_in_the_middle_of_a_second_falls_at_the_next_unit() -> None:
    segments = [Segment(0, per_second(1_000)), Segment(ANSWER_MS + 4_001, per_second(2_000))]
    assert rate_use(segments, 10, ANSWER_MS, timed=True).total == 5 * 1_000 + 5 * 2_000


def test_what_is_not_timed_has_the_price_of_its_beginning() -> None:
    segments = [Segment(0, per_second(1_000)), Segment(ANSWER_MS - 1, per_second(2_000))]
    assert rate_use(segments, 10, ANSWER_MS, timed=False).total == 10 * 1_000
    assert rate_use(segments, 10, ANSWER_MS, timed=True).total == 10 * 2_000


def test_a_volume_price_behind_a_switch_prices_its_own_units_by_the_whole_position() -> None:
    """Example: 30 s at 1,000 each; then, 60 s of the call reached, all further ones at 400."""
    volume = compile_ladder(
        Fraction(0), [(0, 1, Fraction(1_000)), (50, 1, Fraction(400))], by_total=True
    )
    segments = [Segment(0, per_second(1_000)), Segment(ANSWER_MS + 30_000, volume)]
    totals = [rate_use(segments, n, ANSWER_MS, timed=True).total for n in (30, 50, 51, 60)]
    assert totals == [30_000, 50_000, 30_000 + 21 * 400, 30_000 + 30 * 400]
    # Stopping at 50 must be covered before 51 is granted.
    assert affordable_use(segments, 49_999, ANSWER_MS, timed=True, most_units=60) == 49
    assert affordable_use(segments, 50_000, ANSWER_MS, timed=True, most_units=60) == 60


def test_denominators_without_a_common_multiple_round_what_is_carried() -> None:
    first = compile_ladder(Fraction(0), [(0, 1, Fraction(1, 8_191))])
    second = compile_ladder(Fraction(0), [(0, 1, Fraction(1, 8_209))])
    third = compile_ladder(Fraction(0), [(0, 1, Fraction(2, 3))])
    segments = [Segment(0, first), Segment(ANSWER_MS + 10_000, second)]
    rated = rate_use(segments, 20, ANSWER_MS, timed=True)
    assert [line.what for line in rated.parts[0].steps] == ["row", "rounding"]
    assert rated.total == 0
    segments.append(Segment(ANSWER_MS + 20_000, third))
    assert rate_use(segments, 22, ANSWER_MS, timed=True).total == 1


@pytest.mark.parametrize(("answered", "total"), [(False, 0), (True, 250)])
def test_of_an_answered_call_without_use_the_fee_is_due(answered: bool, total: int) -> None:
    ladder = compile_ladder(Fraction(250), [(0, 60, Fraction(5))])
    rated = rate_use([Segment(0, ladder)], 0, ANSWER_MS, timed=True, answered=answered)
    assert rated.total == total


def test_an_hour_at_a_tenth_a_minute_is_six_and_a_byte_at_a_millionth_counts() -> None:
    minute = compile_ladder(Fraction(0), [(0, 1, Fraction(100_000, 60))])
    assert rate_use([Segment(0, minute)], 3_600, ANSWER_MS, timed=True).total == 6_000_000
    byte = compile_ladder(Fraction(0), [(0, 1, Fraction(1))])
    assert rate_use([Segment(0, byte)], 500_000, ANSWER_MS, timed=False).total == 500_000


def test_a_long_use_is_not_walked_unit_by_unit() -> None:
    segments = [Segment(0, per_second(1_000)), Segment(ANSWER_MS + 3_600_000, per_second(1))]
    units = MAX_UNITS // 2
    assert rate_use(segments, units, ANSWER_MS, timed=True).total == 3_600_000 + units - 3_600
    bought = affordable_use(segments, units, ANSWER_MS, timed=True, most_units=MAX_UNITS)
    assert bought == units - 3_600_000 + 3_600

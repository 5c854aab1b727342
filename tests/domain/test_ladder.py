"""The ladder against a dumb oracle: fractions, one increment at a time."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ocs.domain.ladder import (
    FREE,
    MAX_DENOMINATOR,
    Ladder,
    Row,
    affordable,
    compile_ladder,
    cost,
    edge,
    packed,
    segment,
    steps,
)
from ocs.domain.money import MAX_AMOUNT, MAX_UNITS, Rounding, round_fraction

# 60/60 at 0.06 a minute; the guide's 30/6 with fee, free seconds, grace and surcharge.
SIXTY = compile_ladder(Fraction(0), [(0, 60, Fraction(60_000))])
GUIDE = compile_ladder(
    Fraction(11_000),
    [(0, 30, Fraction(33_000)), (30, 1, Fraction(0)), (40, 6, Fraction(3_300))],
    grace=5,
)

prices = st.fractions(min_value=0, max_value=200, max_denominator=7)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    widths = draw(st.lists(st.integers(1, 25), max_size=3))
    starts = [sum(widths[:count]) for count in range(len(widths) + 1)]
    rows = [(start, draw(st.integers(1, 12)), draw(prices)) for start in starts]
    minimum = draw(st.sampled_from([0, 0, 40, 300]))
    return compile_ladder(
        draw(st.sampled_from([Fraction(0), Fraction(10), Fraction(21, 5)])),
        rows,
        grace=draw(st.sampled_from([0, 0, 1, 5])),
        minimum=minimum,
        maximum=draw(st.sampled_from([-1, -1, 0, 500, 5_000])),
        rounding=draw(st.sampled_from(list(Rounding))),
    )


def oracle_increments(ladder: Ladder, start: int, units: int) -> list[tuple[int, Fraction]]:
    """Walk from `start` unit by unit; each increment as (where it ends, its price)."""
    found, position = [], start
    while position < units:
        row = max(i for i, row in enumerate(ladder.rows) if row.start <= position)
        end = ladder.rows[row + 1].start if row + 1 < len(ladder.rows) else MAX_UNITS
        position = min(position + ladder.rows[row].increment, end)
        found.append((position, Fraction(ladder.rows[row].price, ladder.den)))
    return found


def oracle_cost(ladder: Ladder, units: int, *, hold: bool = False) -> int:
    if units == 0 or (units < ladder.grace and not hold):
        return 0
    exact = Fraction(ladder.fee, ladder.den)
    exact += sum(price for _, price in oracle_increments(ladder, 0, units))
    amount = round_fraction(exact.numerator, exact.denominator, ladder.rounding)
    amount = max(amount, ladder.minimum)
    return min(amount, ladder.maximum) if ladder.maximum >= 0 else amount


@given(ladders(), st.integers(0, 120), st.booleans())
def test_cost_is_the_oracles(ladder: Ladder, units: int, hold: bool) -> None:
    assert cost(ladder, units, hold=hold) == oracle_cost(ladder, units, hold=hold)


@given(ladders(), st.integers(0, 60), st.integers(0, 60))
def test_a_segment_counts_increments_from_where_it_took_over(
    ladder: Ladder, start: int, more: int
) -> None:
    walked = oracle_increments(ladder, start, start + more)
    assert Fraction(segment(ladder, start, start + more), ladder.den) == sum(
        price for _, price in walked
    )
    assert edge(ladder, start + more, start) == (walked[-1][0] if walked else start)


@given(ladders(), st.integers(0, 120))
def test_cost_never_falls_with_use(ladder: Ladder, units: int) -> None:
    assert cost(ladder, units) <= cost(ladder, units + 1)
    assert cost(ladder, units) <= cost(ladder, units, hold=True)


@given(ladders(), st.integers(1, 120))
def test_use_up_to_the_edge_costs_the_same(ladder: Ladder, units: int) -> None:
    paid_to = edge(ladder, units)
    assert paid_to >= units
    assert cost(ladder, paid_to, hold=True) == cost(ladder, units, hold=True)
    assert edge(ladder, paid_to) == paid_to


@given(ladders(), st.integers(-5, 6_000))
def test_affordable_is_the_exact_inverse(ladder: Ladder, money: int) -> None:
    reached = affordable(ladder, money)
    if reached == 0:
        assert cost(ladder, 1, hold=True) > money
        return
    assert cost(ladder, reached, hold=True) <= money
    if reached < MAX_UNITS:
        assert edge(ladder, reached) == reached
        assert cost(ladder, reached + 1, hold=True) > money


@given(ladders(), st.integers(0, 120))
def test_the_explained_steps_add_up_to_the_cost(ladder: Ladder, units: int) -> None:
    lines = steps(ladder, units)
    assert sum(line.amount for line in lines) == cost(ladder, units)
    assert all(line.amount == line.increments * line.price for line in lines)


@given(ladders())
def test_the_packed_ladder_says_all_of_it(ladder: Ladder) -> None:
    den, fee_whole, fee_rest, grace, minimum, maximum, code, *rows = packed(ladder)
    assert (den, fee_whole * den + fee_rest, grace) == (ladder.den, ladder.fee, ladder.grace)
    assert (minimum, maximum) == (ladder.minimum, ladder.maximum)
    assert list(Rounding)[code] is ladder.rounding
    unpacked = [
        Row(start, increment, whole * den + rest)
        for start, increment, whole, rest in zip(*[iter(rows)] * 4, strict=True)
    ]
    assert tuple(unpacked) == ladder.rows
    assert all(0 <= rest < den for rest in (fee_rest, *rows[3::4]))


@given(
    st.integers(1, MAX_AMOUNT),
    st.integers(1, MAX_DENOMINATOR),
    st.integers(1, 3_600),
    st.sampled_from(list(Rounding)),
    st.integers(0, MAX_AMOUNT),
)
@example(MAX_AMOUNT, 1, 1, Rounding.HALF_UP, MAX_AMOUNT)
@example(MAX_AMOUNT, MAX_DENOMINATOR, 1, Rounding.HALF_EVEN, MAX_AMOUNT)
def test_near_two_to_the_53_nothing_is_lost(
    numerator: int, den: int, increment: int, rounding: Rounding, money: int
) -> None:
    ladder = compile_ladder(
        Fraction(0), [(0, increment, Fraction(numerator, den))], rounding=rounding
    )
    reached = affordable(ladder, money)
    assume(reached < MAX_UNITS - increment)
    assert cost(ladder, reached) <= money < cost(ladder, reached + 1)


def test_ninety_seconds_at_60_60_are_two_minutes_however_reported() -> None:
    assert [cost(SIXTY, units) for units in (0, 1, 30, 60, 61, 90, 120)] == [
        0, 60_000, 60_000, 60_000, 120_000, 120_000, 120_000,
    ]  # fmt: skip
    assert [edge(SIXTY, units) for units in (0, 1, 60, 61)] == [0, 60, 60, 120]


@pytest.mark.parametrize(
    ("money", "units"), [(40_000, 0), (44_000, 40), (47_300, 46), (50_000, 46), (1_000_000, 1_774)]
)
def test_the_guides_rate_backwards(money: int, units: int) -> None:
    assert affordable(GUIDE, money) == units


def test_nothing_used_costs_nothing_unless_answered() -> None:
    fee = compile_ladder(Fraction(250), [(0, 60, Fraction(5))], minimum=300, maximum=280)
    assert cost(fee, 0) == 0
    assert cost(fee, 0, answered=True) == 280
    assert cost(fee, 0, answered=True, hold=True) == 280
    assert cost(GUIDE, 0, answered=True) == 0
    assert steps(fee, 0) == ()


def test_grace_forgives_use_but_not_a_hold() -> None:
    assert [cost(GUIDE, units) for units in (0, 4, 5)] == [0, 0, 44_000]
    assert cost(GUIDE, 4, hold=True) == 44_000
    assert [line.what for line in steps(GUIDE, 4)] == ["grace"]


def test_a_bounded_row_costs_whole_increments() -> None:
    ladder = compile_ladder(Fraction(0), [(0, 7, Fraction(5)), (10, 1, Fraction(1))])
    assert cost(ladder, 10) == 10
    assert edge(ladder, 8) == 10
    assert affordable(ladder, 9) == 7
    assert affordable(ladder, 10) == 10


def test_what_is_free_is_affordable_without_end() -> None:
    assert affordable(FREE, 0) == MAX_UNITS
    assert affordable(FREE, -1) == 0
    capped = compile_ladder(Fraction(0), [(0, 1, Fraction(5))], maximum=100)
    assert affordable(capped, 100) == MAX_UNITS
    assert affordable(capped, 99) == 19


def test_an_open_row_ends_at_the_greatest_count() -> None:
    ladder = compile_ladder(Fraction(0), [(0, MAX_UNITS, Fraction(1))])
    assert affordable(ladder, 1) == MAX_UNITS
    assert edge(compile_ladder(Fraction(0), [(0, 2**40, Fraction(1))]), MAX_UNITS) == MAX_UNITS


def test_steps_name_what_was_rounded_lifted_and_cut() -> None:
    ladder = compile_ladder(
        Fraction(1), [(0, 1, Fraction(1, 3))], minimum=5, maximum=6, rounding=Rounding.UP
    )
    assert [(line.what, line.amount) for line in steps(ladder, 1)] == [
        ("fee", 1),
        ("row", Fraction(1, 3)),
        ("rounding", Fraction(2, 3)),
        ("minimum", 3),
    ]
    assert [line.what for line in steps(ladder, 60)] == ["fee", "row", "maximum"]


def test_prices_share_one_reduced_denominator() -> None:
    ladder = compile_ladder(Fraction(1, 4), [(0, 1, Fraction(1, 6)), (5, 1, Fraction(2, 2))])
    assert (ladder.den, ladder.fee) == (12, 3)
    assert [row.price for row in ladder.rows] == [2, 12]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"rows": []}, "start at unit 0"),
        ({"rows": [(1, 1, Fraction(1))]}, "start at unit 0"),
        ({"rows": [(0, 1, Fraction(1)), (0, 1, Fraction(1))]}, "rising order"),
        ({"rows": [(0, 0, Fraction(1))]}, "increment 0"),
        ({"rows": [(0, MAX_UNITS + 1, Fraction(1))]}, "increment"),
        ({"rows": [(0, 1, Fraction(1)), (MAX_UNITS + 1, 1, Fraction(1))]}, "start"),
        ({"rows": [(0, 1, Fraction(-1))]}, "price -1"),
        ({"rows": [(0, 1, Fraction(2**53))]}, "price"),
        ({"fee": Fraction(-1)}, "fee -1"),
        ({"fee": Fraction(2**53)}, "fee"),
        ({"fee": Fraction(1, MAX_DENOMINATOR + 1)}, "common denominator"),
        ({"grace": -1}, "grace"),
        ({"minimum": -1}, "minimum"),
        ({"maximum": -2}, "maximum"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], reason: str) -> None:
    given_arguments: dict[str, Any] = {
        "fee": Fraction(0),
        "rows": [(0, 1, Fraction(1))],
    } | arguments
    with pytest.raises(ValueError, match=reason):
        compile_ladder(**given_arguments)

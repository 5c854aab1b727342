"""The ladder against a dumb walk: fractions, one increment at a time (`walked.py`)."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ocs.domain.ladder import (
    FREE,
    MAX_DENOMINATOR,
    MAX_ROWS,
    Ladder,
    Row,
    affordable,
    compile_ladder,
    cost,
    edge,
    packed,
    scaled,
    segment,
    steps,
)
from ocs.domain.money import MAX_AMOUNT, MAX_QUANTUM, MAX_UNITS, Rounding
from tests.domain.walked import grantable, increments, ladders, rounded, walked_cost

# 60/60 at 0.06 a minute; the guide's 30/6 with fee, free seconds, grace and surcharge.
SIXTY = compile_ladder(Fraction(0), [(0, 60, Fraction(60_000))])
GUIDE = compile_ladder(
    Fraction(11_000),
    [(0, 30, Fraction(33_000)), (30, 1, Fraction(0)), (40, 6, Fraction(3_300))],
    grace=5,
)


@given(ladders(), st.integers(0, 120), st.booleans())
def test_cost_is_the_walked_one(ladder: Ladder, units: int, hold: bool) -> None:
    assert cost(ladder, units, hold=hold) == walked_cost(ladder, units, hold=hold)


@given(ladders(), st.integers(0, 60), st.integers(0, 60))
def test_a_segment_counts_increments_from_where_it_took_over(
    ladder: Ladder, start: int, more: int
) -> None:
    walked = increments(ladder, start, start + more)
    assert Fraction(segment(ladder, start, start + more), ladder.den) == sum(
        price for _, price in walked
    )
    assert edge(ladder, start + more, start) == (walked[-1][0] if walked else start)


@given(ladders(), st.integers(0, 120))
def test_only_volume_prices_fall_with_use(ladder: Ladder, units: int) -> None:
    if not ladder.by_total:
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
    seen = min(reached, 200)
    assert seen == 0 or grantable(ladder, seen, money)
    if reached == seen:
        assert not grantable(ladder, reached + 1, money)
        assert reached == ladder.end or edge(ladder, reached) == reached
    else:
        assert ladder.end >= reached
        assert reached in (MAX_UNITS, ladder.end) or edge(ladder, reached) == reached


@given(ladders(), st.integers(0, 120), st.booleans())
def test_the_explained_steps_add_up_to_the_cost(ladder: Ladder, units: int, answered: bool) -> None:
    lines = steps(ladder, units, answered=answered)
    assert sum(line.amount for line in lines) == cost(ladder, units, answered=answered)
    assert all(line.amount == line.increments * line.price for line in lines)


@given(ladders())
def test_the_packed_ladder_says_all_of_it(ladder: Ladder) -> None:
    den, fee_whole, fee_rest, grace, minimum, maximum, code, *more = packed(ladder)
    (quantum, by_total, limit, end), rows = more[:4], more[4:]
    assert (den, fee_whole * den + fee_rest, grace) == (ladder.den, ladder.fee, ladder.grace)
    assert (minimum, maximum, quantum) == (ladder.minimum, ladder.maximum, ladder.quantum)
    assert (by_total, limit) == (ladder.by_total, ladder.limit)
    assert (MAX_UNITS if end == -1 else end) == ladder.end
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
    st.sampled_from([1, 10_000, MAX_QUANTUM]),
    st.integers(0, MAX_AMOUNT),
)
@example(MAX_AMOUNT, 1, 1, Rounding.HALF_UP, 1, MAX_AMOUNT)
@example(MAX_AMOUNT, MAX_DENOMINATOR, 1, Rounding.HALF_EVEN, 1, MAX_AMOUNT)
@example(MAX_AMOUNT, MAX_DENOMINATOR, 1, Rounding.DOWN, MAX_QUANTUM, MAX_AMOUNT)
def test_near_two_to_the_53_nothing_is_lost(
    numerator: int, den: int, increment: int, rounding: Rounding, quantum: int, money: int
) -> None:
    each = Fraction(numerator, den)
    ladder = compile_ladder(Fraction(0), [(0, increment, each)], rounding=rounding, quantum=quantum)
    reached = affordable(ladder, money)
    assume(reached < MAX_UNITS - increment)
    assert cost(ladder, reached) == rounded(ladder, reached // increment * each)
    assert cost(ladder, reached) <= money < cost(ladder, reached + 1)


@given(ladders(), st.integers(0, 120), st.fractions(0, 3, max_denominator=40))
def test_a_scaled_ladder_prices_the_scaled_amounts(
    ladder: Ladder, units: int, factor: Fraction
) -> None:
    plain = msgspec.structs.replace(ladder, minimum=0, maximum=-1)
    changed = scaled(plain, factor)
    exact = Fraction(plain.fee, plain.den)
    exact += sum(price for _, price in increments(plain, 0, units))
    expected = 0 if units == 0 or units < plain.grace else rounded(plain, exact * factor)
    assert cost(changed, units) == expected
    assert (changed.end, changed.grace, changed.by_total, changed.quantum) == (
        plain.end, plain.grace, plain.by_total, plain.quantum,
    )  # fmt: skip


def test_scaling_rounds_minimum_maximum_and_limit_as_the_total() -> None:
    ladder = compile_ladder(
        Fraction(30), [(0, 1, Fraction(1))], minimum=50, maximum=70, limit=90, quantum=10,
    )  # fmt: skip
    half = scaled(ladder, Fraction(1, 2))
    assert (half.minimum, half.maximum, half.limit) == (30, 40, 50)
    assert scaled(FREE, Fraction(1, 3)) == FREE
    with pytest.raises(ValueError, match="factor"):
        scaled(ladder, Fraction(-1))


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


def test_volume_prices_may_fall_and_every_stop_is_covered() -> None:
    """Up to 100 at 0.10 each, beyond that all of them at 0.04."""
    volume = compile_ladder(
        Fraction(0), [(0, 1, Fraction(100_000)), (100, 1, Fraction(40_000))], by_total=True
    )
    assert [cost(volume, units) for units in (1, 100, 101, 250)] == [
        100_000, 10_000_000, 4_040_000, 10_000_000,
    ]  # fmt: skip
    # 9.99 would pay for 249, but not for stopping at 100; 10.00 pays for both.
    assert affordable(volume, 9_990_000) == 99
    assert affordable(volume, 10_000_000) == 250
    assert [(line.what, line.from_units, line.to_units) for line in steps(volume, 101)] == [
        ("row", 0, 101)
    ]


def test_the_increment_of_a_volume_price_is_cut_where_the_row_ends() -> None:
    volume = compile_ladder(
        Fraction(0), [(0, 60, Fraction(6)), (90, 60, Fraction(5))], by_total=True
    )
    assert [cost(volume, units) for units in (60, 61, 90, 91, 120, 121)] == [6, 12, 12, 10, 10, 15]
    assert [edge(volume, units) for units in (60, 61, 90, 91, 121)] == [60, 90, 90, 120, 180]
    assert affordable(volume, 11) == 60


def test_a_quantum_rounds_once_to_its_multiples() -> None:
    cents = compile_ladder(Fraction(0), [(0, 1, Fraction(1_667))], quantum=10_000)
    assert [cost(cents, units) for units in (2, 3, 8, 9)] == [0, 10_000, 10_000, 20_000]
    assert affordable(cents, 19_999) == 8
    assert [(line.what, line.amount) for line in steps(cents, 3)] == [
        ("row", Fraction(5_001)), ("rounding", Fraction(4_999)),
    ]  # fmt: skip


def test_a_sum_above_2_to_the_53_is_not_rounded_to_an_amount() -> None:
    """Down to the quantum it would be one; but the store's doubles cannot tell how far down."""
    ladder = compile_ladder(
        Fraction(0), [(0, 6, Fraction(6))], rounding=Rounding.DOWN, quantum=MAX_QUANTUM
    )
    assert cost(ladder, MAX_UNITS) == 2**53 + 4
    assert affordable(ladder, MAX_AMOUNT) == 2**53 - 2
    assert cost(ladder, 2**53 - 2) == 2**53 - 2 - (2**53 - 2) % MAX_QUANTUM


def test_no_rounding_is_the_money_unit() -> None:
    ladder = compile_ladder(
        Fraction(0), [(0, 1, Fraction(1, 2))], rounding=Rounding.NONE, quantum=10_000
    )
    assert (ladder.rounding, ladder.quantum) == (Rounding.HALF_UP, 1)
    assert cost(ladder, 1) == 1


def test_limit_and_end_bind_what_is_granted_never_what_is_used() -> None:
    limited = compile_ladder(Fraction(10), [(0, 60, Fraction(30))], limit=75)
    assert [affordable(limited, money) for money in (39, 75, 1_000)] == [0, 120, 120]
    assert cost(limited, 121) == 100
    ended = compile_ladder(Fraction(0), [(0, 60, Fraction(30))], end=90)
    assert [affordable(ended, money) for money in (30, 59, 60, 1_000)] == [60, 60, 90, 90]
    assert cost(ended, 121) == 90
    assert affordable(compile_ladder(Fraction(0), [(0, 1, Fraction(0))], end=90), 0) == 90
    capped = compile_ladder(Fraction(0), [(0, 1, Fraction(1))], maximum=5, end=90)
    assert affordable(capped, 5) == 90


def test_rows_that_say_the_same_become_one() -> None:
    same = Fraction(5)
    rows = [(0, 6, same), (30, 6, same), (45, 6, same), (50, 7, same), (57, 7, 2 * same)]
    assert [row.start for row in compile_ladder(Fraction(0), rows).rows] == [0, 45, 50, 57]
    volume = compile_ladder(Fraction(0), rows, by_total=True)
    assert [row.start for row in volume.rows] == [0, 50, 57]


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
        ({"quantum": 0}, "quantum"),
        ({"quantum": MAX_QUANTUM + 1}, "quantum"),
        ({"limit": -2}, "limit"),
        ({"end": 0}, "end"),
        ({"rows": [(n, 1, Fraction(n)) for n in range(MAX_ROWS + 1)]}, "at most 64"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], reason: str) -> None:
    given_arguments: dict[str, Any] = {
        "fee": Fraction(0),
        "rows": [(0, 1, Fraction(1))],
    } | arguments
    with pytest.raises(ValueError, match=reason):
        compile_ladder(**given_arguments)

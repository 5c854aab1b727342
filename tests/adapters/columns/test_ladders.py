"""Ladders as columns: what is exact, what is handed back."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import MAX_DENOMINATOR, Ladder, Row, compile_ladder, cost
from ocs.domain.money import MAX_AMOUNT, MAX_QUANTUM, MAX_UNITS, Rounding
from tests.domain.walked import ladders

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
LadderColumns = pytest.importorskip("ocs.adapters.columns.ladders").LadderColumns


def costs(ladders: list[Ladder], uses: Sequence[tuple[int | None, int]]) -> list[int | None]:
    numbers, units = zip(*uses, strict=True)
    columns = LadderColumns(ladders)
    found = columns.cost(pl.Series(numbers, dtype=pl.Int64), pl.Series(units, dtype=pl.Int64))
    answer: list[int | None] = found.to_list()
    return answer


@pytest.mark.slow
@given(st.lists(ladders(), min_size=1, max_size=5))
def test_every_small_volume_costs_what_the_ladder_says(drawn: list[Ladder]) -> None:
    """Together and alone: what all have in common is a constant, not a column."""
    uses = [(number, units) for number in range(len(drawn)) for units in range(90)]
    want = [cost(drawn[number], units) for number, units in uses]
    assert costs(drawn, uses) == want
    assert costs(drawn[:1], uses[:90]) == want[:90]


def test_no_ladder_costs_nothing_known() -> None:
    one = compile_ladder(Fraction(0), [(0, 1, Fraction(5))])
    assert costs([one], [(None, 7), (0, 7)]) == [None, 35]
    assert costs([], [(None, 7)]) == [None]


def test_a_ladder_of_many_rows_is_searched_to_both_ends() -> None:
    rows = [(start, 1, Fraction(start + 1)) for start in range(64)]
    ladder = compile_ladder(Fraction(0), rows)
    short = compile_ladder(Fraction(0), rows[:3])
    uses = [(number, units) for number in (0, 1) for units in range(70)]
    assert costs([short, ladder], uses) == [
        cost((short, ladder)[number], units) for number, units in uses
    ]


@pytest.mark.parametrize("rounding", [r for r in Rounding if r is not Rounding.NONE])
@pytest.mark.parametrize("den", [1, 2, 3, MAX_DENOMINATOR - 1, MAX_DENOMINATOR])
def test_what_is_answered_is_exact_up_to_the_last_count_that_fits(
    den: int, rounding: Rounding
) -> None:
    """The greatest numerator is 2^62 - 1; one increment more is handed back."""
    ladder = Ladder(den=den, fee=5, rows=(Row(0, 1, 1_000 * den + 1),), rounding=rounding)
    most = (2**62 - 1 - 5) // (1_000 * den + 1)
    assert most + 1 < MAX_UNITS
    assert costs([ladder], [(0, most), (0, most + 1)]) == [cost(ladder, most), None]


def test_a_ladder_whose_numbers_do_not_fit_is_handed_back() -> None:
    dear = Ladder(den=1_024, fee=0, rows=(Row(0, 1, MAX_AMOUNT * 1_024),))
    costly = Ladder(den=1_024, fee=MAX_AMOUNT * 1_024, rows=(Row(0, 1, 1),), grace=3, maximum=9)
    later = Ladder(den=1, fee=0, rows=(Row(0, 1, MAX_AMOUNT), Row(MAX_UNITS - 1, 1, 1)))
    coarse = Ladder(den=MAX_DENOMINATOR, fee=0, rows=(Row(0, 1, 1),), quantum=MAX_QUANTUM)
    uses = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 1), (2, MAX_UNITS), (3, 1)]
    assert costs([dear, costly, later, coarse], uses) == [0, None, 0, None, MAX_AMOUNT, None, 0]

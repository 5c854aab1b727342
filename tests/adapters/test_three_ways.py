"""One price, three evaluations: Python's integers, the store's doubles, columns of 64-bit integers.

The same random uses go through all three: `domain/ladder.py`, the ledger's library with the one
function more of `test_price_twins.py`, and `adapters/columns/ladders.py`.
"""

import os
from itertools import chain, islice

import pytest

from ocs.domain.ladder import cost
from ocs.domain.money import MAX_AMOUNT
from tests.adapters.ledgers import RealBench
from tests.adapters.test_price_twins import BATCH, by_lua, exact_sum, pricing
from tests.domain.random_prices import Case, cases, everyday

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
LadderColumns = pytest.importorskip("ocs.adapters.columns.ladders").LadderColumns

__all__ = ["pricing"]


def by_columns(batch: list[Case]) -> list[int | None]:
    """Null is what does not fit: the rater leaves it to Python."""
    ladders = LadderColumns([case.segments[0].ladder for case in batch])
    numbers = pl.Series(range(len(batch)), dtype=pl.Int64)
    found = ladders.cost(numbers, pl.Series([case.units for case in batch], dtype=pl.Int64))
    answer: list[int | None] = found.to_list()
    return answer


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        (1, 2_000),
        pytest.param(
            int.from_bytes(os.urandom(4), "big"), 50_000, marks=pytest.mark.nightly, id="100,000"
        ),
    ],
)
async def test_three_evaluations_find_the_same_integer(
    pricing: RealBench, seed: int, count: int
) -> None:
    drawn = chain(everyday(seed, count), cases(seed, count, switches=0))
    amounts = in_columns = 0
    while batch := list(islice(drawn, BATCH)):
        in_store = await by_lua(pricing, batch)
        for case, column, (stored, _) in zip(batch, by_columns(batch), in_store, strict=True):
            if exact_sum(case) <= MAX_AMOUNT:
                amount = cost(case.segments[0].ladder, case.units)
                assert stored == amount, (seed, case)
                assert column in (amount, None), (seed, case)
                amounts, in_columns = amounts + 1, in_columns + (column is not None)
    assert amounts > 1.3 * count
    assert in_columns > 1.1 * count

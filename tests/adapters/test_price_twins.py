"""Python and Lua find the same integers: `domain/rating.py` and `lua/position.lua` are twins.

The library is loaded with one more function, which only prices: what a use costs, and how much of
it an amount buys. Cases travel in batches, so that 100,000 of them take a minute.

Sums above 2^53 are no amounts: there the twins need only agree that nobody can pay them.
"""

import os
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from importlib import resources
from itertools import islice

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocs.adapters.valkey import calls as wire
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.ladder import Ladder
from ocs.domain.money import MAX_AMOUNT
from ocs.domain.rating import Segment, affordable_use, rate_use
from tests.adapters.calls import FAMILY, call, main, open_wallet, price, result_of, segment, use
from tests.adapters.ledgers import Bench, RealBench, ReferenceBench, real_bench
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.random_prices import ANSWER_MS, Case, cases
from tests.domain.walked import ladders, walked_cost

BATCH = 500
PRICING_LUA = """
local function pay(price, units, budget, granting)
  local pos = new_service(price, '')
  local paid = pay_money(pos, units, budget, granting)
  return string.format('%.0f', granting and paid or cost(pos))
end

local function price_all(_, args)
  if not call then begin() end
  local bytes, at, results, answer_ms, text, units, money = args[1], 1, {}, nil, nil, nil, nil
  while at <= #bytes do
    answer_ms, text, units, money, at = read('<dIc0dd', bytes, at)
    anchor_ms, one_shot = answer_ms, false
    local price = price_of(text)
    results[#results + 1] = pay(price, units, 2 ^ 1000, false)
    results[#results + 1] = pay(price, units, money, true)
  end
  return results
end

redis.register_function('@LIBRARY@_price', price_all)
"""


@pytest.fixture
async def pricing(store_server: EmbeddedStore) -> AsyncIterator[RealBench]:
    park = (resources.files("ocs.adapters.valkey") / "lua" / "park.lua").read_text("utf-8")
    async with real_bench(store_server.url, {"park.lua": park + PRICING_LUA}) as bench:
        yield bench


async def by_lua(bench: RealBench, batch: list[Case]) -> Iterator[tuple[int, int]]:
    """For each case what the use costs, and how much of it the money buys."""
    parts = []
    for case in batch:
        segments = tuple(segment(s.ladder, s.from_ms) for s in case.segments)
        priced = wire._price_of(use(timed=1), segments)
        parts.append(struct.pack("<d", ANSWER_MS) + priced)
        parts.append(struct.pack("<dd", case.units, case.money))
    function = bench.library.function("price")
    reply = await bench.connection.execute("FCALL", function, 0, b"".join(parts))
    numbers = msgspec.convert(reply, list[bytes])
    return zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True)


def exact_sum(case: Case) -> float:
    """What the units cost before anything is rounded or bounded."""
    rated = rate_use(case.segments, case.units, ANSWER_MS, timed=True)
    lines = [step for part in rated.parts for step in part.steps]
    return float(sum(step.amount for step in lines if step.what in ("fee", "row")))


async def compare(bench: RealBench, drawn: Iterable[Case]) -> int:
    """Hold every case against Lua; return how many costs were amounts."""
    rest, compared = iter(drawn), 0
    while batch := list(islice(rest, BATCH)):
        for case, (total, bought) in zip(batch, await by_lua(bench, batch), strict=True):
            assert bought == affordable_use(
                case.segments, case.money, ANSWER_MS, timed=True, most_units=case.units
            ), case
            if exact_sum(case) > MAX_AMOUNT:
                continue
            mine = rate_use(case.segments, case.units, ANSWER_MS, timed=True).total
            assert total == mine, case
            compared += 1
    return compared


async def test_the_twins_agree_on_random_uses(pricing: RealBench) -> None:
    assert await compare(pricing, cases(seed=1, count=2_000)) > 800
    assert await compare(pricing, cases(seed=2, count=1_000, switches=0)) > 400


@pytest.mark.nightly
async def test_the_twins_agree_on_a_hundred_thousand_uses(pricing: RealBench) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    assert await compare(pricing, cases(seed=seed, count=100_000)) > 40_000, seed


async def test_segments_of_one_unit_cost_what_one_segment_costs(pricing: RealBench) -> None:
    """With increments of 1, in the store too."""
    each = price(7, fee=3, maximum=400, quantum=10)
    pieces = tuple(Segment(ANSWER_MS + 1_000 * second, each) for second in range(60))
    drawn = [Case(pieces, units, 10 * units) for units in range(90)]
    alone = [Case((Segment(0, each),), units, 10 * units) for units in range(90)]
    assert list(await by_lua(pricing, drawn)) == list(await by_lua(pricing, alone))


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(
    ladder=ladders(),
    amount=st.integers(0, 3_000),
    before=st.integers(0, 40),
    asks=st.integers(1, 60),
    stop=st.integers(0, 60),
)
async def test_a_hold_covers_the_cost_at_every_stop(
    bench: Bench, ladder: Ladder, amount: int, before: int, asks: int, stop: int
) -> None:
    """And what is debited there is what a walk over the units says."""
    if isinstance(bench, RealBench):
        await bench.connection.execute("FLUSHALL")
    if isinstance(bench, ReferenceBench):
        bench.ledger = ReferenceLedger(forgets=False)
    await open_wallet(bench, amount)
    opened = await bench.ledger.charge(call("update", 0, use(before, asks, ladder)))
    used = min(stop, result_of(opened).services[0].granted_units)
    left, held = await main(bench)
    released = await bench.ledger.charge(call("release", 1, use(used, -1, ladder)))
    last = result_of(released).services[0]
    assert last.total_amount == walked_cost(ladder, before + used)
    assert last.settled_amount <= held
    assert await main(bench) == (left - last.settled_amount, 0)
    await bench.check(FAMILY)

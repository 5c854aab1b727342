"""The reference ledger itself: what the real one cannot be asked, and that its checks can fail."""

from fractions import Fraction

import pytest

from ocs.domain import ladder as domain_ladder
from ocs.domain.ladder import Ladder as DomainLadder
from ocs.domain.money import Rounding
from ocs.domain.results import ResultCode
from ocs.usecases.ports import ChargeLimits
from tests.adapters.calls import FAMILY, NOW_MS, call, open_wallet, price, segment, session, use
from tests.adapters.ledgers import ReferenceBench
from tests.adapters.reference_ledger import ReferenceLedger
from tests.adapters.reference_price import (
    Meter,
    Payment,
    Purse,
    Timeline,
    Walk,
    ladder_of,
    merged,
    pools,
    rounded,
)


@pytest.mark.parametrize(
    ("ladder", "begin"),
    [
        (price(3), 0),
        (price(Fraction(7, 3), 60, fee=5, minimum=20, maximum=90), 0),
        (price(Fraction(1, 7), 6, grace=10), 0),
        (price(Fraction(7, 3), 6, quantum=10, limit=55), 0),
        (price(Fraction(7, 3), 6, quantum=10, rounding=Rounding.HALF_EVEN, end=40), 11),
        (domain_ladder.compile_ladder(Fraction(5), [(0, 7, Fraction(6)), (30, 6, Fraction(4)), (45, 1, Fraction(1, 3))], by_total=True), 0),
        (domain_ladder.compile_ladder(Fraction(0), [(0, 7, Fraction(6)), (30, 6, Fraction(4)), (45, 1, Fraction(9))], by_total=True), 17),
        (domain_ladder.compile_ladder(Fraction(1, 2), [(0, 30, Fraction(5)), (30, 1, Fraction(0)), (45, 6, Fraction(1, 3))]), 0),
        (domain_ladder.compile_ladder(Fraction(0), [(0, 30, Fraction(5)), (30, 1, Fraction(0)), (45, 6, Fraction(1, 3))]), 17),
    ],
)  # fmt: skip
def test_prices_are_those_of_the_domain(ladder: DomainLadder, begin: int) -> None:
    """Two readings of one ladder: exact fractions here, numerators over a denominator there."""
    mine = ladder_of(segment(ladder))
    for position in range(begin, 130):
        numerator = domain_ladder.segment(ladder, begin, position)
        assert mine.stretch(begin, position) == Fraction(numerator, ladder.den)
        assert mine.edge(begin, position) == domain_ladder.edge(ladder, position, begin)
    meter = Meter(timed=False, subject="", segments=(segment(ladder),))
    for units in range(1, 130):
        assert meter.cost(units) == domain_ladder.cost(ladder, units, hold=True)
    for money in range(100):
        edge = min(domain_ladder.affordable(ladder, money), 1_000)
        assert meter.grantable(money, 1_000) == edge


@pytest.mark.parametrize(
    ("amount", "by_rule"),
    [
        (Fraction(5, 2), [3, 2, 3, 2]),
        (Fraction(7, 2), [4, 4, 4, 3]),
        (Fraction(9, 4), [2, 2, 3, 2]),
        (Fraction(3), [3, 3, 3, 3]),
    ],
)
def test_rounding_is_half_up_half_even_up_or_down(amount: Fraction, by_rule: list[int]) -> None:
    assert [rounded(amount, rule) for rule in range(4)] == by_rule


def test_adjacent_money_is_one_pool_and_a_units_bucket_stands_alone() -> None:
    purses = [Purse(name, 1, increment, 1) for name, increment in
              (("a", 0), ("b", 0), ("c", 6), ("d", 1), ("e", 0))]  # fmt: skip
    assert [[p.bucket for p in pool] for pool in pools(purses)] == [["a", "b"], ["c"], ["d"], ["e"]]


def test_holds_out_of_one_bucket_are_added_up_only_when_they_are_neighbours() -> None:
    payments = [Payment("a", 1, 0, 1), Payment("a", 2, 0, 1), Payment("b", 6, 6, 1), Payment("a", 4, 0, 1)]  # fmt: skip
    assert merged(payments) == [payments[0]._replace(amount=3), *payments[2:]]


def test_a_million_seconds_are_no_trouble() -> None:
    meter = Meter(timed=True, subject="", segments=(segment(price(Fraction(1, 3))),))
    walk = Walk(meter, Timeline(NOW_MS, 1000))
    assert walk.use(1_000_000, [Purse("main", 333_000, 0, 1)]) == 999_001
    assert walk.payments == [Payment("main", 333_000, 0, 1)]


@pytest.mark.parametrize(
    ("kind", "state_keep_s"),
    [("release", "closed_keep_s"), ("event", "event_keep_s"), ("start", "refused_keep_s")],
)
async def test_sessions_that_are_over_are_forgotten(kind: str, state_keep_s: str) -> None:
    bench = ReferenceBench()
    bench.ledger.forgets = True
    await open_wallet(bench, 100)
    asks = 500 if kind == "start" else -1
    request = call(kind, 0, use(5 if kind != "start" else 0, asks, minimum_units=500))
    await bench.ledger.charge(request)
    keep_ms = getattr(ChargeLimits(), state_keep_s) * 1000
    await bench.set_now(NOW_MS + keep_ms - 1)
    assert (await bench.ledger.charge(request)).hit
    await bench.set_now(NOW_MS + keep_ms)
    assert await bench.ledger.session(session()) is None
    assert not (await bench.ledger.charge(request)).hit


async def test_due_sessions_are_listed() -> None:
    bench = ReferenceBench()
    await open_wallet(bench, 100)
    await bench.ledger.charge(call("start", 0, use(0, 10)))
    assert await bench.ledger.due(0, 10) == []
    await bench.set_now(NOW_MS + 600_000)
    assert await bench.ledger.store_ms() == NOW_MS + 600_000
    assert await bench.ledger.due(0, 10) == [session()]
    assert await bench.ledger.due(1, 10) == []


# --- The checks can fail ------------------------------------------------------------------------


async def with_a_call() -> ReferenceLedger:
    bench = ReferenceBench()
    await open_wallet(bench, 100)
    reply = await bench.ledger.charge(call("start", 0, use(0, 10)))
    assert reply.code is ResultCode.OK
    bench.ledger.check_invariants()
    return bench.ledger


async def test_money_out_of_nowhere_is_noticed() -> None:
    ledger = await with_a_call()
    ledger.books.wallets[FAMILY].buckets["main"].left += 1
    with pytest.raises(AssertionError):
        ledger.check_invariants()


async def test_a_hold_that_nobody_has_is_noticed() -> None:
    ledger = await with_a_call()
    ledger.books.sessions[session()].services["0"].held.clear()
    with pytest.raises(AssertionError):
        ledger.check_invariants()


async def test_a_step_that_is_not_in_the_journal_is_noticed() -> None:
    ledger = await with_a_call()
    ledger.books.journal.pop()
    with pytest.raises(AssertionError):
        ledger.check_invariants()


async def test_an_answer_that_is_there_twice_is_noticed() -> None:
    ledger = await with_a_call()
    ledger.books.journal.append(ledger.books.journal[-1])
    with pytest.raises(AssertionError):
        ledger.check_invariants()

"""Two ledgers, many short lives in which costs fall: they pay back alike.

The machine (`test_ledger_machine.py`) draws from everything that may happen, so a cost that falls in
the midst of a call is rare there. Here nearly every session has one: volume pricing, small reports,
who pays changes from one to the next, and prices and switches come and go.
"""

from random import Random
from typing import Any

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.ladder import Ladder, Row
from ocs.domain.money import MAX_UNITS, Rounding
from ocs.domain.wallet import MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import Reply, Segment
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    credit,
    open_wallet,
    segment,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench, RealBench, ReferenceBench, real_bench

PAYERS = [Payer("a", 0, 1), Payer("b", 0, 1), Payer("u", 5, 1), MAIN_PAYER]
ROUNDINGS = [rounding for rounding in Rounding if rounding is not Rounding.NONE]


def ladder(random: Random) -> Ladder:
    den, starts = random.choice([1, 1, 3]), sorted(random.sample(range(8, 45), 2))
    each = [random.randint(*limits) for limits in ((6 * den, 9 * den), (2, 3 * den), (0, den))]
    steps = [random.choice([1, 1, 1, 2]) for _ in each]
    return Ladder(
        den=den,
        fee=random.choice([0, 0, 5 * den]),
        rows=tuple(Row(*row) for row in zip([0, *starts], steps, each, strict=True)),
        grace=random.choice([0, 0, 0, 8]),
        maximum=random.choice([-1, -1, -1, 120]),
        minimum=random.choice([0, 0, 20]),
        rounding=random.choice(ROUNDINGS),
        quantum=random.choice([1, 1, 10]),
        by_total=random.random() < 0.9,
        limit=random.choice([-1, -1, 150]),
        end=random.choice([MAX_UNITS, MAX_UNITS, 60]),
    )


def prices(random: Random, timed: int) -> tuple[Segment, ...]:
    switches = [NOW_MS + 1_000 * random.randint(1, 60) for _ in range(random.randint(0, 2) * timed)]
    return tuple(segment(ladder(random), start) for start in [0, *sorted(switches)])


def reports(random: Random) -> list[dict[str, Any]]:
    """What a session reports and asks, one after the other."""
    timed = random.randint(0, 1)
    subjects = [prices(random, timed) for _ in range(2)]
    found = []
    for number in range(8):
        subject = random.choice([0] * 9 + [1])
        kind = "event" if random.random() < 0.1 else "update"
        found.append(
            {
                "kind": "release" if number == 7 else kind,
                "used": random.choice([0, *(random.randint(1, 15) for _ in range(3))]),
                "ask": -1 if number == 7 else random.choice([0, 10, 45]),
                "payers": tuple(random.sample(PAYERS, random.randint(1, 4))),
                "segments": subjects[subject],
                "subject": f"price {subject}",
                "timed": timed,
                "credit": random.choice([0, 0, 40]),
                "answered": random.random() < 0.2,
            }
        )
    return found


async def play(bench: Bench, number: int, report: dict[str, Any]) -> Reply:
    said = dict(report)
    if amount := said.pop("credit"):
        await credit(bench, amount, "a" if number % 2 else "main", f"credit {number}")
    kind, answered = said.pop("kind"), said.pop("answered")
    uses = use(said.pop("used"), said.pop("ask"), None, **said)
    # Known from the first report on, so that both count time from the same moment.
    request = call(kind, number, uses, answered=answered, answer_ms=NOW_MS)
    return await bench.ledger.charge(request)


def bare(reply: Reply) -> Reply:
    """Transaction ids differ."""
    if reply.result is None:
        return reply
    return msgspec.structs.replace(
        reply, result=msgspec.structs.replace(reply.result, transaction_id="")
    )


async def live(real: RealBench, seed: int) -> int:
    """One session on both ledgers; returns how often money went back."""
    random, reference = Random(seed), ReferenceBench()
    await real.connection.execute("FLUSHALL")
    main = random.choice([0, 100, 600])
    for bench in (reference, real):
        await open_wallet(bench, main, Bucket(bucket="a"), Bucket(bucket="b"), units_bucket("u"))
    falls = 0
    for number, report in enumerate(reports(random)):
        mine = await play(reference, number, report)
        assert bare(await play(real, number, report)) == bare(mine), (seed, number)
        assert await real.ledger.balance(FAMILY) == await reference.ledger.balance(FAMILY), seed
        falls += mine.result is not None and mine.result.services[0].settled_amount < 0
    await real.check(FAMILY)
    return falls


@pytest.mark.slow
async def test_both_ledgers_pay_back_alike(store_server: EmbeddedStore) -> None:
    async with real_bench(store_server.url) as real:
        assert sum([await live(real, seed) for seed in range(60)]) > 20


@pytest.mark.nightly
async def test_both_ledgers_pay_back_alike_in_many_lives(store_server: EmbeddedStore) -> None:
    async with real_bench(store_server.url) as real:
        assert sum([await live(real, seed) for seed in range(60, 3_000)]) > 1_000

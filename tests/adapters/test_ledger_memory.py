"""The suite for both ledgers: for how long a session that is over is remembered.

As long as none of its requests can look new when it comes again (`docs/design.md` 2.6): a request is
told by how far ahead its client's clock is, and a one-shot event is known longer than a session.
"""

from fractions import Fraction
from typing import Any

import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.bootstrap import stores
from ocs.config.settings import Ledger, Settings
from ocs.domain.ladder import compile_ladder
from ocs.domain.results import ResultCode
from ocs.usecases.ports import ChargeLimits, ServiceCall
from tests.adapters.calls import FAMILY, NOW_MS, call, main, open_wallet, result_of, session, use
from tests.adapters.ledgers import PARTITIONS, Bench, RealBench, ReferenceBench, real_bench

HOUR_S = 3_600
SHORT, CLOSED, EVENT = (
    ChargeLimits().refused_keep_s,
    ChargeLimits().closed_keep_s,
    ChargeLimits().event_keep_s,
)


async def charge(
    bench: Bench, kind: str, number: int, used: ServiceCall, *, lead_s: int = 0
) -> None:
    limits = ChargeLimits(lead_s=lead_s)
    result_of(await bench.ledger.charge(call(kind, number, used, limits=limits)))
    await bench.check(FAMILY)


async def kept_s(bench: Bench) -> int:
    """For how long the session is still remembered."""
    if isinstance(bench, ReferenceBench):
        kept = bench.ledger.books.sessions[session()]
        return (kept.forget_ms - bench.ledger.now_ms) // 1000
    assert isinstance(bench, RealBench)
    (record,) = [name for name in await bench.keys("*}s:*") if name.endswith(b"/s1")]
    left_ms = await bench.connection.execute("PTTL", record)
    assert isinstance(left_ms, int)
    return -(-left_ms // 1000)


async def test_a_request_is_remembered_longer_by_the_lead_of_its_clock(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "release", 0, use(10), lead_s=2 * HOUR_S)
    assert await kept_s(bench) == CLOSED + 2 * HOUR_S


@pytest.mark.parametrize("later_s", [1_000, HOUR_S, 3 * HOUR_S])
@pytest.mark.parametrize("ends", ["release", "expiry"])
async def test_an_earlier_request_counts_to_the_end(bench: Bench, later_s: int, ends: str) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, use(0, 10), lead_s=2 * HOUR_S)
    await charge(bench, "update", 1, use(1, 10), lead_s=600)
    await charge(bench, "update", 2, use(1, 10))
    await bench.set_now(NOW_MS + later_s * 1000)
    if ends == "release":
        await charge(bench, "release", 3, use(0))
    else:
        assert await bench.ledger.expire(session())
    assert await kept_s(bench) == max(CLOSED, 3 * HOUR_S - later_s)


@pytest.mark.parametrize("lead_s", [0, HOUR_S])
@pytest.mark.parametrize("at", ["before", "inside", "behind", "refused"])
async def test_an_event_is_remembered_for_its_own_time(bench: Bench, at: str, lead_s: int) -> None:
    """Whatever becomes of the session whose name it has."""
    await open_wallet(bench, 100)
    event = ("event", 9, use(5)) if at != "refused" else ("event", 9, use(0, 5))
    if at == "before":
        await charge(bench, *event, lead_s=lead_s)
    asks = 500 if at == "refused" else 10
    await charge(bench, "start", 0, use(0, asks, minimum_units=asks))
    if at in ("inside", "refused"):
        await charge(bench, *event, lead_s=lead_s)
    if at == "refused":
        assert await kept_s(bench) == EVENT + lead_s
        await charge(bench, "start", 1, use(0, 10))
    await charge(bench, "release", 2, use(1))
    if at == "behind":
        await charge(bench, *event, lead_s=lead_s)
    assert await kept_s(bench) == EVENT + lead_s
    await charge(bench, "release", 3, use(1))
    assert await kept_s(bench) == EVENT + lead_s, "not shorter by what comes then"


@pytest.mark.parametrize(
    ("used", "lead_s", "kept"),
    [(0, 0, SHORT), (0, HOUR_S, SHORT), (5, 0, CLOSED), (5, HOUR_S, CLOSED + HOUR_S)],
)
async def test_a_refusal_is_forgotten_soon_unless_something_was_settled(
    bench: Bench, used: int, lead_s: int, kept: int
) -> None:
    await open_wallet(bench, 100)
    refused = use(used, 500, minimum_units=500)
    await charge(bench, "start", 0, refused, lead_s=lead_s)
    assert await kept_s(bench) == kept
    await charge(bench, "start", 1, use(0, 500, minimum_units=500))
    assert await kept_s(bench) == kept, "nor soon after another one"


async def test_a_fee_that_fell_due_with_a_refusal_is_remembered(bench: Bench) -> None:
    """Answered, and nothing used."""
    await open_wallet(bench, 100)
    ladder = compile_ladder(Fraction(7), [(0, 1, Fraction(1))])
    refused = use(0, 500, ladder, minimum_units=500)
    reply = await bench.ledger.charge(call("start", 0, refused, answered=True))
    assert (reply.code, await main(bench)) == (ResultCode.NO_CREDIT, (93, 0))
    assert await kept_s(bench) == CLOSED


async def test_of_what_is_too_far_ahead_only_repeats_are_answered(bench: Bench) -> None:
    """In no session, and in one that is known."""
    await open_wallet(bench, 100)
    repeat = call("update", 0, use(10, 0), only_repeats=True)
    assert (await bench.ledger.charge(repeat)).code is ResultCode.UNKNOWN_SESSION
    await charge(bench, "update", 0, use(10, 0))
    assert (await bench.ledger.charge(repeat)).hit
    for kind in ("update", "release", "event"):
        new = call(kind, 1, use(10, 0), only_repeats=True)
        assert (await bench.ledger.charge(new)).code is ResultCode.UNKNOWN_SESSION
    assert await main(bench) == (90, 0)


async def test_the_last_64_keys_are_known_beside_how_long(bench: Bench) -> None:
    await open_wallet(bench, 100)

    async def hits(n: int) -> bool | ResultCode:
        keyed = call("update", -1, use(1, 0), request_key=f"k{n}", limits=ChargeLimits(lead_s=600))
        reply = await bench.ledger.charge(keyed)
        return reply.code if reply.code is not ResultCode.OK else reply.hit

    assert [await hits(n) for n in range(65)] == [False] * 65
    assert [await hits(n) for n in (64, 1)] == [True, ResultCode.REPEAT_EXPIRED]
    assert not await hits(0), "the oldest of 65"


async def test_who_says_how_long_an_expired_session_is_kept(store_server: EmbeddedStore) -> None:
    """As long as a closed one by the configuration; an hour at the least, for it may go on."""
    async with real_bench(store_server.url) as bench:
        await open_wallet(bench, 100)
        await charge(bench, "start", 0, use(0, 10))
        await bench.set_now(NOW_MS + 10**6)
        ledger = ValkeyLedger(bench.connection, PARTITIONS, bench.library, expired_keep_s=9_000)
        assert await ledger.expire(session())
        assert await kept_s(bench) == 9_000


@pytest.mark.parametrize(("closed_keep_s", "kept"), [(60, 3_600), (3_600, 3_780), (7_200, 7_380)])
def test_the_configuration_says_it(monkeypatch: Any, closed_keep_s: int, kept: int) -> None:
    told: list[int] = []

    def make(*given: Any, **named: Any) -> ValkeyLedger:
        told.append(named["expired_keep_s"])
        return ValkeyLedger(*given, **named)

    monkeypatch.setattr(stores, "ValkeyLedger", make)
    settings = Settings(tenants=(), plans=(), ledger=Ledger(closed_keep_s=closed_keep_s))
    stores.make_ledger(settings, Connection("unix:///nowhere"))
    assert told == [kept]

"""The suite for both ledgers, ninth part: finished CDRs are debited, each of them once.

Each test reads as one sentence of `docs/design.md` 2.14. Amounts are bare money units.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.records import decode_entry
from ocs.domain.results import ResultCode
from ocs.usecases.ports import (
    CDR_DAYS,
    DAY_MS,
    CdrDebit,
    CdrFate,
    DebitCall,
    DebitReply,
    Settler,
    WalletKey,
)
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    charge,
    definition,
    main,
    numbers,
    open_wallet,
    session,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench, ReferenceBench, real_bench

TODAY = NOW_MS // DAY_MS
D, KNOWN, ONLINE = CdrFate.DEBITED, CdrFate.KNOWN, CdrFate.ONLINE
LUA = Path(__file__).parents[2] / "ocs" / "adapters" / "valkey" / "lua"


def cdr(name: str, amount: int = 1, session_id: str = "") -> CdrDebit:
    return CdrDebit(name, session_id or f"session of {name}", amount)


def debit_call(chunk: str, *cdrs: CdrDebit, **fields: Any) -> DebitCall:
    plain: dict[str, Any] = {
        "wallet": FAMILY,
        "account": "ann",
        "currency": "EUR",
        "day": TODAY,
    }
    return DebitCall(chunk=chunk, cdrs=cdrs, **{**plain, **fields})


async def debit(bench: Bench, chunk: str, *cdrs: CdrDebit, **fields: Any) -> DebitReply:
    reply = await bench.ledger.debit(debit_call(chunk, *cdrs, **fields))
    if await bench.ledger.balance(FAMILY):
        await bench.check(FAMILY)
    return reply


async def by_cdr(bench: Bench, amount: int, floor: int = -1_000) -> None:
    await open_wallet(bench, amount, settled_by=Settler.CDR, floor_amount=floor)


async def test_a_chunk_is_debited_in_one_sum(bench: Bench) -> None:
    await by_cdr(bench, 100)
    reply = await debit(bench, "one", cdr("a", 20), cdr("b", 30), cdr("c", 0))
    assert (reply.code, reply.fates, reply.amounts) == (ResultCode.OK, (D, D, D), (20, 30, 0))
    assert reply.transaction_id
    assert reply.overrun_amount == 0
    assert await main(bench) == (50, 0)


async def test_the_same_chunk_again_says_the_same_and_moves_nothing(bench: Bench) -> None:
    """Also where its CDRs cost something else by now: what was debited is what is told."""
    await by_cdr(bench, 100)
    first = await debit(bench, "one", cdr("a", 20), cdr("b", 30))
    again = await debit(bench, "one", cdr("a", 25), cdr("b", 30))
    assert again == msgspec.structs.replace(first, transaction_id="")
    assert await main(bench) == (50, 0)


async def test_what_another_chunk_debited_is_known(bench: Bench) -> None:
    await by_cdr(bench, 100)
    await debit(bench, "one", cdr("a", 20), cdr("b", 30))
    reply = await debit(bench, "two", cdr("b", 30), cdr("c", 5))
    assert (reply.fates, reply.amounts) == ((KNOWN, D), (0, 5))
    assert (await debit(bench, "two", cdr("b", 30), cdr("c", 5))).fates == (KNOWN, D)
    assert await main(bench) == (45, 0)


async def test_a_cdr_that_is_in_a_call_twice_is_debited_once(bench: Bench) -> None:
    await by_cdr(bench, 100)
    twice = cdr("a", 20), cdr("b", 1), cdr("a", 30)
    for _ in range(2):
        reply = await debit(bench, "one", *twice)
        assert (reply.fates, reply.amounts) == ((D, D, KNOWN), (20, 1, 0))
    assert await main(bench) == (79, 0)


async def test_each_account_and_each_day_has_its_own(bench: Bench) -> None:
    await by_cdr(bench, 100)
    for fields in ({}, {"account": "bob"}, {"day": TODAY - 1}, {"day": TODAY + 1}):
        assert (await debit(bench, str(fields), cdr("a", 10), **fields)).fates == (D,)
    assert await main(bench) == (60, 0)


@pytest.mark.parametrize(
    ("left", "floor", "cost", "overrun"),
    [(100, 0, 100, 0), (100, 0, 101, 1), (100, -50, 150, 0), (0, -50, 80, 30), (-80, -50, 5, 5)],
)
async def test_the_floor_stops_nothing_but_is_told_of(
    bench: Bench, left: int, floor: int, cost: int, overrun: int
) -> None:
    await by_cdr(bench, max(0, left), floor)
    if left < 0:
        await debit(bench, "before", cdr("before", -left))
    reply = await debit(bench, "one", cdr("a", cost))
    assert (reply.fates, reply.overrun_amount) == ((D,), overrun)
    assert await main(bench) == (left - cost, 0)


async def test_the_worked_numbers_q(bench: Bench) -> None:
    await by_cdr(bench, 20_000, -50_000)
    chunk = [cdr("a", 30_000), cdr("b", 40_000), cdr("a", 30_000)]
    first = await debit(bench, "1", *chunk)
    assert (first.fates, first.overrun_amount) == ((D, D, KNOWN), 0)
    chunk[1] = cdr("b", 60_000)
    again = await debit(bench, "1", *chunk)
    assert (again.amounts, again.overrun_amount) == ((30_000, 40_000, 0), 0)
    assert await main(bench) == (-50_000, 0)
    await bench.ledger.charge(call("start", 0, use(), session=session("online")))
    second = await debit(bench, "2", cdr("b", 40_000), cdr("c", 10_000), cdr("d", 50_000, "online"))
    assert (second.fates, second.overrun_amount) == ((KNOWN, D, ONLINE), 10_000)
    assert await main(bench) == (-60_000, 0)


async def test_what_a_session_holds_is_not_there_for_cdrs(bench: Bench) -> None:
    await by_cdr(bench, 100, floor=0)
    await charge(bench, "start", 0, use(0, 60))
    assert (await debit(bench, "one", cdr("a", 50))).overrun_amount == 10
    assert await main(bench) == (50, 60)


async def test_a_blocked_account_pays_for_what_was_used(bench: Bench) -> None:
    await open_wallet(bench, 100, settled_by=Settler.CDR, active=False)
    assert (await debit(bench, "one", cdr("a", 20))).fates == (D,)


async def test_buckets_beside_main_pay_for_no_cdr(bench: Bench) -> None:
    await open_wallet(bench, 100, units_bucket("minutes"), settled_by=Settler.CDR)
    await debit(bench, "one", cdr("a", 20))
    assert (await numbers(bench, "minutes"), await main(bench)) == ((100, 0), (80, 0))


@pytest.mark.parametrize(
    ("kind", "number", "asked", "fate"),
    [
        ("start", 0, use(0, 10), ONLINE),
        ("release", 0, use(10), ONLINE),
        ("event", 0, use(10), ONLINE),
        ("start", 0, use(0, 10**6, minimum_units=10**6), D),
    ],
)
async def test_a_call_that_was_charged_online_is_not_debited(
    bench: Bench, kind: str, number: int, asked: Any, fate: CdrFate
) -> None:
    """A start that was refused charged nothing."""
    await by_cdr(bench, 100)
    await charge(bench, kind, number, asked)
    before, held = await main(bench)
    reply = await debit(bench, "one", cdr("a", 20, "s1"), cdr("b", 1))
    assert reply.fates == (fate, D)
    assert await main(bench) == (before - 1 - 20 * (fate is D), held)
    assert (await debit(bench, "two", cdr("a", 20, "s1"))).fates == (
        KNOWN if fate is D else ONLINE,
    )


async def test_another_account_of_the_group_may_have_a_call_of_that_name(bench: Bench) -> None:
    await by_cdr(bench, 100)
    await charge(bench, "release", 0, use(10))
    assert (await debit(bench, "one", cdr("a", 1, "s1"), account="bob")).fates == (D,)


@pytest.mark.parametrize(
    ("day", "fate"),
    [
        (TODAY - CDR_DAYS, D),
        (TODAY - CDR_DAYS - 1, CdrFate.TOO_OLD),
        (TODAY + 1, D),
        (TODAY + 2, CdrFate.AHEAD),
    ],
)
async def test_only_days_that_are_remembered_are_debited(
    bench: Bench, day: int, fate: CdrFate
) -> None:
    await by_cdr(bench, 100)
    reply = await debit(bench, "one", cdr("a", 20), day=day)
    assert (reply.fates, reply.amounts) == ((fate,), (20 * (fate is D),))
    assert bool(reply.transaction_id) is (fate is D)
    assert await main(bench) == (100 - 20 * (fate is D), 0)


async def test_a_chunk_that_was_done_is_done_though_its_day_has_passed(bench: Bench) -> None:
    await by_cdr(bench, 100)
    await debit(bench, "one", cdr("a", 20), day=TODAY - CDR_DAYS)
    await bench.set_now(NOW_MS + DAY_MS)
    reply = await debit(bench, "one", cdr("a", 20), cdr("b", 1), day=TODAY - CDR_DAYS)
    assert reply.fates == (D, CdrFate.TOO_OLD)
    assert await main(bench) == (80, 0)


@pytest.mark.parametrize(
    ("fields", "code", "settled_by"),
    [
        ({"settled_by": Settler.EVENTS}, ResultCode.NOT_CHARGED, Settler.EVENTS),
        ({"settled_by": Settler.NOBODY}, ResultCode.NOT_CHARGED, Settler.NOBODY),
        ({"settled_by": Settler.CDR, "currency": "USD"}, ResultCode.INVALID_EVENT, Settler.CDR),
    ],
)
async def test_an_account_on_other_terms_is_not_debited(
    bench: Bench, fields: dict[str, Any], code: ResultCode, settled_by: Settler
) -> None:
    await bench.set_now(NOW_MS)
    terms = msgspec.structs.replace(definition(1), **fields)
    assert await bench.ledger.define(FAMILY, terms)
    reply = await debit(bench, "one", cdr("a", 20))
    assert (reply.code, reply.settled_by, reply.fates) == (code, settled_by, ())
    assert await main(bench) == (0, 0)
    assert await bench.ledger.balance(FAMILY)


async def test_an_account_without_a_wallet(bench: Bench) -> None:
    reply = await debit(bench, "one", cdr("a"), wallet=WalletKey("demo", "nobody"))
    assert reply.code is ResultCode.UNKNOWN_SUBSCRIBER


async def test_more_than_can_be_counted_moves_nothing(bench: Bench) -> None:
    await by_cdr(bench, 100)
    most = 2**53 - 1
    reply = await debit(bench, "one", cdr("a", most), cdr("b", most))
    assert reply.code is ResultCode.RATING_FAILED
    assert await main(bench) == (100, 0)
    assert (await debit(bench, "one", cdr("a", 1))).fates == (D,)


async def test_who_settles_stays_who_it_was(bench: Bench) -> None:
    await by_cdr(bench, 100)
    assert not await bench.ledger.define(FAMILY, definition(2))
    assert not await bench.ledger.define(FAMILY, definition(2, settled_by=Settler.NOBODY))
    same = definition(2, settled_by=Settler.CDR, active=False)
    assert await bench.ledger.define(FAMILY, same)
    found = await bench.ledger.balance(FAMILY)
    assert found
    assert found.definition == same


async def test_what_was_settled_online_is_remembered_as_long_as_cdrs_may_come(
    store_server: EmbeddedStore,
) -> None:
    """Only of accounts that CDRs settle; of a start that was refused never."""
    kept_ms = (CDR_DAYS + 2) * DAY_MS
    async with real_bench(store_server.url) as bench:
        await by_cdr(bench, 100)
        await charge(bench, "release", 0, use(10))
        for name, kind, asked in (
            ("event", "event", use(10)),
            ("refused", "start", use(0, 10**6, minimum_units=10**6)),
            ("expired", "start", use(0, 10)),
        ):
            await bench.ledger.charge(call(kind, 0, asked, session=session(name)))
        await bench.set_now(NOW_MS + DAY_MS)
        assert await bench.ledger.expire(session("expired"))
        left_ms = {}
        for name in ("s1", "event", "expired", "refused"):
            [key] = await bench.keys(f"*s:*/{name}")
            left = await bench.connection.execute("PTTL", key)
            assert isinstance(left, int)
            left_ms[name] = left
        assert left_ms.pop("refused") <= 120_000
        assert all(kept_ms - 60_000 < left <= kept_ms for left in left_ms.values())
        await debit(bench, "one", cdr("a"), day=TODAY - 3)
        [index] = await bench.keys("*c:*")
        left = await bench.connection.execute("PTTL", index)
        assert isinstance(left, int)
        wanted = (TODAY - 3 + CDR_DAYS + 2) * DAY_MS - NOW_MS - DAY_MS
        assert wanted - 60_000 < left <= wanted


def test_script_and_program_agree_about_days() -> None:
    numbers = dict(
        re.findall(r"^local (\w+) = (\d+)", (LUA / "header.lua").read_text("utf-8"), re.MULTILINE)
    )
    assert int(numbers["CDR_DAYS"]) == CDR_DAYS
    assert int(numbers["DAY_MS"]) == DAY_MS
    assert int(numbers["CDR_KEPT_S"]) == (CDR_DAYS + 2) * DAY_MS // 1000


async def test_the_journal_says_what_was_debited(store_server: EmbeddedStore) -> None:
    async with real_bench(store_server.url) as bench:
        await by_cdr(bench, 5, floor=0)
        await debit(bench, "file/1", cdr("a", 4), cdr("b", 4), cdr("a", 4), day=1 + TODAY)
        [key] = await bench.keys("*}j")
        last = await bench.connection.execute("XREVRANGE", key, "+", "-", "COUNT", 1)
        [(_, (_, data))] = cast("list[tuple[bytes, list[bytes]]]", last)
        entry = decode_entry(data)
        assert (entry.kind, entry.subject) == ("debit", "demo/family")
        assert msgspec.json.decode(entry.info) == ["ann", "file/1", "2100-01-02", 2, 3]
        assert entry.moves == (("main", -8, 0, -3, 0, None),)


names = st.sampled_from("abcdef")
debits = st.tuples(
    st.sampled_from(["one", "two", "three"]),
    st.lists(st.tuples(names, st.integers(0, 50)), min_size=1, max_size=6),
    st.sampled_from([-CDR_DAYS - 1, -CDR_DAYS, 0, 1]),
    st.sampled_from(["ann", "bob"]),
)
sessions = st.tuples(st.sampled_from(["start", "release"]), names, st.integers(0, 40))


@pytest.mark.slow
@given(steps=st.lists(debits | sessions | st.sampled_from([DAY_MS // 2, DAY_MS]), max_size=12))
@settings(max_examples=60)
def test_both_ledgers_debit_alike(store_server: EmbeddedStore, steps: list[Any]) -> None:
    """Whatever chunks, days, accounts and online calls there are, in whatever order."""

    async def played(bench: Bench) -> list[Any]:
        now_ms = NOW_MS
        answers: list[Any] = []
        await open_wallet(bench, 100, settled_by=Settler.CDR, floor_amount=-50)
        for number, step in enumerate(steps):
            if isinstance(step, int):
                now_ms += step
                await bench.set_now(now_ms)
            elif len(step) == 4:
                chunk, items, day, account = step
                cdrs = [cdr(name, amount, name) for name, amount in items]
                reply = await debit(bench, chunk, *cdrs, day=TODAY + day, account=account)
                answers.append(msgspec.structs.replace(reply, transaction_id=""))
                answers.append(bool(reply.transaction_id))
            else:
                kind, name, units = step
                asked = use(0, units + 1) if kind == "start" else use(units)
                await bench.ledger.charge(call(kind, number, asked, session=session(name)))
            answers.append(await main(bench))
        await bench.check(FAMILY)
        return answers

    async def both() -> None:
        async with real_bench(store_server.url) as real:
            assert await played(real) == await played(ReferenceBench())

    asyncio.run(both())

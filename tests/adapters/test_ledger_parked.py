"""The suite for both ledgers, tenth part: parked use is debited as one, and once.

Each test reads as one sentence of `docs/design.md` 2.15. Amounts are bare money units.
"""

from collections.abc import Awaitable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.parked import ValkeyParked
from ocs.domain.ladder import Ladder, Row
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_ONLY, Payer
from ocs.usecases.parked import (
    Looked,
    Note,
    ParkedOrder,
    ParkedRef,
    ParkedReply,
    ParkedStatus,
    ParkedStore,
    ParkedUse,
    TakenOver,
)
from ocs.usecases.ports import ReverseCall, ServiceCall, Settler
from ocs.usecases.settling_cdrs import Settled
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    charge,
    definition,
    main,
    numbers,
    open_wallet,
    price,
    segment,
    session,
    units_bucket,
    use,
)
from tests.adapters.ledger_strategies import ladders, segments
from tests.adapters.ledgers import PARTITIONS, Bench, RealBench, ReferenceBench, real_bench
from tests.adapters.reference_parked import ParkedBooks, ReferenceParked

MINUTE = price(6, 60, fee=1)
SETTLED = ParkedStatus.SETTLED


def another_run(bench: Bench, first: ParkedStore | None = None) -> ParkedStore:
    """The parked events of a bench, for a run that has not begun; those of `first` if there is."""
    if isinstance(bench, RealBench):
        return ValkeyParked(bench.connection, PARTITIONS, bench.library)
    assert isinstance(bench, ReferenceBench)
    books = first.books if isinstance(first, ReferenceParked) else ParkedBooks()
    return ReferenceParked(bench.ledger, books)


async def begun(bench: Bench) -> ParkedStore:
    """A run that has begun, and claimed all partitions."""
    store = another_run(bench)
    assert (await store.begin("out", moves=False)).epoch == 1
    for partition in range(store.partitions):
        await store.claim(partition)
    return store


async def is_over(step: Awaitable[object]) -> bool:
    """Whether a later run has begun. (`pytest.raises` would end the run over all mutants.)"""
    try:
        await step
    except TakenOver:
        return True
    return False


def note(name: str, *refs: ParkedRef) -> Note:
    row = ParkedUse(
        stream="unrated",
        rating_group="0",
        session_id="s1",
        tenant="demo",
        settled=Settled.DEBITED,
    )
    return Note(name=name, chunk="chunk", entries=refs, uses=(row,))


def order(
    name: str, *uses: ServiceCall, before: Any = (), kind: str = "release", **fields: Any
) -> ParkedOrder:
    told: dict[str, Any] = {"answer_ms": NOW_MS, "request_key": f"parked {name}"}
    made = call(kind, -1, *uses, **{**told, **fields})
    return ParkedOrder(made, before or ((0, 0),) * len(uses), note(name))


async def settled(bench: Bench, store: ParkedStore, made: ParkedOrder) -> ParkedReply:
    reply = await store.settle(made)
    if await bench.ledger.balance(FAMILY):
        await bench.check(FAMILY)
    return reply


def amounts(reply: ParkedReply) -> list[tuple[int, int]]:
    """Of each service the units that were settled, and what was debited."""
    assert reply.status is SETTLED
    assert reply.reply
    assert reply.reply.result
    return [(one.settled_units, one.settled_amount) for one in reply.reply.result.services]


def minutes(used: int) -> ServiceCall:
    return use(used, 0, MINUTE)


async def test_parked_use_is_debited_like_a_release_of_it(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    reply = await settled(bench, store, order("a", minutes(90)))
    assert amounts(reply) == [(90, 13)]
    assert reply.reply
    assert reply.reply.result
    assert reply.reply.result.transaction_id
    assert reply.reply.ratings == ("rating",)
    assert await main(bench) == (87, 0)


async def test_the_same_order_again_says_the_same_and_moves_nothing(bench: Bench) -> None:
    """Also where it would cost something else by now."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    first = await settled(bench, store, order("a", minutes(90)))
    again = await settled(bench, store, order("a", minutes(900)))
    assert first.reply
    assert again.reply
    assert again.reply.result == first.reply.result
    assert again.reply.hit
    assert not first.reply.hit
    assert await main(bench) == (87, 0)
    await store.forget(store.partition_of(FAMILY), ["a"])
    assert not await store.under_way(store.partition_of(FAMILY))


async def test_what_was_charged_before_is_the_beginning_of_the_use(bench: Bench) -> None:
    """The worked numbers R: the fee is not due again, and the begun minute is used to its end."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    assert amounts(await settled(bench, store, order("a", minutes(30), before=((30, 30),)))) == [
        (30, 0)
    ]
    assert amounts(await settled(bench, store, order("b", minutes(31), before=((30, 30),)))) == [
        (31, 6)
    ]
    assert amounts(await settled(bench, store, order("c", minutes(30), before=((30, 0),)))) == [
        (30, 7)
    ]
    assert await main(bench) == (87, 0)


async def test_rounding_is_that_of_the_whole(bench: Bench) -> None:
    """A third of a unit each: 2 cost 1, 4 cost 1, 5 cost 2."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    third = price(Fraction(1, 3))
    for name, before, used, due in (("a", 2, 2, 0), ("b", 4, 1, 1), ("c", 0, 5, 2)):
        made = order(name, use(used, 0, third), before=((before, before),))
        assert amounts(await settled(bench, store, made)) == [(used, due)]


async def test_a_grace_that_held_before_is_over_with_the_whole(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    graceful = price(1, grace=10)
    made = order("a", use(8, 0, graceful), before=((5, 5),))
    assert amounts(await settled(bench, store, made)) == [(8, 13)]


async def test_a_cost_that_falls_gives_nothing_back(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    falling = Ladder(den=1, fee=0, rows=(Row(0, 1, 5), Row(25, 1, 1)), by_total=True)
    made = order("a", use(10, 0, falling), before=((20, 20),))
    assert amounts(await settled(bench, store, made)) == [(10, 0)]
    assert await main(bench) == (100, 0)


async def test_each_service_begins_where_it_stands(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    uses = (minutes(60), use(60, 0, MINUTE, rating_group="7"))
    made = order("a", *uses, before=((60, 60), (0, 0)))
    assert amounts(await settled(bench, store, made)) == [(60, 6), (60, 7)]


async def test_buckets_pay_by_the_ordinary_rules(bench: Bench) -> None:
    await open_wallet(bench, 100, units_bucket("minutes"))
    store = await begun(bench)
    payers = (Payer("minutes", 1, 1), *MAIN_ONLY)
    made = order("a", use(130, 0, payers=payers))
    assert amounts(await settled(bench, store, made)) == [(130, 30)]
    assert (await numbers(bench, "minutes"), await main(bench)) == ((0, 0), (70, 0))


async def test_the_floor_stops_nothing_but_is_told_of(bench: Bench) -> None:
    await open_wallet(bench, 100, floor_amount=-50)
    store = await begun(bench)
    for name, used, overrun in (("a", 120, 0), ("b", 40, 10)):
        reply = await settled(bench, store, order(name, use(used, 0)))
        assert reply.reply
        assert reply.reply.result
        assert reply.reply.result.overrun_amount == overrun
    assert await main(bench) == (-60, 0)


async def test_what_a_session_holds_stays_held(bench: Bench) -> None:
    """Also of the very session that the use was of; its own counters do not move."""
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, use(0, 60))
    store = await begun(bench)
    made = order("a", use(50, 0))
    assert await settled(bench, store, made) == ParkedReply(ParkedStatus.MOVED)
    looked = await store.look(session())
    assert looked.is_live
    await settled(bench, store, replace(made, mark=looked.mark))
    assert await main(bench) == (50, 60)
    view = await bench.ledger.session(session())
    assert view
    assert (view.elapsed_units, view.charged_amount) == (0, 0)


async def test_a_charge_that_the_caller_does_not_know_of_comes_first(bench: Bench) -> None:
    """What was looked up in the journal may be more by now."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    assert await store.look(session()) == Looked(is_live=False)
    await charge(bench, "release", 1, use(10))
    moved = ParkedReply(ParkedStatus.MOVED)
    assert await settled(bench, store, order("a", use(20, 0))) == moved
    looked = await store.look(session())
    assert not looked.is_live
    await charge(bench, "update", 2, use(10))
    made = replace(order("a", use(20, 0)), mark=looked.mark)
    assert await settled(bench, store, made) == moved
    made = replace(made, mark=(await store.look(session())).mark)
    assert amounts(await settled(bench, store, made)) == [(20, 20)]
    again = replace(made, mark=b"")
    assert amounts(await settled(bench, store, again)) == [(20, 20)]
    assert await main(bench) == (60, 0)


async def test_what_has_expired_may_go_on_from_where_it_stood(bench: Bench) -> None:
    """A total that comes after all would have what was settled here in it once more."""
    await open_wallet(bench, 1_000)
    store = await begun(bench)
    at_ms = NOW_MS
    for kind, is_live in (("start", True), ("expire", True), ("release", False)):
        if kind == "expire":
            at_ms += 7_200_000
            await bench.set_now(at_ms)
            assert await bench.ledger.expire(session())
        else:
            await charge(bench, kind, 1 if kind == "start" else 2, use(0, 60, MINUTE))
        assert (await store.look(session())).is_live is is_live


async def test_a_blocked_account_pays_for_what_was_used(bench: Bench) -> None:
    await open_wallet(bench, 100, active=False)
    store = await begun(bench)
    assert amounts(await settled(bench, store, order("a", use(20, 0)))) == [(20, 20)]


async def test_a_one_shot_event_begins_at_nothing(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    made = order("a", minutes(90), kind="event", before=((60, 60),))
    assert amounts(await settled(bench, store, made)) == [(90, 13)]


async def test_a_call_pays_by_the_prices_of_its_time(bench: Bench) -> None:
    """10 s at 1, then 3 each: also where 4 s of the first were charged before."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    prices = (segment(price(1)), segment(price(3), NOW_MS + 10_000))
    whole = use(20, 0, timed=1, segments=prices)
    assert amounts(await settled(bench, store, order("a", whole))) == [(20, 40)]
    rest = use(16, 0, timed=1, segments=prices)
    assert amounts(await settled(bench, store, order("b", rest, before=((4, 4),)))) == [(16, 36)]


async def test_what_buckets_paid_before_has_passed_and_costs_nothing(bench: Bench) -> None:
    """12 s were used, none by money: the next ones are priced by their time, and owe the fee."""
    await open_wallet(bench, 100)
    store = await begun(bench)
    prices = (segment(price(1, fee=7)), segment(price(3, fee=5), NOW_MS + 10_000))
    rest = use(4, 0, timed=1, segments=prices)
    assert amounts(await settled(bench, store, order("a", rest, before=((12, 0),)))) == [(4, 17)]


@pytest.mark.parametrize(
    ("settler", "status"),
    [(Settler.CDR, ParkedStatus.BY_CDRS), (Settler.NOBODY, ParkedStatus.BY_NOBODY)],
)
async def test_only_accounts_that_events_settle_are_debited(
    bench: Bench, settler: Settler, status: ParkedStatus
) -> None:
    await open_wallet(bench, 100, settled_by=settler)
    store = await begun(bench)
    assert await settled(bench, store, order("a", use(20, 0))) == ParkedReply(status)
    assert await main(bench) == (100, 0)
    assert not await store.under_way(store.partition_of(FAMILY))


async def test_without_a_wallet_nothing_is_under_way(bench: Bench) -> None:
    store = await begun(bench)
    reply = await store.settle(order("a", use(20, 0)))
    assert reply == ParkedReply(ParkedStatus.NO_WALLET)
    assert not await store.under_way(store.partition_of(FAMILY))


async def test_more_than_a_bucket_can_hold_moves_nothing(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    made = order("a", use(2**50, 0, price(2**40)))
    assert (await settled(bench, store, made)).status is ParkedStatus.OVERFLOW
    assert await main(bench) == (100, 0)


async def test_an_old_version_of_the_wallet_is_told_the_new_one(bench: Bench) -> None:
    await open_wallet(bench, 100, units_bucket("minutes"))
    store = await begun(bench)
    reply = await settled(bench, store, order("a", use(20, 0), wallet_version=0))
    assert reply.status is ParkedStatus.STALE
    assert reply.stale == definition(1, units_bucket("minutes"))
    assert await main(bench) == (100, 0)


async def test_behind_a_later_run_nobody_settles(bench: Bench) -> None:
    await open_wallet(bench, 100)
    first = await begun(bench)
    await settled(bench, first, order("a", use(10, 0)))
    second = another_run(bench, first)
    assert (await second.begin("out", moves=False)).epoch == 2
    partition = second.partition_of(FAMILY)
    await second.claim(partition)
    assert await is_over(first.settle(order("a", use(10, 0))))
    assert await is_over(first.settle(order("b", use(10, 0))))
    assert await is_over(first.note(partition, note("c")))
    assert await is_over(first.claim(partition))
    assert (await settled(bench, second, order("a", use(99, 0)))).reply
    assert await main(bench) == (90, 0)
    (under_way,) = await second.under_way(partition)
    assert under_way.note == note("a")
    assert under_way.result
    assert under_way.result.result
    assert under_way.result.result.services[0].settled_amount == 10


async def test_what_debits_nothing_is_under_way_too(bench: Bench) -> None:
    store = await begun(bench)
    partition = store.partition_of(FAMILY)
    made = note("a", ParkedRef(partition, "late", "1-0"))
    await store.note(partition, made)
    (under_way,) = await store.under_way(partition)
    assert (under_way.note, under_way.result) == (made, None)
    await store.forget(partition, ["a"])
    assert not await store.under_way(partition)


async def test_another_output_is_refused_unless_it_takes_the_place(bench: Bench) -> None:
    store = await begun(bench)
    assert (await store.begin("elsewhere", moves=False)).epoch == 0
    assert (await store.begin("elsewhere", moves=True)).epoch == 2
    assert (await store.begin("out", moves=False)).epoch == 0


async def test_entries_are_read_in_their_order_and_removed(bench: Bench) -> None:
    store = await begun(bench)
    await bench.set_now(NOW_MS)
    for request in ("1", "2", "1", "3"):
        await bench.ledger.park("late", session(), request, request.encode())
    partition = store.partition_of(FAMILY)
    page = await store.read(partition, "late", "0", 2)
    assert [entry for _, entry in page] == [b"1", b"2"]
    (last,) = await store.read(partition, "late", page[-1][0], 9)
    assert last[1] == b"3"
    assert await store.waiting() == {"unrated": 0, "late": 3, "emergency": 0}
    await store.remove([ParkedRef(partition, "late", page[0][0])])
    left = await store.read(partition, "late", "0", 9)
    assert [entry for _, entry in left] == [b"2", b"3"]
    assert (await store.waiting())["late"] == 2


async def test_it_can_be_reversed_like_any_charge(bench: Bench) -> None:
    await open_wallet(bench, 100)
    store = await begun(bench)
    reply = await settled(bench, store, order("a", use(20, 0)))
    assert reply.reply
    assert reply.reply.result
    transaction = reply.reply.result.transaction_id
    back = await bench.ledger.reverse(ReverseCall(wallet=FAMILY, transaction_id=transaction))
    assert (back.code, back.amount) == (ResultCode.OK, 20)
    assert await main(bench) == (100, 0)


ORDERS = st.lists(
    st.tuples(
        ladders(),
        st.integers(1, 150),
        st.sampled_from([0, 1, 30, 61]),
        st.booleans(),
        st.sampled_from(["release", "release", "event"]),
        st.sampled_from([(MAIN_ONLY), (Payer("minutes", 6, 1), *MAIN_ONLY)]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(ORDERS)
@settings(deadline=None, max_examples=200)
async def test_both_ledgers_say_the_same_of_any_orders(
    store_server: EmbeddedStore, drawn: list[tuple[Any, ...]]
) -> None:
    async with real_bench(store_server.url) as real:
        benches: list[Bench] = [ReferenceBench(), real]
        told = []
        for bench in benches:
            await open_wallet(bench, 300, units_bucket("minutes"))
            store, said = await begun(bench), []
            for n, (ladder, used, before, by_money, kind, payers) in enumerate(drawn):
                whole = use(used, 0, segments=segments([(0, ladder)]), payers=payers)
                behind = ((before, before if by_money else 0),)
                reply = await settled(bench, store, order(f"{n}", whole, before=behind, kind=kind))
                said.append(amounts(reply))
            told.append((said, await main(bench), await numbers(bench, "minutes")))
        assert told[0] == told[1]

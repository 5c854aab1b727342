"""One suite for both ledgers: what the scenarios do not say, because it is no story.

Each test reads as one sentence of `docs/design.md` section 2. Amounts are bare money units.
"""

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Kind
from ocs.domain.ladder import FREE
from ocs.domain.results import ResultCode
from ocs.domain.session import TABLE, Row, State
from ocs.domain.wallet import MAIN_PAYER, Payer
from ocs.usecases.ports import LATE, UNRATED, ChargeLimits, Reply
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    main,
    numbers,
    open_wallet,
    price,
    result_of,
    segment,
    session,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench, real_bench

# --- Repeats --------------------------------------------------------------------------------------


async def test_a_conflict_carries_the_first_answer_so_that_the_call_can_go_on(bench: Bench) -> None:
    await open_wallet(bench, 100)
    first = await bench.ledger.charge(call("start", 0, use(0, 60)))
    other = await bench.ledger.charge(call("start", 0, use(0, 50)))
    assert other.code is ResultCode.CONFLICT
    assert not other.hit
    assert other.result == first.result
    assert other.ratings == first.ratings == ("rating",)


async def test_a_repeat_is_known_though_all_that_clients_stamp_anew_is_new(bench: Bench) -> None:
    await open_wallet(bench, 100)
    request = call("start", 0, use(0, 60))
    first = await bench.ledger.charge(request)
    later = msgspec.structs.replace(
        request, event_ms=NOW_MS + 5_000, answer_ms=NOW_MS, info=b'{"again": 1}'
    )
    assert await bench.ledger.charge(later) == msgspec.structs.replace(first, hit=True)


async def test_repeats_are_counted_but_conflicts_are_not(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await bench.ledger.charge(call("start", 0, use(0, 60)))
    await bench.ledger.charge(call("start", 0, use(0, 60)))
    await bench.ledger.charge(call("start", 7, use(0, 60)))
    await bench.ledger.charge(call("start", 0, use(0, 59)))
    await bench.ledger.charge(call("start", 0, use(0, 60), dry_run=True))
    view = await bench.ledger.session(session())
    assert view
    assert view.repeats == 2


@pytest.mark.parametrize("step", [1, 7, 31, 32, 33, 40, 63, 64, 65, 200])
async def test_the_window_knows_the_last_64_numbers(bench: Bench, step: int) -> None:
    """Whatever the distance between the numbers is: seen, not seen, or too far back."""
    await open_wallet(bench, 1_000)
    seen = [n * step for n in range(1, 14)]
    for number in seen:
        await bench.ledger.charge(call("update", number, use(0, 1)))
    for number in range(max(0, seen[-1] - 70), seen[-1]):
        reply = await bench.ledger.charge(call("update", number, use(0, 1), dry_run=True))
        if number in seen[-8:]:
            assert reply.hit, number
        elif number in seen or number <= seen[-1] - 64:
            assert reply.code is ResultCode.REPEAT_EXPIRED, number
        else:
            assert (reply.code, reply.hit) == (ResultCode.OK, False), number


async def test_numbers_that_fill_gaps_are_seen_too(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    gaps = [0, 63, 31, 32, 1, 62, 33, 30]
    for number in gaps:
        reply = await bench.ledger.charge(call("update", number, use(0, 1)))
        assert not reply.hit
    for number in gaps:
        assert (await bench.ledger.charge(call("update", number, use(0, 1)))).hit, number


async def test_the_window_of_keys_holds_64(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    for number in range(65):
        await bench.ledger.charge(call("update", -1, use(0, 1), request_key=f"key {number}"))

    async def again(number: int) -> Reply:
        key = f"key {number}"
        return await bench.ledger.charge(
            call("update", -1, use(0, 1), request_key=key, dry_run=True)
        )

    assert (await again(64)).hit
    assert (await again(57)).hit
    assert (await again(56)).code is ResultCode.REPEAT_EXPIRED
    assert (await again(1)).code is ResultCode.REPEAT_EXPIRED
    assert (await again(0)).code is ResultCode.OK, "forgotten, hence new"


async def test_a_key_is_not_the_number_that_is_spelled_like_it(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await bench.ledger.charge(call("start", 5, use(0, 10)))
    reply = await bench.ledger.charge(call("update", -1, use(5, 10), request_key="6"))
    assert (reply.code, reply.hit) == (ResultCode.OK, False)
    reply = await bench.ledger.charge(call("update", 6, use(5, 10)))
    assert (reply.code, reply.hit) == (ResultCode.OK, False)


async def test_every_answer_has_a_transaction_of_its_own(bench: Bench) -> None:
    await open_wallet(bench, 100)
    transactions = [
        result_of(await bench.ledger.charge(request)).transaction_id
        for request in (
            call("start", 0, use(0, 60)),
            call("start", 0, use(0, 60), session=session("s2")),
            call("update", 1, use(10, 60)),
            call("release", 2, use(10)),
            call("release", 3, use(10)),
            call("event", 0, use(0, 500), session=session("s3")),
        )
    ]
    assert len(set(transactions)) == 6
    assert all(transactions)


# --- The table of states --------------------------------------------------------------------------


async def put_into(bench: Bench, state: State) -> None:
    """Bring session s1 into a state, with next to no money moved; numbers up to 9 are used."""
    ledger = bench.ledger
    if state is State.REFUSED:
        await ledger.charge(call("start", 0, use(0, 500, minimum_units=500)))
    elif state is not State.NONE:
        await ledger.charge(call("start", 0, use(0, 10)))
    if state is State.IDLE:
        await ledger.charge(call("update", 1, use(0, 500, minimum_units=500)))
    elif state is State.CLOSED:
        await ledger.charge(call("release", 1, use()))
    elif state is State.EXPIRED:
        await bench.set_now(NOW_MS + 3_600_000)
        assert await ledger.expire(session())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.state}-{row.kind}")
@pytest.mark.parametrize("granted", [True, False], ids=["granted", "refused"])
async def test_the_table_of_states(bench: Bench, row: Row, granted: bool) -> None:
    """Each row of `ocs/domain/session.py`: what is settled, what is held, which state follows."""
    await open_wallet(bench, 100)
    await put_into(bench, row.state)
    used = 0 if row.kind is Kind.START else 7
    asks = -1 if row.kind is Kind.RELEASE else 20 if granted else 500
    reply = await bench.ledger.charge(
        call(row.kind, 10, use(used, asks, minimum_units=min(asks, 500)))
    )
    view = await bench.ledger.session(session())
    assert view
    if row.repeats_start:
        assert reply.code is ResultCode.CONFLICT
        assert view.state is row.state
        return
    one_shot = row.kind is Kind.EVENT
    holds = row.holds and granted
    refused = row.holds and not granted
    code = row.code or (ResultCode.NO_CREDIT if refused else ResultCode.OK)
    assert reply.code is code
    assert view.state is (row.refused if refused else row.granted)
    assert result_of(reply).services[0].granted_units == (20 if holds else 0)
    debited = used + (20 if one_shot and holds else 0)
    held = 10 if one_shot and row.state is State.OPEN else 20 if holds and not one_shot else 0
    assert await main(bench) == (100 - debited, held)
    assert result_of(reply).late_start == (
        row.kind is Kind.UPDATE and row.state in (State.NONE, State.REFUSED)
    )
    await bench.check(FAMILY)


@pytest.mark.parametrize("kind", ["update", "release"])
async def test_what_cannot_open_a_session_leaves_no_trace(bench: Bench, kind: str) -> None:
    await open_wallet(bench, 100)
    reply = await bench.ledger.charge(call(kind, 0, use(10, -1, segments=()), can_open=False))
    assert reply == Reply(ResultCode.UNKNOWN_SESSION)
    assert await bench.ledger.session(session()) is None
    assert await main(bench) == (100, 0)


async def test_a_wallet_that_is_not_there_is_an_unknown_subscriber(bench: Bench) -> None:
    await bench.set_now(NOW_MS)
    reply = await bench.ledger.charge(call("start", 0, use(0, 10)))
    assert reply == Reply(ResultCode.UNKNOWN_SUBSCRIBER)
    assert await bench.ledger.balance(FAMILY) is None


async def test_a_service_whose_price_comes_later_is_settled_from_then_on(bench: Bench) -> None:
    """Timed ones too, which otherwise settle by the old price and then take the new one."""
    await open_wallet(bench, 100)
    reply = await bench.ledger.charge(call("start", 0, use(0, 10, timed=1, segments=())))
    assert reply.code is ResultCode.NO_RATE
    reply = await bench.ledger.charge(call("update", 1, use(7, 10, timed=1)))
    assert reply.code is ResultCode.OK
    assert result_of(reply).services[0].settled_amount == 7
    assert await main(bench) == (93, 10)


async def test_sessions_at_once_are_counted_for_the_whole_wallet(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    limits = ChargeLimits(max_sessions=2)

    async def start(name: str, number: int, account: str = "ann") -> ResultCode:
        key = session(name, account)
        reply = await bench.ledger.charge(
            call("start", number, use(0, 10), session=key, limits=limits)
        )
        return reply.code

    assert await start("s1", 0) is ResultCode.OK
    assert await start("s2", 0, "bob") is ResultCode.OK
    assert await start("s3", 0) is ResultCode.LIMIT_REACHED
    reply = await bench.ledger.charge(call("event", 0, use(0, 1), session=session("e")))
    assert reply.code is ResultCode.OK, "a one-shot event opens nothing"
    await bench.ledger.charge(call("release", 1, use(), session=session("s2", "bob")))
    assert await start("s3", 0) is ResultCode.LIMIT_REACHED, "the same number stays refused"
    assert await start("s3", 1) is ResultCode.OK
    balance = await bench.ledger.balance(FAMILY)
    assert balance
    assert balance.open_sessions == 2


# --- Time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timed", "granted", "validity_s", "silence_s"),
    [
        (1, 60, 300, 600),
        (1, 600, 300, 600 + 180 + 60),
        (1, 60, 10, 60 + 180 + 60),
        (0, 600, 300, 600),
        (0, 60, 10, 20),
    ],
)
async def test_the_deadline(
    bench: Bench, timed: int, granted: int, validity_s: int, silence_s: int
) -> None:
    await open_wallet(bench, 1_000)
    limits = ChargeLimits(validity_s=validity_s)
    await bench.ledger.charge(call("start", 0, use(0, granted, timed=timed), limits=limits))
    await bench.set_now(NOW_MS + silence_s * 1000 - 1)
    assert not await bench.ledger.expire(session())
    await bench.set_now(NOW_MS + silence_s * 1000)
    assert await bench.ledger.expire(session())
    assert not await bench.ledger.expire(session())
    assert not await bench.ledger.expire(session("never seen"))
    assert await main(bench) == (1_000, 0)
    await bench.check(FAMILY)


@pytest.mark.parametrize(
    ("at_ms", "pays"),
    [(NOW_MS - 1, False), (NOW_MS, True), (NOW_MS + 999, True), (NOW_MS + 1_000, False)],
)
async def test_a_bucket_is_valid_from_inclusive_until_exclusive(
    bench: Bench, at_ms: int, pays: bool
) -> None:
    second = units_bucket("second", valid_from_ms=NOW_MS, valid_until_ms=NOW_MS + 1_000)
    await open_wallet(bench, 100, second)
    payers = (Payer("second", 1, 1), MAIN_PAYER)
    await bench.ledger.charge(call("start", 0, use(0, 10, payers=payers), event_ms=at_ms))
    assert await numbers(bench, "second") == (100, 10 if pays else 0)
    await bench.ledger.charge(
        call("event", 0, use(10, payers=payers), event_ms=at_ms, session=session("e"))
    )
    assert await numbers(bench, "second") == (90 if pays else 100, 10 if pays else 0)


async def test_time_does_not_run_backwards_in_a_wallet(bench: Bench) -> None:
    """A store that took over with a slower clock must not find deadlines far away."""
    await open_wallet(bench, 1_000)
    await bench.set_now(NOW_MS + 1_000_000)
    await bench.ledger.charge(call("start", 0, use(0, 10), session=session("s2")))
    await bench.set_now(NOW_MS)
    await bench.ledger.charge(call("start", 0, use(0, 10)))
    view = await bench.ledger.session(session())
    assert view
    assert view.deadline_ms == NOW_MS + 1_000_000 + 600_000


async def test_a_switch_falls_where_it_happens(bench: Bench) -> None:
    """Unit k of a timed service is used at answer + k seconds, whatever the report's time is."""
    await open_wallet(bench, 10_000)
    schedule = (segment(price(1)), segment(price(10), NOW_MS + 5_000))
    expected = {1: 1, 5: 5, 6: 15, 20: 5 + 150}
    for used, amount in expected.items():
        key = session(f"used {used}")
        reply = await bench.ledger.charge(
            call(
                "release",
                0,
                use(used, -1, timed=1, segments=schedule),
                session=key,
                answer_ms=NOW_MS,
                event_ms=NOW_MS + 60_000,
            )
        )
        assert result_of(reply).services[0].settled_amount == amount, used


# --- Dry runs, parking, reading -------------------------------------------------------------------


async def test_a_dry_run_has_no_transaction_and_leaves_nothing(bench: Bench) -> None:
    await open_wallet(bench, 100)
    dry = result_of(await bench.ledger.charge(call("start", 0, use(0, 60), dry_run=True)))
    assert dry.transaction_id == ""
    assert await bench.ledger.session(session()) is None
    assert await main(bench) == (100, 0)
    real = result_of(await bench.ledger.charge(call("start", 0, use(0, 60))))
    assert msgspec.structs.replace(real, transaction_id="") == dry


async def test_an_event_is_parked_once(bench: Bench) -> None:
    await open_wallet(bench, 0)
    first = await bench.ledger.park(UNRATED, session(), "1", b"entry")
    assert await bench.ledger.park(UNRATED, session(), "1", b"again") == first
    others = [
        await bench.ledger.park(UNRATED, session(), "2", b"entry"),
        await bench.ledger.park(UNRATED, session("s2"), "1", b"entry"),
        await bench.ledger.park(LATE, session(), "1", b"entry"),
    ]
    assert all(others)
    assert first not in others[:2]


async def test_a_session_can_be_looked_at(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await bench.ledger.charge(call("start", 0, use(0, 60, timed=1)))
    reply = await bench.ledger.charge(
        call("update", 1, use(10, 20, timed=1), event_ms=NOW_MS + 10_000)
    )
    view = await bench.ledger.session(session())
    assert view
    assert view.state is State.OPEN
    assert (view.opened_ms, view.answer_ms) == (NOW_MS, NOW_MS)
    assert (view.elapsed_units, view.granted_units, view.charged_amount) == (10, 20, 10)
    assert [(h.rating_group, h.bucket, h.amount) for h in view.holds] == [("0", "main", 20)]
    assert view.last == reply.result
    assert await bench.ledger.sessions("demo", 10) == [view]
    assert await bench.ledger.sessions("another tenant", 10) == []


async def test_what_is_free_is_granted_without_money(bench: Bench) -> None:
    await open_wallet(bench, 0, units_bucket("minutes"))
    payers = (Payer("minutes", 1, 1), MAIN_PAYER)
    reply = await bench.ledger.charge(call("start", 0, use(0, 60, FREE, free=1, payers=payers)))
    assert reply.code is ResultCode.NOT_CHARGED
    assert result_of(reply).services[0].granted_units == 60
    reply = await bench.ledger.charge(
        call("event", 0, use(0, 5, FREE, free=1, payers=payers), session=session("e"))
    )
    assert reply.code is ResultCode.NOT_CHARGED
    assert await numbers(bench, "minutes") == (100, 0)


@pytest.mark.parametrize(
    ("kind", "state_keep_s"),
    [
        ("release", "closed_keep_s"),
        ("event", "event_keep_s"),
        ("start", "refused_keep_s"),
        ("expire", "closed_keep_s"),
        ("update", None),
    ],
)
async def test_in_the_store_sessions_that_are_over_fade(
    store_server: EmbeddedStore, kind: str, state_keep_s: str | None
) -> None:
    """The store itself drops their records, by its own clock; open ones stay for ever."""
    async with real_bench(store_server.url) as bench:
        await open_wallet(bench, 100)
        if kind == "expire":
            await bench.ledger.charge(call("start", 0, use(0, 10)))
            await bench.set_now(NOW_MS + 3_600_000)
            assert await bench.ledger.expire(session())
        else:
            asks = 500 if kind == "start" else 10 if kind == "update" else -1
            await bench.ledger.charge(call(kind, 0, use(0, asks, minimum_units=500)))
        (record,) = await bench.keys("*}s:*")
        left_ms = await bench.connection.execute("PTTL", record)
        keep_ms = getattr(ChargeLimits(), state_keep_s) * 1000 if state_keep_s else -1
        assert isinstance(left_ms, int)
        assert left_ms == keep_ms or keep_ms - 60_000 < left_ms <= keep_ms

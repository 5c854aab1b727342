"""Commands and charges that are sent and waited for together: each has the fate of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    ConnectionSettings,
    LinkLimits,
    ReplyError,
    StoreUnavailable,
)
from ocs.adapters.valkey.connection import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.adapters.valkey.pipeline import Counters, Pipeline, Replies, pack
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_BUCKET
from ocs.usecases.ports import (
    ChargeCall,
    CreditCall,
    OutcomeUnknown,
    Reply,
    SessionKey,
    WalletDefinition,
)
from tests.adapters import calls
from tests.adapters.test_ledger_faults import (
    AWAY,
    GONE,
    LOST,
    ScriptedConnection,
    Step,
    call,
    ledger,
)
from tests.together import outcomes


def commands(*texts: str) -> list[bytes]:
    return [pack(tuple(text.split())) for text in texts]


async def replies_of(asked: Replies | None) -> list[object]:
    assert asked is not None
    return await asked


# --- Commands ------------------------------------------------------------------------------------


async def test_replies_stand_in_the_order_of_their_commands(store: Connection) -> None:
    before = store.execute("INCR", "number")
    together = store.execute_all(commands("INCR number", "NONSENSE", "INCR number"))
    after = store.execute("INCR", "number")
    first, wrong, second = await replies_of(together)
    assert (await before, first, second, await after) == (1, 2, 3, 4)
    assert isinstance(wrong, ReplyError), "the fault of one is in its place"


async def test_all_leave_in_one_write(store: Connection) -> None:
    batches = store.counters.batches
    await replies_of(store.execute_all(commands("PING", "PING", "PING")))
    assert store.counters.batches == batches + 1


async def test_what_was_sent_is_unknown_and_what_was_not_is_not_executed() -> None:
    link = Pipeline(LinkLimits(), Counters())
    transport = _Transport()
    link.connection_made(transport)
    sent = link.send_all(commands("PING", "PING"))
    await asyncio.sleep(0)
    unsent = link.send_all(commands("PING"))
    link.data_received(b"+PONG\r\n")
    link.give_up("the link broke")
    pong, unknown = await replies_of(sent)
    (refused,) = await replies_of(unsent)
    assert pong == b"PONG"
    assert isinstance(unknown, StoreOutcomeUnknown)
    assert isinstance(refused, StoreUnavailable)
    assert link.send_all(commands("PING")) is None, "the link is lost"


async def test_nobody_may_be_waiting_any_more(store: Connection) -> None:
    together = store.execute_all(commands("INCR number", "INCR number"))
    assert together is not None
    together.cancel()
    assert await store.execute("GET", "number") == b"2"


@pytest.mark.parametrize("limits", [LinkLimits(waiting_commands=2), LinkLimits(waiting_bytes=60)])
async def test_what_does_not_fit_is_not_taken(
    store_server: EmbeddedStore, limits: LinkLimits
) -> None:
    settings = ConnectionSettings(limits=limits)
    async with Connection(store_server.url, settings=settings) as connection:
        assert connection.execute_all(commands(*["PING"] * 5)) is None
        assert len(await replies_of(connection.execute_all(commands("PING", "PING")))) == 2


async def test_close_answers_what_was_asked_together(store_server: EmbeddedStore) -> None:
    connection = Connection(store_server.url)
    connection.start()
    await connection.wait_connected(5)
    together = connection.execute_all(commands("PING", "PING"))
    await connection.close()
    assert together is not None
    assert together.done()
    assert connection.execute_all(commands("PING")) is None


class _Transport(asyncio.Transport):
    def write(self, data: object) -> None:
        """Lose it."""

    def abort(self) -> None:
        """Nothing is open."""


# --- Charges -------------------------------------------------------------------------------------


class Together(ScriptedConnection):
    """Answers what is sent together from one list, and what is sent again from the other."""

    def __init__(self, together: Sequence[Step] | None, *steps: Step) -> None:
        super().__init__(*steps)
        self.together = together

    def execute_all(self, commands: Sequence[bytes]) -> Replies | None:
        if self.together is None:
            return None
        replies = Replies(len(commands), asyncio.get_running_loop())
        replies.set_result(list(self.together))
        return replies


def named(session: str) -> ChargeCall:
    key = SessionKey("demo", "alice", "alice", session)
    return msgspec.structs.replace(call(), session=key)


CALLS = [named(name) for name in ("s1", "s2", "s3")]
EXPIRED = b"REPEAT_EXPIRED"


def codes(replies: Sequence[Reply | Exception]) -> list[ResultCode | type]:
    return [one.code if isinstance(one, Reply) else type(one) for one in replies]


async def test_each_charge_has_its_own_reply() -> None:
    connection = Together([GONE, EXPIRED, b"NO_WALLET"])
    assert codes(await outcomes(await ledger(connection).charge_all(CALLS))) == [
        ResultCode.UNKNOWN_SESSION,
        ResultCode.REPEAT_EXPIRED,
        ResultCode.UNKNOWN_SUBSCRIBER,
    ]


@pytest.mark.parametrize("fault", [AWAY, LOST, ReplyError("LOADING", "not now")])
async def test_a_charge_that_meets_a_fault_is_sent_again(fault: Exception) -> None:
    connection = Together([GONE, fault, GONE], EXPIRED)
    assert codes(await outcomes(await ledger(connection).charge_all(CALLS))) == [
        ResultCode.UNKNOWN_SESSION,
        ResultCode.REPEAT_EXPIRED,
        ResultCode.UNKNOWN_SESSION,
    ]


async def test_a_charge_that_meets_a_fault_is_waited_for_by_itself() -> None:
    first, again, last = await ledger(Together([GONE, AWAY, GONE], EXPIRED)).charge_all(CALLS)
    assert isinstance(first, Reply)
    assert isinstance(last, Reply)
    assert not isinstance(again, Reply)
    assert codes(await outcomes([again])) == [ResultCode.REPEAT_EXPIRED]


async def test_a_charge_that_stays_unknown_keeps_nothing_from_the_others() -> None:
    connection = Together([LOST, GONE, ReplyError("ERR", "a bug in the script")], LOST)
    replies = await outcomes(await ledger(connection, patience_s=0.0).charge_all(CALLS))
    assert codes(replies) == [OutcomeUnknown, ResultCode.UNKNOWN_SESSION, ReplyError]


async def test_the_rare_replies_are_understood_too() -> None:
    definition = msgspec.msgpack.encode((2, 1, "EUR", 0, '[{"bucket":"main"}]'))
    overflow = ReplyError("ERR", "AMOUNT_OVERFLOW script: f")
    connection = Together([b"STALE", overflow, GONE], definition)
    stale, too_large, _ = await outcomes(await ledger(connection).charge_all(CALLS))
    assert isinstance(stale, Reply)
    assert stale.stale is not None
    assert stale.stale.buckets == (MAIN_BUCKET,)
    assert codes([too_large]) == [ResultCode.RATING_FAILED]


async def test_the_time_of_all_runs_from_when_they_were_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = iter([0.0, 1.0, 1.0, 1.0])
    monkeypatch.setattr("ocs.adapters.valkey.ledger.monotonic_s", lambda: next(now_s))
    replies = await outcomes(
        await ledger(Together([LOST, LOST, LOST]), patience_s=0.5).charge_all(CALLS)
    )
    assert codes(replies) == [OutcomeUnknown] * 3, "none is sent again"


async def test_what_cannot_be_sent_together_is_sent_alone() -> None:
    connection = Together(None, GONE, EXPIRED, GONE)
    assert codes(await outcomes(await ledger(connection).charge_all(CALLS))) == [
        ResultCode.UNKNOWN_SESSION,
        ResultCode.REPEAT_EXPIRED,
        ResultCode.UNKNOWN_SESSION,
    ]


async def test_a_charge_that_cannot_be_written_keeps_nothing_from_the_others() -> None:
    bad = msgspec.structs.replace(CALLS[1], event_ms="never")
    connection = Together([], GONE, EXPIRED)
    first, bug, last = codes(
        await outcomes(await ledger(connection).charge_all([CALLS[0], bad, CALLS[2]]))
    )
    assert (first, last) == (ResultCode.UNKNOWN_SESSION, ResultCode.REPEAT_EXPIRED)
    assert isinstance(bug, type)
    assert issubclass(bug, Exception)


@pytest.fixture
async def real(store_server: EmbeddedStore) -> AsyncIterator[ValkeyLedger]:
    library = assemble()
    async with Connection(store_server.url, library=library) as connection:
        await connection.execute("FLUSHALL")
        yield ValkeyLedger(connection, 256, library)


async def test_on_the_store_they_are_what_single_charges_are(real: ValkeyLedger) -> None:
    definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
    assert await real.define(calls.FAMILY, definition)
    await real.credit(CreditCall(wallet=calls.FAMILY, bucket="main", amount=120, reference="r"))
    starts = [
        calls.call("start", 0, calls.use(0, 60), session=calls.session(name)) for name in "abc"
    ]
    replies = await outcomes(await real.charge_all([*starts, starts[0]]))
    assert codes(replies) == [ResultCode.OK] * 2 + [ResultCode.NO_CREDIT, ResultCode.OK]
    for start, reply in zip(starts, replies, strict=False):
        assert isinstance(reply, Reply)
        assert await real.charge(start) == msgspec.structs.replace(reply, hit=True)

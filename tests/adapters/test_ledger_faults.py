"""What the ledger does when the store fails: sent again, given up, or told as unknown.

The faults are scripted; that the connection raises them where it should is tested with the
connection, and that nothing is charged twice or lost, with real processes in tests/acceptance.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from ocs.adapters.valkey.connection import Connection, ReplyError, StoreOverloaded, StoreUnavailable
from ocs.adapters.valkey.connection import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_BUCKET, MAIN_ONLY
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    CreditCall,
    LedgerUnavailable,
    OutcomeUnknown,
    Segment,
    ServiceCall,
    SessionKey,
    WalletDefinition,
    WalletKey,
)
from tests.adapters import calls

ALICE = WalletKey("demo", "alice")
Step = Exception | bytes


def price(whole: int) -> msgspec.Raw:
    """One row: `whole` money units for each unit."""
    return calls.segment(calls.price(whole)).ladder


def call(used: int = 0, ask: int = 60, whole: int = 1_000) -> ChargeCall:
    service = ServiceCall(
        "0", used, ask, ask, 1, 1, 0, "49", MAIN_ONLY, (Segment(0, price(whole), "[]"),)
    )
    return ChargeCall(
        session=SessionKey("demo", "alice", "alice", "s1"),
        kind=Kind.START,
        request_number=0,
        request_key="",
        fingerprint="f",
        wallet_version=0,
        event_ms=1_800_000_000_000,
        answer_ms=0,
        answered=False,
        dry_run=False,
        can_open=True,
        limits=ChargeLimits(),
        services=(service,),
    )


class ScriptedConnection(Connection):
    """Answers each sending with the next step; counts what it was asked to do between."""

    def __init__(self, *steps: Step, connected: bool = True) -> None:
        super().__init__("unix:///nowhere.sock")
        self.steps = list(steps)
        self.is_connected = connected
        self.loads = 0
        self.waits = 0

    @property
    def connected(self) -> bool:
        return self.is_connected

    def execute(self, *_arguments: object) -> asyncio.Future:  # type: ignore[type-arg]
        future = asyncio.get_running_loop().create_future()
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            future.set_exception(step)
        else:
            future.set_result(step)
        return future

    def execute_packed(self, command: bytes) -> asyncio.Future:  # type: ignore[type-arg]
        return self.execute(command)

    async def ensure_loaded(self) -> None:
        self.loads += 1

    async def wait_connected(self, timeout_s: float) -> None:
        self.waits += 1
        if not self.steps:
            raise StoreUnavailable("still not connected")
        assert timeout_s >= 0


def ledger(connection: Connection, patience_s: float = 5.0) -> ValkeyLedger:
    return ValkeyLedger(connection, 256, assemble(), patience_s=patience_s)


GONE = b"UNKNOWN_SESSION"
LOST = StoreOutcomeUnknown("the link was cut")
AWAY = StoreUnavailable("not connected")


async def test_a_missing_library_is_loaded_and_the_call_sent_again() -> None:
    connection = ScriptedConnection(ReplyError("ERR", "Function not found"), GONE)
    assert (await ledger(connection).charge(call())).code is ResultCode.UNKNOWN_SESSION
    assert connection.loads == 1


@pytest.mark.parametrize("code", ["LOADING", "TRYAGAIN", "MOVED", "CLUSTERDOWN", "READONLY"])
async def test_what_was_not_executed_is_sent_again(code: str) -> None:
    connection = ScriptedConnection(ReplyError(code, "not now"), ReplyError(code, "not now"), GONE)
    assert (await ledger(connection).charge(call())).code is ResultCode.UNKNOWN_SESSION


@pytest.mark.parametrize("code", ["OOM", "BUSY", "NOREPLICAS", "MISCONF"])
async def test_a_store_that_cannot_take_it_is_told_at_once(code: str) -> None:
    connection = ScriptedConnection(ReplyError(code, "no"))
    with pytest.raises(LedgerUnavailable):
        await ledger(connection).charge(call())


async def test_a_full_queue_is_told_at_once() -> None:
    with pytest.raises(LedgerUnavailable):
        await ledger(ScriptedConnection(StoreOverloaded("too many wait"))).charge(call())


@pytest.mark.parametrize("fault", [AWAY, LOST])
async def test_a_link_that_is_back_already_is_used_at_once(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Of many calls that met the fault together, only the first has to wait for the link."""

    async def sleeps(_pause_s: float) -> None:
        raise AssertionError("there is nothing to wait for")

    monkeypatch.setattr("ocs.adapters.valkey.ledger.asyncio.sleep", sleeps)
    connection = ScriptedConnection(fault, GONE, connected=True)
    assert (await ledger(connection).charge(call())).code is ResultCode.UNKNOWN_SESSION
    assert connection.waits == 0


async def test_a_lost_answer_is_asked_for_again_after_the_reconnect() -> None:
    connection = ScriptedConnection(LOST, GONE, connected=False)
    assert (await ledger(connection).charge(call())).code is ResultCode.UNKNOWN_SESSION
    assert connection.waits == 1


async def test_a_store_that_stays_away_is_unavailable() -> None:
    connection = ScriptedConnection(AWAY, connected=False)
    with pytest.raises(LedgerUnavailable):
        await ledger(connection, patience_s=0.0).charge(call())


async def test_what_may_have_been_done_stays_unknown_whatever_comes_after() -> None:
    for second in (ReplyError("OOM", "no"), StoreOverloaded("too many wait")):
        connection = ScriptedConnection(LOST, second)
        with pytest.raises(OutcomeUnknown):
            await ledger(connection, patience_s=0.05).charge(call())


async def test_a_hung_store_is_given_up_in_the_end() -> None:
    connection = ScriptedConnection(*[LOST] * 1_000)
    with pytest.raises(OutcomeUnknown):
        await ledger(connection, patience_s=0.05).charge(call())


async def test_the_time_of_a_call_runs_from_when_it_was_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls that are begun together are waited for one after another; all have one time limit."""
    now_s = iter([0.0, 0.0, 1.0])
    monkeypatch.setattr("ocs.adapters.valkey.ledger.monotonic_s", lambda: next(now_s))
    connection = ScriptedConnection(LOST, LOST, connected=False)
    books = ledger(connection, patience_s=0.5)
    charges = [books.charge(call()), books.charge(call())]
    for charge in charges:
        now_s = iter([1.0])
        with pytest.raises(OutcomeUnknown):
            await charge
    assert connection.waits == 0


async def test_an_error_of_the_script_is_a_bug_and_is_raised() -> None:
    connection = ScriptedConnection(ReplyError("ERR", "user_function:1: nil script: on @f:1."))
    with pytest.raises(ReplyError):
        await ledger(connection).charge(call())


async def test_new_definitions_are_read_after_a_lost_answer_too() -> None:
    definition = msgspec.msgpack.encode((2, 1, "EUR", 0, '[{"bucket":"main"}]'))
    connection = ScriptedConnection(LOST, b"STALE")
    connection.steps.append(definition)
    reply = await ledger(connection).charge(call())
    assert reply.stale is not None
    assert (reply.stale.version, reply.stale.buckets) == (2, (MAIN_BUCKET,))


# --- On the real store ----------------------------------------------------------------------------


@pytest.fixture
async def real(store_server: EmbeddedStore) -> AsyncIterator[ValkeyLedger]:
    library = assemble()
    async with Connection(store_server.url, library=library) as connection:
        await connection.execute("FLUSHALL")
        yield ValkeyLedger(connection, 256, library)


async def test_an_amount_too_large_is_refused_and_nothing_is_written(real: ValkeyLedger) -> None:
    definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
    assert await real.define(ALICE, definition)
    await real.credit(CreditCall(wallet=ALICE, bucket="main", amount=5, reference="r"))
    before = await real.balance(ALICE)
    reply = await real.charge(call(used=2**40, ask=0, whole=2**40))
    assert reply.code is ResultCode.RATING_FAILED
    assert await real.balance(ALICE) == before
    assert await real.session(call().session) is None


async def test_a_flushed_library_is_loaded_again(
    real: ValkeyLedger, store_server: EmbeddedStore
) -> None:
    async with Connection(store_server.url) as other:
        await other.execute("FUNCTION", "FLUSH")
    definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
    assert await real.define(ALICE, definition)


async def test_the_sessions_of_a_tenant_are_listed(real: ValkeyLedger) -> None:
    definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
    assert await real.define(ALICE, definition)
    await real.credit(CreditCall(wallet=ALICE, bucket="main", amount=10**9, reference="r"))
    for number in range(5):
        key = SessionKey("demo", "alice", "alice", f"s{number}")
        await real.charge(msgspec.structs.replace(call(), session=key))
    assert len(await real.sessions("demo", 100)) == 5
    assert len(await real.sessions("demo", 2)) == 2
    assert await real.sessions("other", 100) == []
    assert await real.balance(WalletKey("demo", "nobody")) is None

"""When sessions may expire, and when it is better to wait."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat

import pytest

from ocs.usecases.expiry import Expiry, ExpiryLimits, Standing
from ocs.usecases.ports import (
    ChargeCall,
    CreditCall,
    CreditReply,
    DebitCall,
    DebitReply,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    ReverseCall,
    ReverseReply,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)

VALIDITY_S = 300
NOW_MS = 1_800_000_000_000


class DueSessions:
    """A ledger with nothing but sessions that are due; all other calls are bugs."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.waiting: dict[int, list[SessionKey]] = {}
        self.still_valid: set[str] = set()
        self.fault: Exception | None = None
        self.fault_of_due: Exception | None = None
        self.asked: list[tuple[int, int]] = []

    async def open_sessions(self) -> int:
        raise NotImplementedError

    async def store_ms(self) -> int:
        if self.fault:
            raise self.fault
        return self.now_ms

    async def due(self, partition: int, limit: int) -> list[SessionKey]:
        self.asked.append((partition, limit))
        if fault := self.fault or self.fault_of_due:
            raise fault
        return self.waiting.get(partition, [])[:limit]

    async def expire(self, session: SessionKey) -> bool:
        if self.fault:
            raise self.fault
        if session.session_id in self.still_valid:
            return False
        for sessions in self.waiting.values():
            if session in sessions:
                sessions.remove(session)
        return True

    async def charge(self, call: ChargeCall) -> Reply:
        raise AssertionError(call)

    async def charge_all(self, calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        raise AssertionError(calls)

    async def credit(self, call: CreditCall) -> CreditReply:
        raise AssertionError(call)

    async def reverse(self, call: ReverseCall) -> ReverseReply:
        raise AssertionError(call)

    async def debit(self, call: DebitCall) -> DebitReply:
        raise AssertionError(call)

    async def define(self, wallet: WalletKey, definition: WalletDefinition) -> bool:
        raise AssertionError(wallet, definition)

    async def balance(self, wallet: WalletKey) -> WalletBalance | None:
        raise AssertionError(wallet)

    async def session(self, key: SessionKey) -> SessionView | None:
        raise AssertionError(key)

    async def sessions(self, tenant: str, limit: int) -> list[SessionView]:
        raise AssertionError(tenant, limit)

    async def park(self, stream: str, key: SessionKey, request: str, entry: bytes) -> str:
        raise AssertionError(stream, key, request, entry)


def session(name: str) -> SessionKey:
    return SessionKey("demo", "alice", "alice", name)


def clock(*times_ms: int) -> Callable[[], int]:
    """Tell these times, and then the last one for ever."""
    times: Iterator[int] = chain(times_ms, repeat(times_ms[-1]))
    return lambda: next(times)


@pytest.fixture
def ledger() -> DueSessions:
    return DueSessions()


class Losses:
    count = 0

    def __call__(self) -> int:
        return self.count


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def expiry(ledger: DueSessions, losses: Losses) -> Expiry:
    return Expiry(ledger, ExpiryLimits(validity_s=VALIDITY_S, batch=2), losses)


async def prepared(expiry: Expiry, at_s: float) -> Standing:
    return await expiry.prepare(clock(NOW_MS), at_s)


async def test_nothing_expires_in_the_first_validity(expiry: Expiry) -> None:
    assert await prepared(expiry, 1000.0) is Standing.WAITING
    assert await prepared(expiry, 1000.0 + VALIDITY_S - 1) is Standing.WAITING
    assert await prepared(expiry, 1000.0 + VALIDITY_S) is Standing.SWEEPING


async def test_a_lost_store_starts_the_wait_anew(expiry: Expiry, losses: Losses) -> None:
    await prepared(expiry, 0.0)
    assert await prepared(expiry, 400.0) is Standing.SWEEPING
    losses.count += 1
    assert await prepared(expiry, 410.0) is Standing.WAITING
    assert await prepared(expiry, 709.0) is Standing.WAITING
    assert await prepared(expiry, 710.0) is Standing.SWEEPING


@pytest.mark.parametrize("fault", [LedgerUnavailable("away"), OutcomeUnknown("no answer")])
async def test_the_wait_begins_when_the_store_answers_again(
    expiry: Expiry, ledger: DueSessions, fault: Exception
) -> None:
    await prepared(expiry, 0.0)
    ledger.fault = fault
    assert await prepared(expiry, 400.0) is Standing.STORE_AWAY
    assert await expiry.sweep(0, 500.0) is Standing.STORE_AWAY
    ledger.fault = None
    assert await prepared(expiry, 799.0) is Standing.WAITING
    assert await prepared(expiry, 800.0) is Standing.SWEEPING


@pytest.mark.parametrize(
    ("store_ms", "before_ms", "after_ms", "difference_ms", "standing"),
    [
        (NOW_MS, NOW_MS, NOW_MS, 0, Standing.SWEEPING),
        (NOW_MS + 30_000, NOW_MS, NOW_MS, 30_000, Standing.SWEEPING),
        (NOW_MS + 30_001, NOW_MS, NOW_MS, 30_001, Standing.CLOCKS_DIFFER),
        (NOW_MS - 30_001, NOW_MS, NOW_MS, -30_001, Standing.CLOCKS_DIFFER),
        # The answer took a minute: the store's clock agrees with some moment of it.
        (NOW_MS + 45_000, NOW_MS, NOW_MS + 60_000, 0, Standing.SWEEPING),
        (NOW_MS + 90_001, NOW_MS, NOW_MS + 60_000, 30_001, Standing.CLOCKS_DIFFER),
        # Our own clock was set back meanwhile.
        (NOW_MS, NOW_MS, NOW_MS - 90_000, 0, Standing.SWEEPING),
    ],
)
async def test_clocks_that_differ_stop_it(  # noqa: PLR0917 -- a table
    expiry: Expiry,
    ledger: DueSessions,
    store_ms: int,
    before_ms: int,
    after_ms: int,
    difference_ms: int,
    standing: Standing,
) -> None:
    await prepared(expiry, 0.0)
    ledger.now_ms = store_ms
    assert await expiry.prepare(clock(before_ms, after_ms), 400.0) is standing
    assert expiry.clock_difference_ms == difference_ms


async def test_a_batch_of_one_partition_expires_and_is_counted(
    expiry: Expiry, ledger: DueSessions
) -> None:
    ledger.waiting = {7: [session("a"), session("b"), session("c")], 8: [session("d")]}
    assert await expiry.sweep(7, 0.0) is Standing.SWEEPING
    assert ledger.asked == [(7, 2)]
    assert ledger.waiting == {7: [session("c")], 8: [session("d")]}
    assert expiry.expired == 2


async def test_what_the_store_does_not_let_expire_is_not_counted(
    expiry: Expiry, ledger: DueSessions
) -> None:
    ledger.waiting = {0: [session("a"), session("b")]}
    ledger.still_valid = {"a"}
    await expiry.sweep(0, 0.0)
    assert expiry.expired == 1
    assert ledger.waiting == {0: [session("a")]}

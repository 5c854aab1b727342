"""The two ledgers behind one face, so that one suite, one scenario, one machine drives both.

    bench       the fixture: first the reference ledger, then the real one on a real server
    Bench       a ledger whose clock the test holds in its hand

The real ledger's clock is one of its Lua files; here another text stands in its place, which reads
a key of the store. Everything else of the library is what production runs.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.functions import FunctionLibrary, assemble
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.domain.session import State
from ocs.usecases.ports import Ledger, WalletKey
from ocs.usecases.verification import verify
from tests.adapters.reference_ledger import ReferenceLedger

CLOCK_KEY = "test:now_ms"
CLOCK_LUA = f"""
local function store_ms()
  return tonumber(redis.call('GET', '{CLOCK_KEY}'))
end

local function ms_of()
  return store_ms()
end
"""
PARTITIONS = 4
EVERYTHING = 1_000_000


class Bench(Protocol):
    """A ledger, its clock, and its books open for inspection."""

    name: str

    @property
    def ledger(self) -> Ledger: ...

    async def set_now(self, now_ms: int) -> None: ...

    async def check(self, wallet: WalletKey) -> None:
        """Assert the invariants of `docs/design.md` 2.8, as far as they can be seen here."""
        ...


class ReferenceBench:
    name = "reference"

    def __init__(self) -> None:
        self.ledger = ReferenceLedger(forgets=False)

    async def set_now(self, now_ms: int) -> None:
        self.ledger.now_ms = now_ms

    async def check(self, wallet: WalletKey) -> None:
        self.ledger.check_invariants()
        await check_books(self.ledger, wallet)


class RealBench:
    name = "real"

    def __init__(self, connection: Connection, library: FunctionLibrary) -> None:
        self.connection, self.library = connection, library
        self.ledger = ValkeyLedger(connection, PARTITIONS, library)

    async def set_now(self, now_ms: int) -> None:
        await self.connection.execute("SET", CLOCK_KEY, now_ms)

    async def keys(self, pattern: str) -> list[bytes]:
        """The names of the records that the store keeps."""
        found = await self.connection.execute("KEYS", pattern)
        assert isinstance(found, list)
        return [name for name in found if isinstance(name, bytes)]

    async def check(self, wallet: WalletKey) -> None:
        """What `ocs verify` checks, and what the port shows of it."""
        report = await verify(ValkeyBooks(self.connection))
        assert report.clean, report.findings
        await check_books(self.ledger, wallet)


async def check_books(ledger: Ledger, wallet: WalletKey) -> None:
    """Per bucket: credited = left + debited, and held = what open sessions hold."""
    found = await ledger.balance(wallet)
    assert found
    views = await ledger.sessions(wallet.tenant, EVERYTHING)
    views = [view for view in views if view.key.wallet_group == wallet.wallet_group]
    held = Counter[str]()
    for view in views:
        for hold in view.holds:
            held[hold.bucket] += hold.amount
    live = [view for view in views if view.state in (State.OPEN, State.IDLE)]
    assert found.open_sessions == len(live)
    for bucket in found.balances:
        assert bucket.credited == bucket.left + bucket.debited, bucket
        assert bucket.held == held[bucket.bucket], (bucket, held)


def bench_library(overrides: dict[str, str] | None = None) -> FunctionLibrary:
    """The library with the test's clock, and with whatever else a test replaces."""
    return assemble({"clock.lua": CLOCK_LUA, **(overrides or {})})


@asynccontextmanager
async def real_bench(url: str, overrides: dict[str, str] | None = None) -> AsyncIterator[RealBench]:
    library = bench_library(overrides)
    async with Connection(url, library=library) as connection:
        await connection.execute("FLUSHALL")
        bench = RealBench(connection, library)
        await bench.set_now(0)
        yield bench


@pytest.fixture(params=["reference", "real"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """One test, two ledgers."""
    if request.param == "reference":
        yield ReferenceBench()
        return
    async with real_bench(request.getfixturevalue("store_server").url) as real:
        yield real

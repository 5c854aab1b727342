"""Alice, the store, and what lies parked in it: events charged as ever, and runs that settle.

The store is a real one, by the clock of this machine: what is settled here goes through the very
journal in which it is looked up.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from ocs.adapters.clock import wall_ms
from ocs.adapters.reels.reading import Journal
from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.journal import ValkeyStream
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.adapters.valkey.parked import ValkeyParked
from ocs.bootstrap.parked_journal import StoreJournal
from ocs.domain.events import Event
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.usecases.addresses import session_address
from ocs.usecases.answer import Answer
from ocs.usecases.parked import ParkedStore, SettledUse
from ocs.usecases.parked_groups import Gatherer
from ocs.usecases.parked_judging import Judge, Quiet
from ocs.usecases.parked_settling import Dropping, ParkedRun
from ocs.usecases.parked_summary import ParkedSummary
from ocs.usecases.paying import Payers
from ocs.usecases.ports import ChargeLimits, SessionKey
from ocs.usecases.preparing import Preparer
from ocs.usecases.verification import verify
from tests.domain.decks import generation
from tests.usecases.charging_desk import CENT, PRICES, STANDARD, Desk, told

PARTITIONS = 4
MINUTE = 6 * CENT
HOUR_MS = 3_600_000
NO_PRICES = generation()


@dataclass
class Shelf:
    """Implements `ParkedOutput` in memory."""

    chunks: dict[str, Sequence[SettledUse]] = field(default_factory=dict)

    def has(self, chunk: str) -> bool:
        return chunk in self.chunks

    def put(self, chunk: str, rows: Sequence[SettledUse]) -> None:
        assert chunk not in self.chunks
        self.chunks[chunk] = rows

    @property
    def rows(self) -> list[SettledUse]:
        return [row for rows in self.chunks.values() for row in rows]


class Scene:
    """`desk` charges alice's events; `run` settles what is parked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.library = assemble()
        self.ledger = ValkeyLedger(connection, PARTITIONS, self.library)
        self.now_ms = wall_ms()
        self.desk = Desk(self.ledger, now_ms=self.now_ms)
        self.shelf = Shelf()

    session = SessionKey("demo", "alice", "alice", "s1")

    def event(self, kind: str, number: int, **fields: Any) -> Event:
        """An event of now, or of so long ago (`ago_s`) as its client says."""
        ago_ms = 1_000 * fields.pop("ago_s", 0)
        at_ms = self.now_ms - ago_ms
        clamped_ms = max(at_ms, self.now_ms - 300_000)
        plain = {
            "event_ms": clamped_ms,
            "reported_ms": at_ms,
            "time_flag": clamped_ms != at_ms,
            **fields,
        }
        return told(kind, number, **plain)

    async def charge(self, kind: str, number: int, **fields: Any) -> Answer:
        return await self.desk.charge(self.event(kind, number, **fields))

    async def park_again(self, event: Event) -> None:
        """Park an event of alice as if it could not be charged."""
        entry = msgspec.json.encode((event, msgspec.Raw(b"{}")))
        key = replace(self.session, session_id=event.session_id)
        await self.ledger.park("unrated", key, f"again {event.request_number}", entry)

    def store(self) -> ParkedStore:
        return ValkeyParked(self.connection, PARTITIONS, self.library)

    def parked_run(
        self,
        store: ParkedStore | None = None,
        *,
        plan: Plan = STANDARD,
        tariffs: Generation = PRICES,
        quiet_s: int = 0,
        drop: Dropping | None = None,
        files: Journal | None = None,
    ) -> ParkedRun:
        store = store or self.store()
        directory = self.desk._directory
        judge = Judge(
            store=store,
            gatherer=Gatherer(Payers(directory, {plan.name: plan})),
            preparer=Preparer(ChargeLimits(), {}),
            generation=tariffs,
            quiet=Quiet(quiet_s, 2 * quiet_s),
        )
        stream = ValkeyStream(self.connection, PARTITIONS, "test")
        return ParkedRun(
            store=store,
            journal=StoreJournal(stream, lambda: files),
            judge=judge,
            output=self.shelf,
            dropping=drop or Dropping(),
            moved=lambda _: None,
        )

    async def run(self, *, later_s: int = 0, **options: Any) -> ParkedSummary:
        """Settle, by a clock that is so much later, and look whether the books are right."""
        store: Any = self.store()
        now_ms = await store.store_ms()

        async def store_ms() -> int:
            return int(now_ms) + 1_000 * later_s

        store.store_ms = store_ms
        run = self.parked_run(store, **options)
        assert await run.run("shelf", moves=False)
        report = await verify(ValkeyBooks(self.connection))
        assert report.clean, report.findings
        return run.tally.summary(0.0)

    async def forget(self, session_id: str = "s1") -> None:
        """Have the ledger forget a session of alice, as it does after an hour."""
        key = session_address(replace(self.session, session_id=session_id))
        gone = 0
        for partition in range(PARTITIONS):
            reply = await self.connection.execute("DEL", f"{{p{partition:03d}}}s:{key}")
            assert isinstance(reply, int)
            gone += reply
        assert gone == 1

    async def waiting(self) -> dict[str, int]:
        return {name: n for name, n in (await self.store().waiting()).items() if n}

    async def main(self) -> int:
        return (await self.desk.main())[0]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Scene]:
    async with Connection(url, library=assemble()) as connection:
        await connection.execute("FLUSHALL")
        yield Scene(connection)


def told_of(rows: Sequence[SettledUse]) -> list[tuple[str, str, int, int]]:
    """Of each row its session, what became of it, its units and what was debited."""
    return sorted(
        (row.use.session_id, row.use.dropped or row.use.settled.value, row.units, row.amount)
        for row in rows
    )


async def park_call(scene: Scene, *used: int, session_id: str = "s1", **fields: Any) -> None:
    """A call that nobody is there to pay for: a start, updates, and the last report releases."""
    said = {"session_id": session_id, **fields}
    await scene.charge("start", 0, **said)
    for number, units in enumerate(used, 1):
        kind = "release" if number == len(used) else "update"
        answer = await scene.charge(kind, number, used=units, **said)
        assert not answer.settled

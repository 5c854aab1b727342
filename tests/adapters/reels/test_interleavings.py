"""Whatever happens in whatever order: at the end each entry is on disk once, in its order, and the
checkpoint is what they come to."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.reels.reading import open_journal
from ocs.usecases.draining import Drainer, DrainRules, Standing
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from tests.adapters.reels.files import entry, moves_of
from tests.adapters.reels.memory_stream import MemoryStore, MemoryStream

if TYPE_CHECKING:
    from ocs.usecases.journal import RawEntry

PARTITIONS = (3, 17)
LIMITS = ReelLimits(reel_bytes=500, reel_age_ms=5_000)
RULES = DrainRules(partitions=18, keep_ms=50, checkpoint_ms=100)

adds = st.tuples(st.just("add"), st.sampled_from(PARTITIONS), st.integers(1, 4))
passes = st.tuples(st.just("pass"), st.just(0), st.integers(0, 8))
# At which call, and how many bytes of what was not committed are lost by it.
kills = st.tuples(st.just("kill"), st.integers(1, 14), st.integers(0, 250))
faults = st.tuples(st.just("fault"), st.just(0), st.integers(1, 12))
histories = st.lists(adds | passes | kills | faults, min_size=5, max_size=40)


class Killed(BaseException):
    """As no handler would catch it."""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.added: dict[int, list[RawEntry]] = {n: [] for n in PARTITIONS}
        self.calls = 0
        self.fault_at = 0
        self.kill_at = 0
        self.number = 0
        self.reels = ReelFolder(folder, LIMITS, moves_of)
        self.start()

    def start(self) -> None:
        self.number += 1
        self.store.until_ms = 0
        self.reels.close()
        self.reels = ReelFolder(self.folder, LIMITS, moves_of)
        stream = MemoryStream(self.store, str(self.number), self.before)
        self.drainer = Drainer(stream, self.reels, RULES, lambda: 0.0)

    def before(self, name: str) -> None:
        self.calls += 1
        if self.calls == self.kill_at:
            raise Killed
        if self.calls == self.fault_at:
            raise OutcomeUnknown(name) if self.calls % 2 else LedgerUnavailable(name)

    def add(self, partition: int, count: int) -> None:
        for _ in range(count):
            made = entry(len(self.added[partition]) + 1, f"demo/{'ab'[count % 2]}")
            self.added[partition].append(made)
            self.store.add(partition, made)

    async def kill(self, call: int, torn: int) -> None:
        """Kill it at the n-th call of a pass that has something to do, and tear the reels' ends."""
        for partition in PARTITIONS:
            self.add(partition, 1 + torn % 3)
        self.kill_at = self.calls + call
        with contextlib.suppress(Killed):
            await self.pass_once()
        self.kill_at = 0
        journal = open_journal(self.folder)
        for partition in PARTITIONS:
            reels = sorted((self.folder / f"{partition:03d}").glob("0*"))
            if reels and journal:
                counts = journal.heads.of(partition)
                least = counts.length if int(reels[-1].name) == counts.reel else 0
                os.truncate(reels[-1], max(least, reels[-1].stat().st_size - torn))
        self.start()

    async def pass_once(self) -> None:
        self.store.now_ms += 60
        if await self.drainer.begin() is Standing.DRAINING:
            for partition in PARTITIONS:
                await self.drainer.drain(partition)
        await self.drainer.conclude()

    def check(self) -> None:
        journal = open_journal(self.folder)
        assert journal is not None
        assert audit(self.folder).damages == ()
        for partition, entries in self.added.items():
            assert list(journal.history(partition)) == entries
            left = dict(moves_of(record) for _, record in entries)
            assert journal.checkpoint(partition).wallets == {
                wallet: {bucket: (n, held)} for wallet, ((bucket, n, held),) in left.items()
            }


@pytest.mark.slow
@settings(max_examples=150)
@given(histories)
async def test_each_entry_once_in_its_order(history: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name) / "journal")
        for act, partition, number in history:
            match act:
                case "add":
                    world.add(partition, number)
                case "pass":
                    await world.pass_once()
                case "kill":
                    await world.kill(partition, number)
                case _:
                    world.fault_at = world.calls + number
        world.fault_at = 0
        for _ in range(4):
            world.store.now_ms += 1_000
            await world.pass_once()
        assert world.drainer.stopped == {}
        world.check()
        world.reels.close()

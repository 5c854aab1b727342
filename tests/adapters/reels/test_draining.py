"""The drainer between a stream in memory and real files."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.folder import ReelFolder
from ocs.adapters.reels.reading import open_journal
from ocs.usecases import draining
from ocs.usecases.draining import Drainer, DrainRules, Standing
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.shedding import StoreMemory
from tests.adapters.reels.files import LARGE, entries, entry, moves_of, opened, reel, written
from tests.adapters.reels.memory_stream import MemoryStore, MemoryStream
from tests.adapters.store import Hours

PARTITIONS = 20
RULES = DrainRules(partitions=PARTITIONS, keep_ms=1_000, checkpoint_ms=1_000)


class Desk:
    """One drainer after the other on one folder and one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.hours = Hours()
        self.reels: ReelFolder | None = None
        self.count = 0

    def hire(
        self, before: Callable[[str], None] = lambda _: None, rules: DrainRules = RULES
    ) -> Drainer:
        """Start a drainer; the former one is dead by then, and its lease is over."""
        self.dismiss()
        self.store.until_ms = 0
        self.count += 1
        self.reels = ReelFolder(self.folder, LARGE, moves_of)
        stream = MemoryStream(self.store, f"drainer {self.count}", before)
        return Drainer(stream, self.reels, rules, self.hours)

    def dismiss(self) -> None:
        if self.reels is not None:
            self.reels.close()

    def add(self, first: int, last: int, partition: int = 17) -> None:
        for each in entries(first, last):
            self.store.add(partition, each)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path / "journal")
    yield one
    one.dismiss()


async def whole_pass(drainer: Drainer) -> bool:
    behind = False
    if await drainer.begin() is Standing.DRAINING:
        for partition in range(PARTITIONS):
            behind |= await drainer.drain(partition)
    return await drainer.conclude() or behind


async def test_a_pass(desk: Desk) -> None:
    desk.add(1, 10)
    desk.add(1, 3, partition=2)
    drainer = desk.hire()
    assert not await whole_pass(drainer)
    assert written(desk.folder) == entries(1, 10)
    assert written(desk.folder, 2) == entries(1, 3)
    # All are older than a second, in a checkpoint, and so no longer in the stream.
    assert desk.store.streams == {17: [], 2: []}
    status = desk.store.status
    assert status is not None
    assert (status.standing, status.reason, status.stopped) == ("draining", "", 0)
    assert (status.drained, status.trimmed, status.lag_entries) == (13, 13, 0)
    assert (status.lag_ms, status.at_ms, status.reels) == (10_000 - 1_001, 10_000, 2)
    desk.add(11, 12)
    await whole_pass(drainer)
    assert written(desk.folder) == entries(1, 12)


async def test_an_idle_store_has_no_files(desk: Desk) -> None:
    drainer = desk.hire()
    await whole_pass(drainer)
    assert drainer.standing is Standing.DRAINING
    assert [path.name for path in desk.folder.iterdir() if path.is_dir()] == []


async def test_what_is_young_stays_in_the_store(desk: Desk) -> None:
    desk.add(1, 10)
    desk.store.now_ms = 2_006  # entry n is of 1_000 + n
    await whole_pass(desk.hire())
    assert desk.store.streams[17] == entries(6, 10)


async def test_what_is_in_no_checkpoint_stays_in_the_store(desk: Desk) -> None:
    drainer = desk.hire()
    desk.add(1, 5)
    await whole_pass(drainer)
    desk.add(6, 10)
    desk.store.now_ms += 500
    await whole_pass(drainer)
    assert desk.store.streams[17] == entries(6, 10)
    desk.store.now_ms += 500
    await whole_pass(drainer)
    await whole_pass(drainer)
    assert desk.store.streams[17] == []


async def test_short_of_memory_the_store_keeps_less(desk: Desk) -> None:
    """The older half of what is kept leaves with every pass, and a checkpoint is due for it."""
    rules = DrainRules(partitions=PARTITIONS, keep_ms=100_000, checkpoint_ms=1_000_000)
    drainer = desk.hire(rules=rules)
    desk.store.now_ms = 41_000  # entry n is of 1_000 + n
    desk.add(1, 10)
    await whole_pass(drainer)
    desk.add(25_001, 25_010)
    await whole_pass(drainer)
    assert len(desk.store.streams[17]) == 20, "there is room, and they are young"
    desk.store.memory = StoreMemory(used_bytes=7_000, limit_bytes=10_000)
    desk.store.now_ms += 1_000
    await whole_pass(drainer)
    assert desk.store.streams[17] == entries(25_001, 25_010)
    assert desk.store.status is not None
    assert desk.store.status.keep_ms == 20_499, "half of what the oldest entry is old"
    assert written(desk.folder) == [*entries(1, 10), *entries(25_001, 25_010)]


async def test_no_pass_takes_too_many_checkpoints(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait longest come first, so with traffic everywhere none is left behind."""
    monkeypatch.setattr(draining, "CHECKPOINTS", 3)
    drainer = desk.hire()
    for number in range(1, 5):
        for partition in range(9):
            desk.add(number, number, partition)
        desk.store.now_ms += 2_000
        await whole_pass(drainer)
        assert desk.reels is not None
        taken = [desk.reels.checkpoint(partition).entries for partition in range(9)]
        assert taken == [
            *[4 if number == 4 else 1] * 3,
            *[2 if number >= 2 else 0] * 3,
            *[3 if number >= 3 else 0] * 3,
        ]


async def test_a_backlog_takes_several_passes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "BATCH", 4)
    monkeypatch.setattr(draining, "CHECKPOINT_STEP", 6)
    desk.add(1, 10)
    desk.add(1, 2, partition=2)
    desk.add(1, 3, partition=19)
    drainer = desk.hire()
    assert await whole_pass(drainer)
    assert desk.store.status is not None
    assert desk.store.status.lag_entries == 6
    passes = 1
    while await whole_pass(drainer):
        passes += 1
    assert 2 <= passes <= 4
    assert written(desk.folder) == entries(1, 10)
    for _ in range(3):
        desk.store.now_ms += 1_000
        await whole_pass(drainer)
    assert desk.store.streams == {17: [], 2: [], 19: []}


# --- Faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["take", "state", "claim", "read", "trim", "tell"])
@pytest.mark.parametrize("fault", [LedgerUnavailable("away"), OutcomeUnknown("lost")])
async def test_the_store_goes_away(desk: Desk, call: str, fault: Exception) -> None:
    broken = [call]

    def before(name: str) -> None:
        if name in broken:
            raise fault

    desk.add(1, 10)
    drainer = desk.hire(before)
    await whole_pass(drainer)
    assert drainer.standing is Standing.STORE_AWAY
    assert drainer.reason == str(fault)
    broken.clear()
    await whole_pass(drainer)
    await whole_pass(drainer)
    assert (drainer.standing, drainer.reason) == (Standing.DRAINING, "")
    assert written(desk.folder) == entries(1, 10)
    assert desk.store.streams[17] == []


async def test_the_disk_is_full_and_has_room_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    desk.add(1, 10)
    drainer = desk.hire()
    for call in ("fdatasync", "write"):
        with monkeypatch.context() as context:
            context.setattr(os, call, full)
            for _ in range(2):
                await whole_pass(drainer)
                assert drainer.standing is Standing.FILES_UNUSABLE
        status = desk.store.status
        assert status is not None
        assert (status.standing, status.at_ms) == ("files_unusable", 0)
        assert "No space left" in status.reason
        assert status.faults > 0
        assert len(desk.store.streams[17]) == 10
    await whole_pass(drainer)
    assert (drainer.standing, drainer.reason) == (Standing.DRAINING, "")
    assert written(desk.folder) == entries(1, 10)


async def test_entries_that_were_never_written_are_gone(desk: Desk) -> None:
    desk.add(1, 10)
    desk.add(1, 10, partition=2)
    desk.store.streams[17] = entries(4, 10)
    drainer = desk.hire()
    await whole_pass(drainer)
    assert drainer.stopped == {
        17: "3 entries are gone from the stream that were never written",
    }
    assert written(desk.folder) == []
    assert written(desk.folder, 2) == entries(1, 10)  # the others go on
    assert desk.store.streams[17] == entries(4, 10)
    await whole_pass(drainer)
    assert desk.store.status is not None
    assert (desk.store.status.stopped, desk.store.status.faults) == (1, 1)
    assert "never written" in desk.store.status.reason


async def test_an_entry_in_the_middle_is_gone(desk: Desk) -> None:
    desk.add(1, 10)
    await whole_pass(desk.hire())
    desk.add(11, 20)
    desk.store.streams[17].remove(entry(15))
    drainer = desk.hire()
    await whole_pass(drainer)
    assert "1 entries" in drainer.stopped[17]
    desk.store.streams[17].clear()
    desk.add(21, 21)
    desk.store.streams[17].clear()
    drainer = desk.hire()
    await whole_pass(drainer)
    assert list(drainer.stopped) == [17]


async def test_an_entry_is_gone_from_a_stream_that_was_never_trimmed(desk: Desk) -> None:
    """It is missed by counting, when the end is reached; what was read is written all the same."""
    keeping = DrainRules(partitions=PARTITIONS, keep_ms=10_000_000)
    desk.add(1, 10)
    await whole_pass(desk.hire(rules=keeping))
    desk.add(11, 20)
    desk.store.streams[17].remove(entry(15))
    drainer = desk.hire(rules=keeping)
    await whole_pass(drainer)
    assert drainer.stopped == {17: "1 entries were removed from the stream unread"}
    assert written(desk.folder) == [*entries(1, 14), *entries(16, 20)]


async def test_an_entry_goes_while_it_is_read(desk: Desk) -> None:
    desk.add(1, 5)

    def before(name: str) -> None:
        if name == "read":
            desk.store.streams[17].clear()

    drainer = desk.hire(before)
    await whole_pass(drainer)
    assert drainer.stopped == {17: "entries were removed from the stream unread"}


async def test_the_store_has_forgotten(desk: Desk) -> None:
    """As a store that is restored from a copy of an earlier day."""
    desk.add(1, 10)
    await whole_pass(desk.hire())
    earlier = MemoryStore()
    desk.store = earlier
    desk.add(1, 5)
    drainer = desk.hire()
    await whole_pass(drainer)
    assert drainer.stopped == {17: "the store has forgotten 5 entries that are written"}
    desk.store = MemoryStore()
    drainer = desk.hire()
    await whole_pass(drainer)
    assert drainer.stopped == {17: "the store has lost all 10 entries"}
    assert written(desk.folder) == entries(1, 10)


async def test_damaged_reels_stop_a_partition_and_nothing_is_trimmed(desk: Desk) -> None:
    desk.store.now_ms = 1_500
    desk.add(1, 10)
    await whole_pass(desk.hire(rules=DrainRules(partitions=PARTITIONS, checkpoint_ms=10_000_000)))
    desk.add(11, 20)
    data = bytearray(reel(desk.folder).read_bytes())
    data[-1] ^= 1
    reel(desk.folder).write_bytes(data)
    desk.store.now_ms = 20_000
    drainer = desk.hire()
    await whole_pass(drainer)
    assert "damaged" in drainer.stopped[17]
    assert desk.store.streams[17] == entries(1, 20)


# --- One drainer ----------------------------------------------------------------------------------


async def test_another_folder_is_not_begun(desk: Desk, tmp_path: Path) -> None:
    desk.add(1, 10)
    await whole_pass(desk.hire())
    elsewhere = opened(tmp_path / "other")
    drainer = Drainer(MemoryStream(desk.store, "other"), elsewhere, RULES, desk.hours)
    elsewhere.close()
    desk.store.until_ms = 0
    before = desk.store.status
    await whole_pass(drainer)
    assert drainer.standing is Standing.ELSEWHERE
    assert desk.store.folder in drainer.reason
    assert desk.store.status is before
    await drainer.end()


async def test_a_second_one_waits(desk: Desk) -> None:
    desk.add(1, 10)
    first = desk.hire()
    await whole_pass(first)
    other = ReelFolder(desk.folder, LARGE, moves_of)
    second = Drainer(MemoryStream(desk.store, "second"), other, RULES, desk.hours)
    await whole_pass(second)
    assert (second.standing, "in use" in second.reason) == (Standing.WAITING, True)
    desk.dismiss()
    await whole_pass(second)  # the folder is free, the lease is not
    assert (second.standing, "another drainer" in second.reason) == (Standing.WAITING, True)
    await first.end()
    await whole_pass(second)
    assert second.standing is Standing.DRAINING
    other.close()


async def test_who_lost_the_lease_neither_commits_nor_trims(desk: Desk) -> None:
    """It was stopped in mid-pass; another one took over, on a file system without locks."""
    desk.add(1, 10)
    stopped = desk.hire()
    await stopped.begin()
    await stopped.drain(17)
    desk.store.until_ms = 0
    other = ReelFolder(desk.folder, LARGE, moves_of)
    desk.dismiss()
    successor = Drainer(MemoryStream(desk.store, "successor"), other, RULES, desk.hours)
    await successor.begin()
    await successor.drain(17)
    desk.hours.now_s += 60
    await stopped.conclude()
    assert stopped.standing is Standing.WAITING
    assert written(desk.folder) == []
    await successor.conclude()
    assert written(desk.folder) == entries(1, 10)
    other.close()


async def test_a_trim_that_comes_too_late_is_refused(desk: Desk) -> None:
    """The stopped one looked at its watch before it was stopped: only the fence can help."""
    desk.add(1, 10)
    trimmed: list[int] = []

    def before(name: str) -> None:
        if name == "trim":
            trimmed.append(len(desk.store.streams[17]))
            desk.store.fences[17] = 99  # its successor was here

    stopped = desk.hire(before)
    await whole_pass(stopped)
    assert trimmed == [10]
    assert len(desk.store.streams[17]) == 10
    assert stopped.standing is Standing.WAITING


async def test_a_partition_that_a_later_one_has_claimed(desk: Desk) -> None:
    desk.add(1, 10)
    desk.store.fences[17] = 99
    drainer = desk.hire()
    await whole_pass(drainer)
    assert drainer.standing is Standing.WAITING
    assert written(desk.folder) == []


async def test_the_lease_is_renewed_within_a_pass(desk: Desk) -> None:
    calls: list[str] = []
    drainer = desk.hire(calls.append)
    await drainer.begin()
    for partition in range(PARTITIONS):
        desk.hours.now_s += 0.3
        await drainer.drain(partition)
    assert calls.count("take") == 1 + PARTITIONS // 2


async def test_the_end_gives_the_lease_back(desk: Desk) -> None:
    away = False

    def before(_: str) -> None:
        if away:
            raise LedgerUnavailable("away")

    drainer = desk.hire(before)
    await drainer.end()
    assert desk.store.epoch == 0
    await whole_pass(drainer)
    assert desk.store.until_ms > desk.store.now_ms
    await drainer.end()
    assert desk.store.until_ms == 0
    away = True
    await drainer.end()


async def test_checkpoints_and_reels_agree(desk: Desk) -> None:
    desk.add(1, 10)
    await whole_pass(desk.hire())
    journal = open_journal(desk.folder)
    assert journal is not None
    assert journal.checkpoint(17).wallets == {"demo/alice": {"main": (10, 0)}}
    assert audit(desk.folder).damages == ()

"""Entries that have left the store are found in its files, and in no others."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import begin_reversible, journal_folder_id, stream_state
from ocs.adapters.valkey.keys import JOURNAL_KEY, Keys
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.bootstrap.past_entries import MOST_AT_ONCE, PastEntries
from ocs.domain.results import ResultCode
from ocs.usecases.journal import EntryId, JournalStatus, parse_id, spell_id
from ocs.usecases.ports import LedgerUnavailable, ReverseCall, ReverseReply
from tests.adapters.calls import FAMILY, main, open_wallet
from tests.adapters.ledgers import PARTITIONS, RealBench, real_bench
from tests.adapters.test_ledger_adjusted import event
from tests.bootstrap.drained import drain, trim


class Scene:
    """Two events of 10 each, of a wallet of 100, in files only."""

    def __init__(self, bench: RealBench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.connection = bench.connection
        self.transactions: list[str] = []

    async def begin(self) -> None:
        await begin_reversible(self.connection)
        await open_wallet(self.bench, 100)
        for name in ("e1", "e2"):
            await asyncio.sleep(0.005)  # apart by their milliseconds
            self.transactions.append((await event(self.bench, name, 10)).transaction_id)
        await drain(self.connection, PARTITIONS, self.folder)
        await trim(self.connection, PARTITIONS)

    @property
    def partition(self) -> int:
        return int(self.transactions[0].partition("-")[0])

    @property
    def first(self) -> EntryId:
        return parse_id(self.transactions[0].partition("-")[2])

    @property
    def last(self) -> EntryId:
        return parse_id(self.transactions[1].partition("-")[2])

    def past(self, patience_s: float = 1.5) -> PastEntries:
        return PastEntries(self.connection, self.folder, patience_s)

    async def reverse(self, number: int = 0) -> ReverseReply:
        ledger = ValkeyLedger(self.connection, PARTITIONS, self.bench.library)
        ledger.reverse_from(self.past().find)
        call = ReverseCall(wallet=FAMILY, transaction_id=self.transactions[number])
        return await ledger.reverse(call)

    async def is_refused(self) -> None:
        assert (await self.reverse()).code is ResultCode.UNKNOWN_SESSION
        assert await main(self.bench) == (80, 0)

    async def is_put_off(self, why: str) -> None:
        with pytest.raises(LedgerUnavailable, match=why):
            await self.reverse()
        assert await main(self.bench) == (80, 0)

    async def charge_again(self, *names: str) -> None:
        for name in names:
            await event(self.bench, name, 0)


@pytest.fixture
async def scene(store_server: EmbeddedStore, tmp_path: Path) -> AsyncIterator[Scene]:
    async with real_bench(store_server.url) as bench:
        scene = Scene(bench, tmp_path / "journal")
        await scene.begin()
        yield scene


async def test_what_is_in_the_files_is_reversed_once(scene: Scene) -> None:
    first = [await scene.reverse(number) for number in (0, 1)]
    assert [(reply.code, reply.amount, reply.hit) for reply in first] == [
        (ResultCode.OK, 10, False)
    ] * 2
    again = [await scene.reverse(number) for number in (0, 1)]
    assert again == [msgspec.structs.replace(reply, hit=True) for reply in first]
    assert await main(scene.bench) == (100, 0)


async def test_what_was_never_written_is_not_found(scene: Scene) -> None:
    past = scene.past()
    for wanted in ((scene.first[0], 999), (scene.first[0] + 10**9, 0)):
        assert await past.find(scene.partition, wanted) is None
    found = await past.find(scene.partition, scene.first)
    assert found is not None
    assert f"{scene.partition:03d}-{found[0].decode()}" == scene.transactions[0]


async def test_without_files_nothing_is_found(scene: Scene) -> None:
    scene.folder = scene.folder.parent / "elsewhere"
    await scene.is_refused()


async def test_files_of_another_store_do_not_count(scene: Scene) -> None:
    assert await journal_folder_id(scene.connection)
    await scene.connection.execute("HSET", JOURNAL_KEY, "folder", "another")
    await scene.is_refused()


async def test_what_was_written_before_reversals_were_remembered_does_not_count(
    scene: Scene,
) -> None:
    """It may have been reversed, and that may be forgotten."""
    await scene.connection.execute("HSET", JOURNAL_KEY, "reversible_since", scene.first[0] + 1)
    await scene.is_refused()
    await scene.connection.execute("HDEL", JOURNAL_KEY, "reversible_since")
    await scene.is_refused()


async def test_since_when_they_are_is_told_once(scene: Scene) -> None:
    before = await scene.connection.execute("HGET", JOURNAL_KEY, "reversible_since")
    await asyncio.sleep(1.1)
    await begin_reversible(scene.connection)
    after = await scene.connection.execute("HGET", JOURNAL_KEY, "reversible_since")
    assert before == after
    assert isinstance(before, bytes)
    assert int(before) <= scene.first[0]


@pytest.mark.parametrize("form", ["stopped", "another"])
async def test_a_journal_that_somebody_has_to_look_at_does_not_count(
    scene: Scene, form: str
) -> None:
    told = await scene.connection.execute("HGET", JOURNAL_KEY, "status")
    assert isinstance(told, bytes)
    status = msgspec.json.decode(told, type=JournalStatus)
    assert not status.stopped
    stopped = msgspec.json.encode(msgspec.structs.replace(status, stopped=1))
    await scene.connection.execute(
        "HSET", JOURNAL_KEY, "status", stopped if form == "stopped" else '{"other": 1}'
    )
    await scene.is_put_off("has to be looked at")


async def test_a_store_that_was_begun_anew_has_not_charged_it(scene: Scene) -> None:
    await scene.connection.execute("DEL", Keys(scene.partition).journal)
    assert await scene.past().find(scene.partition, scene.first) is None


@pytest.mark.parametrize("lost", ["entries", "the last"])
async def test_a_store_that_is_behind_its_files_is_not_believed(scene: Scene, lost: str) -> None:
    """It was put back to an earlier state, and its drainer has not noticed yet."""
    name = Keys(scene.partition).journal
    last = scene.last if lost == "entries" else (scene.last[0] - 1, 10**9)
    added = 1 if lost == "entries" else 10**6
    assert scene.first[0] < scene.last[0] - 1
    await scene.connection.execute("DEL", name)
    await scene.connection.execute("XADD", name, "1-1", "e", "")
    await scene.connection.execute("XTRIM", name, "MAXLEN", 0)
    await scene.connection.execute("XSETID", name, spell_id(last), "ENTRIESADDED", added)
    with pytest.raises(LedgerUnavailable, match="has to be looked at"):
        await scene.past().find(scene.partition, scene.first)


async def test_what_a_store_has_lost_and_made_up_for_does_not_count(scene: Scene) -> None:
    """It lost its tail, and got as many entries since: it is no further back than its files."""
    name = Keys(scene.partition).journal
    before = spell_id((scene.first[0] - 1, 0))
    await scene.connection.execute("DEL", name)
    await scene.connection.execute("XADD", name, before, "e", "")
    await scene.connection.execute("XSETID", name, before, "ENTRIESADDED", 10)
    await scene.charge_again("e3", "e4", "e5")
    state = await stream_state(scene.connection, scene.partition)
    assert state is not None
    assert state.last > scene.last
    assert await scene.past().find(scene.partition, scene.first) is None


async def test_damaged_files_are_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    reel = scene.folder / f"{scene.partition:03d}" / "00000001"
    data = bytearray(reel.read_bytes())
    data[-1] ^= 1
    reel.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        await scene.is_put_off("damaged")
    assert "cannot be reversed" in caplog.text


async def test_a_folder_that_hangs_keeps_few_waiting_and_none_for_long(scene: Scene) -> None:
    (scene.folder / "heads").unlink()
    os.mkfifo(scene.folder / "heads")  # to be opened when somebody writes
    past = scene.past(patience_s=0.2)
    asked = [past.find(scene.partition, scene.first) for _ in range(MOST_AT_ONCE + 3)]
    faults = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(fault, LedgerUnavailable) for fault in faults)
    why = Counter("too long" in str(fault) for fault in faults)
    assert why == {True: MOST_AT_ONCE, False: 3}
    (scene.folder / "heads").write_bytes(b"")  # the thread ends


async def test_many_at_once_are_found_one_after_another(scene: Scene) -> None:
    past = scene.past()
    asked = [past.find(scene.partition, scene.first) for _ in range(MOST_AT_ONCE)]
    assert len({found for found in await asyncio.gather(*asked) if found}) == 1

"""Entries that have left the store are found in its files, and in no others."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import begin_reversible, journal_folder_id
from ocs.adapters.valkey.keys import JOURNAL_KEY, Keys
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.bootstrap.past_entries import PastEntries
from ocs.domain.results import ResultCode
from ocs.usecases.journal import EntryId, JournalStatus, parse_id
from ocs.usecases.ports import ReverseCall, ReverseReply
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
            self.transactions.append((await event(self.bench, name, 10)).transaction_id)
        await drain(self.connection, PARTITIONS, self.folder)
        await trim(self.connection, PARTITIONS)

    @property
    def partition(self) -> int:
        return int(self.transactions[0].partition("-")[0])

    @property
    def first(self) -> EntryId:
        return parse_id(self.transactions[0].partition("-")[2])

    async def reverse(self, number: int = 0) -> ReverseReply:
        written = PastEntries(self.connection, self.folder).find
        ledger = ValkeyLedger(self.connection, PARTITIONS, self.bench.library, written=written)
        call = ReverseCall(wallet=FAMILY, transaction_id=self.transactions[number])
        return await ledger.reverse(call)

    async def is_refused(self) -> None:
        assert (await self.reverse()).code is ResultCode.UNKNOWN_SESSION
        assert await main(self.bench) == (80, 0)


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
    past = PastEntries(scene.connection, scene.folder)
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


async def test_a_journal_that_somebody_has_to_look_at_does_not_count(scene: Scene) -> None:
    told = await scene.connection.execute("HGET", JOURNAL_KEY, "status")
    assert isinstance(told, bytes)
    status = msgspec.json.decode(told, type=JournalStatus)
    assert not status.stopped
    stopped = msgspec.json.encode(msgspec.structs.replace(status, stopped=1))
    await scene.connection.execute("HSET", JOURNAL_KEY, "status", stopped)
    await scene.is_refused()


@pytest.mark.parametrize("journal", ["gone", "shorter", "older"])
async def test_a_store_that_was_put_back_has_not_charged_it(scene: Scene, journal: str) -> None:
    """Before its drainer has noticed."""
    name = Keys(scene.partition).journal
    if journal == "gone":
        await scene.connection.execute("DEL", name)
    elif journal == "shorter":
        last = scene.first[0] + 60_000
        await scene.connection.execute("XSETID", name, f"{last}-0", "ENTRIESADDED", 1)
    else:
        await scene.connection.execute("DEL", name)
        for number in range(20):
            await scene.connection.execute("XADD", name, f"1-{number + 1}", "e", "")
    await scene.is_refused()


async def test_damaged_files_are_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    reel = scene.folder / f"{scene.partition:03d}" / "00000001"
    data = bytearray(reel.read_bytes())
    data[-1] ^= 1
    reel.write_bytes(data)
    with caplog.at_level(logging.ERROR):
        await scene.is_refused()
    assert "cannot be reversed" in caplog.text
    assert "damaged" in caplog.text

"""CDRs are answered when they are kept, together, and beside everything else."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from ocs.usecases import taking_cdrs
from ocs.usecases.posted_cdrs import Fault, Posted
from ocs.usecases.taking_cdrs import MOST_TOGETHER, Intake, Kept, NoRoom, Outcome, Unreadable


class MemoryFolder:
    """Keeps what fits, and says when it was called."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.batches: list[list[bytes]] = []
        self.tended = 0
        self.tending = threading.Condition()
        self.bug: Exception | None = None
        self.trouble: OSError | None = None
        self.outcomes: dict[bytes, Outcome] = {}
        self.gate = threading.Event()
        self.gate.set()

    def keep(self, batch: Sequence[Posted]) -> list[Outcome]:
        self.gate.wait()
        if self.bug is not None:
            raise self.bug
        self.batches.append([posted.body for posted in batch])
        return [self.outcomes.get(posted.body, Kept(1, 0)) for posted in batch]

    def wait_tended(self, times: int) -> None:
        with self.tending:
            assert self.tending.wait_for(lambda: self.tended >= times, 30)

    def tend(self) -> None:
        with self.tending:
            self.tended += 1
            self.tending.notify_all()
        if self.trouble is not None:
            raise self.trouble


def posted(body: bytes) -> Posted:
    return Posted(tenant="demo", format="ndjson", switch="", body=body)


async def aside(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


@asynccontextmanager
async def taking(folder: MemoryFolder, most_bytes: int = 1_000_000) -> AsyncIterator[Intake]:
    intake = Intake(folder, aside, most_bytes)
    running = asyncio.create_task(intake.run())
    yield intake
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_waits_is_kept_together() -> None:
    folder = MemoryFolder()
    folder.gate.clear()
    async with taking(folder) as intake:
        first = intake.take(posted(b"0"))
        await asyncio.sleep(0.05)
        others = [intake.take(posted(b"%d" % number)) for number in range(MOST_TOGETHER + 5)]
        folder.gate.set()
        assert await first == Kept(1, 0)
        assert set(await asyncio.gather(*others)) == {Kept(1, 0)}
    assert [len(batch) for batch in folder.batches] == [1, MOST_TOGETHER, 5]
    assert intake.received == {"ndjson": MOST_TOGETHER + 6}
    assert intake.waiting_bytes == folder.waiting_bytes


async def test_what_waits_is_bounded() -> None:
    folder = MemoryFolder()
    folder.gate.clear()
    async with taking(folder, most_bytes=5) as intake:
        first = intake.take(posted(b"12345"))
        assert isinstance(await intake.take(posted(b"6")), NoRoom)
        folder.gate.set()
        await first
        assert await intake.take(posted(b"6")) == Kept(1, 0)
    assert intake.refused == {"no_room": 1}


async def test_what_was_not_kept_is_counted() -> None:
    folder = MemoryFolder()
    folder.outcomes = {b"a": Unreadable(Fault(1, "", "why")), b"b": NoRoom("full")}
    async with taking(folder) as intake:
        outcomes = await asyncio.gather(*(intake.take(posted(body)) for body in (b"a", b"b")))
    assert outcomes == [folder.outcomes[b"a"], folder.outcomes[b"b"]]
    assert intake.refused == {"unreadable": 1, "no_room": 1}
    assert not intake.received


async def test_a_bug_is_that_of_its_batch() -> None:
    folder = MemoryFolder()
    async with taking(folder, most_bytes=1) as intake:
        folder.bug = ZeroDivisionError("a bug")
        with pytest.raises(ZeroDivisionError):
            await intake.take(posted(b"a"))
        folder.bug = None
        assert await intake.take(posted(b"b")) == Kept(1, 0)


async def test_the_folder_is_tended_and_its_trouble_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(taking_cdrs, "TEND_S", 0.001)
    folder = MemoryFolder()
    folder.trouble = OSError("the disk is gone")
    with caplog.at_level(logging.ERROR):
        async with taking(folder):
            for wanted in (3, 6, 9):
                await asyncio.to_thread(folder.wait_tended, wanted)
                if wanted == 3:
                    folder.trouble = None
                if wanted == 6:
                    folder.trouble = OSError("the disk is gone again")
    assert ["again" in record.getMessage() for record in caplog.records] == [False, True]

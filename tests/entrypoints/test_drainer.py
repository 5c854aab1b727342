"""The drainer's rhythm, and what it logs."""

import asyncio
import logging
from typing import cast

import pytest

from ocs.entrypoints.drainer import DrainLoop, drain_until
from ocs.usecases.draining import Drainer, DrainRules, Standing
from ocs.usecases.journal import LeaseLost, Reels, Stream

PARTITIONS = 4


class Passes(Drainer):
    """A drainer that does what a test says, and counts."""

    def __init__(self, ending: asyncio.Event) -> None:
        super().__init__(
            stream=cast("Stream", None),  # nothing of it is called
            reels=cast("Reels", None),
            rules=DrainRules(partitions=PARTITIONS),
            monotonic_s=lambda: 0.0,
        )
        self.ending = ending
        self.calls: list[str] = []
        self.most = 3
        self.more = False
        self.next_standing = Standing.DRAINING

    async def begin(self) -> Standing:
        self.calls.append("begin")
        self.standing = self.next_standing
        if self.calls.count("begin") == self.most:
            self.ending.set()
        return self.standing

    async def drain(self, partition: int) -> bool:
        self.calls.append(str(partition))
        return self.more

    async def conclude(self) -> bool:
        self.calls.append("conclude")
        return False

    async def end(self) -> None:
        self.calls.append("end")


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []

    async def nap(ending: asyncio.Event, seconds: float) -> bool:
        taken.append(seconds)
        return ending.is_set()

    monkeypatch.setattr("ocs.entrypoints.drainer._ended_within", nap)
    return taken


async def run(drainer: Passes, period_s: float = 8.0) -> None:
    await DrainLoop(drainer, partitions=PARTITIONS, period_s=period_s).run(drainer.ending)


async def test_a_pass_is_spread_over_its_period(naps: list[float]) -> None:
    drainer = Passes(asyncio.Event())
    await run(drainer)
    whole = ["begin", "0", "1", "2", "3", "conclude"]
    # The last one is told to end when it begins: it commits what it has, and is gone.
    assert drainer.calls == [*whole, *whole, "begin", "0", "conclude", "end"]
    assert naps == [2.0] * 9


async def test_a_backlog_is_drained_without_pauses(naps: list[float]) -> None:
    drainer = Passes(asyncio.Event())
    drainer.more = True
    await run(drainer)
    assert naps == [2.0] * 4


async def test_who_may_not_drain_looks_again_after_a_period(naps: list[float]) -> None:
    drainer = Passes(asyncio.Event())
    drainer.next_standing = Standing.WAITING
    await run(drainer)
    assert drainer.calls == ["begin", "conclude"] * 3 + ["end"]
    assert naps == [8.0] * 3


async def test_what_changes_is_logged_once(
    naps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    drainer = Passes(asyncio.Event())
    loop = DrainLoop(drainer, partitions=PARTITIONS, period_s=8.0)

    async def passes() -> list[tuple[int, str]]:
        caplog.clear()
        for _ in range(2):
            await loop.pass_once(drainer.ending, pause_s=0)
        return [(record.levelno, record.getMessage()) for record in caplog.records]

    drainer.most = 0
    assert await passes() == [(logging.INFO, "journal: draining")]
    drainer.next_standing, drainer.reason = Standing.FILES_UNUSABLE, "no room"
    assert await passes() == [(logging.ERROR, "journal: files_unusable: no room")]
    drainer.next_standing, drainer.reason = Standing.DRAINING, ""
    drainer.stopped = dict.fromkeys(range(7), "a gap")
    told = await passes()
    assert told[0] == (logging.INFO, "journal: draining")
    assert told[1] == (logging.ERROR, "journal: partition 0 stopped: a gap")
    assert len(told) == 1 + 5
    assert naps == [8.0] * 2


async def test_it_ends_in_the_middle_of_a_pause() -> None:
    ending = asyncio.Event()
    drainer = Passes(ending)
    drainer.most = 0
    doing = asyncio.create_task(run(drainer, period_s=3_600.0))
    asyncio.get_running_loop().call_later(0.01, ending.set)
    await asyncio.wait_for(doing, 10)
    assert drainer.calls == ["begin", "0", "conclude", "end"]


@pytest.mark.parametrize("fails", [False, True])
async def test_its_connection_lives_as_long(naps: list[float], *, fails: bool) -> None:
    ending = asyncio.Event()
    drainer = Passes(ending)
    told: list[str] = []

    async def connect() -> None:
        told.append("connect")

    async def disconnect() -> None:
        told.append("disconnect")

    async def broken() -> None:
        raise LeaseLost

    if fails:
        drainer.end = broken  # type: ignore[method-assign]
    loop = DrainLoop(drainer, partitions=PARTITIONS, period_s=1.0)
    if fails:
        with pytest.raises(LeaseLost):
            await drain_until(ending, loop, connect, disconnect)
    else:
        await drain_until(ending, loop, connect, disconnect)
    assert told == ["connect", "disconnect"]
    assert naps

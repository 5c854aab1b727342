"""The look at the store's memory: what it tells, how long it stands, and what it says."""

import asyncio
import logging

import pytest

from ocs.entrypoints import memory_watch as module
from ocs.entrypoints.memory_watch import MOST_MISSED, MemoryWatch
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.shedding import Shed, ShedLevels, StoreMemory

AWAY = LedgerUnavailable("not connected")


class Store:
    """Tells what it is given to tell, the last again and again."""

    def __init__(self, *told: int | Exception, limit: int = 100) -> None:
        self.told = list(told)
        self.limit = limit

    async def ask(self) -> StoreMemory:
        told = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(told, Exception):
            raise told
        return StoreMemory(told, self.limit)


class Bench:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.heard: list[Shed] = []
        self.watch = MemoryWatch(store.ask, ShedLevels(), self.heard.append)

    async def look(self, times: int = 1) -> Shed:
        for _ in range(times):
            await self.watch.look()
        return self.watch.shed


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records]


async def test_changes_are_told_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(Store(20, 75, 75, 90, 84, 80, 69, 20, 20))
    await bench.look(9)
    assert bench.heard == [Shed.STARTS, Shed.ONE_SHOTS, Shed.STARTS, Shed.NOTHING]
    assert said(caplog) == [
        (logging.WARNING, "the store's memory is 75 % full: new calls are turned away"),
        (
            logging.WARNING,
            "the store's memory is 90 % full: new calls and one-shot events are turned away",
        ),
        (logging.WARNING, "the store's memory is 80 % full: new calls are turned away"),
        (logging.INFO, "the store's memory is 20 % full: nothing is turned away for it any more"),
    ]


async def test_what_was_seen_last_is_there_to_be_shown() -> None:
    bench = Bench(Store(75))
    assert bench.watch.memory is None
    await bench.look()
    assert bench.watch.memory == StoreMemory(75, 100)


async def test_a_limit_that_is_taken_away_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(Store(90))
    await bench.look()
    bench.store.limit = 0
    assert await bench.look() is Shed.NOTHING
    assert "without a limit: nothing is turned away" in caplog.text


@pytest.mark.parametrize("fault", [AWAY, OutcomeUnknown("the link was cut")])
async def test_what_was_known_stands_for_a_while(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(Store(90, fault))
    assert await bench.look(MOST_MISSED) is Shed.ONE_SHOTS
    assert bench.watch.memory == StoreMemory(90, 100)
    caplog.clear()
    assert await bench.look() is Shed.NOTHING
    assert bench.watch.memory is None
    assert bench.heard == [Shed.ONE_SHOTS, Shed.NOTHING]
    await bench.look(3 * MOST_MISSED)
    text = f"how full the store is cannot be told, so nothing is shed for it: {fault}"
    assert said(caplog) == [(logging.WARNING, text)]


async def test_misses_between_answers_are_not_added_up() -> None:
    misses = [AWAY] * (MOST_MISSED - 1)
    bench = Bench(Store(90, *misses, 90, *misses))
    assert await bench.look(2 * MOST_MISSED) is Shed.ONE_SHOTS
    assert bench.heard == [Shed.ONE_SHOTS]


async def test_a_store_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang() -> StoreMemory:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(module, "PERIOD_S", 0.001)
    heard: list[Shed] = []
    watch = MemoryWatch(hang, ShedLevels(), heard.append)
    for _ in range(MOST_MISSED):
        await asyncio.wait_for(watch.look(), 10)
    assert "for it: no answer in time" in caplog.text


async def test_it_looks_at_once_and_then_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[tuple[float, Shed]] = []

    async def nap(seconds: float) -> None:
        naps.append((seconds, bench.watch.shed))
        if len(naps) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr("ocs.entrypoints.memory_watch.asyncio.sleep", nap)
    bench = Bench(Store(75, 90))
    with pytest.raises(asyncio.CancelledError):
        await bench.watch.run()
    assert naps == [(1.0, Shed.STARTS), (1.0, Shed.ONE_SHOTS)]

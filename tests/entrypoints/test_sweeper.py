"""The rhythm of the sweeper, and what it says when it may not sweep."""

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from ocs.entrypoints.sweeper import Sweeper, SweepRhythm
from ocs.usecases.expiry import Expiry, ExpiryLimits, Standing
from ocs.usecases.ports import LedgerUnavailable
from tests.usecases.test_expiry import NOW_MS, DueSessions, session

RHYTHM = SweepRhythm(partitions=8, period_s=10.0, workers=2)


class Naps:
    """Sleeping that only counts; ends the test's loop after so many."""

    def __init__(self, most: int = 1000) -> None:
        self.taken: list[float] = []
        self._most = most

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if len(self.taken) > self._most:
            raise asyncio.CancelledError


class Bench:
    """A sweeper on a ledger of due sessions, past the wait of the first validity."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, naps: Naps) -> None:
        self.ledger = DueSessions()
        self.expired: list[int] = []
        self.now_s = 0.0
        self.naps = naps
        monkeypatch.setattr("ocs.entrypoints.sweeper.asyncio.sleep", naps)
        expiry = Expiry(self.ledger, ExpiryLimits(validity_s=60), lambda: 0)
        self.sweeper = Sweeper(
            expiry,
            RHYTHM,
            wall_ms=lambda: NOW_MS,
            monotonic_s=lambda: self.now_s,
            chance=random.Random(7),
            expired=self.expired.append,
        )

    async def past_the_wait(self) -> None:
        await self.sweeper.pass_once()
        self.now_s = 60.0
        self.naps.taken.clear()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[Naps], Bench]:
    return lambda naps: Bench(monkeypatch, naps)


async def test_a_pass_looks_at_every_partition_once_over_the_period(
    make: Callable[[Naps], Bench],
) -> None:
    bench = make(Naps())
    await bench.past_the_wait()
    await bench.sweeper.pass_once()
    first = [partition for partition, _ in bench.ledger.asked]
    assert sorted(first) == list(range(8))
    assert sum(bench.naps.taken) == RHYTHM.period_s * RHYTHM.workers
    assert len(set(bench.naps.taken)) == 1
    await bench.sweeper.pass_once()
    second = [partition for partition, _ in bench.ledger.asked[8:]]
    assert sorted(second) == list(range(8))
    assert first != second


async def test_what_expires_is_told_by_partition(make: Callable[[Naps], Bench]) -> None:
    bench = make(Naps())
    bench.ledger.waiting = {1: [session("a"), session("b")], 5: [session("c")]}
    await bench.past_the_wait()
    await bench.sweeper.pass_once()
    assert sorted(bench.expired) == [1, 2]


async def test_it_waits_a_period_when_nothing_may_expire(make: Callable[[Naps], Bench]) -> None:
    bench = make(Naps())
    await bench.sweeper.pass_once()
    assert bench.sweeper.standing is Standing.WAITING
    assert bench.naps.taken == [RHYTHM.period_s]
    assert bench.ledger.asked == []


async def test_clocks_that_differ_are_told_once_and_stop_it(
    make: Callable[[Naps], Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(Naps())
    await bench.past_the_wait()
    bench.ledger.now_ms = NOW_MS + 31_000
    for _ in range(3):
        await bench.sweeper.pass_once()
    assert bench.sweeper.standing is Standing.CLOCKS_DIFFER
    assert bench.ledger.asked == []
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "31000 ms" in record.getMessage()


async def test_a_store_that_goes_away_ends_the_pass(
    make: Callable[[Naps], Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make(Naps())
    await bench.past_the_wait()
    bench.ledger.fault_of_due = LedgerUnavailable("away")
    await bench.sweeper.pass_once()
    assert bench.sweeper.standing is Standing.STORE_AWAY
    assert len(bench.ledger.asked) == 1
    assert "the store is away" in caplog.text


async def test_it_runs_until_it_is_cancelled(make: Callable[[Naps], Bench]) -> None:
    bench = make(Naps(most=3))
    with pytest.raises(asyncio.CancelledError):
        await bench.sweeper.run()
    assert len(bench.naps.taken) == 4

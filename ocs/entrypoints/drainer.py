"""The drainer's rhythm: one pass over all partitions a period, spread evenly over it.

    period 5 s, 256 partitions: a look every 20 ms, a commit at the end

Spread, because each partition that has something new is synced to the disk on which the store syncs
every answer: a burst would be felt by callers. When more waits than fits into a pass, the next one
follows at once.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ocs.usecases.draining import Drainer, Standing

_log = logging.getLogger(__name__)

_MOST_TOLD: Final = 5
"""Partitions whose trouble is logged; an audit tells them all."""


class DrainLoop:
    """`run` until `ending` is set."""

    def __init__(self, drainer: Drainer, *, partitions: int, period_s: float) -> None:
        self._drainer = drainer
        self._partitions = partitions
        self._period_s = period_s
        self._told = ""
        self._stopped: set[int] = set()

    async def run(self, ending: asyncio.Event) -> None:
        behind = False
        while not ending.is_set():
            behind = await self.pass_once(ending, pause_s=0.0 if behind else self._pause_s())
        await self._drainer.end()

    async def pass_once(self, ending: asyncio.Event, *, pause_s: float) -> bool:
        """Take one pass; whether there is more to do at once."""
        standing, behind = await self._drainer.begin(), False
        if standing is Standing.DRAINING:
            for partition in range(self._partitions):
                behind |= await self._drainer.drain(partition)
                if pause_s and await _ended_within(ending, pause_s):
                    break
        behind |= await self._drainer.conclude()
        self._tell()
        if standing is not Standing.DRAINING:
            await _ended_within(ending, self._period_s)
        return behind

    def _pause_s(self) -> float:
        return self._period_s / self._partitions

    def _tell(self) -> None:
        """Log what has changed."""
        drainer = self._drainer
        told = f"{drainer.standing}: {drainer.reason}" if drainer.reason else drainer.standing
        if told != self._told:
            is_trouble = drainer.standing in (Standing.FILES_UNUSABLE, Standing.STORE_AWAY)
            _log.log(logging.ERROR if is_trouble else logging.INFO, "journal: %s", told)
        self._told = told
        new = sorted(drainer.stopped.keys() - self._stopped)
        for partition in new[:_MOST_TOLD]:
            _log.error("journal: partition %d stopped: %s", partition, drainer.stopped[partition])
        self._stopped = set(drainer.stopped)


async def _ended_within(ending: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ending.wait()
    return ending.is_set()


async def drain_until(
    ending: asyncio.Event,
    loop: DrainLoop,
    connect: Callable[[], Awaitable[None]],
    disconnect: Callable[[], Awaitable[None]],
) -> None:
    """Live from start to end."""
    await connect()
    try:
        await loop.run(ending)
    finally:
        await disconnect()

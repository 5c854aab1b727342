"""The sweeper of a worker: one look at every partition a period, spread evenly over it.

    period 10 s, 256 partitions: one `due` every 39 ms, and nothing to do for most

Every worker looks at all partitions, each in an order of its own and new at every pass: so they do
not meet, a dead worker is not missed, and there is no share-out that could be wrong. With n workers
a pass takes n periods, so that the store is asked as often as by one.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ocs.usecases.expiry import Expiry, Standing

_MESSAGES: Final = {
    Standing.CLOCKS_DIFFER: "sessions do not expire: the store's clock is %d ms from ours",
    Standing.STORE_AWAY: "sessions do not expire: the store is away (clocks %d ms apart before)",
}

_log = logging.getLogger(__name__)


class SweepRhythm(Struct, frozen=True, kw_only=True):
    """How often; `pause_s` is between two partitions, `period_s` between two looks at the clock."""

    partitions: int
    period_s: float
    workers: int = 1

    @property
    def pause_s(self) -> float:
        return self.period_s * self.workers / self.partitions


class Sweeper:
    """`run` until cancelled."""

    def __init__(
        self,
        expiry: Expiry,
        rhythm: SweepRhythm,
        *,
        wall_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        chance: random.Random,
        expired: Callable[[int], None],
    ) -> None:
        """`expired` is told how many sessions expired, after each partition that had some."""
        self.standing = Standing.WAITING
        self._expiry = expiry
        self._rhythm = rhythm
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._chance = chance
        self._expired = expired

    async def run(self) -> None:
        while True:
            await self.pass_once()

    async def pass_once(self) -> None:
        """Take one pass over all partitions, or wait a period when nothing may expire."""
        self._note(await self._expiry.prepare(self._wall_ms, self._monotonic_s()))
        if self.standing is not Standing.SWEEPING:
            await asyncio.sleep(self._rhythm.period_s)
            return
        partitions = list(range(self._rhythm.partitions))
        self._chance.shuffle(partitions)
        for partition in partitions:
            await asyncio.sleep(self._rhythm.pause_s)
            before = self._expiry.expired
            self._note(await self._expiry.sweep(partition, self._monotonic_s()))
            if self._expiry.expired > before:
                self._expired(self._expiry.expired - before)
            if self.standing is not Standing.SWEEPING:
                return

    def _note(self, standing: Standing) -> None:
        if standing is not self.standing and standing in _MESSAGES:
            _log.error(_MESSAGES[standing], self._expiry.clock_difference_ms)
        self.standing = standing

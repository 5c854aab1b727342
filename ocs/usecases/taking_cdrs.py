"""Taking in CDRs that switches post (*intake*): answered when they are on the disk, and not before.

    take ──► waits ─┐
    take ──► waits ─┼──► one batch ──► folder.keep, beside the event loop ──► one sync ──► answers
    take ──► waits ─┘         ▲                                                   │
                              └────────── what came meanwhile is the next ────────┘

A sync takes as long for one CDR as for a hundred, so all that waits goes together. Nothing here
holds up charging: files are written in a thread (`aside`), what waits is bounded, and beyond that
a sender is told to come again. Rejected: the store's journal (CDRs are many kB, and its memory is
for money), a process of its own (it would need a port of its own, and credentials).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from ocs.usecases.posted_cdrs import Fault, Posted

MOST_TOGETHER: Final = 256
"""Bodies of one sync: some MB, so that an answer never waits for very much."""
TEND_S: Final = 1.0
"""How often files are looked at that have been open for long."""

_log = logging.getLogger(__name__)


class Kept(Struct, frozen=True):
    """On the disk: so many entries, of which so many cannot be read."""

    entries: int
    unreadable: int


class Unreadable(Struct, frozen=True):
    """Nothing of it could ever be read; it is kept beside, for people."""

    fault: Fault


class NoRoom(Struct, frozen=True):
    """It was not kept, and the sender is to come again."""

    reason: str


Outcome = Kept | Unreadable | NoRoom


class Folder(Protocol):
    """Where CDRs are kept until they are rated. Called by one thread at a time."""

    @property
    def waiting_bytes(self) -> int:
        """What waits to be rated, of all workers; as it was found a while ago."""
        ...

    def keep(self, batch: Sequence[Posted]) -> list[Outcome]:
        """Judge bodies and put them on the disk, one outcome each."""
        ...

    def tend(self) -> None:
        """Give files to the run that are open for long or were left by the dead; OSError."""
        ...


Aside = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs something that blocks where it holds up nothing, one at a time."""


class Intake:
    """Takes in what is posted to one worker. `run` until cancelled.

    `received` counts entries by format, `refused` bodies by a word.
    """

    def __init__(self, folder: Folder, aside: Aside, most_waiting_bytes: int) -> None:
        self.received: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._folder = folder
        self._aside = aside
        self._most_waiting_bytes = most_waiting_bytes
        self._waiting_bytes = 0
        self._waiting: list[tuple[Posted, asyncio.Future[Outcome]]] = []
        self._wake = asyncio.Event()
        self._is_troubled = False

    @property
    def waiting_bytes(self) -> int:
        """What waits to be rated, of all workers."""
        return self._folder.waiting_bytes

    def take(self, posted: Posted) -> "asyncio.Future[Outcome]":
        """Begin to keep a body. It is finished whether or not anybody waits for the outcome."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        size = len(posted.body)
        if self._waiting_bytes + size > self._most_waiting_bytes:
            self.refused["no_room"] += 1
            future.set_result(NoRoom("too many bodies wait for the disk"))
            return future
        self._waiting_bytes += size
        self._waiting.append((posted, future))
        self._wake.set()
        return future

    async def run(self) -> None:
        """Keep what comes, and tend the folder, for ever."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            if loop.time() >= due_s:
                await self._tend()
                due_s = loop.time() + TEND_S
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.0, due_s - loop.time()))
            except TimeoutError:
                continue
            await self._keep_some()

    async def _keep_some(self) -> None:
        """Keep the oldest that wait."""
        batch = self._waiting[:MOST_TOGETHER]
        del self._waiting[:MOST_TOGETHER]
        if not self._waiting:
            self._wake.clear()
        outcomes: list[Outcome] = []
        bodies = [posted for posted, _ in batch]
        try:
            await self._aside(lambda: outcomes.extend(self._folder.keep(bodies)))
        except Exception as bug:  # noqa: BLE001 -- of these bodies; the next ones are to be kept
            for _, future in batch:
                future.set_exception(bug)
        else:
            for (posted, future), outcome in zip(batch, outcomes, strict=True):
                self._count(posted, outcome)
                future.set_result(outcome)
        finally:
            self._waiting_bytes -= sum(map(len, (posted.body for posted in bodies)))

    def _count(self, posted: Posted, outcome: Outcome) -> None:
        if isinstance(outcome, Kept):
            self.received[posted.format] += outcome.entries
        else:
            self.refused["unreadable" if isinstance(outcome, Unreadable) else "no_room"] += 1

    async def _tend(self) -> None:
        try:
            await self._aside(self._folder.tend)
        except OSError as error:
            if not self._is_troubled:
                _log.error("the folder of the intake cannot be tended: %s", error)
            self._is_troubled = True
        else:
            self._is_troubled = False

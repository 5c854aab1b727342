"""Entries that have left the store, found in the journal's files: what reversals are made of.

The store keeps entries for minutes, so that it stays small and starts fast; the files keep them for
good. They count for a reversal when they are those of this store, on this machine, and the store
still stands where they do: one that was put back to an earlier state has not debited what they say.

    there is none            None: it is a final answer
    it cannot be told now    LedgerUnavailable: the client comes again

Reading takes up to a tenth of a second (a whole reel), and on a share that hangs for ever. So one
thread reads, few wait for it, and none longer than a call may take: reversals of old transactions
never keep charges from a worker's room.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ocs.adapters.reels.reading import Journal, open_journal_of
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.journal import reversible, stream_state
from ocs.usecases.journal import EntryId, RawEntry, ReelFault, StreamState
from ocs.usecases.ports import LedgerUnavailable

MOST_AT_ONCE: Final = 8

_log = logging.getLogger(__name__)


class PastEntries:
    """`folder` is that of the journal; it need not be there."""

    def __init__(self, connection: Connection, folder: Path, patience_s: float = 1.5) -> None:
        self._connection = connection
        self._folder = folder
        self._patience_s = patience_s
        self._reader = ThreadPoolExecutor(1, "past entries")
        self._asked = 0

    async def find(self, partition: int, wanted: EntryId) -> RawEntry | None:
        """Find an entry; None where there is none that counts. Raises `LedgerUnavailable`."""
        if self._asked >= MOST_AT_ONCE:
            raise LedgerUnavailable("too many ask for what has left the store")
        self._asked += 1
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._find(partition, wanted)
        except TimeoutError:
            raise LedgerUnavailable(f"reading {self._folder} takes too long") from None
        except ReelFault as fault:
            _log.error("a transaction cannot be reversed: %s", fault)
            raise LedgerUnavailable(str(fault)) from None
        finally:
            self._asked -= 1

    async def _find(self, partition: int, wanted: EntryId) -> RawEntry | None:
        ours = await reversible(self._connection)
        state = await stream_state(self._connection, partition)
        if ours is None or wanted[0] < ours.since_ms or state is None:
            return None
        if not _has_left(wanted, state):
            return None
        loop = asyncio.get_running_loop()
        journal = await loop.run_in_executor(
            self._reader, open_journal_of, self._folder, ours.folder
        )
        if journal is None:
            return None
        if ours.must_be_looked_at or await self._is_behind(journal, partition):
            raise LedgerUnavailable("the journal has to be looked at first")
        return await loop.run_in_executor(self._reader, journal.find, partition, wanted)

    async def _is_behind(self, journal: Journal, partition: int) -> bool:
        """Whether the store, looked at after its files, is not as far as they are."""
        state, end = await stream_state(self._connection, partition), journal.end(partition)
        return state is None or state.added < end.entries or state.last < end.last


def _has_left(wanted: EntryId, state: StreamState) -> bool:
    """Whether the stream may have had an entry that it does not have: it is behind its beginning.

    One that should still be there was never made by this store as it is now, or it has lost it.
    """
    return wanted < state.first if state.length else wanted <= state.last

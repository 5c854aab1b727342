"""Entries that have left the store, found in the journal's files: what reversals are made of.

The store keeps entries for minutes, so that it stays small and starts fast; the files keep them for
good. They count for a reversal when they are those of this store, on this machine, and the store
still stands where they do: one that was put back to an earlier state has not debited what they say.
"""

import asyncio
import logging
from pathlib import Path

from ocs.adapters.reels.reading import Journal, open_journal
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.journal import reversible_since, stream_state
from ocs.usecases.journal import EntryId, RawEntry, ReelFault

_log = logging.getLogger(__name__)


class PastEntries:
    """`folder` is that of the journal; it need not be there."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._reading = asyncio.Lock()

    async def find(self, partition: int, wanted: EntryId) -> RawEntry | None:
        """Find an entry; None where there is none, or it does not count. LedgerUnavailable.

        One at a time: up to a whole reel is read, in a thread.
        """
        async with self._reading:
            try:
                journal = await asyncio.to_thread(open_journal, self._folder)
                if journal is None or not await self._counts(journal, partition, wanted):
                    return None
                return await asyncio.to_thread(journal.find, partition, wanted)
            except ReelFault as fault:
                _log.error("a transaction cannot be reversed: %s", fault)
        return None

    async def _counts(self, journal: Journal, partition: int, wanted: EntryId) -> bool:
        since_ms = await reversible_since(self._connection, journal.heads.id)
        if since_ms is None or wanted[0] < since_ms:
            return False
        # The files were looked at before, so the store can only be further than they are.
        state, end = await stream_state(self._connection, partition), journal.end(partition)
        return state is not None and state.added >= end.entries and state.last >= end.last

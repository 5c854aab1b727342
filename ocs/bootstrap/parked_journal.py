"""The journal of a store, asked for some of one partition: in its files and in the store.

So ask those who settle parked events, and those who finish an old page of a re-rating.
The stream has what came last, the files what was drained; together they are everything, if the
files are those of this store and have what was trimmed. Where they are on another machine, the
journal is known from the stream's first entry on.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from ocs.adapters.reels.reading import Journal, open_journal_of
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.journal import ValkeyStream, journal_folder_id, posted
from ocs.adapters.valkey.records import decode_moves
from ocs.bootstrap.stores import journal_directory
from ocs.config.settings import Settings
from ocs.usecases.journal import NOWHERE, EntryId, Posted, RawEntry, parse_id
from ocs.usecases.parked_journal import FOR_EVER

_PAGE: Final = 5_000
_LOOKS: Final = 3
"""How often it is begun again because the stream was trimmed meanwhile."""
_NEVER: Final = 2**63 - 1
"""From when on a journal is known that was trimmed each time while it was read."""


async def store_journal(settings: Settings, connection: Connection, reader: str) -> "StoreJournal":
    """Give the journal of a store; its files count if they are on this machine."""
    ours = await journal_folder_id(connection)
    stream = ValkeyStream(connection, settings.ledger.partitions, reader)
    return StoreJournal(stream, lambda: open_journal_of(journal_directory(settings), ours))


class StoreJournal:
    """Implements the port `JournalSource`. `open_files` gives the files that are this store's."""

    def __init__(self, stream: ValkeyStream, open_files: Callable[[], Journal | None]) -> None:
        self._stream = stream
        self._open_files = open_files

    async def read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> int:
        """As `JournalSource.read`."""
        for _ in range(_LOOKS):
            found: list[Posted] = []
            known_ms, is_whole = await self._read(partition, subjects, since_ms, found.append)
            if is_whole:
                for each in found:
                    take(each)
                return known_ms
        return _NEVER

    async def _read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> tuple[int, bool]:
        """Read once; from when on it is known, and whether nothing was trimmed unread meanwhile.

        What goes counts as read only if the files that have it were read this time.
        """
        journal = self._open_files()
        state = await self._stream.state(partition)
        if state is None:
            return FOR_EVER, True
        after: EntryId = NOWHERE
        known_ms = FOR_EVER
        filed = 0
        if state.gone and journal is not None and state.gone <= journal.end(partition).entries:
            filed, after = journal.end(partition).entries, journal.end(partition).last
            _taken(partition, journal.history(partition, (since_ms, 0)), subjects, take)
        elif state.gone:
            known_ms = state.first[0]
        after = max(after, (since_ms, 0))
        while page := await self._stream.read(partition, after, _PAGE):
            after = parse_id(page[-1][0].decode())
            _taken(partition, page, subjects, take)
        later = await self._stream.state(partition)
        is_whole = later is not None and state.gone <= later.gone <= max(state.gone, filed)
        return known_ms, is_whole


def _taken(
    partition: int,
    entries: Iterable[RawEntry],
    subjects: Collection[str],
    take: Callable[[Posted], None],
) -> None:
    for raw in entries:
        if decode_moves(raw[1])[0] in subjects:
            take(posted(partition, raw))

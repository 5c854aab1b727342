"""The journal as who settles parked events asks it: one partition, in files and in the store.

The stream has what came last, the files what was drained; together they are everything, if the
files are those of this store and have what was trimmed. Where they are on another machine, the
journal is known from the stream's first entry on.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from ocs.adapters.reels.reading import Journal
from ocs.adapters.valkey.journal import ValkeyStream, posted
from ocs.adapters.valkey.records import decode_moves
from ocs.usecases.journal import NOWHERE, EntryId, Posted, RawEntry, StreamState, parse_id
from ocs.usecases.parked_journal import FOR_EVER

_PAGE: Final = 5_000
_LOOKS: Final = 3
"""How often it is begun again because the stream was trimmed meanwhile."""
_NEVER: Final = 2**63 - 1
"""From when on a journal is known that was trimmed each time while it was read."""


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
        """Read once; from when on it is known, and whether nothing was trimmed meanwhile."""
        journal = self._open_files()
        state = await self._stream.state(partition)
        if state is None:
            return FOR_EVER, True
        after: EntryId = NOWHERE
        known_ms = FOR_EVER
        if state.gone and journal is not None and state.gone <= journal.end(partition).entries:
            after = journal.end(partition).last
            _taken(partition, journal.history(partition, (since_ms, 0)), subjects, take)
        elif state.gone:
            known_ms = state.first[0]
        after = max(after, (since_ms, 0))
        while page := await self._stream.read(partition, after, _PAGE):
            after = parse_id(page[-1][0].decode())
            _taken(partition, page, subjects, take)
        later = await self._stream.state(partition)
        return known_ms, _is_as_it_was(state, later, journal, partition)


def _is_as_it_was(
    before: StreamState, after: StreamState | None, journal: Journal | None, partition: int
) -> bool:
    """Tell whether nothing was trimmed that was not read from the files."""
    if after is None:
        return False
    if after.gone == before.gone:
        return True
    return journal is not None and after.gone <= journal.end(partition).entries


def _taken(
    partition: int,
    entries: Iterable[RawEntry],
    subjects: Collection[str],
    take: Callable[[Posted], None],
) -> None:
    for raw in entries:
        if decode_moves(raw[1])[0] in subjects:
            take(posted(partition, raw))

"""Reading what counts of a journal, also while its drainer writes on.

Reels never change before their head, and heads are replaced as a whole, so a reader needs no lock:
it reads the heads once, and then what they cover.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ocs.adapters.reels.blocks import (
    REEL_HEAD_BYTES,
    Block,
    DamagedBlock,
    first_chain,
    read_block,
    read_reel_head,
)
from ocs.adapters.reels.heads import Head, Heads, partition_folder, read_heads, reel_path
from ocs.usecases.journal import (
    NOWHERE,
    DamagedReel,
    EntryId,
    Numbers,
    Position,
    RawEntry,
    ReelFault,
    parse_id,
)

CHECKPOINT: Final = "checkpoint"


class Bookmark(Struct, frozen=True):
    """A place between two blocks, from which a partition can be read on."""

    reel: int
    at: int
    chain: str
    entries: int = 0
    last: EntryId = NOWHERE

    @property
    def position(self) -> Position:
        return Position(self.entries, self.last)


class Checkpoint(Struct, frozen=True):
    """The wallets of a partition as its journal says they are, at a place in it."""

    place: Bookmark
    wallets: Numbers


def begin(folder_id: str, partition: int) -> Bookmark:
    """Return the place before everything."""
    return Bookmark(1, REEL_HEAD_BYTES, first_chain(folder_id, partition).hex())


def read_checkpoint(folder: Path, heads: Heads, partition: int) -> Checkpoint:
    """Read the checkpoint of a partition; without one, that nothing was ever there.

    One beyond the head (in a copy of a running journal) does not count either.
    """
    path = partition_folder(folder, partition) / CHECKPOINT
    nothing = Checkpoint(begin(heads.id, partition), {})
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return nothing
    except OSError as error:
        raise ReelFault(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise DamagedReel(f"{path} is damaged: {error}") from None
    return found if found.place.entries <= heads.of(partition).entries else nothing


def read_blocks(
    folder: Path, partition: int, head: Head, start: Bookmark
) -> Iterator[tuple[Block, Bookmark]]:
    """Yield the blocks from a place up to the head, each with the place after it.

    Every one is held against the chain. Raises `ReelFault`.
    """
    chain, entries = bytes.fromhex(start.chain), start.entries
    for number in range(start.reel, head.reel + 1):
        path = reel_path(folder, partition, number)
        at = start.at if number == start.reel else REEL_HEAD_BYTES
        try:
            with path.open("rb") as file:
                until = head.length if number == head.reel else path.stat().st_size
                while at < until:
                    block = read_block(file, at, until, chain)
                    at, chain = block.end, block.chain
                    entries += block.entries
                    yield block, Bookmark(number, at, chain.hex(), entries, block.last)
        except OSError as error:
            raise ReelFault(f"{path} cannot be read: {error.strerror}") from None
        except DamagedBlock as damage:
            raise DamagedReel(f"{path} is damaged at byte {damage.at}: {damage}") from None
    if head.reel and (entries, chain.hex()) != (head.entries, head.chain):
        raise DamagedReel(f"the journal of partition {partition} does not end as its head says")


class Journal:
    """What was written into a folder, as it stood when this was made."""

    def __init__(self, folder: Path, heads: Heads) -> None:
        self.heads = heads
        self.folder = folder

    def end(self, partition: int) -> Position:
        return self.heads.of(partition).position

    def checkpoint(self, partition: int) -> Checkpoint:
        return read_checkpoint(self.folder, self.heads, partition)

    def history(self, partition: int, since: EntryId = NOWHERE) -> Iterator[RawEntry]:
        """Yield all entries of a partition from an id on, and what stands in its reel before it."""
        head = self.heads.of(partition)
        start = begin(self.heads.id, partition)
        if since > NOWHERE and head.reel:
            start = self._start_of(partition, self._reel_with(partition, since))
        blocks = read_blocks(self.folder, partition, head, start)
        return itertools.chain.from_iterable(block.unpack() for block, _ in blocks)

    def find(self, partition: int, wanted: EntryId) -> RawEntry | None:
        """Find one entry."""
        head = self.heads.of(partition)
        if not head.reel or wanted > head.last:
            return None
        start = self._start_of(partition, self._reel_with(partition, wanted))
        for block, _ in read_blocks(self.folder, partition, head, start):
            if wanted <= block.last:
                return next((e for e in block.unpack() if parse_id(e[0].decode()) == wanted), None)
        return None

    def _reel_with(self, partition: int, wanted: EntryId) -> int:
        """Find the reel that may have an entry, by what its neighbours begin with."""
        low, high = 1, self.heads.of(partition).reel
        while low < high:
            middle = (low + high + 1) // 2
            if self._first(partition, middle) <= wanted:
                low = middle
            else:
                high = middle - 1
        return low

    def _start_of(self, partition: int, number: int) -> Bookmark:
        """Return the place before a reel."""
        path = reel_path(self.folder, partition, number)
        try:
            with path.open("rb") as file:
                reel = read_reel_head(file)
        except OSError as error:
            raise ReelFault(f"{path} cannot be read: {error.strerror}") from None
        if reel is None:
            raise DamagedReel(f"{path} is no reel")
        return Bookmark(number, REEL_HEAD_BYTES, reel.chain.hex(), reel.entries)

    def _first(self, partition: int, number: int) -> EntryId:
        path = reel_path(self.folder, partition, number)
        try:
            with path.open("rb") as file:
                reel = read_reel_head(file)
                if reel is None:
                    raise DamagedReel(f"{path} is no reel")
                size = path.stat().st_size
                return read_block(file, REEL_HEAD_BYTES, size, reel.chain).first
        except OSError as error:
            raise ReelFault(f"{path} cannot be read: {error.strerror}") from None
        except DamagedBlock as damage:
            raise DamagedReel(f"{path} is damaged at byte {damage.at}: {damage}") from None


def open_journal(folder: Path) -> Journal | None:
    """Open a folder to read it; None where no journal was ever written. Raises `ReelFault`."""
    heads = read_heads(folder)
    return None if heads is None else Journal(folder, heads)


def open_journal_of(folder: Path, folder_id: str) -> Journal | None:
    """Open a folder if it is the one that a store names; None if not. Raises `ReelFault`."""
    journal = open_journal(folder) if folder_id else None
    return journal if journal is not None and journal.heads.id == folder_id else None

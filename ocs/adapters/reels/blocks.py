"""The form of a reel: a head, then blocks. All numbers are little-endian.

    reel    5 B "OCSJ1", H partition, I number (from 1), Q entries before it, 32 B chain before it
    block   I packed bytes, I plain bytes, I entries, Q Q first id, Q Q last id, 32 B chain,
            then the packed bytes: zlib of, for each entry, B and I lengths, its id, its record

    chain of a block = SHA-256(chain before ‖ numbers of the block ‖ packed bytes)

The chain covers what lies on disk, so it can be checked without unpacking, and every byte is under
it: those of a reel's head are all expected ones. A chain a block and not an entry: an entry is as
safe as its block, and a hash of 32 bytes beside each would be the larger part of the journal.

zlib at its fastest level: of 570 bytes an entry it leaves 26 in a full block and 60 in one of five
entries (measured). zstd would be better and faster, and is not in the standard library.
"""

import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from struct import Struct as Form
from typing import BinaryIO, Final

from msgspec import Struct

from ocs.usecases.journal import EntryId, RawEntry, parse_id

MOST_ENTRIES: Final = 1_000
"""Of one block: what is read for one entry, and what is written anew after a kill."""
_MOST_BYTES: Final = 256 * 2**20
"""A block that says more is damaged: an entry is far below 64 KiB."""
_LEVEL: Final = 1
_MAGIC: Final = b"OCSJ1"
_REEL: Final = Form("<5sHIQ32s")
_NUMBERS: Final = Form("<IIIQQQQ")
_LENGTHS: Final = Form("<BI")
CHAIN_BYTES: Final = 32
REEL_HEAD_BYTES: Final = _REEL.size
BLOCK_HEAD_BYTES: Final = _NUMBERS.size + CHAIN_BYTES


class DamagedBlock(Exception):
    """A block is not what was written.

    `chains` are those that may go on at `end`: the one that it says, and what it comes to; none
    when it cannot be told where it ends.
    """

    def __init__(self, at: int, what: str, end: int = 0, chains: tuple[bytes, ...] = ()) -> None:
        super().__init__(what)
        self.at = at
        self.end = end
        self.chains = chains


class ReelHead(Struct, frozen=True):
    """What a reel says of itself; `entries` and `chain` are those before it."""

    partition: int
    number: int
    entries: int
    chain: bytes

    def encode(self) -> bytes:
        return _REEL.pack(_MAGIC, self.partition, self.number, self.entries, self.chain)


class Block(Struct, frozen=True):
    """A block that is sound; it lies from `at` to `end`."""

    at: int
    end: int
    entries: int
    first: EntryId
    last: EntryId
    chain: bytes
    packed: bytes

    def unpack(self) -> Iterator[RawEntry]:
        """Yield its entries."""
        plain = zlib.decompress(self.packed)
        at, size = 0, _LENGTHS.size
        while at < len(plain):
            id_bytes, record_bytes = _LENGTHS.unpack_from(plain, at)
            id_end = at + size + id_bytes
            end = id_end + record_bytes
            yield plain[at + size : id_end], plain[id_end:end]
            at = end


def first_chain(folder: str, partition: int) -> bytes:
    """Begin a chain: no reel of another folder or partition fits into it."""
    return sha256(f"ocs journal {folder} {partition}".encode()).digest()


def read_reel_head(file: BinaryIO) -> ReelHead | None:
    """Read from the beginning; None when it is no reel."""
    data = file.read(REEL_HEAD_BYTES)
    if len(data) < REEL_HEAD_BYTES:
        return None
    magic, *fields = _REEL.unpack(data)
    return ReelHead(*fields) if magic == _MAGIC else None


def make_block(entries: Sequence[RawEntry], chain: bytes) -> tuple[bytes, bytes]:
    """Write a block behind a chain; the block and the chain after it."""
    parts: list[bytes] = []
    for entry_id, record in entries:
        parts += (_LENGTHS.pack(len(entry_id), len(record)), entry_id, record)
    plain = b"".join(parts)
    packed = zlib.compress(plain, _LEVEL)
    first, last = (parse_id(entries[i][0].decode()) for i in (0, -1))
    numbers = _NUMBERS.pack(len(packed), len(plain), len(entries), *first, *last)
    new = _next(chain, numbers, packed)
    return numbers + new + packed, new


def read_block(file: BinaryIO, at: int, until: int, *chains: bytes) -> Block:
    """Read the block at a place, which continues one of these chains; nothing behind `until`.

    Raises `DamagedBlock`.
    """
    file.seek(at)
    head = file.read(BLOCK_HEAD_BYTES)
    if at + BLOCK_HEAD_BYTES > until or len(head) < BLOCK_HEAD_BYTES:
        raise DamagedBlock(at, "ends within a block")
    numbers, stored = head[: _NUMBERS.size], head[_NUMBERS.size :]
    packed_bytes, plain_bytes, entries, *ids = _NUMBERS.unpack(numbers)
    end = at + BLOCK_HEAD_BYTES + packed_bytes
    if end > until or plain_bytes > _MOST_BYTES:
        raise DamagedBlock(at, "ends within a block")
    packed = file.read(packed_bytes)
    come_to = [_next(chain, numbers, packed) for chain in chains]
    if stored not in come_to:
        raise DamagedBlock(at, "a block does not fit into the chain", end, (stored, *come_to))
    first, last = (ids[0], ids[1]), (ids[2], ids[3])
    return Block(at, end, entries, first, last, stored, packed)


def _next(chain: bytes, numbers: bytes, packed: bytes) -> bytes:
    digest = sha256(chain)
    digest.update(numbers)
    digest.update(packed)
    return digest.digest()

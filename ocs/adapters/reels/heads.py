"""How far each partition is written: what of the reels counts, and nothing else does.

One file for all partitions, replaced as a whole, is the commit of everything that was appended
since the last one. What lies in a reel behind its head was never promised to anybody: the stream
still has those entries, for it is trimmed only behind what counts. So after a kill, or a disk that
was full, a writer cuts a reel back to its head and reads on from there, and it makes no difference
in which byte it was interrupted.

Rejected: to look for the last whole block instead. After a sync that failed, the system may show
bytes that are not on the disk and will never be; and no chain tells that blocks are missing at its
end.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ocs.usecases.journal import NOWHERE, EntryId, Position, ReelFault

HEADS: Final = "heads"
_FORM: Final = 1


class Head(Struct, frozen=True):
    """The end of a partition: its last reel, and how many bytes of that count.

    `begun_ms` is when the reel was begun. `chain` is in hexadecimal.
    """

    reel: int = 0
    length: int = 0
    begun_ms: int = 0
    entries: int = 0
    last: EntryId = NOWHERE
    chain: str = ""

    @property
    def position(self) -> Position:
        return Position(self.entries, self.last)


NO_HEAD: Final = Head()


class Heads(Struct, frozen=True):
    """The heads of a folder. `id` tells the folder from every other one."""

    id: str
    form: int = _FORM
    partitions: dict[int, Head] = {}

    def of(self, partition: int) -> Head:
        return self.partitions.get(partition, NO_HEAD)

    def digest(self) -> str:
        """Spell one number for all chains: whoever keeps it elsewhere can tell a rewritten one."""
        chains = "".join(f"{n} {head.chain}\n" for n, head in sorted(self.partitions.items()))
        return sha256(f"{self.id}\n{chains}".encode()).hexdigest()


def partition_folder(folder: Path, partition: int) -> Path:
    return folder / f"{partition:03d}"


def reel_path(folder: Path, partition: int, number: int) -> Path:
    return partition_folder(folder, partition) / f"{number:08d}"


def read_heads(folder: Path) -> Heads | None:
    """Read what counts; None where no journal was ever written. Raises `ReelFault`."""
    path = folder / HEADS
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        if any(folder.glob("[0-9][0-9][0-9]")):
            raise ReelFault(f"{path} is missing, which says what of the journal counts") from None
        return None
    except OSError as error:
        raise ReelFault(f"{path} cannot be read: {error.strerror}") from None
    try:
        heads = msgspec.json.decode(data, type=Heads)
    except msgspec.DecodeError as error:
        raise ReelFault(f"{path} is damaged: {error}") from None
    if heads.form != _FORM:
        raise ReelFault(f"{path} is of form {heads.form}, and this version of ocs reads {_FORM}")
    return heads


def write_heads(folder: Path, heads: Heads) -> None:
    """Make these heads count. Raises `OSError`."""
    replace_file(folder / HEADS, msgspec.json.encode(heads))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that there is always the former one or this one, whole. Raises `OSError`."""
    new = path.with_name(path.name + ".new")
    with opened(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
        write_whole(file, data)
        os.fsync(file)
    new.replace(path)
    sync_folder(path.parent)


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file of the journal, as a bare descriptor. Raises `OSError`."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_whole(descriptor: int, data: bytes) -> None:
    """Write all of it: one call may take a part only. Raises `OSError`."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk. Raises `OSError`."""
    with opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)

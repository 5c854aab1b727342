"""The one that writes the journal into a folder.

    append ─► append ─► ... ─► commit (heads replaced) ─► the streams may be trimmed
      └ written and synced       └ counts from here on

Before its first write into a partition it cuts the last reel back to its head: what is behind may
be torn (see `heads`). After any fault of the disk it starts over in the same way, from the heads
that are on the disk; nothing in memory is believed then.

A reel is never written by two: the folder is locked as long as its drainer lives. So it has to be
on a file system whose locks hold, which a local one's do.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ocs.adapters.reels.blocks import (
    MOST_ENTRIES,
    REEL_HEAD_BYTES,
    ReelHead,
    first_chain,
    make_block,
)
from ocs.adapters.reels.heads import (
    Head,
    Heads,
    opened,
    partition_folder,
    read_heads,
    reel_path,
    replace_file,
    sync_folder,
    write_heads,
    write_whole,
)
from ocs.adapters.reels.reading import CHECKPOINT, Checkpoint, read_blocks, read_checkpoint
from ocs.usecases.journal import (
    DamagedReel,
    FolderInUse,
    MovesOf,
    Position,
    RawEntry,
    ReelFault,
    parse_id,
)

_LOCK: Final = "lock"
_ID_BYTES: Final = 8


class ReelLimits(Struct, frozen=True, kw_only=True):
    """When the next reel is begun: at this size, or when the first entry is so old."""

    reel_bytes: int = 64 * 2**20
    reel_age_ms: int = 86_400_000


class ReelFolder:
    """Implements the port `Reels`."""

    def __init__(self, folder: Path, limits: ReelLimits, moves_of: MovesOf) -> None:
        self._folder = folder
        self._limits = limits
        self._moves_of = moves_of
        self._lock: int | None = None
        self._heads = Heads("")
        self._written: dict[int, Head] = {}
        """Heads that are not committed."""
        self._clean: set[int] = set()
        """Partitions whose last reel ends at its head."""
        self._checkpoints: dict[int, Position] = {}

    def open(self) -> str:
        """Lock the folder, begin a journal in it if there is none; its id. Raises `ReelFault`."""
        with self._faults():
            if self._lock is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock = self._take_lock()
            self.reset()
        return self._heads.id

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def reset(self) -> None:
        """Begin anew from what counts. Raises `ReelFault`."""
        self._written.clear()
        self._clean.clear()
        self._checkpoints.clear()
        heads = read_heads(self._folder)
        if heads is None:
            heads = Heads(secrets.token_hex(_ID_BYTES))
            with self._faults():
                write_heads(self._folder, heads)
        self._heads = heads

    def position(self, partition: int) -> Position:
        return self._head(partition).position

    def append(self, partition: int, entries: list[RawEntry], now_ms: int) -> None:
        """Write entries behind the others. Raises `ReelFault`: then nothing of it counts."""
        assert entries, "nothing to append"
        assert parse_id(entries[0][0].decode()) > self._head(partition).last, "written already"
        with self._faults():
            if partition not in self._clean:
                self._cut_back(partition)
            head = self._head(partition)
            if self._is_full(head, now_ms):
                head = self._begin_reel(partition, head, now_ms)
            self._written[partition] = self._write(partition, head, entries)

    def commit(self) -> None:
        """Make what was appended count. Raises `ReelFault`."""
        if not self._written:
            return
        heads = Heads(self._heads.id, partitions=self._heads.partitions | self._written)
        with self._faults():
            write_heads(self._folder, heads)
        self._heads = heads
        self._written.clear()

    def checkpoint(self, partition: int) -> Position:
        """Say how far the checkpoint of a partition is. Raises `ReelFault`."""
        if partition not in self._checkpoints:
            checkpoint = read_checkpoint(self._folder, self._heads, partition)
            self._checkpoints[partition] = checkpoint.place.position
        return self._checkpoints[partition]

    def advance(self, partition: int, most: int) -> Position:
        """Take the checkpoint further. Raises `ReelFault`, also when a chain is broken.

        It is made of what lies on disk, and so it is what anybody else would make of it.
        """
        checkpoint = read_checkpoint(self._folder, self._heads, partition)
        place, wallets = checkpoint.place, {k: dict(v) for k, v in checkpoint.wallets.items()}
        enough = place.entries + most
        head = self._heads.of(partition)
        if place.position == head.position:
            return place.position
        for block, after in read_blocks(self._folder, partition, head, place):
            for _, record in block.unpack():
                self._take_over(wallets, record)
            place = after
            if place.entries >= enough:
                break
        with self._faults():
            path = partition_folder(self._folder, partition) / CHECKPOINT
            replace_file(path, msgspec.json.encode(Checkpoint(place, wallets)))
        self._checkpoints[partition] = place.position
        return place.position

    def extent(self) -> tuple[int, int]:
        """Count reels and their bytes; a full one is as large as the limit."""
        heads = [*(self._heads.partitions | self._written).values()]
        reels = sum(head.reel for head in heads)
        with self._faults():
            return reels, sum(
                path.stat().st_size for path in self._folder.glob("[0-9][0-9][0-9]/[0-9]*")
            )

    def _take_over(self, wallets: dict[str, dict[str, tuple[int, int]]], record: bytes) -> None:
        wallet, moves = self._moves_of(record)
        numbers = wallets.setdefault(wallet, {})
        for bucket, left, held in moves:
            numbers[bucket] = left, held
            if not left and not held:
                del numbers[bucket]
        if not numbers:
            del wallets[wallet]

    def _head(self, partition: int) -> Head:
        return self._written.get(partition) or self._heads.of(partition)

    def _is_full(self, head: Head, now_ms: int) -> bool:
        limits = self._limits
        is_old = now_ms - head.begun_ms >= limits.reel_age_ms
        return not head.reel or head.length >= limits.reel_bytes or is_old

    def _begin_reel(self, partition: int, head: Head, now_ms: int) -> Head:
        number = head.reel + 1
        chain = bytes.fromhex(head.chain) or first_chain(self._heads.id, partition)
        path = reel_path(self._folder, partition, number)
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700)
            sync_folder(self._folder)
        with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            write_whole(file, ReelHead(partition, number, head.entries, chain).encode())
        sync_folder(path.parent)
        return msgspec.structs.replace(
            head, reel=number, length=REEL_HEAD_BYTES, begun_ms=now_ms, chain=chain.hex()
        )

    def _write(self, partition: int, head: Head, entries: list[RawEntry]) -> Head:
        blocks, chain = [], bytes.fromhex(head.chain)
        for start in range(0, len(entries), MOST_ENTRIES):
            block, chain = make_block(entries[start : start + MOST_ENTRIES], chain)
            blocks.append(block)
        data = b"".join(blocks)
        path = reel_path(self._folder, partition, head.reel)
        with opened(path, os.O_WRONLY) as file:
            if os.lseek(file, 0, os.SEEK_END) != head.length:
                raise DamagedReel(f"{path} was written by somebody else")
            write_whole(file, data)
            os.fdatasync(file)
        return msgspec.structs.replace(
            head,
            length=head.length + len(data),
            entries=head.entries + len(entries),
            last=parse_id(entries[-1][0].decode()),
            chain=chain.hex(),
        )

    def _cut_back(self, partition: int) -> None:
        """Remove what does not count: reels that no head names, and the end of the last one."""
        head = self._heads.of(partition)
        for path in sorted(partition_folder(self._folder, partition).glob("[0-9]*")):
            if int(path.name) > head.reel:
                path.unlink()
        if head.reel:
            path = reel_path(self._folder, partition, head.reel)
            size = path.stat().st_size
            if size < head.length:
                missing = f"{head.length} bytes were written, {size} are left"
                raise DamagedReel(f"{path} is cut: {missing}")
            if size > head.length:
                os.truncate(path, head.length)
        self._clean.add(partition)

    def _take_lock(self) -> int:
        lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise FolderInUse(f"{self._folder} is in use by another drainer") from None
            raise
        return lock

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self._folder
            raise ReelFault(f"{where}: {error.strerror}") from None

"""A queue in files that outlives its process: what is to go into the store when it is there.

    emergency/
        0-3f9a….spool     a part: written by one process, which holds a lock on it while it lives
        0-77c1….spool     a part of a process that is gone: its lock is free, anyone may take it
        .0-…              a part that is being made
        0-….damaged       a part that had lines that nobody understands, kept for people

A line is a checksum and a record, and one write: the death of the process leaves whole lines. What
is drained is *sealed* first, so that nothing is added to it any more; when all of it is in the
store it is deleted, and what came meanwhile lies in the next part. So no place in a file has to be
remembered: a part that was drained by half is drained again, and the store knows what it has.

A line is not forced to the disk: it survives the process, and the loss of power only once the
system has written it. The store's own answer is what a machine's death does not undo, and with the
store there a line is in it within a second.

Rejected: one file for each worker slot, cut off behind what is drained. Under steady traffic it
is never empty, and a second process on the slot (a former one that still ends) would have it too.
"""

import contextlib
import errno
import fcntl
import logging
import os
import secrets
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from ocs.usecases.emergency import Spooled

_SUFFIX: Final = ".spool"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
_CHECKSUM_DIGITS: Final = 8
_decode: Final = msgspec.json.Decoder(Spooled).decode
_log = logging.getLogger(__name__)


class FileSpool:
    """Implements the port `Spool`. `name` begins the names of its files, as the worker's slot."""

    def __init__(self, folder: Path, name: str, most_bytes: int) -> None:
        self.waiting = 0
        self.dropped = 0
        self._folder = folder
        self._name = name
        self._most_bytes = most_bytes
        self._bytes = 0
        self._is_dropping = False
        self._open: _Part | None = None
        self._sealed: deque[_Part] = deque()
        self._batch: list[Spooled] = []

    def append(self, record: Spooled) -> None:
        """Write down one record; what cannot be kept is counted and, once in a row, logged."""
        line = _line(record)
        if self._bytes + len(line) > self._most_bytes:
            self._drop("they take more than store.spool_mb")
            return
        try:
            if self._open is None:
                self._open = _created(self._folder, self._name)
            self._open.write(line)
        except OSError as error:
            self._drop(str(error))
            return
        self._is_dropping = False
        self._bytes += len(line)
        self.waiting += 1

    def batch(self, most: int) -> list[Spooled]:
        """Give the oldest records that wait, the same ones until `drained` is called."""
        while not self._batch and (self._sealed or self._seal()):
            self._batch = self._sealed[0].read(most)
            if not self._batch:
                self._finish(self._sealed.popleft())
        return self._batch

    def drained(self) -> None:
        """Forget the batch that was given."""
        self.waiting -= len(self._batch)
        self._batch = []

    def close(self) -> None:
        """Leave what waits to whoever comes next."""
        for part in (*self._sealed, *([self._open] if self._open else [])):
            part.close()
        self._sealed.clear()
        self._open = None

    def _drop(self, why: str) -> None:
        self.dropped += 1
        if not self._is_dropping:
            _log.error("emergency events are answered and not kept: %s", why)
        self._is_dropping = True

    def _seal(self) -> bool:
        """Take what there is to drain: what others left, then what was written here."""
        for part in _left(self._folder):
            self._sealed.append(part)
            self._bytes += part.size
            self.waiting += part.lines
        if self._open is not None:
            self._sealed.append(self._open)
            self._open = None
        return bool(self._sealed)

    def _finish(self, part: "_Part") -> None:
        self._bytes -= part.size
        self.waiting -= part.damaged
        if part.damaged:
            kept = part.path.with_suffix(".damaged")
            _log.error("%d emergency events cannot be read, see %s", part.damaged, kept)
            part.path.rename(kept)
        else:
            part.path.unlink()
        part.close()


class _Part:
    """One file, and its lock, which lasts as long as `descriptor`."""

    def __init__(self, descriptor: int, path: Path, size: int, lines: int) -> None:
        self.path = path
        self.size = size
        self.lines = lines
        self.damaged = 0
        self._descriptor = descriptor
        self._records: Generator[Spooled | None, None, None] | None = None

    def write(self, line: bytes) -> None:
        """Add one line whole, or raise OSError."""
        if os.write(self._descriptor, line) < len(line):
            os.ftruncate(self._descriptor, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += len(line)

    def read(self, most: int) -> list[Spooled]:
        """Give the next records, none at the end."""
        if self._records is None:
            self._records = _records(self.path)
        records: list[Spooled] = []
        for record in self._records:
            if record is None:
                self.damaged += 1
                continue
            records.append(record)
            if len(records) == most:
                break
        return records

    def close(self) -> None:
        if self._records is not None:
            self._records.close()
        os.close(self._descriptor)


def _created(folder: Path, name: str) -> _Part:
    """Make a part. It has its name once it is locked: whoever finds it finds its owner alive."""
    folder.mkdir(mode=0o700, exist_ok=True)
    name = f"{name}-{secrets.token_hex(8)}"
    hidden, path = folder / f".{name}", folder / f"{name}{_SUFFIX}"
    descriptor = os.open(hidden, _FLAGS, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.rename(path)
    return _Part(descriptor, path, 0, 0)


def _left(folder: Path) -> Iterator[_Part]:
    """Take the parts whose processes are gone."""
    for path in folder.glob(f"*{_SUFFIX}"):
        # Another may find it too, and be done with it at any moment.
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            yield _taken(path)


def _taken(path: Path) -> _Part:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not by the descriptor: whoever had it may have drained and deleted it just now.
        size = path.stat().st_size
        with path.open("rb") as lines:
            return _Part(descriptor, path, size, sum(1 for _ in lines))
    except BaseException:
        os.close(descriptor)
        raise


def _records(path: Path) -> Generator[Spooled | None, None, None]:
    with path.open("rb") as lines:
        for line in lines:
            yield _record(line)


def _line(record: Spooled) -> bytes:
    # In JSON a line's end is a blank like any other: within texts it is spelled.
    text = msgspec.json.encode(record).replace(b"\n", b" ")
    return b"%08x %b\n" % (crc32(text), text)


def _record(line: bytes) -> Spooled | None:
    text = line[_CHECKSUM_DIGITS + 1 : -1]
    if not line.endswith(b"\n") or line[:_CHECKSUM_DIGITS] != b"%08x" % crc32(text):
        return None
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return None

"""The folder of the intake: CDRs that were posted, on the disk until `ocs offline run` rates them.

    intake/
        cdrs/demo/freeswitch-json/_/
            1795194280404-0-3fa4c901          finished: a run may read it
            .1795194280511-0-77c1e202.open    lines are added to it, by the process that locks it
            .1795194280511-1-5d20a9f1.part    a body of its own, being written
        rejects/1795194280404-0-9b31.ndjson   bodies of which nothing can be read
        rated/demo/...                        rated; removed after `offline.intake_keep_s`

A finished file lies below the tenant, the format and the switch (`_`: none was named) that it is to
be read with, so that a run needs no other list. It has its name when it is so large or so old that
nothing is added any more; a run passes hidden files by.

*What was acknowledged stays.* Everything is written and synced before it is answered. What a killed
process left open, whose lock is free, is taken by whoever tends the folder next: cut behind its
last whole line, and finished. A part of the dead was never answered, and goes. Where a write fails,
the file is cut to what it was; where a sync does, to what was synced, as nobody knows what of the
rest is on the disk; the sender is told to come again in both cases.

*Room.* Beyond `folder_bytes`, or where less than `spare_bytes` of the disk are left (the store's
log needs them more), nothing is taken in. What nobody can read has a tenth of that room for itself,
so that one switch with a wrong format does not turn the others away.
"""

import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from errno import EIO
from pathlib import Path
from typing import Final

from msgspec import Struct

from ocs.adapters.clock import monotonic_s, wall_ms
from ocs.usecases.posted_cdrs import FORMATS, Fault, Kind, Posted, judge, rejects_of
from ocs.usecases.taking_cdrs import Kept, NoRoom, Outcome, Unreadable

CDRS: Final = "cdrs"
RATED: Final = "rated"
REJECTS: Final = "rejects"
NO_SWITCH: Final = "_"

MOST_OPEN: Final = 64
"""Files open after a batch; a sender chooses the names of switches."""
LOOK_S: Final = 10.0
"""How often all of the folder is looked at."""
_SHARE_OF_REJECTS: Final = 10
_OPEN: Final = ".open"
_PART: Final = ".part"
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

_log = logging.getLogger(__name__)


class IntakeLimits(Struct, frozen=True, kw_only=True):
    """When there is no more room, and when a file is finished."""

    folder_bytes: int
    spare_bytes: int
    file_bytes: int
    file_s: float


class IntakeFolder:
    """Implements the port `Folder`. `name` is in the names of its files, as the worker's slot."""

    def __init__(self, folder: Path, name: str, limits: IntakeLimits) -> None:
        self.waiting_bytes = 0
        self._rejects_bytes = 0
        self._folder = folder
        self._name = name
        self._limits = limits
        self._open: dict[Path, _File] = {}
        self._look_s = monotonic_s()
        self._is_full = False

    def keep(self, batch: Sequence[Posted]) -> list[Outcome]:
        """As `Folder.keep`."""
        outcomes: list[Outcome] = []
        written: dict[_File, list[int]] = {}
        for number, posted in enumerate(batch):
            try:
                outcome, file = self._written(posted)
            except OSError as error:
                outcome, file = self._no_room(f"it cannot be written: {error.strerror}"), None
            outcomes.append(outcome)
            if file is not None:
                written.setdefault(file, []).append(number)
        for file, numbers in written.items():
            if not file.is_synced():
                for number in numbers:
                    outcomes[number] = self._no_room("it cannot be synced to the disk")
        too_many = set(list(self._open.values())[: max(0, len(self._open) - MOST_OPEN)])
        most = self._limits.file_bytes
        self._finish(lambda file: file.is_broken or file.size >= most or file in too_many)
        return outcomes

    def tend(self) -> None:
        """As `Folder.tend`."""
        too_old_s = monotonic_s() - self._limits.file_s
        self._finish(lambda file: file.began_s <= too_old_s)
        if monotonic_s() >= self._look_s:
            self._look_s = monotonic_s() + LOOK_S
            self._take_what_was_left()
            self.waiting_bytes = _bytes_below(self._folder / CDRS)
            self._rejects_bytes = _bytes_below(self._folder / REJECTS)

    def close(self) -> None:
        """Finish all files: nothing more is to come."""
        self._finish(lambda _: True)

    def _written(self, posted: Posted) -> "tuple[Outcome, _File | None]":
        """Put a body into a file; the file is given where it is still to be synced. OSError."""
        judged = judge(posted)
        if not judged.entries:
            return Unreadable(Fault(1, "", "is empty")), None
        size = len(posted.body)
        if not judged.is_readable:
            if not self._has_room(self._rejects_bytes + size, _SHARE_OF_REJECTS):
                return self._no_room("there is no room for what cannot be read"), None
            name = self._new_name()
            text = rejects_of(posted, judged, f"intake/{name}")
            _write_whole(self._folder / REJECTS, f"{name}.ndjson", text)
            self._rejects_bytes += len(text)
            return Unreadable(judged.faults[0]), None
        if not self._has_room(self.waiting_bytes + size, 1):
            return self._no_room("there is no room on the disk"), None
        self._is_full = False
        kept = Kept(judged.entries, len(judged.faults))
        place = self._folder / CDRS / posted.tenant / posted.format / (posted.switch or NO_SWITCH)
        file = None
        if FORMATS[posted.format].kind is Kind.FILES:
            _write_whole(place, self._new_name(), judged.text)
        else:
            file = self._file(place)
            file.write(judged.text)
        self.waiting_bytes += len(judged.text)
        return kept, file

    def _file(self, place: Path) -> "_File":
        """Give the file that lines of a place go into."""
        file = self._open.get(place)
        if file is None:
            file = self._open[place] = _File(place, self._new_name())
        return file

    def _finish(self, is_done: "Callable[[_File], bool]") -> None:
        for place, file in list(self._open.items()):
            if is_done(file):
                del self._open[place]
                file.finish()

    def _has_room(self, wanted_bytes: int, share: int) -> bool:
        if wanted_bytes > self._limits.folder_bytes // share:
            return False
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize > self._limits.spare_bytes

    def _no_room(self, why: str) -> NoRoom:
        if not self._is_full:
            _log.error("a CDR was not taken in: %s", why)
        self._is_full = True
        return NoRoom(why)

    def _new_name(self) -> str:
        return f"{wall_ms():013}-{self._name}-{secrets.token_hex(4)}"

    def _take_what_was_left(self) -> None:
        """Finish what the dead left open, and remove what they had not written to its end."""
        for path in (self._folder / CDRS).rglob(f".*{_OPEN}"):
            with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(path) as stream:
                os.ftruncate(stream, _whole_lines(path))
                os.fsync(stream)
                _give(path)
        for folder in (self._folder / CDRS, self._folder / REJECTS):
            for path in folder.rglob(f".*{_PART}"):
                with contextlib.suppress(BlockingIOError, FileNotFoundError), _locked(path):
                    path.unlink()


class _File:
    """A file that lines are added to."""

    def __init__(self, place: Path, name: str) -> None:
        self.began_s = monotonic_s()
        self.size = 0
        self.is_broken = False
        self._synced = 0
        self._path = place / f".{name}{_OPEN}"
        self._stream = _created(self._path)

    def write(self, text: bytes) -> None:
        """Add lines whole, or raise OSError."""
        if self.is_broken:
            raise OSError(EIO, "half a line stands at its end")
        try:
            _write_all(self._stream, text)
        except OSError:
            self._cut(self.size)
            raise
        self.size += len(text)

    def is_synced(self) -> bool:
        """Put what was written on the disk; where that fails, there is what was there before."""
        try:
            os.fsync(self._stream)
        except OSError as error:
            _log.error("%s cannot be synced: %s", self._path, error)
            self._cut(self._synced)
            self.is_broken = True
            return False
        self._synced = self.size
        return True

    def finish(self) -> None:
        """Let a run have it; without the name, or where it is lost, it is found as one left."""
        with contextlib.suppress(OSError):
            _give(self._path)
        os.close(self._stream)

    def _cut(self, size: int) -> None:
        self.size = size
        try:
            os.ftruncate(self._stream, size)
        except OSError:  # what stays was not answered: a repeat, or half a line, so none may follow
            self.is_broken = True


def _created(path: Path) -> int:
    """Make a file that is locked, and is there after a loss of power. OSError."""
    _make(path.parent)
    stream = os.open(path, _FLAGS, 0o600)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX)
        path.stat()  # whoever found it before it was locked took it for one that the dead left
        _sync_folder(path.parent)
    except BaseException:
        os.close(stream)
        raise
    return stream


def _make(folder: Path) -> None:
    if not folder.exists():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    stream = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(stream)
    finally:
        os.close(stream)


def _write_whole(place: Path, name: str, text: bytes) -> None:
    """Write a file of its own, all of it or nothing. OSError."""
    hidden = place / f".{name}{_PART}"
    stream = _created(hidden)
    try:
        _write_all(stream, text)
        os.fsync(stream)
        hidden.rename(place / name)
        _sync_folder(place)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    finally:
        os.close(stream)


def _write_all(stream: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(stream, rest) :]


def _give(path: Path) -> None:
    """Name a file as a finished one; of one that has nothing, nothing stays."""
    if path.stat().st_size:
        path.rename(path.with_name(path.name.removeprefix(".").removesuffix(_OPEN)))
    else:
        path.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    stream = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield stream
    finally:
        os.close(stream)


def _whole_lines(path: Path) -> int:
    """Return the size of a file up to the end of its last whole line."""
    return path.read_bytes().rfind(b"\n") + 1


def _bytes_below(folder: Path) -> int:
    found = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found += path.stat().st_size if path.is_file() else 0
    return found

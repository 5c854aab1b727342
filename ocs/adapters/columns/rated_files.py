"""Rated CDRs on disk: Parquet by tenant and day, rejects beside, and what is done.

    tenant=acme/day=2026-11-20/<chunk>.parquet     rows
    rejects/<chunk>.ndjson                         what has no price, or is no CDR
    chunks/<chunk>.json                            its report: the chunk is done
    .new/<chunk>/                                  a chunk that is being written

A chunk may have rows of several days, so it is several files, and has to appear as one. All of them
are written below `.new` first. Then their list, `report.json`, is moved to where it counts: from
now on the chunk is decided, and whoever comes next only moves the files to their places. Before
that it is nothing, and is written anew. So there are never rows of a chunk that was begun twice,
not even if between the two a tariff or a plan was changed.

The folder of a chunk that is being written is locked by its process. The lock goes with the
process, however that ends, so nobody has to guess whether another run is still alive.

Rejected: deciding by the last rename of a Parquet file (there may be none), a table format such as
Iceberg or Delta (a catalogue and half a hundred packages for one writer and no updates).
"""

import contextlib
import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from ocs.adapters.columns.frames import parted
from ocs.adapters.columns.parquet import write_rows
from ocs.usecases.offline_rating import Chunk, ChunkReport, Rated
from ocs.usecases.rejects import OWN_FORMAT, Reading, Reject, written

REJECTS: Final = "rejects"
CHUNKS: Final = "chunks"
NEW: Final = ".new"
_REPORT: Final = "report.json"
_decode: Final = msgspec.json.Decoder(ChunkReport).decode


class RatedFiles:
    """Implements the port `Output` in a folder.

    `alone`: nobody else writes into it, so nothing is locked.
    """

    def __init__(self, folder: Path, *, alone: bool = False) -> None:
        self._folder = folder
        self._alone = alone
        for name in (CHUNKS, REJECTS, NEW):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def report(self, name: str) -> ChunkReport | None:
        """As `Output.report`."""
        return report_in(self._folder, name)

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """As `Output.claimed`."""
        staged = self._staged(name)
        lock = _opened(staged)
        try:
            if not self._alone:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield False
            return
        try:
            self._finish(staged)
            yield True
        finally:
            if self.report(name) is not None:
                shutil.rmtree(staged, ignore_errors=True)
            os.close(lock)

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        """As `Output.put`."""
        staged = self._staged(chunk.name)
        for old in staged.iterdir():
            old.unlink()
        rejects = [*chunk.rejects, *rated.rejects]
        parts = [*_rows_written(staged, chunk.name, rated)]
        if rejects:
            parts.append(f"{REJECTS}/{chunk.name}.ndjson")
            _written(staged / str(len(parts) - 1), _rejects_file(chunk, rated))
        report = ChunkReport(
            name=chunk.name,
            file=chunk.file,
            entries=chunk.entries,
            used=chunk.used,
            skipped=chunk.skipped,
            cdrs=len(chunk.table),
            rated=len(rated.table),
            rejected=Counter(reject.code for reject in rejects),
            money=tuple(rated.money),
            newest_ms=rated.newest_ms,
            generation=rated.generation,
            parts=tuple(parts),
            settled=rated.settled,
            debited=tuple(rated.debited),
            overrun=tuple(rated.overrun),
        )
        new = staged / f"new-{_REPORT}"
        _written(new, msgspec.json.encode(report))
        new.replace(staged / _REPORT)
        self._finish(staged)
        return report

    def _staged(self, name: str) -> Path:
        return self._folder / NEW / name

    def _finish(self, staged: Path) -> None:
        """Move a chunk that is decided to its place; what was moved before is there already."""
        try:
            report = _decode((staged / _REPORT).read_bytes())
        except FileNotFoundError:
            return
        for number, part in enumerate(report.parts):
            place, new = self._folder / part, staged / str(number)
            place.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                new.replace(place)
            synced(place.parent)
        (staged / _REPORT).replace(self._folder / CHUNKS / f"{report.name}.json")


def report_in(folder: Path, name: str) -> ChunkReport | None:
    """Return what became of a chunk that is done there."""
    try:
        return _decode((folder / CHUNKS / f"{name}.json").read_bytes())
    except FileNotFoundError:
        return None


def _opened(folder: Path) -> int:
    """Make a folder and open it; another run may be ending with it at this moment."""
    while True:
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _rows_written(staged: Path, name: str, rated: Rated) -> Iterator[str]:
    """Write the rows of each tenant and day; yield where they belong."""
    rows = rated.table
    assert isinstance(rows, pl.DataFrame)
    for number, ((tenant, day), part) in enumerate(parted(rows, "tenant", "day").items()):
        path = staged / str(number)
        write_rows(part, path)
        synced(path)
        yield f"tenant={tenant}/day={day}/{name}.parquet"


def _rejects_file(chunk: Chunk, rated: Rated) -> bytes:
    """Write rejects below how they are read: as they stood in the file, or in our own columns."""
    again = chunk.reading.again
    own = Reading(OWN_FORMAT, again=again)
    sections = [(chunk.reading, reject) for reject in chunk.rejects]
    sections += [(own, reject) for reject in rated.rejects]
    lines: list[Reading | Reject] = []
    for reading, rejects in groupby(sections, key=lambda section: section[0]):
        lines += [reading, *(reject for _, reject in rejects)]
    return b"".join(map(written, lines))


def _written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    synced(path)


def synced(path: Path) -> None:
    """Have a file or a folder on the disk before anything says that it is there."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Rated CDRs in a folder that several machines write into, of which none can lock anything.

    .new/<chunk>~<worker>/     what a worker made of a chunk: a folder as of `RatedFiles`, its own
    .decided/<chunk>           whose rows count: a hard link, which the first makes and nobody else
    tenant=…, rejects, chunks  as ever

A worker that was stopped and goes on may write what another has written meanwhile, and locks of
shared file systems are not to be relied on. So each writes into a folder of its own, and then one
link decides: file systems make it once, whoever asks, also over a network. Whoever comes next moves
the files of the one that won, if that one died over it. So the rows of a chunk come from one
rating, though others may have rated it too; and the ledger has debited it once for all of them.

A decision stays for good. It must not be forgotten: one who was stopped for a day and goes on would
decide anew.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ocs.adapters.columns.rated_files import CHUNKS, NEW, RatedFiles, report_in, synced
from ocs.usecases.offline_rating import Chunk, ChunkReport, Rated

_DECIDED: Final = ".decided"
_ID: Final = ".id"
_ID_BYTES: Final = 16


class SharedFiles:
    """Implements the port `Output`; `worker` is a name that no other has, fit for a file."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self._worker = worker
        self._files = RatedFiles(folder)
        (folder / _DECIDED).mkdir(exist_ok=True)

    def report(self, name: str) -> ChunkReport | None:
        """As `Output.report`."""
        return self._files.report(name)

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """As `Output.claimed`; it keeps nobody from anything, and need not."""
        self._finish(name)
        yield True

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        """As `Output.put`; what counts may be another's rows."""
        own = self._folder / NEW / f"{chunk.name}~{self._worker}"
        files = RatedFiles(own, alone=True)
        with files.claimed(chunk.name):
            files.put(chunk, rated)
        mark = own / "mark"
        mark.write_text(own.name, encoding="utf-8")
        synced(mark)
        # The decision must not outlive what it decides for: nobody could undo it.
        for place in (own / CHUNKS, own, own.parent):
            synced(place)
        with contextlib.suppress(FileExistsError):
            os.link(mark, self._decided(chunk.name))
        synced(self._folder / _DECIDED)
        self._finish(chunk.name)
        report = self.report(chunk.name)
        if report is None:
            decided = self._decided(chunk.name)
            raise OSError(f"{decided} says that it was written, and it is not there")
        return report

    def _decided(self, name: str) -> Path:
        return self._folder / _DECIDED / name

    def _finish(self, name: str) -> None:
        """Move a chunk that is decided to its place; others may be at it, or have done it."""
        try:
            winner = self._folder / NEW / self._decided(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        report = report_in(winner, name)
        # A run of one machine may have written the chunk since the winner died.
        if report is not None and self.report(name) is None:
            for part in report.parts:
                place = self._folder / part
                place.parent.mkdir(parents=True, exist_ok=True)
                _moved(winner / part, place)
                synced(place.parent)
            # Last, and only when all parts are there, whoever moved them: now it is done.
            _moved(winner / CHUNKS / f"{name}.json", self._folder / CHUNKS / f"{name}.json")
            synced(self._folder / CHUNKS)
        if self.report(name) is not None:
            for left in (self._folder / NEW).glob(f"{name}~*"):
                shutil.rmtree(left, ignore_errors=True)


def output_id(folder: Path) -> str:
    """Return what tells this folder from others, on whatever machine and path it is seen."""
    path = folder / _ID
    if not path.exists():
        token = secrets.token_hex(_ID_BYTES)
        new = folder / f"{_ID}-{token}"
        new.write_text(token, encoding="ascii")
        synced(new)
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
        new.unlink()
    return path.read_text(encoding="ascii")


def _moved(new: Path, place: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        new.replace(place)

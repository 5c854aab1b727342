"""A file cut into chunks with names of their own: whoever keeps what came of one knows it again.

The name of a chunk is a hash of the bytes of the file up to the chunk's end, and of how many
entries these are. It is taken while the file is read, of what is in it and not of how that is
compressed. Parquet is not read from its begin to its end; there the hash goes over the whole file,
and chunks are cut after so many rows.

So chunks are cut at the same places whenever a file is read, and whoever reads it:

    most formats      by bytes and line ends alone (`outline`), so each chunk can be read by itself
    a line is not     where a batch of the reader ends, or several together: what stands before may
    for itself        be part of what a line means

That depends on the sizes in `opening`, `records` and here; if one of them is changed, files that
are half done have other chunks from where they are.
"""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
from msgspec.structs import replace

from ocs.adapters.cdr_files.ahead import one_ahead
from ocs.adapters.cdr_files.formats import Format, detect, format_of
from ocs.adapters.cdr_files.opening import Damaged, Source, head_of, opened
from ocs.adapters.cdr_files.options import DEFAULTS, CdrOptionError, Options
from ocs.adapters.cdr_files.outline import Cut, Limits, PieceSource, cut_by, named, outline, text_at
from ocs.adapters.cdr_files.records import Batch, Reject, frame_of
from ocs.usecases import rejects
from ocs.usecases.offline_rating import Chunk, FileFault
from ocs.usecases.rejects import UNREADABLE, Reading
from ocs.usecases.sharing_work import Piece

CHUNK_ENTRIES: Final = 200_000
"""Entries after which a chunk ends: enough for columns to pay off, some 100 MB in memory."""
CHUNK_TEXT: Final = 128 << 20
"""Bytes of attributes and rejected texts after which it ends before that."""

_HEAD: Final = 1 << 20
_HEADED: Final = frozenset({"csv", "billrun-csv", "cucm", "asterisk-custom"})
"""Formats whose lines mean something only below their header."""
_PARQUET: Final = "parquet"


class HashedSource(Source):
    """A file that is hashed as it is read; `seed` is what its chunks depend on beside it."""

    def __init__(self, path: Path, seed: bytes = b"") -> None:
        super().__init__(path)
        self.position = 0
        self._hash = hashlib.sha256(seed)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """As `Source.lines`."""
        for number, line in super().lines():
            self._take(line)
            self._take(b"\n")
            yield number, line

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """As `Source.blocks`."""
        for number, text in super().blocks():
            self._take(text)
            yield number, text

    def take_all(self) -> None:
        """Hash all of the file, which will be read in some other way."""
        with self.path.open("rb") as stream:
            while piece := stream.read(_HEAD):
                self._take(piece)

    def chunk_name(self, entries: int) -> str:
        """Name the chunk that ends where the file has been read to, after so many entries."""
        return named(self._hash, entries)

    def _take(self, piece: bytes) -> None:
        self.position += len(piece)
        self._hash.update(piece)


class CdrFile:
    """Implements the port `CdrFile` for what a switch wrote.

    Raises CdrOptionError where it cannot be said how to read it, and OSError.
    """

    def __init__(self, path: Path, format_name: str = "", options: Options = DEFAULTS) -> None:
        self._path = path
        self._format = format_of(path, format_name, options)
        self._options = options
        self.name = str(path)
        self.size = path.stat().st_size
        self.format_name = self._format.name

    def chunks(self) -> Iterator[Chunk]:
        """As `CdrFile.chunks`."""
        with faults():
            reading = reading_of(self._path, self._format, self._options)
            yield from one_ahead(self._chunks(reading))

    def cuts(self) -> Iterator[Cut]:
        """Cut the file without reading what stands in it; none for one that is not cut so."""
        with faults():
            header = cut_by(self._path, self._format.name)
            if header is not None:
                with opened(self._path) as stream:
                    yield from outline(stream, header, Limits(CHUNK_ENTRIES, CHUNK_TEXT))

    def chunk_at(self, piece: Piece) -> Chunk:
        """Read one piece of a file that is not packed. FileFault: it is not what it was."""
        with faults():
            reading = reading_of(self._path, self._format, self._options)
            return self._chunk(Cut(piece, text_at(self._path, piece), None), reading)

    def _chunks(self, reading: Reading) -> Generator[Chunk, None, None]:
        is_cut = False
        for cut in self.cuts():
            is_cut = True
            yield self._chunk(cut, reading)
        if not is_cut:
            yield from chunks_of(HashedSource(self._path), self._format, self._options, reading)

    def _chunk(self, cut: Cut, reading: Reading) -> Chunk:
        source = PieceSource(self._path, cut)
        batch = _joined([*self._format.read(source, self._options)])
        chunk = _chunk_of(batch, self.name, reading, cut.piece.offset + cut.piece.size)
        return replace(
            chunk,
            name=cut.piece.name,
            entries=batch.entries - source.headers,
            skipped=batch.skipped - source.headers,
        )


@contextmanager
def faults() -> Iterator[None]:
    """Tell what comes up while a file is read as a fault of this file."""
    try:
        yield
    except (CdrOptionError, Damaged) as error:
        raise FileFault(str(error)) from error
    except OSError as error:
        raise FileFault(error.strerror or str(error)) from error


def told_of(options: Options) -> dict[str, Any]:
    """Return the options that are not the defaults."""
    told = msgspec.to_builtins(options)
    untold = msgspec.to_builtins(DEFAULTS)
    return {name: value for name, value in told.items() if value != untold[name]}


def reading_of(path: Path, form: Format, options: Options) -> Reading:
    """Say how a text that is taken out of a file can be read again."""
    told = told_of(options)
    header: tuple[str, ...] = ()
    if form.name in _HEADED and detect(path) == form.name:
        head = head_of(path, _HEAD).lstrip().partition(b"\n")[0]
        header = (head.rstrip(b"\r").decode(),)
    return Reading(form.name, told, header)


def chunks_of(
    source: HashedSource, form: Format, options: Options, reading: Reading
) -> Generator[Chunk, None, None]:
    """Read a source chunk by chunk."""
    batches = form.read(source, options)
    if form.name == _PARQUET:
        source.take_all()
        batches = _evened(batches)
    entries = 0
    for batch in _grouped(batches):
        entries += batch.entries
        chunk = _chunk_of(batch, source.name, reading, source.position)
        yield replace(chunk, name=source.chunk_name(entries))


def _chunk_of(batch: Batch, file: str, reading: Reading, position: int) -> Chunk:
    """Make a chunk that has no name yet."""
    return Chunk(
        name="",
        file=file,
        table=batch.frame,
        rejects=[_unreadable(each) for each in batch.rejects],
        entries=batch.entries,
        used=batch.used,
        skipped=batch.skipped,
        reading=reading,
        position=position,
    )


def _unreadable(reject: Reject) -> rejects.Reject:
    return rejects.Reject(
        reject.file, reject.line, reject.column, reject.reason, UNREADABLE, reject.text
    )


def _grouped(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Put batches together until they are a chunk."""
    group: list[Batch] = []
    entries = text = 0
    for batch in batches:
        group.append(batch)
        entries += batch.entries
        text += sum(len(reject.text) for reject in batch.rejects)
        text += batch.frame.select(pl.col("attributes").str.len_bytes().sum()).item()
        if entries >= CHUNK_ENTRIES or text >= CHUNK_TEXT:
            yield _joined(group)
            group, entries, text = [], 0, 0
    if group:
        yield _joined(group)


def _joined(group: Sequence[Batch]) -> Batch:
    """Make one batch of several; its columns lie in one piece, as whoever rates them wants."""
    frames = [batch.frame for batch in group if len(batch.frame)]
    return Batch(
        pl.concat(frames or [group[0].frame]).rechunk(),
        tuple(reject for batch in group for reject in batch.rejects),
        sum(batch.entries for batch in group),
        sum(batch.used for batch in group),
        sum(batch.skipped for batch in group),
    )


def _evened(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Cut the rows of a Parquet file anew, after the same rows however they came.

    There each row is an entry, in its order, and none is skipped; of a row that is a reject the
    batch tells that begins with it or before it.
    """
    frame, left = frame_of([]), list[Reject]()
    cut = 0
    for batch in batches:
        frame = pl.concat((frame, batch.frame))
        left += batch.rejects
        while len(frame) and frame["line"][-1] > cut + CHUNK_ENTRIES:
            cut += CHUNK_ENTRIES
            is_before = pl.col("line") <= cut
            before = [reject for reject in left if reject.line <= cut]
            left = [reject for reject in left if reject.line > cut]
            yield _exact(frame.filter(is_before), before)
            frame = frame.filter(~is_before)
    yield _exact(frame, left)


def _exact(frame: pl.DataFrame, rejects: Sequence[Reject]) -> Batch:
    return Batch(frame, tuple(rejects), len(frame) + len(rejects), len(frame), 0)

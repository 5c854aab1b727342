"""Files of rejects, given in again: each text is read like the file that it came from.

The texts below one `Reading` become a file of that format, below their header; its lines are put
back to where they came from, so that a report and another reject still name the switch's own file.
A reject without a text (the place where a file is damaged, a row of Parquet) is a blank line there:
skipped, as nothing of it can be read again.
"""

import hashlib
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
from msgspec.structs import replace

from ocs.adapters.cdr_files.chunks import HashedSource, chunks_of, faults
from ocs.adapters.cdr_files.formats import Format, format_of
from ocs.adapters.cdr_files.options import CdrOptionError, Options
from ocs.usecases.offline_rating import Chunk
from ocs.usecases.rejects import Reading, Reject, read

_HEAD: Final = 4_096


class RejectedFile:
    """Implements the port `CdrFile`. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)
        self.size = path.stat().st_size

    def chunks(self) -> Iterator[Chunk]:
        """As `CdrFile.chunks`."""
        with (
            faults(),
            tempfile.TemporaryDirectory(prefix="ocs-rejects-") as folder,
            ExitStack() as stack,
        ):
            for section in _sections(self._path, Path(folder), stack):
                for chunk in section.chunks():
                    yield replace(chunk, file=self.name)


def is_rejected_file(path: Path) -> bool:
    """Tell a file of rejects by its first line; OSError."""
    with path.open("rb") as stream:
        line = stream.readline(_HEAD)
    return line.startswith(b'{"is":"reading"')


class _Section:
    """The texts below one `Reading`, as a file of their own."""

    def __init__(self, path: Path, reading: Reading, stack: ExitStack) -> None:
        self._path = path
        self._reading = replace(reading, again=reading.again + 1)
        self._options = msgspec.convert(reading.options, Options)
        self._stream = stack.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        self._format: Format = format_of(path, reading.format, self._options)
        self._seed = hashlib.sha256(msgspec.json.encode(reading))
        self._files: list[str] = []
        self._numbers: dict[str, int] = {}
        self._file_of, self._line_of = array("l"), array("l")
        for line in reading.header:
            self._put(line, "", 0)

    def add(self, reject: Reject) -> None:
        # In a JSON document a line break is a blank; elsewhere no text has one.
        self._put(reject.text.replace("\n", " "), reject.file, reject.line)
        self._seed.update(f"{reject.file}:{reject.line}|".encode())

    def chunks(self) -> Iterator[Chunk]:
        self._stream.close()
        source = HashedSource(self._path, self._seed.digest())
        for chunk in chunks_of(source, self._format, self._options, self._reading):
            assert isinstance(chunk.table, pl.DataFrame)
            rejects = [self._replaced(reject) for reject in chunk.rejects]
            yield replace(chunk, table=self._placed(chunk.table), rejects=rejects)

    def _put(self, text: str, file: str, line: int) -> None:
        self._stream.write(f"{text}\n")
        number = self._numbers.setdefault(file, len(self._files))
        if number == len(self._files):
            self._files.append(file)
        self._file_of.append(number)
        self._line_of.append(line)

    def _placed(self, table: pl.DataFrame) -> pl.DataFrame:
        place = table["line"] - 1
        files = pl.Series(self._files, dtype=pl.String)
        file_of = pl.Series(list(self._file_of), dtype=pl.Int64)
        line_of = pl.Series(list(self._line_of), dtype=pl.Int64)
        return table.with_columns(
            file=files.gather(file_of.gather(place)), line=line_of.gather(place)
        )

    def _replaced(self, reject: Reject) -> Reject:
        place = min(reject.line, len(self._line_of)) - 1
        file = self._files[self._file_of[place]]
        return replace(reject, file=file, line=self._line_of[place])


def _sections(path: Path, folder: Path, stack: ExitStack) -> list[_Section]:
    """Cut a file at its readings; CdrOptionError for a line that is none of a file of rejects."""
    sections: list[_Section] = []
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                entry = read(line)
                if isinstance(entry, Reading):
                    sections.append(_Section(folder / str(number), entry, stack))
                else:
                    sections[-1].add(entry)
            except (ValueError, IndexError) as error:
                raise CdrOptionError(f"{path}:{number}: {error}") from None
    return sections

"""Our own formats: CSV with a header, NDJSON, Parquet; their columns are those of a CDR.

CSV is the one that has to be fast. Its blocks go to Polars' reader as they are. First with integers
as such, which is what nearly every block comes to: it is refused, and no more is known, if there is
a line with too many or too few cells or a cell that is no integer. Then it is read again, every
cell as text, and three things are found out about it on the way:

    a line with too few or too many cells    each line gets a last cell of its own, a control
                                             character, which has to arrive in the last column
    a quote that does not close, not UTF-8,  then the block has fewer rows than lines, or Polars
    a lone carriage return                   refuses it: it is cut up and read again, in the end
                                             line by line, and what cannot be read is a reject
    a cell that is no number, no time ...    `own_columns`

A piece of a block without such a line is read once or twice, and the others are few.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import polars as pl
from polars.datatypes.group import FLOAT_DTYPES, INTEGER_DTYPES
from polars.exceptions import PolarsError

from ocs.adapters.cdr_files.batching import cells_of, check_width, decoded, object_of, rejected
from ocs.adapters.cdr_files.cells import CellError, text_of
from ocs.adapters.cdr_files.opening import Damaged, Source, lines_in
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.own_columns import INTEGERS, NEEDED, OWN, checked
from ocs.adapters.cdr_files.records import MOST_ROWS, Batch, Reject, frame_of

_MARK: Final = "\x1e"
_WHOLE: Final = "\x1e"  # the name of the column that the mark arrives in
_QUOTE: Final = b'"'
_BLANKS: Final = (b" ", b"\t")
_BEFORE_CELLS: Final = (b",", b"\n", _QUOTE)
_MARKED_END: Final = f",{_MARK}\n".encode()
_PIECES: Final = 16  # a block that cannot be read is cut into so many
_FEWEST_LINES: Final = 256  # ... unless it has no more lines than these
_LINES_AT_ONCE: Final = 50_000
_OWN: Final = sorted(OWN)
_PLACES: Final = frozenset({"file", "line"})  # of the file that a CDR was first read from
_KINDS: Final = {"answered": (pl.Boolean, pl.String)} | dict.fromkeys(
    ("start_ms", "answer_ms", "end_ms", "duration_ms", "units"),
    (*INTEGER_DTYPES, *FLOAT_DTYPES, pl.String),
)
_TEXT_KINDS: Final = (pl.String, pl.Categorical, pl.Enum, *INTEGER_DTYPES)


class _Block(msgspec.Struct, frozen=True):
    """Whole lines of CSV below their header, and the number of the first."""

    file: str
    names: list[str]
    first: int
    text: bytes

    def lines(self) -> list[bytes]:
        return self.text.split(b"\n")[:-1]

    def pieces(self) -> Iterator["_Block"]:
        """Cut it into blocks of fewer lines."""
        lines = self.lines()
        size = -(-len(lines) // _PIECES)
        for begin in range(0, len(lines), size):
            text = b"\n".join((*lines[begin : begin + size], b""))
            yield _Block(self.file, self.names, self.first + begin, text)


class _Read(msgspec.Struct):
    """What became of lines: their cells, with `file` and `line`, and what could not be read."""

    frames: list[pl.DataFrame]
    rejects: list[Reject]
    skipped: int = 0

    def add(self, other: "_Read") -> None:
        self.frames += other.frames
        self.rejects += other.rejects
        self.skipped += other.skipped


def read_csv(source: Source, options: Options) -> Iterator[Batch]:
    names: list[str] = []
    try:
        for first, text in source.blocks():
            begin, lines, headers = first, text, 0
            if not names:
                head, _, lines = text.partition(b"\n")
                names, begin, headers = header_names(head), first + 1, 1
            block = _Block(source.name, names, begin, lines)
            count = source.entries - begin + 1
            read = _read_block(block, count) if lines else _Read([], [])
            read.skipped += headers
            yield _batch(read, options, block.lines, begin)
    except CellError as error:
        source.entries = 1
        yield _lone(Reject(source.name, 1, error.column, f"{error.reason}: the file is not read"))
    except Damaged as damage:
        yield _lone(Reject(source.name, source.entries + 1, "", str(damage)))


def header_names(line: bytes) -> list[str]:
    """Return the names of the columns; CellError for a line that holds no such."""
    names = [name.strip() for name in cells_of(decoded(line.rstrip(b"\r")))]
    missing = sorted(NEEDED - set(names))
    if missing:
        raise CellError(missing[0], "is not among the columns")
    if len(set(names)) != len(names) or "" in names:
        raise CellError("", "names a column twice, or not at all")
    return names


def _read_block(block: _Block, lines: int) -> _Read:
    frame = _sound(block, lines)
    return _read_texts(block, lines) if frame is None else _Read([frame], [])


def _read_texts(block: _Block, lines: int) -> _Read:
    """Read every cell as text; what is wrong is found, or made smaller and found then."""
    frame = _parsed(block)
    if frame is not None and frame.height == lines:
        return _whole(block, frame)
    if lines <= _FEWEST_LINES:
        return _line_by_line(block)
    read = _Read([], [])
    for piece in block.pieces():
        read.add(_read_texts(piece, lines_in(piece.text)))
    return read


def _sound(block: _Block, lines: int) -> pl.DataFrame | None:
    """Return the cells of a block in which nothing is wrong, as far as can be seen from here."""
    if b"\r" in block.text or _has_blanks_before_cells(block.text):
        return None
    schema = {name: pl.Int64 if name in INTEGERS else pl.String for name in block.names}
    try:
        frame = pl.read_csv(block.text, schema=schema, has_header=False)
    except PolarsError:  # too many cells, or one that is no integer, or no text
        return None
    if frame.height != lines or not _reaches_the_end(block, frame, lines):
        return None
    placed = _placed(frame.rechunk(), block.file, block.first)
    return _without_empty(placed) if _QUOTE in block.text else placed


def _has_blanks_before_cells(text: bytes) -> bool:
    """Whether Polars might read a number that has a blank before it, which is no number to us."""
    return any(
        blank in text
        and (text.startswith(blank) or any(before + blank in text for before in _BEFORE_CELLS))
        for blank in _BLANKS
    )


def _reaches_the_end(block: _Block, frame: pl.DataFrame, lines: int) -> bool:
    """Whether no line has too few cells, which Polars would fill up; none has too many.

    A last cell that is not empty says so. Where some are, cells are counted.
    """
    if not frame[block.names[-1]].null_count():
        return True
    separators = lines * (len(block.names) - 1)
    return _QUOTE not in block.text and block.text.count(b",") == separators


def _parsed(block: _Block) -> pl.DataFrame | None:
    """Return the cells as Polars reads them, with the mark; None if it cannot."""
    columns = [str(place) for place in range(len(block.names) + 1)]
    text = block.text.replace(b"\r\n", b"\n") if b"\r" in block.text else block.text
    if b"\r" in text:
        return None
    header = ",".join(columns).encode()
    try:
        frame = pl.read_csv(
            b"\n".join((header, text.replace(b"\n", _MARKED_END))),
            schema=dict.fromkeys(columns, pl.String),
            truncate_ragged_lines=True,
        )
    except PolarsError:
        return None
    frame.columns = [*block.names, _WHOLE]
    return _placed(_without_empty(frame), block.file, block.first)


def _without_empty(frame: pl.DataFrame) -> pl.DataFrame:
    """Make null of empty texts: CSV has both, an empty cell and a quoted nothing."""
    texts = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
    found = frame.select((texts == "").any())
    names = [name for name in found.columns if found[name][0]]
    return frame.with_columns(
        pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in names
    )


def _placed(frame: pl.DataFrame, file: str, first: int) -> pl.DataFrame:
    """Say where each row stands."""
    return frame.with_columns(
        pl.lit(file).alias("file"),
        pl.int_range(first, first + frame.height, dtype=pl.Int64).alias("line"),
    )


def _whole(block: _Block, frame: pl.DataFrame) -> _Read:
    """Sort out the lines with too few or too many cells."""
    is_whole = (frame[_WHOLE] == _MARK).fill_null(value=False)
    cells = frame.drop(_WHOLE)
    if is_whole.all():
        return _Read([cells], [])
    lines = block.lines()
    read = _Read([cells.filter(is_whole)], [])
    for place in (~is_whole).arg_true().to_list():
        line = lines[place]
        if not line.strip():
            read.skipped += 1
        else:
            read.rejects.append(_reject(block, place, line, _what_is_wrong(block, line)))
    return read


def _line_by_line(block: _Block) -> _Read:
    """Read lines among which there is one that spoils the others."""
    read, places = _Read([], []), []
    rows: list[list[str | None]] = []
    for place, line in enumerate(block.lines()):
        if not line.strip():
            read.skipped += 1
            continue
        try:
            row = _cells(block, line)
        except CellError as error:
            read.rejects.append(_reject(block, place, line, error))
            continue
        rows.append([cell or None for cell in row])
        places.append(block.first + place)
    frame = pl.DataFrame(rows, schema=dict.fromkeys(block.names, pl.String), orient="row")
    located = frame.with_columns(file=pl.lit(block.file), line=pl.Series(places, dtype=pl.Int64))
    read.frames.append(located)
    return read


def _cells(block: _Block, line: bytes) -> list[str]:
    row = cells_of(decoded(line.rstrip(b"\r")), skip_blanks=False)
    check_width(row, len(block.names))
    return row


def _what_is_wrong(block: _Block, line: bytes) -> CellError:
    try:
        _cells(block, line)
    except CellError as error:
        return error
    return CellError("", "holds control characters")


def _reject(block: _Block, place: int, line: bytes, error: CellError) -> Reject:
    return rejected(block.file, block.first + place, line.rstrip(b"\r"), error)


def _batch(read: _Read, options: Options, lines: Callable[[], list[bytes]], first: int) -> Batch:
    """Check what was read; `lines` are asked for only where something is wrong."""
    frame = pl.concat(read.frames, how="vertical") if read.frames else frame_of([])
    sound, faults = checked(frame, options)
    rejects = list(read.rejects)
    if faults:
        texts, numbers = lines(), frame["line"]
        for fault in faults:
            number = numbers[fault.place]
            text = texts[number - first] if texts else b""
            error = CellError(fault.column, fault.reason)
            rejects.append(rejected(frame["file"][0], number, text, error))
    rejects.sort(key=lambda reject: reject.line)
    entries = sound.height + len(rejects) + read.skipped
    return Batch(sound, tuple(rejects), entries, sound.height, read.skipped)


def read_ndjson(source: Source, options: Options) -> Iterator[Batch]:
    """Read one JSON object a line; members that are no columns go into `attributes`."""
    batch = _Objects(source)
    try:
        for number, line in source.lines():
            batch.add(number, line)
            if len(batch.lines) >= _LINES_AT_ONCE:
                yield batch.batch(options)
                batch = _Objects(source)
    except Damaged as damage:
        if batch.lines:
            yield batch.batch(options)
        yield _lone(Reject(source.name, source.entries + 1, "", str(damage)))
        return
    if batch.lines:
        yield batch.batch(options)


class _Objects:
    """Lines of NDJSON that become one batch."""

    def __init__(self, source: Source) -> None:
        self.lines: list[bytes] = []
        self._source = source
        self._first = source.entries + 1
        self._read = _Read([], [])
        self._rows: list[tuple[str | None, ...]] = []
        self._numbers: list[int] = []

    def add(self, number: int, line: bytes) -> None:
        self.lines.append(line)
        if not line.strip():
            self._read.skipped += 1
            return
        try:
            row = _row_of(object_of(decoded(line)))
        except CellError as error:
            self._read.rejects.append(rejected(self._source.name, number, line, error))
            return
        self._rows.append(row)
        self._numbers.append(number)

    def batch(self, options: Options) -> Batch:
        columns = dict.fromkeys(_OWN, pl.String)
        frame = pl.DataFrame(self._rows, schema=columns, orient="row").with_columns(
            file=pl.lit(self._source.name), line=pl.Series(self._numbers, dtype=pl.Int64)
        )
        self._read.frames.append(frame)
        return _batch(self._read, options, lambda: self.lines, self._first)


def _row_of(members: dict[str, Any]) -> tuple[str | None, ...]:
    """Return the cells of `_OWN`; CellError."""
    own = members.pop("attributes", None)
    foreign = {name: members[name] for name in members if name not in OWN | _PLACES}
    attributes = {} if own is None or own == "" else own
    if isinstance(attributes, str):
        attributes = object_of(attributes)
    if not isinstance(attributes, dict):
        raise CellError("attributes", "is no JSON object")
    members["attributes"] = msgspec.json.encode(attributes | foreign).decode()
    row = []
    for name in _OWN:
        try:
            row.append(text_of(members.get(name)) or None)
        except ValueError as error:
            raise CellError(name, str(error)) from None
    return tuple(row)


def read_parquet(source: Source, options: Options) -> Iterator[Batch]:
    """Read columns as they are; `line` counts rows from 1."""
    try:
        scan = pl.scan_parquet(source.path)
        _check_schema(scan.collect_schema())
        for frame in scan.collect_batches(chunk_size=MOST_ROWS, maintain_order=True):
            first, source.entries = source.entries + 1, source.entries + frame.height
            placed = _placed(_without_empty(frame), source.name, first)
            yield _batch(_Read([placed], []), options, list, first)
    except CellError as error:
        yield _lone(Reject(source.name, 1, error.column, f"{error.reason}: the file is not read"))
    except PolarsError as error:
        reason = f"cannot be read on from here: {error}"
        yield _lone(Reject(source.name, source.entries + 1, "", reason))


def _check_schema(schema: pl.Schema) -> None:
    missing = sorted(NEEDED - set(schema))
    if missing:
        raise CellError(missing[0], "is not among the columns")
    for name in OWN & set(schema):
        kinds = _KINDS.get(name, _TEXT_KINDS)
        if schema[name].base_type() not in kinds and schema[name] != pl.Null:
            raise CellError(name, f"holds {schema[name]}, which a CDR has not there")


def _lone(reject: Reject) -> Batch:
    return Batch(frame_of([]), (reject,), 1, 0, 0)

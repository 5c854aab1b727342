"""A format as a table: which of a switch's columns say what a CDR has to know.

    Layout   declared by a format: for each column of the CDR the switch's columns, best first
    Maker    a layout with the options of one file: cells in, `Cdr` out

Cells are a dictionary by the switch's names, whatever they were read from. Of several columns the
first that is not empty counts. What no layout names is kept as JSON in `attributes`.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from ocs.adapters.cdr_files.cells import (
    EARLIER,
    NOT_ANSWERED,
    SECOND_MS,
    CellError,
    ReadDuration,
    ReadTime,
    text_of,
)
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import ORIG, Cdr
from ocs.domain.usage import VOICE
from ocs.domain.zones import zone_named

Cells = Mapping[str, object]
"""The switch's columns by name: texts of a CSV, whatever JSON holds."""

_HASH_CHARACTERS: Final = 32
_json: Final = msgspec.json.Encoder(order=None).encode


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Which columns say what; the names of a CDR's own columns are those of `Cdr`.

    Times and durations come with what reads them. `hashed_id`: where no column is an id, the hash
    of the entry is one.
    """

    cdr_id: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()
    session_id: tuple[str, ...] = ()
    subscriber: tuple[str, ...] = ()
    calling: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    trunk_in: tuple[str, ...] = ()
    trunk_out: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    start: tuple[tuple[str, ReadTime], ...] = ()
    answer: tuple[tuple[str, ReadTime], ...] = ()
    end: tuple[tuple[str, ReadTime], ...] = ()
    duration: tuple[tuple[str, ReadDuration], ...] = ()
    hashed_id: bool = False


class Told(NamedTuple):
    """What a format knows of a use beside its columns.

    `answered` is None where the time of the answer says it, `units` where they are the seconds of
    the duration. `cdr_id` comes before the columns, unless `fields` names one; trunks come after.
    """

    usage_type: str = VOICE
    direction: str = ORIG
    answered: bool | None = None
    units: int | None = None
    cdr_id: str = ""
    trunk_in: str = ""
    trunk_out: str = ""


PLAIN: Final = Told()


class Maker:
    """Makes the CDRs of one file."""

    def __init__(self, layout: Layout, options: Options, file: str) -> None:
        named = {name: (column,) for name, column in options.fields.items()}
        layout = msgspec.structs.replace(layout, **named)
        self._layout = layout
        self._options = options
        self._zone = zone_named(options.zone)
        self._added_ms = options.added_ms
        self._file = file
        self._read = _columns_of(layout)

    def cdr(self, cells: Cells, line: int, entry: bytes, told: Told = PLAIN) -> Cdr:
        """Make the CDR of an entry; CellError for one that cannot be used."""
        layout, options = self._layout, self._options
        start, answer, end = self._times(cells)
        answered = answer is not None if told.answered is None else told.answered
        duration_ms, units = None, told.units
        if units is None:
            duration_ms = self._duration(cells, answered, answer, end)
            units = self.seconds(duration_ms)
        cdr_id = self._id(cells, entry, told.cdr_id)
        called = first(cells, layout.called)
        if not called and told.usage_type == VOICE and (answered or units):
            column = _best(cells, layout.called)
            raise CellError(column, "is empty, expected the number that was called")
        return Cdr(
            cdr_id,
            self._file,
            line,
            first(cells, layout.tenant) or options.tenant,
            first(cells, layout.session_id) or cdr_id,
            first(cells, layout.subscriber),
            first(cells, layout.calling),
            called,
            first(cells, layout.trunk_in) or told.trunk_in,
            first(cells, layout.trunk_out) or told.trunk_out,
            start,
            answer,
            end,
            duration_ms,
            units,
            told.usage_type,
            told.direction,
            answered,
            first(cells, layout.cause),
            self._rest(cells),
        )

    def seconds(self, duration_ms: int) -> int:
        """Return the whole seconds that are charged."""
        return (duration_ms + self._added_ms) // SECOND_MS

    def _times(self, cells: Cells) -> tuple[int | None, int | None, int | None]:
        layout = self._layout
        start = self._time(cells, layout.start, 0)
        answer = self._time(cells, layout.answer, start or 0)
        end = self._time(cells, layout.end, answer or start or 0)
        if start is None and answer is None and end is None:
            column = _best(cells, _names(layout.answer))
            raise CellError(column, "is empty like all other times, expected one of them")
        return start, answer, end

    def _time(
        self, cells: Cells, columns: tuple[tuple[str, ReadTime], ...], after_ms: int
    ) -> int | None:
        """Return a time that is not before another; None where there is none."""
        for column, read in columns:
            if column not in cells:
                continue
            try:
                at_ms = read(cell_of(cells, column), self._zone, after_ms)
            except ValueError as error:
                raise CellError(column, str(error)) from None
            if at_ms is not None:
                if at_ms < after_ms:
                    raise CellError(column, EARLIER)
                return at_ms
        return None

    def _duration(self, cells: Cells, answered: bool, answer: int | None, end: int | None) -> int:
        """Return what the switch counted; what the times say where it did not."""
        for column, read in self._layout.duration:
            if column not in cells:
                continue
            try:
                counted = read(cell_of(cells, column))
            except ValueError as error:
                raise CellError(column, str(error)) from None
            if counted is not None:
                if counted and not answered:
                    raise CellError(column, NOT_ANSWERED)
                return counted
        if not answered:
            return 0
        if answer is None or end is None:
            column = _best(cells, _names(self._layout.duration))
            raise CellError(column, "is empty, expected how long the call was")
        return end - answer

    def _id(self, cells: Cells, entry: bytes, told: str) -> str:
        composed = "" if "cdr_id" in self._options.fields else told
        cdr_id = composed or first(cells, self._layout.cdr_id)
        if not cdr_id:
            if not self._layout.hashed_id:
                column = _best(cells, self._layout.cdr_id)
                raise CellError(column, "is empty, expected an id of the CDR")
            cdr_id = hash_of(entry)
        return self._options.id_of(cdr_id)

    def _rest(self, cells: Cells) -> str:
        read = self._read
        rest = {name: cell for name, cell in cells.items() if cell != "" and name not in read}
        return _json(rest).decode() if rest else "{}"


def first(cells: Cells, columns: tuple[str, ...]) -> str:
    """Return the first of some columns that is not empty; "" if none is."""
    for column in columns:
        if column in cells:
            cell = cell_of(cells, column)
            if cell:
                return cell
    return ""


def cell_of(cells: Cells, column: str) -> str:
    """Return a cell as text without blanks around it; "" where there is none."""
    cell = cells.get(column, "")
    if type(cell) is not str:
        try:
            cell = text_of(cell)
        except ValueError as error:
            raise CellError(column, str(error)) from None
    return cell.strip()


def hash_of(entry: bytes) -> str:
    """Return an id for what has none: the same entry, read again, has the same."""
    return hashlib.sha256(entry).hexdigest()[:_HASH_CHARACTERS]


def _columns_of(layout: Layout) -> frozenset[str]:
    """Return what is read; it is not kept a second time."""
    names: set[str] = set()
    for value in msgspec.structs.astuple(layout):
        if isinstance(value, tuple):
            names.update(each if isinstance(each, str) else each[0] for each in value)
    return frozenset(names)


def _best(cells: Cells, columns: tuple[str, ...]) -> str:
    """Return the first of some columns that the file has."""
    return next((column for column in columns if column in cells), columns[0] if columns else "")


def _names(columns: tuple[tuple[str, object], ...]) -> tuple[str, ...]:
    return tuple(column for column, _ in columns)

"""From lines to outcomes, and from outcomes to batches."""

import csv
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from ocs.adapters.cdr_files.cells import CellError
from ocs.adapters.cdr_files.opening import LONGEST_LINE, Damaged, Source
from ocs.adapters.cdr_files.records import (
    MOST_ROWS,
    SKIPPED,
    Batch,
    Cdr,
    Outcome,
    Reject,
    Skipped,
    Used,
    frame_of,
)

MOST_TEXT: Final = 64 << 20
"""Characters of attributes and rejected text in a batch: a CDR of FreeSWITCH can be 20 kB."""

ReadLine = Callable[[int, bytes, str], Used | Skipped]
"""(line number, its bytes, its text) -> what becomes of it; CellError."""


def read_lines(source: Source, read: ReadLine) -> Iterator[Outcome]:
    """Read a file whose lines are entries; blank ones are skipped."""
    for number, line in source.lines():
        if not line.strip():
            yield SKIPPED
            continue
        try:
            yield read(number, line, decoded(line))
        except CellError as error:
            yield rejected(source.name, number, line, error)


def decoded(line: bytes) -> str:
    """Return the text of a line; CellError for what is none."""
    if len(line) > LONGEST_LINE:
        raise CellError("", f"is longer than {LONGEST_LINE} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise CellError("", "is not UTF-8 text") from None


def rejected(file: str, number: int, line: bytes, error: CellError) -> Reject:
    text = line[:LONGEST_LINE].decode(errors="replace")
    return Reject(file, number, error.column, error.reason, text)


def cells_of(text: str, *, skip_blanks: bool = True) -> list[str]:
    """Return the cells of one line of CSV; CellError where its quotes do not close.

    `skip_blanks` before cells: switches write them between a comma and a quote.
    """
    try:
        (row,) = csv.reader((text,), strict=True, skipinitialspace=skip_blanks)
    except (csv.Error, ValueError):
        reason = "a quote does not close, or stands within a cell"
        if "\r" in text:
            reason = "a carriage return stands within the line"
        raise CellError("", f"is not CSV: {reason}") from None
    return row


def check_width(row: list[str], width: int) -> None:
    if len(row) != width:
        raise CellError("", f"has {len(row)} cells, expected {width}")


def object_of(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object that a text is; CellError."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CellError("", f"is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CellError("", "is not a JSON object")
    return found


def batches(source: Source, outcomes: Iterator[Outcome]) -> Iterator[Batch]:
    """Pack outcomes; a damaged file ends with a reject that says where."""
    pack = _Pack(source)
    try:
        for outcome in outcomes:
            pack.add(outcome)
            if pack.is_full():
                yield pack.batch()
                pack = _Pack(source)
    except Damaged as damage:
        source.entries += 1
        pack.add(Reject(source.name, source.entries, "", str(damage)))
    if pack.has_any():
        yield pack.batch()


class _Pack:
    """A batch that is being filled."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows: list[Cdr] = []
        self._rejects: list[Reject] = []
        self._used = self._skipped = self._text = 0

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome, Used):
            self._used += outcome.entries
            self._rows += outcome.rows
            self._text += sum(len(row.attributes) for row in outcome.rows)
        elif isinstance(outcome, Reject):
            self._rejects.append(outcome)
            self._text += len(outcome.text)
        else:
            self._skipped += 1

    def is_full(self) -> bool:
        most = max(len(self._rows), len(self._rejects))
        return most >= MOST_ROWS or self._text >= MOST_TEXT

    def has_any(self) -> bool:
        return bool(self._rows or self._rejects or self._skipped)

    def batch(self) -> Batch:
        source = self._source
        entries, source.told = source.entries - source.told, source.entries
        frame = frame_of(self._rows)
        return Batch(frame, tuple(self._rejects), entries, self._used, self._skipped)

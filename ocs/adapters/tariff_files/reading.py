"""One tariff file, read whole: every bad line is found, and one bad line spoils the file.

A deck of a million rows has to load in seconds, in a language that takes about a microsecond for a
row. So what rows have in common is worked out once: a dictionary takes the price cells of a row, as
they stand in the file, to the number of a compiled price, and others do so for the destination and
for what says when and for whom the row holds. What is left for a row is the prefix.
"""

import csv
import io
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import msgspec

from ocs.adapters.tariff_files.cells import (
    CellErrors,
    Entry,
    Scope,
    read_destination,
    read_prefix,
    read_price,
    read_scope,
)
from ocs.adapters.tariff_files.header import (
    ALLOWED,
    ALWAYS,
    BadLine,
    Columns,
    Settings,
    read_columns,
    read_settings,
)
from ocs.adapters.tariff_files.sections import Table, Tariff, sections_of
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS

if TYPE_CHECKING:
    import _csv  # the only place that the type of a reader has a name

_UNUSABLE: Final = -1  # stands for a cell that was reported: its file will not load


class TariffBuild(msgspec.Struct, frozen=True):
    """All tariffs of a folder, the sections of each side by side; `id` hashes what was read."""

    id: str
    tariffs: tuple[Tariff, ...]


def read_tariff(file: str, content: bytes) -> tuple[Tariff, ...] | list[BadLine]:
    """Read one file; all its bad lines if there is any."""
    bad: list[BadLine] = []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [BadLine(file, line, "", "is not UTF-8 text")]
    settings, head_lines = read_settings(file, io.StringIO(text, newline=""), bad)
    stream = io.StringIO(text, newline="")
    deque(islice(stream, head_lines), maxlen=0)
    reader = csv.reader(stream, strict=True)
    rows = None
    try:
        names = next(reader, [])
        columns = read_columns(file, head_lines + 1, names, settings, bad)
        if columns is not None and settings.currency is not None:
            rows = _Rows(file, columns, settings, settings.currency, bad)
            rows.read(reader, head_lines)
    except csv.Error as error:
        bad.append(BadLine(file, head_lines + reader.line_num, "", f"is not CSV: {error}"))
    if bad or rows is None:
        return bad
    return sections_of(rows.table(), bad) or bad


class _Rows:
    """The rows of one file as columns of numbers, filled row by row."""

    def __init__(
        self, file: str, columns: Columns, settings: Settings, money: Currency, bad: list[BadLine]
    ) -> None:
        self._file = file
        self._columns = columns
        self._settings = settings
        self._money = money
        self._bad = bad
        self._at_prefix = columns.positions["prefix"]
        self._at_destination = columns.positions["destination"]
        self._price_cells = _cells(columns, columns.price_columns)
        self._scope_cells = _cells(columns, columns.scope_columns)
        self._price_numbers: dict[tuple[str, ...], int] = {}
        self._entries: list[Entry] = []
        self._destination_numbers: dict[str, int] = {}
        self._destinations: list[str] = []
        self._scope_numbers: dict[tuple[str, ...], int] = {}
        self._scopes: list[Scope] = []
        self._prefixes: list[str] = []
        self._lines = array("i")
        self._row_prices = array("i")
        self._row_destinations = array("i")
        self._row_scopes = array("i")

    def read(self, reader: "_csv.Reader", lines_before: int) -> None:
        """Read all rows. This loop is the load time of a large deck."""
        at_prefix, at_destination = self._at_prefix, self._at_destination
        has_scopes = bool(self._columns.scope_columns) or self._settings.valid != ALWAYS
        width, price_cells = len(self._columns.positions), self._price_cells
        scope_cells, find_scope = self._scope_cells, self._scope_numbers.get
        find_price, find_destination = self._price_numbers.get, self._destination_numbers.get
        add_prefix, add_line = self._prefixes.append, self._lines.append
        add_price, add_destination = self._row_prices.append, self._row_destinations.append
        add_scope = self._row_scopes.append
        for row in reader:
            line = reader.line_num + lines_before
            if len(row) != width:
                self._wrong_width(row, line)
                continue
            prefix = row[at_prefix]
            price, destination = find_price(price_cells(row)), find_destination(row[at_destination])
            if (
                price is None
                or destination is None
                or len(prefix) > MAX_PREFIX_DIGITS
                or not (prefix.isdecimal() and prefix.isascii())
            ):
                if not any(row):  # an empty line, as spreadsheets write it
                    continue
                prefix, price, destination = self._read_new(row, line)
            if has_scopes:
                scope = find_scope(scope_cells(row))
                add_scope(self._scope_number(row, line) if scope is None else scope)
            add_prefix(prefix)
            add_line(line)
            add_price(price)
            add_destination(destination)

    def table(self) -> Table:
        """Return what was read; nothing of it is of use where a line was bad."""
        return Table(
            file=self._file,
            currency=self._money.code,
            usage_type=self._settings.usage_type,
            zone=self._settings.zone,
            gaps=self._settings.gaps == ALLOWED,
            prefixes=self._prefixes,
            lines=self._lines,
            row_prices=self._row_prices,
            row_destinations=self._row_destinations,
            row_scopes=self._row_scopes,
            entries=self._entries,
            destinations=self._destinations,
            scopes=self._scopes,
        )

    def _wrong_width(self, row: list[str], line: int) -> None:
        """Report a row with too few or too many cells; an empty line is none."""
        if any(row):
            reason = f"has {len(row)} cells where the header has {len(self._columns.positions)}"
            self._bad.append(BadLine(self._file, line, "", reason))

    def _read_new(self, row: list[str], line: int) -> tuple[str, int, int]:
        """Read a row with something not met before; what is wrong is reported, all of it."""
        prefix, price, destination = "", _UNUSABLE, _UNUSABLE
        try:
            prefix = read_prefix(row[self._at_prefix])
        except CellErrors as error:
            self._report(line, error)
        try:
            price = self._price_number(self._price_cells(row))
        except CellErrors as error:
            self._report(line, error)
        try:
            destination = self._destination_number(row[self._at_destination])
        except CellErrors as error:
            self._report(line, error)
        return prefix, price, destination

    def _price_number(self, cells: tuple[str, ...]) -> int:
        if cells not in self._price_numbers:
            self._entries.append(read_price(cells, self._columns, self._settings, self._money))
            self._price_numbers[cells] = len(self._entries) - 1
        return self._price_numbers[cells]

    def _destination_number(self, text: str) -> int:
        numbers = self._destination_numbers
        if text not in numbers:
            name = read_destination(text)
            if name not in numbers:
                self._destinations.append(name)
                numbers[name] = len(self._destinations) - 1
            numbers[text] = numbers[name]
        return numbers[text]

    def _scope_number(self, row: list[str], line: int) -> int:
        cells = self._scope_cells(row)
        try:
            self._scopes.append(read_scope(cells, self._columns, self._settings))
        except CellErrors as error:
            self._report(line, error)
            return _UNUSABLE
        self._scope_numbers[cells] = len(self._scopes) - 1
        return self._scope_numbers[cells]

    def _report(self, line: int, error: CellErrors) -> None:
        self._bad.extend(BadLine(self._file, line, *cell) for cell in error.cells)


def _cells(columns: Columns, names: Iterable[str]) -> Callable[[list[str]], tuple[str, ...]]:
    """Return what takes some cells out of a row, always as a tuple."""
    positions = tuple(columns.positions[name] for name in names)
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda row: tuple(row[position] for position in positions)

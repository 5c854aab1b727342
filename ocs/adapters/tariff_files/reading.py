"""One tariff file, read whole: every bad line is found, and one bad line spoils the file.

A deck of a million rows has to load in seconds, in a language that takes about a microsecond for a
row. So what rows have in common is worked out once: a dictionary takes the price cells of a row, as
they stand in the file, to the number of a compiled price, and another the destination to its own.
What is left for a row is the prefix. Sorting the prefixes as text puts every prefix before those
that it contains, which is the order that the trie is built in.
"""

import csv
import io
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from operator import eq, itemgetter
from typing import TYPE_CHECKING, Final

import msgspec

from ocs.adapters.tariff_files.cells import (
    CellError,
    read_destination,
    read_instant,
    read_prefix,
    read_price,
)
from ocs.adapters.tariff_files.header import BadLine, Columns, Settings, read_columns, read_settings
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS, Price

if TYPE_CHECKING:
    import _csv  # the only place that the type of a reader has a name

_UNUSABLE: Final = -1  # stands for a cell that was reported: its file will not load
_ABSENT: Final = -1
_COLUMNS_BY_POSITION: Final = ("prefix", "destination", "valid_from", "valid_to")


class Tariff(msgspec.Struct, frozen=True):
    """A tariff file that holds: rows sorted by prefix, then by date.

    `prefixes` are distinct. Each row has a price and a destination, by number. The last three are
    empty where no row has dates: then row and prefix are the same number.
    """

    name: str
    currency: str
    usage_type: str
    prefixes: list[str]
    row_prices: "array[int]"
    row_destinations: "array[int]"
    prices: list[Price]
    destinations: list[str]
    first_rows: "array[int]"
    valid_from_ms: "array[int]"
    valid_to_ms: "array[int]"


class TariffBuild(msgspec.Struct, frozen=True):
    """All tariffs of a folder; `id` is the hash of what was read."""

    id: str
    tariffs: tuple[Tariff, ...]


def read_tariff(file: str, content: bytes) -> Tariff | list[BadLine]:
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
        columns = read_columns(file, head_lines + 1, names, settings.model, bad)
        if columns is not None and settings.currency is not None:
            rows = _Rows(file, columns, settings, settings.currency, bad)
            rows.read(reader, head_lines)
    except csv.Error as error:
        bad.append(BadLine(file, head_lines + reader.line_num, "", f"is not CSV: {error}"))
    return bad if bad or rows is None else rows.tariff(file.removesuffix(".csv"))


class _Rows:
    """The rows of one file on their way to a `Tariff`: columns of numbers, filled row by row."""

    def __init__(
        self, file: str, columns: Columns, settings: Settings, money: Currency, bad: list[BadLine]
    ) -> None:
        self._file = file
        self._columns = columns
        self._settings = settings
        self._money = money
        self._bad = bad
        positions = columns.positions
        self._at = [positions.get(name, _ABSENT) for name in _COLUMNS_BY_POSITION]
        self._price_cells = _cells(positions[name] for name in columns.price_columns)
        self._price_numbers: dict[tuple[str, ...], int] = {}
        self._prices: list[Price] = []
        self._destination_numbers: dict[str, int] = {}
        self._destinations: list[str] = []
        self._prefixes: list[str] = []
        self._lines = array("i")
        self._row_prices = array("i")
        self._row_destinations = array("i")
        self._valid_from_ms = array("q")
        self._valid_to_ms = array("q")

    def read(self, reader: "_csv.Reader", lines_before: int) -> None:
        """Read all rows. This loop is the load time of a large deck."""
        at_prefix, at_destination, at_from, at_to = self._at
        is_dated = max(at_from, at_to) != _ABSENT
        width, price_cells = len(self._columns.positions), self._price_cells
        find_price, find_destination = self._price_numbers.get, self._destination_numbers.get
        add_prefix, add_line = self._prefixes.append, self._lines.append
        add_price, add_destination = self._row_prices.append, self._row_destinations.append
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
                prefix, price, destination = self._read_new(row, line)
            if is_dated:
                self._read_dates(row, line)
            add_prefix(prefix)
            add_line(line)
            add_price(price)
            add_destination(destination)

    def tariff(self, name: str) -> Tariff | list[BadLine]:
        """Sort what was read and look for prefixes that are in force twice."""
        prefixes, valid_from_ms = self._prefixes, self._valid_from_ms
        if not prefixes:
            return [BadLine(self._file, 0, "", "has no rates")]
        order = list(range(len(prefixes)))
        if valid_from_ms:
            order.sort(key=valid_from_ms.__getitem__)
        order.sort(key=prefixes.__getitem__)
        ordered = [prefixes[row] for row in order]
        self._check_overlaps(order, ordered)
        if self._bad:
            return self._bad
        first_rows = array("i")
        if valid_from_ms:
            first_rows.extend(
                row for row, prefix in enumerate(ordered) if not row or prefix != ordered[row - 1]
            )
            ordered = [ordered[row] for row in first_rows]
            first_rows.append(len(order))
        return Tariff(
            name=name,
            currency=self._money.code,
            usage_type=self._settings.usage_type,
            prefixes=ordered,
            row_prices=_in_order(self._row_prices, order),
            row_destinations=_in_order(self._row_destinations, order),
            prices=self._prices,
            destinations=self._destinations,
            first_rows=first_rows,
            valid_from_ms=_in_order(valid_from_ms, order),
            valid_to_ms=_in_order(self._valid_to_ms, order),
        )

    def _wrong_width(self, row: list[str], line: int) -> None:
        """Report a row with too few or too many cells; an empty line is none."""
        if row:
            reason = f"has {len(row)} cells where the header has {len(self._columns.positions)}"
            self._bad.append(BadLine(self._file, line, "", reason))

    def _read_new(self, row: list[str], line: int) -> tuple[str, int, int]:
        """Read a row with something not met before; what is wrong is reported, all of it."""
        at_prefix, at_destination, _, _ = self._at
        prefix, price, destination = "", _UNUSABLE, _UNUSABLE
        try:
            prefix = read_prefix(row[at_prefix])
        except CellError as error:
            self._report(line, error)
        try:
            price = self._price_number(self._price_cells(row))
        except CellError as error:
            self._report(line, error)
        try:
            destination = self._destination_number(row[at_destination])
        except CellError as error:
            self._report(line, error)
        return prefix, price, destination

    def _price_number(self, cells: tuple[str, ...]) -> int:
        if cells not in self._price_numbers:
            self._prices.append(read_price(cells, self._columns, self._settings, self._money))
            self._price_numbers[cells] = len(self._prices) - 1
        return self._price_numbers[cells]

    def _destination_number(self, text: str) -> int:
        if text not in self._destination_numbers:
            self._destinations.append(read_destination(text))
            self._destination_numbers[text] = len(self._destinations) - 1
        return self._destination_numbers[text]

    def _read_dates(self, row: list[str], line: int) -> None:
        _, _, at_from, at_to = self._at
        zone = self._settings.zone
        from_ms, to_ms = ALWAYS_FROM_MS, NEVER_ENDS_MS
        try:
            if at_from != _ABSENT:
                from_ms = read_instant("valid_from", row[at_from], zone, ALWAYS_FROM_MS)
            if at_to != _ABSENT:
                to_ms = read_instant("valid_to", row[at_to], zone, NEVER_ENDS_MS)
            if to_ms <= from_ms:
                raise CellError("valid_to", "must be later than valid_from")  # noqa: TRY301 -- reported like the others
        except CellError as error:
            self._report(line, error)
        self._valid_from_ms.append(from_ms)
        self._valid_to_ms.append(to_ms)

    def _check_overlaps(self, order: list[int], ordered: list[str]) -> None:
        """Report each row whose prefix is already in force at some time of its own.

        Rows with bad cells were reported; their stand-in prefix is not to be compared.
        """
        if self._bad or not any(map(eq, ordered, islice(ordered, 1, None))):
            return
        taken_by: dict[str, tuple[int, int]] = {}
        for row, prefix in zip(order, ordered, strict=True):
            from_ms = self._valid_from_ms[row] if self._valid_from_ms else ALWAYS_FROM_MS
            to_ms = self._valid_to_ms[row] if self._valid_to_ms else NEVER_ENDS_MS
            taken_to_ms, other = taken_by.get(prefix, (ALWAYS_FROM_MS, row))
            if from_ms < taken_to_ms:
                reason = (
                    f"{prefix or '*'} is in force at the same time by line {self._lines[other]}"
                )
                self._bad.append(BadLine(self._file, self._lines[row], "prefix", reason))
            if to_ms > taken_to_ms:
                taken_by[prefix] = to_ms, row

    def _report(self, line: int, error: CellError) -> None:
        self._bad.append(BadLine(self._file, line, error.column, error.reason))


def _cells(positions: Iterable[int]) -> Callable[[list[str]], tuple[str, ...]]:
    """Return what takes the price cells out of a row, always as a tuple."""
    indices = tuple(positions)
    if len(indices) == 1:
        return lambda row: (row[indices[0]],)
    return itemgetter(*indices)


def _in_order(column: "array[int]", order: list[int]) -> "array[int]":
    return array(column.typecode, [column[row] for row in order]) if column else column

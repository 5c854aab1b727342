"""From the rows of a file, as they were read, to the sections of a tariff.

A section holds the rows for one kind of call: those that ask for no caller and no trunk, and one
more for each (from_prefix, trunk) that occurs. Within a section rows are sorted by prefix, as text,
which puts every prefix before those that it contains: the order that the trie is built in.
"""

from array import array
from collections.abc import Iterator
from itertools import groupby, islice
from operator import eq
from typing import Final, TypeVar

import msgspec

from ocs.adapters.tariff_files.bands import Bands, RowFault, TimedRow
from ocs.adapters.tariff_files.cells import Entry, Scope
from ocs.adapters.tariff_files.header import BadLine
from ocs.domain.tariff import ALWAYS_FROM_MS, CATCH_ALL, NEVER_ENDS_MS, Price

_EVERYBODY: Final = ("", "")
_Record = TypeVar("_Record")


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """A section of a tariff: rows sorted by prefix, then by date.

    `prefixes` are distinct. Each row has a price and a destination, by number. The last three are
    empty where no row has dates: then row and prefix are the same number. `zone` "" is that of
    whoever calls; with `wall_dates` the dates are wall times of it.
    """

    name: str
    currency: str
    usage_type: str
    zone: str
    from_prefix: str
    trunk: str
    wall_dates: bool
    prefixes: list[str]
    row_prices: "array[int]"
    row_destinations: "array[int]"
    prices: list[Price]
    destinations: list[str]
    first_rows: "array[int]"
    valid_from_ms: "array[int]"
    valid_to_ms: "array[int]"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a file in its order: columns of numbers, and what the numbers mean.

    `row_scopes` is empty where no row says more than its prefix.
    """

    file: str
    currency: str
    usage_type: str
    zone: str
    gaps: bool
    prefixes: list[str]
    lines: "array[int]"
    row_prices: "array[int]"
    row_destinations: "array[int]"
    row_scopes: "array[int]"
    entries: list[Entry]
    destinations: list[str]
    scopes: list[Scope]

    def valid_ms(self, row: int) -> tuple[int, int]:
        """Return from when (inclusive) to when (exclusive) a row is in force."""
        if not self.row_scopes:
            return ALWAYS_FROM_MS, NEVER_ENDS_MS
        return self.scopes[self.row_scopes[row]].valid_ms


class _Section(msgspec.Struct):
    """The rows of a section in their order."""

    prefixes: list[str]
    prices: "array[int]"
    destinations: "array[int]"
    first_rows: "array[int]"
    valid_from_ms: "array[int]"
    valid_to_ms: "array[int]"


def sections_of(table: Table, bad: list[BadLine]) -> tuple[Tariff, ...]:
    """Sort the rows into sections; `bad` gets what rows are wrong in together, and then none is."""
    if not table.prefixes:
        bad.append(BadLine(table.file, 0, "", "has no rates"))
    wall_dates = _has_wall_dates(table, bad)
    if bad:
        return ()
    bands = Bands(table.entries, gaps=table.gaps)
    sections = {kind: _ordered(table, rows, bands, bad) for kind, rows in _kinds(table).items()}
    if bad:
        return ()
    tariffs = []
    for (from_prefix, trunk), section in sections.items():
        row_prices, prices = section.prices, bands.prices
        row_destinations, destinations = section.destinations, table.destinations
        if len(sections) > 1:
            row_prices, prices = _own(row_prices, prices)
            row_destinations, destinations = _own(row_destinations, destinations)
        tariff = Tariff(
            name=table.file.removesuffix(".csv"),
            currency=table.currency,
            usage_type=table.usage_type,
            zone=table.zone,
            from_prefix=from_prefix,
            trunk=trunk,
            wall_dates=wall_dates,
            prefixes=section.prefixes,
            row_prices=row_prices,
            row_destinations=row_destinations,
            prices=prices,
            destinations=destinations,
            first_rows=section.first_rows,
            valid_from_ms=section.valid_from_ms,
            valid_to_ms=section.valid_to_ms,
        )
        tariffs.append(tariff)
    return tuple(tariffs)


def _has_wall_dates(table: Table, bad: list[BadLine]) -> bool:
    """Whether dates are wall times of a zone that the file does not name: all of them, or none."""
    if not any(scope.is_wall for scope in table.scopes):
        return False
    reason = "has an offset, while other dates of the file have none: name a zone in its head"
    for row, scope in enumerate(table.row_scopes):
        if table.scopes[scope].is_fixed:
            bad.append(BadLine(table.file, table.lines[row], "valid_from", reason))
    return True


def _kinds(table: Table) -> dict[tuple[str, str], list[int]]:
    """Return the rows of each section, sorted by prefix."""
    rows = range(len(table.prefixes))
    kinds: dict[tuple[str, str], list[int]] = {}
    if table.row_scopes:
        kind_of = [(scope.from_prefix, scope.trunk) for scope in table.scopes]
        for row, scope in zip(rows, table.row_scopes, strict=True):
            kinds.setdefault(kind_of[scope], []).append(row)
    else:
        kinds[_EVERYBODY] = list(rows)
    for found in kinds.values():
        found.sort(key=table.prefixes.__getitem__)
    return dict(sorted(kinds.items()))


def _ordered(table: Table, rows: list[int], bands: Bands, bad: list[BadLine]) -> _Section:
    prefixes = [table.prefixes[row] for row in rows]
    is_plain = not (
        table.row_scopes
        or any(entry.timings for entry in table.entries)
        or any(map(eq, prefixes, islice(prefixes, 1, None)))
    )
    return _plain(table, rows, prefixes, bands) if is_plain else _grouped(table, rows, bands, bad)


def _plain(table: Table, rows: list[int], prefixes: list[str], bands: Bands) -> _Section:
    """Put rows in order that are alone with their prefix, and always in force."""
    numbers = [bands.number_of_one(entry) for entry in range(len(table.entries))]
    prices, destinations = table.row_prices, table.row_destinations
    return _Section(
        prefixes,
        array("i", [numbers[prices[row]] for row in rows]),
        array("i", [destinations[row] for row in rows]),
        array("i"),
        array("q"),
        array("q"),
    )


def _grouped(table: Table, rows: list[int], bands: Bands, bad: list[BadLine]) -> _Section:
    """Put rows in order, the prices of each prefix made of all its rows."""
    section = _Section([], array("i"), array("i"), array("i"), array("q"), array("q"))
    is_timed = [bool(entry.timings) for entry in table.entries]
    for prefix, group in groupby(rows, table.prefixes.__getitem__):
        section.prefixes.append(prefix)
        section.first_rows.append(len(section.prices))
        row, *others = group
        entry = table.row_prices[row]
        if not others and not is_timed[entry]:  # which most are: a big deck is loaded by this
            section.prices.append(bands.number_of_one(entry))
            section.destinations.append(table.row_destinations[row])
            from_ms, to_ms = table.valid_ms(row)
            section.valid_from_ms.append(from_ms)
            section.valid_to_ms.append(to_ms)
        else:
            bad += _add_prices(table, [row, *others], bands, section)
    section.first_rows.append(len(section.prices))
    if {*section.valid_from_ms} <= {ALWAYS_FROM_MS} and {*section.valid_to_ms} <= {NEVER_ENDS_MS}:
        del section.first_rows[:], section.valid_from_ms[:], section.valid_to_ms[:]
    return section


def _add_prices(
    table: Table, rows: list[int], bands: Bands, section: _Section
) -> Iterator[BadLine]:
    """Add what rows of one prefix make together; yield what is wrong with them."""
    faults: list[RowFault] = []
    timed = [
        TimedRow(
            table.lines[row],
            table.row_prices[row],
            table.row_destinations[row],
            *table.valid_ms(row),
        )
        for row in rows
    ]
    for price in bands.prices_of(timed, faults):
        section.prices.append(price.price)
        section.destinations.append(price.destination)
        section.valid_from_ms.append(price.from_ms)
        section.valid_to_ms.append(price.to_ms)
    prefix = table.prefixes[rows[0]] or CATCH_ALL
    for fault in faults:
        yield BadLine(table.file, fault.line, fault.column, f"{prefix} {fault.reason}")


def _own(numbers: "array[int]", records: list[_Record]) -> "tuple[array[int], list[_Record]]":
    """Return only the records that a section uses, numbered anew."""
    used = sorted(set(numbers))
    places = {number: place for place, number in enumerate(used)}
    return array("i", [places[number] for number in numbers]), [records[number] for number in used]

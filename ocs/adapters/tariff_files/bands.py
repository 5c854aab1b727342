"""Rows of one prefix become prices: one at a time, each with all the times of its week.

A prefix has several rows where its price depends on the time of day or changes on a date. The dates
cut its time into spans; the rows that are in force in a span are the bands of one price:

    peak      0.10  |==========================|=============
    (empty)   0.04  |==========|
    (empty)   0.05             |===============|=============
                      price 1       price 2

A row with an empty timing holds whenever no named timing of the price does. Beyond that the timings
must cover all time, and at each instant one must have the highest weight (`domain/coverage`). Where
a file says `gaps = allowed`, as those from CGRateS may have to, there is no price in a gap.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from ocs.adapters.tariff_files.cells import Entry
from ocs.domain.coverage import Flaw, flaw_of
from ocs.domain.tariff import Band, Price, untimed
from ocs.domain.timing import MOST_BANDS, Timing


class TimedRow(msgspec.Struct, frozen=True):
    """A row: its line, the number of its entry and of its destination, and when it is in force."""

    line: int
    entry: int
    destination: int
    from_ms: int
    to_ms: int


class TimedPrice(msgspec.Struct, frozen=True):
    """A price by number, with a destination, and when it is in force."""

    from_ms: int
    to_ms: int
    price: int
    destination: int


class RowFault(msgspec.Struct, frozen=True):
    """Why a row makes no price together with the others of its prefix."""

    line: int
    column: str
    reason: str


class Bands:
    """The prices that the rows of a file make, numbered, each once."""

    def __init__(self, entries: Sequence[Entry], *, gaps: bool = False) -> None:
        self.prices: list[Price] = []
        self._gaps = gaps
        self._entries = entries
        self._numbers: dict[tuple[int, ...], int] = {}
        self._flaws: dict[tuple[Timing, ...], Flaw | None] = {}

    def number_of_one(self, entry: int) -> int:
        """Return the number of the price that an entry without timing is by itself."""
        return self._number((entry,))

    def prices_of(self, rows: Sequence[TimedRow], faults: list[RowFault]) -> list[TimedPrice]:
        """Return the prices of one prefix in the order of time; `faults` gets what is wrong."""
        prices: list[TimedPrice] = []
        found: dict[RowFault, None] = {}
        for from_ms, to_ms, in_force in _spans(rows):
            entries = tuple(row.entry for row in in_force)
            destination = in_force[0].destination
            is_known = entries in self._numbers
            if not is_known or any(row.destination != destination for row in in_force):
                wrong = self._faults(in_force)
                if wrong:
                    found |= dict.fromkeys(wrong)
                    continue
            price = TimedPrice(from_ms, to_ms, self._number(entries), destination)
            if prices and _goes_on(prices[-1], price):
                price = msgspec.structs.replace(prices.pop(), to_ms=to_ms)
            prices.append(price)
        faults += found
        return prices

    def _number(self, numbers: tuple[int, ...]) -> int:
        """Return the number of the price that these entries are together."""
        if numbers not in self._numbers:
            entries = [self._entries[number] for number in numbers]
            first = entries[0]
            bands = untimed(first.ladder)
            if len(entries) > 1 or first.timings:
                bands = tuple(Band(timing, entries[i].ladder) for timing, i in _timings(entries))
            price = Price(first.model, first.blocked, bands, first.tax, first.tax_included)
            self.prices.append(price)
            self._numbers[numbers] = len(self.prices) - 1
        return self._numbers[numbers]

    def _faults(self, rows: Sequence[TimedRow]) -> list[RowFault]:
        """Return why rows that are in force at the same time make no price; empty if they do."""
        entries = [self._entries[row.entry] for row in rows]
        first, line = entries[0], rows[0].line
        if len(rows) == 1 and not first.timings:
            return []
        untimed_lines = [rows[i].line for i, entry in enumerate(entries) if not entry.timings]
        faults = []
        for row, entry in list(zip(rows, entries, strict=True))[1:]:
            if row.line in untimed_lines[1:]:
                faults.append(_at_once(row, untimed_lines[0]))
            elif first.blocked or entry.blocked:
                faults.append(_at_once(row, line))
            elif row.destination != rows[0].destination:
                faults.append(
                    RowFault(row.line, "destination", f"differs from that of line {line}")
                )
            elif (entry.tax, entry.tax_included) != (first.tax, first.tax_included):
                faults.append(RowFault(row.line, "tax", f"differs from that of line {line}"))
        return faults or self._flaw(rows, entries)

    def _flaw(self, rows: Sequence[TimedRow], entries: Sequence[Entry]) -> list[RowFault]:
        """Return where the timings of some rows leave a gap or overlap.

        Each set of timings is looked at once: a price list has a handful.
        """
        owned = _timings(entries)
        timings = tuple(timing for timing, _ in owned)
        if len(timings) > MOST_BANDS:
            reason = f"and the rows beside it have more than {MOST_BANDS} ranges of time"
            return [RowFault(rows[0].line, "timing", reason)]
        if timings not in self._flaws:
            self._flaws[timings] = flaw_of(timings, gaps=self._gaps)
        flaw = self._flaws[timings]
        if flaw is None:
            return []
        is_dated = any(timing.years or timing.months or timing.month_days for timing in timings)
        when = _when(flaw, is_dated=is_dated)
        if not flaw.by:
            return [RowFault(rows[0].line, "timing", f"has no price on {when}")]
        first, second = (rows[owned[band][1]].line for band in flaw.by[:2])
        by = f"overlaps with line {first}" if first != second else "overlaps with itself"
        return [RowFault(second, "timing", f"{by} on {when}, with the same weight")]


def _at_once(row: TimedRow, line: int) -> RowFault:
    return RowFault(row.line, "prefix", f"is in force at the same time by line {line}")


def _spans(rows: Sequence[TimedRow]) -> Iterator[tuple[int, int, list[TimedRow]]]:
    """Yield each span in which the same rows are in force, with its rows in the file's order."""
    first = rows[0]
    if all(row.from_ms == first.from_ms and row.to_ms == first.to_ms for row in rows):
        yield first.from_ms, first.to_ms, list(rows[: MOST_BANDS + 1])
        return
    begin: dict[int, list[TimedRow]] = {}
    for row in rows:
        begin.setdefault(row.from_ms, []).append(row)
    in_force: list[TimedRow] = []
    for from_ms, to_ms in pairwise(sorted({*begin, *(row.to_ms for row in rows)})):
        in_force = [row for row in in_force if row.to_ms > from_ms] + begin.get(from_ms, [])
        if in_force:
            yield from_ms, to_ms, sorted(in_force, key=_line)[: MOST_BANDS + 1]


def _timings(entries: Sequence[Entry]) -> list[tuple[Timing, int]]:
    """Return all timings of some entries, each with the index of its entry."""
    lowest = min((timing.weight for entry in entries for timing in entry.timings), default=0.0)
    otherwise = (Timing(weight=lowest - 1),)
    return [
        (timing, index)
        for index, entry in enumerate(entries)
        for timing in entry.timings or otherwise
    ]


def _when(flaw: Flaw, *, is_dated: bool) -> str:
    day = f"{flaw.day:%A} {flaw.day}" if is_dated else f"{flaw.day:%A}"
    return f"{day} {_clock(flaw.start_s)}-{_clock(flaw.end_s)}"


def _clock(second: int) -> str:
    hours, rest = divmod(second, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours:02}:{minutes:02}" + (f":{seconds:02}" if seconds else "")


def _goes_on(last: TimedPrice, price: TimedPrice) -> bool:
    former, later = (last.to_ms, last.price), (price.from_ms, price.price)
    return former == later and last.destination == price.destination


def _line(row: TimedRow) -> int:
    return row.line

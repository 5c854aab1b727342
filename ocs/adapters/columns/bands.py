"""Which band of a timed price is active, for a column of instants, and until when.

A `Timetable` knows the switches of a day. Those of all days that occur are put in a row, and the
instants are looked up in it; so the wall times, months and changes of the clocks of
`domain/timing.py` are not said a second time. Prices with the same timings share a timetable:
peak hours are one, whatever they cost.
"""

from collections.abc import Sequence
from typing import Final

import polars as pl

from ocs.adapters.columns.lines import reached
from ocs.domain.timing import NO_BAND, Timetable, Timing
from ocs.domain.zones import DAY_MS, Zone

NEVER_MS: Final = 2**62
"""Until when a band is active that no other follows."""


class Timetables:
    """The timetables that occur in a plan's prices, numbered."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[tuple[Timing | None, ...], str], int] = {}
        self._timetables: list[Timetable] = []

    def number(self, timings: Sequence[Timing | None], zone: Zone) -> int:
        """Return the number of these timings' table."""
        key = tuple(timings), zone.name
        if key not in self._numbers:
            self._numbers[key] = len(self._timetables)
            self._timetables.append(Timetable(timings, zone))
        return self._numbers[key]

    def active_at(self, timetable: pl.Series, at_ms: pl.Series) -> pl.DataFrame:
        """Return the `band` active at each instant, and an instant `until_ms` which it stays.

        `timetable` has numbers, null where there is only one band, at any time. `band` is null
        where none is active.
        """
        band = pl.zeros(len(at_ms), dtype=pl.Int64, eager=True)
        until_ms = band + NEVER_MS
        for number in timetable.unique().drop_nulls():
            here = (timetable == number).arg_true()
            found = _found(self._timetables[number], at_ms.gather(here))
            band = band.scatter(here, found["band"])
            until_ms = until_ms.scatter(here, found["until_ms"])
        return pl.DataFrame({"band": band.set(band == NO_BAND, None), "until_ms": until_ms})


def _found(timetable: Timetable, at_ms: pl.Series) -> pl.DataFrame:
    days = (at_ms // DAY_MS).unique().to_list()
    switches = pl.DataFrame(
        _switches(timetable, sorted({*days, *(day + 1 for day in days)})),
        schema={"at_ms": pl.Int64, "band": pl.Int64},
        orient="row",
    ).with_columns(until_ms=pl.col("at_ms").shift(-1))
    there = reached(switches["at_ms"], at_ms)
    return switches.select(pl.col("band", "until_ms").gather(there))


def _switches(timetable: Timetable, days: Sequence[int]) -> list[tuple[int, int]]:
    """Return each change of the band on these days; behind a run of days, that it is not known."""
    found: list[tuple[int, int]] = []
    end_ms = days[0] * DAY_MS
    for day in days:
        begin_ms = day * DAY_MS
        if begin_ms != end_ms:
            found.append((end_ms, NO_BAND))
        end_ms = begin_ms + DAY_MS
        for at_ms, band in timetable.switches(begin_ms, end_ms):
            if not found or found[-1][1] != band:
                found.append((at_ms, band))
    return [*found, (end_ms, NO_BAND)]

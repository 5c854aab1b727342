"""What the rows of a plan's tariffs cost and are called: few distinct prices, as columns.

    row --> price --> tariff, model, currency, code
                  '-> timetable --> band --> ladder --> amount
        '-> destination

Rows, prices and destinations of all of a plan's decks are numbered through.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TypedDict

import polars as pl

from ocs.adapters.columns.bands import NEVER_MS, Timetables
from ocs.adapters.columns.flat import Section
from ocs.adapters.columns.ladders import LadderColumns
from ocs.adapters.columns.lines import column
from ocs.domain.offers import bands_at
from ocs.domain.results import ResultCode
from ocs.domain.tariff import Price, Records


class _Price(TypedDict):
    """`ladder` is that of the first band; `timetable` is null where there is no other."""

    tariff: str
    model: str
    currency: str
    code: str
    ladder: int
    timetable: int | None


_SCHEMA = {
    "tariff": pl.String,
    "model": pl.String,
    "currency": pl.String,
    "code": pl.String,
    "ladder": pl.Int64,
    "timetable": pl.Int64,
}


class Prices:
    """The prices of all sections of a plan's tariffs."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self._timetables = Timetables()
        rows = [pl.DataFrame(schema={"price": pl.Int64, "name": pl.Int64})]
        priced: list[tuple[Section, Price]] = []
        names: list[str] = []
        for section in sections:
            deck = section.deck
            price, name = column(deck.rows.prices), column(deck.rows.destinations)
            rows.append(pl.DataFrame({"price": price + len(priced), "name": name + len(names)}))
            priced += [(section, deck.price(n)) for n in range(len(deck.rows.price_records))]
            names += _texts(deck.rows.destination_records)
        bands = [bands_at(price, section.percent) for section, price in priced]
        first_ladders = accumulate(map(len, bands), initial=0)
        prices = [
            self._price(*each, first_ladder=first)
            for each, first in zip(priced, first_ladders, strict=False)
        ]
        self._rows = pl.concat(rows).cast(pl.UInt32)  # what Polars gathers by without converting
        self._names = pl.Series("destination", names, dtype=pl.String)
        self._prices = pl.DataFrame(prices, schema=_SCHEMA, orient="row")
        self._is_timed = self._prices["timetable"].null_count() < len(self._prices)
        self._alike = {each.name: each[0] for each in self._prices if each.n_unique() == 1}
        self._ladders = LadderColumns([band.ladder for each in bands for band in each])

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self._rows)

    def of_rows(self, row: pl.Series, at_ms: pl.Series) -> pl.DataFrame:
        """Return what is said of each row (columns as in `_Price`, and `destination`).

        `ladder` is the one in force at the instant, null where no band is active; it stays so up to
        `until_ms`. All are null where the row is.
        """
        rows = self._rows.select(pl.all().gather(row))
        found = self._found(rows["price"]).with_columns(self._names.gather(rows["name"]))
        if not self._is_timed:
            return found.with_columns(until_ms=pl.lit(NEVER_MS))
        bands = self._timetables.active_at(found["timetable"], at_ms)
        return found.with_columns(bands["until_ms"], ladder=found["ladder"] + bands["band"])

    def _found(self, price: pl.Series) -> pl.DataFrame:
        """Return what is said of each price; what is said of all is not looked up."""
        alike = {} if price.null_count() else self._alike
        looked_up = (
            pl.lit(alike[each.name], each.dtype).alias(each.name)
            if each.name in alike
            else pl.lit(each).gather("price").alias(each.name)
            for each in self._prices
        )
        return pl.DataFrame({"price": price}).with_columns(looked_up).drop("price")

    def cost(self, ladder: pl.Series, units: pl.Series) -> pl.Series:
        """Return what each use costs; null where Python has to find out."""
        return self._ladders.cost(ladder, units)

    def fee(self, ladder: pl.Series, units: pl.Series) -> pl.Series:
        """Return what of each use's cost is the fee, as far as bounds leave it."""
        return self._ladders.fee(ladder, units)

    def _price(self, section: Section, price: Price, *, first_ladder: int) -> _Price:
        head = section.deck.head
        code = ResultCode.RATE_BLOCKED if price.blocked else ResultCode.OK
        timings = [band.timing for band in price.bands]
        return {
            "tariff": head.tariff,
            "model": price.model,
            "currency": head.currency.code,
            "code": code.value,
            "ladder": first_ladder,
            "timetable": self._timetables.number(timings, section.zone) if price.is_timed else None,
        }


def _texts(records: Records) -> list[str]:
    return [str(records[number], "utf-8") for number in range(len(records))]

"""A plan's tariffs for one usage type, ready to rate columns of CDRs.

    tariffs --> sections     the decks, in the order in which a look-up asks them
                 |- by origin    which of them a caller and a trunk may use: few combinations
                 |- by epoch     between two dates of its rows nothing begins and nothing ends
                 '-> ranges      a flat line for each origin and epoch that occurs, kept

What columns cannot tell is left for `Generation.schedule` to find out, call by call: a call across
a switch, a number shorter than its prefix or longer than the line, a price of which no band is
active, an amount that 64 bits do not hold. So are calls too few to be worth flattening decks for.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from ocs.adapters.columns.flat import Section, flatten
from ocs.adapters.columns.frames import INDEXED, beside, joined, parted
from ocs.adapters.columns.lines import NO_POINT, WIDTHS, points, reached
from ocs.adapters.columns.origins import Origin, Origins
from ocs.adapters.columns.prices import Prices
from ocs.domain.money import MAX_AMOUNT, MAX_QUANTUM
from ocs.domain.results import ResultCode
from ocs.domain.tariff import CATCH_ALL

MOST_ROWS_KEPT: Final = 10_000_000
"""Rows of tables that are kept, about 40 bytes each; a full memory is dropped whole and refills."""

_AT_ONCE: Final = 200_000
"""Rows that are priced at once: their columns stay in the cache (a million cost a quarter more)."""

_RANGES_A_CALL: Final = 100
"""Pricing a call by itself costs as much as flattening so many ranges (40 us against 0.4 us)."""

_IS_OK: Final = pl.col("code") == ResultCode.OK.value
_SIZE: Final = pl.max_horizontal("digits", 0)
_BEGINNING: Final = pl.col("start") // pl.lit(WIDTHS).gather(_SIZE)
_PREFIX: Final = (
    pl.when(pl.col("digits") > 0)
    .then(_BEGINNING.cast(pl.String).str.zfill(_SIZE))
    .when(pl.col("digits") == 0)
    .then(pl.lit(CATCH_ALL))
    .alias("prefix")
)
"""The digits of a range's prefix: it begins with them, wherever it begins."""

_SECOND_MS: Final = 1_000
_LAST_MS: Final = 2**63 - 1


def _pieces(cdrs: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut CDRs into as few pieces as may be, alike in size."""
    pieces = -(-len(cdrs) // _AT_ONCE)
    return cdrs.iter_slices(-(-len(cdrs) // pieces))


def _untold(cdrs: pl.DataFrame) -> pl.DataFrame:
    """Say of CDRs that their prices are not known here."""
    nothing = (pl.lit(None, kind).alias(name) for name, kind in INDEXED.items() if name != "index")
    return cdrs.select("index", *nothing, is_told=pl.lit(value=False))


class Path:
    """What a plan's tariffs mean for a usage type, to tenants in one zone."""

    def __init__(self, sections: Sequence[Section], *, timed: bool) -> None:
        self._sections = tuple(sections)
        self._timed = timed
        self._origins = Origins(sections)
        self._prices = Prices(sections)
        instants = {at_ms for section in sections for at_ms in section.instants()}
        self._epochs = pl.Series([0, *sorted(instants - {0})], dtype=pl.Int64)
        self._ranges: dict[tuple[Origin, int], pl.DataFrame] = {}

    def __len__(self) -> int:
        """Return how many rows of tables this keeps."""
        return len(self._prices) + sum(map(len, self._ranges.values()))

    def rate(self, cdrs: pl.DataFrame) -> pl.DataFrame:
        """Return prices of sound CDRs, their `index` along with them, in any order.

        Where `is_told` is false the price is not known here, and all else means nothing.
        """
        from_prefix, over_trunk = self._origins.of(pl.col("caller"), pl.col("trunk"))
        classed = cdrs.select(
            "index", "called", "answer_ms", "units", "answered",
            from_prefix=from_prefix,
            over_trunk=over_trunk,
            epoch=reached(self._epochs, cdrs["answer_ms"]),
        )  # fmt: skip
        groups = parted(classed, "from_prefix", "over_trunk", "epoch").items()
        rated = [
            self._rate(piece, Origin(from_prefix, trunk), epoch)
            for (from_prefix, trunk, epoch), group in groups
            for piece in _pieces(group)
        ]
        return joined([_untold(classed.clear()), *rated])

    def _rate(self, cdrs: pl.DataFrame, origin: Origin, epoch: int) -> pl.DataFrame:
        """Price CDRs for which the same decks count, between the same two dates."""
        ranges = self._flat(origin, epoch, len(cdrs))
        if ranges is None:
            return _untold(cdrs)
        point = points(cdrs["called"])
        there = reached(ranges["start"], point.fill_null(NO_POINT))
        place = ranges.select(pl.col("digits", "row", "prefix").gather(there))
        rates = self._prices.of_rows(place["row"], cdrs["answer_ms"])
        priced = beside(cdrs, place, rates)
        priced = priced.with_columns(
            point=point,
            amount=self._prices.cost(rates["ladder"], cdrs["units"]),
            fee_amount=self._prices.fee(rates["ladder"], cdrs["units"]),
        )
        return priced.select(
            "index",
            pl.when(_IS_OK).then("amount").alias("amount"),
            "currency", "tariff", "prefix", "destination", "model",
            code=pl.col("code").fill_null(ResultCode.NO_RATE.value),
            fee_amount=pl.when(_IS_OK).then(pl.min_horizontal("fee_amount", "amount")),
            is_told=self._is_told(epoch),
        )  # fmt: skip

    def _is_told(self, epoch: int) -> pl.Expr:
        """Return whether what was found by columns is what a look-up would find."""
        fits = pl.col("point").is_not_null() & (
            pl.col("digits") <= pl.col("called").str.len_bytes().cast(pl.Int64)
        )
        # Null does not fit; near the limit Python knows what is too much.
        is_exact = pl.col("amount").fill_null(MAX_AMOUNT) <= MAX_AMOUNT - MAX_QUANTUM
        if self._timed:
            last_ms = pl.col("answer_ms") + pl.col("units") * _SECOND_MS
            ends_ms = self._epochs[epoch + 1] if epoch + 1 < len(self._epochs) else _LAST_MS
            is_exact &= last_ms <= pl.min_horizontal("until_ms", ends_ms)
        is_fee_only = pl.col("answered") & (pl.col("units") == 0)
        has_price = pl.col("ladder").is_not_null() & (~_IS_OK | is_exact & ~is_fee_only)
        return fits & (pl.col("row").is_null() | has_price)

    def _flat(self, origin: Origin, epoch: int, calls: int) -> pl.DataFrame | None:
        """Return the ranges that count, with the text of their prefixes; None: not worth it."""
        known = self._ranges.get((origin, epoch))
        if known is not None:
            return known
        sections = [section for section in self._sections if origin.counts(section)]
        ranges = sum(len(section.deck.trie.starts) for section in sections)
        if ranges > calls * _RANGES_A_CALL:
            return None
        if len(self) + ranges > MOST_ROWS_KEPT:
            self._ranges.clear()
        flat = flatten(sections, self._epochs[epoch]).with_columns(
            _PREFIX, pl.col("row").cast(pl.UInt32)
        )
        self._ranges[origin, epoch] = flat
        return flat

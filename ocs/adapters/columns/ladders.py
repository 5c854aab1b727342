"""Ladders as integer columns: the cost of millions of uses in a dozen passes of 64-bit arithmetic.

    row        the last row that begins below the units: binary search in the rows of its ladder
    count      ceil((units - counts_from) / increment)
    numerator  base + count * price, over the ladder's denominator
    amount     numerator / (denominator * quantum), rounded once, in quanta; then grace, minimum,
               maximum

`base` is what all rows before this one cost together, with the fee: so a ladder of thirty rows
costs hardly more than one of two. A ladder that prices by the total counts from 0 in every row, and
its base is the fee: it needs no arithmetic of its own.

All of it is Int64 and exact. `most` says for each row how many increments keep the numerator below
2^62, in integers, so no product ever wraps unseen: a use beyond it, or of a row whose numbers do
not fit, is answered with null, and the caller prices it with Python's integers. That is no common
case: with a denominator of 60 it begins at 10^16 money units, with 2^26 at EUR 68,000.

Rejected: products split into quotient and remainder over the denominator, as the ledger's script
does (twice the columns and divisions; doubles must, 64-bit integers need not), Int128, floats.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypedDict

import polars as pl

from ocs.domain.ladder import Ladder
from ocs.domain.money import MAX_UNITS, Rounding

_GREATEST: Final = 2**62
"""No numerator reaches it: half of an Int64, so that one more quantum cannot wrap either."""

_UNBOUNDED: Final = 2**63 - 1
_NEVER_FITS: Final = -1
"""In `most`: the row cannot be priced here, whatever the count."""


class _Terms(TypedDict):
    """What a ladder says beside its rows.

    A remainder above `tie` is rounded up; where `even` is 1 and the quotient is even, only one
    above `tie` + 1. Less than `costs_from` units cost nothing.
    """

    first: int
    rows: int
    divisor: int
    quantum: int
    tie: int
    even: int
    minimum: int
    maximum: int
    costs_from: int
    fee: int


class _Row(TypedDict):
    start: int
    counts_from: int
    increment: int
    base: int
    price: int
    most: int


class _Table:
    """Columns to be gathered by number; one that has the same value everywhere is a literal."""

    def __init__(self, rows: Sequence[_Terms] | Sequence[_Row], names: Iterable[str]) -> None:
        self.columns = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64))
        self._alike = {each.name for each in self.columns if each.n_unique() == 1}

    def gathered(self, numbers: str | pl.Series) -> list[pl.Expr]:
        """Return the columns that differ, at these numbers."""
        return [
            pl.lit(each).gather(numbers).alias(each.name)
            for each in self.columns
            if each.name not in self._alike
        ]

    def __getitem__(self, name: str) -> pl.Expr:
        """Return what stands for a column where the others have been gathered."""
        return pl.lit(self.columns[name][0]) if name in self._alike else pl.col(name)


class LadderColumns:
    """Numbered ladders, ready to price uses: ladder i is the i-th that was given."""

    def __init__(self, ladders: Sequence[Ladder]) -> None:
        terms: list[_Terms] = []
        rows: list[_Row] = []
        for ladder in ladders:
            terms.append(_terms(ladder, first=len(rows)))
            rows += _rows(ladder)
        most_rows = max((len(ladder.rows) for ladder in ladders), default=1)
        self._jumps = [1 << bit for bit in reversed(range((most_rows - 1).bit_length()))]
        self._terms = _Table(terms, _Terms.__annotations__)
        self._rows = _Table(rows, _Row.__annotations__)

    def cost(self, ladder: pl.Series, units: pl.Series) -> pl.Series:
        """Return what each use costs, or null where its numbers do not fit.

        `ladder` has the ladders' numbers, or null; `units` what was used, 0 .. MAX_UNITS, Int64.
        A sum above MAX_AMOUNT is rounded like any other; the domain, which has no such amounts,
        leaves it as it is.
        """
        term, row = self._terms, self._rows
        ladder = ladder.cast(pl.UInt32)  # what Polars gathers by without converting
        uses = pl.DataFrame({"ladder": ladder, "units": units})
        uses = uses.with_columns(row.gathered(self._row(ladder, units).cast(pl.UInt32)))
        uses = uses.with_columns(term.gathered("ladder"))
        reached = pl.col("units") - row["counts_from"] + row["increment"] - 1
        uses = uses.with_columns(count=reached // row["increment"])
        uses = uses.with_columns(numerator=row["base"] + pl.col("count") * row["price"])
        uses = uses.with_columns(whole=pl.col("numerator") // term["divisor"])
        rest = pl.col("numerator") - pl.col("whole") * term["divisor"]
        tie = term["tie"] + term["even"] * (1 - pl.col("whole") % 2)
        amount = (pl.col("whole") + (rest > tie).cast(pl.Int64)) * term["quantum"]
        bounded = pl.min_horizontal(pl.max_horizontal(amount, term["minimum"]), term["maximum"])
        fits = pl.col("ladder").is_not_null() & (pl.col("count") <= row["most"])
        return uses.select(
            amount=pl.when(pl.col("units") < term["costs_from"]).then(0).when(fits).then(bounded)
        )["amount"]

    def fee(self, ladder: pl.Series, units: pl.Series) -> pl.Series:
        """Return the fee that is due for each use, rounded down; bounds are not looked at."""
        uses = pl.DataFrame({"ladder": ladder.cast(pl.UInt32), "units": units})
        uses = uses.with_columns(self._terms.gathered("ladder"))
        is_due = pl.col("units") >= self._terms["costs_from"]
        fee = pl.when(is_due).then(self._terms["fee"]).otherwise(0)
        return uses.select(fee=pl.when(pl.col("ladder").is_not_null()).then(fee))["fee"]

    def _row(self, ladder: pl.Series, units: pl.Series) -> pl.Series:
        """Find the last row that begins below the units, by halving what is left of a ladder."""
        row = self._terms.columns["first"].gather(ladder)
        after = row + self._terms.columns["rows"].gather(ladder)
        starts = self._rows.columns["start"]
        for jump in self._jumps:
            tried = row + jump
            inside = tried < after
            begins = starts.gather(tried.zip_with(inside, row))
            row = tried.zip_with(inside & (begins < units), row)
        return row


def _terms(ladder: Ladder, *, first: int) -> _Terms:
    divisor = ladder.den * ladder.quantum
    return {
        "first": first,
        "rows": len(ladder.rows),
        "divisor": divisor,
        "quantum": ladder.quantum,
        "tie": _tie(divisor, ladder.rounding),
        "even": int(ladder.rounding is Rounding.HALF_EVEN and divisor % 2 == 0),
        "minimum": ladder.minimum,
        "maximum": ladder.maximum if ladder.maximum >= 0 else _UNBOUNDED,
        "costs_from": max(ladder.grace, 1),
        "fee": ladder.fee // ladder.den,
    }


def _tie(divisor: int, rounding: Rounding) -> int:
    if rounding is Rounding.UP:
        return 0
    return divisor if rounding is Rounding.DOWN else (divisor - 1) // 2


def _rows(ladder: Ladder) -> Iterator[_Row]:
    base = ladder.fee
    ends = [row.start for row in ladder.rows[1:]]
    for row, end in zip(ladder.rows, [*ends, MAX_UNITS], strict=True):
        fits = max(base, row.price) < _GREATEST
        most = (_GREATEST - 1 - base) // row.price if row.price else MAX_UNITS
        yield {
            "start": row.start,
            "counts_from": 0 if ladder.by_total else row.start,
            "increment": row.increment,
            "base": base if fits else 0,
            "price": row.price if fits else 0,
            "most": min(most, MAX_UNITS) if fits else _NEVER_FITS,
        }
        if not ladder.by_total:
            base -= (row.start - end) // row.increment * row.price

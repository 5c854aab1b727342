"""Prices the dumb way, one unit after the other; and random ladders to price.

An `Increment` is what one price paid for: (where it ends, its price). Volume pricing has no walk:
the row that the whole use reaches prices all of it, so it is written down once more as it reads.
"""

from fractions import Fraction
from math import ceil, floor

from hypothesis import strategies as st

from ocs.domain.ladder import Ladder, Row, compile_ladder
from ocs.domain.money import MAX_UNITS, Rounding

Increment = tuple[int, Fraction]

prices = st.fractions(min_value=0, max_value=200, max_denominator=7)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    widths = draw(st.lists(st.integers(1, 25), max_size=3))
    starts = [sum(widths[:count]) for count in range(len(widths) + 1)]
    by_total = draw(st.booleans())
    each = [draw(prices) for _ in starts]
    if by_total and draw(st.booleans()):  # as a rebate does
        each.sort(reverse=True)
    rows = [(start, draw(st.integers(1, 12)), p) for start, p in zip(starts, each, strict=True)]
    return compile_ladder(
        draw(st.sampled_from([Fraction(0), Fraction(10), Fraction(21, 5)])),
        rows,
        grace=draw(st.sampled_from([0, 0, 1, 5])),
        minimum=draw(st.sampled_from([0, 0, 40, 300])),
        maximum=draw(st.sampled_from([-1, -1, 0, 500, 5_000])),
        rounding=draw(st.sampled_from(list(Rounding))),
        quantum=draw(st.sampled_from([1, 1, 10, 7, 1_000])),
        by_total=by_total,
        limit=draw(st.sampled_from([-1, -1, 0, 350, 2_000])),
        end=draw(st.sampled_from([MAX_UNITS, MAX_UNITS, 1, 33, 80])),
    )


def row_at(ladder: Ladder, unit: int) -> tuple[Row, int]:
    """The row of unit number `unit` (from 1), and where that row ends."""
    index = max(i for i, row in enumerate(ladder.rows) if row.start < unit)
    ends = [*(row.start for row in ladder.rows[1:]), MAX_UNITS]
    return ladder.rows[index], ends[index]


def increments(ladder: Ladder, start: int, units: int) -> list[Increment]:
    """What the units (start, units] are paid by."""
    if ladder.by_total:
        if units <= start:
            return []
        row, row_end = row_at(ladder, units)
        count = ceil(Fraction(units - start, row.increment))
        ends = [min(start + (n + 1) * row.increment, row_end) for n in range(count)]
        return [(end, Fraction(row.price, ladder.den)) for end in ends]
    found, position = [], start
    while position < units:
        row, row_end = row_at(ladder, position + 1)
        position = min(position + row.increment, row_end)
        found.append((position, Fraction(row.price, ladder.den)))
    return found


def rounded(ladder: Ladder, exact: Fraction) -> int:
    """Of the multiples of the quantum the one that the rounding names; then minimum and maximum."""
    share = exact / ladder.quantum
    multiple = {
        Rounding.HALF_UP: floor(share + Fraction(1, 2)),
        Rounding.HALF_EVEN: round(share),
        Rounding.UP: ceil(share),
        Rounding.DOWN: floor(share),
    }[ladder.rounding]
    amount = max(multiple * ladder.quantum, ladder.minimum)
    return min(amount, ladder.maximum) if ladder.maximum >= 0 else amount


def walked_cost(ladder: Ladder, units: int, *, hold: bool = False) -> int:
    if units == 0 or (units < ladder.grace and not hold):
        return 0
    exact = Fraction(ladder.fee, ladder.den)
    return rounded(ladder, exact + sum(price for _, price in increments(ladder, 0, units)))


def grantable(ladder: Ladder, units: int, money: int) -> bool:
    """Whether `money` covers every stop up to `units`, within limit and end."""
    if 0 <= ladder.limit < money:
        money = ladder.limit
    stops = range(1, units + 1)
    return units <= ladder.end and all(walked_cost(ladder, n, hold=True) <= money for n in stops)

"""The ladder: the one form that every rate compiles to, and the only thing that is ever priced.

    fee      owed once, with the first unit
    rows     from unit `start` on, each begun `increment` of units costs `price`
    by_total the row that the whole use reaches prices all of it (volume pricing)
    then     divide by `den`, round once to a multiple of `quantum`, lift to `minimum`,
             cut at `maximum`
    grace    use shorter than this costs nothing
    limit    units are granted only while their whole cost is within it
    end      units above it are never granted

A first interval is a row of one increment, free seconds are a row of price 0, tiers are further
rows. Rate models (`rates/`) only translate; whoever prices, grants or explains reads this file.

Prices are exact. All of them, and the fee, are numerators over one reduced denominator of at most
2^26, so that Lua, which has only doubles, can split every product into quotient and remainder
without loss; the script of the ledger evaluates the same ladder and must find the same integer.
The numbers travel as `packed()`: price = whole + rest / den.

    cost(p)        the price of p units from the start of a session: never the sum of its reports,
                   so that fee and first interval occur once and rounding does not accumulate
    edge(p)        the end of the increment that contains unit p: it is paid for, so it is granted
    affordable(m)  the greatest edge up to which every stop costs at most m, within limit and end

Both directions take one pass over the rows. A row holds the units start < p <= next start.
Increments are counted from the start of their row, or from where this ladder took over inside of
it; the last increment of a bounded row is cut at the row's end but costs a whole price. Prices are
never negative, so costs rise with use, but for `by_total`, whose increments are counted from the
start of the use: there the cost may fall where a row is passed, which is why `affordable` looks at
every stop on the way. `limit` and `end` bind what is granted, never what a use costs.

Rejected: a price per unit and a rounding of units apart from it (cannot say "first 30 s as one,
then by 6"), floats, and a rounding per row (a cent per call, in somebody's favour).
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Final, TypedDict, Unpack

import msgspec

from ocs.domain.money import MAX_AMOUNT, MAX_QUANTUM, MAX_UNITS, Rounding, round_fraction

MAX_DENOMINATOR: Final = 2**26
"""Beyond it, floor and modulo of doubles lose digits of the products (measured)."""

MAX_ROWS: Final = 64
"""Each charge walks the rows: what has more is no price of one destination."""

NO_MAXIMUM: Final = -1
NO_LIMIT: Final = -1

_ROUNDING_CODES: Final = {
    Rounding.HALF_UP: 0,
    Rounding.HALF_EVEN: 1,
    Rounding.UP: 2,
    Rounding.DOWN: 3,
}
"""How a rounding is named on the way to Lua."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """From unit `start` on: each begun `increment` of units costs `price` over the ladder's den."""

    start: int
    increment: int
    price: int


class Bounds(TypedDict, total=False):
    """What a ladder says beside fee and rows; the fields of `Ladder`, with its defaults."""

    grace: int
    minimum: int
    maximum: int
    rounding: Rounding
    quantum: int
    by_total: bool
    limit: int
    end: int


class Ladder(msgspec.Struct, frozen=True, gc=False):
    """A compiled price. `fee` and row prices are numerators over `den`, in money units.

    `grace` and `end` are in units; `minimum` (0: none), `maximum`, `limit` (-1: none) and `quantum`
    are whole money units. `rounding` is never NONE.
    """

    den: int
    fee: int
    rows: tuple[Row, ...]
    grace: int = 0
    minimum: int = 0
    maximum: int = NO_MAXIMUM
    rounding: Rounding = Rounding.HALF_UP
    quantum: int = 1
    by_total: bool = False
    limit: int = NO_LIMIT
    end: int = MAX_UNITS


class Step(msgspec.Struct, frozen=True, gc=False):
    """One line of an explained cost, in exact money units; the steps of a cost add up to it.

    `what` is fee, row, grace, rounding, minimum or maximum.
    """

    what: str
    from_units: int
    to_units: int
    increments: int
    price: Fraction
    amount: Fraction


FREE: Final = Ladder(den=1, fee=0, rows=(Row(0, 1, 0),))
"""Costs nothing, however much is used."""


def compile_ladder(
    fee: Fraction, rows: Sequence[tuple[int, int, Fraction]], **bounds: Unpack[Bounds]
) -> Ladder:
    """Bring exact prices (in money units) over one denominator; ValueError says what does not fit.

    `rows` holds (start, increment, price of one increment), in rising order of start; neighbours
    that say the same become one. Rounding.NONE means: no coarser than the money unit.
    """
    _check_rows(rows)
    _check_bounds(fee, bounds)
    if bounds.get("rounding") is Rounding.NONE:
        bounds = {**bounds, "rounding": Rounding.HALF_UP, "quantum": 1}
    rows = _merged(rows, by_total=bounds.get("by_total", False))
    if len(rows) > MAX_ROWS:
        raise ValueError(f"{len(rows)} rows, at most {MAX_ROWS}")
    den = lcm(fee.denominator, *(price.denominator for _, _, price in rows))
    if den > MAX_DENOMINATOR:
        raise ValueError(
            f"the prices have the common denominator {den}, more than 2^26: use fewer decimals"
        )
    compiled = tuple(Row(start, increment, int(price * den)) for start, increment, price in rows)
    return Ladder(den, int(fee * den), compiled, **bounds)


def scaled(ladder: Ladder, factor: Fraction) -> Ladder:
    """Return the ladder with every amount times `factor`; ValueError says what does not fit.

    Minimum, maximum and limit, which are whole, are rounded as the total is.
    """
    _check_range("factor", factor, MAX_AMOUNT)

    def times(amount: int) -> int:
        if amount < 0:  # there is none
            return amount
        share = amount * factor / ladder.quantum
        rounded = round_fraction(share.numerator, share.denominator, ladder.rounding)
        return rounded * ladder.quantum

    return compile_ladder(
        Fraction(ladder.fee, ladder.den) * factor,
        [(r.start, r.increment, Fraction(r.price, ladder.den) * factor) for r in ladder.rows],
        grace=ladder.grace,
        minimum=times(ladder.minimum),
        maximum=times(ladder.maximum),
        rounding=ladder.rounding,
        quantum=ladder.quantum,
        by_total=ladder.by_total,
        limit=times(ladder.limit),
        end=ladder.end,
    )


def cost(ladder: Ladder, units: int, *, answered: bool = False, hold: bool = False) -> int:
    """Return the price of `units` from the start of a session, in money units.

    Nothing used costs nothing, unless the call was `answered`: then the fee is due. A `hold`
    ignores grace: the call may well outlast it.
    """
    if units == 0 and (not answered or ladder.grace > 0):
        return 0
    if units < ladder.grace and not hold:
        return 0
    return bounded(ladder, ladder.fee + segment(ladder, 0, units), ladder.den)


def bounded(terms: Ladder, numerator: int, den: int) -> int:
    """Round numerator / den once as `terms` says, then lift to its minimum, cut at its maximum."""
    amount = max(_rounded(terms, numerator, den), terms.minimum)
    return min(amount, terms.maximum) if terms.maximum >= 0 else amount


def segment(ladder: Ladder, start: int, units: int) -> int:
    """Return the price of the units in [start, units), without fee, as a numerator over `den`.

    `start` is where this ladder took over: increments count from there, or from their row.
    """
    return sum(
        -((low - high) // row.increment) * row.price
        for row, low, high in _spans(ladder, start, units)
    )


def edge(ladder: Ladder, units: int, segment_start: int = 0) -> int:
    """Return the end of the increment that contains unit number `units`, at most MAX_UNITS."""
    reached = units
    for row, low, high in _spans(ladder, segment_start, units):
        reached = low - ((low - high) // row.increment) * row.increment
    return min(reached, _row_end(ladder, units), MAX_UNITS)


def affordable(ladder: Ladder, money: int) -> int:
    """Return the greatest edge that `money` pays for when held in full (grace ignored); 0 if none.

    Every stop up to it is covered; `limit` and `end` are kept. A free row is bought to its end; the
    last row, and everything, is capped at MAX_UNITS.
    """
    budget = budget_of(ladder, within_limit(ladder, money), ladder.den)
    if budget is None:
        return ladder.end
    return min(reach(ladder, 0, budget - ladder.fee), ladder.end)


def within_limit(terms: Ladder, money: int) -> int:
    """Return how much of `money` may be granted for."""
    return money if terms.limit < 0 else min(money, terms.limit)


def budget_of(terms: Ladder, money: int, den: int) -> int | None:
    """Return the greatest n for which n / den, rounded and bounded, is no more than `money`.

    -1: nothing is, because of the minimum; None: everything is, because of the maximum.
    """
    if 0 <= terms.maximum <= money:
        return None
    if money < terms.minimum:
        return -1
    multiples, fine = money // terms.quantum, terms.quantum * den
    if terms.rounding is Rounding.UP:
        greatest = fine * multiples
    elif terms.rounding is Rounding.DOWN:
        greatest = fine * multiples + fine - 1
    else:
        half_is_within = terms.rounding is Rounding.HALF_EVEN and multiples % 2 == 0
        greatest = (2 * fine * multiples + fine - (not half_is_within)) // 2
    # A sum above 2^53 is no amount (see _rounded).
    return min(greatest, (MAX_AMOUNT + 1) * den - 1)


def reach(ladder: Ladder, start: int, budget: int) -> int:
    """Return the greatest edge to which `budget` (over `den`) pays each stop of [start, ...)."""
    if budget < 0:
        return start
    for row, low, high in _parts(ladder, start, MAX_UNITS):
        base = start if ladder.by_total else low
        price = -((base - high) // row.increment) * row.price
        if price > budget:
            return max(low, base + budget // row.price * row.increment)
        if not ladder.by_total:
            budget -= price
    return MAX_UNITS


def steps(ladder: Ladder, units: int, *, answered: bool = False) -> tuple[Step, ...]:
    """Explain `cost(ladder, units)` line by line; the amounts add up to it exactly."""
    if units == 0 and (not answered or ladder.grace > 0):
        return ()
    if units < ladder.grace:
        return (Step("grace", 0, units, 0, Fraction(0), Fraction(0)),)
    lines = (*fee_steps(ladder), *row_steps(ladder, 0, units))
    return (*lines, *bound_steps(ladder, sum((s.amount for s in lines), Fraction(0)), units))


def fee_steps(ladder: Ladder) -> tuple[Step, ...]:
    """Explain the fee, where there is one."""
    fee = Fraction(ladder.fee, ladder.den)
    return (Step("fee", 0, 0, 1, fee, fee),) if fee else ()


def row_steps(ladder: Ladder, start: int, units: int) -> tuple[Step, ...]:
    """Explain `segment(ladder, start, units)`: a line for each row that prices a part of it."""
    lines = []
    for row, low, high in _spans(ladder, start, units):
        increments = -((low - high) // row.increment)
        price = Fraction(row.price, ladder.den)
        lines.append(Step("row", low, high, increments, price, increments * price))
    return tuple(lines)


def bound_steps(terms: Ladder, exact: Fraction, units: int) -> tuple[Step, ...]:
    """Explain what `bounded` does to an exact sum for `units`; nothing where it does nothing."""
    rounded = _rounded(terms, exact.numerator, exact.denominator)
    lifted = max(rounded, terms.minimum)
    total = bounded(terms, exact.numerator, exact.denominator)
    changes = (
        ("rounding", rounded - exact),
        ("minimum", Fraction(lifted - rounded)),
        ("maximum", Fraction(total - lifted)),
    )
    return tuple(Step(what, 0, units, 1, by, by) for what, by in changes if by)


def packed(ladder: Ladder) -> tuple[int, ...]:
    """Return the ladder as the flat array of integers that the ledger's script reads.

    (den, fee whole, fee rest, grace, minimum, maximum, rounding code, quantum, by total, limit,
    end (-1: none), then start, increment, price whole, price rest of each row), where a price is
    whole + rest/den.
    """
    numbers = [ladder.den, *divmod(ladder.fee, ladder.den), ladder.grace]
    numbers += [ladder.minimum, ladder.maximum, _ROUNDING_CODES[ladder.rounding]]
    numbers += [ladder.quantum, int(ladder.by_total), ladder.limit]
    numbers.append(-1 if ladder.end == MAX_UNITS else ladder.end)
    for row in ladder.rows:
        numbers += [row.start, row.increment, *divmod(row.price, ladder.den)]
    return tuple(numbers)


def _rounded(terms: Ladder, numerator: int, den: int) -> int:
    """Round to a multiple of the quantum; a sum above 2^53 is no amount, and not rounded to one."""
    quantum = terms.quantum if numerator < (MAX_AMOUNT + 1) * den else 1
    return round_fraction(numerator, den * quantum, terms.rounding) * quantum


def _spans(ladder: Ladder, start: int, units: int) -> Iterator[tuple[Row, int, int]]:
    """Yield each row that prices a part of [start, units), with that part."""
    if not ladder.by_total:
        yield from _parts(ladder, start, units)
    elif units > start:
        yield next(row for row in reversed(ladder.rows) if row.start < units), start, units


def _parts(ladder: Ladder, start: int, units: int) -> Iterator[tuple[Row, int, int]]:
    """Yield each row that holds a part of [start, units), with that part."""
    for index, row in enumerate(ladder.rows):
        low, high = max(start, row.start), min(units, _end(ladder, index))
        if high > low:
            yield row, low, high


def _end(ladder: Ladder, index: int) -> int:
    """Return where a row ends: at the next one's start; the last one is open up to MAX_UNITS."""
    following = index + 1
    return ladder.rows[following].start if following < len(ladder.rows) else MAX_UNITS


def _row_end(ladder: Ladder, units: int) -> int:
    """Return the end of the row that contains unit number `units` (the end belongs to the row)."""
    return next((row.start for row in ladder.rows if row.start >= units > 0), MAX_UNITS)


def _merged(
    rows: Sequence[tuple[int, int, Fraction]], *, by_total: bool
) -> list[tuple[int, int, Fraction]]:
    """Leave out each row that only goes on with the increments of the one before it."""
    kept = [rows[0]]
    for start, increment, price in rows[1:]:
        from_start, same_increment, same_price = kept[-1]
        goes_on = by_total or (start - from_start) % increment == 0
        if (increment, price) != (same_increment, same_price) or not goes_on:
            kept.append((start, increment, price))
    return kept


def _check_rows(rows: Sequence[tuple[int, int, Fraction]]) -> None:
    starts = [start for start, _, _ in rows]
    if not starts or starts[0] != 0:
        raise ValueError("the first row must start at unit 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise ValueError("rows must start in rising order")
    _check_range("start", starts[-1], MAX_UNITS)
    for _, increment, price in rows:
        _check_range("increment", increment, MAX_UNITS, least=1)
        _check_range("price", price, MAX_AMOUNT)


def _check_bounds(fee: Fraction, bounds: Bounds) -> None:
    _check_range("fee", fee, MAX_AMOUNT)
    _check_range("grace", bounds.get("grace", 0), MAX_UNITS)
    _check_range("minimum", bounds.get("minimum", 0), MAX_AMOUNT)
    _check_range("maximum", bounds.get("maximum", NO_MAXIMUM), MAX_AMOUNT, least=NO_MAXIMUM)
    _check_range("quantum", bounds.get("quantum", 1), MAX_QUANTUM, least=1)
    _check_range("limit", bounds.get("limit", NO_LIMIT), MAX_AMOUNT, least=NO_LIMIT)
    _check_range("end", bounds.get("end", MAX_UNITS), MAX_UNITS, least=1)


def _check_range(name: str, value: Fraction | int, greatest: int, *, least: int = 0) -> None:
    if not least <= value <= greatest:
        raise ValueError(f"{name} {value} is not within {least} .. {greatest}")

"""The ladder: the one form that every rate compiles to, and the only thing that is ever priced.

    fee      owed once, with the first unit
    rows     from unit `start` on, each begun `increment` of units costs `price`
    then     divide by `den`, round once, lift to `minimum`, cut at `maximum`
    grace    use shorter than this costs nothing

A first interval is a row of one increment, free seconds are a row of price 0, tiers are further
rows. Rate models (`rates/`) only translate; whoever prices, grants or explains reads this file.

Prices are exact. All of them, and the fee, are numerators over one reduced denominator of at most
2^26, so that Lua, which has only doubles, can split every product into quotient and remainder
without loss; the script of the ledger evaluates the same ladder and must find the same integer.
The numbers travel as `packed()`: price = whole + rest / den.

    cost(p)        the price of p units from the start of a session: never the sum of its reports,
                   so that fee and first interval occur once and rounding does not accumulate
    edge(p)        the end of the increment that contains unit p: it is paid for, so it is granted
    affordable(m)  the greatest edge that money m buys, the exact inverse of cost

Both directions take one pass over the rows. Increments are counted from the start of their row, or
from where this ladder took over inside of it; the last increment of a bounded row is cut at the
row's end but costs a whole price. Prices are never negative: costs rise with use, which is what
makes the inverse exact and a hold sufficient for every stopping point within it.

Rejected: a price per unit and a rounding of units apart from it (cannot say "first 30 s as one,
then by 6"), floats, and a rounding per row (a cent per call, in somebody's favour).
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Final

import msgspec

from ocs.domain.money import MAX_AMOUNT, MAX_UNITS, Rounding, round_fraction

MAX_DENOMINATOR: Final = 2**26
"""Beyond it, floor and modulo of doubles lose digits of the products (measured)."""

NO_MAXIMUM: Final = -1

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


class Ladder(msgspec.Struct, frozen=True, gc=False):
    """A compiled price. `fee` and row prices are numerators over `den`, in money units.

    `grace` is in units; `minimum` (0: none) and `maximum` (-1: none) are whole money units.
    """

    den: int
    fee: int
    rows: tuple[Row, ...]
    grace: int = 0
    minimum: int = 0
    maximum: int = NO_MAXIMUM
    rounding: Rounding = Rounding.HALF_UP


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
    fee: Fraction,
    rows: Sequence[tuple[int, int, Fraction]],
    *,
    grace: int = 0,
    minimum: int = 0,
    maximum: int = NO_MAXIMUM,
    rounding: Rounding = Rounding.HALF_UP,
) -> Ladder:
    """Bring exact prices (in money units) over one denominator; ValueError says what does not fit.

    `rows` holds (start, increment, price of one increment), in rising order of start.
    """
    prices = [price for _, _, price in rows]
    _check_rows(rows)
    for name, value in (("fee", fee), *(("price", price) for price in prices)):
        _check_range(name, value, MAX_AMOUNT)
    _check_range("grace", grace, MAX_UNITS)
    _check_range("minimum", minimum, MAX_AMOUNT)
    _check_range("maximum", maximum, MAX_AMOUNT, least=NO_MAXIMUM)
    den = lcm(fee.denominator, *(price.denominator for price in prices))
    if den > MAX_DENOMINATOR:
        raise ValueError(
            f"the prices have the common denominator {den}, more than 2^26: use fewer decimals"
        )
    return Ladder(
        den=den,
        fee=int(fee * den),
        rows=tuple(Row(start, increment, int(price * den)) for start, increment, price in rows),
        grace=grace,
        minimum=minimum,
        maximum=maximum,
        rounding=rounding,
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
    numerator = ladder.fee + segment(ladder, 0, units)
    amount = max(round_fraction(numerator, ladder.den, ladder.rounding), ladder.minimum)
    return min(amount, ladder.maximum) if ladder.maximum >= 0 else amount


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

    A free row is bought to its end; the last row, and everything, is capped at MAX_UNITS.
    """
    if 0 <= ladder.maximum <= money:
        return MAX_UNITS
    budget = _greatest_numerator(ladder, money) - ladder.fee
    if money < ladder.minimum or budget < 0:
        return 0
    for index, row in enumerate(ladder.rows):
        end = _end(ladder, index)
        increments = -((row.start - end) // row.increment)
        if row.price * increments > budget:
            return row.start + budget // row.price * row.increment
        budget -= row.price * increments
    return MAX_UNITS


def steps(ladder: Ladder, units: int) -> tuple[Step, ...]:
    """Explain `cost(ladder, units)` line by line; the amounts add up to it exactly."""
    if units == 0:
        return ()
    if units < ladder.grace:
        return (Step("grace", 0, units, 0, Fraction(0), Fraction(0)),)
    lines = []
    if ladder.fee:
        fee = Fraction(ladder.fee, ladder.den)
        lines.append(Step("fee", 0, 0, 1, fee, fee))
    for row, low, high in _spans(ladder, 0, units):
        increments = -((low - high) // row.increment)
        price = Fraction(row.price, ladder.den)
        lines.append(Step("row", low, high, increments, price, increments * price))
    exact = sum((line.amount for line in lines), Fraction(0))
    rounded = round_fraction(exact.numerator, exact.denominator, ladder.rounding)
    lifted = max(rounded, ladder.minimum)
    total = cost(ladder, units)
    for what, amount in (
        ("rounding", rounded - exact),
        ("minimum", Fraction(lifted - rounded)),
        ("maximum", Fraction(total - lifted)),
    ):
        if amount:
            lines.append(Step(what, 0, units, 1, amount, amount))
    return tuple(lines)


def packed(ladder: Ladder) -> tuple[int, ...]:
    """Return the ladder as the flat array of integers that the ledger's script reads.

    (den, fee whole, fee rest, grace, minimum, maximum, rounding code,
    then start, increment, price whole, price rest of each row), where a price is whole + rest/den.
    """
    numbers = [ladder.den, *divmod(ladder.fee, ladder.den), ladder.grace]
    numbers += [ladder.minimum, ladder.maximum, _ROUNDING_CODES[ladder.rounding]]
    for row in ladder.rows:
        numbers += [row.start, row.increment, *divmod(row.price, ladder.den)]
    return tuple(numbers)


def _spans(ladder: Ladder, start: int, units: int) -> Iterator[tuple[Row, int, int]]:
    """Yield each row that [start, units) touches, with the part of it that lies in the row."""
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


def _greatest_numerator(ladder: Ladder, money: int) -> int:
    """Return the greatest n for which n / den rounds to no more than `money`."""
    den, rounding = ladder.den, ladder.rounding
    if rounding is Rounding.UP:
        return den * money
    if rounding is Rounding.DOWN:
        return den * money + den - 1
    half_is_money = rounding is Rounding.HALF_EVEN and money % 2 == 0
    return (2 * den * money + den - (not half_is_money)) // 2


def _check_rows(rows: Sequence[tuple[int, int, Fraction]]) -> None:
    starts = [start for start, _, _ in rows]
    if not starts or starts[0] != 0:
        raise ValueError("the first row must start at unit 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise ValueError("rows must start in rising order")
    _check_range("start", starts[-1], MAX_UNITS)
    for _, increment, _ in rows:
        _check_range("increment", increment, MAX_UNITS, least=1)


def _check_range(name: str, value: Fraction | int, greatest: int, *, least: int = 0) -> None:
    if not least <= value <= greatest:
        raise ValueError(f"{name} {value} is not within {least} .. {greatest}")

"""The price of a whole use that several ladders share: peak hours, a new tariff, midnight, DST.

    answer            switch              switch
      |---- ladder A ----|------ ladder B ---|---- ladder A ...
      0 units            ^ an increment begun before it is used to its end at the old price

The rules are those of docs/design.md 2.5, and `lua/position.lua` is the twin of this file: both
must find the same integer. A switch falls at the unit where it happens: unit k (from 0) is used at
answer + k seconds. Rows are read at the position in the whole use, increments are counted from
where a ladder took over, and no second fee is due. The exact cost of what lies behind is carried as
a fraction; grace, minimum, maximum, limit, rounding and quantum are those of the first ladder. Only
when two denominators have no common multiple within 2^26 is the carried part rounded, because the
store has no longer integers than 2^53.

What is not timed (data, events) is priced by the ladder in force when it began.

    rate_use         what a use costs, part by part: for `ocs rate`, offline rating, conformance
    affordable_use   how much of a use an amount buys: the exact inverse

Rejected: pricing each part as a call of its own (a second fee, a second rounding), and splitting
at the switch to the millisecond (units are whole, and an increment has one price).
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import msgspec

from ocs.domain.ladder import (
    MAX_DENOMINATOR,
    Ladder,
    Step,
    bound_steps,
    bounded,
    budget_of,
    cost,
    edge,
    fee_steps,
    reach,
    row_steps,
    segment,
    steps,
    within_limit,
)
from ocs.domain.money import MAX_UNITS, round_fraction

_SECOND_MS = 1000


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A ladder and the instant from which it prices. The first one applies before its instant."""

    from_ms: int
    ladder: Ladder


class Part(msgspec.Struct, frozen=True, gc=False):
    """The units of a use that one ladder prices. `from_ms`: when the first of them was used.

    The steps of all parts add up to the total; the fee stands in the first part, what rounding,
    minimum and maximum change in the last.
    """

    from_ms: int
    from_units: int
    to_units: int
    ladder: Ladder
    steps: tuple[Step, ...]


class Rated(msgspec.Struct, frozen=True, gc=False):
    """What a use costs, in money units, and why."""

    total: int
    parts: tuple[Part, ...]


class _Carried(msgspec.Struct, frozen=True, gc=False):
    """The exact cost of fee and closed segments; `den` is its denominator, maybe not reduced."""

    amount: Fraction
    den: int


def rate_use(
    segments: Sequence[Segment], units: int, answer_ms: int, *, timed: bool, answered: bool = False
) -> Rated:
    """Price `units` used from `answer_ms` on. `answered`: of 0 units the fee is due."""
    first = _in_force(segments, answer_ms, timed=timed).ladder
    if units == 0 or units < first.grace:
        lines = steps(first, units, answered=answered)
        part = Part(answer_ms, 0, units, first, lines)
        return Rated(cost(first, units, answered=answered), (part,))
    carried = _Carried(Fraction(first.fee, first.den), first.den)
    parts: list[Part] = []
    for ladder, begin, end in _stretches(segments, units, answer_ms, timed=timed):
        before, carried = carried, _carry(first, carried, ladder)
        if parts and before.amount != carried.amount:
            parts[-1] = _corrected(parts[-1], carried.amount - before.amount)
        amount = carried.amount + Fraction(segment(ladder, begin, end), ladder.den)
        carried = _Carried(amount, lcm(carried.den, ladder.den))
        from_ms = answer_ms + begin * _SECOND_MS if timed else answer_ms
        lines = (*(() if parts else fee_steps(first)), *row_steps(ladder, begin, end))
        parts.append(Part(from_ms, begin, end, ladder, lines))
    last = parts[-1]
    bounds = bound_steps(first, carried.amount, units)
    parts[-1] = msgspec.structs.replace(last, steps=(*last.steps, *bounds))
    total = bounded(first, carried.amount.numerator, carried.amount.denominator)
    return Rated(total, tuple(parts))


def affordable_use(
    segments: Sequence[Segment], money: int, answer_ms: int, *, timed: bool, most_units: int
) -> int:
    """Return the units, at most `most_units`, of which `money` covers every stop (grace ignored).

    All of them, or the greatest edge; limit and end are kept.
    """
    first = _in_force(segments, answer_ms, timed=timed).ladder
    money = within_limit(first, money)
    carried = _Carried(Fraction(first.fee, first.den), first.den)
    for ladder, begin, end in _stretches(segments, most_units, answer_ms, timed=timed):
        carried = _carry(first, carried, ladder)
        reached = _reach(first, ladder, begin, carried, money)
        if min(reached, ladder.end) < end:
            return min(reached, max(begin, ladder.end))
        amount = carried.amount + Fraction(segment(ladder, begin, end), ladder.den)
        carried = _Carried(amount, lcm(carried.den, ladder.den))
    return most_units


def _in_force(segments: Sequence[Segment], at_ms: int, *, timed: bool) -> Segment:
    """Return the segment that prices a unit used at `at_ms`."""
    found = segments[0]
    for later in segments[1:] if timed else ():
        if later.from_ms <= at_ms:
            found = later
    return found


def _stretches(
    segments: Sequence[Segment], units: int, answer_ms: int, *, timed: bool
) -> Iterator[tuple[Ladder, int, int]]:
    """Yield which ladder prices which units [begin, end) of a use."""
    begin = 0
    while begin < units:
        at_ms = answer_ms + begin * _SECOND_MS
        ladder, end = _in_force(segments, at_ms, timed=timed).ladder, units
        later = (s.from_ms for s in segments[1:] if timed and s.from_ms > at_ms)
        if (switch_ms := next(later, None)) is not None:
            switch = -((answer_ms - switch_ms) // _SECOND_MS)
            end = min(units, edge(ladder, switch, begin))
        yield ladder, begin, end
        begin = end


def _carry(terms: Ladder, carried: _Carried, following: Ladder) -> _Carried:
    """Round what is carried into a ladder, if their denominators do not go together."""
    if lcm(carried.den, following.den) <= MAX_DENOMINATOR:
        return carried
    exact = carried.amount
    rounded = round_fraction(exact.numerator, exact.denominator, terms.rounding)
    return _Carried(Fraction(rounded), 1)


def _corrected(part: Part, by: Fraction) -> Part:
    """Add the rounding of what a part leaves behind to its steps."""
    line = Step("rounding", part.from_units, part.to_units, 1, by, by)
    return msgspec.structs.replace(part, steps=(*part.steps, line))


def _reach(terms: Ladder, ladder: Ladder, begin: int, carried: _Carried, money: int) -> int:
    """Return the greatest edge of `ladder` to which `money` covers everything."""
    den = lcm(carried.den, ladder.den)
    budget = budget_of(terms, money, den)
    if budget is None:
        return MAX_UNITS
    left = Fraction(budget, den) - carried.amount
    return reach(ladder, begin, left.numerator * ladder.den // left.denominator)

"""Price steps: what tiered, volume and timed prices are made of.

    cost of the units in a step = begun increments of `by` units * price * by / per

A step holds the units above `start`, up to and including `end`; its increments are counted from
`start`, and the last one costs a whole increment even where `end` cuts it. The steps of a price
follow each other without gap or overlap from unit 0. Where the last one has an end, units above it
are never granted; where they were used all the same, they are settled like the last step's.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from ocs.domain.money import MAX_UNITS, Currency
from ocs.domain.rates.fields import RateFieldError, count_of, money_of

MOST_STEPS: Final = 32
"""Every charge walks the rows of its ladder: a price list with more is not one of steps."""

_FIELD: Final = "steps"


class PriceStep(msgspec.Struct, frozen=True):
    """`price` (in the currency) is for `per` units; they are paid in increments of `by` units."""

    start: int
    end: int | None
    price: Decimal
    per: int
    by: int


def rows_of(
    steps: Sequence[PriceStep], currency: Currency
) -> tuple[tuple[int, int, Fraction], ...]:
    """Return ladder rows in money units; RateFieldError for steps that cannot be used."""
    if not 1 <= len(steps) <= MOST_STEPS:
        raise RateFieldError(_FIELD, f"there must be 1 to {MOST_STEPS} steps, not {len(steps)}")
    reached: int | None = 0
    rows = []
    for step in steps:
        _check_place(step, reached)
        by, per = count_of(_FIELD, step.by, least=1), count_of(_FIELD, step.per, least=1)
        rows.append((step.start, by, money_of(_FIELD, step.price, currency) * by / per))
        reached = step.end
    return tuple(rows)


def end_of(steps: Sequence[PriceStep]) -> int:
    """Return the last unit that has a price."""
    end = steps[-1].end
    return MAX_UNITS if end is None else end


def _check_place(step: PriceStep, reached: int | None) -> None:
    """Refuse a step that does not begin where the one before has ended."""
    if reached is None:
        raise RateFieldError(_FIELD, "only the last step may be open")
    if step.start != reached:
        what = "an overlap" if step.start < reached else "a gap"
        raise RateFieldError(
            _FIELD, f"a step begins at {step.start} where {reached} is reached: {what}"
        )
    if step.end is not None and not step.start < step.end <= MAX_UNITS:
        raise RateFieldError(_FIELD, f"a step from {step.start} cannot end at {step.end}")

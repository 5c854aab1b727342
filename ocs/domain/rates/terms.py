"""The terms of a price: minimum, maximum, tax and rounding, which every priced model can carry.

A model says what it costs, exactly, as `Amounts`; the terms make the ladder of it. A tax that is
not included is put onto every amount before anything is rounded, so that what is held, granted and
debited is what the customer pays, and one rounding is enough.

    total = amounts * (1 + tax), rounded once to `decimals`, then lifted to `minimum_charge`,
            cut at `maximum_charge`; both with tax, and rounded like the total

`maximum_strategy`: `free` (what would cost more than the maximum costs the maximum) or `disconnect`
(units are granted only as long as their cost stays within it).

Rejected: rounding net and tax apart (two roundings that do not add up to the total), and a tax rate
for each ladder row (no price list has one).
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

import msgspec

from ocs.domain.ladder import NO_LIMIT, NO_MAXIMUM, Ladder, compile_ladder
from ocs.domain.money import MAX_AMOUNT, MAX_UNITS, Currency, Rounding, quantum_of, round_fraction
from ocs.domain.rates.fields import RateFieldError, fraction_of, money_of

_MOST_DECIMALS: Final = 20  # beyond those that a currency is kept in they change nothing


class Amounts(msgspec.Struct, frozen=True):
    """What a rate model costs as written: fee and rows in exact money units; see `Ladder`."""

    fee: Fraction
    rows: tuple[tuple[int, int, Fraction], ...]
    grace: int = 0
    by_total: bool = False
    end: int = MAX_UNITS


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of every priced model. Charges in the currency; `tax` is a fraction such as 0.19.

    `decimals` of the total; None: as many as the currency is kept in.
    """

    minimum_charge: Decimal = Decimal(0)
    maximum_charge: Decimal | None = None
    maximum_strategy: Literal["free", "disconnect"] = "free"
    rounding: Rounding = Rounding.HALF_UP
    decimals: int | None = None
    tax: Decimal = Decimal(0)
    tax_included: bool = False

    def compile(self, amounts: Amounts, currency: Currency) -> Ladder:
        """Return the ladder; ValueError names a field that cannot be priced."""
        tax = fraction_of("tax", self.tax)
        factor = Fraction(1) if self.tax_included else 1 + tax
        minimum = self._rounded("minimum_charge", self.minimum_charge, currency, factor)
        maximum = NO_MAXIMUM
        if self.maximum_charge is not None:
            maximum = self._rounded("maximum_charge", self.maximum_charge, currency, factor)
            if maximum == 0:
                raise RateFieldError("maximum_charge", "comes to 0: leave it empty for none")
            if maximum < minimum:
                raise RateFieldError("maximum_charge", "is less than the minimum charge")
        is_limit = self.maximum_strategy == "disconnect"
        fee, rows = amounts.fee, amounts.rows
        if factor != 1:  # most decks are without tax, and have a hundred thousand prices
            fee = fee * factor
            rows = tuple((start, increment, price * factor) for start, increment, price in rows)
        return compile_ladder(
            fee,
            rows,
            grace=amounts.grace,
            minimum=minimum,
            maximum=NO_MAXIMUM if is_limit else maximum,
            rounding=self.rounding,
            quantum=self._quantum(currency),
            by_total=amounts.by_total,
            limit=maximum if is_limit else NO_LIMIT,
            end=amounts.end,
        )

    def _quantum(self, currency: Currency) -> int:
        """Return what the total is rounded to, in money units."""
        if self.decimals is None:
            return 1
        if not 0 <= self.decimals <= _MOST_DECIMALS:
            raise RateFieldError("decimals", f"{self.decimals} is not within 0 .. {_MOST_DECIMALS}")
        if self.rounding is Rounding.NONE:
            raise RateFieldError("decimals", "must be empty where the rounding is none")
        return quantum_of(self.decimals, currency)

    def _rounded(self, field: str, charge: Decimal, currency: Currency, factor: Fraction) -> int:
        """Return a charge with tax, in money units, rounded like the total."""
        if not charge:
            return 0
        quantum = self._quantum(currency)
        share = money_of(field, charge, currency) * factor / quantum
        rounded = round_fraction(share.numerator, share.denominator, self.rounding) * quantum
        if rounded > MAX_AMOUNT:
            raise RateFieldError(field, "is too large: 2^53 money units at most")
        return rounded

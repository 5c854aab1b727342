"""The `timed` model: prices whose rows say when they hold; Elevate's and CGRateS's.

Two ways to write the price of one time of day:

    steps        cost = connect_fee + the steps: price per `per` units, in increments of `by`
                 (CGRateS: Rate, RateUnit, RateIncrement, from GroupIntervalStart on)
    price        cost = connect_fee + initial_charge
                        + ⌈(units - initial_period) / increment⌉ * increment * price / per
                 (Elevate: the initial charge pays the initial period)

Elevate's minimum charge, and CGRateS's maximum with its strategy, are the terms of every price.
When the price holds is not said here but by the timing of the row, which every model may have.

A step must hold a whole number of its increments, as CGRateS's loader demands: there an increment
goes on into the next step, and a price list that means this would be misread here.
"""

from decimal import Decimal
from fractions import Fraction

import msgspec

from ocs.domain.ladder import Ladder
from ocs.domain.money import MAX_UNITS, Currency
from ocs.domain.rates.fields import RateFieldError, count_of, money_of, per_of
from ocs.domain.rates.steps import PriceStep, end_of, rows_of
from ocs.domain.rates.terms import Amounts, Terms
from ocs.domain.usage import VOICE


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """Either `steps`, or `price` with what belongs to it. Money in the currency, else units.

    `per` defaults to a minute of calls and to one message or event; `increment` to `per`.
    """

    connect_fee: Decimal = Decimal(0)
    steps: tuple[PriceStep, ...] = ()
    price: Decimal | None = None
    per: int | None = None
    increment: int | None = None
    initial_charge: Decimal = Decimal(0)
    initial_period: int = 0
    terms: Terms = Terms()

    def compile(self, currency: Currency, usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        fee = money_of("connect_fee", self.connect_fee, currency)
        if self.steps:
            amounts = Amounts(fee, self._stepped(currency), end=end_of(self.steps))
        else:
            first, rows = self._initial_and_further(currency, usage_type)
            amounts = Amounts(fee + first, rows)
        return self.terms.compile(amounts, currency)

    def _stepped(self, currency: Currency) -> tuple[tuple[int, int, Fraction], ...]:
        for field in ("price", "per", "increment", "initial_charge", "initial_period"):
            if getattr(self, field):
                raise RateFieldError(field, "must be empty where there are steps")
        rows = rows_of(self.steps, currency)
        for step in self.steps[:-1]:
            assert step.end is not None
            if (step.end - step.start) % step.by:
                reason = f"{step.start}-{step.end} is not a whole number of {step.by}: see tiered"
                raise RateFieldError("steps", reason)
        return rows

    def _initial_and_further(
        self, currency: Currency, usage_type: str
    ) -> tuple[Fraction, tuple[tuple[int, int, Fraction], ...]]:
        """Return what is owed at once, and the rows."""
        if self.price is None:
            raise RateFieldError("price", "is empty, and so are the steps")
        per = per_of(self.per, usage_type)
        increment = count_of(
            "increment", per if self.increment is None else self.increment, least=1
        )
        further = money_of("price", self.price, currency) * increment / per
        initial = money_of("initial_charge", self.initial_charge, currency)
        period = count_of("initial_period", self.initial_period, least=0)
        if not period:
            return initial, ((0, increment, further),)
        if period >= MAX_UNITS:
            raise RateFieldError("initial_period", f"must be less than {MAX_UNITS}")
        return Fraction(0), ((0, period, initial), (period, increment, further))

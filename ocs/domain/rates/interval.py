"""The `interval` model: a first interval, then further ones; PortSIP's and Sippy's call rates.

    cost = 0                                                             units < grace_period
           (connect_fee + interval_1 * price_1 / per + n * interval_n * price_n / per)
           * (1 + postcall_surcharge)                                    otherwise
    n    = 0 up to interval_1 + free_seconds, then every begun interval_n

Prices of calls are per minute (`per` 60) whatever the intervals. Free seconds come after the first
interval. The surcharge is a fraction of everything, the fee included. A call shorter than the grace
period is free; one of exactly the grace period is charged in full, from second 0.
"""

from decimal import Decimal

import msgspec

from ocs.domain.ladder import Ladder
from ocs.domain.money import Currency
from ocs.domain.rates.fields import count_of, fraction_of, money_of, per_of
from ocs.domain.rates.terms import Amounts, Terms
from ocs.domain.usage import VOICE


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A rate. Prices per `per` units in the currency; intervals, free and grace in units.

    `per` defaults to a minute of calls, and to one message or event.
    """

    price_1: Decimal
    price_n: Decimal
    interval_1: int
    interval_n: int
    connect_fee: Decimal = Decimal(0)
    free_seconds: int = 0
    grace_period: int = 0
    postcall_surcharge: Decimal = Decimal(0)
    per: int | None = None
    terms: Terms = Terms()

    def compile(self, currency: Currency, usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        factor = 1 + fraction_of("postcall_surcharge", self.postcall_surcharge)
        a_unit = factor / per_of(self.per, usage_type)
        interval_1 = count_of("interval_1", self.interval_1, least=1)
        interval_n = count_of("interval_n", self.interval_n, least=1)
        free_seconds = count_of("free_seconds", self.free_seconds, least=0)
        first = money_of("price_1", self.price_1, currency) * interval_1 * a_unit
        further = money_of("price_n", self.price_n, currency) * interval_n * a_unit
        rows = [(0, interval_1, first)]
        if free_seconds:
            rows.append((interval_1, 1, 0 * first))
        # One row says the same as two equal ones, and the ledger's script walks every row.
        if free_seconds or (interval_1, first) != (interval_n, further):
            rows.append((interval_1 + free_seconds, interval_n, further))
        amounts = Amounts(
            fee=money_of("connect_fee", self.connect_fee, currency) * factor,
            rows=tuple(rows),
            grace=count_of("grace_period", self.grace_period, least=0),
        )
        return self.terms.compile(amounts, currency)

"""The `per_minute` model: a price per minute and the increment in which it is billed.

Nothing else: 60 bills full minutes, 1 bills by the second, 6 by six seconds.
"""

from decimal import Decimal

import msgspec

from ocs.domain.ladder import Ladder, compile_ladder
from ocs.domain.money import Currency, Rounding
from ocs.domain.rates.fields import SECONDS_A_MINUTE, count_of, money_of


class PerMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A call rate. `cost_per_minute` in the currency, `billing_increment` in seconds."""

    cost_per_minute: Decimal
    billing_increment: int = SECONDS_A_MINUTE
    rounding: Rounding = Rounding.HALF_UP

    def compile(self, currency: Currency) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        increment = count_of("billing_increment", self.billing_increment, least=1)
        price = money_of("cost_per_minute", self.cost_per_minute, currency)
        row = (0, increment, price * increment / SECONDS_A_MINUTE)
        return compile_ladder(0 * price, [row], rounding=self.rounding)

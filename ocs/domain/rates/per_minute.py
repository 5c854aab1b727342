"""The `per_minute` model: a price per minute and the increment in which it is billed.

Nothing else: 60 bills full minutes, 1 bills by the second, 6 by six seconds. For calls only: what
has no minutes has no price for one.
"""

from decimal import Decimal

import msgspec

from ocs.domain.ladder import Ladder
from ocs.domain.money import Currency
from ocs.domain.rates.fields import SECONDS_A_MINUTE, RateFieldError, count_of, money_of
from ocs.domain.rates.terms import Amounts, Terms
from ocs.domain.usage import VOICE


class PerMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A call rate. `cost_per_minute` in the currency, `billing_increment` in seconds."""

    cost_per_minute: Decimal
    billing_increment: int = SECONDS_A_MINUTE
    terms: Terms = Terms()

    def compile(self, currency: Currency, usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        if usage_type != VOICE:
            raise RateFieldError("cost_per_minute", f"{usage_type} has no minutes")
        increment = count_of("billing_increment", self.billing_increment, least=1)
        price = money_of("cost_per_minute", self.cost_per_minute, currency)
        row = (0, increment, price * increment / SECONDS_A_MINUTE)
        return self.terms.compile(Amounts(0 * price, (row,)), currency)

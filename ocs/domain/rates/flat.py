"""The `flat` model (one price for an event, or for a whole call), and prices that are none.

A message or another event costs its price each; a call or a data session costs it once, however
long it is. `free` costs nothing. `blocked` is refused, and has no price for that reason.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from ocs.domain.ladder import FREE, Ladder
from ocs.domain.money import Currency
from ocs.domain.rates.fields import money_of
from ocs.domain.rates.terms import Amounts, Terms
from ocs.domain.usage import DATA, VOICE

_WHOLE_SESSIONS: Final = (VOICE, DATA)


class Flat(msgspec.Struct, frozen=True, kw_only=True):
    """`price` in the currency: for each message or event, or once a call or data session."""

    price: Decimal
    terms: Terms = Terms()

    def compile(self, currency: Currency, usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        price = money_of("price", self.price, currency)
        nothing = Fraction(0)
        is_once = usage_type in _WHOLE_SESSIONS
        fee, each = (price, nothing) if is_once else (nothing, price)
        return self.terms.compile(Amounts(fee, ((0, 1, each),)), currency)


class Free(msgspec.Struct, frozen=True):
    """Costs nothing."""

    def compile(self, _currency: Currency, _usage_type: str = VOICE) -> Ladder:
        """Return the ladder that costs nothing."""
        return FREE


class Blocked(msgspec.Struct, frozen=True):
    """Is refused."""

    def compile(self, _currency: Currency, _usage_type: str = VOICE) -> Ladder:
        """Return the ladder of what was used all the same: it costs nothing."""
        return FREE

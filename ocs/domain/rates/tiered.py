"""The `tiered` and `volume` models: a price that depends on how much is used; BillRun's two.

    tiered   cost = access + the sum over the steps of what lies in each
    volume   cost = access + all units at the price of the step that they reach

Widths and prices are those of `steps.py`. A tiered cost never falls with use; a volume cost falls
where a cheaper step is reached, and what was debited above it goes back.
"""

from decimal import Decimal

import msgspec

from ocs.domain.ladder import Ladder
from ocs.domain.money import Currency
from ocs.domain.rates.fields import count_of, money_of
from ocs.domain.rates.steps import PriceStep, end_of, rows_of
from ocs.domain.rates.terms import Amounts, Terms
from ocs.domain.usage import VOICE


class Tiered(msgspec.Struct, frozen=True, kw_only=True):
    """Steps one after the other. `access` in the currency, once; grace in units."""

    steps: tuple[PriceStep, ...]
    access: Decimal = Decimal(0)
    grace_period: int = 0
    terms: Terms = Terms()

    def compile(self, currency: Currency, _usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        return _compile(self, currency, by_total=False)


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """The step that the whole use reaches prices all of it. Fields as of `Tiered`."""

    steps: tuple[PriceStep, ...]
    access: Decimal = Decimal(0)
    grace_period: int = 0
    terms: Terms = Terms()

    def compile(self, currency: Currency, _usage_type: str = VOICE) -> Ladder:
        """Return the ladder of this rate; ValueError names a field that cannot be priced."""
        return _compile(self, currency, by_total=True)


def _compile(rate: Tiered | Volume, currency: Currency, *, by_total: bool) -> Ladder:
    amounts = Amounts(
        fee=money_of("access", rate.access, currency),
        rows=rows_of(rate.steps, currency),
        grace=count_of("grace_period", rate.grace_period, least=0),
        by_total=by_total,
        end=end_of(rate.steps),
    )
    return rate.terms.compile(amounts, currency)

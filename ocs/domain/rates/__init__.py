"""The rate models: how a price is written down; each compiles to a ladder, which is what is priced.

A model is a frozen struct whose fields are the columns of a tariff file, so that a new model is one
file here and one line below. Prices are decimals of the currency as written; "per minute" means per
60 units of the tariff's usage type, which for voice are seconds.
"""

from typing import Final

from ocs.domain.rates.interval import Interval
from ocs.domain.rates.per_minute import PerMinute

type_of_model = type[Interval] | type[PerMinute]

MODELS: Final[dict[str, type_of_model]] = {"interval": Interval, "per_minute": PerMinute}
"""The rate models by the name that tariff files give them."""

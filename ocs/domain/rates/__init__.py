"""The rate models: how a price is written down; each compiles to a ladder, which is what is priced.

A model is a frozen struct whose fields are the columns of a tariff file, so that a new model is one
file here and one line below. What every priced model can have besides (tax, rounding, a minimum and
a maximum) is one struct too, `Terms`. Prices are decimals of the currency as written.
"""

from typing import Final

from ocs.domain.rates.flat import Blocked, Flat, Free
from ocs.domain.rates.interval import Interval
from ocs.domain.rates.per_minute import PerMinute
from ocs.domain.rates.tiered import Tiered, Volume
from ocs.domain.rates.timed import Timed

RateModel = Interval | PerMinute | Flat | Free | Blocked | Tiered | Volume | Timed

MODELS: Final[dict[str, type[RateModel]]] = {
    "interval": Interval,
    "per_minute": PerMinute,
    "flat": Flat,
    "free": Free,
    "blocked": Blocked,
    "tiered": Tiered,
    "volume": Volume,
    "timed": Timed,
}
"""The rate models by the name that tariff files give them."""

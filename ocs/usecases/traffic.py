"""What rated CDRs come to: traffic and money, by one of the things that people ask for."""

from enum import StrEnum

from msgspec import Struct


class By(StrEnum):
    """What a report tells traffic apart by, beside tenant, usage type and currency.

    Days and hours are those of the tenant's clocks; `trunk` is the one that a call came in by.
    """

    DESTINATION = "destination"
    HOUR = "hour"
    DAY = "day"
    TRUNK = "trunk"
    TRUNK_OUT = "trunk-out"


class Traffic(Struct, frozen=True):
    """One line of a report. `used` are the CDRs in which something was used."""

    tenant: str
    usage_type: str
    currency: str
    key: str
    cdrs: int
    used: int
    units: int
    amount: int

"""A CGRateS tariff plan as objects: the six tables that prices are made of.

The member names are those of the tables' columns. The same structs are filled from a folder of CSV
files (`cgrates_files`) and from JSON, so that a tariff plan from an API is compiled by the same
code. `line` is where an object stands in its file, 0 where there is none.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

ANY: Final = "*any"
NANOSECONDS: Final = 1_000_000_000
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
}
_PART: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_PARTS: Final = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_LONGEST_COUNT: Final = 16


class Timing(msgspec.Struct, frozen=True):
    """When a price applies; empty lists mean any. Days of the week: 1-7, 0 and 7 are Sunday.

    `end` is inclusive to the second, as the peer has it; None is the end of the day.
    """

    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    start: str = "00:00:00"
    end: str | None = None
    line: int = 0


class RateSlot(msgspec.Struct, frozen=True):
    """From `group_interval_start` on: each begun `rate_increment` at `rate` per `rate_unit`.

    Durations are written as in Go (1m30s); a bare number is raw units, nanoseconds of a call.
    """

    connect_fee: str = "0"
    rate: str = "0"
    rate_unit: str = "1s"
    rate_increment: str = "1s"
    group_interval_start: str = "0s"
    line: int = 0


class DestinationRate(msgspec.Struct, frozen=True):
    """A destination, its rate and its rounding; `max_cost` 0 is none."""

    destination: str
    rate: str
    rounding_method: str = ""
    rounding_decimals: int = 0
    max_cost: str = "0"
    max_cost_strategy: str = ""
    line: int = 0


class PlanRates(msgspec.Struct, frozen=True):
    """A group of destination rates in a rating plan, when they apply, and how much they weigh."""

    destination_rates: str
    timing: str = ANY
    weight: float = 0.0
    line: int = 0


class Activation(msgspec.Struct, frozen=True):
    """From `time` (RFC 3339, "" is always) a subject has this plan, until the next activation."""

    time: str
    plan: str
    fallback_subjects: tuple[str, ...] = ()
    line: int = 0


class Profile(msgspec.Struct, frozen=True):
    """What a subject of a tenant pays by, in a category of calls."""

    tenant: str
    category: str
    subject: str
    activations: tuple[Activation, ...]


class TariffPlan(msgspec.Struct, frozen=True):
    """The six tables, by id."""

    destinations: Mapping[str, tuple[str, ...]] = {}
    timings: Mapping[str, Timing] = {}
    rates: Mapping[str, tuple[RateSlot, ...]] = {}
    destination_rates: Mapping[str, tuple[DestinationRate, ...]] = {}
    rating_plans: Mapping[str, tuple[PlanRates, ...]] = {}
    rating_profiles: tuple[Profile, ...] = ()


def raw_units(text: str) -> int:
    """Return a duration in nanoseconds, or a bare number of raw units; ValueError if it is none."""
    stripped = text.strip()
    if stripped.isdecimal() and stripped.isascii() and len(stripped) <= _LONGEST_COUNT:
        return int(stripped)
    if not _PARTS.fullmatch(stripped):
        raise ValueError(f"{text[:40]!r} is not a duration such as 60s or 1m30s")
    total = sum(Decimal(count) * _UNITS[unit] for count, unit in _PART.findall(stripped))
    if total != int(total):
        raise ValueError(f"{text[:40]!r} is finer than a nanosecond")
    return int(total)

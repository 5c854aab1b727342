"""Why a use costs what it costs: the tariff, the prefix, and every step of the price.

    number, time, caller ──► plan.exempt, generation.schedule ──► rating.rate_use ──► text

It is the price itself that is explained: the steps are those of `rating.rate_use`, which finds the
same integers as the ledger, so an explanation cannot say anything else than what is charged. The
amounts of all steps add up to the total, exactly.

A call that runs through several prices has a *part* for each, with the local time at which it
begins. Tax is inside the amounts; the total is told apart into net and tax at the end.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Final

import msgspec

from ocs.domain.generation import Generation, Schedule
from ocs.domain.ladder import NO_LIMIT, Ladder, Step
from ocs.domain.money import (
    MAX_UNITS,
    Currency,
    currency,
    format_fraction,
    format_money,
    round_fraction,
)
from ocs.domain.plan import LONGEST_LIFE_S, Plan, rates_of
from ocs.domain.rating import Part, Segment, rate_use
from ocs.domain.tariff import ANY_CURRENCY, WHOLE_PERCENT, Rate, Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import Zone, zone_named

_NO_MONEY: Final = Currency("", 2)


class ExplainedStep(msgspec.Struct, frozen=True):
    """One line of an explanation; price (of one increment) and amount are exact, as text."""

    what: str
    from_units: int
    to_units: int
    increments: int
    price: str
    amount: str


class ExplainedPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one price has to do with the use. `at` is local time, RFC 3339 with its offset.

    `percent` is the plan's share of the tariff's prices, `from_prefix` and `trunk` are what the row
    asked of the call; left out where there is nothing of it.
    """

    at: str
    from_units: int
    to_units: int
    tariff: str
    prefix: str
    destination: str
    model: str
    steps: tuple[ExplainedStep, ...]
    percent: str = "100"
    from_prefix: str = ""
    trunk: str = ""
    tax: str = "0"


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why so many units to a number cost what they cost. The amounts of the steps add up to it.

    Tariff, prefix, destination, model and tax are those of the first part. `rounding` says how the
    total was rounded and `rounded_to` to a multiple of what. `tax` is the fraction, "0.2" for 20 %,
    and `tax_included` whether the price list held it; total = net + tax_amount, where each part has
    its own tax. `granted_at_most` is told where the price itself ends a call: units, an amount, or
    whichever comes first.
    """

    generation: str
    number: str
    tariff: str
    prefix: str
    destination: str
    model: str
    usage_type: str
    currency: str
    zone: str
    blocked: bool
    units: int
    parts: tuple[ExplainedPart, ...]
    rounding: str
    rounded_to: str
    total: str
    net: str
    tax_amount: str
    tax: str = "0"
    tax_included: bool = False
    granted_at_most: str = ""


def explain(
    generation: Generation,
    plan: Plan,
    used: Used,
    units: int,
    *,
    answered: bool = False,
    life_s: int = LONGEST_LIFE_S,
) -> Explanation | None:
    """Explain the price of `units` of what is used, from `used.at_ms` on; None without a rate.

    `answered`: of 0 units the fee is due. Prices of a call switch within `life_s`, the longest that
    the service lets one live.
    """
    schedule = rates_of(generation, plan, used, min(units, life_s))
    if not schedule:
        return None
    rate = schedule[0][1]
    money = _NO_MONEY if rate.currency == ANY_CURRENCY else currency(rate.currency)
    rated = rate_use(
        segments_of(schedule),
        units,
        used.at_ms,
        timed=used.usage_type == VOICE,
        answered=answered,
    )
    parts = tuple((part, _rate_of(part, schedule)) for part in rated.parts)
    net = _net(parts, rate.ladder)
    return Explanation(
        generation=generation.id,
        number=used.number,
        tariff=rate.tariff,
        prefix=rate.prefix,
        destination=rate.destination,
        model=rate.model,
        usage_type=used.usage_type,
        currency=rate.currency,
        zone=used.zone.name,
        blocked=rate.blocked,
        units=units,
        parts=tuple(_part(part, its_rate, used.zone, money) for part, its_rate in parts),
        rounding=rate.ladder.rounding.value,
        rounded_to=format_money(rate.ladder.quantum, money),
        total=format_money(rated.total, money),
        net=format_money(net, money),
        tax_amount=format_money(rated.total - net, money),
        tax=rate.tax,
        tax_included=rate.tax_included,
        granted_at_most=_granted_at_most(rate.ladder, money),
    )


def segments_of(schedule: Schedule) -> tuple[Segment, ...]:
    """Return a schedule as what `rating` prices."""
    return tuple(Segment(from_ms, rate.ladder) for from_ms, rate in schedule)


def _rate_of(part: Part, schedule: Schedule) -> Rate:
    return [rate for from_ms, rate in schedule if from_ms <= part.from_ms][-1]


def _part(part: Part, rate: Rate, zone: Zone, money: Currency) -> ExplainedPart:
    return ExplainedPart(
        at=_local(part.from_ms, zone if rate.zone == zone.name else zone_named(rate.zone)),
        from_units=part.from_units,
        to_units=part.to_units,
        tariff=rate.tariff,
        prefix=rate.prefix,
        destination=rate.destination,
        model=rate.model,
        steps=tuple(_step(step, money) for step in part.steps),
        percent="100" if rate.percent == WHOLE_PERCENT else _decimal(rate.percent),
        from_prefix=rate.from_prefix,
        trunk=rate.trunk,
        tax=rate.tax,
    )


def _step(step: Step, money: Currency) -> ExplainedStep:
    return ExplainedStep(
        what=step.what,
        from_units=step.from_units,
        to_units=step.to_units,
        increments=step.increments,
        price=format_fraction(step.price, money),
        amount=format_fraction(step.amount, money),
    )


def _net(parts: Sequence[tuple[Part, Rate]], terms: Ladder) -> int:
    """Return what is no tax of all parts, each by its own, rounded as the total was."""
    exact = (
        sum((step.amount for step in part.steps), Fraction(0)) / (1 + Fraction(rate.tax))
        for part, rate in parts
    )
    net = sum(exact, Fraction(0)) / terms.quantum
    return round_fraction(net.numerator, net.denominator, terms.rounding) * terms.quantum


def _granted_at_most(ladder: Ladder, money: Currency) -> str:
    bounds = []
    if ladder.end != MAX_UNITS:
        bounds.append(f"{ladder.end} units")
    if ladder.limit != NO_LIMIT:
        bounds.append(f"{format_money(ladder.limit, money)} {money.code}")
    return " or ".join(bounds)


def _local(at_ms: int, zone: Zone) -> str:
    """Write an instant as the clocks of a zone show it, to the second, with the offset."""
    offset = timedelta(milliseconds=zone.wall_ms(at_ms) - at_ms)
    place = UTC if zone.name == "UTC" else timezone(offset)
    return datetime.fromtimestamp(at_ms / 1000, place).isoformat(timespec="seconds")


def _decimal(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"

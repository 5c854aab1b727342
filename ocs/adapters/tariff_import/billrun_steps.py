"""BillRun's price of one usage type (access and a list of steps) as a tiered or volume price.

    {"access": 0.1,
     "rate": [{"from": 0, "to": 60, "interval": 60, "price": 0.2, "ceil": true}, ...]}

A step is as wide as `to - from` says, and the steps stand in the order of the list, whatever their
`from`: so `to` and `from` are only subtracted. Use above the last step is free there; it is here
too, with a warning, because nobody means it. Units are whole here, so a fractional interval has to
come out in whole ones: one that divides a unit evenly does (nobody can stop within it), any other
is refused, and so is a step that ends within a unit.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

import msgspec

from ocs.adapters.tariff_import.json_source import number
from ocs.domain.money import Currency, Rounding
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.rates.tiered import Tiered, Volume

VOLUME: Final = "volume"
_UNLIMITED: Final = "UNLIMITED"
_OPEN: Final = Fraction(-1)
_ROUNDINGS: Final = {
    "up": Rounding.UP,
    "down": Rounding.DOWN,
    "nearest": Rounding.HALF_UP,
    "none": Rounding.NONE,
}

_Read = TypeVar("_Read")

Report = Callable[[str, str, str], None]
"""Takes the path of a value, its name, and what is wrong with it."""


class Priced(msgspec.Struct, frozen=True):
    """A price as it was read; `ends` is where use begins to be free, None where it never does."""

    price: Tiered | Volume
    ends: int | None


def read_price(tariff: object, path: str, how: tuple[Terms, str], report: Report) -> Priced | None:
    """Read the price of a usage type; None, with every fault reported, where it cannot be.

    `how` is the rate's rounding and pricing method.
    """
    if not isinstance(tariff, Mapping) or not isinstance(tariff.get("rate"), list):
        report(path, "rate", "is not a list of steps")
        return None
    access = _value(tariff, "access", lambda value: _amount(value or 0), path, report)
    steps = _read_steps(tariff["rate"], f"{path}.rate", report)
    if access is None or not steps:
        return None
    ends = steps[-1].end
    if ends is not None:
        steps = [*steps, PriceStep(start=ends, end=None, price=Decimal(0), per=1, by=1)]
    terms, method = how
    kind = Volume if method == VOLUME else Tiered
    return Priced(kind(steps=tuple(steps), access=access, terms=terms), ends)


def scaled(price: Tiered | Volume, factor: Fraction) -> Tiered | Volume:
    """Return a price at a share of it: access and every step."""
    share = Decimal(factor.numerator) / Decimal(factor.denominator)
    return msgspec.structs.replace(
        price,
        access=price.access * share,
        steps=tuple(
            msgspec.structs.replace(step, price=step.price * share) for step in price.steps
        ),
    )


def read_terms(rate: Mapping[str, object], money: Currency, path: str, report: Report) -> Terms:
    """Return the rounding of a rate."""
    rules = rate.get("rounding_rules")
    if not isinstance(rules, Mapping):
        return Terms(rounding=Rounding.NONE)
    name = str(rules.get("rounding_type", "none") or "none")
    if name not in _ROUNDINGS:
        report(f"{path}.rounding_rules", "rounding_type", f"{name[:40]!r} is no way to round")
        return Terms()
    if _ROUNDINGS[name] is Rounding.NONE:
        return Terms(rounding=Rounding.NONE)
    try:
        decimals = int(number(rules.get("rounding_decimals", 0)))
    except ValueError as error:
        report(f"{path}.rounding_rules", "rounding_decimals", str(error))
        return Terms()
    return Terms(rounding=_ROUNDINGS[name], decimals=min(max(decimals, 0), money.scale))


def compile_fault(priced: Priced, money: Currency, usage_type: str) -> tuple[str, str] | None:
    """Return the field that no price can be made of, and why; None where it can be charged."""
    try:
        priced.price.compile(money, usage_type)
    except RateFieldError as error:
        return error.field, str(error)
    except ValueError as error:
        return "", str(error)
    return None


def _read_steps(listed: list[object], path: str, report: Report) -> list[PriceStep]:
    """Read steps one behind the other; none at all where one is wrong."""
    steps: list[PriceStep] = []
    faulty = False
    reached: int | None = 0
    for position, step in enumerate(listed):
        place = f"{path}[{position}]"
        if reached is None:
            report(place, "from", "stands behind a step without an end: it is never reached")
            return []
        found = _read_step(step, place, reached, report)
        faulty = faulty or found is None
        if found is not None:
            reached = found.end
            if found.end != found.start:
                steps.append(found)
    if not steps and not faulty:
        report(path, "", "has no steps")
    return [] if faulty else steps


def _read_step(step: object, path: str, reached: int, report: Report) -> PriceStep | None:
    """Read a step that begins where the last one ended; None, with its faults reported."""
    if not isinstance(step, Mapping):
        report(path, "", "is not a step")
        return None
    price = _value(step, "price", _amount, path, report)
    interval = _value(step, "interval", _interval, path, report)
    begin = _value(step, "from", lambda value: _bound(value or 0), path, report)
    end = _value(step, "to", _bound, path, report)
    if price is None or interval is None or begin is None or end is None:
        return None
    width = end - begin
    if end != _OPEN and (width < 0 or width.denominator != 1):
        report(path, "to", f"a width of {float(width):g} units is not a whole number of them")
        return None
    try:
        per, by = _increment(interval, in_whole=step.get("ceil", True))
    except ValueError as error:
        report(path, "interval", str(error))
        return None
    return PriceStep(
        start=reached,
        end=None if end == _OPEN else reached + int(width),
        price=price * per.denominator,
        per=per.numerator,
        by=by,
    )


def _value(
    values: Mapping[str, object],
    name: str,
    read: Callable[[object], _Read],
    path: str,
    report: Report,
) -> _Read | None:
    try:
        return read(values.get(name))
    except ValueError as error:
        report(path, name, str(error))
        return None


def _increment(interval: Fraction, *, in_whole: object) -> tuple[Fraction, int]:
    """Return what a price is for, and what is begun: the interval, or one unit without `ceil`."""
    if in_whole is False or interval.numerator == 1:
        return interval, 1
    if interval.denominator != 1:
        raise ValueError(f"{float(interval)} does not come out in whole units")
    return interval, int(interval)


def _bound(value: object) -> Fraction:
    """Return where a step begins or ends; what has no end, ends at _OPEN."""
    return _OPEN if value is None or value == _UNLIMITED else Fraction(number(value))


def _interval(value: object) -> Fraction:
    interval = Fraction(number(value))
    if interval <= 0:
        raise ValueError(f"{number(value)} is not an interval")
    return interval


def _amount(value: object) -> Decimal:
    amount = number(value)
    if amount < 0:
        raise ValueError(f"{amount} is negative")
    return amount

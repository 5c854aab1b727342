"""CGRateS's rates as prices of ours, and its timings as timings of ours.

A rate with several GroupIntervalStarts is one price with several steps: a begun `rate_increment`
costs rate * increment / unit, exactly. Calls are counted in seconds here, so what the peer says in
nanoseconds must come out in whole ones: an increment that divides a second evenly is priced by the
second (nobody can stop within it), any other is refused. Data, messages and events are counted in
raw units, in which a bare number and a duration (nanoseconds) mean what they mean there.

A rounding to 0 decimals is none, as there; more decimals than the currency is kept in cannot be
told from as many.
"""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from ocs.adapters.tariff_import.cgrates_plan import (
    ANY,
    NANOSECONDS,
    DestinationRate,
    RateSlot,
    raw_units,
)
from ocs.adapters.tariff_import.cgrates_plan import Timing as PeerTiming
from ocs.domain.money import Currency, Rounding, parse_decimal
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.rates.timed import Timed
from ocs.domain.timing import Timing
from ocs.domain.usage import VOICE

_ROUNDINGS: Final = {
    "*up": Rounding.UP,
    "*down": Rounding.DOWN,
    "*middle": Rounding.HALF_UP,
}
_ALL_DAY: Final = ("", ANY, "*asap")
_DAY_S: Final = 86_400
_SUNDAY: Final = 7
_TIME_PARTS: Final = 3


class PlaceError(ValueError):
    """A value of a table that no price can be made of: its column, line and reason."""

    def __init__(self, column: str, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.column = column
        self.line = line


def steps_of(slots: Iterable[RateSlot], usage_type: str) -> tuple[Decimal, tuple[PriceStep, ...]]:
    """Return the connect fee and the steps of a rate; PlaceError names a column of Rates.csv."""
    unit = NANOSECONDS if usage_type == VOICE else 1
    placed = sorted(((_start(slot, unit), slot) for slot in slots), key=lambda each: each[0])
    starts = [start for start, _ in placed]
    if starts[0] != 0:
        reason = "no line of this rate begins at 0"
        raise PlaceError("GroupIntervalStart", reason, placed[0][1].line)
    steps = []
    for (start, slot), end in zip(placed, [*starts[1:], None], strict=True):
        if end == start:
            reason = "two lines of this rate begin at the same time"
            raise PlaceError("GroupIntervalStart", reason, slot.line)
        steps.append(_step(slot, (start, end), unit))
    for (_, slot), (former, following) in zip(placed[1:], pairwise(steps), strict=True):
        if (following.start - former.start) % former.by:
            reason = f"is not a whole number of the increments before it ({former.by})"
            raise PlaceError("GroupIntervalStart", reason, slot.line)
    first = placed[0][1]
    return _amount("ConnectFee", first.connect_fee, first.line), tuple(steps)


def terms_of(rate: DestinationRate, money: Currency) -> Terms:
    """Return rounding and maximum of a destination rate; PlaceError names its column."""
    maximum = _amount("MaxCost", rate.max_cost, rate.line)
    strategy = rate.max_cost_strategy.strip()
    if maximum and strategy not in {"*free", "*disconnect"}:
        reason = f"{strategy[:40]!r} is neither *free nor *disconnect"
        raise PlaceError("MaxCostStrategy", reason, rate.line)
    rounding = _ROUNDINGS.get(rate.rounding_method.strip(), Rounding.NONE)
    if not rate.rounding_decimals:
        rounding = Rounding.NONE
    return Terms(
        rounding=rounding,
        decimals=None if rounding is Rounding.NONE else min(rate.rounding_decimals, money.scale),
        maximum_charge=maximum or None,
        maximum_strategy="disconnect" if strategy == "*disconnect" else "free",
    )


def price_of(fee: Decimal, steps: tuple[PriceStep, ...], terms: Terms) -> Timed:
    return Timed(connect_fee=fee, steps=steps, terms=terms)


def timing_of(timing: PeerTiming, weight: float) -> Timing:
    """Return a timing; its end, inclusive to the second there, is exclusive here."""
    start = 0 if timing.start.strip() in _ALL_DAY else _second("Time", timing.start, timing.line)
    end = _DAY_S
    if timing.end is not None and timing.end.strip() not in _ALL_DAY:
        end = min(_second("Time", timing.end, timing.line) + 1, _DAY_S)
    try:
        return Timing(
            years=timing.years,
            months=timing.months,
            month_days=timing.month_days,
            week_days=tuple(sorted({day or _SUNDAY for day in timing.week_days})),
            start_s=start,
            end_s=end,
            weight=weight,
        )
    except ValueError as error:
        raise PlaceError("", str(error), timing.line) from error


def _start(slot: RateSlot, unit: int) -> int:
    start = _raw("GroupIntervalStart", slot.group_interval_start, slot.line)
    if start % unit:
        raise PlaceError("GroupIntervalStart", "is not a whole number of seconds", slot.line)
    return start // unit


def _step(slot: RateSlot, span: tuple[int, int | None], unit: int) -> PriceStep:
    increment = _raw("RateIncrement", slot.rate_increment, slot.line) or NANOSECONDS
    priced = _raw("RateUnit", slot.rate_unit, slot.line) or NANOSECONDS
    if increment % unit and unit % increment:
        reason = f"{slot.rate_increment} is neither whole seconds nor an even part of one"
        raise PlaceError("RateIncrement", reason, slot.line)
    per = Fraction(priced, unit)
    return PriceStep(
        start=span[0],
        end=span[1],
        price=_amount("Rate", slot.rate, slot.line) * per.denominator,
        per=per.numerator,
        by=max(increment // unit, 1),
    )


def _raw(column: str, text: str, line: int) -> int:
    try:
        return raw_units(text)
    except ValueError as error:
        raise PlaceError(column, str(error), line) from error


def _amount(column: str, text: str, line: int) -> Decimal:
    try:
        amount = parse_decimal(text)
    except ValueError as error:
        raise PlaceError(column, str(error), line) from error
    if amount < 0:
        raise PlaceError(column, f"{text[:40]!r} is negative", line)
    return Decimal(text.strip())


def _second(column: str, text: str, line: int) -> int:
    """Return the second of the day of a time such as 18:00:00."""
    parts = text.strip().split(":")
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) <= 2]  # noqa: PLR2004 -- digits of hours, minutes and seconds
    if len(parts) != len(numbers) or len(numbers) != _TIME_PARTS:
        raise PlaceError(column, f"{text[:40]!r} is not a time such as 18:00:00", line)
    hours, minutes, seconds = numbers
    if not (hours < 24 and minutes < 60 and seconds < 60):  # noqa: PLR2004 -- of a clock
        raise PlaceError(column, f"{text[:40]!r} is not a time of a day", line)
    return (hours * 60 + minutes) * 60 + seconds

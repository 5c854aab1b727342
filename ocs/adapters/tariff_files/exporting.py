"""A loaded tariff taken apart again: from compiled prices to a price list that people can read.

What is loaded are ladders; which model they were written in is not kept, and need not be: every
ladder is the steps of a tiered price, or of one by volume. So an exported tariff has another model
than its file had, and the same prices to the last money unit.

    ladder row: from 60 on, each begun 1 costs 7/12000      ->      60-: 0.035 per 60 by 1

A price per unit may have no finite decimal (0.035 / 60); a step says for how many units its price
is, so one is chosen for which it has. Tax stands in the ladders, so it is written as included.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from msgspec.structs import replace

from ocs.adapters.tariff_files.sections import Tariff
from ocs.domain.coverage import flaw_of
from ocs.domain.ladder import NO_LIMIT, NO_MAXIMUM, Ladder
from ocs.domain.money import MAX_UNITS, Currency, currency
from ocs.domain.rates.flat import Blocked
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.rates.tiered import Tiered, Volume
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS, Band, Price
from ocs.domain.timing import Timing
from ocs.usecases.price_lists import PriceList, PriceRow

_HABITS: Final = (60, 3_600, 1_024, 1_024**2, 1_024**3)
"""What prices are usually for: a minute, an hour, the sizes of data."""

_LONGEST_DECIMAL: Final = 40
_ANY_TIME: Final = Timing()


class NotWritableError(ValueError):
    """A price that no tariff file can say."""


def price_list_of(sections: Sequence[Tariff]) -> PriceList:
    """Return the price list of one tariff, which may have several sections."""
    first = sections[0]
    money = currency(first.currency)
    timings: dict[Timing, str] = {}
    rows = [row for section in sections for row in _rows(section, money, timings)]
    prices = [price for section in sections for price in section.prices]
    return PriceList(
        name=first.name,
        currency=first.currency,
        usage_type=first.usage_type,
        model=_model(rows),
        rows=tuple(rows),
        timings={name: (timing,) for timing, name in timings.items()},
        zone=first.zone,
        gaps=any(_leaves_gaps(price) for price in prices),
        wall_dates=first.wall_dates,
    )


def _rows(section: Tariff, money: Currency, timings: dict[Timing, str]) -> Iterator[PriceRow]:
    """Yield a row for each band of each row, naming timings on the way."""
    written = [list(_bands(price, money, timings)) for price in section.prices]
    for number, row in _numbered(section):
        row_written = PriceRow(
            prefix=section.prefixes[number],
            destination=section.destinations[section.row_destinations[row]],
            price=Blocked(),
            from_prefix=section.from_prefix,
            trunk=section.trunk,
            valid_from_ms=_date(section.valid_from_ms, row, ALWAYS_FROM_MS),
            valid_to_ms=_date(section.valid_to_ms, row, NEVER_ENDS_MS),
        )
        for timing, price in written[section.row_prices[row]]:
            yield replace(row_written, timing=timing, price=price)


def _numbered(section: Tariff) -> Iterator[tuple[int, int]]:
    """Yield the number of the prefix and of the row, in order."""
    first_rows = section.first_rows
    for number in range(len(section.prefixes)):
        if not first_rows:
            yield number, number
            continue
        for row in range(first_rows[number], first_rows[number + 1]):
            yield number, row


def _date(dates: Sequence[int], row: int, default: int) -> int | None:
    return None if not dates or dates[row] == default else dates[row]


def _bands(
    price: Price, money: Currency, timings: dict[Timing, str]
) -> Iterator[tuple[str, Blocked | Tiered | Volume]]:
    """Yield the name of the timing and the price of each band."""
    for band in price.bands:
        rate = Blocked() if price.blocked else _rate(band.ladder, price.tax, money)
        yield _timing_name(band, price.bands, timings), rate


def _timing_name(band: Band, bands: Sequence[Band], timings: dict[Timing, str]) -> str:
    """Name a timing; "" for the band that holds where no other does."""
    if band.timing is None or _is_otherwise(band, bands):
        return ""
    return timings.setdefault(band.timing, f"t{len(timings) + 1}")


def _is_otherwise(band: Band, bands: Sequence[Band]) -> bool:
    """Whether an empty timing would say the same: any time, one weight below all others."""
    weights = [other.timing.weight for other in bands if other is not band and other.timing]
    lowest = min(weights, default=0.0)
    return band.timing == replace(_ANY_TIME, weight=lowest - 1)


def _rate(ladder: Ladder, tax: str, money: Currency) -> Tiered | Volume:
    bounded = ladder.maximum if ladder.limit == NO_LIMIT else ladder.limit
    if ladder.limit != NO_LIMIT and ladder.maximum != NO_MAXIMUM:
        raise NotWritableError("a price has a maximum of both kinds")
    tax_rate = Decimal(tax)
    terms = Terms(
        minimum_charge=_amount(Fraction(ladder.minimum), money),
        maximum_charge=None if bounded == NO_MAXIMUM else _amount(Fraction(bounded), money),
        maximum_strategy="free" if ladder.limit == NO_LIMIT else "disconnect",
        rounding=ladder.rounding,
        decimals=_decimals(ladder.quantum, money),
        tax=tax_rate,
        tax_included=bool(tax_rate),
    )
    kind = Volume if ladder.by_total else Tiered
    return kind(
        steps=tuple(_steps(ladder, money)),
        access=_amount(Fraction(ladder.fee, ladder.den), money),
        grace_period=ladder.grace,
        terms=terms,
    )


def _steps(ladder: Ladder, money: Currency) -> Iterator[PriceStep]:
    ends = [row.start for row in ladder.rows[1:]]
    ends.append(ladder.end)
    for row, end in zip(ladder.rows, ends, strict=True):
        a_unit = Fraction(row.price, ladder.den * row.increment) / money.units_a_whole
        price, per = _said(a_unit, row.increment)
        end_or_none = None if end == MAX_UNITS else end
        yield PriceStep(row.start, end_or_none, price, per, row.increment)


def _said(a_unit: Fraction, increment: int) -> tuple[Decimal, int]:
    """Return a price and for how many units it is: exact, and in as few digits as may be."""
    odd = _without_tens(a_unit.denominator)
    counts = (increment, *_HABITS, odd, *(odd * habit for habit in _HABITS))
    candidates = [
        (len(price.normalize().as_tuple().digits), place, price)
        for place, count in enumerate(counts)
        if count <= MAX_UNITS and (price := _finite(a_unit * count)) is not None
    ]
    if not candidates:
        raise NotWritableError(f"a price of {a_unit} a unit has no decimals")
    _, place, price = min(candidates)
    return price, counts[place]


def _amount(units: Fraction, money: Currency) -> Decimal:
    amount = _finite(units / money.units_a_whole)
    if amount is None:
        raise NotWritableError(f"an amount of {units / money.units_a_whole} has no decimals")
    return amount


def _finite(value: Fraction) -> Decimal | None:
    """Return a fraction as a decimal; None where that has no end, or is too long to be read."""
    twos = (value.denominator & -value.denominator).bit_length() - 1
    fives, rest = 0, value.denominator >> twos
    while rest % 5 == 0:
        fives, rest = fives + 1, rest // 5
    places = max(twos, fives)
    if rest != 1:
        return None
    digits = value.numerator * 10**places // value.denominator
    text = f"{digits}e-{places}" if places else str(digits)
    decimal = Decimal(text)
    return decimal if len(format(decimal, "f")) <= _LONGEST_DECIMAL else None


def _without_tens(denominator: int) -> int:
    """Return what is left of a denominator that a decimal cannot say."""
    for factor in (2, 5):
        while denominator % factor == 0:
            denominator //= factor
    return denominator


def _decimals(quantum: int, money: Currency) -> int | None:
    return None if quantum == 1 else money.scale - (len(str(quantum)) - 1)


def _model(rows: Sequence[PriceRow]) -> str:
    """Return the model of all rows; blocked ones stand in any."""
    kinds = {type(row.price) for row in rows}
    if kinds == {Blocked}:
        return "blocked"
    if kinds >= {Tiered, Volume}:
        raise NotWritableError("tiered prices and prices by volume are in one tariff")
    return "volume" if Volume in kinds else "tiered"


def _leaves_gaps(price: Price) -> bool:
    timings = [band.timing for band in price.bands if band.timing is not None]
    if not price.is_timed or len(timings) < len(price.bands):
        return False
    flaw = flaw_of(timings)
    return flaw is not None and not flaw.by

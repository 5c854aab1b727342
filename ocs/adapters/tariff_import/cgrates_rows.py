"""The rows of one rating plan: each prefix of its destinations, with the prices that it may have.

A destination is a list of prefixes, and a prefix may be in several destinations of a plan; then all
their prices are the prefix's, each at its times. `*any` is the catch-all. In CGRateS a number is
matched as it is written, so +49 and 49 are two prefixes; here numbers are cleaned to digits first,
and the + goes (or becomes what `plus` says).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ocs.adapters.tariff_import.cgrates_bands import is_always, leave_gaps, told_apart
from ocs.adapters.tariff_import.cgrates_plan import ANY, DestinationRate, PlanRates, TariffPlan
from ocs.adapters.tariff_import.cgrates_plan import Timing as PeerTiming
from ocs.adapters.tariff_import.cgrates_prices import (
    PlaceError,
    price_of,
    steps_of,
    terms_of,
    timing_of,
)
from ocs.domain.coverage import ever_holds
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.rates.timed import Timed
from ocs.domain.timing import Timing
from ocs.usecases.price_lists import Fault, PriceRow, name_of

_CATCH_ALL: Final = ""
_DESTINATION_RATES: Final = "DestinationRates.csv"
_PLANS: Final = "RatingPlans.csv"
_RATES: Final = "Rates.csv"
_TIMINGS: Final = "Timings.csv"
_DESTINATIONS: Final = "Destinations.csv"


class _Band(msgspec.Struct, frozen=True):
    """A price of a prefix, when it holds, and what the source calls that; `line` of the plan."""

    tag: str
    timing: Timing
    price: Timed
    destination: str
    line: int


class Rows:
    """The rows of a rating plan for one usage type, with what is wrong with its tables."""

    def __init__(self, plan: TariffPlan, usage_type: str, money: Currency, plus: str) -> None:
        self.rows: list[PriceRow] = []
        self.timings: dict[str, tuple[Timing, ...]] = {}
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.has_gaps = False
        self._plan = plan
        self._usage_type = usage_type
        self._money = money
        self._plus = plus
        self._bands: dict[str, list[_Band]] = {}
        self._prices: dict[DestinationRate, Timed | None] = {}
        self._names: dict[Timing, str] = {}
        self._prefixes_of: dict[str, list[str]] = {}

    def read(self, name: str) -> None:
        """Fill rows and timings from a rating plan that is there."""
        for rates in self._plan.rating_plans[name]:
            timing = self._timing(rates)
            for rate in self._destination_rates(rates):
                price, prefixes = self._price(rate), self._prefixes(rate)
                if timing is not None and price is not None:
                    band = _Band(rates.timing, timing, price, rate.destination, rates.line)
                    for prefix in prefixes:
                        self._bands.setdefault(prefix, []).append(band)
        self._shield_plus()
        for prefix, bands in self._bands.items():
            self._add(prefix, bands)

    def _add(self, prefix: str, bands: list[_Band]) -> None:
        """Make a row of each band; of two at the same time the first is kept."""
        told = told_apart(tuple(band.timing for band in bands))
        kept = tuple(timing for timing in told if timing is not None)
        self.has_gaps = self.has_gaps or leave_gaps(kept)
        destination = "any" if bands[0].destination == ANY else bands[0].destination
        first: dict[Timing, Timed] = {}
        for band, timing in zip(bands, told, strict=True):
            if timing is not None:
                name = "" if len(kept) == 1 and is_always(timing) else self._name(band.tag, timing)
                self.rows.append(PriceRow(prefix, destination, band.price, timing=name))
                first[band.timing] = band.price
            elif first[band.timing] != band.price:
                reason = f"{prefix or '*'} has another price at the same time, which is taken"
                self.warnings.append(Fault(_PLANS, band.line, "", "DestinationRatesId", reason))

    def _name(self, tag: str, timing: Timing) -> str:
        """Name a timing after its tag, once."""
        if timing not in self._names:
            name = name_of("always" if tag == ANY else tag, self.timings)
            self._names[timing] = name
            self.timings[name] = (timing,)
        return self._names[timing]

    def _timing(self, rates: PlanRates) -> Timing | None:
        if rates.timing == ANY:
            return Timing(weight=rates.weight)
        timing: PeerTiming | None = self._plan.timings.get(rates.timing)
        if timing is None:
            reason = f"there is no timing {rates.timing!r} in {_TIMINGS}"
            self._fault(_PLANS, rates.line, "TimingTag", reason)
            return None
        try:
            found = timing_of(timing, rates.weight)
        except PlaceError as error:
            self._fault(_TIMINGS, error.line, error.column, str(error))
            return None
        if not ever_holds(found):
            reason = f"{rates.timing} never comes: left out"
            self.warnings.append(Fault(_TIMINGS, timing.line, "", "", reason))
            return None
        return found

    def _destination_rates(self, rates: PlanRates) -> tuple[DestinationRate, ...]:
        found = self._plan.destination_rates.get(rates.destination_rates)
        if found is None:
            reason = f"there is no {rates.destination_rates!r} in {_DESTINATION_RATES}"
            self._fault(_PLANS, rates.line, "DestinationRatesId", reason)
        return found or ()

    def _price(self, rate: DestinationRate) -> Timed | None:
        if rate not in self._prices:
            self._prices[rate] = self._compile(rate)
        return self._prices[rate]

    def _compile(self, rate: DestinationRate) -> Timed | None:
        slots = self._plan.rates.get(rate.rate)
        if slots is None:
            reason = f"there is no rate {rate.rate!r} in {_RATES}"
            self._fault(_DESTINATION_RATES, rate.line, "RatesTag", reason)
            return None
        price = None
        try:
            terms = terms_of(rate, self._money)
        except PlaceError as error:
            self._fault(_DESTINATION_RATES, error.line, error.column, str(error))
            return None
        try:
            price = price_of(*steps_of(slots, self._usage_type), terms)
            price.compile(self._money, self._usage_type)
        except PlaceError as error:
            self._fault(_RATES, error.line, error.column, str(error))
        except ValueError as error:
            self._fault(_DESTINATION_RATES, rate.line, "", str(error))
        return price

    def _prefixes(self, rate: DestinationRate) -> list[str]:
        if rate.destination == ANY:
            return [_CATCH_ALL]
        found = self._plan.destinations.get(rate.destination)
        if found is None:
            reason = f"there is no destination {rate.destination!r} in {_DESTINATIONS}"
            self._fault(_DESTINATION_RATES, rate.line, "DestinationId", reason)
            return []
        if rate.destination not in self._prefixes_of:
            self._prefixes_of[rate.destination] = self._cleaned(rate.destination, found)
        return self._prefixes_of[rate.destination]

    def _cleaned(self, destination: str, texts: Sequence[str]) -> list[str]:
        """Return the prefixes of a destination that numbers can match."""
        prefixes = []
        for text in texts:
            digits = self._plus + text[1:] if text.startswith("+") else text
            if not (digits.isdecimal() and digits.isascii()):
                reason = f"{destination}: {text[:40]!r} is not digits, left out"
                self.warnings.append(Fault(_DESTINATIONS, 0, "", "Prefix", reason))
            elif len(digits) > MAX_PREFIX_DIGITS:
                reason = f"{destination}: {text[:40]!r} is longer than {MAX_PREFIX_DIGITS}"
                self._fault(_DESTINATIONS, 0, "Prefix", reason)
            else:
                prefixes.append(digits)
        return prefixes

    def _shield_plus(self) -> None:
        """Where + is written as digits, those must not lead to a prefix that has no +."""
        if self._plus and self._plus not in self._bands and _CATCH_ALL in self._bands:
            shorter = (self._plus[:size] for size in range(1, len(self._plus)))
            if any(prefix in self._bands for prefix in shorter):
                self._bands[self._plus] = self._bands[_CATCH_ALL]

    def _fault(self, file: str, line: int, column: str, reason: str) -> None:
        self.faults.append(Fault(file, line, "", column, reason))

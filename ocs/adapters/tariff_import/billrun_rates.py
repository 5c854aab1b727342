"""BillRun's rates and plans as they are exported: a list of documents, read with all their faults.

A rate has a price for each usage type, and in it one for BASE and one for each plan that has its
own. A plan may override a rate as well, by steps or by a percentage of BASE. Both become prices by
plan here: the plan's own word goes before the rate's word for that plan.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_import.billrun_steps import (
    Priced,
    compile_fault,
    read_price,
    read_terms,
    scaled,
)
from ocs.adapters.tariff_import.json_source import SourceError, date_ms, number, read_json
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS
from ocs.domain.rates.terms import Terms
from ocs.usecases.price_lists import Fault

BASE: Final = "BASE"
_UNRATED: Final = "UNRATED"
_RETAIL: Final = "retail"
_LISTS: Final = ("rates", "details", "entities")
_FAR_MS: Final = 4_102_444_800_000  # the year 2100: how BillRun writes "without end"
_LEAST_PERCENTAGE: Final = 2
_USAGE_TYPES: Final = (
    ("data", ("data", "internet")),
    ("sms", ("sms",)),
    ("mms", ("mms",)),
    ("voice", ("call", "voice")),
)


class Entry(msgspec.Struct, frozen=True):
    """A prefix of a rate, with its prices by plan; "" is a rate that asks for no prefix."""

    prefix: str
    key: str
    path: str
    from_ms: int | None
    to_ms: int | None
    prices: dict[str, Priced]
    percentages: dict[str, Fraction]


class Source:
    """What a file of rates holds: entries by (tariff category, usage type), faults, warnings."""

    def __init__(self, path: Path, money: Currency, usage_types: Mapping[str, str]) -> None:
        self.entries: dict[tuple[str, str], list[Entry]] = {}
        self.usage_types: dict[str, str] = {}
        self.plans: dict[str, None] = {}
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._file = path.name
        self._path = path
        self._money = money
        self._named_types = usage_types
        self._overrides: dict[str, tuple[str, Mapping[str, object]]] = {}

    def read(self, at_ms: int | None) -> None:
        """Read the file; what was in force only before `at_ms` is left out."""
        try:
            rates, plans = _lists(self._path)
        except SourceError as error:
            self.faults.append(error.fault)
            return
        for place, plan in plans:
            self._read_plan(place, plan)
        for place, rate in rates:
            self._read_rate(place, rate, at_ms)
        if not self.entries and not self.faults:
            self._report("$", "", "has no rates")

    def _read_plan(self, path: str, plan: Mapping[str, object]) -> None:
        name = plan.get("name")
        if not isinstance(name, str) or not name:
            self._report(path, "name", "is missing")
            return
        if name in self._overrides:
            self._warn(path, "name", f"{name} stands here again: the later one is taken")
        rates = plan.get("rates")
        self.plans[name] = None
        self._overrides[name] = f"{path}.rates", rates if isinstance(rates, Mapping) else {}

    def _read_rate(self, path: str, rate: Mapping[str, object], at_ms: int | None) -> None:
        key = rate.get("key")
        if key == _UNRATED:
            return
        if not isinstance(key, str) or not key:
            self._report(path, "key", "is missing")
            return
        dates = self._dates(path, rate)
        if at_ms is not None and dates[1] is not None and dates[1] <= at_ms:
            return
        from_ms = None if at_ms is not None and (dates[0] or 0) <= at_ms else dates[0]
        terms = read_terms(rate, self._money, path, self._report)
        category = str(rate.get("tariff_category") or _RETAIL)
        usages = rate.get("rates")
        for usage, tariffs in (usages if isinstance(usages, Mapping) else {}).items():
            place = f"{path}.rates.{usage}"
            self.usage_types.setdefault(usage, self._usage_type(usage, place))
            prices, percentages = self._prices(key, usage, tariffs, place, (terms, rate))
            found = self.entries.setdefault((category, usage), [])
            found += [
                Entry(prefix, key, place, from_ms, dates[1], prices, percentages)
                for prefix in self._prefixes(path, key, rate)
            ]

    def _prices(
        self,
        key: str,
        usage: str,
        tariffs: object,
        path: str,
        how: tuple[Terms, Mapping[str, object]],
    ) -> tuple[dict[str, Priced], dict[str, Fraction]]:
        """Return the prices of a usage type by plan, and the percentages of BASE by plan."""
        terms, method = how[0], str(how[1].get("pricing_method") or "tiered")
        by_plan = tariffs if isinstance(tariffs, Mapping) else {}
        if "rate" in by_plan:  # a rate of one price, without plans
            by_plan = {BASE: by_plan}
        places = {plan: (f"{path}.{plan}", tariff) for plan, tariff in by_plan.items()}
        percentages = self._override(key, usage, places)
        prices: dict[str, Priced] = {}
        for plan, (place, tariff) in places.items():
            self.plans.setdefault(plan)
            found = read_price(tariff, place, (terms, method), self._report)
            if found is not None and self._is_good(found, place, usage):
                prices[plan] = found
        base = prices.get(BASE)
        if base is not None:
            for plan, percentage in percentages.items():
                prices[plan] = Priced(scaled(base.price, percentage / 100), base.ends)
        return prices, percentages

    def _override(
        self, key: str, usage: str, places: dict[str, tuple[str, object]]
    ) -> dict[str, Fraction]:
        """Put the plans' own steps in the place of the rate's; return their percentages."""
        percentages = {}
        for plan, (place, rates) in self._overrides.items():
            of_rate = rates.get(key)
            own = of_rate.get(usage) if isinstance(of_rate, Mapping) else None
            where = f"{place}.{key}.{usage}"
            if isinstance(own, Mapping) and "percentage" in own:
                percentages[plan] = self._percentage(where, own["percentage"])
                places.pop(plan, None)
            elif own is not None:
                places[plan] = where, own
        return percentages

    def _is_good(self, priced: Priced, path: str, usage: str) -> bool:
        fault = compile_fault(priced, self._money, self.usage_types[usage])
        if fault is not None:
            self._report(path, *fault)
        elif priced.ends is not None:
            reason = f"use above {priced.ends} is free, as it is in BillRun"
            self._warn(path, "rate", reason)
        return fault is None

    def _percentage(self, path: str, value: object) -> Fraction:
        try:
            percentage = Fraction(number(value))
        except ValueError as error:
            self._report(path, "percentage", str(error))
            return Fraction(100)
        if percentage < 0:
            self._report(path, "percentage", f"{value} is negative")
        elif 0 < percentage < _LEAST_PERCENTAGE:
            reason = f"{value} may be a fraction or a percentage: write 90 for 90 per cent"
            self._report(path, "percentage", reason)
        return percentage

    def _prefixes(self, path: str, key: str, rate: Mapping[str, object]) -> list[str]:
        params = rate.get("params")
        asked = dict(params) if isinstance(params, Mapping) else {}
        listed = asked.pop("prefix", None)
        others = sorted(name for name, value in asked.items() if value not in (None, "", [], {}))
        if others:
            reason = f"{key} also asks for {', '.join(others)}: only its prefixes are used"
            self._warn(f"{path}.params", others[0], reason)
        if not listed:
            return [""]
        prefixes = []
        for text in listed if isinstance(listed, list) else [listed]:
            digits = str(text).strip().removeprefix("+")
            if not (digits.isdecimal() and digits.isascii() and len(digits) <= MAX_PREFIX_DIGITS):
                reason = f"{str(text)[:40]!r} is not a prefix of 1 to {MAX_PREFIX_DIGITS} digits"
                self._report(f"{path}.params", "prefix", reason)
            else:
                prefixes.append(digits)
        return list(dict.fromkeys(prefixes))

    def _dates(self, path: str, rate: Mapping[str, object]) -> tuple[int | None, int | None]:
        dates: list[int | None] = []
        for name in ("from", "to"):
            try:
                dates.append(date_ms(rate.get(name)))
            except ValueError as error:
                self._report(path, name, str(error))
                dates.append(None)
        from_ms, to_ms = dates
        if from_ms is not None and to_ms is not None and to_ms <= from_ms:
            self._report(path, "to", "is not later than from")
        if to_ms is not None and to_ms >= _FAR_MS:
            to_ms = None
        return None if from_ms is None else max(from_ms, 0), to_ms

    def _usage_type(self, usage: str, path: str) -> str:
        if usage in self._named_types:
            return self._named_types[usage]
        for usage_type, words in _USAGE_TYPES:
            if any(word in usage.lower() for word in words):
                return usage_type
        self._warn(path, "", f"usage type {usage} is taken for events")
        return "event"

    def _report(self, path: str, column: str, reason: str) -> None:
        self.faults.append(Fault(self._file, 0, path, column, reason))

    def _warn(self, path: str, column: str, reason: str) -> None:
        self.warnings.append(Fault(self._file, 0, path, column, reason))


_Placed = tuple[str, Mapping[str, object]]


def _lists(path: Path) -> tuple[list[_Placed], list[_Placed]]:
    """Return the documents of rates and of plans, with their places."""
    document = read_json(path)
    if isinstance(document, list):
        return list(_documents(path.name, "$", document)), []
    if isinstance(document, dict):
        name = next((name for name in _LISTS if isinstance(document.get(name), list)), None)
        if name is not None:
            plans = document.get("plans") or []
            return (
                list(_documents(path.name, f"$.{name}", document[name])),
                list(_documents(path.name, "$.plans", plans)),
            )
    reason = 'is neither a list of rates nor an object with "rates" and "plans"'
    raise SourceError(Fault(path.name, 0, "$", "", reason))


def _documents(file: str, place: str, documents: object) -> Iterator[_Placed]:
    if not isinstance(documents, list):
        raise SourceError(Fault(file, 0, place, "", "is not a list"))
    for position, document in enumerate(documents):
        where = f"{place}[{position}]"
        if not isinstance(document, dict):
            raise SourceError(Fault(file, 0, where, "", "is not an object"))
        yield where, document

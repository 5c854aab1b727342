"""BillRun's rates as price lists and plans of ours.

BillRun looks for the rate of a number first (its longest prefix), and then for the price that the
rate has for the plan. A plan of ours asks its tariffs in order, and each for its own longest
prefix. So a plan's own tariff holds, beside what is its own, the BASE rates whose prefixes are
longer than one of those: they would not be found behind it.

    BASE   44 -> 0.10, 4479 -> 0.30      PLAN_A   44 -> 0.08
    tariff of PLAN_A:  44 -> 0.08, 4479 -> 0.30;  then the tariff of BASE

A file of ours has one rate model. Tiered and volume prices of one usage type go into two, that of
volume first, for which the same care is taken; what cannot be told apart so is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_import.billrun_rates import BASE, Entry, Source
from ocs.domain.money import currency
from ocs.domain.rates import RateModel
from ocs.domain.rates.flat import Blocked
from ocs.domain.rates.tiered import Tiered, Volume
from ocs.usecases.price_lists import (
    Fault,
    Imported,
    ImportedPlan,
    PlanTariffName,
    PriceList,
    PriceRow,
    name_of,
)

_RETAIL: Final = "retail"
_NEVER: Final = 2**53 - 1


class _Row(msgspec.Struct, frozen=True):
    """A row on its way into a list."""

    entry: Entry
    price: RateModel

    @property
    def is_one_step(self) -> bool:
        """Whether the row costs the same in both models."""
        return not isinstance(self.price, Tiered | Volume) or len(self.price.steps) == 1

    @property
    def needs(self) -> type[RateModel] | None:
        """The model that the row cannot do without."""
        return None if self.is_one_step else type(self.price)


def import_rates(
    path: Path,
    currency_code: str,
    *,
    usage_types: Mapping[str, str] | None = None,
    at_ms: int | None = None,
) -> Imported:
    """Read a file of rates, all or nothing; ValueError for a currency that is none.

    `usage_types` by BillRun's name, where it does not say so itself. With `at_ms` revisions that
    have ended before are left out, and those in force then have no beginning.
    """
    money = currency(currency_code)
    source = Source(path, money, usage_types or {})
    source.read(at_ms)
    lists = _Lists(path.name, money.code, source)
    for (category, usage), entries in source.entries.items():
        lists.add(category, usage, entries)
    return Imported(
        lists=tuple(lists.lists),
        plans=tuple(lists.plans()),
        warnings=tuple(dict.fromkeys(source.warnings)),
        faults=tuple(sorted(set(source.faults))),
    )


class _Lists:
    """The lists that come of the entries, and which plan pays by which."""

    def __init__(self, file: str, currency_code: str, source: Source) -> None:
        self.lists: list[PriceList] = []
        self._file = file
        self._currency = currency_code
        self._source = source
        self._names: set[str] = set()
        self._of_plan: dict[str, list[PlanTariffName]] = {
            plan: [] for plan in dict.fromkeys((BASE, *source.plans))
        }

    def plans(self) -> list[ImportedPlan]:
        taken: set[str] = set()
        plans = []
        for plan, tariffs in self._of_plan.items():
            name = name_of(plan, taken)
            taken.add(name)
            if tariffs:
                plans.append(ImportedPlan(name, tuple(tariffs)))
        return plans

    def add(self, category: str, usage: str, entries: Sequence[Entry]) -> None:
        """Make the lists of a usage type: BASE's, and those of plans that have their own prices."""
        entries = self._with_places(entries)
        rows = [_Row(entry, _price(entry, BASE)) for entry in entries]
        base = self._write(f"{category}-{usage}", usage, rows)
        if category != _RETAIL:
            return
        for plan, tariffs in self._of_plan.items():
            percentage = _common_percentage(plan, entries)
            if percentage is not None:
                tariffs += [PlanTariffName(name, _decimal(percentage)) for name in base]
                continue
            own = {entry.prefix for entry in entries if plan != BASE and plan in entry.prices}
            within = [entry for entry in entries if _lies_within(entry.prefix, own)]
            rows = [_Row(entry, _price(entry, plan)) for entry in within]
            names = [*self._write(f"{plan}-{usage}", usage, rows), *base]
            tariffs += [PlanTariffName(name) for name in names]

    def _with_places(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries that can be told apart by prefix and date."""
        without = {entry.key for entry in entries if not entry.prefix}
        if len(without) > 1:
            for entry in entries:
                if not entry.prefix:
                    reason = f"{entry.key} has no prefix, as others: left out"
                    fault = Fault(self._file, 0, entry.path, "prefix", reason)
                    self._source.warnings.append(fault)
            entries = [entry for entry in entries if entry.prefix]
        taken: dict[str, tuple[int, Entry]] = {}
        for entry in sorted(entries, key=lambda entry: entry.from_ms or 0):
            until_ms, former = taken.get(entry.prefix, (0, entry))
            if (entry.from_ms or 0) < until_ms:
                reason = f"{entry.prefix or 'no prefix'} of {entry.key} is {former.key}'s, too"
                self._report(entry, reason)
            taken[entry.prefix] = max(until_ms, entry.to_ms or _NEVER), entry
        return list(entries)

    def _write(self, name: str, usage: str, rows: Sequence[_Row]) -> list[str]:
        """Put rows into one list, or into one for each model; return their names in order."""
        written = []
        for model, of_model in self._by_model(rows):
            chosen = name_of(name if model == "tiered" else f"{name}-{model}", self._names)
            self._names.add(chosen)
            written.append(chosen)
            self.lists.append(
                PriceList(
                    name=chosen,
                    currency=self._currency,
                    usage_type=self._source.usage_types[usage],
                    model=model,
                    rows=tuple(_written(row, model) for row in of_model),
                    zone="UTC",
                    comments=(f"Rates of BillRun for {usage}",),
                )
            )
        return written

    def _by_model(self, rows: Sequence[_Row]) -> list[tuple[str, list[_Row]]]:
        needed = {row.needs for row in rows} - {None}
        if not rows:
            return []
        if needed <= {Tiered}:
            return [("tiered", list(rows))]
        if needed <= {Volume}:
            return [("volume", list(rows))]
        by_volume = {row.entry.prefix for row in rows if row.needs is Volume}
        within = [row for row in rows if _lies_within(row.entry.prefix, by_volume)]
        for row in within:
            if row.needs is Tiered:
                reason = "is tiered below a prefix that is priced by volume: not in one tariff"
                self._report(row.entry, f"{row.entry.prefix} of {row.entry.key} {reason}")
        tiered = [row for row in rows if row.needs is not Volume]
        return [("volume", [row for row in within if row.needs is not Tiered]), ("tiered", tiered)]

    def _report(self, entry: Entry, reason: str) -> None:
        self._source.faults.append(Fault(self._file, 0, entry.path, "prefix", reason))


def _price(entry: Entry, plan: str) -> RateModel:
    """Return what a plan pays; a rate without any price is one that is blocked."""
    priced = entry.prices.get(plan) or entry.prices.get(BASE)
    return Blocked() if priced is None else priced.price


def _written(row: _Row, model: str) -> PriceRow:
    entry, price = row.entry, row.price
    if isinstance(price, Tiered | Volume):
        kind = Volume if model == "volume" else Tiered
        price = kind(steps=price.steps, access=price.access, terms=price.terms)
    return PriceRow(
        entry.prefix, entry.key, price, valid_from_ms=entry.from_ms, valid_to_ms=entry.to_ms
    )


def _lies_within(prefix: str, shorter: Iterable[str]) -> bool:
    """Whether a prefix is one of those, or begins with one of them."""
    return any(prefix[:size] in shorter for size in range(len(prefix) + 1))


def _common_percentage(plan: str, entries: Sequence[Entry]) -> Fraction | None:
    """Return the percentage that a plan pays of every rate, if it is one."""
    found = {entry.percentages.get(plan) for entry in entries}
    return found.pop() if len(found) == 1 else None


def _decimal(percentage: Fraction) -> str:
    text = format(Decimal(percentage.numerator) / Decimal(percentage.denominator), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

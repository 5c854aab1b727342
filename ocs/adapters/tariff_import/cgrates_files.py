"""A folder of CGRateS tariff-plan CSVs, read as it is.

Columns are positional, lines that begin with `#` are comments, lists are separated by `;`.

Every line that cannot be read is reported; references between the tables are looked at when the
plan is compiled. Other files of the folder (accounts, actions, filters) hold no prices and are left
alone. Timings.csv may be missing where a plan knows no times but `*any`.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ocs.adapters.tariff_import.cgrates_plan import (
    ANY,
    Activation,
    DestinationRate,
    PlanRates,
    Profile,
    RateSlot,
    TariffPlan,
    Timing,
)
from ocs.domain.money import parse_decimal
from ocs.usecases.price_lists import Fault

_COLUMNS: Final = {
    "Destinations.csv": ("Id", "Prefix"),
    "Timings.csv": ("Tag", "Years", "Months", "MonthDays", "WeekDays", "Time"),
    "Rates.csv": ("Id", "ConnectFee", "Rate", "RateUnit", "RateIncrement", "GroupIntervalStart"),
    "DestinationRates.csv": (
        "Id",
        "DestinationId",
        "RatesTag",
        "RoundingMethod",
        "RoundingDecimals",
        "MaxCost",
        "MaxCostStrategy",
    ),
    "RatingPlans.csv": ("Id", "DestinationRatesId", "TimingTag", "Weight"),
    "RatingProfiles.csv": (
        "Tenant",
        "Category",
        "Subject",
        "ActivationTime",
        "RatingPlanId",
        "RatesFallbackSubject",
    ),
}
_MAY_BE_MISSING: Final = "Timings.csv"
_LIST: Final = ";"
_LONGEST_COUNT: Final = 9


class _CellError(ValueError):
    """A cell that cannot be read."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class _Row:
    """A line of a table: its cells by the name of their column."""

    __slots__ = ("_cells", "line")

    def __init__(self, line: int, cells: dict[str, str]) -> None:
        self.line = line
        self._cells = cells

    def text(self, column: str, default: str = "") -> str:
        return self._cells[column] or default

    def required(self, column: str) -> str:
        if not self._cells[column]:
            raise _CellError(column, "is empty")
        return self._cells[column]

    def items(self, column: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in self._cells[column].split(_LIST) if item.strip())

    def count(self, column: str) -> int:
        text = self.text(column, "0")
        if not (text.isdecimal() and text.isascii() and len(text) <= _LONGEST_COUNT):
            raise _CellError(column, f"{text[:40]!r} is not a whole number")
        return int(text)

    def counts(self, column: str) -> tuple[int, ...]:
        """Return a list of numbers; any of them is the empty list."""
        items = self.items(column)
        if items in {(), (ANY,)}:
            return ()
        for item in items:
            if not (item.isdecimal() and item.isascii() and len(item) <= _LONGEST_COUNT):
                raise _CellError(column, f"{item[:40]!r} is not a whole number")
        return tuple(int(item) for item in items)

    def weight(self, column: str) -> float:
        text = self.text(column, "0")
        try:
            return float(parse_decimal(text))
        except ValueError as error:
            raise _CellError(column, f"{text[:40]!r} is not a number") from error


class _Tables:
    """The plan on its way: rows are added table by table, faults are kept."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.destinations: dict[str, list[str]] = {}
        self.timings: dict[str, Timing] = {}
        self.rates: dict[str, list[RateSlot]] = {}
        self.destination_rates: dict[str, list[DestinationRate]] = {}
        self.rating_plans: dict[str, list[PlanRates]] = {}
        self.activations: dict[tuple[str, str, str], list[Activation]] = {}

    def add_destination(self, row: _Row) -> None:
        row.required("Prefix")
        self.destinations.setdefault(row.required("Id"), []).extend(row.items("Prefix"))

    def add_timing(self, row: _Row) -> None:
        tag = row.required("Tag")
        if tag in self.timings:
            raise _CellError("Tag", f"{tag!r} is already defined in line {self.timings[tag].line}")
        start, _, end = row.text("Time").partition(_LIST)
        self.timings[tag] = Timing(
            years=row.counts("Years"),
            months=row.counts("Months"),
            month_days=row.counts("MonthDays"),
            week_days=row.counts("WeekDays"),
            start=start.strip(),
            end=end.strip() or None,
            line=row.line,
        )

    def add_rate(self, row: _Row) -> None:
        slot = RateSlot(
            connect_fee=row.text("ConnectFee", "0"),
            rate=row.text("Rate", "0"),
            rate_unit=row.text("RateUnit", "1s"),
            rate_increment=row.text("RateIncrement", "1s"),
            group_interval_start=row.text("GroupIntervalStart", "0s"),
            line=row.line,
        )
        self.rates.setdefault(row.required("Id"), []).append(slot)

    def add_destination_rate(self, row: _Row) -> None:
        rate = DestinationRate(
            destination=row.required("DestinationId"),
            rate=row.required("RatesTag"),
            rounding_method=row.text("RoundingMethod"),
            rounding_decimals=row.count("RoundingDecimals"),
            max_cost=row.text("MaxCost", "0"),
            max_cost_strategy=row.text("MaxCostStrategy"),
            line=row.line,
        )
        self.destination_rates.setdefault(row.required("Id"), []).append(rate)

    def add_plan_rates(self, row: _Row) -> None:
        rates = PlanRates(
            destination_rates=row.required("DestinationRatesId"),
            timing=row.text("TimingTag", ANY),
            weight=row.weight("Weight"),
            line=row.line,
        )
        self.rating_plans.setdefault(row.required("Id"), []).append(rates)

    def add_profile(self, row: _Row) -> None:
        subject = row.required("Tenant"), row.required("Category"), row.required("Subject")
        activation = Activation(
            time=row.text("ActivationTime"),
            plan=row.required("RatingPlanId"),
            fallback_subjects=row.items("RatesFallbackSubject"),
            line=row.line,
        )
        self.activations.setdefault(subject, []).append(activation)

    def plan(self) -> TariffPlan:
        return TariffPlan(
            destinations={key: tuple(rows) for key, rows in self.destinations.items()},
            timings=self.timings,
            rates={key: tuple(rows) for key, rows in self.rates.items()},
            destination_rates={key: tuple(rows) for key, rows in self.destination_rates.items()},
            rating_plans={key: tuple(rows) for key, rows in self.rating_plans.items()},
            rating_profiles=tuple(
                Profile(*subject, activations=tuple(rows))
                for subject, rows in self.activations.items()
            ),
        )


def read_folder(folder: Path) -> tuple[TariffPlan, list[Fault]]:
    """Read the six tables; what could be read, and every line that could not."""
    tables = _Tables()
    add: dict[str, Callable[[_Row], None]] = {
        "Destinations.csv": tables.add_destination,
        "Timings.csv": tables.add_timing,
        "Rates.csv": tables.add_rate,
        "DestinationRates.csv": tables.add_destination_rate,
        "RatingPlans.csv": tables.add_plan_rates,
        "RatingProfiles.csv": tables.add_profile,
    }
    for file, adder in add.items():
        for row in _rows(folder, file, tables.faults):
            try:
                adder(row)
            except _CellError as error:
                tables.faults.append(Fault(file, row.line, "", error.column, str(error)))
    return tables.plan(), tables.faults


def _rows(folder: Path, file: str, faults: list[Fault]) -> Iterator[_Row]:
    columns = _COLUMNS[file]
    try:
        text = (folder / file).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        if file != _MAY_BE_MISSING:
            faults.append(Fault(file, 0, "", "", "there is no such file in the folder"))
        return
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(file, 0, "", "", f"cannot be read: {error}"))
        return
    lines = ("" if line.startswith("#") else line for line in text.splitlines())
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(columns):
                reason = f"has {len(cells)} columns instead of {len(columns)}: {', '.join(columns)}"
                faults.append(Fault(file, reader.line_num, "", "", reason))
                continue
            named = zip(columns, (cell.strip() for cell in cells), strict=True)
            yield _Row(reader.line_num, dict(named))
    except csv.Error as error:
        faults.append(Fault(file, reader.line_num, "", "", f"is not CSV: {error}"))

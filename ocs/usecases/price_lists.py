"""A price list before it is text: what an importer makes and an export takes apart.

Importers (CGRateS, BillRun, PortSIP) say what a tariff file holds, not how one is spelled: that
stands in `adapters/tariff_files`, once. So a change of the grammar is made in one place, and what
an importer wrote is read back by the same reader as a list that somebody typed.

Rejected: importers that build compiled tariffs. What is imported must be a file that people can
read, compare and edit; a price that only a program can see is not believed.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from ocs.domain.rates import RateModel
from ocs.domain.timing import Timing

_LONGEST_NAME: Final = 64
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9_.]+")
_EDGES: Final = "-._"


class Fault(msgspec.Struct, frozen=True, order=True):
    """What is wrong with an input file: `line` (0: none) or `path` inside of JSON say where."""

    file: str
    line: int
    path: str
    column: str
    reason: str


class PriceRow(msgspec.Struct, frozen=True):
    """What one destination costs, in any rate model. `prefix` "" is the catch-all.

    `timing` names one of the list's; "" is whenever no other row of the prefix holds. Dates are
    milliseconds since 1970, of the clocks of the tenant where the list says `wall_dates`.
    """

    prefix: str
    destination: str
    price: RateModel
    timing: str = ""
    from_prefix: str = ""
    trunk: str = ""
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None


class PriceList(msgspec.Struct, frozen=True):
    """One tariff file: what holds for all of it, named timings, and its rows of one rate model.

    `zone` "" is the tenant's. Where `gaps` are allowed a prefix may have no price at some times.
    """

    name: str
    currency: str
    usage_type: str
    model: str
    rows: tuple[PriceRow, ...]
    timings: Mapping[str, tuple[Timing, ...]] = {}
    zone: str = ""
    gaps: bool = False
    wall_dates: bool = False
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    comments: tuple[str, ...] = ()


class PlanTariffName(msgspec.Struct, frozen=True):
    """A tariff as a plan names it; `percent` of its prices is charged, as a decimal."""

    name: str
    percent: str = "100"


class ImportedPlan(msgspec.Struct, frozen=True):
    """A plan for the configuration. `tenant` is "" where the source knows none."""

    name: str
    tariffs: tuple[PlanTariffName, ...]
    tenant: str = ""


class Imported(msgspec.Struct, frozen=True):
    """What an importer made. With any fault nothing of it is to be used.

    `profiles` answers for the source's own names (CGRateS: tenant, category, subject) which tariffs
    rate them, in order.
    """

    lists: tuple[PriceList, ...] = ()
    plans: tuple[ImportedPlan, ...] = ()
    profiles: Mapping[tuple[str, str, str], tuple[str, ...]] = {}
    warnings: tuple[Fault, ...] = ()
    faults: tuple[Fault, ...] = ()


def name_of(text: str, taken: Collection[str] = ()) -> str:
    """Make a tariff's or plan's name of what a source calls it; another one where it is taken."""
    name = _NOT_IN_A_NAME.sub("-", text.lower()).strip(_EDGES)[:_LONGEST_NAME].strip(_EDGES)
    name = name or "unnamed"
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        ending = f"-{number}"
        candidate = name[: _LONGEST_NAME - len(ending)] + ending
    return candidate

"""`ocs tariff import`: tariffs of another system become a folder of ours, whole or not at all.

What was translated is written to a folder beside the one that is wanted, read back by the loader
that will serve it, and only then moved into place. So a fault in the source, a full disk or a kill
leaves nothing behind that looks like an import.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_files import load_folder
from ocs.adapters.tariff_files.writing import text_of
from ocs.adapters.tariff_import import billrun, cgrates, portsip
from ocs.adapters.tariff_import.cgrates_files import read_folder
from ocs.domain.money import currency
from ocs.usecases.price_lists import Fault, Imported, ImportedPlan, PlanTariffName, PriceList

PLANS_FILE: Final = "plans.toml"
"""Beside the tariffs; the loader reads *.csv only."""

_FOLDER_MODE: Final = 0o755


class CannotImport(Exception):
    """What prevents an import before its source is looked at."""


class Order(msgspec.Struct, frozen=True):
    """What to import: by which system, into which folder, in which currency, in force from when.

    `at_ms` None keeps what was in force before as well. `tenant` "" is all of them; `usage_types`
    are by the source's own names.
    """

    source: Path
    out: Path
    currency: str
    at_ms: int | None = None
    tenant: str = ""
    zone: str = ""
    usage_types: Mapping[str, str] = {}


class WrittenTariff(msgspec.Struct, frozen=True):
    """A tariff that was imported."""

    name: str
    usage_type: str
    model: str
    rows: int


class ImportReport(msgspec.Struct, frozen=True):
    """What came of an import; with faults nothing was written."""

    folder: str
    tariffs: tuple[WrittenTariff, ...]
    plans: tuple[ImportedPlan, ...]
    warnings: tuple[Fault, ...]
    faults: tuple[Fault, ...]

    @property
    def is_written(self) -> bool:
        """Whether the folder is there now."""
        return not self.faults


def import_tariffs(system: str, order: Order) -> ImportReport:
    """Translate, prove and write; CannotImport where that cannot even begin."""
    try:
        currency(order.currency)
    except ValueError as error:
        raise CannotImport(str(error)) from None
    if order.out.exists() and (not order.out.is_dir() or any(order.out.iterdir())):
        raise CannotImport(f"{order.out} is there already, and not an empty folder")
    imported = SYSTEMS[system](order)
    faults = imported.faults or _write(imported, order.out)
    return ImportReport(
        folder=str(order.out),
        tariffs=tuple(_written(each) for each in imported.lists) if not faults else (),
        plans=imported.plans if not faults else (),
        warnings=imported.warnings,
        faults=tuple(faults),
    )


def plans_text(plans: Sequence[ImportedPlan]) -> str:
    """Spell plans as the configuration has them."""
    lines = ["# Plans of the import: [[plans]] of the configuration, to be put there."]
    for plan in plans:
        tenant = f"  # of tenant {' '.join(plan.tenant.split())}" if plan.tenant else ""
        tariffs = ", ".join(_toml(tariff) for tariff in plan.tariffs)
        lines += ["", f"[[plans]]{tenant}", f'name = "{plan.name}"', f"tariffs = [{tariffs}]"]
    return "".join(f"{line}\n" for line in lines)


def _write(imported: Imported, out: Path) -> list[Fault]:
    """Write all of it and read it back; what the loader refuses is returned, and nothing stays."""
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.absolute().parent))
    except OSError as error:
        raise CannotImport(f"{out} cannot be written: {error.strerror}") from None
    try:
        for price_list in imported.lists:
            (made / f"{price_list.name}.csv").write_text(text_of(price_list), encoding="utf-8")
        (made / PLANS_FILE).write_text(plans_text(imported.plans), encoding="utf-8")
        loaded = load_folder(made)
        if isinstance(loaded, list):
            return [Fault(bad.file, bad.line, "", bad.column, bad.reason) for bad in loaded]
        made.chmod(_FOLDER_MODE)
        made.replace(out)
    except OSError as error:
        raise CannotImport(f"{out} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return []


def _written(price_list: PriceList) -> WrittenTariff:
    return WrittenTariff(
        price_list.name, price_list.usage_type, price_list.model, len(price_list.rows)
    )


def _toml(tariff: PlanTariffName) -> str:
    if tariff.percent == "100":
        return f'"{tariff.name}"'
    return f'{{ name = "{tariff.name}", percent = {tariff.percent} }}'


def _import_cgrates(order: Order) -> Imported:
    if not order.source.is_dir():
        raise CannotImport(f"{order.source} is not a folder of CGRateS tariff-plan files")
    plan, faults = read_folder(order.source)
    if order.tenant:
        profiles = tuple(each for each in plan.rating_profiles if each.tenant == order.tenant)
        plan = msgspec.structs.replace(plan, rating_profiles=profiles)
    if order.at_ms is not None:
        plan = cgrates.current(plan, order.at_ms)
    if not plan.rating_profiles and not faults:
        tenant = f" of tenant {order.tenant}" if order.tenant else ""
        faults.append(Fault("RatingProfiles.csv", 0, "", "", f"has no profile{tenant}"))
    imported = cgrates.compile_plan(
        plan, order.currency, zone=order.zone, usage_types=order.usage_types
    )
    found = tuple(sorted({*faults, *imported.faults}))
    return msgspec.structs.replace(imported, faults=found)


def _import_billrun(order: Order) -> Imported:
    return billrun.import_rates(
        order.source, order.currency, usage_types=order.usage_types, at_ms=order.at_ms
    )


def _import_portsip(order: Order) -> Imported:
    return portsip.import_rates(order.source, order.currency)


SYSTEMS: Final[dict[str, Callable[[Order], Imported]]] = {
    "cgrates": _import_cgrates,
    "billrun": _import_billrun,
    "portsip": _import_portsip,
}
"""What can be imported, by the name of the system that it comes from."""

"""`ocs check`: what a start reads, read without starting, and all that is wrong with it.

Each area is checked as far as those before it allow: without a usable configuration nothing else is
known, and tariffs with a bad line leave nothing to hold the plans against.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from ocs.adapters.tariff_files import check_folder
from ocs.bootstrap.seeds import bad_seed_lines, cleaner, seed_files
from ocs.bootstrap.stores import CannotStart
from ocs.config.reader import ConfigurationError, read_settings
from ocs.config.settings import Settings
from ocs.config.sources import read_sources
from ocs.domain.generation import TariffMeta
from ocs.entrypoints.return_codes import ReturnCodesError, load_return_codes, return_codes_path
from ocs.usecases.seed_files import read_accounts, read_subscribers


class Finding(Struct, frozen=True):
    """One fault; `line` 0 and `column` "" where there is none to name."""

    area: str
    file: str
    line: int
    column: str
    reason: str


class Report(Struct, frozen=True):
    """What was checked, and what was found; `tariffs` is empty when they cannot be loaded.

    `warnings` are what is probably not meant; a start does not mind them.
    """

    configuration: str
    good: bool
    checked: tuple[str, ...]
    findings: tuple[Finding, ...]
    tariffs: tuple[TariffMeta, ...] = ()
    warnings: tuple[Finding, ...] = ()


def check_all(configuration: Path, tariffs: Path | None = None) -> Report:
    """Check everything; `tariffs` is another folder than the configured one, before it is used."""
    try:
        settings = read_settings(configuration, os.environ)
    except ConfigurationError as error:
        findings = tuple(
            Finding("configuration", problem.file, problem.line, problem.key, problem.reason)
            for problem in error.problems
        )
        return Report(str(configuration), good=False, checked=("configuration",), findings=findings)
    found = [*_return_codes(settings), *_sources(settings), *_provisioning(settings)]
    plans = [plan.plan() for plan in settings.plans]
    checked = check_folder(tariffs or Path(settings.rating.tariffs), plans, warn=True)
    found += [
        Finding("tariffs", line.file, line.line, line.column, line.reason)
        for line in checked.bad_lines
    ]
    areas = ["configuration", "return codes", "sources", "tariffs", "provisioning"]
    if not checked.bad_lines:
        areas.append("plans")
        found += [_of_plans(settings, fault) for fault in checked.plan_faults]
        found += _currencies(settings, checked.tariffs)
    return Report(
        str(configuration),
        good=not found,
        checked=tuple(areas),
        findings=tuple(found),
        tariffs=checked.tariffs,
        warnings=tuple(_of_plans(settings, warning) for warning in checked.plan_warnings),
    )


def return_codes_file(settings: Settings) -> Path:
    named = settings.server.return_codes
    return Path(named) if named else return_codes_path()


def _return_codes(settings: Settings) -> Iterator[Finding]:
    path = return_codes_file(settings)
    try:
        load_return_codes(path)
    except ReturnCodesError as error:
        for problem in error.problems:
            reason = problem.removeprefix(f"{path}: ")
            yield Finding("return codes", path.name, 0, "", reason)


def _sources(settings: Settings) -> Iterator[Finding]:
    try:
        read_sources(settings)
    except ConfigurationError as error:
        for problem in error.problems:
            name = Path(problem.file).name
            yield Finding("sources", name, problem.line, problem.key, problem.reason)


def _provisioning(settings: Settings) -> Iterator[Finding]:
    try:
        for line in bad_seed_lines(settings):
            yield Finding("provisioning", line.file, line.line, line.column, line.reason)
    except CannotStart as error:
        yield Finding("provisioning", settings.file, 0, "", str(error))


def _currencies(settings: Settings, tariffs: Iterable[TariffMeta]) -> Iterator[Finding]:
    """A subscriber whose account is in another currency than its plan could never be charged."""
    try:
        accounts_file, subscribers_file = seed_files(settings)
    except CannotStart:
        return
    accounts, _ = read_accounts(accounts_file)
    plans = {plan.name: plan.plan_tariffs() for plan in settings.plans}
    subscribers, _ = read_subscribers(subscribers_file, plans, cleaner(settings))
    currency_of = {line.terms.account: line.terms.currency for line in accounts}
    priced_in = {tariff.name: tariff.currency for tariff in tariffs}
    for line in subscribers:
        paid_in = currency_of.get(line.account)
        if paid_in is None:
            continue
        for tariff in plans[line.plan]:
            currency = priced_in.get(tariff.name, paid_in)
            if currency != paid_in:
                reason = (
                    f"plan {line.plan} has tariff {tariff.name} in {currency}, "
                    f"the account is {paid_in}"
                )
                yield Finding("plans", subscribers_file.name, line.line, "plan", reason)


def _of_plans(settings: Settings, fault: str) -> Finding:
    return Finding("plans", settings.file, 0, "plans", fault)

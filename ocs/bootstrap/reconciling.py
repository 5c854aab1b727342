"""Reconciliation put together: the journal's records, rated CDRs, and the tariffs.

The journal is read from its reels into tables that go away again, or from tables that `ocs audit
export` has written. Reels are read from the one on that has the beginning of the period: a day of a
long journal costs what that day is.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final

from msgspec import Struct

from ocs.adapters.reels.reading import Journal, open_journal
from ocs.adapters.textfile import Figure, write_figures
from ocs.adapters.valkey.journal import posted
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.offline import BadOptionError
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import CannotStart, journal_directory
from ocs.config.settings import Settings
from ocs.domain.money import currency
from ocs.domain.zones import zone_named
from ocs.usecases.journal import NOWHERE, EntryId, Posted
from ocs.usecases.reconciliation import DIFFERENCES, Period, Reconciled, Tolerance

_MOST_BEHIND: Final = timedelta(days=1)
"""By which days of a tenant may be away from those of UTC."""


class ReconcileJob(Struct, frozen=True, kw_only=True):
    """What is compared. `tables`: those of an export, instead of the reels of this machine.

    `tenant`: only this one's calls. `out`: the file for all differences; `most`: so many are told.
    """

    rated: Path
    tables: Path | None = None
    tenant: str = ""
    period: Period = Period()
    tolerance: Tolerance = Tolerance()
    out: Path | None = None
    most: int = 20


def reconciled(settings: Settings, job: ReconcileJob) -> Reconciled:
    """Compare. Raises `CannotStart`, `BadOptionError` and `ReelFault`."""
    with offline_extra():
        from ocs.adapters.columns import ColumnRater  # noqa: PLC0415
        from ocs.adapters.columns.reconciling import Terms, reconcile  # noqa: PLC0415
        from ocs.adapters.columns.sides import SideError  # noqa: PLC0415
    known = [each.name for each in settings.tenants]
    if job.tenant and job.tenant not in known:
        raise BadOptionError(f"--tenant: there is no {job.tenant!r}; known: {', '.join(known)}")
    zones = {each.name: zone_named(each.zone) for each in settings.tenants}
    plans = {plan.name: plan.plan() for plan in settings.plans}
    terms = Terms(
        period=job.period,
        tolerance=job.tolerance,
        zones=zones,
        tenant=job.tenant,
        most=job.most,
    )
    with ExitStack() as stack:
        rater = ColumnRater(stack.enter_context(opened_tariffs(settings)), plans, zones)
        try:
            tables = job.tables or _tables_of_reels(settings, job.period, stack)
            return reconcile(
                tables, job.rated, terms, lambda cdrs: rater.rate(cdrs)["amount"], job.out
            )
        except SideError as error:
            raise CannotStart(str(error)) from None
        except OSError as error:
            raise CannotStart(f"{error.filename or job.rated}: {error.strerror or error}") from None


def write_metrics(path: Path, found: Reconciled) -> None:
    """Tell what was found, for a node exporter's textfile collector. Raises `OSError`."""
    calls: dict[tuple[str, str], float] = {}
    apart: dict[tuple[str, str], float] = {}
    for day in found.days:
        words: Mapping[str, int] = {**dict.fromkeys(DIFFERENCES, 0), **day.found}
        for word, count in words.items():
            calls[day.tenant, word] = calls.get((day.tenant, word), 0.0) + count
        for money in day.money:
            whole = (money.cdrs - money.online) / currency(money.currency).units_a_whole
            key = day.tenant, money.currency
            apart[key] = apart.get(key, 0.0) + whole
    write_figures(
        path,
        [
            Figure(
                "ocs_reconcile_calls",
                "gauge",
                "Calls of the days that were compared, by what was found of them.",
                [({"tenant": name, "found": word}, n) for (name, word), n in calls.items()],
            ),
            Figure(
                "ocs_reconcile_difference_amount",
                "gauge",
                "What CDRs come to above what was charged online, in whole currency.",
                [({"tenant": name, "currency": code}, n) for (name, code), n in apart.items()],
            ),
        ],
    )


def _tables_of_reels(settings: Settings, period: Period, stack: ExitStack) -> Path:
    """Write what was charged, by the reels of this machine, into a folder for the time being."""
    from ocs.adapters.columns.journal_tables import export_calls  # noqa: PLC0415

    journal = open_journal(journal_directory(settings))
    if journal is None:
        raise CannotStart(f"there is no journal in {journal_directory(settings)}")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocs-reconcile-")))
    since = _since(period)
    for partition in sorted(journal.heads.partitions):
        export_calls(folder, partition, _posted(journal, partition, since))
    return folder


def _since(period: Period) -> EntryId:
    """Return where in a partition the period begins, with all that may belong to it."""
    if period.first is None:
        return NOWHERE
    begin = datetime.combine(period.first, time(), UTC)
    begin -= timedelta(days=period.reach_days) + _MOST_BEHIND
    return int(begin.timestamp() * 1_000), 0


def _posted(journal: Journal, partition: int, since: EntryId) -> Iterator[Posted]:
    return (posted(partition, raw) for raw in journal.history(partition, since))

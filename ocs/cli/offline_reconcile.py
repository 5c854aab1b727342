"""`ocs offline reconcile`: what was charged online, held against rated CDRs."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from ocs.bootstrap.audit import ReelFault
from ocs.bootstrap.offline import BadOptionError
from ocs.bootstrap.reconciling import ReconcileJob, reconciled, write_metrics
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import show_json, show_table
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings
from ocs.domain.money import currency, format_money, parse_decimal
from ocs.usecases.reconciliation import (
    DIFFERENCES,
    Day,
    Difference,
    Money,
    Period,
    Reconciled,
    Tolerance,
    Verdict,
)

_NOTHING: Final = "-"
_ALWAYS: Final = (Verdict.AGREED, Verdict.OPEN, Verdict.BY_CDR, Verdict.NOTHING)
"""Have a column even where there are none."""

JournalOption = Annotated[
    Path | None,
    typer.Option(help="The folder that `ocs audit export --to` wrote; else the reels are read."),
]
OnlyOption = Annotated[str, typer.Option(help="Only this tenant's calls.")]
FromOption = Annotated[
    str, typer.Option("--from", help="The first day, such as 2026-11-20; all unless named.")
]
ToOption = Annotated[str, typer.Option("--to", help="The last day.")]
ReachOption = Annotated[
    int,
    typer.Option(min=1, max=366, help="Days before and after that are looked at for other halves."),
]
SecondsOption = Annotated[int, typer.Option(min=0, help="Tolerated for each CDR of a call.")]
UnitsOption = Annotated[int, typer.Option(min=0, help="Tolerated bytes, messages, events.")]
AmountOption = Annotated[str, typer.Option(help="Tolerated money, such as 0.01 in any currency.")]
OutOption = Annotated[Path | None, typer.Option(help="A Parquet file for all differences.")]
MostOption = Annotated[int, typer.Option(min=0, help="So many differences are shown.")]
MetricsOption = Annotated[
    Path | None, typer.Option(help="Prometheus figures, for a textfile collector.")
]


def reconcile(
    *,
    rated: Annotated[Path, typer.Option(help="The folder that `ocs offline run --out` wrote.")],
    journal: JournalOption = None,
    tenant: OnlyOption = "",
    first: FromOption = "",
    last: ToOption = "",
    reach_days: ReachOption = Period().reach_days,
    seconds: SecondsOption = Tolerance().seconds,
    units: UnitsOption = Tolerance().other_units,
    amount: AmountOption = Tolerance().amount,
    out: OutOption = None,
    most: MostOption = 20,
    metrics_file: MetricsOption = None,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what was charged online with rated CDRs; exit 1 if there are differences."""
    job = ReconcileJob(
        rated=rated,
        tables=journal,
        tenant=tenant,
        period=_period(first, last, reach_days),
        tolerance=Tolerance(seconds=seconds, other_units=units, amount=_decimal(amount)),
        out=out,
        most=most,
    )
    found = _found(settings_of(config, directory), job, metrics_file)
    if as_json:
        show_json(found)
    else:
        _show(found, out)
    if found.differences:
        raise typer.Exit(1)


def _found(settings: Settings, job: ReconcileJob, metrics_file: Path | None) -> Reconciled:
    """Do the job; end the command with what stands in its way."""
    try:
        found = reconciled(settings, job)
        if metrics_file is not None:
            write_metrics(metrics_file, found)
    except BadOptionError as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    except (CannotStart, ReelFault) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error.filename or metrics_file}: {error.strerror}") from None
    return found


def _period(first: str, last: str, reach_days: int) -> Period:
    period = Period(first=_day("--from", first), last=_day("--to", last), reach_days=reach_days)
    if period.first and period.last and period.first > period.last:
        raise fail(f"--from {first} is after --to {last}", ASKED_WRONGLY)
    return period


def _day(option: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise fail(f"{option}: {text!r} is no day such as 2026-11-20", ASKED_WRONGLY) from None


def _decimal(text: str) -> str:
    try:
        is_good = parse_decimal(text) >= 0
    except ValueError as error:
        raise fail(f"--amount: {error}", ASKED_WRONGLY) from None
    if not is_good:
        raise fail(f"--amount: {text} is below zero", ASKED_WRONGLY)
    return text


def _show(found: Reconciled, out: Path | None) -> None:
    if found.days:
        show_table(_days(found.days))
    if any(day.money for day in found.days):
        show_table(_money(found.days))
    if found.first:
        show_table(_differences(found.first))
    typer.echo(f"{found.calls:,} calls, {found.differences:,} differences", nl=False)
    hidden = found.differences - len(found.first)
    typer.echo(f"; {hidden:,} of them not shown" if hidden else "")
    if out is not None:
        typer.echo(f"all differences are in {out}")


def _days(days: Sequence[Day]) -> Table:
    """Show what was found, day by day; a column for whatever occurs."""
    words = [
        word for word in Verdict if word in _ALWAYS or any(day.found.get(word) for day in days)
    ]
    in_order = sorted(words, key=lambda word: word in DIFFERENCES)
    table = Table("tenant", "day", box=None, pad_edge=False)
    for name in ("calls", *in_order, "duplicates"):
        table.add_column(name, justify="right")
    for day in days:
        counts = (day.calls, *(day.found.get(word, 0) for word in in_order), day.duplicates)
        table.add_row(day.tenant, day.day.isoformat(), *(f"{count:,}" for count in counts))
    return table


def _money(days: Sequence[Day]) -> Table:
    table = Table("tenant", "day", "currency", box=None, pad_edge=False)
    for name in ("charged online", "by CDRs", "apart"):
        table.add_column(name, justify="right")
    for day in days:
        for money in day.money:
            place = (day.tenant, day.day.isoformat(), money.currency)
            table.add_row(*place, *_amounts(money))
    return table


def _amounts(money: Money) -> tuple[str, ...]:
    amounts = (money.online, money.cdrs, money.cdrs - money.online)
    return tuple(format_money(each, currency(money.currency)) for each in amounts)


def _differences(first: Sequence[Difference]) -> Table:
    table = Table("difference", "tenant", "began", "session", box=None, pad_edge=False)
    names = ("online", "charged", "account", "CDR", "costs", "account", "where")
    for name in names:
        table.add_column(name, justify="right" if name in names[:2] + names[3:5] else "left")
    for each in first:
        begun_ms = each.online_begun_ms if each.cdr_begun_ms is None else each.cdr_begun_ms
        table.add_row(
            each.verdict,
            each.tenant,
            _moment(begun_ms or 0),
            each.session_id,
            _told(each.online_units),
            _cost(each.online_amount, each.online_currency),
            each.online_account or _NOTHING,
            _told(each.cdr_units),
            _cost(each.cdr_amount, each.cdr_currency),
            each.cdr_account or _NOTHING,
            _NOTHING if each.cdr_file is None else f"{each.cdr_file}:{each.cdr_line}",
        )
    return table


def _told(count: int | None) -> str:
    return _NOTHING if count is None else f"{count:,}"


def _cost(amount: int | None, code: str | None) -> str:
    if amount is None:
        return _NOTHING
    return f"{format_money(amount, currency(code))} {code}" if code else f"{amount}"


def _moment(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1_000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

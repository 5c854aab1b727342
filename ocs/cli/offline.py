"""`ocs offline`: CDRs that are finished, rated from files into files, and what they come to."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ocs.adapters.clock import monotonic_s
from ocs.bootstrap.offline import (
    BadOptionError,
    OfflineJob,
    OfflineWork,
    opened_work,
    write_metrics,
    write_summary,
)
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import StoreOption, TenantOption, show_json, show_table
from ocs.cli.offline_report import report
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings
from ocs.domain.money import currency, format_money
from ocs.usecases.offline_rating import Fate, Money
from ocs.usecases.offline_summary import RunSummary, Tally, rate_files
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.settling_cdrs import Settled

METRICS_EVERY_S: Final = 5.0

app = typer.Typer(no_args_is_help=True, help="Finished CDRs: rate them, report on them.")

app.command()(report)

_Moved = Callable[[Tally, int], None]
"""(what was done so far, bytes of all files that were read) -> it is shown."""


InOption = Annotated[
    list[Path], typer.Option("--in", help="A file, or a folder with all below it.")
]
FormatOption = Annotated[
    str, typer.Option("--format", help="Of all files; detected unless named (docs/cdr.md).")
]
SubscribersOption = Annotated[
    Path | None,
    typer.Option(help="A CSV of identity,account,plan, instead of the store's subscribers."),
]
ZoneOption = Annotated[str, typer.Option(help="Of local times; the tenant's unless named.")]
SwitchOption = Annotated[str, typer.Option(help="Put before ids that one switch made.")]
SecondsOption = Annotated[str, typer.Option(help="Milliseconds go up, half_up or down.")]
ColumnsOption = Annotated[
    str, typer.Option(help="Names of all columns, with commas, where no header has them.")
]
FieldOption = Annotated[
    list[str] | None, typer.Option(help="A column of the CDR from the switch's: name=column.")
]
ExtraColumnOption = Annotated[str, typer.Option(help="Asterisk: uniqueid or userfield.")]
TemplateOption = Annotated[str, typer.Option(help="FreeSWITCH: the template's name.")]
PlainOption = Annotated[
    bool, typer.Option("--plain-values", help="FreeSWITCH: values are not URL-encoded.")
]
DebitOption = Annotated[
    bool, typer.Option(help="Debit the accounts that CDRs settle; or only rate and record.")
]
MetricsOption = Annotated[
    Path | None, typer.Option(help="Prometheus figures, for a textfile collector.")
]


@app.command()
def run(
    *,
    inputs: InOption,
    out: Annotated[Path, typer.Option(help="The folder for rated CDRs and rejects.")],
    form: FormatOption = "",
    tenant: TenantOption = "",
    subscribers: SubscribersOption = None,
    zone: ZoneOption = "",
    switch: SwitchOption = "",
    seconds: SecondsOption = "",
    columns: ColumnsOption = "",
    field: FieldOption = None,
    extra_column: ExtraColumnOption = "",
    template: TemplateOption = "",
    plain_values: PlainOption = False,
    debit: DebitOption = True,
    metrics_file: MetricsOption = None,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Rate files of CDRs into Parquet by tenant and day; do again only what is not done."""
    settings = settings_of(config, directory)
    if store:
        named = msgspec.structs.replace(settings.store, url=store)
        settings = msgspec.structs.replace(settings, store=named)
    told: dict[str, Any] = {
        "zone": zone,
        "switch": switch,
        "seconds": seconds,
        "columns": [name.strip() for name in columns.split(",") if name.strip()],
        "fields": _fields(field or []),
        "extra_column": extra_column,
        "template": template,
    }
    reading = {name: value for name, value in told.items() if value}
    job = OfflineJob(
        inputs=tuple(inputs),
        out=out,
        tenant=tenant or settings.charging.default_tenant,
        format_name=form,
        reading={**reading, "encoded_values": not plain_values},
        subscribers=subscribers,
        debit=debit,
    )
    _run(settings, job, metrics_file, as_json=as_json)


def _run(settings: Settings, job: OfflineJob, metrics_file: Path | None, *, as_json: bool) -> None:
    """Do the job; end the command with what stands in its way, or with what was rejected."""
    logging.getLogger("ocs").addHandler(logging.NullHandler())  # the command's end tells it
    try:
        with opened_work(settings, job) as work:
            summary = _rated(work, metrics_file)
        kept = write_summary(job.out, summary)
    except BadOptionError as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    except (CannotStart, LedgerUnavailable) as error:
        raise fail(
            f"{error}; what is written stays, and the same command goes on from it"
        ) from None
    except OSError as error:
        raise fail(f"{error.filename or job.out}: {error.strerror or error}") from None
    if as_json:
        show_json(summary)
    else:
        _show(summary, kept)
    if summary.unread or summary.rejected or Settled.REJECTED in summary.settled:
        raise typer.Exit(1)


def _fields(named: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in named]
    wrong = [name for name, sign, column in pairs if not (name and sign and column)]
    if wrong:
        raise fail(f"--field: expected name=column, not {wrong[0]!r}", ASKED_WRONGLY)
    return {name: column for name, _, column in pairs}


def _rated(work: OfflineWork, metrics_file: Path | None) -> RunSummary:
    """Rate all files, and show how far it is."""
    began_s = monotonic_s()
    total = sum(file.size for file in work.files)
    with _shown(total) as show:
        moved = show if metrics_file is None else _metered(metrics_file, total, show)
        for read in rate_files(work.files, work.rater, work.output, work.tally):
            moved(work.tally, read)
        if metrics_file is not None:
            write_metrics(metrics_file, work.tally, 0)
    return work.tally.summary(monotonic_s() - began_s)


@contextmanager
def _shown(total: int) -> Iterator[_Moved]:
    """Give what moves the bar: on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rating", total=total)

        def show(tally: Tally, read: int) -> None:
            about = f"{tally.rated_now:,} rated, {tally.rejected_now:,} rejected"
            bar.update(task, completed=read, description=about)

        yield show


def _metered(path: Path, total: int, show: _Moved) -> _Moved:
    """Write the figures now and then, as the bar moves."""
    due_s = monotonic_s()

    def moved(tally: Tally, read: int) -> None:
        nonlocal due_s
        show(tally, read)
        if monotonic_s() >= due_s:
            write_metrics(path, tally, total - read)
            due_s = monotonic_s() + METRICS_EVERY_S

    return moved


def _show(summary: RunSummary, kept: Path) -> None:
    per_second = summary.rated_now / summary.seconds if summary.seconds else 0.0
    typer.echo(
        f"{summary.rated_now:,} CDRs rated in {summary.seconds:.1f} s: {per_second:,.0f} a second;"
        f" {summary.rated - summary.rated_now:,} were done before"
    )
    chunks = summary.chunks
    typer.echo(
        f"{summary.files} files, {sum(chunks.values())} chunks ({chunks[Fate.ELSEWHERE]} left to"
        f" another run), {summary.entries:,} entries: {summary.used:,} used,"
        f" {summary.skipped:,} skipped"
    )
    if summary.money:
        show_table(_money_table(summary.money, "amount"))
    if summary.debited:
        show_table(_money_table(summary.debited, "debited"))
    for each in summary.overrun:
        below = format_money(each.amount, currency(each.currency))
        typer.echo(f"of that {below} {each.currency} of {each.tenant} below the accounts' floors")
    if summary.settled:
        show_table(_counts_table("settled", "CDRs", summary.settled))
    if summary.rejected:
        show_table(_counts_table("rejected", "entries", summary.rejected))
    for unread in summary.unread:
        typer.echo(f"not read: {unread.file}: {unread.reason}", err=True)
    typer.echo(f"kept in {kept}")


def _counts_table(head: str, counted: str, counts: Mapping[str, int]) -> Table:
    table = Table(head, counted, box=None, pad_edge=False)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table


def _money_table(money: Sequence[Money], head: str) -> Table:
    table = Table("tenant", "currency", "CDRs", head, box=None, pad_edge=False)
    for each in money:
        amount = format_money(each.amount, currency(each.currency)) if each.currency else "none"
        table.add_row(each.tenant, each.currency or "-", f"{each.cdrs:,}", amount)
    return table

"""`ocs offline run`: CDRs that are finished, rated from files into files."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

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

from ocs.adapters.clock import monotonic_s
from ocs.bootstrap.engine import opened_on_ray
from ocs.bootstrap.intake_files import opened_intake
from ocs.bootstrap.offline import OfflineJob, Rating, opened_work, write_metrics, write_summary
from ocs.cli.office import StoreOption, TenantOption, show_json
from ocs.cli.offline_options import (
    ColumnsOption,
    DebitOption,
    ExtraColumnOption,
    FieldOption,
    FormatOption,
    MetricsOption,
    PlainOption,
    ReadingOptions,
    SecondsOption,
    SubscribersOption,
    SwitchOption,
    TemplateOption,
    ZoneOption,
)
from ocs.cli.offline_shown import METRICS_EVERY_S, is_lacking, show_summary, told
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings
from ocs.usecases.offline_summary import RunSummary, Tally

_Moved = Callable[[Tally, int], None]
"""(what was done so far, bytes of all files that were read) -> it is shown."""


InOption = Annotated[
    list[Path] | None, typer.Option("--in", help="A file, or a folder with all below it.")
]
IntakeOption = Annotated[
    bool, typer.Option("--intake", help="What was posted to /cdr; it is put away when it is rated.")
]


class Engine(StrEnum):
    """Where files are rated."""

    HERE = "here"
    RAY = "ray"


EngineOption = Annotated[
    Engine, typer.Option(help="Rate in this process, or on a cluster (docs/offline-scale.md).")
]


def run(
    *,
    inputs: InOption = None,
    intake: IntakeOption = False,
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
    engine: EngineOption = Engine.HERE,
    metrics_file: MetricsOption = None,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Rate files of CDRs into Parquet by tenant and day; do again only what is not done."""
    settings = settings_of(config, directory, store)
    reading = ReadingOptions(
        zone=zone,
        switch=switch,
        seconds=seconds,
        columns=columns,
        field=field,
        extra_column=extra_column,
        template=template,
        plain_values=plain_values,
    )
    job = OfflineJob(
        inputs=tuple(inputs or ()),
        out=out,
        tenant=tenant or settings.charging.default_tenant,
        format_name=form,
        reading=reading.named(),
        subscribers=subscribers,
        debit=debit,
    )
    _run(_opened(settings, job, engine, intake=intake), job, metrics_file, as_json=as_json)


def _opened(
    settings: Settings, job: OfflineJob, engine: Engine, *, intake: bool
) -> AbstractContextManager[Rating]:
    if not (job.inputs or intake):
        raise fail("name a file or a folder with --in, or --intake", ASKED_WRONGLY)
    if intake and engine is not Engine.HERE:
        raise fail("--intake is read here only, so it goes without --engine", ASKED_WRONGLY)
    if engine is Engine.RAY:
        return opened_on_ray(settings, job)
    return opened_intake(settings, job) if intake else opened_work(settings, job)


def _run(
    opened: AbstractContextManager[Rating],
    job: OfflineJob,
    metrics_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Do the job; end the command with what stands in its way, or with what was rejected."""
    with told(job.out, "what is written"):
        with opened as work:
            summary = _rated(work, metrics_file)
        kept = write_summary(job.out, summary)
    if as_json:
        show_json(summary)
    else:
        show_summary(summary, kept)
    if is_lacking(summary):
        raise typer.Exit(1)


def _rated(work: Rating, metrics_file: Path | None) -> RunSummary:
    """Rate all files, and show how far it is."""
    began_s = monotonic_s()
    total = work.size
    with _shown(total) as show:
        moved = show if metrics_file is None else _metered(metrics_file, total, show)
        for read in work.steps():
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

"""`ocs offline share`, `work` and `shares`: one gives files out, many rate them, all can look."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from ocs.adapters.clock import monotonic_s
from ocs.bootstrap.offline import OfflineJob, write_metrics, write_summary
from ocs.bootstrap.sharing import (
    QUEUE,
    Queue,
    WorkJob,
    backlog_figures,
    opened_worker,
    shareable_files,
)
from ocs.cli.office import StoreOption, TenantOption, show_json, show_table
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
from ocs.cli.options import ConfigOption, DirectoryOption, JsonOption, settings_of
from ocs.usecases.sharing_work import Given, SetAside, Share, UnderWay, Worker, give_out

LOOK_EVERY_S: Final = 0.5
"""A worker that finds nothing to take looks again."""

_STAYS: Final = "what is done"

QueueOption = Annotated[str, typer.Option("--queue", help="One for each output.")]


def share(
    *,
    inputs: Annotated[
        list[Path], typer.Option("--in", help="A file, or a folder, where all workers see it.")
    ],
    queue: QueueOption = QUEUE,
    form: FormatOption = "",
    tenant: TenantOption = "",
    zone: ZoneOption = "",
    switch: SwitchOption = "",
    seconds: SecondsOption = "",
    columns: ColumnsOption = "",
    field: FieldOption = None,
    extra_column: ExtraColumnOption = "",
    template: TemplateOption = "",
    plain_values: PlainOption = False,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give pieces of files out to workers; what was given out before is left out."""
    settings, given = settings_of(config, directory, store), Given()
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
        inputs=tuple(inputs),
        out=Path(),
        tenant=tenant or settings.charging.default_tenant,
        format_name=form,
        reading=reading.named(),
    )
    with told(Path(), _STAYS), Queue(settings, queue).opened() as opened:
        for _ in give_out(shareable_files(settings, job, given.add_unread), opened, given):
            pass
    if as_json:
        show_json(given)
    else:
        typer.echo(f"{given.files:,} files, {given.shares:,} shares, {given.added:,} of them new")
    for unread in given.unread:
        typer.echo(f"not read: {unread.file}: {unread.reason}", err=True)
    if given.unread:
        raise typer.Exit(1)


def work(
    *,
    out: Annotated[Path, typer.Option(help="The folder of all workers, where they all see it.")],
    queue: QueueOption = QUEUE,
    wait: Annotated[
        bool, typer.Option("--wait", help="For more, when all is done; ends by SIGTERM.")
    ] = False,
    subscribers: SubscribersOption = None,
    debit: DebitOption = True,
    metrics_file: MetricsOption = None,
    lease: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a silent worker is taken for dead.")
    ] = 60.0,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take shares and rate them, until all are done; any number of these at once, anywhere."""
    settings = settings_of(config, directory, store)
    job = WorkJob(
        out=out,
        queue=queue,
        subscribers=subscribers,
        debit=debit,
        lease_ms=int(lease * 1_000),
    )
    began_s, ending = monotonic_s(), threading.Event()
    with (
        told(out, _STAYS),
        _ended_by(ending),
        opened_worker(settings, job, ending.is_set) as (worker, at),
    ):
        _work(worker, at, ending, _metered(metrics_file, worker, at), wait=wait)
        aside = at.backlog().aside
        summary = worker.tally.summary(monotonic_s() - began_s)
        kept = write_summary(out, summary)
    if as_json:
        show_json(summary)
    else:
        show_summary(summary, kept)
    if aside:
        typer.echo(f"{aside:,} shares are set aside: ocs offline shares", err=True)
    if aside or is_lacking(summary):
        raise typer.Exit(1)


def shares(
    *,
    queue: QueueOption = QUEUE,
    again: Annotated[
        bool, typer.Option("--again", help="Give out again what was set aside.")
    ] = False,
    drop: Annotated[
        bool, typer.Option("--drop", help="Forget what was set aside; it may be shared anew.")
    ] = False,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what is left to do, who is at it, and what was set aside with the reason."""
    settings = settings_of(config, directory, store)
    with told(Path(), _STAYS), Queue(settings, queue).opened() as opened:
        put_back = opened.again() if again else 0
        dropped = opened.drop() if drop else 0
        way, backlog = opened.way(), opened.backlog()
        under_way, aside = opened.under_way(), opened.aside()
    if as_json:
        show_json({"way": way, "backlog": backlog, "under_way": under_way, "aside": aside})
        return
    if again:
        typer.echo(f"{put_back:,} shares are given out again")
    if drop:
        typer.echo(f"{dropped:,} shares are forgotten")
    typer.echo(
        f"{backlog.waiting:,} waiting, {backlog.under_way:,} under way, {backlog.aside:,} set aside"
    )
    if way:
        typer.echo(f"the queue is worked with --{way}")
    if under_way:
        show_table(_under_way_table(under_way))
    if aside:
        show_table(_aside_table(aside))


def _work(
    worker: Worker, queue: Queue, ending: threading.Event, moved: Callable[[], None], *, wait: bool
) -> None:
    """Do what there is; others' shares are waited for, since they may die over them."""
    for held in worker.work():
        moved()
        if held is not None:
            continue
        if not wait and queue.backlog().is_empty:
            break
        ending.wait(LOOK_EVERY_S)


def _metered(path: Path | None, worker: Worker, queue: Queue) -> Callable[[], None]:
    """Write the figures now and then; without a path there are none."""
    due_s = monotonic_s()

    def moved() -> None:
        nonlocal due_s
        if path is not None and monotonic_s() >= due_s:
            write_metrics(path, worker.tally, 0, backlog_figures(queue.backlog()))
            due_s = monotonic_s() + METRICS_EVERY_S

    return moved


@contextmanager
def _ended_by(ending: threading.Event) -> Iterator[None]:
    """Have signals end the work after what is in hand."""

    def end(*_: object) -> None:
        ending.set()

    former = [(each, signal.signal(each, end)) for each in (signal.SIGTERM, signal.SIGINT)]
    try:
        yield
    finally:
        for number, handler in former:
            signal.signal(number, handler)


def _under_way_table(under_way: list[UnderWay]) -> Table:
    table = Table("share", "of", "worker", "quiet", "attempt", box=None, pad_edge=False)
    for each in under_way:
        quiet = f"{each.quiet_ms / 1_000:.1f} s"
        table.add_row(*_place(each.share), each.worker, quiet, str(each.attempt))
    return table


def _aside_table(aside: list[SetAside]) -> Table:
    table = Table("share", "of", "set aside, because", box=None, pad_edge=False)
    for each in aside:
        table.add_row(*_place(each.share), each.reason)
    return table


def _place(share: Share) -> tuple[str, str]:
    piece = share.piece
    return share.name, f"{share.file}:{piece.first_line}" if piece else share.file

"""`ocs offline parked`: what could not be charged online, rated and settled."""

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from ocs.bootstrap.parked import Moved, ParkedJob, settle_parked, write_parked_metrics
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import StoreOption, show_json, show_table
from ocs.cli.offline_options import MetricsOption
from ocs.cli.offline_shown import counts_table, money_table
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
from ocs.domain.results import ResultCode
from ocs.usecases.journal import ReelFault
from ocs.usecases.parked import TakenOver
from ocs.usecases.parked_summary import ParkedSummary, ParkedTally, Waits
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown

_MS: Final = 1_000
_NOT_DROPPED: Final = (Waits.OPEN, Waits.LATER)
_GO_BY_THEMSELVES: Final = (*_NOT_DROPPED, Waits.AHEAD)
_DROPPABLE: Final = tuple(
    sorted(
        {code.value for code in ResultCode}
        & {"UNKNOWN_SUBSCRIBER", "NO_RATE", "RATE_BLOCKED", "RATING_FAILED"}
        | {reason.value for reason in Waits if reason not in _NOT_DROPPED}
    )
)


def parked(
    *,
    out: Annotated[Path, typer.Option(help="The folder for what was settled: rows and rejects.")],
    quiet: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seconds for which nothing must have come of a use; as long as the ledger"
            " remembers sessions and events, unless said.",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Give up what waits for this reason; may be there several times."),
    ] = None,
    drop_after: Annotated[
        int, typer.Option(min=0, help="Days for which it must have waited to be given up.")
    ] = 30,
    new_output: Annotated[
        bool, typer.Option("--new-output", help="Move on to another folder than before.")
    ] = False,
    metrics_file: MetricsOption = None,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Settle what could not be charged online: the streams unrated, late and emergency."""
    settings = settings_of(config, directory, store)
    wrong = [reason for reason in drop or () if reason not in _DROPPABLE]
    if wrong:
        known = ", ".join(_DROPPABLE)
        raise fail(f"--drop: {wrong[0]!r} is none of {known}", ASKED_WRONGLY)
    job = ParkedJob(
        out=out,
        quiet_s=quiet,
        moves=new_output,
        drop=tuple(drop or ()),
        drop_after_days=drop_after,
    )
    summary = _settled(settings, job)
    if metrics_file is not None:
        write_parked_metrics(metrics_file, summary)
    if as_json:
        show_json(summary)
    else:
        _show(summary)
    if any(waiting.reason not in _GO_BY_THEMSELVES for waiting in summary.waiting):
        raise typer.Exit(1)


def _settled(settings: Settings, job: ParkedJob) -> ParkedSummary:
    """Do the job, or end the command with what stands in its way."""
    logging.getLogger("ocs").addHandler(logging.NullHandler())  # the command's end tells it
    try:
        return asyncio.run(settle_parked(settings, job, _moved()))
    except TakenOver:
        raise fail("another run has begun and goes on from here") from None
    except (CannotStart, LedgerUnavailable, OutcomeUnknown, ReelFault) as error:
        raise fail(
            f"{error}; what is settled stays so, and the same command goes on from it"
        ) from None
    except OSError as error:
        raise fail(f"{error.filename or job.out}: {error.strerror or error}") from None


def _moved() -> Moved:
    """Tell how far it is, on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda _: None

    def moved(tally: ParkedTally) -> None:
        console.print(f"{tally.events.total():,} events settled", end="\r")

    return moved


def _show(summary: ParkedSummary) -> None:
    settled = sum(summary.events.values())
    typer.echo(f"{settled:,} parked events settled in {summary.seconds:.1f} s")
    if summary.finished:
        typer.echo(f"{summary.finished:,} settlements were left under way and are finished")
    if summary.events:
        show_table(counts_table("became", "events", summary.events))
    if summary.rows:
        show_table(counts_table("settled", "rows", summary.rows))
    if summary.debited:
        show_table(money_table(summary.debited, "debited"))
    for each in summary.overrun:
        below = format_money(each.amount, currency(each.currency))
        typer.echo(f"of that {below} {each.currency} of {each.tenant} below the accounts' floors")
    if summary.waiting:
        table = Table("parked still", "because", "events", "since", box=None, pad_edge=False)
        for waiting in summary.waiting:
            since = datetime.fromtimestamp(waiting.since_ms / _MS, UTC)
            told = since.strftime("%Y-%m-%d %H:%M:%S UTC")
            table.add_row(waiting.stream, waiting.reason, f"{waiting.events:,}", told)
        show_table(table)

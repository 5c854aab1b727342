"""`ocs replay`: a recorded stream against a running service, and what came of it.

The work is done in `usecases/replaying`; here are the options, the progress, and the report.
"""

import asyncio
import gzip
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ocs.adapters.clock import monotonic_s, wall_ms
from ocs.cli.office import show_json, show_table
from ocs.cli.options import ASKED_WRONGLY, JsonOption, fail
from ocs.entrypoints.http.client import HttpClient
from ocs.usecases.recording import Recorded, RecordingError, read_recording
from ocs.usecases.replay_tally import ReplayReport
from ocs.usecases.replaying import Pace, Replayer, ReplayOptions

SUFFIX_BYTES: Final = 4
"""Two replays into one store take each other's sessions once in four thousand million times."""
BAR_REFRESH_S: Final = 0.1
LINE_REFRESH_S: Final = 5.0
"""Where there is no terminal, a log wants a sign of life rather than a bar."""
INTERRUPTED: Final = 130
GIVE_UP_S: Final = 60.0

_GZIP: Final = b"\x1f\x8b"


class Job(Struct, frozen=True, kw_only=True):
    """What is sent where, and how."""

    url: str
    options: ReplayOptions
    connections: int = 16
    token: str = ""
    timeout_s: float = 10.0


def replay(
    file: Annotated[Path, typer.Argument(help="One JSON object a line: offset_s, event; or .gz.")],
    *,
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8080",
    speed: Annotated[float, typer.Option(min=0.001, help="Times the recorded pace.")] = 1.0,
    rate: Annotated[float, typer.Option(min=0.0, help="Events a second, instead of it.")] = 0.0,
    connections: Annotated[int, typer.Option(min=1, help="Kept open, at the most.")] = 16,
    token: Annotated[str, typer.Option(envvar="OCS_TOKEN", help="A bearer token.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first events.")] = None,
    duplicate: Annotated[bool, typer.Option(help="Send each event twice at once.")] = False,
    retry: Annotated[
        bool, typer.Option(help="Send again, with its number, what got 503 or no answer.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Replay a recording as new sessions of now; report rates, latencies, grants and money."""
    recording = recording_of(file, limit)
    options = ReplayOptions(
        suffix=secrets.token_hex(SUFFIX_BYTES),
        pace=Pace(speed=speed, rate=rate),
        copies=2 if duplicate else 1,
        give_up_s=GIVE_UP_S if retry else 0.0,
    )
    job = Job(url=url, options=options, connections=connections, token=token)
    report = replayed(job, recording)
    if as_json:
        show_json(report)
    else:
        show_report(report)
    if not report.clean:
        raise fail("not every event was answered, or copies differ")


def recording_of(file: Path, limit: int | None = None) -> list[Recorded]:
    """Read a recording, packed or plain, or end the command."""
    try:
        with file.open("rb") as plain:
            packed = plain.read(len(_GZIP)) == _GZIP
            plain.seek(0)
            return read_recording(gzip.GzipFile(fileobj=plain) if packed else plain, limit)
    except (OSError, EOFError) as error:
        raise fail(f"{file} cannot be read: {error}", ASKED_WRONGLY) from None
    except RecordingError as error:
        raise fail(f"{file}: {error}", ASKED_WRONGLY) from None


def replayed(job: Job, recording: Sequence[Recorded]) -> ReplayReport:
    """Send everything; on Ctrl-C show what came of it so far and end the command."""
    try:
        client = HttpClient(
            job.url, connections=job.connections, token=job.token, timeout_s=job.timeout_s
        )
    except ValueError as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    replayer = Replayer(client, job.options, clock_s=monotonic_s, wall_ms=wall_ms())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_send(client, replayer, recording))
    except KeyboardInterrupt:
        show_report(replayer.tally.report(replayer.elapsed_s))
        raise typer.Exit(INTERRUPTED) from None
    return replayer.tally.report(replayer.elapsed_s)


async def _send(client: HttpClient, replayer: Replayer, recording: Sequence[Recorded]) -> None:
    async with client:
        shown = asyncio.create_task(_show_progress(lambda: replayer.tally.done, len(recording)))
        try:
            await replayer.run(recording)
        finally:
            shown.cancel()
            with suppress(asyncio.CancelledError):
                await shown


async def _show_progress(done: Callable[[], int], total: int) -> None:
    if not sys.stderr.isatty():
        while True:
            await asyncio.sleep(LINE_REFRESH_S)
            typer.echo(f"{done()} of {total} events", err=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("replaying", total=total)
        try:
            while True:
                bar.update(task, completed=done())
                await asyncio.sleep(BAR_REFRESH_S)
        finally:
            bar.update(task, completed=done())


def show_report(report: ReplayReport) -> None:
    """Print a report for people."""
    latency = report.latency
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "events",
        f"{report.answered} of {report.events} answered in {report.duration_s:.1f} s:"
        f" {report.events_per_s:.0f} a second",
    )
    table.add_row(
        "latency",
        f"p50 {latency.p50_ms:.2f}  p90 {latency.p90_ms:.2f}  p99 {latency.p99_ms:.2f}"
        f"  p99.9 {latency.p99_9_ms:.2f}  max {latency.max_ms:.2f} ms, from the scheduled time",
    )
    table.add_row("answers", "  ".join(f"{name} {n}" for name, n in report.return_codes.items()))
    table.add_row("grants", f"{report.grants}, {report.granted_units} units")
    table.add_row("refusals", str(report.refusals))
    table.add_row("used", f"{report.used_units} units")
    moved = "  ".join(f"{amount} {currency}" for currency, amount in report.settled.items())
    table.add_row("money moved", moved or "none")
    table.add_row("repeats", f"{report.idempotency_hits} answered again, {report.retries} retries")
    if report.copies_that_differ:
        table.add_row("copies", Text(f"{report.copies_that_differ} differ", "red"))
    show_table(table)

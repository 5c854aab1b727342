"""`ocs demo`: the whole service, on its own, in a quarter of a minute.

A fresh directory, a free port, the sample configuration, eight thousand recorded events of real
calls at ten times their speed, and then the question that matters: are the books right?

The service and `ocs verify` are processes of their own, started as anybody would start them. They
get no OCS_ variable of the caller's environment: a demonstration must never meet somebody's store.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct

import ocs
from ocs.adapters.clock import monotonic_s
from ocs.bootstrap.processes import python_command, python_environment
from ocs.cli.office import show_json
from ocs.cli.options import ASKED_WRONGLY, JsonOption, fail
from ocs.cli.replay import Job, recording_of, replayed, show_report
from ocs.config.location import shipped_configuration
from ocs.usecases.recording import Recorded
from ocs.usecases.replay_tally import ReplayReport
from ocs.usecases.replaying import Pace, ReplayOptions

RECORDING: Final = Path(ocs.__file__).parents[1] / "tests/data/kamailio-events.ndjson.gz"
START_PATIENCE_S: Final = 60.0
STOP_PATIENCE_S: Final = 30.0
POLL_S: Final = 0.05

_SERVES: Final = "ocs serves "
_PATH: Final = "/realtime"
_LAST_LINES: Final = 20


class Outcome(Struct, frozen=True, kw_only=True):
    """What a demonstration showed."""

    replay: ReplayReport
    books_are_right: bool
    stopped_cleanly: bool

    @property
    def good(self) -> bool:
        return self.replay.clean and self.books_are_right and self.stopped_cleanly


def demo(
    *,
    recording: Annotated[Path, typer.Option(help="Another recording.")] = RECORDING,
    speed: Annotated[float, typer.Option(min=0.001, help="Times the recorded pace.")] = 10.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first events.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Serve, replay a recording, report, verify the books, stop; exit 0 only if all is right."""
    if not recording.exists():
        reason = f"{recording} is not there; it comes with the source tree, not with the package"
        raise fail(reason, ASKED_WRONGLY)
    events = recording_of(recording, limit)
    with tempfile.TemporaryDirectory(prefix="ocs-demo-") as folder:
        outcome = _demonstrate(Path(folder), events, speed, as_json=as_json)
    if as_json:
        show_json(outcome)
    if not outcome.good:
        raise fail("the demonstration failed")
    typer.echo("all is well", err=as_json)


def _demonstrate(
    folder: Path, events: Sequence[Recorded], speed: float, *, as_json: bool
) -> Outcome:
    typer.echo(f"starting ocs in {folder} ...", err=as_json)
    with served(folder) as (url, service):
        typer.echo(f"replaying {len(events)} events to {url} at {speed:g} times speed", err=as_json)
        options = ReplayOptions(suffix="demo", pace=Pace(speed=speed))
        report = replayed(Job(url=url, options=options), events)
        if not as_json:
            show_report(report)
        verifying = _command("verify", folder, output=subprocess.DEVNULL if as_json else None)
        books_are_right = verifying.wait() == 0
        still_there = service.poll() is None
    return Outcome(
        replay=report,
        books_are_right=books_are_right,
        stopped_cleanly=still_there and service.returncode == 0,
    )


def _command(verb: str, folder: Path, *arguments: str, output: int | None = None) -> "_Process":
    """Start a command of `ocs` on the sample configuration."""
    environment = {
        name: value for name, value in python_environment().items() if not name.startswith("OCS_")
    }
    return subprocess.Popen(
        python_command(
            "ocs", verb, "--config", str(shipped_configuration()), "--dir", str(folder), *arguments
        ),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )


_Process = subprocess.Popen[bytes]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, _Process]]:
    """Run the service; give its URL. It is stopped, and waited for, whatever happens."""
    log = folder / "serve.log"
    with log.open("wb") as output:
        service = _command("serve", folder, "--port", "0", output=output.fileno())
        try:
            yield _url(service, log), service
        finally:
            _stop(service)


def _url(service: _Process, log: Path) -> str:
    """Wait until the service says where it serves."""
    give_up_s = monotonic_s() + START_PATIENCE_S
    while service.poll() is None and monotonic_s() < give_up_s:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith(_SERVES):
                return line.removeprefix(_SERVES).removesuffix(_PATH)
        time.sleep(POLL_S)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
    raise fail(f"the service did not start:\n{last}")


def _stop(service: _Process) -> None:
    if service.poll() is None:
        os.kill(service.pid, signal.SIGTERM)
    try:
        service.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()

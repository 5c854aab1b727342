"""`ocs replay` and `ocs demo`: the options, the report, the exit codes."""

import asyncio
import gzip
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ocs.cli import replay as replay_command
from ocs.cli.replay import show_report
from ocs.usecases.replay_tally import Exchange, Tally
from tests.cli.terminal import Terminal

LINES = b"".join(
    json.dumps(
        {"offset_s": number / 1000, "event": {"session_id": f"s{number % 3}", "used_units": 1}}
    ).encode()
    + b"\n"
    for number in range(9)
)


@contextmanager
def service(status: int, answer: dict[str, object]) -> Iterator[tuple[str, list[bytes]]]:
    """Answers every event alike."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            written = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bodies
        finally:
            server.shutdown()
            thread.join()


OK = {"return_name": "OK", "granted_units": 5, "cost": {"settled": "0.02", "currency": "EUR"}}


@pytest.mark.parametrize("packed", [False, True])
def test_a_replay_reports_what_it_saw(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "recording"
    file.write_bytes(gzip.compress(LINES) if packed else LINES)
    with service(200, OK) as (url, bodies):
        report = Terminal().json("replay", str(file), "--url", url, "--connections", "2")
    assert (report["events"], report["answered"], report["grants"]) == (9, 9, 9)
    assert (report["used_units"], report["settled"]) == (9, {"EUR": "0.18"})
    sessions = {json.loads(body)["session_id"] for body in bodies}
    assert len(sessions) == 3
    assert not sessions & {"s0", "s1", "s2"}, "a second replay meets other sessions"


def test_limit_rate_and_duplicate(tmp_path: Path) -> None:
    file = tmp_path / "recording"
    file.write_bytes(LINES)
    with service(200, OK) as (url, bodies):
        order = ["replay", str(file), "--url", url, "--limit", "4", "--rate", "1000", "--duplicate"]
        printed = Terminal().run(*order)
    assert len(bodies) == 8
    assert "4 of 4 answered" in printed
    assert "0.08 EUR" in printed


def test_what_was_not_answered_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "recording"
    file.write_bytes(LINES)
    with service(503, {"return_name": "TOO_BUSY"}) as (url, _):
        report = Terminal().json("replay", str(file), "--url", url, "--no-retry", expect=1)
    assert report["return_codes"] == {"TOO_BUSY": 9}
    # Nobody listens there any more.
    report = Terminal().json("replay", str(file), "--url", url, "--no-retry", expect=1)
    assert (report["answered"], report["unanswered"]) == (0, 9)


@pytest.mark.parametrize("on_a_terminal", [True, False])
def test_progress_is_a_bar_on_a_terminal_and_a_line_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_a_terminal: bool
) -> None:
    shown = asyncio.Event()

    def done() -> int:
        shown.set()
        return 3

    async def watch() -> None:
        watching = asyncio.create_task(replay_command._show_progress(done, 7))
        await shown.wait()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    monkeypatch.setattr(replay_command, "LINE_REFRESH_S", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_a_terminal)
    asyncio.run(watch())
    assert ("3/7" if on_a_terminal else "3 of 7 events") in capsys.readouterr().err


def test_ctrl_c_shows_what_came_of_it_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "recording"
    file.write_bytes(LINES)
    monkeypatch.setattr(replay_command, "_send", interrupted)
    assert "0 of 0 answered" in Terminal().run("replay", str(file), expect=130)


def test_copies_that_differ_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    tally.answered([Exchange(200, b"{}"), Exchange(200, b"{ }")], 0, 1.0)
    show_report(tally.report(1.0))
    assert "1 differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "url", "reason"),
    [
        (None, "http://h", "cannot be read"),
        (b"\x1f\x8b broken", "http://h", "cannot be read"),
        (b"not json\n", "http://h", "line 1: JSON is malformed"),
        (LINES, "h:80", "expected http://host:port"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    tmp_path: Path, content: bytes | None, url: str, reason: str
) -> None:
    file = tmp_path / "recording"
    if content is not None:
        file.write_bytes(content)
    terminal = Terminal()
    terminal.run("replay", str(file), "--url", url, expect=2)
    assert reason in terminal.stderr


def test_a_demonstration_needs_its_recording(tmp_path: Path) -> None:
    terminal = Terminal()
    terminal.run("demo", "--recording", str(tmp_path / "none"), expect=2)
    assert "comes with the source tree" in terminal.stderr


@pytest.mark.slow
def test_a_demonstration_ends_well(monkeypatch: pytest.MonkeyPatch) -> None:
    # A demonstration never meets the store that somebody has configured.
    monkeypatch.setenv("OCS_STORE_URL", "unix:///nowhere/store.sock")
    printed = Terminal().run("demo", "--limit", "300", "--speed", "20")
    assert "300 of 300 answered" in printed
    assert printed.rstrip().endswith("all is well")


@pytest.mark.slow
def test_a_demonstration_can_be_read_by_machines() -> None:
    outcome = Terminal().json("demo", "--limit", "50", "--speed", "20")
    assert outcome["replay"]["answered"] == 50
    assert outcome["books_are_right"]
    assert outcome["stopped_cleanly"]

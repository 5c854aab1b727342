"""The supervisor with real processes that do nothing but keep the protocol.

`Script` is called once a round of the supervisor's loop and acts when what it waits for is there:
nothing sleeps, and the supervisor runs where it runs in life, in the main thread.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocs.adapters.clock import monotonic_s
from ocs.entrypoints import supervisor as supervising
from ocs.entrypoints.listening import Slot, Sockets, open_sockets, port_of
from ocs.entrypoints.supervisor import Rebuilt, Supervisor

PATIENCE_S = 30.0

# Writes what it hears to the file; `die` ends it at once, `stubborn` outlives SIGTERM.
WORKER = """
import signal, socket, sys
control, file, way = socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3]
if way == "die":
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if way == "stubborn" else lambda *_: sys.exit(0))
lines = control.makefile("rb")
with open(file, "ab", buffering=0) as heard:
    heard.write(lines.readline())
    control.sendall(b"ready\\n")
    for line in lines:
        heard.write(line)
        control.sendall(b"tariffs new-id\\n")
signal.pause() if way == "stubborn" else None
"""


class FakeBuilder:
    def __init__(self, rebuilt: Rebuilt | None) -> None:
        self.rebuilt = rebuilt
        self.stopped = False

    def result(self) -> Rebuilt | None:
        return self.rebuilt

    def stop(self) -> None:
        self.stopped = True


class Script:
    """A `Work` whose rounds are driven by the steps of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ways: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ready_told = 0
        self.journal_watched = 0
        self.builders: list[FakeBuilder] = []
        self.rebuilt: list[Rebuilt | None] = []
        self.path = "first.tariffs"
        self.steps: Iterator[tuple[Callable[[], bool], Callable[[], object]]] = iter(())
        self._step: tuple[Callable[[], bool], Callable[[], object]] | None = None
        self._give_up_at_s = monotonic_s() + PATIENCE_S

    # --- what the supervisor asks for

    def start_worker(self, slot: Slot, control: socket.socket) -> "subprocess.Popen[bytes]":
        way = self.ways.pop(0) if self.ways else "good"
        process = subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-c",
                WORKER,
                str(control.fileno()),
                str(self.folder / str(slot.number)),
                way,
            ],
            pass_fds=[control.fileno()],
            process_group=0,
        )
        self.processes.append(process)
        return process

    def specification(self, slot: Slot) -> bytes:
        return f"slot {slot.number} with {self.path}".encode()

    def start_builder(self) -> FakeBuilder:
        self.builders.append(FakeBuilder(self.rebuilt.pop(0)))
        return self.builders[-1]

    def use_tariffs(self, path: str) -> None:
        self.path = path

    def ready(self) -> None:
        self.ready_told += 1

    def watch_journal(self) -> None:
        self.journal_watched += 1

    def store_trouble(self) -> str:
        if self._step is None:
            self._step = next(self.steps, None)
        if self._step is not None and self._step[0]():
            act, self._step = self._step[1], None
            act()
        return "the test takes too long" if monotonic_s() > self._give_up_at_s else ""

    # --- what a test does and sees

    def heard(self, slot: int = 0) -> list[str]:
        file = self.folder / str(slot)
        return file.read_text(encoding="ascii").splitlines() if file.exists() else []


def us(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    opened = open_sockets(("127.0.0.1", 0), ("127.0.0.1", 0), 2, patience_s=0, sleep=lambda _: None)
    yield opened
    opened.close()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    work = Script(tmp_path)
    yield work
    for process in work.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def run(sockets: Sockets, script: Script, *, drain_s: float = 20.0) -> int:
    return Supervisor(sockets.slots, script, monotonic_s=monotonic_s, drain_s=drain_s).run()


def test_workers_are_told_who_they_are_and_end_with_us(sockets: Sockets, script: Script) -> None:
    script.steps = iter([(lambda: script.ready_told == 1, us(signal.SIGTERM))])
    assert run(sockets, script) == 0
    assert script.heard(0) == ["slot 0 with first.tariffs"]
    assert script.heard(1) == ["slot 1 with first.tariffs"]
    assert [process.returncode for process in script.processes] == [0, 0]
    # Nobody can connect any more: the parent keeps no socket of a drained service.
    assert all(slot.service.fileno() == -1 for slot in sockets.slots)


def test_a_dead_worker_is_started_again_on_the_same_slot(sockets: Sockets, script: Script) -> None:
    ports = [port_of(slot.service) for slot in sockets.slots]

    def kill() -> None:
        script.processes[1].kill()

    def the_socket_is_still_there() -> None:
        assert [port_of(slot.service) for slot in sockets.slots] == ports
        us(signal.SIGINT)()

    script.steps = iter(
        [
            (lambda: script.ready_told == 1, kill),
            (lambda: len(script.heard(1)) == 2, the_socket_is_still_there),
        ]
    )
    assert run(sockets, script) == 0
    assert script.heard(1) == ["slot 1 with first.tariffs"] * 2
    assert len(script.processes) == 3
    assert script.ready_told == 1


def test_a_slot_whose_workers_die_at_once_is_given_up_and_the_other_serves_on(
    sockets: Sockets, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocs.entrypoints.restarts.FIRST_PAUSE_S", 0.001)
    script.ways = ["good", "die", "die", "die", "die", "die", "die"]
    script.steps = iter([(lambda: sockets.slots[1].service.fileno() == -1, us(signal.SIGTERM))])
    assert run(sockets, script) == 0
    assert len(script.processes) == 1 + 5
    assert script.ways == ["die"]


def test_when_no_slot_is_left_it_ends_with_an_error(
    sockets: Sockets,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("ocs.entrypoints.restarts.FIRST_PAUSE_S", 0.001)
    script.ways = ["die"] * 10
    assert run(sockets, script) == 1
    assert len(script.processes) == 10
    assert caplog.text.count("5 quick deaths, not again") == 2


def test_when_the_store_is_given_up_it_drains_and_ends_with_an_error(
    sockets: Sockets, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        script, "store_trouble", lambda: "the store is dead" if script.ready_told else ""
    )
    assert run(sockets, script) == 1
    assert [process.returncode for process in script.processes] == [0, 0]


def test_a_second_signal_ends_what_does_not_end_by_itself(sockets: Sockets, script: Script) -> None:
    script.ways = ["stubborn", "good"]
    script.steps = iter(
        [
            (lambda: script.ready_told == 1, us(signal.SIGTERM)),
            (lambda: script.processes[1].poll() is not None, us(signal.SIGTERM)),
        ]
    )
    assert run(sockets, script) == 1
    assert script.processes[0].returncode == -signal.SIGKILL


def test_the_drain_time_ends_what_does_not_end_by_itself(
    sockets: Sockets, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "AFTER_DRAIN_S", 0.2)
    script.ways = ["stubborn"]
    script.steps = iter([(lambda: script.ready_told == 1, us(signal.SIGTERM))])
    assert run(sockets, script, drain_s=0.0) == 1
    assert script.processes[0].returncode == -signal.SIGKILL


def test_new_tariffs_are_told_to_workers_and_to_their_successors(
    sockets: Sockets, script: Script
) -> None:
    script.rebuilt = [Rebuilt("second.tariffs", "good")]

    def kill() -> None:
        script.processes[0].kill()

    script.steps = iter(
        [
            (lambda: script.ready_told == 1, us(signal.SIGHUP)),
            (
                lambda: all("tariffs second.tariffs" in script.heard(slot) for slot in (0, 1)),
                kill,
            ),
            (lambda: len(script.heard(0)) == 3, us(signal.SIGTERM)),
        ]
    )
    assert run(sockets, script) == 0
    assert script.heard(0) == [
        "slot 0 with first.tariffs",
        "tariffs second.tariffs",
        "slot 0 with second.tariffs",
    ]


def test_bad_tariffs_change_nothing(
    sockets: Sockets, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.rebuilt = [Rebuilt("", "", ("a-z.csv:7: price_1: not a number",))]
    script.steps = iter(
        [
            (lambda: script.ready_told == 1, us(signal.SIGHUP)),
            (lambda: "former ones go on" in caplog.text, us(signal.SIGTERM)),
        ]
    )
    assert run(sockets, script) == 0
    assert script.path == "first.tariffs"
    assert script.heard(0) == ["slot 0 with first.tariffs"]
    assert "a-z.csv:7: price_1: not a number" in caplog.text


def test_a_hang_up_during_a_build_builds_once_more(sockets: Sockets, script: Script) -> None:
    script.rebuilt = [None, Rebuilt("third.tariffs", "good")]

    def finish() -> None:
        script.builders[0].rebuilt = Rebuilt("second.tariffs", "good")

    script.steps = iter(
        [
            (lambda: script.ready_told == 1, us(signal.SIGHUP)),
            (lambda: len(script.builders) == 1, us(signal.SIGHUP)),
            (lambda: True, finish),
            (lambda: "tariffs third.tariffs" in script.heard(1), us(signal.SIGTERM)),
        ]
    )
    assert run(sockets, script) == 0
    assert script.heard(1)[1:] == ["tariffs second.tariffs", "tariffs third.tariffs"]


def test_an_end_during_a_build_ends_the_builder(sockets: Sockets, script: Script) -> None:
    script.rebuilt = [None]
    script.steps = iter(
        [
            (lambda: script.ready_told == 1, us(signal.SIGHUP)),
            (lambda: len(script.builders) == 1, us(signal.SIGTERM)),
        ]
    )
    assert run(sockets, script) == 0
    assert script.builders[0].stopped


def test_the_signals_are_given_back(sockets: Sockets, script: Script) -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    script.steps = iter([(lambda: script.ready_told == 1, us(signal.SIGTERM))])
    run(sockets, script)
    assert [signal.getsignal(number) for number in numbers] == before

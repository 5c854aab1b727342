"""How the parent keeps its drainer, with processes that do nothing but live and die."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from ocs.bootstrap import drainer as module
from ocs.bootstrap.drainer import LONGEST_PAUSE_S, QUICK_S, DrainerProcess
from ocs.config.settings import PlanSettings, Settings, Tenant

SETTINGS = Settings(
    tenants=(Tenant(name="demo"),), plans=(PlanSettings(name="p", tariffs=("a-z",)),)
)
LIVES = "import sys; sys.stdin.read()"
DIES = "raise SystemExit(1)"
STUBBORN = "import signal, sys; sys.stdin.read(); signal.pause()"


class Kept:
    """A keeper, and the program that it starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = LIVES
        self.started = 0
        self.keeper = DrainerProcess(SETTINGS)
        monkeypatch.setattr(module, "python_command", self.command)

    def command(self, name: str) -> list[str]:
        assert name == "ocs.bootstrap.drainer"
        self.started += 1
        return [sys.executable, "-S", "-c", self.program]

    def die(self) -> None:
        process = self.keeper._process
        assert process is not None
        process.wait(30)

    def kill(self) -> None:
        process = self.keeper._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    one = Kept(monkeypatch)
    yield one
    one.keeper.stop()


def test_it_is_started_and_ends_with_its_input(kept: Kept) -> None:
    for now_s in (0.0, 1.0, 2.0):
        kept.keeper.watch(now_s)
    assert kept.started == 1
    kept.keeper.stop()
    kept.keeper.stop()
    assert kept.keeper._process is None


def test_a_dead_one_is_replaced(kept: Kept) -> None:
    kept.keeper.watch(0.0)
    kept.kill()
    kept.keeper.watch(QUICK_S + 1)
    assert kept.started == 1
    kept.keeper.watch(QUICK_S + 1.3)
    assert kept.started == 2


def test_one_that_dies_at_once_is_started_less_and_less_often(kept: Kept) -> None:
    """It is never given up, for nothing depends on it but the room in the store."""
    kept.program = DIES
    now_s, pauses = 0.0, []
    for _ in range(12):
        begun_s, count = now_s, kept.started
        while kept.started == count:
            kept.keeper.watch(now_s)
            now_s += 0.1
        pauses.append(now_s - begun_s)
        kept.die()
    assert pauses[1] < 1
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S, abs=0.5)
    kept.program = LIVES
    kept.keeper.watch(now_s)
    kept.keeper.watch(now_s + LONGEST_PAUSE_S + 1)
    assert kept.started == 13


def test_one_that_does_not_end_is_killed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOP_S", 0.1)
    kept.program = STUBBORN
    kept.keeper.watch(0.0)
    process = kept.keeper._process
    assert process is not None
    kept.keeper.stop()
    assert process.returncode == -signal.SIGKILL

"""Killing runs of commands, wherever they are."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 60.0
"""So long a run may take that nobody kills."""


def kill(run: subprocess.Popen[bytes]) -> bool:
    """Kill -9 all of a run, which has a process group of its own; false: it was over."""
    was_there = run.poll() is None
    if was_there:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(PATIENCE_S)
    return was_there


def times_of(run: subprocess.Popen[bytes], out: Path, status: int) -> tuple[float, float]:
    """Wait for a run: after how many seconds it begins to work into `out`, and is at its end."""
    began_s = time.monotonic()
    while not (out / ".new").exists():
        assert time.monotonic() < began_s + PATIENCE_S, "the run does not begin"
        time.sleep(0.005)
    works_s = time.monotonic()
    assert run.wait(PATIENCE_S) == status
    return works_s - began_s, time.monotonic() - began_s

"""Killing runs of commands, wherever they are.

Wherever is told by what a run has asked the store, not by a clock: on a loud machine the next run
takes half or twice as long, and whoever went by the time would find it over.
"""

import asyncio
import os
import random
import signal
import subprocess
import time
from typing import Final

from ocs.adapters.valkey.embedded import EmbeddedStore
from tests.adapters.store import ask

PATIENCE_S: Final = 60.0
"""So long a run may take that nobody kills."""
LOOKS_EVERY_S: Final = 0.001
AFTER_THAT_S: Final = 0.01
"""In the mean; so a kill falls on what is done between two questions to the store as well."""


def kill(run: subprocess.Popen[bytes]) -> bool:
    """Kill -9 all of a run, which has a process group of its own; false: it was over."""
    was_there = run.poll() is None
    if was_there:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(PATIENCE_S)
    return was_there


class Killer:
    """Kills runs that work on a store, each after it has called so many of its functions."""

    def __init__(self, server: EmbeddedStore, chance: random.Random) -> None:
        self.server, self.chance, self.hits = server, chance, 0

    def measure(self, run: subprocess.Popen[bytes], status: int) -> int:
        """How many functions an undisturbed run calls, which ends with `status`."""
        before = self._calls()
        assert run.wait(PATIENCE_S) == status
        return self._calls() - before

    def kill(self, run: subprocess.Popen[bytes], calls: int) -> None:
        """Kill a run that has just begun after 1 to `calls` calls, and a moment."""
        enough = self._calls() + self.chance.randint(1, calls)
        while run.poll() is None and self._calls() < enough:
            time.sleep(LOOKS_EVERY_S)
        time.sleep(self.chance.expovariate(1 / AFTER_THAT_S))
        self.hits += kill(run)

    def _calls(self) -> int:
        reply = asyncio.run(ask(self.server, "INFO", "commandstats"))
        assert isinstance(reply, bytes)
        for line in reply.decode().splitlines():
            if line.startswith("cmdstat_fcall:"):
                return int(line.partition("calls=")[2].partition(",")[0])
        return 0

"""The journal's drainer: a process of its own beside the workers, and how the parent keeps it.

    parent ── settings (first line of stdin), later the end of it ──► drainer

It packs, hashes and syncs, which would hold up every request of a worker. Its end is the end of its
input, which comes with the parent's death too, however that was; and it may be killed at any time.
It gives way to workers and store where processors are short.

python -m ocs.bootstrap.drainer
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from typing import Final

import msgspec
import uvloop

from ocs.adapters.clock import monotonic_s
from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.valkey.connection import StoreUnavailable
from ocs.adapters.valkey.journal import ValkeyStream, moves_of
from ocs.bootstrap.processes import python_command, python_environment
from ocs.bootstrap.stores import journal_directory, make_connection, store_url
from ocs.config.settings import Settings
from ocs.entrypoints.drainer import DrainLoop, drain_until
from ocs.entrypoints.logs import configure_logs
from ocs.usecases.draining import Drainer, DrainRules

LONGEST_PAUSE_S: Final = 60.0
"""Between two starts of a drainer that dies at once: never given up, for charging goes on."""
QUICK_S: Final = 10.0
CONNECT_PATIENCE_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.2
_STOP_S: Final = 5.0
_NICENESS: Final = 5
_MEBIBYTE: Final = 2**20


class DrainerProcess:
    """The drainer, as the parent keeps it: `watch` now and then, `stop` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._start_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S

    def watch(self, now_s: float) -> None:
        """Start it when it is due."""
        if self._process is not None and self._process.poll() is not None:
            self._bury(now_s)
        if self._process is None and now_s >= self._start_at_s:
            self._started_s = now_s
            self._process = self._start()

    def stop(self) -> None:
        """Let it end its pass."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            python_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=python_environment(),
            process_group=0,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # dead already: it is noticed soon enough
            process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            process.stdin.flush()
        return process

    def _bury(self, now_s: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process = None
        lived_s = now_s - self._started_s
        self._pause_s = (
            _FIRST_PAUSE_S if lived_s > QUICK_S else min(self._pause_s * 2, LONGEST_PAUSE_S)
        )
        self._start_at_s = now_s + self._pause_s


async def drain(settings: Settings, input_descriptor: int) -> None:
    """Drain until the input ends."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)

    def hung_up() -> None:
        loop.remove_reader(input_descriptor)
        ending.set()

    loop.add_reader(input_descriptor, hung_up)  # nothing comes but the end
    journal, partitions = settings.journal, settings.ledger.partitions
    connection = make_connection(settings, store_url(settings), "ocs-drainer")
    limits = ReelLimits(
        reel_bytes=journal.reel_mb * _MEBIBYTE, reel_age_ms=journal.reel_hours * 3_600_000
    )
    folder = ReelFolder(journal_directory(settings), limits, moves_of)
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    drainer = Drainer(
        ValkeyStream(connection, partitions, owner),
        folder,
        DrainRules(
            partitions=partitions,
            keep_ms=journal.keep_s * 1_000,
            checkpoint_ms=journal.checkpoint_s * 1_000,
        ),
        monotonic_s,
    )

    async def connect() -> None:
        connection.start()
        with contextlib.suppress(StoreUnavailable):  # then the first pass says so
            await connection.wait_connected(CONNECT_PATIENCE_S)

    try:
        rhythm = DrainLoop(drainer, partitions=partitions, period_s=journal.period_s)
        await drain_until(ending, rhythm, connect, connection.close)
    finally:
        folder.close()


def _main() -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    configure_logs(settings.logs.level)
    os.nice(_NICENESS)
    uvloop.run(drain(settings, sys.stdin.fileno()))


if __name__ == "__main__":
    _main()

"""What charging an event costs beside moving it over HTTP at all.

A worker of `ocs serve` (embedded store, fsync before every answer, sample tariff) is pinned to one
core; the store, the journal's drainer and the load client go where the kernel puts them, as they do
in service. Sessions of many accounts start, go on and end. The floors are aiohttp that returns the
body it got, on the same loop (uvloop), pinned to the same core:

    echo      an aiohttp Application with one route, as anybody would write it
    server    aiohttp's low-level Server, the least that aiohttp can do: what `ocs` leaves to it
    kept      the echo, which keeps the body in a store of the same kind before it answers, by one
              XADD on one link: what anybody pays who loses nothing that was answered

Before anything counts, the service is warm: its journal's files are there, which it makes within
its first ten seconds (a folder and a file for each of 256 partitions, all synced).

Runs alternate and the median counts. CPU is read from the kernel, per process; on a machine that
does other things besides, the ratio of CPU is steadier than that of events a second.

    python benchmarks/bench_realtime.py [--smoke]
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import uvloop
from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run by path, the script's own folder is there instead

from benchmarks.load_client import Load, post, run_load  # noqa: E402
from ocs.adapters.valkey.connection import Connection  # noqa: E402
from ocs.adapters.valkey.embedded import EmbeddedStore  # noqa: E402

HOST = "127.0.0.1"
PATH = "/realtime"
READY_WITHIN_S = 60
FLOORS = ("echo", "server", "kept")
ARRAY_EVENTS = 100
ARRAY_CONNECTIONS = 4
# The sample accounts with money; those that end in 7 have next to none.
ACCOUNTS = [f"441632960{number:03}" for number in range(1, 401) if number % 10 != 7]
_STORE = re.compile(r"\S*(?:valkey|redis)-server")
# Cheap destinations of the sample tariff: the accounts' money outlasts all runs.
CALLED = ("442071234567", "12045550143", "441619460123")


Answer = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Size:
    sessions: int
    """Of three events each, in one run over all connections."""
    arrays: int
    rounds: int
    warming_s: float
    connections: tuple[int, ...] = (16, 64)


CANONICAL = Size(sessions=9_000, arrays=300, rounds=5, warming_s=10)
SMOKE = Size(sessions=32, arrays=8, rounds=1, warming_s=0)


@dataclass(frozen=True)
class Measure:
    """One run: events a second, and CPU of the server and of the store for each event, in µs."""

    events_per_s: float
    server_us: float
    store_us: float
    client_us: float


class Processes:
    """The processes under measurement; kernel time is read of all their threads."""

    def __init__(self, server: int, store: int | None = None) -> None:
        self.server = server
        self.store = store

    def cpu_ns(self) -> tuple[int, int, int]:
        mine = time.process_time_ns()
        return _cpu_ns(self.server), _cpu_ns(self.store) if self.store else 0, mine


def _cpu_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


# --- Events -------------------------------------------------------------------------------------


class Sessions:
    """Endless sessions of three events, each with ids of its own."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> tuple[bytes, bytes, bytes]:
        self._count += 1
        number = self._count
        common = {
            "session_id": f"{number}-{os.getpid()}@198.51.100.1",
            "usage_type": "voice",
            "subscriber": ACCOUNTS[number % len(ACCOUNTS)],
            "called_number": CALLED[number // len(ACCOUNTS) % len(CALLED)],
            "trunk": "198.51.100.1",
        }
        steps = (("start", 0, 30), ("update", 2, 30), ("release", 1, None))
        start, update, release = (
            json.dumps(
                {"record_type": f"{kind}_request"}
                | common
                | {"request_number": position, "used_units": used}
                | ({} if asked is None else {"requested_units": asked})
                | {"event_time": int(time.time())}
            ).encode()
            for position, (kind, used, asked) in enumerate(steps)
        )
        return start, update, release

    def single(self, count: int, connections: int) -> list[list[bytes]]:
        """Sessions one after another on each connection, an event a request."""
        return [
            [
                post(PATH, event)
                for _ in range(max(count // connections, 1))
                for event in self.next()
            ]
            for _ in range(connections)
        ]

    def arrays(self, count: int, connections: int) -> list[list[bytes]]:
        """Arrays of the starts, then of the updates, then of the releases of many sessions."""
        return [
            [
                post(PATH, b"[" + b",".join(step) + b"]")
                for _ in range(max(count // connections // 3, 1))
                for step in zip(*[self.next() for _ in range(ARRAY_EVENTS)], strict=True)
            ]
            for _ in range(connections)
        ]


# --- Servers ------------------------------------------------------------------------------------


async def _echo(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await request.read(), content_type="application/json")


def _keeping(connection: Connection) -> Answer:
    async def keep(request: web.Request) -> web.Response:
        body = await request.read()
        await connection.execute("XADD", "kept", "*", "e", body)
        return web.Response(body=body, content_type="application/json")

    return keep


async def _serve(kind: str) -> None:
    """Serve a floor until the process is ended."""
    if kind == "kept":
        with tempfile.TemporaryDirectory(prefix="ocs-bench-") as directory:
            store = EmbeddedStore(Path(directory))
            store.start()
            try:
                store.wait_ready(READY_WITHIN_S)
                async with Connection(store.url) as connection:
                    await _answer_with(_application(_keeping(connection)))
            finally:
                store.stop()
    elif kind == "echo":
        await _answer_with(_application(_echo))
    else:
        await _answer_with(web.ServerRunner(web.Server(_echo, access_log=None)))


def _application(answer: Answer) -> web.BaseRunner:
    app = web.Application()
    app.router.add_post(PATH, answer)
    return web.AppRunner(app, access_log=None)


async def _answer_with(runner: web.BaseRunner) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    print(f"{site.name} http://{HOST}:{runner.addresses[0][1]}{PATH}", flush=True)
    await ending.wait()


@contextmanager
def echo_server(kind: str) -> Iterator[tuple[int, Processes]]:
    with _started([sys.executable, __file__, "--serve", kind]) as (process, port):
        stores = [pid for pid, line in _children(process.pid) if _STORE.match(line)]
        _pin(process.pid)
        yield port, Processes(process.pid, *stores)


@contextmanager
def ocs_server() -> Iterator[tuple[int, Processes]]:
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as directory:
        command = [sys.executable, "-m", "ocs", "serve", "--port", "0", "--workers", "1"]
        command += ["--config", str(ROOT / "config" / "ocs.toml"), "--dir", directory]
        with _started([*command, "--operations-port", "0"]) as (process, port):
            children = list(_children(process.pid))
            (worker,) = [pid for pid, line in children if "ocs.bootstrap.worker" in line]
            (store,) = [pid for pid, line in children if _STORE.match(line)]
            _pin(worker)
            yield port, Processes(worker, store)


@contextmanager
def _started(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server until it has told its address, and to the end of the block."""
    # A file: nobody reads a pipe meanwhile, and once it is full a worker that logs stands still.
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield process, _port_told(process, errors)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=READY_WITHIN_S)


def _port_told(process: subprocess.Popen[str], errors: IO[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if told := re.search(rf"http://{re.escape(HOST)}:(\d+){PATH}", line):
            return int(told[1])
    process.wait()
    errors.seek(0)
    raise SystemExit(f"the server did not start:\n{errors.read()}")


def _children(pid: int) -> Iterator[tuple[int, str]]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            yield int(child), command
            yield from _children(int(child))


def _pin(pid: int) -> None:
    """Let a process run on the first processor only."""
    os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})


# --- Runs ---------------------------------------------------------------------------------------


def run(
    port: int, processes: Processes, requests: list[list[bytes]], events_a_request: int = 1
) -> Measure:
    before = processes.cpu_ns()
    load: Load = uvloop.run(run_load(HOST, port, requests))
    spent = [now - then for now, then in zip(processes.cpu_ns(), before, strict=True)]
    events = load.requests * events_a_request
    if load.refused or set(load.statuses) != {200}:
        raise SystemExit(f"not all were granted: {dict(load.statuses)}, refused {load.refused}")
    server_us, store_us, client_us = (ns / 1_000 / events for ns in spent)
    return Measure(events / load.seconds, server_us, store_us, client_us)


def warm_up(
    port: int, processes: Processes, sessions: Sessions, seconds: float, connections: int
) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        run(port, processes, sessions.single(100 * connections, connections))


def median(measures: Sequence[Measure]) -> Measure:
    return Measure(
        *(
            statistics.median(getattr(measure, name) for measure in measures)
            for name in ("events_per_s", "server_us", "store_us", "client_us")
        )
    )


def measure(size: Size) -> None:
    sessions = Sessions()
    with ExitStack() as stack:
        charged = stack.enter_context(ocs_server())
        floors = {name: stack.enter_context(echo_server(name)) for name in FLOORS}
        targets = {"ocs": charged, **floors}
        warm_up(*charged, sessions, size.warming_s, max(size.connections))
        for connections in size.connections:
            found: dict[str, list[Measure]] = {name: [] for name in targets}
            for _ in range(size.rounds):
                for name, (port, processes) in targets.items():
                    requests = sessions.single(size.sessions, connections)
                    found[name].append(run(port, processes, requests))
            _report(connections, {name: median(runs) for name, runs in found.items()})
        _report_arrays(size, charged, floors["echo"], sessions)


def _report(connections: int, of: dict[str, Measure]) -> None:
    ocs = of["ocs"]
    for floor in FLOORS:
        print(
            f"realtime_{connections}_connections_to_{floor}"
            f" {ocs.events_per_s:.0f} events/s {of[floor].events_per_s:.0f} events/s"
            f" {ocs.events_per_s / of[floor].events_per_s:.2f}"
        )
        print(
            f"realtime_worker_cpu_{connections}_connections_to_{floor}"
            f" {ocs.server_us:.1f} us {of[floor].server_us:.1f} us"
            f" {of[floor].server_us / ocs.server_us:.2f}"
        )
    print(f"realtime_store_cpu_{connections}_in_flight {ocs.store_us:.1f} us a charge")
    print(f"realtime_store_cpu_{connections}_in_flight_kept {of['kept'].store_us:.1f} us an event")
    print(f"realtime_client_cpu_{connections}_connections {ocs.client_us:.1f} us a request")


def _report_arrays(
    size: Size,
    charged: tuple[int, Processes],
    echo: tuple[int, Processes],
    sessions: Sessions,
) -> None:
    runs: dict[str, list[Measure]] = {"ocs": [], "echo": []}
    for _ in range(size.rounds):
        for name, (port, processes) in (("ocs", charged), ("echo", echo)):
            requests = sessions.arrays(size.arrays, ARRAY_CONNECTIONS)
            runs[name].append(run(port, processes, requests, ARRAY_EVENTS))
    ocs, floor = median(runs["ocs"]), median(runs["echo"])
    print(
        f"array_of_{ARRAY_EVENTS}_worker_cpu {ocs.server_us:.1f} us an event"
        f" {floor.server_us:.1f} us {ocs.server_us / floor.server_us:.1f}"
    )
    print(f"array_of_{ARRAY_EVENTS}_events_per_s {ocs.events_per_s:.0f}")
    print(f"array_of_{ARRAY_EVENTS}_store_cpu {ocs.store_us:.1f} us a charge")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--serve", choices=FLOORS, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.serve:
        uvloop.run(_serve(options.serve))
        return 0
    measure(SMOKE if options.smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

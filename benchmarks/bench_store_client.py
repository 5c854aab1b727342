"""What a store command costs the client: CPU an operation, against a bare socket.

Tasks each ask for one command at a time over one `Connection`, as requests in flight do. The floor
is a blocking socket that writes the same bytes in batches of the same size and reads the replies
without parsing them: no client can be cheaper. Both measure the CPU of this process only; the
store, in a process of its own, answers an ECHO of the size of a charge's answer.

    python benchmarks/bench_store_client.py [--smoke]
"""

import argparse
import asyncio
import gc
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore, socket_path

PAYLOAD = b"x" * 160


@dataclass(frozen=True)
class Size:
    operations: int
    tasks: int
    rounds: int


CANONICAL = Size(operations=200_000, tasks=256, rounds=5)
SMOKE = Size(operations=2_000, tasks=64, rounds=1)


def cpu_us_per_operation(work: Callable[[], None], size: Size) -> float:
    gc.collect()
    began_s = time.process_time()
    work()
    return (time.process_time() - began_s) * 1e6 / size.operations


def floor(path: Path, size: Size) -> float:
    batch = b"*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n" % (len(PAYLOAD), PAYLOAD) * size.tasks
    answer_bytes = len(b"$%d\r\n%s\r\n" % (len(PAYLOAD), PAYLOAD)) * size.tasks
    buffer = bytearray(max(answer_bytes, 65536))
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))

        def exchange() -> None:
            for _ in range(size.operations // size.tasks):
                link.sendall(batch)
                missing = answer_bytes
                while missing:
                    missing -= link.recv_into(buffer, missing)

        return cpu_us_per_operation(exchange, size)


async def _run_tasks(connection: Connection, size: Size) -> None:
    async def task() -> None:
        for _ in range(size.operations // size.tasks):
            await connection.execute("ECHO", PAYLOAD)

    await asyncio.gather(*[task() for _ in range(size.tasks)])


def client(url: str, size: Size, runner: asyncio.Runner) -> float:
    async def connect() -> Connection:
        connection = Connection(url)
        connection.start()
        await connection.wait_connected(5)
        return connection

    connection = runner.run(connect())
    try:
        return cpu_us_per_operation(lambda: runner.run(_run_tasks(connection, size)), size)
    finally:
        runner.run(connection.close())


def measure(url: str, path: Path, size: Size) -> None:
    for name, factory in (("asyncio", None), ("uvloop", uvloop.new_event_loop)):
        figures, floors = [], []
        for _ in range(size.rounds):
            with asyncio.Runner(loop_factory=factory) as runner:
                figures.append(client(url, size, runner))
            floors.append(floor(path, size))
        figure, bare = statistics.median(figures), statistics.median(floors)
        print(
            f"store_client_{name}_{size.tasks}_in_flight"
            f" {figure:.2f} us {bare:.2f} us {figure / bare:.1f}"
        )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    size = SMOKE if parser.parse_args(argv).smoke else CANONICAL
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as directory:
        store = EmbeddedStore(Path(directory))
        store.start()
        try:
            store.wait_ready(10)
            measure(store.url, socket_path(store.directory), size)
        finally:
            store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

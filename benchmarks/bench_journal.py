"""What the journal costs its drainer: CPU an entry, against a bare reading of the streams.

The streams hold what sessions of five charges over 400 wallets leave (see bench_store_charge), in
some 200 partitions. Each round drains all of it into an empty folder: read, packed, hashed, synced
a partition at a time, committed. Then come the checkpoint of every partition, and the audit of all
chains. The floor is XRANGE over the same streams, in pages of the same size, and nothing done with
them: nobody can drain for less. All is CPU of this process, what the kernel does for its syncs
included; the store is another one. What is printed at the end are entries a second of wall time and
bytes an entry on disk.

    python benchmarks/bench_journal.py [--smoke]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run by path, the script's own folder is there instead

from benchmarks.bench_store_charge import (  # noqa: E402
    CASES,
    CHARGES,
    LIBRARY,
    PARTITIONS,
    WALLETS,
    charge_call,
    in_flight,
    open_wallets,
)
from ocs.adapters.clock import monotonic_s  # noqa: E402
from ocs.adapters.reels.auditing import audit  # noqa: E402
from ocs.adapters.reels.folder import ReelFolder, ReelLimits  # noqa: E402
from ocs.adapters.valkey.connection import Connection  # noqa: E402
from ocs.adapters.valkey.embedded import EmbeddedStore  # noqa: E402
from ocs.adapters.valkey.journal import ValkeyStream, moves_of  # noqa: E402
from ocs.adapters.valkey.keys import JOURNAL_KEY  # noqa: E402
from ocs.adapters.valkey.ledger import ValkeyLedger  # noqa: E402
from ocs.usecases.draining import BATCH, Drainer, DrainRules  # noqa: E402
from ocs.usecases.journal import NOWHERE, parse_id  # noqa: E402

YEAR_MS = 31_536_000_000


@dataclass(frozen=True)
class Size:
    sessions: int
    rounds: int


CANONICAL = Size(sessions=20_000, rounds=5)
SMOKE = Size(sessions=64, rounds=1)


@dataclass
class Cost:
    """CPU and wall time of one round, in seconds."""

    cpu_s: float
    wall_s: float


async def fill(connection: Connection, size: Size) -> None:
    ledger, case = ValkeyLedger(connection, PARTITIONS, LIBRARY), CASES[0]
    wallets = await open_wallets(ledger, case)

    async def session(number: int) -> None:
        for step in range(CHARGES):
            wallet = wallets[number * 7 % WALLETS]
            await ledger.charge(charge_call(wallet, f"{number}-8c1f@192.0.2.1", step, case))

    await in_flight(64, size.sessions, session)


async def timed(work: Callable[[], Awaitable[int]]) -> tuple[int, Cost]:
    cpu_s, wall_s = time.process_time(), time.monotonic()
    done = await work()
    return done, Cost(time.process_time() - cpu_s, time.monotonic() - wall_s)


async def read_all(connection: Connection) -> int:
    """Read every stream from its beginning to its end; the entries."""
    stream, entries = ValkeyStream(connection, PARTITIONS, "floor"), 0
    for partition in range(PARTITIONS):
        after = NOWHERE
        while page := await stream.read(partition, after, BATCH):
            entries += len(page)
            after = parse_id(page[-1][0].decode())
    return entries


async def drain_all(connection: Connection, folder: Path) -> int:
    """Drain every stream into an empty folder; the entries."""
    await connection.execute("DEL", JOURNAL_KEY)
    reels = ReelFolder(folder, ReelLimits(), moves_of)
    rules = DrainRules(partitions=PARTITIONS, keep_ms=YEAR_MS, checkpoint_ms=100 * YEAR_MS)
    owner = str(time.monotonic_ns())
    drainer = Drainer(ValkeyStream(connection, PARTITIONS, owner), reels, rules, monotonic_s)
    # A new drainer each round: the fences of the former ones must not be higher than its epoch.
    for partition in range(PARTITIONS):
        await connection.execute("DEL", f"{{p{partition:03d}}}f")
    behind = True
    while behind:
        await drainer.begin()
        behind = any([await drainer.drain(partition) for partition in range(PARTITIONS)])
        await drainer.conclude()
    reels.close()
    assert not drainer.reason, drainer.reason
    assert not drainer.stopped
    return drainer.drained


async def checkpoint_all(folder: Path) -> int:
    reels = ReelFolder(folder, ReelLimits(), moves_of)
    reels.open()
    entries = sum(reels.advance(partition, 10**9).entries for partition in range(PARTITIONS))
    reels.close()
    return entries


async def audit_all(folder: Path) -> int:
    found = audit(folder)
    assert not found.damages
    return found.entries


def report(name: str, costs: list[Cost], floors: list[Cost], entries: int) -> None:
    figure = statistics.median(cost.cpu_s for cost in costs) * 1e6 / entries
    bare = statistics.median(cost.cpu_s for cost in floors) * 1e6 / entries
    print(f"journal_{name} {figure:.2f} us {bare:.2f} us {figure / bare:.1f}")


async def measure(store: EmbeddedStore, size: Size, scratch: Path) -> None:
    async with Connection(store.url, library=LIBRARY) as connection:
        await fill(connection, size)
        drains, floors, checkpoints, audits = [], [], [], []
        entries = reel_bytes = 0
        for number in range(size.rounds):
            folder = scratch / str(number)
            entries, floor = await timed(lambda: read_all(connection))
            floors.append(floor)
            drained, cost = await timed(lambda: drain_all(connection, folder))  # noqa: B023
            assert drained == entries
            drains.append(cost)
            checkpoints.append((await timed(lambda: checkpoint_all(folder)))[1])  # noqa: B023
            audits.append((await timed(lambda: audit_all(folder)))[1])  # noqa: B023
            reel_bytes = audit(folder).reel_bytes
    for name, costs in (("drain", drains), ("checkpoint", checkpoints), ("audit", audits)):
        report(name, costs, floors, entries)
    wall_s = statistics.median(cost.wall_s for cost in drains)
    print(f"journal_drained_a_second {entries / wall_s:,.0f} entries")
    print(f"journal_entry_on_disk {reel_bytes / entries:.0f} bytes")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    size = SMOKE if parser.parse_args(argv).smoke else CANONICAL
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as directory:
        store = EmbeddedStore(Path(directory))
        store.start()
        try:
            store.wait_ready(10)
            with tempfile.TemporaryDirectory(prefix="ocs-bench-") as scratch:
                uvloop.run(measure(store, size, Path(scratch)))
        finally:
            store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

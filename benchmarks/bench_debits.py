"""What debiting finished CDRs costs: the store's CPU and ours, a CDR, and what is kept of it.

Accounts have some CDRs each in one chunk: thousands (a trunk), dozens (a customer's day), three (a
customer's hour). They are debited, debited again as after a kill, and given in by another chunk,
when all are duplicates. The floor is one HSET for 200 of the same ids with values of the same size:
whoever remembers CDRs by id in this store has to do that.

    python benchmarks/bench_debits.py [--smoke]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run by path, the script's own folder is there instead

from ocs.adapters.valkey.connection import Connection  # noqa: E402
from ocs.adapters.valkey.embedded import EmbeddedStore  # noqa: E402
from ocs.adapters.valkey.functions import assemble  # noqa: E402
from ocs.adapters.valkey.ledger import ValkeyLedger  # noqa: E402
from ocs.domain.wallet import MAIN_BUCKET  # noqa: E402
from ocs.usecases.ports import (  # noqa: E402
    DAY_MS,
    MOST_CDRS_DEBITED,
    CdrDebit,
    Settler,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.settling_cdrs import MOST_UNDER_WAY, Bill, Settled, SettlingCdrs  # noqa: E402

PARTITIONS = 256
LIBRARY = assemble()
VALUE = bytes(17)


@dataclass(frozen=True)
class Case:
    """So many accounts, with so many CDRs each."""

    name: str
    accounts: int
    cdrs: int


CANONICAL = (Case("trunks", 20, 5_000), Case("days", 2_000, 50), Case("hours", 10_000, 3))
SMOKE = (Case("trunks", 1, 300), Case("hours", 5, 3))


@dataclass
class Cost:
    """CPU of the store and ours in microseconds a CDR, and bytes that the store has more."""

    store_us: float
    ours_us: float
    kept_bytes: float


async def told(connection: Connection, section: str, *names: str) -> list[float]:
    reply = await connection.execute("INFO", section)
    assert isinstance(reply, bytes)
    lines = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    return [float(lines[name]) for name in names]


async def timed(connection: Connection, count: int, work: Callable[[], Awaitable[Any]]) -> Cost:
    """Do it, and see what it cost."""
    cpu = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
    before_s = sum(await told(connection, "cpu", *cpu))
    [memory] = await told(connection, "memory", "used_memory")
    ours_s = time.process_time()
    await work()
    ours_s = time.process_time() - ours_s
    store_s = sum(await told(connection, "cpu", *cpu)) - before_s
    [after] = await told(connection, "memory", "used_memory")
    return Cost(store_s * 1e6 / count, ours_s * 1e6 / count, (after - memory) / count)


def bills_of(case: Case, day: int) -> list[Bill]:
    """The bills of one chunk; ids and sessions are as long as those of switches."""
    return [
        Bill(
            wallet=WalletKey("demo", f"{case.name}{account}"),
            account=f"{case.name}{account}",
            currency="EUR",
            day=day,
            rows=range(account * case.cdrs, (account + 1) * case.cdrs),
            cdrs=[
                CdrDebit(f"pbx1-1795194280.{n}-{account}", f"8c1f{n}@192.0.2.1", 10_000 + n)
                for n in range(case.cdrs)
            ],
        )
        for account in range(case.accounts)
    ]


async def open_accounts(ledger: ValkeyLedger, bills: list[Bill]) -> None:
    terms = WalletDefinition(
        version=1, currency="EUR", buckets=(MAIN_BUCKET,), settled_by=Settler.CDR
    )
    for bill in bills:
        assert await ledger.define(bill.wallet, terms)


async def remember(connection: Connection, bills: list[Bill]) -> None:
    """Keep the ids, and do nothing else; as many are on their way as of debits."""
    waiting: list[Awaitable[Any]] = []
    for bill in bills:
        for begin in range(0, len(bill.cdrs), MOST_CDRS_DEBITED):
            pairs: list[bytes] = []
            for cdr in bill.cdrs[begin : begin + MOST_CDRS_DEBITED]:
                pairs += (blake2b(cdr.cdr_id.encode(), digest_size=16).digest(), VALUE)
            waiting.append(connection.execute("HSET", f"floor:{bill.account}", *pairs))
            if len(waiting) * len(pairs) >= 2 * MOST_UNDER_WAY:
                await asyncio.gather(*waiting)
                waiting = []
    await asyncio.gather(*waiting)


async def measure(connection: Connection, case: Case) -> None:
    ledger = ValkeyLedger(connection, PARTITIONS, LIBRARY)
    bills, count = bills_of(case, await ledger.store_ms() // DAY_MS), case.accounts * case.cdrs
    await open_accounts(ledger, bills)
    floor = await timed(connection, count, lambda: remember(connection, bills))

    async def settle(chunk: str, wanted: Settled) -> None:
        settled = await SettlingCdrs(ledger).settle(chunk, bills)
        assert len(settled.by_row) == count
        assert all(each.settled is wanted for each in settled.by_row.values())

    runs = {
        "debit": ("one", Settled.DEBITED),
        "again": ("one", Settled.DEBITED),
        "duplicate": ("two", Settled.DUPLICATE),
    }
    for name, (chunk, wanted) in runs.items():
        cost = await timed(connection, count, lambda: settle(chunk, wanted))  # noqa: B023
        ratio = cost.store_us / floor.store_us if floor.store_us else 0.0
        label = f"debits_{case.name}_{name}"
        print(f"{label}_store {cost.store_us:.2f} us {floor.store_us:.2f} us {ratio:.1f}")
        print(f"{label}_ours {cost.ours_us:.2f} us")
        if name == "debit":
            print(f"{label}_kept {cost.kept_bytes:.0f} bytes {floor.kept_bytes:.0f} bytes")


async def measure_all(store: EmbeddedStore, cases: tuple[Case, ...]) -> None:
    async with Connection(store.url, library=LIBRARY) as connection:
        for case in cases:
            await measure(connection, case)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    cases = SMOKE if parser.parse_args(argv).smoke else CANONICAL
    with tempfile.TemporaryDirectory(prefix="ocs-bench-") as directory:
        store = EmbeddedStore(Path(directory))
        store.start()
        try:
            store.wait_ready(10)
            uvloop.run(measure_all(store, cases))
        finally:
            store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

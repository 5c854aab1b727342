"""What a charge costs the store: CPU of its process, against a function that only moves the bytes.

Sessions of five charges (start, three updates, release; 30 s asked, a two-row ladder with
fractions) run over 400 wallets on the embedded store with its fsync before each answer, 64 and 16
of them at a time. The wallets have one bucket (money), or three: units, bonus money, main; then
either the units pay, or they are used up and money pays.

The floor is a function of the store that gets a call of the same size, reads two values as large as
the wallet and the session are in mid-call, appends an entry as large as the journal's, writes the
two values back, and answers as much: no ledger that is durable in one call can be cheaper. What
fsync costs the kernel is in both, and is spread over the calls in flight.

    python benchmarks/bench_store_charge.py [--smoke]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from ocs.adapters.valkey.calls import encode_call
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.keys import Keys, partition_of
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.domain.events import Kind
from ocs.domain.ladder import compile_ladder, packed
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_BUCKET, MAIN_ONLY, MAIN_PAYER, Bucket, BucketKind, Payer
from ocs.usecases.addresses import session_address, wallet_address
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    CreditCall,
    Segment,
    ServiceCall,
    SessionKey,
    WalletDefinition,
    WalletKey,
)

LIBRARY = assemble()
IN_FLIGHT = (64, 16)
WALLETS = 400
PARTITIONS = 256
CHARGES = 5
"""Of one session: start, three updates, release."""
MUCH = 10**12
ROWS = ((0, 60, Fraction(60_000_007, 1000)), (60, 6, Fraction(600_013, 1000)))
LADDER = msgspec.Raw(msgspec.msgpack.encode(packed(compile_ladder(Fraction(0), ROWS))))
RATING = '["a-z","972","Israel, mobile","interval"]'
INFO = b'{"subscriber":"441632960001","called":"97250001","calling":"441632960001"}'
UNITS = Bucket(
    bucket="minutes", kind=BucketKind.UNITS, priority=2, usage_types=("voice",), increment_units=6
)
BONUS = Bucket(bucket="bonus", priority=1)
THREE_BUCKETS = (UNITS, BONUS, MAIN_BUCKET)
THREE_PAYERS = (Payer("minutes", 6, 1), Payer("bonus", 0, 1), MAIN_PAYER)
FLOOR = """#!lua name=floor
redis.register_function('floor', function(keys, args)
  local values = redis.call('MGET', keys[1], keys[2])
  redis.call('XADD', keys[4], '*', 'e', string.sub(args[1], 1, tonumber(args[2])))
  redis.call('MSET', keys[1], values[1], keys[2], values[2])
  return string.sub(args[1], 1, tonumber(args[3]))
end)
"""


@dataclass(frozen=True)
class Size:
    sessions: int
    rounds: int


@dataclass(frozen=True)
class Case:
    """Who may pay, and who does. No units: they are used up."""

    name: str
    buckets: tuple[Bucket, ...]
    payers: tuple[Payer, ...]
    units: int


@dataclass(frozen=True)
class Sizes:
    """Bytes of a charge in the middle of a session."""

    wallet: int
    session: int
    call: int
    entry: int
    answer: int


CASES = (
    Case("1_bucket", (MAIN_BUCKET,), MAIN_ONLY, 0),
    Case("3_buckets", THREE_BUCKETS, THREE_PAYERS, 0),
    Case("3_buckets_units_pay", THREE_BUCKETS, THREE_PAYERS, MUCH),
)
CANONICAL = Size(sessions=6_400, rounds=5)
SMOKE = Size(sessions=64, rounds=1)


def charge_call(wallet: WalletKey, session_id: str, number: int, case: Case) -> ChargeCall:
    kind = (Kind.START, Kind.UPDATE, Kind.UPDATE, Kind.UPDATE, Kind.RELEASE)[number]
    used, ask = ((0, 30), (28, 30), (30, 30), (30, 30), (12, -1))[number]
    segments = (Segment(0, LADDER, RATING),)
    return ChargeCall(
        session=SessionKey(wallet.tenant, wallet.wallet_group, wallet.wallet_group, session_id),
        kind=kind,
        request_number=number,
        request_key="",
        fingerprint="0123456789abcdef",
        wallet_version=1,
        event_ms=1_800_000_000_000 + number * 30_000,
        answer_ms=0,
        answered=False,
        dry_run=False,
        can_open=True,
        limits=ChargeLimits(),
        services=(ServiceCall("0", used, ask, ask, 1, 1, 0, "972|p", case.payers, segments),),
        info=INFO,
    )


async def open_wallets(ledger: ValkeyLedger, case: Case) -> list[WalletKey]:
    wallets = [WalletKey("demo", f"{case.name}-{n}") for n in range(WALLETS)]
    definition = WalletDefinition(version=1, currency="EUR", buckets=case.buckets)
    for wallet in wallets:
        assert await ledger.define(wallet, definition)
        for bucket in definition.buckets:
            amount = case.units if bucket.kind is BucketKind.UNITS else MUCH
            credit = CreditCall(
                wallet=wallet, bucket=bucket.bucket, amount=amount, reference=bucket.bucket
            )
            if amount:
                assert (await ledger.credit(credit)).code is ResultCode.OK
    return wallets


async def in_flight(tasks: int, sessions: int, run: Callable[[int], Awaitable[None]]) -> None:
    """Runs session 0, 1, … so that always `tasks` of them are under way."""
    numbers = iter(range(sessions))

    async def task() -> None:
        for number in numbers:
            await run(number)

    await asyncio.gather(*[task() for _ in range(tasks)])


def cpu_us(pid: int) -> float:
    """CPU of all threads of a process, user and kernel."""
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1_000


class Bench:
    """One store, one connection, and what a charge is made of."""

    def __init__(self, connection: Connection, ledger: ValkeyLedger, pid: int) -> None:
        self.connection = connection
        self.ledger = ledger
        self.pid = pid
        self.sessions = 0

    async def charges_us(
        self, wallets: list[WalletKey], case: Case, tasks: int, size: Size
    ) -> float:
        """Store CPU a charge."""

        async def session(number: int) -> None:
            self.sessions += 1
            name = f"{self.sessions}-8c1f@192.0.2.1"
            wallet = wallets[number * 7 % WALLETS]
            for step in range(CHARGES):
                reply = await self.ledger.charge(charge_call(wallet, name, step, case))
                assert reply.code is ResultCode.OK

        began = cpu_us(self.pid)
        await in_flight(tasks, size.sessions, session)
        return (cpu_us(self.pid) - began) / (size.sessions * CHARGES)

    async def floor_us(self, sizes: Sizes, tasks: int, size: Size) -> float:
        """Store CPU of a call that only moves as many bytes."""
        execute = self.connection.execute
        argument = b"x" * sizes.call
        for n in range(WALLETS):
            await execute("SET", f"{{p{n % PARTITIONS:03d}}}w:floor/{n}", b"w" * sizes.wallet)
            await execute("SET", f"{{p{n % PARTITIONS:03d}}}s:floor/{n}", b"s" * sizes.session)

        async def session(number: int) -> None:
            n = number * 7 % WALLETS
            tag = f"{{p{n % PARTITIONS:03d}}}"
            keys = (f"{tag}w:floor/{n}", f"{tag}s:floor/{n}", f"{tag}d:floor", f"{tag}j:floor")
            for _ in range(CHARGES):
                await execute("FCALL", "floor", 4, *keys, argument, sizes.entry, sizes.answer)

        began = cpu_us(self.pid)
        await in_flight(tasks, size.sessions, session)
        return (cpu_us(self.pid) - began) / (size.sessions * CHARGES)

    async def sizes(self, wallet: WalletKey, case: Case) -> Sizes:
        """Charge up to the second update, and look at what was read and written."""
        for number in range(3):
            await self.ledger.charge(charge_call(wallet, "sample", number, case))
        call = charge_call(wallet, "sample", 2, case)
        address, holder = session_address(call.session), wallet_address(call.session)
        keys = Keys(partition_of(holder, PARTITIONS))
        named = (keys.wallet(holder), keys.session(address), keys.deadlines, keys.journal)
        argument = encode_call(call, address)
        execute = self.connection.execute
        records = [await execute("STRLEN", key) for key in named[:2]]
        page = await execute("XREVRANGE", keys.journal, "+", "-", "COUNT", 1)
        ((_, (_, entry)),) = cast("list[tuple[bytes, list[bytes]]]", page)
        # The same call again has the same answer.
        answer = await execute("FCALL", LIBRARY.function("charge"), 4, *named, argument)
        await self.ledger.charge(charge_call(wallet, "sample", 4, case))
        lengths = [len(argument), len(entry), len(cast("bytes", answer))]
        return Sizes(*(cast("list[int]", records) + lengths))


async def measure(store: EmbeddedStore, size: Size) -> None:
    async with Connection(store.url, library=LIBRARY) as connection:
        await connection.execute("FUNCTION", "LOAD", "REPLACE", FLOOR)
        assert store.pid is not None
        bench = Bench(connection, ValkeyLedger(connection, PARTITIONS, LIBRARY), store.pid)
        for case in CASES:
            wallets = await open_wallets(bench.ledger, case)
            sizes = await bench.sizes(wallets[0], case)
            for tasks in IN_FLIGHT:
                figures, floors = [], []
                for _ in range(size.rounds):
                    figures.append(await bench.charges_us(wallets, case, tasks, size))
                    floors.append(await bench.floor_us(sizes, tasks, size))
                figure, floor = statistics.median(figures), statistics.median(floors)
                print(
                    f"store_charge_{case.name}_{tasks}_in_flight"
                    f" {figure:.1f} us {floor:.1f} us {figure / floor:.1f}"
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
            uvloop.run(measure(store, size))
        finally:
            store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

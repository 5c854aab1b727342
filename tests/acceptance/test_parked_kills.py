"""The settling of parked events is killed wherever it is, and begun again: it comes to the same.

Real processes on a real store, as in `test_offline_kills.py`. The undisturbed run is what all
others are held against: rows sorted by session, wallets, books, and nothing left in the streams.
"""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import pytest

from ocs.adapters.clock import wall_ms
from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.parked import waiting
from ocs.bootstrap.stores import Stores, open_stores
from ocs.config.reader import read_settings
from ocs.usecases.ports import EMERGENCY, LATE, UNRATED, SessionKey, Subscriber, WalletKey
from ocs.usecases.provisioning import Provisioning, account_terms
from ocs.usecases.verification import verify
from tests.acceptance.killing import PATIENCE_S, Killer
from tests.acceptance.test_offline_kills import CONFIGURATION
from tests.adapters.store import ask
from tests.usecases.charging_desk import told

SETTLERS: Final = {"alpha": "events", "beta": "events", "gamma": "cdr", "nobody": ""}
SESSIONS: Final = 1_500
KILLS: Final = 8
NIGHTLY_KILLS: Final = 50
KILLS_A_RUN: Final = 4

Outcome = tuple[pl.DataFrame, dict[str, int], dict[str, int]]


class Settling:
    """A store with parked events, and `ocs offline parked` over them."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        self.folder, self.server = folder, server
        self.config = folder / "ocs.toml"
        self.config.write_text(CONFIGURATION, encoding="utf-8")
        self.settings = read_settings(self.config, {"OCS_STORE_URL": server.url})
        self.at_ms = wall_ms()

    def reset(self) -> None:
        """The accounts, and always the same events parked for them."""
        asyncio.run(self._reset())

    async def _reset(self) -> None:
        await ask(self.server, "FLUSHALL")
        async with open_stores(self.settings, first_start=True) as stores:
            office = Provisioning(stores.directory, stores.ledger)
            for name, settled_by in SETTLERS.items():
                if not settled_by:
                    continue
                terms = account_terms(
                    name, "EUR", kind="postpaid", floor="-1.00", settled_by=settled_by
                )
                await office.create_account("demo", terms)
                who = Subscriber(
                    identity=name, account=name, wallet_group=name, plan="standard", currency="EUR"
                )
                await stores.directory.put_subscriber("demo", who)
            chance = random.Random(7)
            for number in range(0, SESSIONS, 100):
                await asyncio.gather(
                    *(self._park(stores, chance, n) for n in range(number, number + 100))
                )

    async def _park(self, stores: Stores, chance: random.Random, number: int) -> None:
        """Up to three reports; of some a late repeat as well, and some are calls for help."""
        who = chance.choice(list(SETTLERS))
        stream = EMERGENCY if chance.random() < 0.1 else UNRATED
        key = SessionKey("demo", who, who, f"call {number}")
        reports = [chance.choice([7, 60, 61, 300]) for _ in range(chance.randint(1, 3))]
        requests = [(number, used, stream) for number, used in enumerate(reports, 1)]
        if stream == UNRATED and chance.random() < 0.2:
            requests.append((len(reports), reports[-1], LATE))
        for request, used, where in requests:
            said: dict[str, Any] = {"session_id": key.session_id, "subscriber": who}
            said |= {"event_ms": self.at_ms, "reported_ms": self.at_ms, "used": used}
            event = told("release" if request == len(reports) else "update", request, **said)
            entry = msgspec.json.encode((event, msgspec.Raw(b"{}")))
            await stores.ledger.park(where, key, str(request), entry)

    def start(self, out: str) -> "subprocess.Popen[bytes]":
        """Begin a run in a process group of its own."""
        options = ("--out", self.folder / out, "--quiet", "0", "--config", self.config)
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ocs",
                "offline",
                "parked",
                *options,
                "--store",
                self.server.url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finish(self, out: str) -> None:
        """Run to the end: whose use has no owner waits, so it ends with 1."""
        assert self.start(out).wait(PATIENCE_S) == 1

    def outcome(self, out: str) -> Outcome:
        """Rows, wallets, and what waits; the books must be right in themselves."""
        parts = sorted((self.folder / out).glob("tenant=*/day=*/*.parquet"))
        frames = [pl.read_parquet(part, hive_partitioning=False) for part in parts]
        rows = pl.concat(frames).drop("cdr_id", "attributes")
        rows = rows.sort("session_id", "settled", "units")
        return rows, *asyncio.run(self._store())

    async def _store(self) -> tuple[dict[str, int], dict[str, int]]:
        async with open_stores(self.settings) as stores:
            report = await verify(ValkeyBooks(stores.connection))
            assert report.clean, report.findings
            left = {}
            for name, settled_by in SETTLERS.items():
                wallet = await stores.ledger.balance(WalletKey("demo", name))
                assert (wallet is not None) == bool(settled_by)
                if wallet:
                    left[name] = wallet.balances[0].left
            under_way = await stores.connection.execute("KEYS", "{p*}m")
            assert not under_way
            partitions = self.settings.ledger.partitions
            return left, dict(await waiting(stores.connection, partitions))


@pytest.fixture
def settling(folder: Path, own_server: EmbeddedStore) -> Settling:
    return Settling(folder, own_server)


def killed_again_and_again(settling: Settling, kills: int) -> None:
    seed, begun = random.randrange(2**32), 0
    killer = Killer(settling.server, random.Random(seed))
    settling.reset()
    calls = killer.measure(settling.start("calm"), 1)
    calm = settling.outcome("calm")
    rows, left, parked = calm
    assert set(rows["settled"]) == {"debited", "duplicate", "reconciled", "recorded"}
    assert left["alpha"] < 0 == left["gamma"]
    assert parked["late"] > 0 < parked["unrated"], "those of nobody wait"
    assert parked["emergency"] == 0
    while killer.hits < kills:
        begun += 1
        assert begun < kills, "killed when there was nothing to kill"
        settling.reset()
        for _ in range(KILLS_A_RUN):
            killer.kill(settling.start(f"wild{begun}"), calls // KILLS_A_RUN)
        settling.finish(f"wild{begun}")
        found = settling.outcome(f"wild{begun}")
        assert rows.equals(found[0]), f"seed {seed}, run {begun}"
        assert found[1:] == calm[1:], f"seed {seed}, run {begun}"


@pytest.mark.slow
def test_killed_at_random_points_it_comes_to_the_same(settling: Settling) -> None:
    killed_again_and_again(settling, KILLS)


@pytest.mark.nightly
def test_killed_at_many_random_points_it_comes_to_the_same(settling: Settling) -> None:
    killed_again_and_again(settling, NIGHTLY_KILLS)


@pytest.mark.slow
def test_two_runs_at_once_settle_once(settling: Settling) -> None:
    """Into one folder the second is refused, or follows; into another one it is refused."""
    settling.reset()
    settling.finish("calm")
    rows, *others = settling.outcome("calm")
    settling.reset()
    both = [settling.start("shared"), settling.start("shared")]
    assert [run.wait(PATIENCE_S) for run in both] == [1, 1]
    found, *store = settling.outcome("shared")
    assert rows.equals(found)
    assert store == others
    assert settling.start("elsewhere").wait(PATIENCE_S) == 1
    assert not list((settling.folder / "elsewhere").glob("tenant=*"))

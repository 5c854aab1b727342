"""The sidecar is killed wherever it is, and begun again: nothing is debited twice, nothing is lost.

Real processes on a real store. Files have CDRs of each other, so there is always something that an
interrupted run could take for new. The undisturbed run is what all others are held against: rows
sorted by CDR, wallets, one file for each chunk.
"""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from ocs.adapters.clock import wall_ms
from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap.stores import open_stores
from ocs.config.reader import read_settings
from ocs.usecases.ports import DAY_MS, Subscriber, WalletKey
from ocs.usecases.provisioning import Provisioning, account_terms
from ocs.usecases.verification import verify
from tests.acceptance.killing import PATIENCE_S, Killer
from tests.adapters.store import ask

TARIFFS: Final = Path(__file__).parents[2] / "config" / "tariffs"
CONFIGURATION: Final = f"""
[rating]
tariffs = "{TARIFFS}"
[charging]
default_tenant = "demo"
[provision]
tenant = "demo"
[[tenants]]
name = "demo"
[[plans]]
name = "standard"
tariffs = ["a-z"]
"""
ACCOUNTS: Final = {"alpha": "cdr", "beta": "cdr", "gamma": "cdr", "delta": "events"}
FILES: Final = 15
CDRS_A_FILE: Final = 300
SHARED: Final = 60
"""CDRs that each file has of the one before it."""
KILLS: Final = 20
NIGHTLY_KILLS: Final = 50
KILLS_A_RUN: Final = 5
"""Each takes it a fifth further, more or less."""

Outcome = tuple[pl.DataFrame, dict[str, int]]


class Sidecar:
    """A folder of CDRs, and `ocs offline run` over them."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        self.folder, self.server = folder, server
        self.config, self.inputs = folder / "ocs.toml", folder / "in"
        self.config.write_text(CONFIGURATION, encoding="utf-8")
        self.settings = read_settings(self.config, {"OCS_STORE_URL": server.url})
        self._write_cdrs(wall_ms() - DAY_MS)

    def _write_cdrs(self, until_ms: int) -> None:
        chance = random.Random(7)
        self.inputs.mkdir()
        lines: list[str] = []
        for number in range(FILES):
            lines = lines[-SHARED:]
            for _ in range(len(lines), CDRS_A_FILE):
                units = chance.choice([0, 7, 60, 61, 300])
                end_ms = until_ms - chance.randrange(DAY_MS // 2)
                lines.append(
                    f"c{chance.randrange(10**9)},{chance.choice(list(ACCOUNTS))},"
                    f"4930{chance.randrange(10**6)},{end_ms - 1_000 * units},{end_ms},{units}"
                )
            text = "\n".join(["cdr_id,subscriber,called,answer_ms,end_ms,units", *lines, ""])
            (self.inputs / f"{number:03}.csv").write_text(text, encoding="utf-8")

    def reset(self) -> None:
        """An empty store with the accounts."""
        asyncio.run(self._reset())

    async def _reset(self) -> None:
        await ask(self.server, "FLUSHALL")
        async with open_stores(self.settings, first_start=True) as stores:
            office = Provisioning(stores.directory, stores.ledger)
            for name, settled_by in ACCOUNTS.items():
                terms = account_terms(
                    name, "EUR", kind="postpaid", floor="-1.00", settled_by=settled_by
                )
                await office.create_account("demo", terms)
                who = Subscriber(
                    identity=name, account=name, wallet_group=name, plan="standard", currency="EUR"
                )
                await stores.directory.put_subscriber("demo", who)

    def start(self, out: str) -> "subprocess.Popen[bytes]":
        """Begin a run in a process group of its own."""
        options = ("--in", self.inputs, "--out", self.folder / out, "--config", self.config)
        return subprocess.Popen(
            [sys.executable, "-m", "ocs", "offline", "run", *options, "--store", self.server.url],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finish(self, out: str) -> None:
        assert self.start(out).wait(PATIENCE_S) == 0

    def outcome(self, out: str) -> Outcome:
        """Rows and wallets; the books must be right in themselves."""
        parts = sorted((self.folder / out).glob("tenant=*/day=*/*.parquet"))
        frames = [pl.read_parquet(part, hive_partitioning=False) for part in parts]
        rows = pl.concat(frames).sort("cdr_id", "file", "line")
        assert len(rows) == FILES * CDRS_A_FILE
        return rows, asyncio.run(self._wallets())

    async def _wallets(self) -> dict[str, int]:
        async with open_stores(self.settings) as stores:
            report = await verify(ValkeyBooks(stores.connection))
            assert report.clean, report.findings
            left = {}
            for name in ACCOUNTS:
                wallet = await stores.ledger.balance(WalletKey("demo", name))
                assert wallet
                left[name] = wallet.balances[0].left
            return left


@pytest.fixture
def sidecar(folder: Path, own_server: EmbeddedStore) -> Sidecar:
    return Sidecar(folder, own_server)


def killed_again_and_again(sidecar: Sidecar, kills: int) -> None:
    seed = random.randrange(2**32)
    killer = Killer(sidecar.server, random.Random(seed))
    sidecar.reset()
    calls = killer.measure(sidecar.start("calm"), 0)
    rows, wallets = sidecar.outcome("calm")
    settled = Counter(rows["settled"])
    assert settled["debited"] > FILES * CDRS_A_FILE / 3
    assert settled["duplicate"] > FILES * SHARED / 4
    assert wallets["alpha"] < 0 == wallets["delta"]
    for begun in range(0, kills, KILLS_A_RUN):
        out = f"wild{begun}"
        sidecar.reset()
        for _ in range(KILLS_A_RUN):
            killer.kill(sidecar.start(out), 2 * calls // KILLS_A_RUN)
        sidecar.finish(out)
        found, left = sidecar.outcome(out)
        assert rows.equals(found), f"seed {seed}, kills from {begun} on"
        assert left == wallets, f"seed {seed}, kills from {begun} on"
    assert killer.hits >= kills / 2, "killed when there was nothing to kill"


@pytest.mark.slow
def test_killed_at_random_points_it_comes_to_the_same(sidecar: Sidecar) -> None:
    killed_again_and_again(sidecar, KILLS)


@pytest.mark.nightly
def test_killed_at_many_random_points_it_comes_to_the_same(sidecar: Sidecar) -> None:
    killed_again_and_again(sidecar, NIGHTLY_KILLS)


@pytest.mark.slow
def test_two_sidecars_at_once_debit_once(sidecar: Sidecar) -> None:
    """Into folders of their own each says the same; into one they share the work."""
    sidecar.reset()
    sidecar.finish("calm")
    rows, wallets = sidecar.outcome("calm")
    sidecar.reset()
    both = [sidecar.start("one"), sidecar.start("two")]
    assert [run.wait(PATIENCE_S) for run in both] == [0, 0]
    for out in ("one", "two"):
        found, left = sidecar.outcome(out)
        assert rows.equals(found)
        assert left == wallets
    sidecar.reset()
    both = [sidecar.start("shared"), sidecar.start("shared")]
    assert [run.wait(PATIENCE_S) for run in both] == [0, 0]
    shared, left = sidecar.outcome("shared")
    assert left == wallets
    assert shared.filter(pl.col("settled") == "debited")["cdr_id"].is_unique().all()

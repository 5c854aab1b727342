"""A re-rating is killed wherever it is, and begun again: every account is adjusted once.

Real processes on a real store. Two price lists take turns; what each leaves in the wallets is known
from the prices of the CDRs one by one, so there is nothing that an interrupted run could hide in.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from ocs.adapters.clock import wall_ms
from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import open_stores
from ocs.config.reader import read_settings
from ocs.domain.explain import segments_of
from ocs.domain.plan import rates_of
from ocs.domain.rating import rate_use
from ocs.domain.tariff import Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE
from ocs.usecases.ports import DAY_MS, Subscriber, WalletKey
from ocs.usecases.provisioning import Provisioning, account_terms
from ocs.usecases.verification import verify
from tests.acceptance.killing import PATIENCE_S, kill
from tests.adapters.store import ask

CONFIGURATION: Final = """
[rating]
tariffs = "{tariffs}"
[charging]
default_tenant = "demo"
[provision]
tenant = "demo"
[[tenants]]
name = "demo"
[[plans]]
name = "standard"
tariffs = ["calls"]
"""
HEAD: Final = "# currency = EUR\n# model = interval\nprefix,destination,price_1,price_n,interval_1,interval_n\n"
TARIFFS: Final = {
    "old": "49,Germany,0.06,0.06,60,60\n",
    "new": "49,Germany,0.07,0.05,30,6\n4917,Mobile,0.01,0.01,1,1\n",
}
ACCOUNTS: Final = [f"a{number:04}" for number in range(1_500)]
CALLS: Final = 4_000
KILLS: Final = 20
NIGHTLY_KILLS: Final = 60
KILLS_A_ROUND: Final = 5
ENOUGH_BYTES: Final = 200_000
"""About what is noted of all accounts."""

Call = tuple[str, str, int]


class Rerating:
    """A store with accounts that owe for calls, and `ocs offline rerate` over these."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        self.folder, self.server = folder, server
        self.config = folder / "ocs.toml"
        for name, rows in TARIFFS.items():
            (folder / name).mkdir()
            (folder / name / "calls.csv").write_text(HEAD + rows, encoding="utf-8")
        self.config.write_text(CONFIGURATION.format(tariffs=folder / "old"), encoding="utf-8")
        self.settings = read_settings(self.config, {"OCS_STORE_URL": server.url})
        self.at_ms = wall_ms() - DAY_MS
        chance = random.Random(5)
        self.calls: list[Call] = [
            (chance.choice(ACCOUNTS), chance.choice(["4930", "49171"]), chance.choice([7, 60, 400]))
            for _ in range(CALLS)
        ]
        asyncio.run(self._open())
        self._rate()

    async def _open(self) -> None:
        await ask(self.server, "FLUSHALL")
        async with open_stores(self.settings, first_start=True) as stores:
            office = Provisioning(stores.directory, stores.ledger)
            for name in ACCOUNTS:
                terms = account_terms(name, "EUR", kind="postpaid", floor="-1000", settled_by="cdr")
                await office.create_account("demo", terms)
                who = Subscriber(
                    identity=name, account=name, wallet_group=name, plan="standard", currency="EUR"
                )
                await stores.directory.put_subscriber("demo", who)

    def _rate(self) -> None:
        lines = ["cdr_id,subscriber,called,answer_ms,units"]
        lines += [
            f"c{number},{who},{called},{self.at_ms},{units}"
            for number, (who, called, units) in enumerate(self.calls)
        ]
        path = self.folder / "in.csv"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        self._finished("run", "--in", str(path), "--out", str(self.folder / "rated"))

    def start(self, tariffs: str) -> "subprocess.Popen[bytes]":
        """Begin to apply a price list."""
        folders = ("--of", "rated", "--out", "book", "--tariffs", tariffs)
        period = ("--from", "2000-01-01", "--to", "2100-01-01")
        return self._started("rerate", *folders, *period, "--apply")

    def finish(self, tariffs: str) -> None:
        assert self.start(tariffs).wait(PATIENCE_S) == 0

    def noted(self, round_: int) -> int:
        """How much is written down of the outcomes of a round's page; -1: it is not decided."""
        pages = sorted((self.folder / "book" / "pages").glob("*"))
        if len(pages) <= round_:
            return -1
        path = pages[round_] / "outcomes.ndjson"
        return path.stat().st_size if path.exists() else 0

    def wallets(self) -> dict[str, int]:
        """What all accounts have; the books must be right in themselves."""

        async def read() -> dict[str, int]:
            async with open_stores(self.settings) as stores:
                report = await verify(ValkeyBooks(stores.connection))
                assert report.clean, report.findings
                left = {}
                for name in ACCOUNTS:
                    wallet = await stores.ledger.balance(WalletKey("demo", name))
                    assert wallet
                    left[name] = wallet.balances[0].left
                return left

        return asyncio.run(read())

    def owed(self, tariffs: str) -> dict[str, int]:
        """What wallets have where every call costs its price by these tariffs, one by one."""
        left = dict.fromkeys(ACCOUNTS, 0)
        settings = read_settings(self.config, {"OCS_RATING_TARIFFS": str(self.folder / tariffs)})
        plan = settings.plans[0].plan()
        with opened_tariffs(settings) as generation:
            for who, called, units in self.calls:
                used = Used(called, VOICE, self.at_ms, UTC_ZONE, who)
                segments = segments_of(rates_of(generation, plan, used, units))
                left[who] -= rate_use(segments, units, self.at_ms, timed=True).total
        return left

    def _started(self, *command: str) -> "subprocess.Popen[bytes]":
        place = ("--config", self.config, "--store", self.server.url)
        return subprocess.Popen(
            [sys.executable, "-m", "ocs", "offline", *command, *place],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _finished(self, *command: str) -> None:
        assert self._started(*command).wait(PATIENCE_S) == 0


@pytest.fixture
def rerating(folder: Path, own_server: EmbeddedStore) -> Rerating:
    return Rerating(folder, own_server)


def killed_again_and_again(rerating: Rerating, kills: int) -> None:
    owed = {name: rerating.owed(name) for name in TARIFFS}
    assert rerating.wallets() == owed["old"] != owed["new"]
    seed = random.randrange(2**32)
    chance, hits, in_the_middle = random.Random(seed), 0, 0
    for round_ in range(kills // KILLS_A_ROUND):
        tariffs = "old" if round_ % 2 else "new"
        for _ in range(KILLS_A_ROUND):
            run = rerating.start(tariffs)
            # Before anything is decided, as soon as it is, or when so much has been moved.
            wanted = chance.choice([-1, 0, *(chance.randrange(ENOUGH_BYTES) for _ in range(4))])
            if wanted < 0:
                time.sleep(chance.uniform(0, 1.5))
            while run.poll() is None and rerating.noted(round_) < wanted:
                time.sleep(0.0005)
            in_the_middle += rerating.noted(round_) >= 0
            hits += kill(run)
        rerating.finish(tariffs)
        assert rerating.wallets() == owed[tariffs], f"seed {seed}, round {round_}"
    assert hits >= kills / 2, "killed when there was nothing to kill"
    assert in_the_middle >= kills / 4, "nothing was ever decided before the kill"


@pytest.mark.slow
def test_killed_at_random_points_it_comes_to_the_same(rerating: Rerating) -> None:
    killed_again_and_again(rerating, KILLS)


@pytest.mark.nightly
def test_killed_at_many_random_points_it_comes_to_the_same(rerating: Rerating) -> None:
    killed_again_and_again(rerating, NIGHTLY_KILLS)

"""Workers share files and are killed wherever they are: rows and wallets of one undisturbed run.

Real processes on a real store. Files have CDRs of each other, so what a dead worker left half done
could be debited again by the one that takes it over. Which of two rows with one id was the first is
chance where several work; so the amounts that were debited are compared, each id once.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.work_stream import ValkeyWorkStream
from tests.acceptance.killing import PATIENCE_S, kill
from tests.acceptance.test_offline_kills import CDRS_A_FILE, FILES, Sidecar

WORKERS: Final = 3
KILLS: Final = 20
NIGHTLY_KILLS: Final = 42
KILLS_A_ROUND: Final = 7
A_CHUNK_S: Final = 0.1
"""A chunk of so few CDRs takes about as long, start to end."""
LEASE_S: Final = 0.5
FATES: Final = ("settled", "settled_amount", "settled_reason")


class Crew:
    """Workers on what a sidecar's folder holds."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar

    def command(self, *words: object) -> list[str]:
        place = ("--config", self.sidecar.config, "--store", self.sidecar.server.url)
        return [sys.executable, "-m", "ocs", "offline", *map(str, (*words, *place))]

    def told(self, *words: object) -> Any:
        answer = subprocess.run(
            self.command(*words, "--json"), check=True, capture_output=True, timeout=PATIENCE_S
        )
        return json.loads(answer.stdout)

    def share(self) -> Any:
        return self.told("share", "--in", self.sidecar.inputs)

    def start(self, out: str, *options: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command("work", "--out", self.sidecar.folder / out, "--lease", LEASE_S, *options),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def busy(self, team: Sequence["subprocess.Popen[bytes]"]) -> int:
        """Wait until one of a team has a share in hand; tell which."""
        give_up_at_s = time.monotonic() + PATIENCE_S
        places = {run.pid: place for place, run in enumerate(team)}
        while True:
            assert time.monotonic() < give_up_at_s, "nobody works"
            held = asyncio.run(self._under_way())
            found = [places.get(each) for each in held]
            alive = [place for place in found if place is not None and team[place].poll() is None]
            if alive:
                return alive[0]

    async def _under_way(self) -> list[int]:
        """Tell the processes that have a share."""
        async with Connection(self.sidecar.server.url) as connection:
            listed = await ValkeyWorkStream(connection, "cdr", "nobody").under_way()
        return [int(each.worker.split(":")[1]) for each in listed]

    def outcome(self, out: str) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
        """What was used and its price, by row; what was debited, by CDR; wallets."""
        rows, wallets = self.sidecar.outcome(out)
        debited = rows.filter(pl.col("settled") == "debited")
        assert debited["cdr_id"].is_unique().all()
        sums = debited.select("cdr_id", "account", "settled_amount").sort("cdr_id")
        return rows.drop(*FATES), sums, wallets


@pytest.fixture
def crew(folder: Path, own_server: EmbeddedStore) -> Crew:
    return Crew(Sidecar(folder, own_server))


def same(found: Any, wanted: Any) -> bool:
    rows, sums, wallets = zip(found, wanted, strict=True)
    return bool(rows[0].equals(rows[1]) and sums[0].equals(sums[1]) and wallets[0] == wallets[1])


def killed_again_and_again(crew: Crew, kills: int) -> None:
    """Each kill meets a worker that has a share in hand, somewhere on the way of a chunk."""
    sidecar = crew.sidecar
    sidecar.reset()
    sidecar.finish("calm")
    calm = crew.outcome("calm")
    seed = random.randrange(2**32)
    chance, done = random.Random(seed), 0
    while done < kills:
        out = f"wild{done}"
        sidecar.reset()
        assert crew.share()["added"] == FILES
        team = [crew.start(out) for _ in range(WORKERS)]
        for _ in range(KILLS_A_ROUND):
            place = crew.busy(team)
            time.sleep(chance.uniform(0, A_CHUNK_S))
            done += kill(team[place])
            team[place] = crew.start(out)
        for run in team:
            assert run.wait(PATIENCE_S) in {0, 1}
        if crew.told("shares", "--again")["backlog"]["waiting"]:
            assert crew.start(out).wait(PATIENCE_S) == 0
        assert same(crew.outcome(out), calm), f"seed {seed}, kills up to {done}"
        assert len(list((sidecar.folder / out / "chunks").iterdir())) == FILES
        assert crew.told("shares")["backlog"] == {"waiting": 0, "under_way": 0, "aside": 0}


@pytest.mark.slow
def test_workers_killed_at_random_points_come_to_the_same(crew: Crew) -> None:
    killed_again_and_again(crew, KILLS)


@pytest.mark.nightly
def test_workers_killed_at_many_random_points_come_to_the_same(crew: Crew) -> None:
    killed_again_and_again(crew, NIGHTLY_KILLS)


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_leaves_nothing_behind(crew: Crew) -> None:
    """It ends what it has in hand; the next one goes on at once, whatever the lease."""
    crew.sidecar.reset()
    crew.share()
    run = crew.start("out", "--wait", "--lease", 3600)
    chunks = crew.sidecar.folder / "out" / "chunks"
    while not (chunks.exists() and any(chunks.iterdir())):
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE_S) == 0
    assert crew.told("shares")["backlog"]["under_way"] == 0
    assert crew.start("out", "--lease", 3600).wait(PATIENCE_S) == 0
    assert len(list(chunks.iterdir())) == FILES
    rows, _, _ = crew.outcome("out")
    assert len(rows) == FILES * CDRS_A_FILE

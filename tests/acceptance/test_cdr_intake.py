"""CDRs are pushed to a real server whose workers are killed: what was acknowledged is rated, once.

Switches post again what was not answered, as real ones do, so what they posted twice is in the
folder twice; the run finds it by its id.
"""

import http.client
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.clock import wall_ms
from tests.acceptance.own_prices import Prices, write_configuration
from tests.acceptance.service import Client, Service, run, until

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")

pytestmark = pytest.mark.slow

LIVES = 3
KILLS_A_LIFE = 6
SWITCHES = 4
PLAIN = {"Content-Type": "application/json"}


def cdr(number: int, end_ms: int) -> bytes:
    called = {"cdr_id": f"c{number}", "subscriber": "pbx", "called": "442071234567", "units": 60}
    return json.dumps(called | {"answer_ms": end_ms - 60_000, "end_ms": end_ms}).encode()


class Switch(threading.Thread):
    """Posts one CDR after the other, each until it is told that it is kept."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.kept: list[int] = []
        self.repeated = 0
        self.ending = threading.Event()
        self.service: Service | None = None
        self._next = first
        self._end_ms = wall_ms() - 3_600_000

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                assert self.service is not None
                with self.service.client() as client:
                    while not self.ending.is_set():
                        self._post(client)
            except (OSError, http.client.HTTPException):
                self.repeated += 1
                time.sleep(0.01)

    def _post(self, client: Client) -> None:
        body = cdr(self._next, self._end_ms)
        status, _, told = client.send("/cdr", body, PLAIN)
        assert status == 202, told
        self.kept.append(self._next)
        self._next += SWITCHES


class Lives:
    """One data directory, and the services that live and die on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        prices = Prices(voice=("44,Britain,0.06,0.06,60,60,0,",))
        self.config = write_configuration(folder / "config", prices, {})
        self.where = ("--dir", str(folder / "var"), "--config", str(self.config))
        self.switches = [Switch(first) for first in range(SWITCHES)]
        self.service: Service
        self.elder = 0
        """The worker that was there before the last one was started."""

    def begin(self) -> Service:
        more = ("--port", "0", "--workers", "2", "--config", str(self.config))
        self.service = Service(self.folder / "var", *more, OCS_OFFLINE_INTAKE_FILE_S="1")
        for switch in self.switches:
            switch.service = self.service
        return self.service

    def open_account(self) -> None:
        terms = ("--kind", "postpaid", "--floor", "-9999", "--settled-by", "cdr")
        made = run("account", "create", "pbx", "--currency", "EUR", *terms, *self.where)
        assert made.returncode == 0, made.stderr
        line = ("--account", "pbx", "--plan", "standard")
        assert run("subscriber", "create", "pbx", *line, *self.where).returncode == 0

    def kill_worker(self, number: int) -> None:
        """The supervisor gives up a slot whose workers die at once five times: each in its turn."""
        workers = set(self.service.workers())
        victim = self.elder if self.elder in workers else min(workers)
        (self.elder,) = workers - {victim}
        os.kill(victim, signal.SIGKILL)
        begun = f"worker {number}"
        until(lambda: len(set(self.service.workers()) - {victim}) == 2, f"a successor of {begun}")

    def kill_everything(self) -> None:
        for process in (*self.service.workers(), self.service.store()):
            os.kill(process, signal.SIGKILL)
        self.service.process.kill()
        self.service.end()

    def rate(self) -> Any:
        out = ("--out", str(self.folder / "rated"))
        done = run("offline", "run", "--intake", *out, *self.where, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def end(self) -> None:
        for switch in self.switches:
            switch.ending.set()
            if switch.ident is not None:
                switch.join(30)


@pytest.fixture
def lives(folder: Path) -> Iterator[Lives]:
    one = Lives(folder)
    yield one
    one.end()
    one.service.sweep_away()


def test_what_was_acknowledged_outlives_all_workers(lives: Lives) -> None:
    chance = random.Random(11)
    for life in range(LIVES):
        lives.begin()
        if life == 0:
            lives.open_account()
            for switch in lives.switches:
                switch.start()
        for number in range(KILLS_A_LIFE):
            time.sleep(chance.uniform(0.0, 0.3))
            lives.kill_worker(number)
        if life < LIVES - 1:
            lives.kill_everything()
    time.sleep(0.2)
    lives.end()
    until(lambda: nothing_is_open(lives.service), "all files to be finished")
    summary = lives.rate()
    kept = {number for switch in lives.switches for number in switch.kept}
    repeated = sum(switch.repeated for switch in lives.switches)
    paths = (lives.folder / "rated").glob("tenant=*/day=*/*.parquet")
    rows = pl.concat(pl.read_parquet(path, hive_partitioning=False) for path in paths)
    debited = rows.filter(settled="debited")["cdr_id"].to_list()
    print(f"{len(kept)} kept, {repeated} posts unanswered, {summary['settled']}")
    assert len(kept) > LIVES * KILLS_A_LIFE
    assert len(debited) == len(set(debited))
    assert kept <= {int(name[1:]) for name in debited}
    assert len(debited) - len(kept) <= SWITCHES  # the last ones, whose answers were not awaited
    assert summary["settled"].get("duplicate", 0) <= repeated


def nothing_is_open(service: Service) -> bool:
    return not list((service.directory / "intake").rglob(".*.open"))


def test_what_was_posted_is_told_and_finished_at_the_end(lives: Lives) -> None:
    service = lives.begin()
    with service.client() as client:
        assert client.send("/cdr", cdr(1, wall_ms()), PLAIN)[0] == 202
        assert client.send("/cdr", b"broken", PLAIN)[0] == 400
    told = ""
    for url in re.findall(r"operations  (\S+)/metrics", service.told):
        with Client(url) as client:
            told += client.get("/metrics")[1]
    assert 'ocs_cdr_received_total{format="ndjson"} 1.0' in told
    assert 'ocs_cdr_refused_total{reason="unreadable"} 1.0' in told
    assert service.stop() == 0
    assert nothing_is_open(service)

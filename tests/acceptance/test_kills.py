"""kill -9 in the middle of everything: nothing acknowledged is lost, nothing is charged twice.

A round replays calls of the recording, flat out, over sixteen connections, and at some answer in
the middle a process dies. The client sends what was not answered again, with the same number,
until it is. Then the client's log is held against the books, entry by entry. Many sessions stay
open from round to round, and all rounds of a life are checked again after each.
"""

import asyncio
import contextlib
import csv
import gzip
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ocs.adapters.valkey.embedded import socket_path
from ocs.cli.demo import RECORDING
from ocs.entrypoints.http.client import HttpClient
from ocs.usecases.recording import Recorded, read_recording
from ocs.usecases.replaying import Pace, Replayer, ReplayOptions
from tests.acceptance.bookkeeping import hold_against, millionths, open_books
from tests.acceptance.client_log import ClientLog, Said, said
from tests.acceptance.service import ROOT, SAMPLE, Service, command, store_of, until

pytestmark = pytest.mark.slow

SESSIONS = 120
"""Calls of a round: some 400 events, a quarter of a second."""
DEATHS = 4
"""In the life of one service: after five in a row it stays down, for somebody to look."""
FLAT_OUT = Pace(rate=1e9)

Kill = Callable[[Service], None]


def kill_worker(service: Service) -> None:
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)


def kill_store(service: Service) -> None:
    os.kill(service.store(), signal.SIGKILL)


def kill_parent(service: Service) -> None:
    service.signal(signal.SIGKILL)


def kill_parent_and_worker(service: Service) -> None:
    kill_worker(service)
    kill_parent(service)


def kill_everything(service: Service) -> None:
    """As a machine does that loses its power, but for what its disk then does."""
    kill_store(service)
    kill_parent_and_worker(service)


# All of them take the parent along, which is then started again.
PARENTS = (kill_parent, kill_parent_and_worker, kill_everything, kill_parent)


@pytest.fixture(scope="module")
def recording() -> list[list[Recorded]]:
    """The calls, in the order of their starts."""
    with gzip.open(RECORDING) as lines:
        events = read_recording(lines)
    calls: dict[str, list[Recorded]] = {}
    for event in events:
        calls.setdefault(event.session, []).append(event)
    return list(calls.values())


class Life:
    """One data directory, the services that come and go on it, and everything a client was told."""

    def __init__(
        self, folder: Path, calls: list[list[Recorded]], seed: int, **environment: str
    ) -> None:
        self.service = Service(folder / "var", "--port", "0", **environment)
        self._environment = environment
        self._directory = folder / "var"
        self._calls = calls
        self._seed = seed
        self._chance = random.Random(seed)
        self._client = HttpClient(self.service.url)
        self._log = ClientLog(self._client)
        self._sent: dict[str, list[bytes]] = {}
        self._round = 0

    async def close(self) -> None:
        await self._client.__aexit__(None, None, None)
        self.service.sweep_away()

    async def round(self, kill: Kill) -> None:
        """Replay, kill, go on until all is answered, and look whether everything is right."""
        self._round += 1
        before = Counter(self._log.counts)
        events = self._events()
        copies = self._chance.choice((1, 2))
        at = self._chance.randrange(len(events) // 5, len(events) // 5 * 4)
        restarted: list[asyncio.Task[None]] = []

        def strike() -> None:
            kill(self.service)
            if kill in PARENTS:
                restarted.append(asyncio.create_task(self._start_again()))

        self._log.plan(at, strike)
        unanswered, retries = await self._replay(events, copies)
        for task in restarted:
            await task
        assert unanswered == 0
        self._all_copies_are_equal()
        await self._send_again()
        self._all_copies_are_equal()
        hold_against(await open_books(self._directory), self._told())
        counts = self._log.counts - before
        print(
            f"{kill.__name__}, life {self._seed}, round {self._round}: {len(events)} events x"
            f" {copies}, killed at answer {at}; {counts['lost']} lost, {counts['503']} unknown,"
            f" {retries} sent again, {counts['hits']} hits"
        )

    def _events(self) -> list[Recorded]:
        """Take calls that no former round has taken; of every third the end is missing."""
        first = (self._seed * DEATHS + self._round) * SESSIONS % (len(self._calls) - SESSIONS)
        calls = self._calls[first : first + SESSIONS]
        open_ends = [call[:-1] if n % 3 == 0 else call for n, call in enumerate(calls)]
        events = [event for call in open_ends for event in call]
        return sorted(events, key=lambda event: event.offset_s)

    async def _replay(self, events: Sequence[Recorded], copies: int) -> tuple[int, int]:
        options = ReplayOptions(suffix=f"r{self._round}", pace=FLAT_OUT, copies=copies)
        clock = time.monotonic
        replayer = Replayer(self._log, options, clock_s=clock, wall_ms=int(time.time() * 1000))
        await replayer.run(events)
        report = replayer.tally.report(1.0)
        assert report.events == len(events)
        assert report.copies_that_differ == 0
        return report.unanswered, report.retries

    async def _start_again(self) -> None:
        port = self.service.port
        await asyncio.to_thread(self.service.end)
        self.service = await asyncio.to_thread(
            Service, self._directory, "--port", str(port), **self._environment
        )

    async def _send_again(self) -> None:
        """Send all of this round again: a repeat moves nothing, however late it comes.

        The last request of a session is answered as before; of a closed one the others are known
        to have been there.
        """
        suffix = f"-r{self._round}"
        sessions: dict[str, list[bytes]] = {}
        for body, answers in self._log.answers.items():
            answer = said(answers[0])
            if answer.session_id.endswith(suffix):
                sessions.setdefault(answer.session_id, []).append(body)
        await asyncio.gather(*(self._repeat(bodies) for bodies in sessions.values()))

    async def _repeat(self, bodies: list[bytes]) -> None:
        for body in bodies:
            repeat = await self._client.post(body)
            name = said(repeat).return_name
            if name == "REPEAT_EXPIRED":
                assert body != bodies[-1]
            else:
                assert repeat.hit
                self._log.answers[body].append(repeat)

    def _all_copies_are_equal(self) -> None:
        for copies in self._log.answers.values():
            for one, other in pairwise(copies):
                assert (one.status, one.body) == (other.status, other.body)

    def _told(self) -> list[Said]:
        return [said(answers[0]) for answers in self._log.answers.values()]


@pytest.fixture
async def life(
    request: pytest.FixtureRequest, recording: list[list[Recorded]]
) -> AsyncIterator[Life]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        one = Life(Path(folder), recording, seed=request.param)
        try:
            yield one
        finally:
            await one.close()


@pytest.mark.parametrize("life", range(2), indirect=True)
async def test_the_worker_is_killed(life: Life) -> None:
    for _ in range(DEATHS):
        await life.round(kill_worker)


@pytest.mark.parametrize("life", range(3), indirect=True)
async def test_the_server_is_killed(life: Life) -> None:
    for kill in PARENTS:
        await life.round(kill)


@pytest.mark.parametrize("life", range(5), indirect=True)
async def test_the_store_is_killed(life: Life) -> None:
    for _ in range(DEATHS):
        await life.round(kill_store)


# --- Before it has ever served --------------------------------------------------------------------


def keys_in(directory: Path) -> int:
    """Ask the embedded store how far it is; 0 while it is not there."""
    with socket.socket(socket.AF_UNIX) as store, contextlib.suppress(OSError, ValueError):
        store.connect(str(socket_path(directory / "store")))
        store.sendall(b"DBSIZE\r\n")
        return int(store.recv(64)[1:])
    return 0


@pytest.mark.parametrize("moments", [(1, 700), (300, 1500), (1100, 1900)])
async def test_the_first_start_is_killed(moments: tuple[int, ...]) -> None:
    """Accounts get their opening balance once, whenever the providing of them was cut off."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        directory = Path(folder) / "var"
        for keys in moments:
            await asyncio.to_thread(_begin_and_kill, directory, keys)
        service = await asyncio.to_thread(Service, directory, "--port", "0")
        try:
            books = await open_books(directory)
        finally:
            service.sweep_away()
    with (SAMPLE.parent / "accounts.csv").open(encoding="utf-8") as accounts:
        wanted = {row["account"]: millionths(row["balance"]) for row in csv.DictReader(accounts)}
    assert books.left == wanted


def _begin_and_kill(directory: Path, keys: int) -> None:
    starting = subprocess.Popen(
        command("serve", "--dir", str(directory), "--port", "0"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        until(lambda: keys_in(directory) >= keys, f"{keys} keys in the store")
    finally:
        starting.kill()
        starting.wait()
        os.kill(store_of(directory), signal.SIGKILL)

"""kill -9 of the drainer, alone or with all else: each entry is once in files and store together, and
the books are right from the last checkpoint and from the start.

A round is one of `test_kills`: calls are replayed flat out, something dies in the middle, and all
answers are held against the journal. Here the journal is drained all the time, and the store keeps
nothing that is safe on disk.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.reading import open_journal
from ocs.usecases.recording import Recorded
from tests.acceptance.service import SUBSCRIBER, Client, Service, run, until
from tests.acceptance.test_kills import (
    PARENTS,
    Kill,
    Life,
    kill_everything,
    kill_parent,
    kill_store,
    kill_worker,
    recording,
)

__all__ = ["recording"]

pytestmark = pytest.mark.slow

BUSY = {"OCS_JOURNAL_PERIOD_S": "1", "OCS_JOURNAL_KEEP_S": "0", "OCS_JOURNAL_CHECKPOINT_S": "1"}


def kill_drainer(service: Service) -> None:
    pid = service.drainer()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_drainer_and_store(service: Service) -> None:
    kill_drainer(service)
    kill_store(service)


def kill_drainer_and_worker(service: Service) -> None:
    kill_drainer(service)
    kill_worker(service)


KILLS: tuple[Kill, ...] = (
    kill_drainer,
    kill_drainer_and_store,
    kill_drainer_and_worker,
    kill_everything,
    kill_drainer,
    kill_parent,
    kill_drainer_and_store,
)
PROVISIONED = 800
"""Entries of the sample's accounts: each is defined, and gets its opening balance."""
LIVES = 3
"""Of seven rounds each: 21 deaths of the drainer, and of all else."""


@pytest.fixture
async def life(
    request: pytest.FixtureRequest, recording: list[list[Recorded]]
) -> AsyncIterator[Life]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        one = Life(Path(folder), recording, seed=10 + request.param, **BUSY)
        try:
            yield one
        finally:
            await one.close()


def written(directory: Path) -> int:
    journal = open_journal(directory / "journal")
    return sum(head.entries for head in journal.heads.partitions.values()) if journal else 0


def is_right(directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    done = run(*command, "--dir", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("life", range(LIVES), indirect=True)
async def test_the_drainer_is_killed(life: Life) -> None:
    directory = life.service.directory
    assert {kill_everything, kill_parent} <= set(PARENTS)
    for kill in KILLS:
        before = written(directory)
        await life.round(kill)
        until(lambda: written(directory) > before, "the drainer to go on")  # noqa: B023 -- at once
    until(lambda: drained(life.service), "the journal to be on disk, and out of the store")
    assert audit(directory / "journal").damages == ()
    entries = written(directory)
    assert "and 0 journal entries" in is_right(directory, "verify").stdout
    assert f"and {entries} journal entries" in is_right(directory, "verify", "--from-start").stdout
    assert f"audited {entries} entries" in is_right(directory, "audit", "verify").stdout
    assert life.service.drainer() is not None


def drained(service: Service) -> bool:
    """Whether nothing waits, and everything is trimmed that was written."""
    return "ocs_journal_lag_entries 0.0" in client_metrics(service) and (
        "and 0 journal entries" in run("verify", "--dir", str(service.directory)).stdout
    )


def test_a_service_and_its_journal(folder: Path) -> None:
    """What an operator does with it, while it runs and after it has ended."""
    directory = folder / "var"
    service = Service(directory, "--port", "0", **BUSY)
    try:
        with service.client() as client:
            client.event("start", "call-1", 0, requested_units=60)
            answer = client.event("release", "call-1", 1, used_units=60)
        transaction = answer["transaction_id"]
        assert SUBSCRIBER in is_right(directory, "audit", "show", transaction).stdout
        until(lambda: written(directory) == PROVISIONED + 2, "the entries to be on disk")
        assert service.stop() == 0
    finally:
        service.sweep_away()
    shown = is_right(directory, "audit", "show", transaction).stdout
    assert '"kind": "release"' in shown
    assert "sound" in is_right(directory, "audit", "verify").stdout
    exported = is_right(directory, "audit", "export", "--to", str(folder / "tables")).stdout
    assert exported.startswith(f"exported {PROVISIONED + 2} entries and 1 CDRs of ")
    refused = run("audit", "export", "--dir", str(directory), "--to", str(folder / "tables"))
    assert (refused.returncode, "not empty" in refused.stderr) == (1, True)
    partition = transaction.partition("-")[0]
    reel = directory / "journal" / partition / "00000001"
    data = bytearray(reel.read_bytes())
    data[-1] ^= 1
    reel.write_bytes(data)
    found = run("audit", "verify", "--dir", str(directory))
    assert found.returncode == 1
    assert "does not fit into the chain" in found.stdout
    assert "NOT what was written" in found.stderr
    for command in (("audit", "show", transaction), ("audit", "show", "x")):
        assert run(*command, "--dir", str(directory)).returncode > 0


@pytest.mark.parametrize("kill", [kill_worker, kill_store, kill_drainer_and_store])
def test_what_has_left_the_store_is_refunded_once(folder: Path, kill: Kill) -> None:
    """From the files, by whoever asks again, whatever dies in between."""
    service = Service(folder / "var", "--port", "0", **BUSY)
    try:
        with service.client() as client:
            client.event("start", "call-1", 0, requested_units=60)
            paid = client.event("release", "call-1", 1, used_units=60)
        assert paid["cost"]["settled"] != "0.00"
        until(lambda: drained(service), "the call to be on disk, and out of the store")
        answers = [refund(service, number, paid["transaction_id"]) for number in (0, 1)]
        kill(service)
        answers.append(refund(service, 2, paid["transaction_id"]))
        until(lambda: drained(service), "the refund to be on disk, and out of the store")
        answers.append(refund(service, 3, paid["transaction_id"]))
        assert {answer["return_name"] for answer in answers} == {"OK"}
        assert {answer["cost"]["settled"] for answer in answers} == {"-" + paid["cost"]["settled"]}
        assert len({answer["transaction_id"] for answer in answers}) == 1
        with service.client() as client:
            checked = client.event("event", "look", 4, action="check_balance", requested_units=1)
        assert checked["balance"]["available"] == "10.00"
        assert is_right(service.directory, "verify", "--from-start").returncode == 0
    finally:
        service.sweep_away()


def refund(service: Service, number: int, transaction_id: str) -> dict[str, Any]:
    """Ask for a refund, on a connection of its own, as long as the answer is to come again."""
    answers: list[dict[str, Any]] = []
    event = {
        "record_type": "event_request",
        "session_id": f"refund-{number}",
        "request_number": 0,
        "subscriber": SUBSCRIBER,
        "action": "refund",
        "reverses": transaction_id,
    }

    def decided() -> bool:
        with contextlib.suppress(OSError, HTTPException), service.client() as client:
            status, answer = client.post(json.dumps(event))
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                answers.append(answer)
        return bool(answers)

    until(decided, "the refund")
    return answers[-1]


def test_a_folder_that_cannot_be_written_does_not_stop_charging(folder: Path) -> None:
    directory = folder / "var"
    directory.mkdir(mode=0o700)
    (directory / "journal").write_text("in the way", encoding="ascii")
    service = Service(directory, "--port", "0", **BUSY)
    try:
        with service.client() as client:
            until(
                lambda: "ocs_journal_faults_total 1" in client_metrics(service),
                "the drainer to say that it cannot write",
            )
            client.event("start", "call-1", 0, requested_units=60)
            client.event("release", "call-1", 1, used_units=60)
        assert "ocs_journal_draining 0.0" in client_metrics(service)
        assert "files_unusable" in service.log()
        (directory / "journal").unlink()
        until(lambda: written(directory) == PROVISIONED + 2, "the entries to be on disk")
        until(lambda: "ocs_journal_draining 1.0" in client_metrics(service), "all to be well")
        assert is_right(directory, "verify").returncode == 0
    finally:
        service.sweep_away()


def client_metrics(service: Service) -> str:
    with Client(service.operations_url) as client:
        return client.get("/metrics")[1]

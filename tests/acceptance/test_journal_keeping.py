"""A service that writes more than its store's memory holds goes on: what is on disk leaves it earlier.

Twice the memory is written within a minute, where entries are wanted for a day.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocs.adapters.reels.auditing import audit
from tests.acceptance.service import LONDON, Client, Service, run

pytestmark = pytest.mark.nightly

MAXMEMORY_MB = 64
ENTRY_BYTES = 570
SESSIONS = 90
# What is kept in any case, ten seconds, is a third of the memory.
EVENTS_PER_S = 3_500
UPDATES = 2 * MAXMEMORY_MB * 1_000_000 // ENTRY_BYTES // SESSIONS
# Nine accounts in ten of the sample have money.
SUBSCRIBERS = [f"4416329600{number:02}" for number in range(1, 100) if number % 10 != 7]


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    memory = {
        "OCS_STORE_MAXMEMORY_MB": str(MAXMEMORY_MB),
        "OCS_JOURNAL_PERIOD_S": "1",
        "OCS_JOURNAL_KEEP_S": "86400",
    }
    started = Service(folder / "var", "--port", "0", **memory)
    yield started
    started.sweep_away()


def step(kind: str, number: int) -> bytes:
    """One event of every session; those of an account follow one another in the next array."""
    return json.dumps(
        [
            {
                "record_type": f"{kind}_request",
                "session_id": f"session {session}",
                "request_number": number,
                "subscriber": SUBSCRIBERS[session % len(SUBSCRIBERS)],
                "called_number": LONDON,
                "used_units": 0,
                **({} if kind == "release" else {"requested_units": 30}),
            }
            for session in range(SESSIONS)
        ]
    ).encode()


def journal(service: Service) -> dict[str, float]:
    """What the metrics tell of the journal."""
    with Client(service.operations_url) as client:
        told = client.get("/metrics")[1]
    return {
        name: float(number)
        for name, number in re.findall(r"^ocs_journal_(\w+) (\S+)$", told, re.MULTILINE)
    }


def test_more_is_written_than_the_memory_holds(service: Service) -> None:
    with service.client() as client:
        for number in range(UPDATES + 2):
            kind = {0: "start", UPDATES + 1: "release"}.get(number, "update")
            due_s = time.monotonic() + SESSIONS / EVENTS_PER_S
            status, _, answers = client.exchange(step(kind, number))
            assert status == 200
            assert {answer["return_name"] for answer in answers} == {"OK"}, number
            time.sleep(max(0.0, due_s - time.monotonic()))
    found = journal(service)
    assert found["trimmed_total"] > 0
    assert found["keep_seconds"] < 100, "of a day"
    verified = run("verify", "--from-start", "--dir", str(service.directory))
    assert verified.returncode == 0, verified.stdout
    audited = audit(service.directory / "journal")
    assert audited.damages == ()
    assert audited.entries * ENTRY_BYTES > MAXMEMORY_MB * 1_000_000

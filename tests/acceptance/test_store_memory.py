"""A store that fills up: new calls are turned away first, and those that are open come to their end.

What fills it is a key of nobody's; the worker tells by its metrics that it has seen so.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import socket_path
from ocs.adapters.valkey.memory import store_memory
from ocs.usecases.ports import EMERGENCY
from tests.acceptance.bookkeeping import open_books, parked_in
from tests.acceptance.service import LONDON, SUBSCRIBER, Client, Service, run, until
from tests.adapters.store import take_memory

pytestmark = pytest.mark.slow

MAXMEMORY_MB = "64"
WHERE = {"subscriber": SUBSCRIBER, "called_number": LONDON}
MINUTE = {"requested_units": 60}


@pytest.fixture
def service(folder: Path) -> Iterator[Service]:
    started = Service(folder / "var", "--port", "0", OCS_STORE_MAXMEMORY_MB=MAXMEMORY_MB)
    yield started
    started.sweep_away()


class Filler:
    """Fills the store from outside."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._url = f"unix://{socket_path(service.directory / 'store')}"
        self._keys: list[str] = []

    async def fill(self, percent: int) -> None:
        async with Connection(self._url) as connection:
            memory = await store_memory(connection)
            # Half a per cent above: what clients' buffers take comes and goes.
            wanted = memory.limit_bytes * (2 * percent + 1) // 200 - memory.used_bytes
            self._keys += await take_memory(connection, f"filler:{percent}", wanted)
            assert (await store_memory(connection)).used_percent == percent

    async def take_away(self) -> None:
        async with Connection(self._url) as connection:
            await connection.execute("DEL", *self._keys)

    def until_seen(self, **shed: bool) -> None:
        """Wait until the worker sheds events of these kinds, or does not."""
        until(lambda: figures(self._service, "shedding") == shed, f"shedding {shed}")


def figures(service: Service, name: str) -> dict[str, float]:
    """A metric about the store's memory, by kind of event."""
    pattern = rf'^ocs_store_memory_{name}{{op="(\w+)"}} (\S+)$'
    found = re.findall(pattern, metrics(service), re.MULTILINE)
    return {kind: float(number) for kind, number in found}


def metrics(service: Service) -> str:
    with Client(service.operations_url) as client:
        return client.get("/metrics")[1]


class Asker:
    """Sends events one by one, or all together; each is of a call of its own."""

    def __init__(self, client: Client, *, in_array: bool) -> None:
        self._client = client
        self._in_array = in_array

    def outcomes(self, *events: dict[str, Any]) -> list[str]:
        return [answer["return_name"] for answer in self.answers(*events)]

    def answers(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        if self._in_array:
            status, _, answers = self._client.exchange(json.dumps(events).encode())
            assert (status, len(answers)) == (200, len(events))
            return list(answers)
        return [self._alone(event) for event in events]

    def _alone(self, event: dict[str, Any]) -> dict[str, Any]:
        status, headers, answer = self._client.exchange(json.dumps(event).encode())
        is_busy = answer["return_name"] == "TOO_BUSY"
        assert (status, headers["Retry-After"]) == ((503, "1") if is_busy else (200, None))
        return dict(answer)


def event(kind: str, session: str, number: int = 0, **fields: object) -> dict[str, Any]:
    head = {"record_type": f"{kind}_request", "session_id": session, "request_number": number}
    return {**WHERE, **head, **fields}


def update(session: str, number: int) -> dict[str, Any]:
    return event("update", session, number, used_units=60, **MINUTE)


def release(session: str, number: int) -> dict[str, Any]:
    return event("release", session, number, used_units=30)


def call_for_help(session: str) -> dict[str, Any]:
    return event("start", session, called_number="112", **MINUTE)


@pytest.mark.parametrize("in_array", [False, True], ids=["alone", "array"])
async def test_calls_that_are_open_come_to_their_end(service: Service, *, in_array: bool) -> None:
    filler = Filler(service)
    with service.client() as client:
        asker = Asker(client, in_array=in_array)
        ask = asker.outcomes
        begun = [event("start", session, **MINUTE) for session in ("a", "b", "c")]
        assert ask(*begun) == ["OK"] * 3

        await filler.fill(75)
        filler.until_seen(start=True, event=False)
        new, once = event("start", "new", **MINUTE), event("event", "once", **MINUTE)
        assert ask(new, begun[0], once) == ["TOO_BUSY", "TOO_BUSY", "OK"]
        goes_on = asker.answers(update("a", 1), update("b", 1), release("c", 1))
        assert [answer["granted_units"] for answer in goes_on] == [60, 60, 0]
        assert all(float(answer["cost"]["settled"]) > 0 for answer in goes_on)

        await filler.fill(90)
        filler.until_seen(start=True, event=True)
        twice = event("event", "twice", **MINUTE)
        assert ask(new, twice) == ["TOO_BUSY"] * 2
        delivered = event("event", "delivered", used_units=60)
        enquiries = [
            event("event", f"{action}-1", action=action, **MINUTE)
            for action in ("check_balance", "price_enquiry")
        ]
        assert ask(update("a", 2), delivered, *enquiries, release("b", 2)) == ["OK"] * 5
        assert ask(call_for_help("help-1")) == ["NOT_CHARGED"]
        topped_up = run("credit", "top-up", SUBSCRIBER, "1.00", "--dir", str(service.directory))
        assert topped_up.returncode == 0, topped_up.stderr
        assert client.get("/readyz")[0] == 200

        await filler.fill(104)
        for answer in asker.answers(update("a", 3), delivered | {"session_id": "more"}):
            assert answer["return_name"] == "TOO_BUSY"
            assert "used memory > 'maxmemory'" in answer["desc"]
        assert ask(new, call_for_help("help-2")) == ["TOO_BUSY", "NOT_CHARGED"]

        await filler.take_away()
        filler.until_seen(start=False, event=False)
        assert ask(new, twice, update("a", 3)) == ["OK"] * 3
        assert ask(begun[0]) == ["OK"], "a repeat, which was turned away"
        assert ask(release("a", 4), release("new", 1)) == ["OK"] * 2

    assert figures(service, "shed_events_total") == {"start": 4, "event": 1}
    books = await open_books(service.directory)
    charged = Counter(charge.session.session_id for charge in books.charges.values())
    calls, others = {"a": 5, "b": 3, "c": 2, "new": 2}, {"once": 1, "twice": 1, "delivered": 1}
    assert charged == calls | others
    until(lambda: "\nocs_emergency_waiting 0.0\n" in metrics(service), "the spool to be empty")
    helped = await parked_in(service.directory, EMERGENCY)
    assert Counter(call.session_id for call in helped) == {"help-1": 1, "help-2": 1}
    assert "% full: new calls and one-shot events are turned away" in service.log()
    assert "% full: nothing is turned away for it any more" in service.log()
    assert "Traceback" not in service.log()

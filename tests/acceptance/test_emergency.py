"""Emergency calls, whatever is dead; and free ones, which are something else.

The store is stopped, as if it hung, or killed while nobody starts it again: the process that would
is stopped too. Everybody else is told 503; a call for help is answered as on any other day, and is
in the store once when that is back.
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.ports import EMERGENCY
from tests.acceptance.bookkeeping import open_books, parked_in
from tests.acceptance.own_prices import Prices, write_configuration
from tests.acceptance.service import LONDON, SUBSCRIBER, Client, Service, until

pytestmark = pytest.mark.slow

LONGEST_S = 0.5
"""For an answer, on a busy machine; whoever waits for the store waits for `PATIENCE`."""
PATIENCE = {"OCS_CHARGING_TIME_LIMIT_MS": "1600"}

EVENTS = 1_000
"""Of one death: ten batches of the drain."""

Start = Callable[..., Service]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    services: list[Service] = []

    def start_one(*options: str, **environment: str) -> Service:
        service = Service(folder / "var", "--port", "0", *options, **environment)
        services.append(service)
        return service

    yield start_one
    for service in reversed(services):
        service.sweep_away()


@contextmanager
def hanging(service: Service) -> Iterator[None]:
    """The store is there and does not answer."""
    store = service.store()
    os.kill(store, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(store, signal.SIGCONT)


@contextmanager
def dead(service: Service) -> Iterator[None]:
    """The store is gone, and nobody starts it again."""
    service.signal(signal.SIGSTOP)
    try:
        os.kill(service.store(), signal.SIGKILL)
        yield
    finally:
        service.signal(signal.SIGCONT)


def help_event(kind: str, number: int, session: str = "help", **fields: object) -> dict[str, Any]:
    return {
        "record_type": f"{kind}_request",
        "session_id": session,
        "request_number": number,
        "called_number": "sip:112@example.com;user=phone",
        **fields,
    }


CALL = (
    help_event("start", 0, requested_units=60),
    help_event("update", 1, used_units=60, requested_units=60),
    help_event("update", 2, used_units=60),
    help_event("release", 3, used_units=15),
)
GRANTED = [60, 60, 3_600, 0]


def posted(client: Client, event: dict[str, Any]) -> dict[str, Any]:
    """Post a call for help: it is granted, and at once."""
    begun_s = time.monotonic()
    status, answer = client.post(json.dumps(event))
    assert time.monotonic() - begun_s < LONGEST_S
    assert (status, answer["return_name"]) == (200, "NOT_CHARGED")
    return answer


def figure(service: Service, name: str) -> float:
    with Client(service.operations_url) as client:
        lines = client.get("/metrics")[1].splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    return float(line.split()[-1])


def nothing_waits(service: Service) -> None:
    until(lambda: figure(service, "ocs_emergency_waiting") == 0, "the spool to be empty")


async def kept(service: Service) -> Counter[tuple[str, int | None]]:
    """What the stream holds, by session and request."""
    events = await parked_in(service.directory, EMERGENCY)
    return Counter((event.session_id, event.request_number) for event in events)


def once(*events: dict[str, Any]) -> dict[tuple[str, int], int]:
    return {(event["session_id"], event["request_number"]): 1 for event in events}


@pytest.mark.parametrize("away", [hanging, dead])
async def test_a_call_for_help_needs_no_store(start: Start, away: Callable[[Service], Any]) -> None:
    service = start(**PATIENCE)
    with service.client() as client, service.client() as other:
        with away(service):
            answers = [posted(client, event) for event in CALL]
            assert [answer["granted_units"] for answer in answers] == GRANTED
            ordinary = {"subscriber": SUBSCRIBER, "called_number": LONDON}
            status, refused = other.post(json.dumps(CALL[0] | ordinary | {"session_id": "a"}))
            assert status == 503, refused
            array = [CALL[0] | {"session_id": "in an array"}, CALL[0] | ordinary]
            _, _, (helped, turned_away) = other.exchange(json.dumps(array).encode())
            assert helped["return_name"] == "NOT_CHARGED"
            assert turned_away["return_name"] in {"TOO_BUSY", "OUTCOME_UNKNOWN"}
            assert client.get("/readyz")[0] == 503
            assert figure(service, "ocs_emergency_waiting") == 5
        nothing_waits(service)
        expected = once(*CALL, CALL[0] | {"session_id": "in an array"})
        assert await kept(service) == expected
        # A repeat has the same answer, and is known for one.
        assert [posted(client, event) for event in CALL] == answers
        nothing_waits(service)
        assert await kept(service) == expected
        assert other.event("start", "after", 0, requested_units=60)["granted_units"] == 60
    assert figure(service, 'ocs_emergency_events_total{outcome="answered"}') == 9
    assert figure(service, 'ocs_emergency_events_total{outcome="drained"}') == 9
    await open_books(service.directory)
    assert service.stop() == 0
    assert list((service.directory / "emergency").iterdir()) == []


def test_whoever_calls_for_help_and_however_is_answered(start: Start, folder: Path) -> None:
    prices = Prices(voice=("44,Britain,0.06,0.06,60,60,0,", "112,Not this one,,,,,,yes"))
    config = write_configuration(folder / "config", prices, {"441632960001": "0.00"})
    service = start("--config", str(config))
    with service.client() as client:
        for who in ({}, {"subscriber": "441632960001"}, {"subscriber": "nobody"}):
            for number in ("112", "tel:911", "urn:service:sos.fire"):
                posted(client, help_event("start", 0, called_number=number, **who))
        begun = posted(client, CALL[0])
        update = {name: CALL[1][name] for name in CALL[1] if name != "called_number"}
        posted(client, update | {"session_ref": begun["session_ref"]})
        status, refused = client.post(json.dumps(help_event("start", 0, called_number="113")))
        assert (status, refused["field"]) == (400, "subscriber")
    assert service.stop() == 0


def answered_again(service: Service, event: dict[str, Any]) -> None:
    """By a successor, which has to come up first."""
    with service.client() as client:
        assert client.post(json.dumps(event))[1]["return_name"] == "NOT_CHARGED"


def kill_worker(service: Service) -> None:
    (worker,) = service.workers()
    os.kill(worker, signal.SIGKILL)
    until(lambda: set(service.workers()) - {worker}, "a successor")


@pytest.mark.parametrize("strike", ["before it drains", "while it drains"])
async def test_the_death_of_a_worker_loses_none_and_doubles_none(start: Start, strike: str) -> None:
    service = start(**PATIENCE)
    sent: list[dict[str, Any]] = []
    for number in range(2):
        with hanging(service), service.client() as client:
            for n in range(EVENTS):
                sent.append(help_event("update", n, f"r{number}", used_units=1))
                posted(client, sent[-1])
            if strike == "before it drains":
                kill_worker(service)
                answered_again(service, sent[-1])  # before the store is there
        if strike == "while it drains":
            until(
                lambda: figure(service, "ocs_emergency_waiting") < EVENTS, "a batch to be drained"
            )
            kill_worker(service)
            answered_again(service, sent[-1])
        nothing_waits(service)
        left = figure(service, 'ocs_emergency_events_total{outcome="drained"}')
        print(f"round {number}: the successor put in {left:.0f} of {EVENTS}")
        assert await kept(service) == once(*sent)
    await open_books(service.directory)


async def test_what_a_killed_service_left_is_drained_at_the_next_start(start: Start) -> None:
    service = start("--workers", "2")
    clients = [service.client() for _ in range(8)]
    os.kill(service.store(), signal.SIGSTOP)
    for number, client in enumerate(clients):
        posted(client, help_event("start", 0, f"s{number}"))
        client.__exit__(None, None, None)
    for process in (*service.workers(), service.store()):
        os.kill(process, signal.SIGKILL)
    service.process.kill()
    service.end()
    assert len(list((service.directory / "emergency").iterdir())) in {1, 2}
    successor = start("--workers", "1")
    nothing_waits(successor)
    assert await kept(successor) == {(f"s{number}", 0): 1 for number in range(8)}


def test_a_service_that_drains_still_answers(start: Start) -> None:
    service = start(OCS_SERVER_DRAIN_DELAY_S="2")
    with service.client() as client:
        posted(client, CALL[0])
        service.signal(signal.SIGTERM)
        until(lambda: client.get("/readyz")[0] == 503, "the drain")
        posted(client, CALL[1])
    assert service.end() == 0
    assert list((service.directory / "emergency").iterdir()) == []


# --- What is merely free --------------------------------------------------------------------------


def test_a_free_destination_needs_no_money_but_the_store(start: Start, folder: Path) -> None:
    prices = Prices(voice=("44,Britain,0.06,0.06,60,60,0,",))
    config = write_configuration(folder / "config", prices, {"441632960001": "0.00"})
    text = config.read_text(encoding="utf-8")
    text = text.replace("free_prefixes = []", 'free_prefixes = ["44800"]')
    config.write_text(text, encoding="utf-8")
    service = start("--config", str(config), **PATIENCE)
    free = {"called_number": "448001111", "subscriber": "441632960001"}
    call = [event | free | {"session_id": "free"} for event in CALL]
    with service.client() as client:
        status, refused = client.post(json.dumps(call[0] | {"called_number": LONDON}))
        assert (status, refused["return_name"]) == (402, "NO_CREDIT")
        names = ("NOT_CHARGED", "NOT_CHARGED", "NOT_CHARGED", "OK")  # a release asks for nothing
        for event, granted, name in zip(call, (60, 60, 300, 0), names, strict=True):
            status, answer = client.post(json.dumps(event | {"session_id": "call"}))
            assert (status, answer["return_name"]) == (200, name)
            assert answer["granted_units"] == granted
            assert answer["cost"] == {"settled": "0.00", "total": "0.00", "currency": "EUR"}
            assert answer["balance"] == {"available": "0.00", "held": "0.00", "currency": "EUR"}
        with hanging(service):
            status, answer = client.post(json.dumps(call[0] | {"session_id": "later"}))
            assert (status, answer["return_code"] < 0) == (503, True)
    assert service.stop() == 0

"""What becomes of a request: a table of outcomes, to be read as a specification.

Each case is one session of one subscriber, posted to a real service on a real store. The words of
the lines are explained in `outcome_language`. Prices, in EUR:

    minute     0.06 a minute, by 60/60                second   0.06 a minute, by 1/1
    fee        0.01, then 0.06 a minute by 30/6       data     0.06 for 60 units, by 1/1
    blocked    the tariff blocks it                   unpriced no tariff has it
"""

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Struct

from ocs.adapters.valkey.embedded import EmbeddedStore
from tests.acceptance.bookkeeping import parked_in
from tests.acceptance.outcome_language import NUMBERS, Case, Place
from tests.acceptance.own_prices import Prices, write_configuration
from tests.acceptance.service import Client, Service

pytestmark = pytest.mark.slow

PRICES = Prices(
    voice=(
        "44,By the minute,0.06,0.06,60,60,0,",
        "34,By the second,0.06,0.06,1,1,0,",
        "33,With a fee,0.06,0.06,30,6,0.01,",
        "53,Blocked,,,,,,yes",
    ),
    data=("*,Internet,0.06,0.06,1,1,0,",),
)


class Told(Struct, frozen=True):
    """A case: what is in the wallet, what kind of use, and the lines."""

    lines: str
    wallet: str = "1.00"
    usage_type: str = "voice"


TABLE = {
    # --- Use --------------------------------------------------------------------------------------
    "a call, as it should be": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        update  1 used 60 asks 60 -> 200 OK granted 60 settled 0.06               | 0.88 held 0.06
        release 2 used 15         -> 200 OK settled 0.06                          | 0.88 held 0.00
    """),
    "use above the grant is settled whole": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        update  1 used 130 asks 0 -> 200 OK settled 0.18                          | 0.82 held 0.00
        update  2 used 0 asks 50  -> 200 OK granted 50                            | 0.82 held 0.00
        release 3 used 60         -> 200 OK settled 0.06                          | 0.76 held 0.00
    """),
    "use above the balance is settled too, and told": Told(
        """
        start   0 asks 60         -> 200 OK granted 60 final                      | 0.02 held 0.06
        release 1 used 180        -> 200 OK settled 0.18 overrun 0.10             | -0.10 held 0.00
    """,
        wallet="0.08",
    ),
    "what does not buy all that is asked buys what it can": Told(
        """
        start   0 asks 60 to second -> 200 OK granted 50 final                    | 0.00 held 0.05
        update  1 used 50 asks 60 to second -> 402 NO_CREDIT settled 0.05         | 0.00 held 0.00
        release 2 used 0 to second  -> 200 OK                                     | 0.00 held 0.00
    """,
        wallet="0.05",
    ),
    # --- Orders that are not the usual one --------------------------------------------------------
    "a release without a start settles its use": Told("""
        release 1 used 60         -> 200 OK settled 0.06                          | 0.94 held 0.00
        release 1 used 60         -> 200 OK settled 0.06 hit                      | 0.94 held 0.00
    """),
    "a release without a start and without use; its start comes after it": Told("""
        release 1 used 0          -> 404 UNKNOWN_SESSION                          | 1.00 held 0.00
        start   0 asks 60         -> 410 SESSION_CLOSED                           | 1.00 held 0.00
    """),
    "an update without a start opens the session": Told("""
        update  1 used 30 asks 60 -> 200 OK granted 60 settled 0.06               | 0.88 held 0.06
        release 2 used 60         -> 200 OK settled 0.06                          | 0.88 held 0.00
    """),
    "an update after the release is settled, and granted nothing": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        release 1 used 60         -> 200 OK settled 0.06                          | 0.94 held 0.00
        update  2 used 60 asks 60 -> 410 SESSION_CLOSED settled 0.06              | 0.88 held 0.00
        release 3 used 0          -> 410 SESSION_CLOSED                           | 0.88 held 0.00
    """),
    "an update after the session expired is settled, and may go on": Told(
        """
        start   0 asks 500          -> 200 OK granted 500                         | 0.50 held 0.50
        silence
        update  1 used 400 asks 100 -> 200 OK granted 100 settled 0.40            | 0.50 held 0.10
        release 2 used 100          -> 200 OK settled 0.10                        | 0.50 held 0.00
    """,
        usage_type="data",
    ),
    "a second start is the same start again": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        start   1 asks 60         -> 200 OK granted 60 hit names #0               | 0.94 held 0.06
        release 2 used 0          -> 200 OK                                       | 1.00 held 0.00
    """),
    "a second start that asks for something else": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        start   1 asks 90         -> 409 CONFLICT granted 60 names #0             | 0.94 held 0.06
    """),
    # --- Sent again -------------------------------------------------------------------------------
    "the same request again": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        start   0 asks 60         -> 200 OK granted 60 hit                        | 0.94 held 0.06
        update  1 used 60 asks 60 -> 200 OK granted 60 settled 0.06               | 0.88 held 0.06
        update  1 used 60 asks 60 -> 200 OK granted 60 settled 0.06 hit           | 0.88 held 0.06
        start   0 asks 60         -> 200 OK granted 60 hit                        | 0.94 held 0.06
        release 2 used 60         -> 200 OK settled 0.06                          | 0.88 held 0.00
        release 2 used 60         -> 200 OK settled 0.06 hit                      | 0.88 held 0.00
        update  1 used 60 asks 60 -> 409 REPEAT_EXPIRED                           | 0.88 held 0.00
    """),
    "the same number with one second more": Told("""
        start   0 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
        update  1 used 50 asks 60 -> 200 OK granted 60 settled 0.06               | 0.88 held 0.06
        update  1 used 51 asks 60 -> 409 CONFLICT granted 60 settled 0.06         | 0.88 held 0.06
        update  2 used 1 asks 60  -> 200 OK granted 60                            | 0.88 held 0.06
    """),
    "the same request with a new event_time": Told("""
        start   0 asks 60 aged 30         -> 200 OK granted 60                    | 0.94 held 0.06
        start   0 asks 60 aged 20         -> 200 OK granted 60 hit                | 0.94 held 0.06
        update  1 used 10 asks 60 aged 10 -> 200 OK granted 60 settled 0.06       | 0.88 held 0.06
        update  1 used 10 asks 60 aged 0  -> 200 OK granted 60 settled 0.06 hit   | 0.88 held 0.06
    """),
    # --- Refused ----------------------------------------------------------------------------------
    "a release after the refusal": Told(
        """
        start   0 asks 60         -> 402 NO_CREDIT                                | 0.05 held 0.00
        release 1 used 0          -> 200 OK                                       | 0.05 held 0.00
    """,
        wallet="0.05",
    ),
    "a release after the refusal, of a call that took place all the same": Told(
        """
        start   0 asks 60         -> 402 NO_CREDIT                                | 0.05 held 0.00
        release 1 used 5          -> 200 OK settled 0.06 overrun 0.01             | -0.01 held 0.00
    """,
        wallet="0.05",
    ),
    "a top-up: the refused number stays refused, a new one is granted": Told(
        """
        start   0 asks 60         -> 402 NO_CREDIT                                | 0.00 held 0.00
        top-up 1.00
        start   0 asks 60         -> 402 NO_CREDIT hit                            | 0.00 held 0.00
        start   1 asks 60         -> 200 OK granted 60                            | 0.94 held 0.06
    """,
        wallet="0.00",
    ),
    # --- Nobody answers ---------------------------------------------------------------------------
    "nobody answers: no fee": Told("""
        start   0 asks 60 to fee   -> 200 OK granted 60                           | 0.93 held 0.07
        release 1 used 0 to fee    -> 200 OK                                      | 1.00 held 0.00
    """),
    "somebody answers and hangs up: the fee": Told("""
        start   0 asks 60 to fee   -> 200 OK granted 60                           | 0.93 held 0.07
        release 1 used 0 answered to fee -> 200 OK settled 0.01                   | 0.99 held 0.00
    """),
    # --- No price ---------------------------------------------------------------------------------
    "no rate": Told("""
        start   0 asks 60 to unpriced         -> 422 NO_RATE                      | 1.00 held 0.00
        update  1 used 60 asks 60 to unpriced -> 422 NO_RATE parked               | 1.00 held 0.00
        release 2 used 60 to unpriced         -> 422 NO_RATE parked               | 1.00 held 0.00
        release 3 used 0 to unpriced          -> 422 NO_RATE                      | 1.00 held 0.00
    """),
    "a blocked destination": Told("""
        start   0 asks 60 to blocked          -> 403 RATE_BLOCKED                 | 1.00 held 0.00
        update  1 used 60 asks 60 to blocked  -> 403 RATE_BLOCKED parked          | 1.00 held 0.00
    """),
}
SUBSCRIBERS = {name: f"4920{number:03d}" for number, name in enumerate(TABLE)}
BLOCKED, UNTOUCHED, NOBODY = "4920998", "4920999", "4921000"


class Running(Struct, frozen=True):
    service: Service
    place: Place


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        folder = Path(name)
        wallets = {SUBSCRIBERS[case]: told.wallet for case, told in TABLE.items()}
        wallets |= {BLOCKED: "1.00", UNTOUCHED: "1.00"}
        config = write_configuration(folder / "config", PRICES, wallets, validity_s=1)
        options = ("--config", str(config), "--port", "0")
        service = Service(folder / "var", *options, OCS_LEDGER_SWEEP_PERIOD_S="1")
        try:
            yield Running(service, Place(config, service.directory))
        finally:
            service.sweep_away()


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with running.service.client() as client:
        yield client


@pytest.mark.parametrize("name", TABLE)
def test_outcome(name: str, running: Running, client: Client) -> None:
    told = TABLE[name]
    Case(client, running.place, SUBSCRIBERS[name], told.usage_type).play(told.lines)


# --- Who is not there, or may not -----------------------------------------------------------------


def event(kind: str = "start", number: int = 0, **fields: object) -> dict[str, object]:
    return {
        "record_type": f"{kind}_request",
        "session_id": "a-call",
        "request_number": number,
        "subscriber": NOBODY,
        "called_number": NUMBERS["minute"],
        **fields,
    }


def test_use_of_nobody_is_kept_once_for_somebody_to_claim(running: Running, client: Client) -> None:
    asked = [
        event("start", 0, requested_units=60),
        event("update", 1, used_units=60, requested_units=60),
        event("update", 1, used_units=60, requested_units=60),
        event("release", 2, used_units=7),
        event("release", 2, used_units=7),
        event("release", 3, used_units=0),
    ]
    told = [client.post(json.dumps(each)) for each in asked]
    assert {(status, answer["return_name"]) for status, answer in told} == {
        (404, "UNKNOWN_SUBSCRIBER")
    }
    settled = [answer.get("settled", True) for _, answer in told]
    assert settled == [True, False, False, False, False, True]
    assert all("transaction_id" not in answer for _, answer in told)
    parked = asyncio.run(parked_in(running.place.directory))
    assert [p.used_units for p in parked if p.subscriber == NOBODY] == [60, 7]


def test_use_without_a_price_is_kept_once_each(running: Running, client: Client) -> None:
    """What the table says of `parked`: three reports, and each of them twice."""
    who = SUBSCRIBERS["a call, as it should be"]
    for destination in ("unpriced", "blocked"):
        number = NUMBERS[destination]
        for used in (11, 12, 11):
            report = event("update", used, subscriber=who, called_number=number, used_units=used)
            status, answer = client.post(json.dumps(report | {"session_id": destination}))
            assert (status, answer["settled"]) == (
                {"unpriced": 422, "blocked": 403}[destination],
                False,
            )
    parked = asyncio.run(parked_in(running.place.directory))
    for destination in ("unpriced", "blocked"):
        assert [p.used_units for p in parked if p.session_id == destination] == [11, 12]


def test_a_blocked_account_pays_for_what_it_used_and_gets_nothing_more(
    running: Running, client: Client
) -> None:
    place = running.place
    case = Case(client, place, BLOCKED, "voice")
    case.play("start 0 asks 60 -> 200 OK granted 60 | 0.94 held 0.06")
    place.run("account", "block", BLOCKED)
    case.play("""
        update  1 used 60 asks 60 -> 403 SUBSCRIBER_BLOCKED settled 0.06          | 0.94 held 0.00
        update  1 used 60 asks 60 -> 403 SUBSCRIBER_BLOCKED settled 0.06 hit      | 0.94 held 0.00
    """)
    place.run("account", "unblock", BLOCKED)
    case.play("""
        update  2 used 0 asks 60  -> 200 OK granted 60                            | 0.88 held 0.06
        release 3 used 60         -> 200 OK settled 0.06                          | 0.88 held 0.00
    """)


# --- What is no event -----------------------------------------------------------------------------

GOOD = event(subscriber="4920000", session_id="never")


def body(**fields: object) -> bytes:
    return json.dumps(GOOD | fields).encode()


NESTED = b"[" * 20_000 + b"]" * 20_000
NO_EVENTS = [
    ("a text for a number", body(used_units="sixty"), 400, "used_units"),
    ("a truth for a number", body(used_units=True), 400, "used_units"),
    ("a number for a text", body(session_id=5), 400, "session_id"),
    ("a list for a number", body(requested_units=[]), 400, "requested_units"),
    ("an object for a text", body(called_number={}), 400, "called_number"),
    ("a fraction of a request", body(request_number=1.5), 400, "request_number"),
    ("units below zero", body(used_units=-1), 400, "used_units"),
    ("more units than can be counted", body(used_units=2**53), 400, "used_units"),
    ("a name that is too long", body(session_id="x" * 256), 400, "session_id"),
    ("a verb that is none", body(record_type="begin_request"), 400, "record_type"),
    ("a time that is none", body(event_time="yesterday"), 400, "event_time"),
    ("no session", body(session_id=None), 400, "session_id"),
    ("no request number", body(request_number=None), 400, "request_number"),
    ("nobody", body(subscriber=None), 400, "subscriber"),
    ("a text", b'"start"', 400, "body"),
    ("nothing", b"", 400, "body"),
    ("half an event", body()[:-20], 400, "body"),
    ("no UTF-8", body(trunk="?").replace(b"?", b"\xff"), 400, "body"),
    ("deep JSON in a field", body()[:-1] + b',"note":' + NESTED + b"}", 400, "body"),
    ("deep JSON and nothing else", b'{"a":' * 10_000, 400, "body"),
    ("a field of 17 levels", body(note=json.loads("[" * 17 + "]" * 17)), 400, "note"),
    ("an event of 1 MB", body(note="x" * 2**20), 413, "body"),
    ("an array of more than 1 MB", b"[" + body(note="x" * 2**20) + b"]", 413, "body"),
    ("an array of 1,001", b"[" + b",".join([body()] * 1_001) + b"]", 413, "body"),
]


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [case[1:] for case in NO_EVENTS],
    ids=[case[0] for case in NO_EVENTS],
)
def test_no_event(client: Client, sent: bytes, status: int, field: str) -> None:
    told, _, answer = client.exchange(sent)
    name = {400: "INVALID_EVENT", 413: "TOO_LARGE"}[status]
    assert (told, answer["return_name"], answer["field"]) == (status, name, field)
    assert "transaction_id" not in answer
    # The connection is as good as before, and nothing has come of it.
    dry = body(dry_run=True, subscriber=UNTOUCHED, session_id="after", requested_units=60)
    told, _, answer = client.exchange(dry)
    assert (told, answer["return_name"]) == (200, "OK")
    assert answer["balance"] == {"available": "0.94", "held": "0.06", "currency": "EUR"}


def test_a_dry_run_explains_its_price(client: Client) -> None:
    asked = {"dry_run": True, "explain": True, "subscriber": UNTOUCHED, "session_id": "why"}
    status, _, answer = client.exchange(body(**asked, requested_units=61))
    explanation = answer["explanation"]
    assert (status, explanation["units"], explanation["currency"]) == (200, 61, "EUR")
    steps = [step for part in explanation["parts"] for step in part["steps"]]
    assert sum(Decimal(step["amount"]) for step in steps) == Decimal(explanation["total"])
    assert answer["balance"]["held"] == explanation["total"]
    services = [{"rating_group": group, "requested_units": 60 * group} for group in (1, 2)]
    status, _, answer = client.exchange(body(**asked, services=services))
    totals = [Decimal(service["explanation"]["total"]) for service in answer["services"]]
    assert (status, totals[1]) == (200, 2 * totals[0])
    status, _, answer = client.exchange(body(**(asked | {"dry_run": False})))
    assert (status, answer["field"]) == (400, "explain")


# --- The store is away ----------------------------------------------------------------------------


@pytest.fixture
def away(own_server: EmbeddedStore) -> Iterator[Service]:
    """A service on a store that is ours to stop."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as name:
        folder = Path(name)
        config = write_configuration(folder / "config", PRICES, {UNTOUCHED: "1.00"})
        options = ("--config", str(config), "--port", "0")
        service = Service(folder / "var", *options, OCS_STORE_URL=own_server.url)
        try:
            yield service
        finally:
            service.sweep_away()


def call(kind: str, number: int, **units: int) -> bytes:
    return json.dumps(event(kind, number, subscriber=UNTOUCHED, **units)).encode()


UNANSWERED = {-11, -12}
"""TOO_BUSY and OUTCOME_UNKNOWN in `return_codes.ini`."""


def settled_and_left(client: Client, sent: bytes) -> tuple[int, str, str, str]:
    """Send until it is answered, as a client does."""
    while True:
        status, _, answer = client.exchange(sent)
        if status != 503:
            return (
                status,
                answer["return_name"],
                answer["cost"]["settled"],
                answer["balance"]["available"],
            )


def test_the_store_is_stopped(away: Service, own_server: EmbeddedStore) -> None:
    with away.client() as client:
        assert client.exchange(call("start", 0, requested_units=60))[0] == 200
        own_server.stop()
        update = call("update", 1, used_units=60, requested_units=60)
        for _ in range(2):
            status, headers, answer = client.exchange(update)
            assert (status, answer["return_name"]) == (503, "TOO_BUSY")
            assert headers["Retry-After"] == "1"
            assert "transaction_id" not in answer
        own_server.start()
        own_server.wait_ready(20)
        assert settled_and_left(client, update) == (200, "OK", "0.06", "0.88")
        assert settled_and_left(client, update) == (200, "OK", "0.06", "0.88")


def test_the_store_hangs(away: Service, own_server: EmbeddedStore) -> None:
    """It is answered while the store hangs, so within the time limit, and what it did is found."""
    assert own_server.pid
    with away.client() as client:
        assert client.exchange(call("start", 0, requested_units=60))[0] == 200
        update = call("update", 1, used_units=60, requested_units=60)
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            status, headers, answer = client.exchange(update)
            assert (status, answer["return_name"]) == (503, "OUTCOME_UNKNOWN")
            assert headers["Retry-After"] == "1"
            status, _, answer = client.exchange(call("start", 7, requested_units=60))
            assert (status, answer["return_name"]) == (503, "TOO_BUSY")
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert settled_and_left(client, update) == (200, "OK", "0.06", "0.88")
        release = call("release", 2, used_units=0)
        assert settled_and_left(client, release) == (200, "OK", "0.00", "0.94")


def test_the_store_hangs_in_the_middle_of_an_array(
    away: Service, own_server: EmbeddedStore
) -> None:
    """It too is answered in time, however many events are in it, and each can be sent again."""
    assert own_server.pid
    starts = [
        event("start", 0, subscriber=UNTOUCHED, requested_units=1) | {"session_id": f"call-{n}"}
        for n in range(500)
    ]
    sent = json.dumps(starts).encode()
    with away.client() as client:
        assert client.exchange(call("start", 0, requested_units=60))[0] == 200
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            _, _, answers = client.exchange(sent)
        finally:
            os.kill(own_server.pid, signal.SIGCONT)
        assert {answer["return_name"] for answer in answers} == {"OUTCOME_UNKNOWN", "TOO_BUSY"}
        while any(answer["return_code"] in UNANSWERED for answer in answers):
            _, _, answers = client.exchange(sent)
        granted = [answer["granted_units"] for answer in answers]
        # 0.94 buys fifteen sessions a minute each.
        assert sum(granted) == 15
        assert answers[-1]["balance"]["held"] == "0.96"

"""Over HTTP, on a real store: one-shot events of every action, messages in two steps, and answers
that tell a client more than how much it may use.

Every request is posted twice: what moves money answers the same bytes again.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.bookkeeping import open_books
from tests.acceptance.service import LONDON, SUBSCRIBER, Client, Service, with_own_tariffs

pytestmark = pytest.mark.slow

TEXTS = (
    "# currency = EUR\n# usage_type = sms\n# model = flat\nprefix,destination,price\n44,UK,0.05\n"
)
AHEAD_S = 300


def data_prices(switch: datetime) -> str:
    return (
        "# currency = EUR\n# usage_type = data\n# per = 60\n"
        "prefix,destination,price_1,price_n,interval_1,interval_n,valid_from,valid_to\n"
        f"*,Internet,0.06,0.06,60,60,,{switch.isoformat()}\n"
        f"*,Internet,0.12,0.12,60,60,{switch.isoformat()},\n"
    )


@contextmanager
def served(folder: Path, **options: str) -> Iterator[Service]:
    """Serve 10.00 EUR of the sample subscriber, with these options in the configuration."""
    file = with_own_tariffs(folder / "config")
    tariffs = file.parent / "tariffs"
    switch = datetime.fromtimestamp(int(time.time()), UTC) + timedelta(seconds=AHEAD_S)
    (tariffs / "texts.csv").write_text(TEXTS, encoding="utf-8")
    (tariffs / "bytes.csv").write_text(data_prices(switch), encoding="utf-8")
    text = file.read_text(encoding="utf-8")
    for name, value in ({"tariffs": '["a-z", "texts", "bytes"]'} | options).items():
        lines = text.splitlines()
        places = [at for at, line in enumerate(lines) if line.startswith(f"{name} = ")]
        lines[places[-1]] = f"{name} = {value}"
        text = "\n".join(lines)
    file.write_text(text, encoding="utf-8")
    service = Service(folder / "var", "--port", "0", "--config", str(file))
    try:
        yield service
    finally:
        service.sweep_away()


def posted(client: Client, kind: str, number: int, **fields: object) -> tuple[int, Any]:
    """Post a message to London twice; both answers must be the same, to the byte."""
    event = {
        "record_type": f"{kind}_request",
        "session_id": "m1",
        "request_number": number,
        "subscriber": SUBSCRIBER,
        "called_number": LONDON,
        "usage_type": "sms",
        **fields,
    }
    body = json.dumps(event).encode()
    first, again = client.exchange(body), client.exchange(body)
    assert (first[0], first[2]) == (again[0], again[2])
    moves = "transaction_id" in first[2]
    hits = [answer[1].get("Idempotency-Hit") for answer in (first, again)]
    assert hits == [None, "true" if moves else None]
    return first[0], first[2]


def available(client: Client) -> str:
    status, answer = posted(client, "event", 99, action="check_balance", requested_units=1)
    assert (status, answer["enough_credit"]) == (200, True)
    return str(answer["balance"]["available"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("a")) as service:
        yield service


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as client:
        yield client


def test_a_debit_is_refunded_by_its_transaction(service: Service, client: Client) -> None:
    before = available(client)
    status, paid = posted(client, "event", 0, session_id="paid")
    assert (status, paid["cost"]["settled"]) == (200, "0.05")
    status, back = posted(
        client, "event", 1, session_id="paid", action="refund", reverses=paid["transaction_id"]
    )
    assert (status, back["return_name"]) == (200, "OK")
    assert back["cost"] == {"settled": "-0.05", "total": "-0.05", "currency": "EUR"}
    assert "balance" not in back
    assert available(client) == before
    status, other = posted(client, "event", 2, action="refund", reverses="000-1-1")
    assert (status, other["return_name"]) == (404, "UNKNOWN_SESSION")
    assert service.process.poll() is None


@pytest.mark.parametrize(("units", "enough"), [(200, True), (201, False)])
def test_a_balance_check(client: Client, units: int, enough: bool) -> None:
    status, answer = posted(client, "event", 0, action="check_balance", requested_units=units)
    assert (status, answer["return_name"], answer["enough_credit"]) == (200, "OK", enough)
    assert answer["balance"] == {"available": "10.00", "held": "0.00", "currency": "EUR"}
    assert "transaction_id" not in answer


def test_a_price_enquiry(client: Client) -> None:
    status, answer = posted(client, "event", 0, requested_action=3, requested_units=1_000)
    assert (status, answer["return_name"]) == (200, "OK")
    assert answer["cost"] == {"settled": "0.00", "total": "50.00", "currency": "EUR"}
    assert answer["rating"]["tariff"] == "texts"
    assert available(client) == "10.00"


def test_a_refund_without_a_transaction_is_not_permitted(client: Client) -> None:
    status, answer = posted(client, "event", 0, action="refund", requested_units=1)
    assert (status, answer["return_name"], answer["field"]) == (400, "INVALID_EVENT", "reverses")


@pytest.mark.parametrize(("used", "cost"), [(1, "0.05"), (0, "0.00")])
def test_a_message_in_two_steps(client: Client, used: int, cost: str) -> None:
    session = f"two-steps-{used}"
    _, begun = posted(client, "start", 0, session_id=session, requested_units=1)
    assert (begun["granted_units"], begun["balance"]["held"]) == (1, "0.05")
    status, ended = posted(client, "release", 1, session_id=session, used_units=used)
    assert (status, ended["cost"]["settled"], ended["balance"]["held"]) == (200, cost, "0.00")
    posted(
        client, "event", 2, session_id=session, action="refund", reverses=ended["transaction_id"]
    )
    assert available(client) == "10.00"


def test_data_is_told_when_its_price_changes(client: Client) -> None:
    data: dict[str, object] = {"usage_type": "data", "session_id": "d1", "requested_units": 120}
    _, begun = posted(client, "start", 0, **data)
    change_s = begun["tariff_time_change"]
    assert 0 < change_s - time.time() <= AHEAD_S
    assert begun["balance"]["held"] == "0.24"
    event_time = change_s + 1
    parts = [{"units": 60, "when": "before"}, {"units": 60, "when": "after"}]
    _, ended = posted(
        client,
        "release",
        1,
        usage_type="data",
        session_id="d1",
        event_time=event_time,
        services=[{"used": parts}],
    )
    assert ended["cost"]["settled"] == "0.18"
    posted(client, "event", 2, session_id="d1", action="refund", reverses=ended["transaction_id"])
    assert available(client) == "10.00"


async def test_the_books_of_all_this_are_right(service: Service, client: Client) -> None:
    posted(client, "event", 0, session_id="last")
    books = await open_books(service.directory)
    assert books.left[SUBSCRIBER] == 9_950_000


def test_a_generous_plan(folder: Path) -> None:
    options = {
        "refunds": '"any"',
        "retry_after_s": "7",
        "final_unit_action": '"redirect"',
        "redirect_address": '"https://pay.example/"',
        "threshold_units": "{ sms = 10 }",
        "maximum_units": "{ sms = 1000 }",
        "failure_handling": '"retry_and_terminate"',
    }
    with served(folder, **options) as service, service.client() as client:
        _, back = posted(client, "event", 0, action="refund", requested_units=2)
        assert (back["cost"]["settled"], available(client)) == ("-0.10", "10.10")
        _, back = posted(client, "event", 1, action="refund", amount="1.50")
        assert (back["cost"]["settled"], available(client)) == ("-1.50", "11.60")
        _, begun = posted(client, "start", 0, session_id="s", requested_units=100)
        assert (begun["quota_threshold"], begun["final_unit"]) == (10, False)
        assert begun["failure_handling"] == "RETRY_AND_TERMINATE"
        _, last = posted(client, "update", 1, session_id="s", used_units=100, requested_units=900)
        assert "quota_threshold" not in last
        assert (last["granted_units"], last["final_unit"]) == (132, True)
        assert last["final_unit_action"] == "REDIRECT"
        assert last["redirect_address"] == "https://pay.example/"
        status, none = posted(client, "start", 0, session_id="t", requested_units=1)
        assert (status, none["final_unit_action"]) == (402, "REDIRECT")

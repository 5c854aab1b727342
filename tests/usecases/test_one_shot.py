"""One-shot events that are no debit, on both ledgers: what they answer, and that they move nothing
twice, or nothing at all.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from ocs.domain.events import Action, Event, ServiceUse
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Bucket, BucketKind
from ocs.usecases.answer import Answer
from ocs.usecases.ports import LedgerUnavailable, ReverseCall, ReverseReply
from tests.adapters.calls import NOW_MS
from tests.adapters.ledgers import Bench
from tests.domain.decks import deck, generation
from tests.usecases.charging_desk import ALICE, CENT, EUR, PRICES, Desk, told

DAY_MS = 86_400_000


@pytest.fixture
async def desk(bench: Bench) -> AsyncIterator[Desk]:
    await bench.set_now(NOW_MS)
    desk = Desk(bench.ledger)
    await desk.open(EUR)
    yield desk
    await bench.check(ALICE)


@pytest.fixture
async def generous(bench: Bench) -> AsyncIterator[Desk]:
    """Refunds without a transaction are permitted."""
    await bench.set_now(NOW_MS)
    desk = Desk(bench.ledger, refunds_any=True)
    await desk.open(EUR)
    yield desk
    await bench.check(ALICE)


def one_shot(action: Action, number: int, *uses: ServiceUse, **fields: Any) -> Event:
    fields = {"session_id": "m1", "usage_type": "sms", "action": action} | fields
    return told("event", number, *(uses or (ServiceUse("0", 0, None),)), **fields)


def check(number: int, asks: int | None = None, **fields: Any) -> Event:
    return one_shot(Action.CHECK_BALANCE, number, ServiceUse("0", 0, asks), **fields)


def enquiry(number: int, asks: int | None = None, **fields: Any) -> Event:
    return one_shot(Action.PRICE_ENQUIRY, number, ServiceUse("0", 0, asks), **fields)


def refund(number: int, asks: int | None = 0, **fields: Any) -> Event:
    return one_shot(Action.REFUND, number, ServiceUse("0", 0, asks), **fields)


def debit(number: int, asks: int = 1, **fields: Any) -> Event:
    return one_shot(Action.DIRECT_DEBIT, number, ServiceUse("0", 0, asks), **fields)


def amounts(answer: Answer) -> tuple[int, int]:
    """Settled and total."""
    (service,) = answer.services
    return service.settled_amount, service.total_amount


# --- Balance check -------------------------------------------------------------------------------


@pytest.mark.parametrize(("asks", "enough"), [(660, True), (661, False)])
async def test_a_balance_check_says_whether_units_could_be_paid(
    desk: Desk, asks: int, enough: bool
) -> None:
    answer = await desk.charge(check(0, asks))
    assert (answer.code, answer.enough_credit) == (ResultCode.OK, enough)
    assert (answer.available_amount, answer.transaction_id) == (EUR, "")
    assert (amounts(answer), answer.services[0].granted_units) == ((0, 0), 0)
    assert await desk.main() == (EUR, 0)


async def test_a_balance_check_is_answered_by_the_state_of_its_time(desk: Desk) -> None:
    asked = check(0, 660)
    assert (await desk.charge(asked)).enough_credit
    await desk.charge(debit(1))
    later = await desk.charge(asked)
    assert (later.enough_credit, later.hit, later.available_amount) == (False, False, 91 * CENT)


async def test_a_balance_check_leaves_its_request_number_free(desk: Desk) -> None:
    await desk.charge(check(0, 1))
    assert (await desk.charge(debit(0))).code is ResultCode.OK
    conflict = await desk.charge(check(0, 1))
    assert (conflict.code, conflict.enough_credit) == (ResultCode.CONFLICT, None)


async def test_what_is_free_can_always_be_paid(desk: Desk) -> None:
    answer = await desk.charge(check(0, 10**9, rated_number="8001"))
    assert (answer.code, answer.enough_credit) == (ResultCode.NOT_CHARGED, True)


async def test_all_services_together_must_be_paid(desk: Desk) -> None:
    services = [ServiceUse(group, 0, 360) for group in "12"]
    answer = await desk.charge(one_shot(Action.CHECK_BALANCE, 0, *services))
    assert (answer.code, answer.enough_credit, answer.available_amount) == (
        ResultCode.OK,
        False,
        EUR,
    )


async def test_without_a_price_units_cannot_be_checked(desk: Desk) -> None:
    answer = await desk.charge(check(0, 1, rated_number="33"))
    assert (answer.code, answer.enough_credit) == (ResultCode.NO_RATE, None)


async def test_without_units_a_balance_check_needs_no_price(desk: Desk) -> None:
    await desk.charge(told("start", 0, asks=60))
    answer = await desk.charge(check(0, rated_number=""))
    assert (answer.code, answer.enough_credit, answer.services) == (ResultCode.OK, True, ())
    assert (answer.available_amount, answer.held_amount) == (94 * CENT, 6 * CENT)
    assert answer.currency == "EUR"


async def wallet(bench: Bench, amount: int, *buckets: Bucket, **options: Any) -> Desk:
    await bench.set_now(NOW_MS)
    desk = Desk(bench.ledger)
    await desk.open(amount, *buckets, **options)
    return desk


@pytest.mark.parametrize(
    ("amount", "floor", "enough"), [(0, 0, False), (1, 0, True), (0, -1, True), (-5, -5, False)]
)
async def test_enough_is_what_is_above_the_floor(
    bench: Bench, amount: int, floor: int, enough: bool
) -> None:
    desk = await wallet(bench, amount, floor=floor)
    answer = await desk.charge(check(0))
    assert (answer.enough_credit, answer.available_amount) == (enough, amount)


@pytest.mark.parametrize(
    ("fields", "enough"),
    [
        ({}, True),
        ({"usage_types": ("voice",)}, False),
        ({"zones": ("33",)}, False),
        ({"valid_until_ms": NOW_MS}, False),
        ({"valid_from_ms": NOW_MS + 1}, False),
    ],
)
async def test_a_bucket_of_units_is_enough_if_it_could_pay(
    bench: Bench, fields: dict[str, Any], enough: bool
) -> None:
    kind = {"kind": BucketKind.UNITS, "usage_types": ("sms",)}
    desk = await wallet(bench, 0, Bucket(bucket="texts", **kind | fields))
    await desk.credit(5, "texts")
    answer = await desk.charge(check(0))
    assert (answer.enough_credit, answer.available_amount) == (enough, 0)


@pytest.mark.parametrize("asks", [None, 1])
async def test_a_blocked_account_is_refused_with_its_balance(
    bench: Bench, asks: int | None
) -> None:
    desk = await wallet(bench, EUR, active=False)
    answer = await desk.charge(check(0, asks))
    assert (answer.code, answer.enough_credit) == (ResultCode.SUBSCRIBER_BLOCKED, None)
    assert (answer.currency, answer.available_amount) == ("EUR", EUR)


async def test_a_stranger_has_no_balance(desk: Desk) -> None:
    answer = await desk.charge(check(0, subscriber="bob"))
    assert (answer.code, answer.currency) == (ResultCode.UNKNOWN_SUBSCRIBER, "")


# --- Price enquiry -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "total"),
    [
        ({}, ResultCode.OK, 9 * CENT),
        ({"asks": 61}, ResultCode.OK, 18 * CENT),
        ({"asks": 10**6}, ResultCode.OK, 16_667 * 9 * CENT),  # whatever the balance
        ({"asks": 60, "usage_type": "voice"}, ResultCode.OK, 6 * CENT),
        ({"rated_number": "8001"}, ResultCode.NOT_CHARGED, 0),
    ],
)
async def test_a_price_enquiry_says_what_units_cost(
    desk: Desk, fields: dict[str, Any], code: ResultCode, total: int
) -> None:
    answer = await desk.charge(enquiry(0, **fields))
    assert (answer.code, amounts(answer)) == (code, (0, total))
    assert (answer.balance_told, answer.currency, answer.transaction_id) == (False, "EUR", "")
    assert answer.services[0].rating is not None
    assert await desk.main() == (EUR, 0)


async def test_a_price_enquiry_follows_a_call_through_its_prices(desk: Desk) -> None:
    until_ms = NOW_MS + 30_000
    lines = [("49", 6 * CENT, 0, until_ms), ("49", 12 * CENT, until_ms, 2**53 - 1)]
    desk.tariffs.current = generation(deck("calls", lines))
    answer = await desk.charge(enquiry(0, asks=90, usage_type="voice"))
    assert amounts(answer) == (0, 18 * CENT)


@pytest.mark.parametrize(
    ("number", "usage_type", "code"),
    [
        ("33", "voice", ResultCode.NO_RATE),
        ("9001", "voice", ResultCode.RATE_BLOCKED),
    ],
)
async def test_what_has_no_price_is_told_as_in_a_charge(
    desk: Desk, number: str, usage_type: str, code: ResultCode
) -> None:
    answer = await desk.charge(enquiry(0, 60, rated_number=number, usage_type=usage_type))
    assert (answer.code, answer.services) == (code, ())
    assert answer.reason


async def test_a_cost_that_no_amount_can_hold_is_none(desk: Desk) -> None:
    answer = await desk.charge(enquiry(0, 2**53 - 1))
    assert answer.code is ResultCode.RATING_FAILED


async def test_services_are_quoted_one_by_one(desk: Desk) -> None:
    services = ServiceUse("1", 0, 1), ServiceUse("2", 0, 1, "33"), ServiceUse("3", 0, 1, "8001")
    answer = await desk.charge(one_shot(Action.PRICE_ENQUIRY, 0, *services))
    assert answer.code is ResultCode.OK
    assert [(each.code, each.total_amount) for each in answer.services] == [
        (ResultCode.OK, 9 * CENT),
        (ResultCode.NO_RATE, 0),
        (ResultCode.NOT_CHARGED, 0),
    ]


async def test_an_enquiry_is_explained_if_it_is_asked_to(desk: Desk) -> None:
    answer = await desk.charge(enquiry(0, 61, dry_run=True, explain=True))
    (explanation,) = answer.explanations
    assert explanation is not None
    assert (explanation.total, amounts(answer)) == ("0.18", (0, 18 * CENT))


# --- Refund of a transaction ---------------------------------------------------------------------


async def test_a_transaction_is_taken_back_once(desk: Desk) -> None:
    paid = await desk.charge(debit(0))
    assert await desk.main() == (91 * CENT, 0)
    first = await desk.twice(refund(1, reverses=paid.transaction_id))
    assert (first.code, amounts(first)) == (ResultCode.OK, (-9 * CENT, -9 * CENT))
    assert (first.balance_told, first.currency) == (False, "EUR")
    assert first.transaction_id not in ("", paid.transaction_id)
    # Known by the transaction, whatever the request.
    other = await desk.charge(refund(7, reverses=paid.transaction_id, session_id="elsewhere"))
    assert (other.hit, other.transaction_id) == (True, first.transaction_id)
    assert await desk.main() == (EUR, 0)


async def test_a_refund_answers_the_same_whatever_was_charged_since(desk: Desk) -> None:
    paid = await desk.charge(debit(0))
    asked = refund(1, reverses=paid.transaction_id)
    first = await desk.charge(asked)
    await desk.charge(debit(2, 100))
    again = await desk.charge(asked)
    assert again == replace(first, hit=True)


async def test_a_session_is_refunded_when_it_is_over(desk: Desk) -> None:
    await desk.charge(told("start", 0, asks=60))
    update = await desk.charge(told("update", 1, used=60, asks=60))
    early = await desk.charge(refund(0, reverses=update.transaction_id))
    assert (early.code, await desk.main()) == (ResultCode.CONFLICT, (94 * CENT, 6 * CENT))
    await desk.charge(told("release", 2, used=30))
    late = await desk.charge(refund(0, reverses=update.transaction_id))
    assert (late.code, amounts(late)) == (ResultCode.OK, (-6 * CENT, -6 * CENT))
    assert await desk.main() == (94 * CENT, 0)


async def test_an_unknown_transaction_is_told(desk: Desk) -> None:
    paid = await desk.charge(debit(0))
    label = paid.transaction_id.split("-", maxsplit=1)[0]
    for unknown in (f"{label}-1-1", "nonsense"):
        answer = await desk.charge(refund(1, reverses=unknown))
        assert answer.code is ResultCode.UNKNOWN_SESSION
    assert await desk.main() == (91 * CENT, 0)


# --- Refund of units and of money ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({"asks": 2}, 9 * CENT),
        ({"asks": 61}, 18 * CENT),
        ({"amount": "0.50"}, 50 * CENT),
        ({"amount": "0.50 EUR"}, 50 * CENT),
    ],
)
async def test_units_and_money_are_given_back_once_where_that_is_permitted(
    generous: Desk, fields: dict[str, Any], given: int
) -> None:
    answer = await generous.twice(refund(3, **fields))
    assert (answer.code, amounts(answer)) == (ResultCode.OK, (-given, -given))
    assert answer.services[0].settled_units == -fields.get("asks", 0)
    assert await generous.main() == (EUR + given, 0)


async def test_the_first_answer_stays_when_the_price_changes(generous: Desk) -> None:
    asked = refund(3, 1)
    first = await generous.charge(asked)
    generous.tariffs.current = generation(deck("texts", [("49", CENT)], usage_type="sms"))
    assert await generous.charge(asked) == replace(first, hit=True)
    assert await generous.main() == (109 * CENT, 0)


@pytest.mark.parametrize("other", [{"asks": 2}, {"amount": "0.09"}])
async def test_another_refund_of_one_number_is_a_conflict(
    generous: Desk, other: dict[str, Any]
) -> None:
    first = await generous.charge(refund(3, 1))
    answer = await generous.charge(refund(3, **other))
    assert (answer.code, answer.transaction_id) == (ResultCode.CONFLICT, first.transaction_id)
    assert amounts(answer) == (-9 * CENT, -9 * CENT)
    assert await generous.main() == (109 * CENT, 0)


async def test_sessions_and_requests_tell_refunds_apart(generous: Desk) -> None:
    ids = [{"session_id": "a" * 255}, {"session_id": "a" * 254 + "b"}]
    long = {"session_id": "a" * 255, "request_key": "key:" + "2" * 255}
    keys = [{"request_key": "key:1"}, {"request_key": "key:2"}, long]
    for fields in (*ids, *keys):
        asked = refund(3, 1, **fields)
        if "request_key" in fields:
            asked = replace(asked, request_number=None)
        assert (await generous.twice(asked)).code is ResultCode.OK
    assert await generous.main() == (EUR + 5 * 9 * CENT, 0)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (refund(0, 1, dry_run=True), "dry_run"),
        (refund(0, reverses="017-1-0", dry_run=True), "dry_run"),
        (one_shot(Action.REFUND, 0, ServiceUse("1", 0, 1), ServiceUse("2", 0, 1)), "services"),
        (refund(0, amount="0.00001 EUR"), ""),
        (refund(0, amount="0"), "amount"),
        (refund(0, amount="-1"), "amount"),
        (refund(0, amount="1 USD"), "amount"),
        (refund(0, amount="much"), "amount"),
        (refund(0, 0), "requested_units"),
    ],
)
async def test_a_refund_that_cannot_be_names_the_field(
    generous: Desk, event: Event, field: str
) -> None:
    answer = await generous.charge(event)
    assert answer.field == field
    assert (answer.code is ResultCode.INVALID_EVENT) == bool(field)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("33", ResultCode.NO_RATE),
        ("8001", ResultCode.NOT_CHARGED),
    ],
)
async def test_what_costs_nothing_is_not_given_back(
    generous: Desk, number: str, code: ResultCode
) -> None:
    answer = await generous.charge(refund(0, 1, rated_number=number))
    assert (answer.code, answer.transaction_id) == (code, "")
    assert await generous.main() == (EUR, 0)


@pytest.mark.parametrize("fields", [{"asks": 1}, {"amount": "1.00"}])
async def test_without_a_transaction_nothing_is_given_back_by_default(
    desk: Desk, fields: dict[str, Any]
) -> None:
    answer = await desk.charge(refund(0, **fields))
    assert (answer.code, answer.field) == (ResultCode.INVALID_EVENT, "reverses")
    assert await desk.main() == (EUR, 0)


async def test_a_refund_that_may_be_a_forgotten_repeat_is_none(generous: Desk) -> None:
    generous.now_ms += DAY_MS + 1
    answer = await generous.charge(refund(0, 1))
    assert (answer.code, answer.settled) == (ResultCode.REPEAT_EXPIRED, True)
    paid = await generous.charge(debit(1, reported_ms=generous.now_ms))
    known = await generous.charge(refund(2, reverses=paid.transaction_id))
    assert known.code is ResultCode.OK


@pytest.mark.parametrize(
    "event", [check(0), check(0, 1), refund(0, 1), refund(0, reverses="017-1-0")]
)
async def test_an_account_without_a_wallet_is_told(bench: Bench, event: Event) -> None:
    await bench.set_now(NOW_MS)
    desk = Desk(bench.ledger, refunds_any=True)
    await desk.know()
    answer = await desk.charge(event)
    unknown = ResultCode.UNKNOWN_SESSION if event.reverses else ResultCode.UNKNOWN_SUBSCRIBER
    assert (answer.code, answer.enough_credit) == (unknown, None)


@pytest.mark.parametrize("event", [refund(0, 1), refund(0, reverses="017-1-0"), check(0)])
async def test_a_store_that_is_away_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, event: Event
) -> None:
    async def away(_: object) -> None:
        raise LedgerUnavailable("away")

    desk = Desk(bench.ledger, refunds_any=True)
    await desk.know()
    for verb in ("credit", "reverse", "balance"):
        monkeypatch.setattr(bench.ledger, verb, away)
    assert (await desk.charge(event)).code is ResultCode.TOO_BUSY


# --- Messages in two steps (ECUR) ----------------------------------------------------------------


@pytest.mark.parametrize(("used", "cost"), [(1, 9 * CENT), (0, 0)])
async def test_a_message_is_held_for_before_it_is_sent_and_paid_when_it_was(
    desk: Desk, used: int, cost: int
) -> None:
    begun = await desk.twice(told("start", 0, asks=1, usage_type="sms"))
    assert (begun.services[0].granted_units, begun.held_amount) == (1, 9 * CENT)
    ended = await desk.twice(told("release", 1, used=used, usage_type="sms"))
    assert (ended.code, ended.services[0].settled_amount) == (ResultCode.OK, cost)
    assert await desk.main() == (EUR - cost, 0)


# --- A debit, for comparison ---------------------------------------------------------------------


async def test_a_direct_debit_is_answered_the_same_twice(desk: Desk) -> None:
    answer = await desk.twice(debit(0))
    assert (amounts(answer), answer.available_amount) == ((9 * CENT, 9 * CENT), 91 * CENT)
    assert PRICES is desk.tariffs.current


async def test_one_shot_events_that_come_together_are_answered_each(desk: Desk) -> None:
    events = [
        debit(0, session_id="a"),
        check(0, 1, session_id="b"),
        enquiry(0, session_id="c"),
        refund(0, reverses="nonsense", session_id="d"),
    ]
    answers = await desk.charge_all(*events)
    assert [answer.code for answer in answers if isinstance(answer, Answer)] == [
        ResultCode.OK,
        ResultCode.OK,
        ResultCode.OK,
        ResultCode.UNKNOWN_SESSION,
    ]


async def test_the_ledger_says_why_it_does_not_reverse(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await wallet(bench, EUR)

    async def refuses(call: ReverseCall) -> ReverseReply:
        assert call.reason == "refund"
        return ReverseReply(code=ResultCode.CONFLICT, why="the session is open")

    monkeypatch.setattr(bench.ledger, "reverse", refuses)
    answer = await desk.charge(refund(0, reverses="017-1-0"))
    assert (answer.code, answer.reason) == (ResultCode.CONFLICT, "the session is open")

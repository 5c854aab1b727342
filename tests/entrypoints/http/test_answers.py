"""Answers as canonical JSON: which fields, when, and in which words."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ocs.domain.results import TRANSIENT, ResultCode
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.http.answers import AnswerWriter
from ocs.usecases.answer import Answer, FinalUnit, FinalUnitAction, ServiceAnswer
from tests.entrypoints.http.serving import CODES

WRITER = AnswerWriter(CODES, retry_after_s=3)
GRANTED = ServiceAnswer(
    rating_group="0",
    code=ResultCode.OK,
    granted_units=60,
    validity_s=300,
    quota_threshold_units=0,
    final_unit=False,
    settled_units=0,
    settled_amount=0,
    total_amount=0,
    rating=None,
)
OK = Answer(
    ResultCode.OK,
    "s1",
    0,
    "007-1-0",
    services=(GRANTED,),
    currency="EUR",
    available_amount=1_000_000,
    held_amount=60_000,
)


def body(answer: Answer, *, itemised: bool = False, writer: AnswerWriter = WRITER) -> Any:
    written = writer.write(answer, Decoded(answer, itemised))
    assert written.content_type == "application/json"
    return msgspec.json.decode(written.body)


def service(**fields: Any) -> Any:
    """Give the body of an answer whose one service has these fields."""
    return body(replace(OK, services=(replace(GRANTED, **fields),)))


def test_what_has_nothing_to_say_is_left_out() -> None:
    assert body(OK) == {
        "return_code": 1,
        "return_name": "OK",
        "desc": "ok",
        "transaction_id": "007-1-0",
        "session_id": "s1",
        "request_number": 0,
        "granted_units": 60,
        "validity_time": 300,
        "final_unit": False,
        "cost": {"settled": "0.00", "total": "0.00", "currency": "EUR"},
        "balance": {"available": "1.00", "held": "0.06", "currency": "EUR"},
    }


@pytest.mark.parametrize(
    ("final", "told"),
    [
        (FinalUnit(), {"final_unit_action": "TERMINATE"}),
        (
            FinalUnit(FinalUnitAction.REDIRECT, "https://pay.example"),
            {"final_unit_action": "REDIRECT", "redirect_address": "https://pay.example"},
        ),
        (
            FinalUnit(FinalUnitAction.RESTRICT, filter_id="portal"),
            {"final_unit_action": "RESTRICT", "filter_id": "portal"},
        ),
    ],
)
def test_the_last_units_come_with_what_to_do_then(final: FinalUnit, told: dict[str, str]) -> None:
    plain = body(OK)
    assert service(final_unit=True, final=final) == plain | {"final_unit": True} | told
    refused = service(code=ResultCode.NO_CREDIT, granted_units=0, final=final)
    assert told.items() <= refused.items()
    assert "final_unit" not in refused


def test_when_to_come_back_is_told_with_a_grant() -> None:
    times = {"quota_threshold_units": 20, "tariff_change_ms": 1_795_166_545_999}
    assert (
        service(**times).items()
        >= {
            "quota_threshold": 20,
            "tariff_time_change": 1_795_166_545,
        }.items()
    )
    assert not service(granted_units=0, **times).keys() & {"quota_threshold", "tariff_time_change"}


@pytest.mark.parametrize("code", ResultCode)
def test_who_may_ask_again_is_told_when(code: ResultCode) -> None:
    assert body(Answer(code)).get("retry_after") == (3 if code in TRANSIENT else None)


@pytest.mark.parametrize("enough", [True, False, None])
def test_a_balance_check_is_answered(enough: bool | None) -> None:
    assert body(replace(OK, enough_credit=enough)).get("enough_credit") is enough


def test_a_balance_that_is_not_known_is_not_told() -> None:
    told = body(replace(OK, balance_told=False))
    assert told["cost"] == body(OK)["cost"]
    assert "balance" not in told


@pytest.mark.parametrize(
    ("source", "plan", "told"),
    [
        ("", "", None),
        ("", "continue", "CONTINUE"),
        ("retry_and_terminate", "continue", "RETRY_AND_TERMINATE"),
    ],
)
def test_the_source_says_before_the_plan_what_to_do_without_an_answer(
    source: str, plan: str, told: str | None
) -> None:
    writer = AnswerWriter(CODES, failure_handling=source)
    answer = replace(OK, failure_handling=plan)
    assert body(answer, writer=writer).get("failure_handling") == told
    refused = replace(answer, transaction_id="")
    assert "failure_handling" not in body(refused, writer=writer)


def test_services_have_their_own_words() -> None:
    free = replace(GRANTED, rating_group="1", code=ResultCode.NOT_CHARGED)
    last = replace(GRANTED, rating_group="2", final_unit=True, final=FinalUnit())
    none = replace(GRANTED, rating_group="3", code=ResultCode.NO_RATE, granted_units=0)
    told = body(replace(OK, services=(free, last, none)))
    assert [each["return_name"] for each in told["services"]] == ["NOT_CHARGED", "OK", "NO_RATE"]
    assert [each.get("final_unit_action") for each in told["services"]] == [None, "TERMINATE", None]
    assert "granted_units" not in told


def test_one_service_is_answered_in_the_form_it_was_asked_in() -> None:
    assert "services" not in body(OK)
    assert len(body(OK, itemised=True)["services"]) == 1


def test_an_array_is_answered_in_its_order() -> None:
    refused = Answer(ResultCode.NO_CREDIT)
    written = WRITER.write_array([(OK, Decoded(OK)), (refused, Decoded(refused, itemised=True))])
    first, second = msgspec.json.decode(written.body)
    assert (written.status, first, second["return_name"]) == (200, body(OK), "NO_CREDIT")
    assert WRITER.write(refused, Decoded(refused)).status == 402

"""Answers in a source's own names: every value, constants, lists, lines, and bad names."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.key_values import read_key_values
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.encoders import naming
from ocs.entrypoints.encoders.mapped import MappedEncoder
from ocs.entrypoints.encoders.values import VALUES
from ocs.entrypoints.sources.source import Answering
from ocs.usecases.answer import Answer, FinalUnit, FinalUnitAction
from tests.entrypoints.encoders.answering import ANSWER, CODES, answer, decoded, refused, service

ALL = (*VALUES, "return_code", "error_code")


def written(
    told: Answer, fields: dict[str, str], asked: Decoded | None = None, **answering: Any
) -> Any:
    encoder = MappedEncoder(CODES, Answering(form="mapped", fields=fields, **answering))
    return json.loads(encoder.write(told, asked or decoded()).body)


def value(told: Answer, name: str, asked: Decoded | None = None, **answering: Any) -> Any:
    return written(told, {"x": name}, asked, **answering).get("x")


TOLD = {
    "return_code": 1,
    "return_name": "OK",
    "desc": "ok",
    "status": 1,
    "number": 1,
    "diameter_code": 2001,
    "sip_code": 200,
    "http_status": 200,
    "result_3gpp": "SUCCESS",
    "settled": False,
    "transaction_id": "007-1-0",
    "session_id": "s1",
    "session_ref": "demo/a/a/s1",
    "request_number": 3,
    "request_type": 2,
    "record_type": "update_request",
    "rating_group": "0",
    "rating_group_number": 0,
    "granted_units": 60,
    "validity_time": 300,
    "quota_threshold": 10,
    "tariff_time_change": 1_795_170_000,
    "final_unit": True,
    "final_unit_action": "REDIRECT",
    "redirect_address": "https://pay.example.com",
    "filter_id": "filter",
    "failure_handling": "CONTINUE",
    "enough_credit": True,
    "settled_units": 30,
    "line_units": 60,
    "cost_settled": "0.06",
    "cost_total": "0.12",
    "cost_overrun": "0.000005",
    "cost_settled_number": 0.06,
    "cost_total_number": 0.12,
    "cost_overrun_number": 0.000005,
    "cost_currency": "EUR",
    "balance_available": "9.94",
    "balance_held": "0.06",
    "balance_available_number": 9.94,
    "balance_held_number": 0.06,
    "balance_currency": "EUR",
    "rating_tariff": "a-z",
    "rating_prefix": "44",
    "rating_destination": "United Kingdom",
    "rating_model": "interval",
    "usage_type": "voice",
    "subscriber": "441632960001",
    "called_number": "442071234567",
    "calling_number": "441632960001",
    "direction": "orig",
}


def test_every_value_of_an_answer_that_goes_on() -> None:
    told = answer(
        service(
            final_unit=True,
            final=FinalUnit(FinalUnitAction.REDIRECT, "https://pay.example.com", "filter"),
            tariff_change_ms=1_795_170_000_000,
        ),
        overrun_amount=5,
        failure_handling="continue",
        enough_credit=True,
        settled=False,
    )
    assert written(told, {name.replace(".", "_"): name for name in ALL}) == TOLD


def test_every_value_of_an_event_that_cannot_be_read() -> None:
    told = Answer(code=ResultCode.INVALID_EVENT, field="used_units", reason="expected a number")
    text = "the event cannot be understood: used_units: expected a number"
    assert written(told, {name.replace(".", "_"): name for name in ALL}, Decoded(told)) == {
        "return_code": -10,
        "return_name": "INVALID_EVENT",
        "desc": text,
        "status": 0,
        "number": -10,
        "diameter_code": 5004,
        "sip_code": 500,
        "http_status": 400,
        "result_3gpp": "CHARGING_FAILED",
        "error_code": -10,
        "error_message": text,
        "error_context": "used_units",
        "field": "used_units",
        "granted_units": 0,
        "line_units": 0,
    }


@pytest.mark.parametrize(
    ("request_type", "granted", "units"), [(2, 60, 60), (3, 0, 0), (4, 60, 60), (4, 0, 30)]
)
def test_the_units_of_a_line(request_type: int, granted: int, units: int) -> None:
    assert (
        value(answer(service(granted_units=granted)), "line_units", decoded(request_type)) == units
    )


def test_a_client_that_is_turned_away_is_told_when_to_come_back() -> None:
    busy = Answer(code=ResultCode.TOO_BUSY)
    encoder = MappedEncoder(CODES, Answering(fields={"x": "retry_after"}), retry_after_s=7)
    assert encoder.write(busy, decoded()).body == b'{"x":7}'
    assert value(ANSWER, "retry_after") is None


def test_amounts_as_numbers_keep_all_their_digits() -> None:
    told = answer(service(settled_amount=9_007_199_254_740_991))
    encoder = MappedEncoder(CODES, Answering(fields={"x": "cost.settled_number"}))
    assert encoder.write(told, decoded()).body == b'{"x":9007199254.740991}'


def test_what_is_not_there_is_left_out_with_its_object() -> None:
    fields = {"a.tariff": "rating.tariff", "a.prefix": "rating.prefix", "code": "return_code"}
    assert written(answer(service(rating=None)), fields) == {"code": 1}


def test_what_is_not_there_may_have_a_stand_in() -> None:
    told = refused(ResultCode.NO_CREDIT)
    assert value(told, "validity_time") is None
    assert value(told, "validity_time", empty={"validity_time": 0}) == 0
    assert value(ANSWER, "validity_time", empty={"validity_time": 0}) == 300


def test_words_of_the_client() -> None:
    words = {"usage_type": {"voice": "call"}, "status": {"1": "yes"}}
    assert value(ANSWER, "usage_type", values=words) == "call"
    assert value(ANSWER, "usage_type", decoded(usage_type="data"), values=words) == "data"
    assert value(ANSWER, "status", values=words) == "yes"
    assert value(refused(ResultCode.NO_CREDIT), "status", values=words) == 0


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        ("=2", 2),
        ("=-5", -5),
        ("=true", True),
        ("=false", False),
        ("=ocs", "ocs"),
        ("=", ""),
        ("=1.5", "1.5"),
    ],
)
def test_constants(constant: str, expected: object) -> None:
    assert value(ANSWER, constant) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("number", -1),
        ("diameter", 4012),
        ("sip", 402),
        ("http_status", 402),
        ("3gpp", "QUOTA_LIMIT_REACHED"),
    ],
)
def test_the_return_code_may_be_any_of_its_numbers(code: Any, expected: object) -> None:
    told = refused(ResultCode.NO_CREDIT)
    assert value(told, "return_code", code=code) == expected
    assert value(told, "error_code", code=code) == expected


@pytest.mark.parametrize(("http_status", "expected"), [("outcome", 402), ("200", 200)])
def test_the_http_status(http_status: Any, expected: int) -> None:
    encoder = MappedEncoder(CODES, Answering(http_status=http_status))
    assert encoder.write(refused(ResultCode.NO_CREDIT), decoded()).status == expected


TWO = answer(
    service(rating_group="1", granted_units=5),
    service(rating_group="2", code=ResultCode.NO_CREDIT, granted_units=0, rating=None),
)


def test_each_service_by_itself() -> None:
    fields = {
        "mscc[].group": "rating_group",
        "mscc[].code": "return_code",
        "mscc[].g.units": "granted_units",
        "v": "=1",
    }
    assert written(TWO, fields, code="diameter") == {
        "mscc": [
            {"group": "1", "code": 2001, "g": {"units": 5}},
            {"group": "2", "code": 4012, "g": {"units": 0}},
        ],
        "v": 1,
    }
    assert written(Answer(code=ResultCode.UNKNOWN_SUBSCRIBER), fields) == {"v": 1}


def test_a_rating_group_is_a_number_where_it_is_one() -> None:
    told = answer(service(rating_group="7"), service(rating_group="gold"))
    fields = {"x[].n": "rating_group_number", "x[].t": "rating_group"}
    assert written(told, fields) == {"x": [{"n": 7, "t": "7"}, {"t": "gold"}]}


def test_a_refusal_without_a_field_has_an_empty_context() -> None:
    assert value(refused(ResultCode.NO_CREDIT), "error_context") == ""
    assert value(ANSWER, "error_context") is None


def test_the_services_in_canonical_names() -> None:
    services = written(TWO, {"services": "services"})["services"]
    assert services[0] == {
        "rating_group": "1",
        "return_code": 1,
        "return_name": "OK",
        "granted_units": 5,
        "validity_time": 300,
        "quota_threshold": 10,
        "final_unit": False,
        "settled_units": 30,
        "cost": {"settled": "0.06", "total": "0.12", "currency": "EUR"},
        "rating": {"tariff": "a-z", "prefix": "44", "destination": "United Kingdom", "model": "interval"},
    }  # fmt: skip
    assert services[1]["return_name"] == "NO_CREDIT"


def test_several_services_have_no_grant_together_but_a_cost() -> None:
    assert value(TWO, "granted_units") is None
    assert value(TWO, "cost.settled") == "0.12"


def test_a_price_enquiry_tells_no_balance() -> None:
    told = answer(balance_told=False)
    names = ("cost.total", "balance.available", "balance.currency")
    assert [value(told, name) for name in names] == ["0.12", None, None]


def test_a_source_says_what_to_do_before_the_plan_does() -> None:
    told = answer(failure_handling="continue")
    assert value(told, "failure_handling") == "CONTINUE"
    assert value(told, "failure_handling", failure_handling="terminate") == "TERMINATE"
    not_decided = answer(failure_handling="continue", transaction_id="")
    assert value(not_decided, "failure_handling") is None


def test_lines() -> None:
    fields = {
        "code": "return_code",
        "last": "final_unit",
        "cost.settled": "cost.settled_number",
        "id": "session_id",
    }
    fields |= {"s[].group": "rating_group", "s[].units": "granted_units"}
    encoder = MappedEncoder(CODES, Answering(encoding="kv", fields=fields))
    told = encoder.write(answer(session_id="a\nreturn_code=1%\u2028"), decoded())
    assert told.content_type == "text/plain; charset=utf-8"
    assert told.body.decode() == (
        "code=1\nlast=false\ncost.settled=0.06\nid=a%0Areturn_code=1%25%E2%80%A8\n"
        "s.0.group=0\ns.0.units=60\n"
    )
    both = encoder.write_array([(TWO, decoded()), (refused(ResultCode.NO_CREDIT), decoded())])
    assert both.status == 200
    assert [block.splitlines()[0] for block in both.body.decode().split("\n\n")] == [
        "code=1",
        "code=-1",
    ]


def test_an_array_is_answered_with_a_list() -> None:
    encoder = MappedEncoder(CODES, Answering(fields={"x": "return_code"}))
    both = [(ANSWER, decoded()), (refused(ResultCode.NO_CREDIT), decoded())]
    assert encoder.write_array(both).body == b'[{"x":1},{"x":-1}]'


@given(session_id=st.text(max_size=30))
def test_no_text_of_a_client_makes_lines_of_its_own(session_id: str) -> None:
    encoder = MappedEncoder(
        CODES, Answering(encoding="kv", fields={"id": "session_id", "end": "=x"})
    )
    body = encoder.write(answer(session_id=session_id), decoded()).body
    assert len(body.decode().splitlines()) == 1 + bool(session_id)
    assert read_key_values(body).keys() == ({"id", "end"} if session_id else {"end"})


BAD_NAMES = [
    ({"fields": {"x": "granted"}}, "fields.x: there is no value 'granted'; encoders/values.py lists them"),
    ({"empty": {"granted": 0}}, "empty.granted: there is no value 'granted'; encoders/values.py lists them"),
    ({"values": {"granted": {}}}, "values.granted: there is no value 'granted'; encoders/values.py lists them"),
    ({"fields": {"a..b": "=1"}}, "fields.a..b: expected names joined by dots"),
    ({"fields": {"": "=1"}}, "fields.: expected names joined by dots"),
    ({"fields": {"a": "=1", "a.b": "=1"}}, "fields.a.b: a is a value already, and no object"),
    ({"fields": {"a[].b": "=1", "a": "=1"}}, "fields.a[].b: a is a value already, and no object"),
    ({"fields": {"a.b[].c": "=1"}}, "fields.a.b[].c: expected [] behind the first of several names only"),
    ({"fields": {"a[]": "=1"}}, "fields.a[]: expected [] behind the first of several names only"),
    ({"fields": {"a[].b": "services"}}, "fields.a[].b: services are a list already"),
]  # fmt: skip


@pytest.mark.parametrize(("answering", "problem"), BAD_NAMES, ids=[case[1] for case in BAD_NAMES])
def test_bad_names_are_reported(answering: dict[str, Any], problem: str) -> None:
    assert naming.problems(Answering(**answering)) == [problem]
    with pytest.raises(ValueError, match=r"expected|there is no|already"):
        MappedEncoder(CODES, Answering(**answering))

"""Credit-Control-Answers: result codes at both levels, grants, the end of the money, what failed."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from ocs.domain.events import Action
from ocs.domain.money import _CURRENCIES
from ocs.domain.results import ResultCode
from ocs.entrypoints.currency_numbers import CODE_OF, NUMBER_OF
from ocs.entrypoints.decoders.avps import MISSING
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.encoders.diameter import DiameterEncoder
from ocs.entrypoints.return_codes import ReturnCodes
from ocs.entrypoints.sources.source import Answering
from ocs.usecases.answer import Answer, FinalUnit, FinalUnitAction, ServiceAnswer
from tests.entrypoints.encoders.answering import ANSWER, CODES, answer, decoded, refused, service

MSCC = "Multiple-Services-Credit-Control"
GSU = "Granted-Service-Unit"
FUI = "Final-Unit-Indication"
NO_CREDIT = ResultCode.NO_CREDIT
REDIRECT = FinalUnit(FinalUnitAction.REDIRECT, "https://pay.example.com")


def cca(
    told: Answer, asked: Decoded | None = None, codes: ReturnCodes = CODES, **answering: Any
) -> Any:
    encoder = DiameterEncoder(codes, Answering(form="diameter", **answering))
    return json.loads(encoder.write(told, asked or decoded()).body)


def mscc(*services: ServiceAnswer, **changes: Any) -> Any:
    return cca(answer(*services, **changes))[MSCC]


def group(key: str, code: ResultCode = ResultCode.OK, **changes: Any) -> ServiceAnswer:
    if code not in (ResultCode.OK, ResultCode.NOT_CHARGED):
        changes = {"granted_units": 0, "validity_s": 0, "quota_threshold_units": 0} | changes
    return service(rating_group=key, code=code, **changes)


def test_an_answer_to_units_at_the_command() -> None:
    assert cca(ANSWER) == {
        "Session-Id": "s1",
        "Result-Code": 2001,
        "Auth-Application-Id": 4,
        "CC-Request-Type": 2,
        "CC-Request-Number": 3,
        GSU: {"CC-Time": 60},
        "Validity-Time": 300,
        "Time-Quota-Threshold": 10,
        "Cost-Information": {"Unit-Value": {"Value-Digits": 12, "Exponent": -2}, "Currency-Code": 978},
        "Remaining-Balance": {"Unit-Value": {"Value-Digits": 994, "Exponent": -2}, "Currency-Code": 978},
    }  # fmt: skip


def test_an_answer_to_services() -> None:
    assert mscc(group("100"), group("200/7", NO_CREDIT)) == [
        {
            "Rating-Group": 100,
            "Result-Code": 2001,
            GSU: {"CC-Time": 60},
            "Validity-Time": 300,
            "Time-Quota-Threshold": 10,
        },
        {"Rating-Group": 200, "Service-Identifier": 7, "Result-Code": 4012},
    ]


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("0/", {"Rating-Group": 0}),
        ("/", {}),
        ("/7", {"Service-Identifier": 7}),
        ("1/7+8", {"Rating-Group": 1, "Service-Identifier": [7, 8]}),
    ],
)
def test_a_service_is_named_as_the_request_named_it(key: str, named: dict[str, Any]) -> None:
    told = mscc(group(key))[0]
    assert {
        name: told[name] for name in ("Rating-Group", "Service-Identifier") if name in told
    } == named


OK, FREE, BLOCKED = ResultCode.OK, ResultCode.NOT_CHARGED, ResultCode.RATE_BLOCKED


@pytest.mark.parametrize(
    ("whole", "services", "command", "each"),
    [
        (OK, (OK, OK), 2001, [2001, 2001]),
        (OK, (OK, NO_CREDIT), 2001, [2001, 4012]),
        (OK, (FREE, OK), 2001, [2001, 2001]),
        (FREE, (FREE, NO_CREDIT), 2001, [2001, 4012]),
        (NO_CREDIT, (NO_CREDIT, NO_CREDIT), 4012, [4012, 4012]),
        (NO_CREDIT, (NO_CREDIT, BLOCKED), 2001, [4012, 4010]),
        (BLOCKED, (BLOCKED,), 4010, [4010]),
        (ResultCode.SESSION_CLOSED, (ResultCode.SESSION_CLOSED,), 5002, [5002]),
    ],
)
def test_result_codes_at_both_levels(
    whole: ResultCode, services: tuple[ResultCode, ...], command: int, each: list[int]
) -> None:
    told = cca(
        answer(*(group(str(number), code) for number, code in enumerate(services, 1)), code=whole)
    )
    assert told["Result-Code"] == command
    assert [service["Result-Code"] for service in told[MSCC]] == each


def test_an_error_of_the_command_grants_nothing_of_another_answer() -> None:
    told = cca(answer(group("1"), code=ResultCode.CONFLICT))
    assert told["Result-Code"] == 5004
    assert MSCC not in told


def test_free_of_charge_is_the_operators_number() -> None:
    codes = dict(CODES) | {FREE: replace(CODES[FREE], diameter=4011)}
    told = cca(answer(group("1", FREE), group("2"), code=OK), codes=codes)
    assert (told["Result-Code"], told[MSCC][0]["Result-Code"]) == (2001, 4011)
    all_free = cca(answer(group("1", FREE), code=FREE), codes=codes)
    assert (all_free["Result-Code"], all_free[MSCC]) == (
        4011,
        [{"Rating-Group": 1, "Result-Code": 4011}],
    )


@pytest.mark.parametrize(
    ("usage_type", "unit", "threshold"),
    [
        ("voice", "CC-Time", "Time-Quota-Threshold"),
        ("data", "CC-Total-Octets", "Volume-Quota-Threshold"),
        ("sms", "CC-Service-Specific-Units", "Unit-Quota-Threshold"),
        ("event", "CC-Service-Specific-Units", "Unit-Quota-Threshold"),
    ],
)
def test_units_are_those_of_the_request(usage_type: str, unit: str, threshold: str) -> None:
    told = cca(answer(group("1")), decoded(usage_type=usage_type))[MSCC][0]
    assert told[GSU] == {unit: 60}
    assert told[threshold] == 10


def test_the_tariff_change_is_told_with_the_units() -> None:
    told = cca(answer(group("1", tariff_change_ms=1_795_170_000_000)), decoded(usage_type="data"))
    assert told[MSCC][0][GSU] == {"CC-Total-Octets": 60, "Tariff-Time-Change": 1_795_170_000}


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        (FinalUnit(), {"Final-Unit-Action": 0}),
        (FinalUnit(FinalUnitAction.TERMINATE, "https://x", "y"), {"Final-Unit-Action": 0}),
        (
            FinalUnit(FinalUnitAction.RESTRICT, "", "walled"),
            {"Final-Unit-Action": 2, "Filter-Id": ["walled"]},
        ),
        (FinalUnit(FinalUnitAction.RESTRICT), {"Final-Unit-Action": 2}),
    ],
)
def test_final_units(final: FinalUnit, expected: dict[str, Any]) -> None:
    assert mscc(group("1", final_unit=True, final=final))[0][FUI] == expected


@pytest.mark.parametrize(
    ("address", "kind"),
    [("10.0.0.1", 0), ("2001:db8::1", 1), ("::ffff:10.0.0.1", 1), ("https://pay.example.com/a:b", 2), ("pay.example.com", 2), ("sip:pay@example.com", 3), ("SIPS:pay@example.com", 3)],
)  # fmt: skip
def test_a_redirect_leads_to_an_address_of_a_kind(address: str, kind: int) -> None:
    final = FinalUnit(FinalUnitAction.REDIRECT, address)
    assert cca(answer(service(final_unit=True, final=final)))[FUI] == {
        "Final-Unit-Action": 1,
        "Redirect-Server": {"Redirect-Address-Type": kind, "Redirect-Server-Address": address},
    }


def test_no_credit_with_a_way_on_is_followed_at_once() -> None:
    told = cca(answer(group("1", NO_CREDIT, final=REDIRECT), code=NO_CREDIT))
    assert told["Result-Code"] == told[MSCC][0]["Result-Code"] == 2001
    assert GSU not in told[MSCC][0]
    assert told[MSCC][0][FUI]["Final-Unit-Action"] == 1
    assert "Error-Message" not in told


def test_no_credit_that_terminates_is_an_error() -> None:
    told = cca(answer(group("1", NO_CREDIT, final=FinalUnit()), code=NO_CREDIT))
    assert told["Result-Code"] == 4012
    assert told[MSCC] == [{"Rating-Group": 1, "Result-Code": 4012}]
    assert told["Error-Message"] == "not enough credit"


@pytest.mark.parametrize(
    ("amount", "currency", "digits", "exponent"),
    [(0, "EUR", 0, 0), (1, "EUR", 1, -6), (1_000_000, "EUR", 1, 0), (12_000_000, "EUR", 12, 0), (-60_000, "EUR", -6, -2), (10_000, "JPY", 1, 0), (9_007_199_254_740_991, "EUR", 9_007_199_254_740_991, -6)],
)  # fmt: skip
def test_money_is_digits_and_an_exponent(
    amount: int, currency: str, digits: int, exponent: int
) -> None:
    told = cca(answer(service(total_amount=amount), currency=currency))["Cost-Information"]
    assert told == {
        "Unit-Value": {"Value-Digits": digits, "Exponent": exponent},
        "Currency-Code": NUMBER_OF[currency],
    }


def test_every_currency_has_a_number() -> None:
    assert NUMBER_OF.keys() == _CURRENCIES.keys()
    assert {CODE_OF[number] for number in NUMBER_OF.values()} == NUMBER_OF.keys() - {"ANG"}
    assert (NUMBER_OF["EUR"], NUMBER_OF["ALL"], CODE_OF[532]) == (978, 8, "XCG")


def test_several_services_cost_what_they_cost_together() -> None:
    told = cca(answer(group("1"), group("2")))["Cost-Information"]["Unit-Value"]
    assert told == {"Value-Digits": 24, "Exponent": -2}


def test_a_price_enquiry_tells_the_price_alone() -> None:
    asked = decoded(4, action=Action.PRICE_ENQUIRY)
    told = cca(answer(service(granted_units=0), balance_told=False, transaction_id=""), asked)
    assert told["Cost-Information"]["Unit-Value"] == {"Value-Digits": 12, "Exponent": -2}
    assert not told.keys() & {"Remaining-Balance", "Refund-Information", GSU}


def test_a_refund_tells_what_went_back() -> None:
    asked = decoded(4, action=Action.REFUND)
    told = cca(answer(service(settled_amount=-90_000, total_amount=0, granted_units=0)), asked)
    assert told["Cost-Information"]["Unit-Value"] == {"Value-Digits": -9, "Exponent": -2}
    assert "Refund-Information" not in told


def test_a_debit_says_how_it_is_taken_back() -> None:
    assert cca(ANSWER, decoded(4))["Refund-Information"] == "007-1-0"
    assert "Refund-Information" not in cca(ANSWER, decoded(2))


@pytest.mark.parametrize(("enough", "result"), [(True, 0), (False, 1)])
def test_a_check_of_the_balance(enough: bool, result: int) -> None:
    asked = decoded(4, action=Action.CHECK_BALANCE)
    told = cca(answer(enough_credit=enough), asked)
    assert told["Check-Balance-Result"] == result
    assert "Cost-Information" not in told


@pytest.mark.parametrize(
    ("handling", "session", "event"),
    [("terminate", 0, 0), ("continue", 1, 1), ("retry_and_terminate", 2, 0)],
)
def test_what_to_do_when_nobody_can_be_asked(handling: Any, session: int, event: int) -> None:
    told = answer(failure_handling=handling)
    assert cca(told)["Credit-Control-Failure-Handling"] == session
    assert cca(told, decoded(4))["Direct-Debiting-Failure-Handling"] == event
    assert "Credit-Control-Failure-Handling" not in cca(told, decoded(4))
    assert cca(ANSWER, failure_handling=handling)["Credit-Control-Failure-Handling"] == session
    assert "Credit-Control-Failure-Handling" not in cca(replace(told, transaction_id=""))


@pytest.mark.parametrize(
    ("field", "reason", "code", "failed"),
    [
        ("Session-Id", MISSING, 5005, {"Session-Id": None}),
        (f"{MSCC}[0].Used-Service-Unit.CC-Time", "expected …", 5004, {MSCC: {"Used-Service-Unit": {"CC-Time": None}}}),
        ("subscriber", "expected one of msisdn, imsi", 5005, {"Subscription-Id": None}),
        ("requested_units", "expected …", 5005, {"Requested-Service-Unit": None}),
        ("services[1].requested_units", "expected …", 5005, {MSCC: {"Requested-Service-Unit": None}}),
        ("services", "expected each rating_group once", 5004, {MSCC: None}),
        ("event_time", "expected …", 5004, {"Event-Timestamp": None}),
        ("trunk_in", "expected …", 5004, {"Service-Information": {"IMS-Information": {"Trunk-Group-ID": {"Incoming-Trunk-Group-ID": None}}}}),
        ("body", "expected JSON", 5004, None),
        ("", "", 5004, None),
    ],
)  # fmt: skip
def test_what_failed_is_named(field: str, reason: str, code: int, failed: object) -> None:
    bad = Answer(
        code=ResultCode.INVALID_EVENT, session_id="s1", request_number=3, field=field, reason=reason
    )
    told = cca(bad, Decoded(bad, request_type=1))
    assert (told["Result-Code"], told.get("Failed-AVP")) == (code, failed)
    assert (told["Session-Id"], told["CC-Request-Number"], told["CC-Request-Type"]) == ("s1", 3, 1)
    assert told["Error-Message"].startswith("the event cannot be understood")


def test_a_refusal_of_nobody_knows_nothing() -> None:
    unknown = Answer(code=ResultCode.UNAUTHORIZED)
    assert cca(unknown, Decoded(unknown)) == {
        "Result-Code": 5003,
        "Auth-Application-Id": 4,
        "Error-Message": "the request carries no known credential",
    }


def test_a_sub_session_is_echoed() -> None:
    told = cca(answer(session_id="gw;1;cc-sub-session-id=3"))
    assert (told["Session-Id"], told["CC-Sub-Session-Id"]) == ("gw;1", 3)


@pytest.mark.parametrize(("http_status", "expected"), [("outcome", 402), ("200", 200)])
def test_the_http_status(http_status: Any, expected: int) -> None:
    encoder = DiameterEncoder(CODES, Answering(http_status=http_status))
    assert encoder.write(refused(NO_CREDIT), decoded()).status == expected


def test_an_array_is_answered_with_a_list() -> None:
    both = [(ANSWER, decoded()), (refused(NO_CREDIT), decoded())]
    told = DiameterEncoder(CODES, Answering()).write_array(both)
    assert told.status == 200
    assert [one["Result-Code"] for one in json.loads(told.body)] == [2001, 4012]

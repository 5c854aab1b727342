"""Every way of saying an event wrong has a name: the field that is to be mended."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.wire import LONGEST_REF
from ocs.usecases.answer import Answer
from tests.entrypoints.decoders.reading import (
    DECODER,
    EVENT,
    NUMBERLESS,
    ORIGIN,
    START,
    nested,
    read,
    refusal_of,
)

BAD = [
    ("nothing", b"", "body"),
    ("not JSON", b"record_type=start_request", "body"),
    ("cut off", b'{"record_type":"start_req', "body"),
    ("more behind it", b'{"record_type":"start_request"} x', "body"),
    ("a byte order mark", b"\xef\xbb\xbf{}", "body"),
    ("not UTF-8", b'{"session_id":"\xff"}', "body"),
    ("half a surrogate pair", b'{"session_id":"\\ud800"}', "body"),
    ("NaN", b'{"used_units":NaN}', "body"),
    ("100,000 levels", b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body"),
    ("100,000 open levels", b"[" * 100_000, "body"),
    ("a list", b"[]", "body"),
    ("a text", b'"start_request"', "body"),
    ("null", b"null", "body"),
    ("an empty object", b"{}", "record_type"),
    ("beyond every number", b'{"used_units":1e999}', "body"),
    ("no record_type", START | {"record_type": None}, "record_type"),
    ("an unknown record_type", START | {"record_type": "stop"}, "record_type"),
    ("a record_type that is a number", START | {"record_type": 1}, "record_type"),
    ("an unknown request_type", START | {"record_type": "", "request_type": 5}, "request_type"),
    ("two types that differ", START | {"request_type": 3}, "request_type"),
    ("an unknown type and a known", START | {"record_type": "stop", "request_type": 3}, "request_type"),
    ("no session_id", START | {"session_id": None}, "session_id"),
    ("an empty session_id", START | {"session_id": ""}, "session_id"),
    ("a long session_id", START | {"session_id": "x" * 256}, "session_id"),
    ("a session_id that is a number", START | {"session_id": 5}, "session_id"),
    ("an event without any id", START | {"session_id": "", "record_type": "event_request", "used_units": 1}, "session_id"),
    ("no subscriber", START | {"subscriber": None}, "subscriber"),
    ("a start by reference alone", START | {"subscriber": "", "session_ref": "p"}, "subscriber"),
    ("a subscriber that is a number", START | {"subscriber": 441632960166}, "subscriber"),
    ("no request number, key or time", NUMBERLESS, "request_number"),
    ("a negative request number", START | {"request_number": -1}, "request_number"),
    ("a fraction of a request", START | {"request_number": 1.5}, "request_number"),
    ("a request number in words", START | {"request_number": "one"}, "request_number"),
    ("a huge request number", START | {"request_number": 2**53}, "request_number"),
    ("a gigantic request number", START | {"request_number": 10**400}, "request_number"),
    ("units in words", START | {"used_units": "ten"}, "used_units"),
    ("negative units", START | {"used_units": -1}, "used_units"),
    ("negative fractions", START | {"used_units": -0.5}, "used_units"),
    ("units that are true", START | {"used_units": True}, "used_units"),
    ("too many units", START | {"requested_units": 2**53}, "requested_units"),
    ("far too many units", START | {"requested_units": 1e300}, "requested_units"),
    ("an event that says nothing of units", START | {"record_type": "event_request"}, "requested_units"),
    ("an unknown usage type", START | {"usage_type": "fax"}, "usage_type"),
    ("an unknown direction", START | {"direction": "up"}, "direction"),
    ("answered in words", START | {"answered": "yes"}, "answered"),
    ("a time in words", START | {"event_time": "now"}, "event_time"),
    ("a time without a zone", START | {"event_time": "2026-11-20T09:22:25"}, "event_time"),
    ("a time that is true", START | {"answer_time": True}, "answer_time"),
    ("services that are none", START | {"services": {}}, "services"),
    ("no services", START | {"services": []}, "services"),
    ("too many services", START | {"services": [{"rating_group": n} for n in range(33)]}, "services"),
    ("a service that is a number", START | {"services": [1]}, "services[0]"),
    ("bad units of a service", START | {"services": [{"used_units": "x"}]}, "services[0].used_units"),
    ("a service twice", START | {"services": [{"rating_group": 1}, {"rating_group": "1"}]}, "services"),
    ("units beside services", START | {"used_units": 1, "services": [{}]}, "used_units"),
    ("parts of use and their sum", START | {"services": [{"used_units": 1, "used": [{"units": 1}]}]}, "services[0].used_units"),
    ("an unknown kind of use", START | {"services": [{"used": [{"units": 1, "kind": "money"}]}]}, "services[0].used[0].kind"),
    ("use at an unknown time", START | {"services": [{"used": [{"units": 1}, {"when": "now"}]}]}, "services[0].used[1].when"),
    ("use of a kind that is not charged", START | {"services": [{"used": [{"units": 1, "kind": "volume"}]}]}, "services[0].used"),
    ("parts of use in words", START | {"services": [{"used": [{"units": "x"}]}]}, "services[0].used[0].units"),
    ("parts of use that are no list", START | {"services": [{"used": 5}]}, "services[0].used"),
    ("parts of use beyond every sum", START | {"services": [{"used": [{"units": 2**53 - 1}, {"units": 1}]}]}, "services[0].used"),
    ("parts of use of no service", START | {"used": [{"units": 1}]}, "used"),
    ("use of no service", START | {"used": {"units": 1}}, "used"),
    ("an unknown action", EVENT | {"action": "give"}, "action"),
    ("an action of a start", START | {"action": "refund"}, "action"),
    ("a numbered action of a start", START | {"requested_action": 1}, "requested_action"),
    ("an unknown number of an action", EVENT | {"requested_action": 4}, "requested_action"),
    ("two actions that differ", EVENT | {"action": "refund", "requested_action": 0}, "requested_action"),
    ("a reversal without the action", EVENT | {"reverses": "017-1"}, "reverses"),
    ("an amount without the action", EVENT | {"amount": "1.00"}, "amount"),
    ("a refund of nothing", EVENT | {"action": "refund", "used_units": None}, "reverses"),
    ("a reversal of units", EVENT | {"action": "refund", "reverses": "017-1"}, "reverses"),
    ("a reversal and an amount", EVENT | {"action": "refund", "reverses": "017-1", "amount": "1", "used_units": None}, "reverses"),
    ("an amount that is none", EVENT | {"action": "refund", "amount": "much", "used_units": None}, "amount"),
    ("an amount that is 0", EVENT | {"action": "refund", "amount": 0, "used_units": None}, "amount"),
    ("an amount of nothing", EVENT | {"action": "refund", "amount": "0.00", "used_units": None}, "amount"),
    ("use in an enquiry", EVENT | {"action": "price_enquiry"}, "used_units"),
    ("use in a balance check", EVENT | {"action": "check_balance"}, "used_units"),
    ("an action of a postpaid charge", EVENT | {"record_type": "postpay_charge_request", "action": "refund"}, "action"),
    ("a postpaid charge of nothing", EVENT | {"record_type": "postpay_charge_request", "used_units": None}, "requested_units"),
    ("an event's service without units", START | {"record_type": "event_request", "services": [{}]}, "services[0].requested_units"),
    ("deep unread fields", START | {"colour": nested(17)}, "colour"),
    ("a long number", START | {"called_number": "1" * 256}, "called_number"),
    ("a long reference", START | {"session_ref": "1" * (LONGEST_REF + 1)}, "session_ref"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_a_bad_event_names_its_field(body: object, field: str) -> None:
    refusal = refusal_of(body)

    assert (refusal.code, refusal.field) == (ResultCode.INVALID_EVENT, field)
    assert refusal.reason


def test_a_refusal_says_whose_it_is_as_far_as_it_was_read() -> None:
    for bad in ({"usage_type": "fax"}, {"used_units": "x"}):
        refusal = refusal_of(START | bad)

        assert (refusal.session_id, refusal.request_number) == ("s1", 0)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
field_names = st.sampled_from(
    sorted([*START, "services", "used_units", "event_time", "answer_time", "request_type", "x"])
)


@given(st.dictionaries(field_names, json_values, max_size=4))
def test_no_json_is_more_than_an_invalid_event(fields: dict[str, Any]) -> None:
    outcome = read(START | fields).outcome

    if isinstance(outcome, Answer):
        assert outcome.code is ResultCode.INVALID_EVENT
        assert outcome.field


@given(st.binary(max_size=60))
def test_no_bytes_are_more_than_an_invalid_event(body: bytes) -> None:
    assert refusal_of(body).code is ResultCode.INVALID_EVENT
    assert DECODER.decode_array(body, ORIGIN) is not None

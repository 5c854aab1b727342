"""What a one-shot event wants done, and how much of it."""

from typing import Any

import pytest

from ocs.domain.events import Action, Kind, ServiceUse
from tests.entrypoints.decoders.reading import START, event_of, read

EVENT = START | {"record_type": "event_request"}
NOTHING = (ServiceUse("0", 0, 0),)


@pytest.mark.parametrize(
    ("fields", "action", "services"),
    [
        ({"used_units": 5}, Action.DIRECT_DEBIT, (ServiceUse("0", 5, 0),)),
        ({"action": "direct_debit", "requested_units": 5}, Action.DIRECT_DEBIT, (ServiceUse("0", 0, 5),)),
        ({"requested_action": 0, "requested_units": 5}, Action.DIRECT_DEBIT, (ServiceUse("0", 0, 5),)),
        ({"requested_action": 1, "reverses": "017-1-0"}, Action.REFUND, NOTHING),
        ({"action": "refund", "reverses": "017-1-0", "usage_type": "sms"}, Action.REFUND, NOTHING),
        ({"action": "refund", "amount": "1.50"}, Action.REFUND, NOTHING),
        ({"action": "refund", "requested_units": 5}, Action.REFUND, (ServiceUse("0", 0, 5),)),
        ({"action": "refund", "used_units": 5}, Action.REFUND, (ServiceUse("0", 5, 0),)),
        ({"action": "check_balance"}, Action.CHECK_BALANCE, (ServiceUse("0", 0, None),)),
        ({"requested_action": 2, "requested_units": 9}, Action.CHECK_BALANCE, (ServiceUse("0", 0, 9),)),
        ({"action": "check_balance", "usage_type": "sms"}, Action.CHECK_BALANCE, (ServiceUse("0", 0, 1),)),
        ({"action": "check_balance", "used_units": 0}, Action.CHECK_BALANCE, (ServiceUse("0", 0, None),)),
        ({"requested_action": 3, "requested_units": 9}, Action.PRICE_ENQUIRY, (ServiceUse("0", 0, 9),)),
        ({"action": "price_enquiry", "requested_action": 3, "usage_type": "mms"}, Action.PRICE_ENQUIRY, (ServiceUse("0", 0, 1),)),
        ({"action": "price_enquiry", "services": [{"rating_group": 4, "requested_units": 9}]}, Action.PRICE_ENQUIRY, (ServiceUse("4", 0, 9),)),
    ],
)  # fmt: skip
def test_what_an_event_wants(
    fields: dict[str, Any], action: Action, services: tuple[ServiceUse, ...]
) -> None:
    event = event_of(EVENT | {"requested_units": None} | fields)

    assert (event.action, event.services) == (action, services)
    assert event.reverses == fields.get("reverses", "")


@pytest.mark.parametrize(
    ("amount", "text"), [("1.50", "1.50"), (2, "2"), (0.25, "0.25"), ("007", "007")]
)
def test_the_money_to_give_back_is_a_decimal(amount: object, text: str) -> None:
    event = event_of(EVENT | {"requested_units": None, "action": "refund", "amount": amount})

    assert event.amount == text


@pytest.mark.parametrize(
    ("fields", "services"),
    [
        ({"used_units": 5}, (ServiceUse("0", 5, 0),)),
        ({"requested_units": 5}, (ServiceUse("0", 5, 0),)),
        ({"requested_units": 5, "used_units": 0}, (ServiceUse("0", 0, 0),)),
        ({"usage_type": "sms"}, (ServiceUse("0", 1, 0),)),
        ({"services": [{"rating_group": 4, "requested_units": 9}]}, (ServiceUse("4", 9, 0),)),
    ],
)
def test_a_postpaid_charge_settles_what_was_delivered(
    fields: dict[str, Any], services: tuple[ServiceUse, ...]
) -> None:
    event = event_of(
        EVENT | {"requested_units": None, "record_type": "postpay_charge_request"} | fields
    )

    assert (event.kind, event.services) == (Kind.EVENT, services)


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({}, 1),
        ({"record_type": "update_request"}, 2),
        ({"record_type": None, "request_type": 3}, 3),
        ({"record_type": "event_request", "used_units": 1}, 4),
        ({"record_type": "postpay_charge_request", "used_units": 1}, 4),
        ({"usage_type": "fax"}, 1),
        ({"usage_type": "fax", "record_type": None, "request_type": 2}, 2),
        ({"used_units": "x", "request_type": 3}, 3),
        ({"used_units": "x"}, 1),
        ({"record_type": "stop"}, 0),
        ({"used_units": "x", "record_type": 5}, 0),
        ({"record_type": None, "request_type": 9}, 0),
    ],
)
def test_what_was_asked_for_is_told_as_a_number(fields: dict[str, Any], number: int) -> None:
    assert read(START | fields).request_type == number

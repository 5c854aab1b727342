"""Credit-Control-Requests as JSON: what they mean, and by which AVP they are refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.entrypoints.decoders.avps import MISSING
from ocs.entrypoints.decoders.diameter import canonical_of, split_session
from ocs.entrypoints.decoders.diameter_units import split_service
from ocs.entrypoints.decoders.wire import Unreadable

VOICE = "ext.01.001.8.32260@3gpp.org"
DATA = "32251@3gpp.org"
SMS = "32274@3gpp.org"
MSCC = "Multiple-Services-Credit-Control"
RSU = "Requested-Service-Unit"
USU = "Used-Service-Unit"
BASE: dict[str, Any] = {
    "Session-Id": "gw;1;2",
    "CC-Request-Type": 2,
    "CC-Request-Number": 7,
    "Service-Context-Id": DATA,
}
CANONICAL = {
    "session_id": "gw;1;2",
    "request_type": 2,
    "request_number": 7,
    "Service-Context-Id": DATA,
    "usage_type": "data",
}
EVENT = BASE | {"CC-Request-Type": 4, "Requested-Action": 0, "Service-Context-Id": SMS}


def read(**avps: Any) -> dict[str, object]:
    return canonical_of(BASE | {name.replace("_", "-"): value for name, value in avps.items()})


def refused(avps: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(Unreadable) as problem:
        canonical_of(avps)
    return problem.value.field, problem.value.reason


def one_service(**fields: Any) -> list[dict[str, Any]]:
    return [{"rating_group": "100"} | fields]


# What the services of an update with this MSCC are.
MSCCS = [
    ("asks and reports", {RSU: {"CC-Total-Octets": 500}, USU: {"CC-Total-Octets": 60}}, {"requested_units": 500, "used_units": 60}),
    ("nothing asked", {USU: {"CC-Total-Octets": 60}}, {"requested_units": 0, "used_units": 60}),
    ("the quota asked", {RSU: {}}, {}),
    ("nothing at all", {}, {"requested_units": 0}),
    ("null is absent", {RSU: None, USU: None}, {"requested_units": 0}),
    ("integers as texts", {RSU: {"CC-Total-Octets": "500"}}, {"requested_units": 500}),
    ("arrays of one", {RSU: [{"CC-Total-Octets": [500]}]}, {"requested_units": 500}),
    ("both ways", {USU: {"CC-Input-Octets": 10, "CC-Output-Octets": 5}}, {"requested_units": 0, "used_units": 15}),
    ("one way", {USU: {"CC-Output-Octets": 5}}, {"requested_units": 0, "used_units": 5}),
    ("both ways beside a total of 0", {USU: {"CC-Total-Octets": 0, "CC-Input-Octets": 10, "CC-Output-Octets": 5}}, {"requested_units": 0, "used_units": 15}),
    ("one way beside a total of 0", {RSU: {"CC-Total-Octets": 0, "CC-Input-Octets": 10}}, {"requested_units": 10}),
    ("nothing either way", {USU: {"CC-Total-Octets": 0, "CC-Input-Octets": 0}}, {"requested_units": 0, "used_units": 0}),
    ("a total of 0", {USU: {"CC-Total-Octets": 0}}, {"requested_units": 0, "used_units": 0}),
    ("several reports", {USU: [{"CC-Total-Octets": 5}, {"CC-Total-Octets": 6}]}, {"requested_units": 0, "used_units": 11}),
    ("an empty report", {USU: {}}, {"requested_units": 0, "used_units": 0}),
    ("before and after a tariff change", {USU: [{"CC-Total-Octets": 5, "Tariff-Change-Usage": 0}, {"CC-Total-Octets": 6, "Tariff-Change-Usage": "UNIT_AFTER_TARIFF_CHANGE"}]}, {"requested_units": 0, "used": [{"units": 5, "when": "before"}, {"units": 6, "when": "after"}]}),
    ("across a tariff change", {USU: {"CC-Total-Octets": 5, "Tariff-Change-Usage": 2}}, {"requested_units": 0, "used_units": 5}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mscc", "expected"), [case[1:] for case in MSCCS], ids=[case[0] for case in MSCCS]
)
def test_a_service(mscc: dict[str, Any], expected: dict[str, Any]) -> None:
    command = BASE | {MSCC: [{"Rating-Group": 100} | mscc]}
    assert canonical_of(command) == CANONICAL | {"services": one_service(**expected)}


# The same, and what is kept of the MSCC.
UNITS_BESIDE = [
    ("both ways beside a total", {USU: {"CC-Total-Octets": 20, "CC-Input-Octets": 10, "CC-Output-Octets": 5}}, {"requested_units": 0, "used_units": 20}, {USU: {"CC-Input-Octets": 10, "CC-Output-Octets": 5}}),
    ("time beside octets", {USU: {"CC-Total-Octets": 5, "CC-Time": 60}, RSU: {"CC-Time": 60, "CC-Total-Octets": 7}}, {"requested_units": 7, "used_units": 5}, {RSU: {"CC-Time": 60}, USU: {"CC-Time": 60}}),
    ("time in a report of its own", {USU: [{"CC-Time": 60}, {"CC-Total-Octets": 5}]}, {"requested_units": 0, "used_units": 5}, {USU: [{"CC-Time": 60}]}),
    ("time before a tariff change", {USU: [{"CC-Time": 60, "Tariff-Change-Usage": 0}, {"CC-Total-Octets": 5, "Tariff-Change-Usage": 1}]}, {"requested_units": 0, "used": [{"units": 0, "when": "before"}, {"units": 5, "when": "after"}]}, {USU: [{"CC-Time": 60}]}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("mscc", "expected", "kept"),
    [case[1:] for case in UNITS_BESIDE],
    ids=[case[0] for case in UNITS_BESIDE],
)
def test_units_beside_those_that_count_are_kept(
    mscc: dict[str, Any], expected: dict[str, Any], kept: dict[str, Any]
) -> None:
    found = canonical_of(BASE | {MSCC: [{"Rating-Group": 100} | mscc]})
    assert found["services"] == one_service(**expected)
    assert found[MSCC] == {"Rating-Group": 100} | kept


KEYS = [
    ({"Rating-Group": 100}, "100", None, (100, [])),
    ({"Rating-Group": 0}, "0/", None, (0, [])),
    ({"Rating-Group": "100", "Service-Identifier": 1000}, "100/1000", "1000", (100, [1000])),
    ({"Service-Identifier": "1000"}, "/1000", "1000", (None, [1000])),
    ({"Rating-Group": 1, "Service-Identifier": [7, 8]}, "1/7+8", "7", (1, [7, 8])),
    ({}, "/", None, (None, [])),
]


@pytest.mark.parametrize(
    ("mscc", "key", "service_id", "parts"), KEYS, ids=[case[1] for case in KEYS]
)
def test_the_name_of_a_service_leads_back_to_its_avps(
    mscc: dict[str, Any], key: str, service_id: str | None, parts: tuple[int | None, list[int]]
) -> None:
    services = canonical_of(BASE | {MSCC: mscc})["services"]
    expected = {"rating_group": key, "requested_units": 0}
    assert services == [expected | ({"service_id": service_id} if service_id else {})]
    assert split_service(key) == parts


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (BASE | {RSU: {"CC-Total-Octets": 500}}, {"requested_units": 500}),
        (BASE | {USU: {"CC-Total-Octets": 5}}, {"requested_units": 0, "used_units": 5}),
        (BASE | {"CC-Request-Type": 1}, {}),
        (BASE | {"CC-Request-Type": 1, RSU: {}}, {}),
        (BASE | {"CC-Request-Type": 1, "Multiple-Services-Indicator": 1}, {"requested_units": 0}),
        (BASE | {"CC-Request-Type": 3, RSU: {"CC-Total-Octets": 9}, USU: {"CC-Total-Octets": 5}}, {"used_units": 5}),
        (
            BASE | {USU: {"CC-Total-Octets": 5, "Tariff-Change-Usage": 0}},
            {"services": [{"rating_group": "0", "requested_units": 0, "used": [{"units": 5, "when": "before"}]}]},
        ),
    ],
    ids=["asks", "reports", "first: the quota", "first: the quota, said", "first: services to come", "last: asks nothing", "tariff change"],
)  # fmt: skip
def test_units_without_services(command: dict[str, Any], expected: dict[str, Any]) -> None:
    read = canonical_of(command)
    names = ("requested_units", "used_units", "services")
    assert {name: read[name] for name in names if name in read} == expected


@pytest.mark.parametrize(
    ("context", "units", "expected"),
    [
        (DATA, {}, "data"),
        (VOICE, {}, "voice"),
        (SMS, {}, "sms"),
        ("32270@3gpp.org", {}, "mms"),
        ("32275@3gpp.org", {}, "voice"),
        ("32276", {}, "voice"),
        ("my-service@example.com", {"CC-Time": 5}, "voice"),
        ("my-service@example.com", {"CC-Input-Octets": 5, "CC-Time": 5}, "data"),
        ("my-service@example.com", {"CC-Service-Specific-Units": 1}, "event"),
        ("my-service@example.com", {}, None),
    ],
)
def test_what_is_charged(context: str, units: dict[str, int], expected: str | None) -> None:
    at_command = read(Service_Context_Id=context, Requested_Service_Unit=units)
    assert at_command.get("usage_type") == expected
    in_service = canonical_of(BASE | {"Service-Context-Id": context, MSCC: [{USU: [units]}]})
    assert in_service.get("usage_type") == expected


def test_what_is_not_read_is_kept_under_its_name() -> None:
    avps = {
        "Origin-Host": "gw.example.com",
        "T": True,
        "Multiple-Services-Indicator": 1,
        "User-Equipment-Info": {"User-Equipment-Info-Type": 0, "User-Equipment-Info-Value": "123"},
        "Null": None,
        MSCC: [
            {"Rating-Group": 100, RSU: {}},
            {
                "Rating-Group": 200,
                "Service-Identifier": 7,
                "Reporting-Reason": 3,
                USU: [{"CC-Total-Octets": 5, "CC-Time": 60}, {"CC-Service-Specific-Units": 6}],
            },
        ],
        "Service-Information": {
            "PS-Information": {"Called-Station-Id": "internet", "3GPP-RAT-Type": "06"}
        },
    }
    kept = canonical_of(BASE | avps)
    assert kept.keys() - CANONICAL.keys() == (avps.keys() - {"Null"}) | {
        "services",
        "called_number",
    }
    assert kept[MSCC] == [
        {
            "Rating-Group": 200,
            "Service-Identifier": [7],
            "Reporting-Reason": 3,
            USU: [{"CC-Time": 60}, {"CC-Service-Specific-Units": 6}],
        }
    ]
    assert kept["Service-Information"] == {"PS-Information": {"3GPP-RAT-Type": "06"}}
    assert kept["called_number"] == "internet"


@pytest.mark.parametrize("wrapper", ["CCR", "event"])
def test_a_command_may_be_wrapped(wrapper: str) -> None:
    assert canonical_of({wrapper: BASE, "peers": {"ccf": ["a"]}}) == (
        CANONICAL | {"requested_units": 0, "peers": {"ccf": ["a"]}}
    )


def test_a_sub_session_is_a_session_of_its_own() -> None:
    session_id = read(CC_Sub_Session_Id=3)["session_id"]
    assert session_id == "gw;1;2;cc-sub-session-id=3"
    assert split_session(str(session_id)) == ("gw;1;2", 3)
    assert split_session("gw;1;2") == ("gw;1;2", None)
    assert split_session("gw;cc-sub-session-id=x") == ("gw;cc-sub-session-id=x", None)


def test_identities_by_their_type() -> None:
    types = ["END_USER_E164", 1, 2, "3", 4]
    found = read(
        Subscription_Id=[
            {"Subscription-Id-Type": kind, "Subscription-Id-Data": f"id{position}"}
            for position, kind in enumerate([*types, 0])
        ]
    )
    names = ("msisdn", "imsi", "sip_user", "nai", "private_id")
    assert [found[name] for name in names] == [f"id{position}" for position in range(5)]


def test_identities_further_in() -> None:
    inside = {"Subscription-Id": {"Subscription-Id-Type": 0, "Subscription-Id-Data": "44"}}
    assert read(Service_Information=inside)["msisdn"] == "44"
    assert read(User_Name="alice@example.com")["sip_user"] == "alice@example.com"


IMS = {
    "Event-Type": {"SIP-Method": "INVITE"},
    "Role-Of-Node": 1,
    "Calling-Party-Address": ["tel:+441632960001", "sip:alice@example.com"],
    "Called-Party-Address": "sip:+442071234567@example.com;user=phone",
    "Number-Portability-Routing-Information": "44799",
    "Time-Stamps": {
        "SIP-Request-Timestamp": 1_795_166_540,
        "SIP-Response-Timestamp": 1_795_166_545,
    },
    "Trunk-Group-ID": {"Incoming-Trunk-Group-ID": "in", "Outgoing-Trunk-Group-ID": "out"},
    "User-Session-ID": "call@host",
}


def test_a_call() -> None:
    read_call = read(Service_Context_Id=VOICE, Service_Information={"IMS-Information": IMS})
    assert {name: read_call[name] for name in read_call.keys() - CANONICAL.keys()} == {
        "requested_units": 0,
        "calling_number": "tel:+441632960001",
        "called_number": "sip:+442071234567@example.com;user=phone",
        "routing_number": "44799",
        "direction": "term",
        "trunk_in": "in",
        "trunk_out": "out",
        "answer_time": 1_795_166_545,
        "Service-Information": {
            "IMS-Information": {
                "Event-Type": {"SIP-Method": "INVITE"},
                "Role-Of-Node": 1,
                "Time-Stamps": {"SIP-Request-Timestamp": 1_795_166_540},
                "User-Session-ID": "call@host",
            }
        },
    }


@pytest.mark.parametrize(
    ("request_type", "changes", "answered"),
    [
        (2, {}, True),
        (3, {}, True),
        (2, {"Event-Type": None}, True),
        (3, {"Event-Type": None}, False),
        (3, {"Event-Type": {"SIP-Method": "BYE"}}, False),
        (2, {"Cause-Code": 486}, False),
        (2, {"Cause-Code": 0}, True),
        (2, {"Time-Stamps": {"SIP-Request-Timestamp": 1}}, False),
    ],
)
def test_only_the_response_to_the_invite_is_the_answer(
    request_type: int, changes: dict[str, Any], answered: bool
) -> None:
    ims = {"IMS-Information": IMS | changes}
    read_call = read(
        CC_Request_Type=request_type, Service_Context_Id=VOICE, Service_Information=ims
    )
    assert ("answer_time" in read_call) is answered


@pytest.mark.parametrize(
    ("role", "direction"),
    [
        (0, "orig"),
        (1, "term"),
        (2, "forward"),
        ("TERMINATING_ROLE", "term"),
        (9, None),
        (None, None),
        ([], None),
        ({"a": 1}, None),
    ],
)
def test_the_role_of_the_node_is_the_direction(role: object, direction: str | None) -> None:
    ims = {"IMS-Information": {"Role-Of-Node": role}}
    assert read(Service_Information=ims).get("direction") == direction


@pytest.mark.parametrize(
    "messages",
    [
        {"SMS-Information": {"Recipient-Info": [{"Recipient-Address": [{"Address-Type": 1, "Address-Data": "44"}]}]}},
        {"SMS-Information": {"Recipient-Info": {"Recipient-Address": {"Address-Data": "44"}}}},
        {"SMS-Information": {"Recipient-Address": "44"}},
        {"MMS-Information": {"Recipient-Address": [{"Address-Data": "44"}, {"Address-Data": "45"}]}},
    ],
)  # fmt: skip
def test_the_first_recipient_of_a_message_is_rated(messages: dict[str, Any]) -> None:
    read_message = canonical_of(EVENT | {"Service-Information": messages})
    assert read_message["called_number"] == "44"
    assert read_message["Service-Information"] == messages


def test_the_sender_of_a_message() -> None:
    sender = {"Originator-Received-Address": {"Address-Data": "44"}}
    assert read(Service_Information={"SMS-Information": sender})["calling_number"] == "44"


@pytest.mark.parametrize(
    ("action", "number"), [(0, 0), ("REFUND_ACCOUNT", 1), ("2", 2), ("PRICE_ENQUIRY", 3)]
)
def test_what_an_event_wants_done(action: object, number: int) -> None:
    assert canonical_of(EVENT | {"Requested-Action": action})["requested_action"] == number


def test_a_refund_of_a_transaction() -> None:
    refund = EVENT | {"Requested-Action": 1, "Refund-Information": "007-1-0"}
    assert canonical_of(refund)["reverses"] == "007-1-0"
    assert "reverses" not in canonical_of(refund | {"Requested-Action": 0})


@pytest.mark.parametrize(
    ("digits", "exponent", "currency", "amount"),
    [
        (5, -2, 978, "0.05 EUR"),
        (12345, -2, 826, "123.45 GBP"),
        (12, 2, 392, "1200 JPY"),
        (7, None, None, "7"),
        ("7", 0, "532", "7 XCG"),
        (0, -3, None, "0.000"),
    ],
)
def test_a_refund_of_money(digits: object, exponent: object, currency: object, amount: str) -> None:
    money = {
        "Unit-Value": {"Value-Digits": digits, "Exponent": exponent},
        "Currency-Code": currency,
    }
    refund = EVENT | {"Requested-Action": 1}
    for at_either_level in ({RSU: {"CC-Money": money}}, {MSCC: [{RSU: {"CC-Money": money}}]}):
        read_refund = canonical_of(refund | at_either_level)
        assert read_refund["amount"] == amount
        assert not read_refund.keys() & {"services", "requested_units", RSU, MSCC}


BAD = [
    ("no session", BASE | {"Session-Id": None}, "Session-Id", MISSING),
    ("an empty session", BASE | {"Session-Id": ""}, "Session-Id", MISSING),
    ("no type", BASE | {"CC-Request-Type": None}, "CC-Request-Type", MISSING),
    ("no number", BASE | {"CC-Request-Number": None}, "CC-Request-Number", MISSING),
    ("no context", BASE | {"Service-Context-Id": None}, "Service-Context-Id", MISSING),
    ("no action", EVENT | {"Requested-Action": None}, "Requested-Action", MISSING),
    ("an unknown type", BASE | {"CC-Request-Type": 0}, "CC-Request-Type", "expected one of 1 (INITIAL_REQUEST), 2 (UPDATE_REQUEST), 3 (TERMINATION_REQUEST), 4 (EVENT_REQUEST)"),
    ("a type that is true", BASE | {"CC-Request-Type": True}, "CC-Request-Type", None),
    ("a number below 0", BASE | {"CC-Request-Number": -1}, "CC-Request-Number", "expected an integer of 0 to 4294967295"),
    ("a number beyond 32 bits", BASE | {"CC-Request-Number": 2**32}, "CC-Request-Number", None),
    ("a number with a fraction", BASE | {"CC-Request-Number": 1.5}, "CC-Request-Number", None),
    ("a very long number", BASE | {"CC-Request-Number": "9" * 10_000}, "CC-Request-Number", None),
    ("a session that is a group", BASE | {"Session-Id": {}}, "Session-Id", "expected a text"),
    ("an unknown action", EVENT | {"Requested-Action": 4}, "Requested-Action", None),
    ("an identity without its type", BASE | {"Subscription-Id": [{"Subscription-Id-Data": "44"}]}, "Subscription-Id[0].Subscription-Id-Type", MISSING),
    ("an identity without data", BASE | {"Subscription-Id": {"Subscription-Id-Type": 0}}, "Subscription-Id.Subscription-Id-Data", MISSING),
    ("an unknown type of identity", BASE | {"Subscription-Id": {"Subscription-Id-Type": 5}}, "Subscription-Id.Subscription-Id-Type", None),
    ("an identity that is none", BASE | {"Subscription-Id": ["44"]}, "Subscription-Id", "expected a group, or an array of them"),
    ("a group twice", BASE | {RSU: [{}, {}]}, RSU, "expected once"),
    ("another unit reported", BASE | {USU: {"CC-Time": 5}}, f"{USU}.CC-Time", "expected CC-Total-Octets, in which this service is counted"),
    ("only other units reported", BASE | {USU: [{}, {"CC-Time": 5}, {"CC-Service-Specific-Units": 1}]}, f"{USU}[1].CC-Time", "expected CC-Total-Octets, in which this service is counted"),
    ("another service in another unit", BASE | {MSCC: [{USU: {"CC-Total-Octets": 5}}, {USU: {"CC-Time": 5}}]}, f"{MSCC}[1].{USU}.CC-Time", "expected CC-Total-Octets, in which this service is counted"),
    ("money beside octets", BASE | {USU: [{"CC-Total-Octets": 5}, {"CC-Money": {}}]}, f"{USU}[1].CC-Money", "expected units: an amount of money is neither granted nor debited"),
    ("another unit asked for", BASE | {MSCC: [{}, {RSU: {"CC-Service-Specific-Units": 5}}]}, f"{MSCC}[1].{RSU}.CC-Service-Specific-Units", None),
    ("money asked for", BASE | {RSU: {"CC-Money": {}}}, f"{RSU}.CC-Money", "expected units: an amount of money is neither granted nor debited"),
    ("money to be debited", EVENT | {RSU: {"CC-Money": {}}}, f"{RSU}.CC-Money", None),
    ("a refund of no money", EVENT | {"Requested-Action": 1, RSU: {"CC-Money": {}}}, f"{RSU}.CC-Money.Unit-Value.Value-Digits", MISSING),
    ("a refund in no currency", EVENT | {"Requested-Action": 1, RSU: {"CC-Money": {"Unit-Value": {"Value-Digits": 1}, "Currency-Code": 1}}}, f"{RSU}.CC-Money.Currency-Code", None),
    ("a wild exponent", EVENT | {"Requested-Action": 1, RSU: {"CC-Money": {"Unit-Value": {"Value-Digits": 1, "Exponent": 99}}}}, f"{RSU}.CC-Money.Unit-Value.Exponent", "expected an integer of -12 to 12"),
    ("units below 0", BASE | {USU: {"CC-Total-Octets": -5}}, f"{USU}.CC-Total-Octets", None),
    ("a rating group of letters", BASE | {MSCC: {"Rating-Group": "gold"}}, f"{MSCC}.Rating-Group", None),
    ("a service identifier of letters", BASE | {MSCC: {"Service-Identifier": ["gold"]}}, f"{MSCC}.Service-Identifier", None),
    ("use at both levels", BASE | {MSCC: [{}], USU: {"CC-Total-Octets": 5}}, USU, f"expected inside of {MSCC}, where that is given"),
    ("asked at both levels", BASE | {MSCC: [{}], RSU: {"CC-Total-Octets": 5}}, RSU, None),
    ("an unknown side of a tariff change", BASE | {USU: {"Tariff-Change-Usage": 3}}, f"{USU}.Tariff-Change-Usage", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("avps", "field", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_wrong_has_the_name_of_its_avp(
    avps: dict[str, Any], field: str, reason: str | None
) -> None:
    told = refused(avps)
    assert told == (field, told[1] if reason is None else reason)


def test_a_refusal_knows_what_it_answers() -> None:
    with pytest.raises(Unreadable) as problem:
        canonical_of({"CCR": BASE | {"Service-Context-Id": None}})
    assert problem.value.plain == {"session_id": "gw;1;2", "request_number": 7, "request_type": 2}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([MSCC, RSU, USU, "CC-Time", "CC-Total-Octets", "CC-Money", "Unit-Value",
                         "Rating-Group", "Service-Identifier", "IMS-Information", "SMS-Information",
                         "Recipient-Info", "Recipient-Address", "Time-Stamps", "Event-Type",
                         "Subscription-Id-Type", "Subscription-Id-Data", "Tariff-Change-Usage"]),
        inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_AVPS = st.dictionaries(
    st.sampled_from([*BASE, MSCC, RSU, USU, "Requested-Action", "Subscription-Id", "User-Name",
                     "CC-Sub-Session-Id", "Service-Information", "Refund-Information", "CCR"]),
    _VALUES, max_size=5,
)  # fmt: skip


@given(avps=_AVPS, base=st.sampled_from([{}, BASE, EVENT, EVENT | {"Requested-Action": 1}]))
def test_no_command_is_a_surprise(avps: dict[str, Any], base: dict[str, Any]) -> None:
    before = json.dumps(base | avps)
    try:
        read_command = canonical_of(base | avps)
    except Unreadable as problem:
        told = (problem.field, problem.reason)
    else:
        told = (str(read_command["session_id"]), "read")
    assert all(told)
    assert json.dumps(base | avps) == before, "a decoder changes nothing of what it reads"

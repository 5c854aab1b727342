"""A client's names, words and kinds become ours, and what is not understood is kept or named."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.entrypoints.dialects import Origin
from ocs.usecases.answer import Answer
from tests.entrypoints.decoders.mapping_cases import (
    BODY,
    CANONICAL,
    MAP,
    ORIGIN,
    USED,
    decoded,
    decoder_of,
    event_of,
    kept,
    refusal_of,
)
from tests.entrypoints.decoders.reading import NOW_MS, nested

NOW_S = NOW_MS // 1_000


def test_names_are_the_clients() -> None:
    assert event_of(MAP, BODY) == Event(
        kind=Kind.START,
        tenant="demo",
        session_id="c1",
        request_number=0,
        request_key="",
        subscriber="441632960166",
        usage_type="voice",
        rated_number="260955123456",
        event_ms=NOW_MS,
        reported_ms=NOW_MS,
        answer_ms=None,
        services=(ServiceUse("0", 0, None),),
        called_number="260955123456",
    )


def test_a_canonical_name_that_is_not_mapped_stands_for_itself() -> None:
    assert event_of(MAP, BODY | {"trunk_in": "t"}).trunk_in == "t"
    assert event_of(MAP + "fields.trunk_in = []", BODY | {"trunk_in": "t"}).trunk_in == ""


@pytest.mark.parametrize(
    ("line", "more", "called"),
    [
        ('fields.called_number = ["a", "b"]', {"a": "1", "b": "2"}, "1"),
        ('fields.called_number = ["a", "b"]', {"a": "", "b": "2"}, "2"),
        ('fields.called_number = ["a", "b"]', {"a": None, "b": "2"}, "2"),
        ('fields.called_number = ["a", "b"]', {}, ""),
        ('fields.called_number = "leg.to"', {"leg": {"to": "3"}}, "3"),
        ('fields.called_number = "leg.to"', {"leg.to": "4", "leg": {"to": "3"}}, "4"),
        ('fields.called_number = "leg.to"', {"leg": "b"}, ""),
        ('fields.called_number = "a.b.c"', {"a": {"b": {"c": 5}}}, "5"),
    ],
)
def test_where_a_value_is(line: str, more: dict[str, Any], called: str) -> None:
    body = {name: value for name, value in BODY.items() if name != "to"} | more

    assert event_of(MAP.replace('fields.called_number = "to"', line), body).called_number == called


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("request_number", "7", ("request_number", 7)),
        ("request_number", 7.0, ("request_number", 7)),
        ("subscriber", 441632960001, ("subscriber", "441632960001")),
        ("subscriber", 441632960001.0, ("subscriber", "441632960001")),
        ("requested_units", " 60 ", ("services", (ServiceUse("0", 0, 60),))),
        ("used_units", "59.5", ("services", (ServiceUse("0", 60, None),))),
        ("used_units", ".5", ("services", (ServiceUse("0", 1, None),))),
        ("answered", "yes", ("answered", True)),
        ("answered", 1, ("answered", True)),
        ("dry_run", "FALSE", ("dry_run", False)),
        ("event_time", NOW_S - 5, ("event_ms", NOW_MS - 5_000)),
        ("event_time", str(NOW_S - 5), ("event_ms", NOW_MS - 5_000)),
        ("event_time", f"{NOW_S - 5}.25", ("event_ms", NOW_MS - 4_750)),
        ("event_time", NOW_MS - 5_000, ("event_ms", NOW_MS - 5_000)),
        ("event_time", str((NOW_MS - 5_000) * 1_000), ("event_ms", NOW_MS - 5_000)),
        ("event_time", (NOW_MS - 5_000) * 1_000_000, ("event_ms", NOW_MS - 5_000)),
        ("event_time", datetime.fromtimestamp(NOW_S, UTC).isoformat(), ("event_ms", NOW_MS)),
        ("answer_time", "0", ("answer_ms", None)),
        ("answer_time", 0, ("answer_ms", None)),
        ("answer_time", str(NOW_S - 9), ("answer_ms", NOW_MS - 9_000)),
    ],
)
def test_values_become_the_kind_of_their_field(
    name: str, value: object, found: tuple[str, object]
) -> None:
    event = event_of("", CANONICAL | {name: value})

    assert getattr(event, found[0]) == found[1]


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("request_number", "seven", "seq"),
        ("request_number", -1, "seq"),
        ("subscriber", ["1"], "from"),
        ("record_type", "stop", "type"),
        ("used_units", "ten", "used_units"),
        ("used_units", "nan", "used_units"),
        ("used_units", "1e3", "used_units"),
        ("used_units", True, "used_units"),
        ("event_time", "yesterday", "event_time"),
        ("answered", "perhaps", "answered"),
        ("session_id", "", "call"),
    ],
)
def test_what_cannot_be_converted_is_named_as_the_client_names_it(
    name: str, value: object, field: str
) -> None:
    names = {
        "request_number": "seq",
        "subscriber": "from",
        "record_type": "type",
        "session_id": "call",
    }
    refusal = refusal_of(MAP, BODY | {names.get(name, name): value})

    assert (refusal.code, refusal.field) == (ResultCode.INVALID_EVENT, field)


def test_a_refusal_says_whose_it_is_and_what_it_wanted() -> None:
    found = decoded(MAP, BODY | {"seq": 4, "used_units": "x"})
    assert isinstance(found.outcome, Answer)

    assert (found.outcome.session_id, found.outcome.request_number) == ("c1", 4)
    assert (found.request_type, found.source) == (1, "sbc")


@pytest.mark.parametrize(
    ("words", "value", "kind"),
    [
        ('1 = "start_request"', 1, Kind.START),
        ('1 = "start_request"', "1", Kind.START),
        ('true = "release_request"', True, Kind.RELEASE),
        ('BYE = "release_request"', "BYE", Kind.RELEASE),
        ('BYE = "release_request"', "update_request", Kind.UPDATE),
        ('BYE = "release_request"\n"*" = "update_request"', "anything", Kind.UPDATE),
    ],
)
def test_words_are_the_clients(words: str, value: object, kind: Kind) -> None:
    text = f"{MAP}[values.record_type]\n{words}"

    assert event_of(text, BODY | {"type": value}).kind is kind


def test_constants_are_what_an_event_does_not_say() -> None:
    text = MAP + 'constants = { usage_type = "data", requested_units = 5 }'

    assert event_of(text, BODY).usage_type == "data"
    assert event_of(text, BODY | {"usage_type": "sms"}).usage_type == "sms"
    assert event_of(text, BODY).services == (ServiceUse("0", 0, 5),)


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"event": BODY}, "c1"),
        ({"event": json.dumps(BODY), "trunk_in": "beside"}, "c1"),
        ({"data": {"request": BODY}}, "c1"),
        (BODY, "c1"),
        ({"file_type": "sbc", "request": BODY}, "c1"),
        ({"file_type": "sbc", "request": json.dumps(BODY)}, "c1"),
        ({"event": BODY, "call": "beside"}, "c1"),
    ],
)
def test_where_the_event_is(body: object, session: str) -> None:
    text = 'inside = ["event", "data.request"]\n' + MAP
    event = event_of(text, body)

    assert event.session_id == session
    assert event.trunk_in == ("beside" if "trunk_in" in str(body) else "")


@pytest.mark.parametrize("inside", ["text", "[1]", 5, '{"a":'])
def test_an_event_inside_that_is_none(inside: object) -> None:
    assert refusal_of('inside = ["event"]\n' + MAP, {"event": inside}).field == "event"


def test_a_form_carries_json() -> None:
    text = json.dumps(BODY)

    assert event_of(MAP, f"file_type=sbc&request={text}".encode()).session_id == "c1"
    assert refusal_of(MAP, b"file_type=sbc").field == "body"


def test_names_and_values_are_read_as_they_are() -> None:
    text = 'format = "kv"\n' + MAP
    event = event_of(
        text, b"call=c1\nseq=3\nfrom=441632960166\nto=26095\ntype=start_request\nx=y\n"
    )

    assert (event.session_id, event.request_number, kept(event)) == ("c1", 3, {"x": "y"})


IDENTIFY = (
    'identify = [{ field = "account.id", kind = "text" }, '
    '{ field = "uri", pattern = "sip:([^@]+)@" }, { field = "imsi", kind = "text" }]\n'
)


@pytest.mark.parametrize(
    ("more", "subscriber"),
    [
        ({"account": {"id": " A/7 "}, "uri": "sip:+44163@x"}, "A/7"),
        ({"account": {"id": 12}}, "12"),
        ({"account": {"id": ""}, "uri": "sip:+44163@x"}, "44163"),
        ({"uri": "tel:+44163", "imsi": "00101"}, "00101"),
        ({"uri": ["x"], "imsi": "00101"}, "00101"),
    ],
)
def test_who_uses_is_the_first_that_is_there(more: dict[str, Any], subscriber: str) -> None:
    assert event_of(IDENTIFY + MAP, BODY | more).subscriber == subscriber


@pytest.mark.parametrize("items", [{"0": {"rg": 1}, "2": {"rg": 2}}, {"group": 1}])
def test_an_object_of_which_nothing_is_known_is_no_list_of_one(items: object) -> None:
    """The first is how PHP writes a list with a gap."""
    refusal = refusal_of(MAP + USED, BODY | {"mscc": items})

    assert (refusal.field, refusal.reason) == ("mscc", "expected a list")
    assert event_of(MAP + USED, BODY | {"mscc": [{"group": 1}]}).services[0].rating_group == "0"
    assert event_of(MAP + USED, BODY | {"mscc": {"rg": 1}}).services[0].rating_group == "1"


def test_nobody_is_named_with_the_fields_that_were_looked_at() -> None:
    refusal = refusal_of(IDENTIFY + MAP, BODY)

    assert (refusal.field, refusal.reason) == ("from", "expected one of account.id, uri, imsi")


def test_a_session_is_named_by_several_fields() -> None:
    text = 'session_fields = ["session_id", "tag.from"]\n' + MAP
    bodies = [
        BODY | {"call": "a:b", "tag": {"from": "c"}},
        BODY | {"call": "a", "tag": {"from": "b:c"}},
        BODY | {"call": "a%3Ab", "tag": {"from": "c"}},
    ]
    names = [event_of(text, body).session_id for body in bodies]

    assert len(set(names)) == 3
    assert refusal_of(text, BODY).field == "call"
    assert event_of('session_fields = ["from"]\n' + MAP, BODY).session_id == "441632960166"


def test_the_tenant_goes_with_a_field() -> None:
    text = MAP + 'fields.tenant_key = "realm"\ntenants = { "kent.example" = "kent" }'

    event = event_of(text, BODY | {"realm": "kent.example"})
    assert event.tenant == "kent"
    assert event_of(text, BODY).tenant == "demo"
    assert refusal_of(text, BODY | {"realm": "essex.example"}).field == "realm"
    foreign = Origin(NOW_MS, "demo", frozenset({"demo"}))
    refusal = refusal_of(text, BODY | {"realm": "kent.example"}, foreign)
    assert refusal.code is ResultCode.FORBIDDEN


def test_what_is_not_read_is_kept_unless_the_source_does_not_want_it() -> None:
    text = MAP + 'fields.trunk_in = ["leg.in", "gateway"]\n'
    body = BODY | {"leg": {"in": "t1", "out": "t2"}, "gateway": "g", "session_id": "theirs"}

    assert kept(event_of(text, body)) == {
        "trunk_in": "t1",
        "leg": {"out": "t2"},
        "gateway": "g",
        "session_id": "theirs",
    }
    assert kept(event_of("keep_unmapped = false\n" + text, body)) == {"trunk_in": "t1"}
    assert refusal_of(MAP, BODY | {"x": nested(20)}).field == "x"


def test_events_of_an_array_are_judged_each_for_itself() -> None:
    decoder = decoder_of(MAP)
    origin = Origin(NOW_MS, "demo", frozenset({"demo"}), "k")
    numberless = {name: value for name, value in BODY.items() if name != "seq"}
    outcomes = decoder.decode_array(json.dumps([numberless, 5, numberless]).encode(), origin)

    assert decoder.is_array(b" [")
    assert isinstance(outcomes, list)
    first, bad, last = (one.outcome for one in outcomes)
    assert isinstance(first, Event)
    assert isinstance(last, Event)
    assert isinstance(bad, Answer)
    assert (first.request_key, last.request_key) == ("key:0:k", "key:2:k")
    for body, code in (
        (b"[1,2,3,4]", ResultCode.TOO_LARGE),
        (b"[", ResultCode.INVALID_EVENT),
        (b"5", ResultCode.INVALID_EVENT),
    ):
        refused = decoder.decode_array(body, ORIGIN)
        assert isinstance(refused, Answer)
        assert (refused.code, refused.field) == (code, "body")


def test_a_diameter_request_is_an_event() -> None:
    ccr = {
        "Session-Id": "gw;1;2",
        "Origin-Host": "gw",
        "Origin-Realm": "x",
        "Destination-Realm": "y",
        "Auth-Application-Id": 4,
        "Service-Context-Id": "32260@3gpp.org",
        "CC-Request-Type": 1,
        "CC-Request-Number": 0,
        "Subscription-Id": [{"Subscription-Id-Type": 0, "Subscription-Id-Data": "44163"}],
    }
    found = decoded('format = "diameter"', ccr)

    assert isinstance(found.outcome, Event), found.outcome
    assert (found.outcome.subscriber, found.outcome.kind) == ("44163", Kind.START)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rg", "usu", "octets", "change", "x"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
names = st.sampled_from(
    [
        *BODY,
        *("mscc", "other", "event", "leg", "realm", "used_units", "event_time", "answered"),
        *("services", "tenant_key", "amount", "action", "answer_time", "session_fields", "imsi"),
        "usage_type",
    ]
)
EVERYTHING = decoder_of(
    'inside = ["event"]\nsession_fields = ["session_id", "leg.a"]\n'
    + IDENTIFY
    + 'reports = { used = "total", unit_ms = 1 }\n'
    + MAP
    + USED
    + 'fields.trunk_in = "leg.in"\nfields.tenant_key = "realm"\ntenants = { a = "demo" }\n'
)


@given(st.dictionaries(names, json_values, max_size=5))
def test_no_json_is_more_than_an_invalid_event(fields: dict[str, Any]) -> None:
    body = BODY | {"leg": {"a": "1"}, "imsi": "1"} | fields
    outcome = EVERYTHING.decode(json.dumps(body).encode(), ORIGIN).outcome

    if isinstance(outcome, Answer):
        assert outcome.code is ResultCode.INVALID_EVENT
        assert outcome.field
        assert outcome.reason


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_no_bytes_are_more_than_an_invalid_event(body: bytes) -> None:
    for text in (MAP, 'format = "kv"\n' + MAP, 'format = "diameter"'):
        outcome = decoder_of(text).decode(body, ORIGIN).outcome
        assert isinstance(outcome, Answer)
        assert outcome.code is ResultCode.INVALID_EVENT


@pytest.mark.parametrize(
    ("more", "body", "field"),
    [
        ('fields.used_units = "billsec"', {"used_units": 60}, "billsec"),
        ('fields.used_units = "billsec"', {"billsec": 60, "used_units": 60}, "billsec"),
        (USED, {"services": [{"rating_group": 1, "used_units": 60}]}, "services"),
        (
            'fields."services[].used_units" = "mscc[].used"',
            {"mscc": [{"used_units": 60}]},
            "mscc[].used",
        ),
    ],
)
def test_use_that_stands_under_our_name_and_not_where_the_map_has_it_is_refused(
    more: str, body: dict[str, object], field: str
) -> None:
    refusal = refusal_of(MAP + more, BODY | {"type": "update_request"} | body)
    assert refusal.code is ResultCode.INVALID_EVENT
    assert refusal.field == field
    assert "expected here, not in" in refusal.reason


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ('fields.used_units = "billsec"', {"billsec": 60, "used_units": 0}),
        ('fields.used_units = ["billsec", "used_units"]', {"used_units": 60}),
        ("fields.used_units = []", {"used_units": 60}),
        ('fields.used_units = "billsec"', {"billsec": 60, "used_units": None}),
    ],
)
def test_use_that_is_read_or_given_up_knowingly_is_not(more: str, body: dict[str, object]) -> None:
    event = event_of(MAP + more, BODY | {"type": "update_request"} | body)
    assert event.kind is Kind.UPDATE

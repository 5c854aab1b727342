"""Golden events: what a body says, and what it is read as."""

import json
from typing import Any

import pytest

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.wire import LONGEST_TEXT, _explain
from ocs.entrypoints.dialects import Decoded, Origin
from ocs.usecases.addresses import session_address
from ocs.usecases.answer import Answer
from ocs.usecases.ports import SessionKey
from tests.entrypoints.decoders.reading import (
    DECODER,
    NOW_MS,
    NUMBERLESS,
    ORIGIN,
    START,
    event_of,
    nested,
    read,
    refusal_of,
)


def test_an_event_as_kamailio_posts_it() -> None:
    body = (
        b'{"record_type":"start_request","session_id":"1-9354@127.0.0.1","usage_type":"voice",'
        b'"subscriber":"441632960166","called_number":"260955123456","trunk":"127.0.0.1",'
        b'"request_number":0,"used_units":0,"requested_units":30,"event_time":1795166545}'
    )

    assert event_of(body) == Event(
        kind=Kind.START,
        tenant="demo",
        session_id="1-9354@127.0.0.1",
        request_number=0,
        request_key="",
        subscriber="441632960166",
        usage_type="voice",
        rated_number="260955123456",
        event_ms=NOW_MS,
        reported_ms=NOW_MS,
        answer_ms=None,
        services=(ServiceUse("0", 0, 30),),
        called_number="260955123456",
        attributes=b'{"trunk":"127.0.0.1"}',
    )


def test_every_field_of_an_event_is_in_its_place() -> None:
    """The decoder names them by position."""
    body = {
        "record_type": "update_request",
        "session_id": "s1",
        "request_number": 7,
        "subscriber": "441632960166",
        "usage_type": "data",
        "called_number": "49301",
        "calling_number": "49302",
        "routing_number": "49303",
        "direction": "term",
        "event_time": NOW_MS // 1000 + 3_600,
        "answer_time": NOW_MS // 1000 + 3_590,
        "services": [{"rating_group": 4, "used_units": 5, "requested_units": 6}],
        "session_ref": "demo/a/b/s1",
        "trunk_in": "in",
        "answered": True,
        "dry_run": True,
    }
    assert event_of(body) == Event(
        kind=Kind.UPDATE,
        tenant="demo",
        session_id="s1",
        request_number=7,
        request_key="",
        subscriber="441632960166",
        usage_type="data",
        rated_number="49303",
        event_ms=NOW_MS + 300_000,
        reported_ms=NOW_MS + 3_600_000,
        answer_ms=NOW_MS + 290_000,
        services=(ServiceUse("4", 5, 6),),
        session_ref="demo/a/b/s1",
        direction="term",
        calling_number="49302",
        called_number="49301",
        trunk_in="in",
        answered=True,
        dry_run=True,
        time_flag=True,
        attributes=b'{"trunk_in":"in"}',
    )


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"record_type": "start_request"}, Kind.START),
        ({"record_type": "initial_request"}, Kind.START),
        ({"record_type": "update_request"}, Kind.UPDATE),
        ({"record_type": "release_request"}, Kind.RELEASE),
        ({"record_type": "final_request"}, Kind.RELEASE),
        ({"record_type": "event_request", "used_units": 1}, Kind.EVENT),
        ({"record_type": None, "request_type": 1}, Kind.START),
        ({"record_type": None, "request_type": 2}, Kind.UPDATE),
        ({"record_type": None, "request_type": 3}, Kind.RELEASE),
        ({"record_type": None, "request_type": 4, "used_units": 1}, Kind.EVENT),
        ({"record_type": "final_request", "request_type": 3}, Kind.RELEASE),
    ],
)
def test_what_an_event_asks_for(fields: dict[str, Any], kind: Kind) -> None:
    assert event_of(START | fields).kind is kind


@pytest.mark.parametrize(
    ("fields", "subscriber"),
    [
        ({}, "441632960166"),
        ({"subscriber": "sip:+44 1632-960166@pbx;user=phone"}, "441632960166"),
        ({"subscriber": None, "msisdn": "+441632960001", "imsi": "1"}, "441632960001"),
        ({"subscriber": "", "imsi": "001010123456789", "calling_number": "1"}, "001010123456789"),
        ({"subscriber": "", "calling_number": "00441632960002", "sip_user": "x"}, "441632960002"),
        ({"subscriber": "", "sip_user": "sip:Alice@example.com", "trunk": "t"}, "alice"),
        ({"subscriber": "", "trunk": "192.0.2.1"}, "192.0.2.1"),
        ({"subscriber": "", "record_type": "update_request", "session_ref": "p001-x"}, ""),
    ],
)
def test_who_pays_is_the_first_identity(fields: dict[str, Any], subscriber: str) -> None:
    assert event_of(START | fields).subscriber == subscriber


@pytest.mark.parametrize(
    ("fields", "called", "rated"),
    [
        ({"called_number": "+33 1 70 18 99 00"}, "33170189900", "33170189900"),
        ({"routing_number": "tel:+33650123456"}, "260955123456", "33650123456"),
        ({"called_number": None}, "", ""),
    ],
)
def test_what_is_rated(fields: dict[str, Any], called: str, rated: str) -> None:
    event = event_of(START | fields)

    assert (event.called_number, event.rated_number) == (called, rated)


def test_numbers_follow_the_rules_of_the_tenant() -> None:
    origin = Origin(NOW_MS, "kent", frozenset({"kent"}))

    event = event_of(START | {"called_number": "01632 960001", "calling_number": "0044123"}, origin)

    assert (event.called_number, event.calling_number) == ("441632960001", "44123")


@pytest.mark.parametrize(
    ("kind", "fields", "used", "asked"),
    [
        ("start_request", {}, 0, None),
        ("start_request", {"requested_units": 30}, 0, 30),
        ("start_request", {"requested_units": 0}, 0, 0),
        ("start_request", {"requested_units": 30, "report_only": True}, 0, 0),
        ("update_request", {"used_units": 60}, 60, None),
        ("update_request", {"used_units": 59.5}, 60, None),
        ("update_request", {"used_units": 59.49}, 59, None),
        ("update_request", {"used_units": 0.49999999999999994}, 0, None),
        ("update_request", {"used_units": 2**53 - 1, "requested_units": 1.5}, 2**53 - 1, 2),
        ("release_request", {}, 0, 0),
        ("release_request", {"used_units": 7, "requested_units": 30}, 7, 0),
        ("event_request", {"used_units": 1}, 1, 0),
        ("event_request", {"requested_units": 1}, 0, 1),
        ("event_request", {"usage_type": "sms"}, 0, 1),
    ],
)
def test_how_much(kind: str, fields: dict[str, Any], used: int, asked: int | None) -> None:
    decoded = read(START | {"record_type": kind} | fields)

    assert isinstance(decoded.outcome, Event)
    assert decoded.outcome.services == (ServiceUse("0", used, asked),)
    assert not decoded.itemised


def test_services_each_have_their_own_units() -> None:
    services = [
        {"rating_group": 10, "used_units": 5, "requested_units": 1000},
        {"rating_group": "video", "requested_units": None, "service_id": 7},
        {"used_units": 1.5},
    ]
    decoded = read(
        START | {"record_type": "update_request", "usage_type": "data", "services": services}
    )

    assert isinstance(decoded.outcome, Event)
    assert decoded.itemised
    assert decoded.outcome.services == (
        ServiceUse("10", 5, 1000),
        ServiceUse("video", 0, None),
        ServiceUse("0", 2, None),
    )


def test_a_release_of_no_service_in_particular_releases_the_session() -> None:
    event = event_of(START | {"record_type": "release_request", "services": []})

    assert event.services == (ServiceUse("0", 0, 0),)


@pytest.mark.parametrize(
    ("event_time", "event_ms", "reported_ms"),
    [
        (None, NOW_MS, NOW_MS),
        (1795166545, NOW_MS, NOW_MS),
        (1795166545.25, NOW_MS + 250, NOW_MS + 250),
        ("2026-11-20T09:22:25Z", NOW_MS, NOW_MS),
        ("2026-11-20T10:22:25.5+01:00", NOW_MS + 500, NOW_MS + 500),
        (1795166545 - 300, NOW_MS - 300_000, NOW_MS - 300_000),
        (1795166545 - 301, NOW_MS - 300_000, NOW_MS - 301_000),
        (1795166545 + 3600, NOW_MS + 300_000, NOW_MS + 3_600_000),
        (0, NOW_MS - 300_000, 0),
        (1e300, NOW_MS + 300_000, 2**53 - 1),
        (-1e300, NOW_MS - 300_000, -(2**53 - 1)),
        (10**40, NOW_MS + 300_000, 2**53 - 1),
        ("0001-01-01T00:00:00+14:00", NOW_MS - 300_000, -62_135_647_200_000),
    ],
)
def test_times_are_clamped_to_the_skew_and_flagged(
    event_time: object, event_ms: int, reported_ms: int
) -> None:
    event = event_of(START | {"event_time": event_time})

    assert (event.event_ms, event.reported_ms) == (event_ms, reported_ms)
    assert event.time_flag == (event_ms != reported_ms)


@pytest.mark.parametrize(
    ("event_time", "answer_time", "answer_ms"),
    [
        (1795166545, None, None),
        (1795166545, 1795166540, NOW_MS - 5_000),
        (1795166545, 1795166550, NOW_MS),  # nobody answers after the event that says so
        (1795166545 + 3600, 1795166545 + 3590, NOW_MS + 290_000),  # the clock is one hour ahead
        (1795166545, -5, 0),
    ],
)
def test_the_answer_time_moves_with_the_clock_of_the_event(
    event_time: int, answer_time: int | None, answer_ms: int | None
) -> None:
    event = event_of(START | {"event_time": event_time, "answer_time": answer_time})

    assert event.answer_ms == answer_ms


def key_of(fields: dict[str, Any], idempotency_key: str = "") -> tuple[int | None, str]:
    origin = Origin(NOW_MS, "demo", frozenset({"demo"}), idempotency_key)
    event = event_of(NUMBERLESS | fields, origin)
    return event.request_number, event.request_key


def test_a_request_is_known_by_number_then_header_then_event_id_then_time() -> None:
    all_of_them = {"request_number": 3, "event_id": "e", "event_time": 1795166545}

    assert key_of(all_of_them, "k") == (3, "")
    assert key_of({"request_num": 4}, "k") == (4, "")
    assert key_of(all_of_them | {"request_number": None}, "k") == (None, "key:k")
    assert key_of(all_of_them | {"request_number": None}) == (None, "event:e")
    number, derived = key_of({"event_time": 1795166545})
    assert (number, derived[:5]) == (None, "time:")


def test_a_derived_key_tells_requests_apart_and_is_the_same_for_a_repeat() -> None:
    first: dict[str, Any] = {"event_time": 1795166545}
    others = [
        {"event_time": 1795166546},
        first | {"requested_units": 31},
        first | {"called_number": "33650123456"},
        first | {"subscriber": "441632960167"},
        first | {"record_type": "update_request"},
        first | {"usage_type": "data"},
    ]

    assert key_of(first) == key_of(first | {"note": "sent again"})
    assert len({key_of(fields)[1] for fields in (first, *others)}) == 7


def test_an_event_id_may_stand_for_the_session() -> None:
    event = event_of(
        {"record_type": "event_request", "event_id": "e1", "subscriber": "1", "usage_type": "sms"}
    )

    assert (event.session_id, event.request_number, event.request_key) == ("e1", None, "event:e1")


def test_what_is_not_read_is_kept() -> None:
    event = event_of(
        START
        | {"trunk_in": "a", "release_cause": 16, "colour": {"of": ["money"]}, "gone": None}
        | {"services": [{"rating_group": 1, "apn": "internet"}, {"rating_group": 2}]}
    )

    assert json.loads(event.attributes) == {
        "trunk_in": "a",
        "release_cause": 16,
        "colour": {"of": ["money"]},
        "gone": None,
        "services": [{"rating_group": 1, "apn": "internet"}],
    }


def test_what_is_kept_is_cut_at_whole_fields() -> None:
    event = event_of(START | {"first": "a" * 2000, "second": "b" * 3000, "third": "c"})

    assert len(event.attributes) <= 4_096
    assert json.loads(event.attributes) == {"first": "a" * 2000, "attributes_truncated": True}


@pytest.mark.parametrize(
    "known",
    [
        {"trunk_in": "a", "imsi": "234150000000001"},
        {"trunk": "a", "release_cause": "normal clearing"},
        {"trunk": "a gateway in Berlin with this name"},
    ],
)
def test_what_is_known_is_kept_before_what_is_not(known: dict[str, str]) -> None:
    fits = event_of(START | {"first": "b" * 4_030} | known)
    longer = event_of(START | {"first": "b" * 4_060} | known)

    assert json.loads(fits.attributes) == known | {"first": "b" * 4_030}
    assert len(fits.attributes) <= 4_096
    assert json.loads(longer.attributes) == known | {"attributes_truncated": True}


def test_flags_and_directions() -> None:
    event = event_of(
        START | {"answered": True, "dry_run": True, "direction": "term", "usage_type": "call"}
    )

    assert (event.answered, event.dry_run, event.direction, event.usage_type) == (
        True,
        True,
        "term",
        "voice",
    )


def test_a_key_longer_than_an_id_is_refused() -> None:
    origin = Origin(NOW_MS, "demo", frozenset({"demo"}), "k" * 256)

    assert refusal_of(NUMBERLESS, origin).field == "Idempotency-Key"


def test_deep_unread_fields_are_kept_up_to_the_limit() -> None:
    assert event_of(START | {"colour": nested(16)}).attributes


@pytest.mark.parametrize(
    ("chosen", "named", "code"),
    [
        ("a", None, None),
        ("a", "a", None),
        ("a", "b", None),
        ("", "b", None),
        ("", None, ResultCode.FORBIDDEN),
        ("a", "c", ResultCode.FORBIDDEN),
    ],
)
def test_the_tenant_is_within_the_list_of_the_credential(
    chosen: str, named: str | None, code: ResultCode | None
) -> None:
    outcome = read(START | {"tenant": named}, Origin(NOW_MS, chosen, frozenset({"a", "b"}))).outcome

    if code is None:
        assert isinstance(outcome, Event)
        assert outcome.tenant == (named or chosen)
    else:
        assert isinstance(outcome, Answer)
        assert (outcome.code, outcome.field) == (code, "tenant")


def test_an_error_without_a_place_is_of_the_body() -> None:
    assert _explain("Something new") == ("body", "Something new")


def array(*items: object) -> list[Decoded] | Answer:
    return DECODER.decode_array(json.dumps(items).encode(), ORIGIN)


def test_events_of_an_array_are_read_each_for_itself() -> None:
    decoded = array(START, START | {"usage_type": "fax"}, 5)

    assert isinstance(decoded, list)
    assert isinstance(decoded[0].outcome, Event)
    assert [one.outcome.field for one in decoded[1:] if isinstance(one.outcome, Answer)] == [
        "usage_type",
        "body",
    ]


def test_an_array_with_unknown_fields_is_read_like_one_without() -> None:
    plain, other = array(START, START), array(START, START | {"colour": "red"})

    assert isinstance(plain, list)
    assert isinstance(other, list)
    assert plain[0] == other[0]


def test_the_longest_reference_that_is_given_is_taken_back() -> None:
    name = "\U0001d518" * LONGEST_TEXT
    ref = session_address(SessionKey("demo", name, name, name))

    assert event_of(START | {"session_id": name, "session_ref": ref}).session_ref == ref


def test_an_array_has_a_limit() -> None:
    refusal = array(START, START, START, START)

    assert isinstance(refusal, Answer)
    assert refusal.code is ResultCode.TOO_LARGE


@pytest.mark.parametrize("body", [b"[", b"{}", b"[" * 100_000, b"\xff", b"[1,]"])
def test_what_is_no_array_is_refused_whole(body: bytes) -> None:
    refusal = DECODER.decode_array(body, ORIGIN)

    assert isinstance(refusal, Answer)
    assert (refusal.code, refusal.field) == (ResultCode.INVALID_EVENT, "body")


def test_one_header_key_stands_for_each_event_of_an_array() -> None:
    body = json.dumps([NUMBERLESS, NUMBERLESS]).encode()
    decoded = DECODER.decode_array(body, Origin(NOW_MS, "demo", frozenset({"demo"}), "k"))

    assert isinstance(decoded, list)
    keys = [one.outcome.request_key for one in decoded if isinstance(one.outcome, Event)]
    assert keys == ["key:0:k", "key:1:k"]

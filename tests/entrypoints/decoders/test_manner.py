"""What the events of a source mean: its services, what is rated, how use is reported."""

import json
from typing import Any

import pytest

from ocs.domain.events import Event, Reporting, ServiceUse, Terms
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

SERVICES = """
fields."services[].rating_group" = "mscc[].rg"
fields."services[].used_units" = "mscc[].usu.total"
fields."services[].requested_units" = "mscc[].rsu"
fields."services[].called_number" = "apn"
constants.usage_type = "data"
"""


def test_a_list_of_the_clients_becomes_the_services() -> None:
    body = BODY | {
        "apn": "12345",
        "mscc": [{"rg": 10, "usu": {"total": "7", "in": 3}, "rsu": 9}, {"rg": "20", "qos": "x"}],
    }
    found = decoded(MAP + SERVICES, body)
    assert isinstance(found.outcome, Event)

    assert found.itemised
    assert found.outcome.services == (
        ServiceUse("10", 7, 9, "12345"),
        ServiceUse("20", 0, None, "12345"),
    )
    assert kept(found.outcome) == {
        "services": [
            {"rating_group": 10, "usu": {"in": 3}},
            {"rating_group": "20", "qos": "x"},
        ]
    }


def test_one_object_is_a_list_of_one() -> None:
    event = event_of(MAP + SERVICES, BODY | {"mscc": {"rg": 1, "rsu": 5}})

    assert event.services == (ServiceUse("1", 0, 5),)


def test_errors_in_a_list_have_the_clients_names() -> None:
    assert (
        refusal_of(MAP + SERVICES, BODY | {"mscc": [{"rg": 1}, {"rsu": "x"}]}).field
        == "mscc[1].rsu"
    )
    assert refusal_of(MAP + SERVICES, BODY | {"mscc": [5]}).field == "services[0]"


def test_use_in_parts_is_summed_and_told_apart() -> None:
    usu = [
        {"octets": 5, "change": 0, "reason": "TARIFF"},
        {"octets": "7", "change": 1},
        {"octets": 2},
    ]
    event = event_of(MAP + USED, BODY | {"mscc": [{"rg": 1, "usu": usu}]})

    assert event.services == (ServiceUse("1", 14, None, "", 5),)
    assert kept(event)["services"] == [
        {"rating_group": 1, "used": [{"units": 5, "when": "before", "reason": "TARIFF"}]}
    ]
    assert event_of(MAP + USED, BODY | {"other": [{"rg": 3}]}).services[0].rating_group == "3"


@pytest.mark.parametrize(
    ("usage_type", "used", "services"),
    [
        ("data", [{"units": 5, "kind": "volume"}, {"units": 9, "kind": "time"}], (5, 0)),
        ("data", [{"units": 2, "kind": "volume_in"}, {"units": 3, "kind": "volume_out"}], (5, 0)),
        ("data", [{"units": 5, "kind": "volume"}, {"units": 2, "kind": "volume_in"}], (5, 0)),
        ("voice", [{"units": 0.4, "when": "before"}, {"units": 0.4}], (1, 0)),
        ("sms", [{"units": 1, "kind": "events", "when": "before", "seq": 4}], (1, 1)),
        ("data", [], (0, 0)),
    ],
)
def test_what_is_counted_of_parts(
    usage_type: str, used: list[Any], services: tuple[int, int]
) -> None:
    body = CANONICAL | {"usage_type": usage_type, "services": [{"used": used}]}
    (service,) = event_of("", body).services

    assert (service.used_units, service.before_units) == services


RATED = """
[rated]
data = ["rating_group", "called_number"]
voice = ["calling_number", "trunk_in"]
"""


def test_what_is_rated_is_the_sources_choice() -> None:
    services = [{"rating_group": "200", "used_units": 1}, {"used_units": 2}]
    event = event_of(MAP + RATED, BODY | {"usage_type": "data", "services": services})

    assert event.rated_number == "260955123456"
    assert [service.rated_number for service in event.services] == ["200", ""]
    calling = BODY | {"calling_number": "+1 555", "routing_number": "9"}
    assert event_of(MAP + RATED, calling).rated_number == "1555"
    assert event_of(MAP + RATED, BODY | {"trunk_in": "T-1"}).rated_number == "T-1"
    assert event_of(MAP + RATED, BODY).rated_number == ""
    assert event_of(MAP + RATED, BODY | {"usage_type": "sms"}).rated_number == "260955123456"


UPDATE = BODY | {"type": "update_request", "seq": 1, "used_units": 30}
RELEASE = BODY | {"type": "release_request", "seq": 2, "used_units": 45}
TOTAL = '[reports]\nused = "total"\n'


def test_how_use_is_reported() -> None:
    at_release = TOTAL + 'settle = "at release"'
    one_shot = BODY | {"type": "event_request", "used_units": 1}

    assert event_of(MAP, UPDATE).reporting is Reporting.DELTA
    assert event_of(MAP + TOTAL, UPDATE).reporting is Reporting.TOTAL
    assert event_of(MAP + TOTAL, RELEASE).reporting is Reporting.TOTAL
    assert event_of(MAP + at_release, RELEASE).reporting is Reporting.AT_RELEASE
    assert event_of(MAP + TOTAL, one_shot).reporting is Reporting.DELTA


def test_a_release_that_says_nothing_of_use_sets_no_total() -> None:
    silent = BODY | {"type": "release_request"}
    some = silent | {"services": [{"rating_group": 1, "used_units": 1}, {"rating_group": 2}]}

    assert event_of(MAP + TOTAL, silent).reporting is Reporting.DELTA
    assert event_of(MAP + TOTAL, silent | {"services": []}).reporting is Reporting.DELTA
    assert refusal_of(MAP + TOTAL, some).field == "services[1].used_units"
    assert refusal_of(MAP + TOTAL + 'settle = "at release"', silent).field == "used_units"


def test_totals_tell_two_requests_apart() -> None:
    numberless = {name: value for name, value in UPDATE.items() if name != "seq"}
    keys = [
        event_of(MAP + TOTAL, numberless | {"used_units": used}).request_key
        for used in (30, 30, 60)
    ]

    assert keys[0] == keys[1] != keys[2]
    assert refusal_of(MAP, numberless).field == "seq"


def test_what_a_source_wants_of_updates() -> None:
    text = MAP + '[reports]\nunknown_session = "refuse"\nabsent_request = "nothing"\n'

    assert not event_of(text, UPDATE).may_open
    assert event_of(text, UPDATE).services == (ServiceUse("0", 30, 0),)
    assert event_of(text, UPDATE | {"requested_units": 9}).services == (ServiceUse("0", 30, 9),)
    assert event_of(text, BODY).services == (ServiceUse("0", 0, None),)


def test_milliseconds_of_a_call_are_seconds() -> None:
    text = MAP + "[reports]\nunit_ms = 1\n"
    body = UPDATE | {"used_units": "29500", "requested_units": 60_000}

    assert event_of(text, body).services == (ServiceUse("0", 30, 60),)
    assert event_of(text, body | {"usage_type": "data"}).services[0].used_units == 29_500
    parts = [{"units": 400, "when": "before"}, {"units": 600}]
    event = event_of(text, BODY | {"services": [{"used": parts, "requested_units": 1_000}]})
    assert event.services == (ServiceUse("0", 1, 1, "", 0),)


@pytest.mark.parametrize("usage_type", [[], {}, ["voice"], True])
def test_a_usage_type_that_is_none_is_named_before_anything_is_counted(usage_type: object) -> None:
    text = MAP + "[reports]\nunit_ms = 1\n"

    assert refusal_of(text, UPDATE | {"usage_type": usage_type}).field == "usage_type"


def test_terms_are_one_object_of_the_source() -> None:
    decoder = decoder_of(MAP + "[defaults.voice]\nquota_units = 60\nvalidity_s = 90\n")
    events = [decoder.decode(json.dumps(BODY).encode(), ORIGIN).outcome for _ in range(2)]

    assert isinstance(events[0], Event)
    assert isinstance(events[1], Event)
    assert events[0].terms == Terms(quota_units=60, validity_s=90)
    assert events[0].terms is events[1].terms

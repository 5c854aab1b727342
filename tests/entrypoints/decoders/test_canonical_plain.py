"""Events of `default` as nearly all clients write them are judged by a short cut, which nobody can
tell: what `judging` alone makes of them is the same.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.events import Event, Reporting, Terms
from ocs.domain.numbers import EmergencyNumbers, NumberRules
from ocs.entrypoints.decoders.canonical import CanonicalDecoder
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.decoders.manner import Manner
from ocs.entrypoints.decoders.wire import PlainEvent
from ocs.entrypoints.dialects import Origin
from tests.entrypoints.decoders.reading import NOW_MS, START

SETTINGS = DecoderSettings(
    most_events=3,
    number_rules={
        "kent": NumberRules("44", "0", emergency=EmergencyNumbers.below("44", ("999", "112"))),
        "demo": NumberRules(),
    },
)
MANNERS = [
    Manner(),
    Manner(may_open=False, unasked_quota=False, terms={"voice": Terms(quota_units=60)}),
    Manner(Reporting.TOTAL),
    Manner(rated={"data": ("rating_group",)}),
]
ORIGINS = [
    Origin(NOW_MS, "demo", frozenset({"demo", "kent"}), "key-1"),
    Origin(NOW_MS, "kent", frozenset({"kent"})),
    Origin(NOW_MS, "", frozenset({"demo", "kent"})),
]


class Ways:
    """A decoder with the short cut, and the same without."""

    def __init__(self, manner: Manner) -> None:
        self.short = CanonicalDecoder(SETTINGS, manner, "own")
        self.long = CanonicalDecoder(SETTINGS, manner, "own")
        self.long._plain._may_be_plain = False

    def assert_nobody_can_tell(self, event: dict[str, Any], origin: Origin) -> None:
        body = json.dumps(event).encode()
        assert self.short.decode(body, origin) == self.long.decode(body, origin)
        array = b"[%b,%b]" % (body, json.dumps(START).encode())
        assert self.short.decode_array(array, origin) == self.long.decode_array(array, origin)


WAYS = [Ways(manner) for manner in MANNERS]

ODD: st.SearchStrategy[Any] = st.sampled_from([
    None, True, False, 0, 1, -1, 1.5, 59.5, 2**53, 1e300, "", " ", "0", "60", "x" * 256, "é", [], {}, [{}], [1],
])  # fmt: skip
TEXTS = st.sampled_from(["s1", "441632960001", "+441632960001", "01632 960001", "sip:Alice@example.com", "112", "000", " "])  # fmt: skip
UNITS = st.sampled_from([0, 1, 60, 59.5, 10**9])
TIMES = st.sampled_from([
    NOW_MS // 1_000, NOW_MS / 1_000 - 60.5, NOW_MS // 1_000 + 3_600, 0, -5, "2026-11-20T09:22:25Z", "2026-11-20T09:22:25",
])  # fmt: skip
USED = st.fixed_dictionaries(
    {"units": UNITS}, optional={"when": st.sampled_from(["before", "after", "now"])}
)
SERVICE = st.fixed_dictionaries({}, optional={
    "rating_group": st.sampled_from([0, 100, "100", "x"]), "used_units": UNITS, "requested_units": UNITS,
    "used": st.lists(USED, max_size=2), "called_number": TEXTS, "x": ODD,
})  # fmt: skip
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "record_type": st.sampled_from(["update_request", "release_request", "final_request", "event_request", "postpay_charge_request", "stop"]),
    "session_id": TEXTS, "subscriber": TEXTS, "called_number": TEXTS, "calling_number": TEXTS,
    "usage_type": st.sampled_from(["call", "data", "sms", "event", "fax"]),
    "request_number": st.integers(0, 3), "event_time": TIMES, "answer_time": TIMES,
    "requested_units": UNITS, "used_units": UNITS, "services": st.lists(SERVICE, max_size=3),
    "session_ref": TEXTS, "answered": st.booleans(), "report_only": st.booleans(),
    "tenant": st.sampled_from(["demo", "kent", "nobody"]),
    "trunk": TEXTS, "release_cause": st.sampled_from([0, 16, "16", "normal", "x" * 255]),
}  # fmt: skip
BESIDE = st.dictionaries(
    st.sampled_from(["call_id", "event_id", "direction", "trunk_in", "routing_number", "dry_run", "action", "used", "request"]),
    ODD, max_size=1,
)  # fmt: skip


def mostly(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 24).flatmap(lambda chance: plain if chance else ODD)


CHANGES = st.fixed_dictionaries({}, optional={name: mostly(each) for name, each in OPTIONAL.items()})  # fmt: skip


@given(changes=CHANGES, beside=BESIDE, ways=st.sampled_from(WAYS), origin=st.sampled_from(ORIGINS))
def test_it_is_judged_as_by_the_longer_way(
    changes: dict[str, Any], beside: dict[str, Any], ways: Ways, origin: Origin
) -> None:
    ways.assert_nobody_can_tell(START | changes | beside, origin)


@given(changes=CHANGES, lost=st.sampled_from([*START]))
def test_also_where_something_is_missing(changes: dict[str, Any], lost: str) -> None:
    event = {name: value for name, value in (START | changes).items() if name != lost}
    WAYS[0].assert_nobody_can_tell(event, ORIGINS[0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"record_type": "event_request", "usage_type": "sms", "called_number": "+447700900123"},
        {"record_type": "update_request", "used_units": 59.5, "event_time": NOW_MS / 1_000},
        {"usage_type": "data", "called_number": "", "services": [{"rating_group": 100}]},
        {"tenant": "kent", "calling_number": "01632 960001"},
    ],
)
def test_the_short_cut_is_taken(changes: dict[str, Any]) -> None:
    plain = PlainEvent(**START | changes)
    if "services" in changes:
        plain.services = []
        plain.record_type = "release_request"
    decoded = WAYS[0].short._plain.judge(plain, None, ORIGINS[0])
    assert decoded is not None
    assert isinstance(decoded.outcome, Event)


@pytest.mark.parametrize(
    ("known", "extras", "kept"),
    [
        ({}, None, b""),
        ({"trunk": "T4"}, None, b'{"trunk":"T4"}'),
        ({"release_cause": 16}, None, b'{"release_cause":16}'),
        ({}, {"call_id": 7}, b'{"call_id":7}'),
        ({"trunk": "T4"}, {"call_id": 7}, b'{"trunk":"T4","call_id":7}'),
        (
            {"trunk": "T4", "release_cause": "busy"},
            {"call_id": 7},
            b'{"trunk":"T4","release_cause":"busy","call_id":7}',
        ),
    ],
)
def test_what_it_keeps(known: dict[str, Any], extras: dict[str, Any] | None, kept: bytes) -> None:
    decoded = WAYS[0].short._plain.judge(PlainEvent(**START | known), extras, ORIGINS[0])
    assert decoded is not None
    assert isinstance(decoded.outcome, Event)
    assert decoded.outcome.attributes == kept

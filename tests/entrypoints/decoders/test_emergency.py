"""Which events are of a call for help, and what they may leave out."""

from typing import Any

import msgspec
import pytest

from ocs.domain.events import Event
from ocs.domain.numbers import EmergencyNumbers, NumberRules
from ocs.entrypoints.decoders.canonical import CanonicalDecoder
from ocs.entrypoints.decoders.judging import DecoderSettings, Judge
from ocs.entrypoints.decoders.who import Who
from ocs.entrypoints.decoders.wire import WireEvent
from ocs.entrypoints.dialects import Origin
from ocs.usecases.answer import Answer
from tests.entrypoints.decoders.reading import DECODER, ORIGIN, START, event_of, refusal_of

BARE: dict[str, Any] = {
    "record_type": "start_request",
    "session_id": "s1",
    "request_number": 0,
    "called_number": "112",
}
REF = "demo/urn:service:sos/112/s1"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in BARE.items() if name not in names}


@pytest.mark.parametrize(
    ("given", "called"),
    [
        (BARE, "112"),
        (BARE | {"called_number": "sip:112@host;user=phone"}, "112"),
        (BARE | {"called_number": "tel:911"}, "911"),
        (BARE | {"called_number": "urn:service:sos.fire"}, "urn:service:sos.fire"),
        (BARE | {"subscriber": "441632960166"}, "112"),
        (BARE | {"usage_type": "sms"}, "112"),
        (BARE | {"usage_type": "mms", "record_type": "event_request"}, "112"),
        (BARE | {"routing_number": "442071234567"}, "112"),
        (without("called_number") | {"routing_number": "112"}, "112"),
        (without("called_number") | {"session_ref": REF}, "112"),
        (BARE | {"record_type": "update_request", "used_units": 60}, "112"),
        (BARE | {"record_type": "release_request", "used_units": 60}, "112"),
        (BARE | {"direction": "forward"}, "112"),
        (BARE | {"x": 1}, "112"),
    ],
)
def test_a_call_for_help(given: dict[str, Any], called: str) -> None:
    event = event_of(given)
    assert (event.emergency, event.called_number) == (True, called)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"called_number": "999"},
        {"called_number": "1120"},
        {"called_number": "260955123456", "routing_number": "112"},
        {"called_number": "112", "usage_type": "data"},
        {"called_number": "112", "usage_type": "event"},
        {
            "called_number": "112",
            "record_type": "event_request",
            "action": "price_enquiry",
            "requested_units": 1,
        },
        {"called_number": "", "session_ref": "demo/alice/alice/s1"},
        {"called_number": "", "session_ref": REF.replace("demo", "other")},
        {"called_number": "", "session_ref": REF.replace("s1", "s2")},
        {"calling_number": "112"},
    ],
)
def test_no_call_for_help(fields: dict[str, object]) -> None:
    assert event_of(START | fields).emergency is False


def test_nobody_needs_to_be_named() -> None:
    event = event_of(BARE)
    assert (event.subscriber, event.rated_number) == ("", "112")
    assert refusal_of(BARE | {"called_number": "113"}).field == "subscriber"
    assert refusal_of(without("called_number")).field == "subscriber"


def test_nor_in_the_words_of_a_source_that_says_who_uses() -> None:
    judge = Judge(DecoderSettings())
    nobody = Who("", is_number=True, fields=("msisdn", "imsi"))
    wire = msgspec.convert(BARE, WireEvent)
    event = judge.judge(wire, b"", ORIGIN, nobody).outcome
    assert isinstance(event, Event)
    assert (event.emergency, event.subscriber) == (True, "")
    wire.called_number = "113"
    refusal = judge.judge(wire, b"", ORIGIN, nobody).outcome
    assert isinstance(refusal, Answer)
    assert (refusal.field, refusal.reason) == ("subscriber", "expected one of msisdn, imsi")


def test_an_array_may_hold_some() -> None:
    body = b'[{"record_type":"start_request","session_id":"a","request_number":0,"called_number":"112"},'
    body += (
        b'{"record_type":"start_request","session_id":"b","request_number":0,"called_number":"44"}]'
    )
    decoded = DECODER.decode_array(body, ORIGIN)
    assert isinstance(decoded, list)
    outcomes = [one.outcome for one in decoded]
    assert isinstance(outcomes[0], Event)
    assert outcomes[0].emergency
    assert not isinstance(outcomes[1], Event)


def test_each_tenant_has_numbers_of_its_own() -> None:
    kent = NumberRules(country_code="44", emergency=EmergencyNumbers.below("44", ("999",)))
    decoder = CanonicalDecoder(DecoderSettings(number_rules={"kent": kent}))

    def is_one(tenant: str, number: str) -> bool:
        origin = Origin(ORIGIN.now_ms, tenant, frozenset({tenant}))
        body = msgspec.json.encode(START | {"called_number": number})
        event = decoder.decode(body, origin).outcome
        assert isinstance(event, Event)
        return event.emergency

    assert [is_one("kent", number) for number in ("999", "+44999", "112")] == [True, True, False]
    assert [is_one("demo", number) for number in ("999", "112")] == [False, True]

"""Sources as files say them, and what they make of bodies."""

import json
import tomllib
from typing import Any

import msgspec

from ocs.domain.events import Event
from ocs.domain.numbers import NumberRules
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.dialects import Decoded, EventDecoder, Origin
from ocs.entrypoints.sources.dialects import make_decoder
from ocs.entrypoints.sources.source import Source
from ocs.usecases.answer import Answer
from tests.entrypoints.decoders.reading import NOW_MS

SETTINGS = DecoderSettings(most_events=3, number_rules={"kent": NumberRules(country_code="44")})
ORIGIN = Origin(NOW_MS, "demo", frozenset({"demo", "kent"}))

BODY: dict[str, Any] = {
    "call": "c1",
    "seq": 0,
    "from": "441632960166",
    "to": "260955123456",
    "type": "start_request",
}
MAP = """
fields.session_id = "call"
fields.request_number = "seq"
fields.subscriber = "from"
fields.called_number = "to"
fields.record_type = "type"
"""

CANONICAL: dict[str, Any] = {
    "record_type": "start_request",
    "session_id": "s1",
    "request_number": 0,
    "subscriber": "441632960166",
    "called_number": "260955123456",
}
USED = """
fields."services[].rating_group" = ["mscc[].rg", "other[].rg"]
fields."services[].used[].units" = "mscc[].usu[].octets"
fields."services[].used[].when" = "mscc[].usu[].change"
values."services[].used[].when" = { 0 = "before", 1 = "after" }
constants.usage_type = "data"
"""


def source_of(text: str, name: str = "sbc") -> Source:
    return msgspec.convert({"name": name, "about": "x"} | tomllib.loads(text), Source)


def decoder_of(text: str) -> EventDecoder:
    return make_decoder(source_of(text), SETTINGS)


def decoded(text: str, body: object, origin: Origin = ORIGIN) -> Decoded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decoder_of(text).decode(raw, origin)


def event_of(text: str, body: object, origin: Origin = ORIGIN) -> Event:
    outcome = decoded(text, body, origin).outcome
    assert isinstance(outcome, Event), outcome
    return outcome


def refusal_of(text: str, body: object, origin: Origin = ORIGIN) -> Answer:
    outcome = decoded(text, body, origin).outcome
    assert isinstance(outcome, Answer), outcome
    return outcome


def kept(event: Event) -> Any:
    return json.loads(event.attributes) if event.attributes else {}

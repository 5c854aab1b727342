"""Bodies in, events or refusals out; the event that most tests vary."""

import json
from typing import Any

from ocs.domain.events import Event
from ocs.domain.numbers import NumberRules
from ocs.entrypoints.decoders.canonical import CanonicalDecoder
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.dialects import Decoded, Origin
from ocs.usecases.answer import Answer

NOW_MS = 1_795_166_545_000
DECODER = CanonicalDecoder(
    DecoderSettings(
        most_events=3,
        number_rules={"kent": NumberRules(country_code="44", national_prefix="0")},
    )
)
ORIGIN = Origin(NOW_MS, "demo", frozenset({"demo"}))
START: dict[str, Any] = {
    "record_type": "start_request",
    "session_id": "s1",
    "request_number": 0,
    "subscriber": "441632960166",
    "called_number": "260955123456",
}
EVENT = START | {"record_type": "event_request", "used_units": 1}
NUMBERLESS = {name: value for name, value in START.items() if name != "request_number"}


def read(body: object, origin: Origin = ORIGIN) -> Decoded:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DECODER.decode(text, origin)


def event_of(body: object, origin: Origin = ORIGIN) -> Event:
    outcome = read(body, origin).outcome
    assert isinstance(outcome, Event), outcome
    return outcome


def refusal_of(body: object, origin: Origin = ORIGIN) -> Answer:
    outcome = read(body, origin).outcome
    assert isinstance(outcome, Answer), outcome
    return outcome


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value

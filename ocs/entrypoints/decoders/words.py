"""The canonical words of an event: what it asks for, what was used, which way it went."""

from typing import Final

from ocs.domain.events import Action, Kind
from ocs.entrypoints.decoders.wire import Unreadable, WireEvent

POSTPAY: Final = "postpay_charge_request"
"""BillRun's fourth record type: a charge of what was delivered, without credit check."""

RECORD_TYPES: Final = {
    "start_request": Kind.START,
    "initial_request": Kind.START,
    "update_request": Kind.UPDATE,
    "release_request": Kind.RELEASE,
    "final_request": Kind.RELEASE,
    "event_request": Kind.EVENT,
    POSTPAY: Kind.EVENT,
}
REQUEST_TYPES: Final = {1: Kind.START, 2: Kind.UPDATE, 3: Kind.RELEASE, 4: Kind.EVENT}
REQUEST_TYPE_OF: Final = {kind: number for number, kind in REQUEST_TYPES.items()}
_NUMBERS: Final = {name: REQUEST_TYPE_OF[kind] for name, kind in RECORD_TYPES.items()}
USAGE_TYPES: Final = {
    "": "voice",
    "voice": "voice",
    "call": "voice",
    "data": "data",
    "sms": "sms",
    "mms": "mms",
    "event": "event",
}
ACTIONS: Final = {str(action): action for action in Action}
DIRECTIONS: Final = {"": "orig", "orig": "orig", "term": "term", "forward": "forward"}


def kind_of(wire: WireEvent) -> Kind:
    """Return what an event asks for; raises Unreadable."""
    named = RECORD_TYPES.get(wire.record_type)
    if wire.request_type is None:
        if named is None:
            raise Unreadable(
                "record_type",
                "expected start_request, update_request, release_request or event_request",
            )
        return named
    numbered = REQUEST_TYPES.get(wire.request_type)
    if numbered is None:
        raise Unreadable("request_type", "expected 1 (start), 2 (update), 3 (release) or 4 (event)")
    if wire.record_type and named is not numbered:
        raise Unreadable("request_type", "expected the same as record_type, or only one of the two")
    return numbered


def request_type_of(wire: WireEvent) -> int:
    """Tell what was asked for as a number; 0 where a refused event does not say it."""
    if wire.request_type is None:
        return _NUMBERS.get(wire.record_type, 0)
    return wire.request_type if wire.request_type in REQUEST_TYPES else 0


def unknown_word(usage_type: str | None) -> Unreadable:
    """Name the word that is not known: the usage type's, or else the direction's."""
    if usage_type is None:
        return Unreadable("usage_type", "expected voice, data, sms, mms or event")
    return Unreadable("direction", "expected orig, term or forward")


def request_type_told(plain: object) -> int:
    """Tell the same of an event that could not be read, as far as it was."""
    if not isinstance(plain, dict):
        return 0
    named, number = plain.get("record_type"), plain.get("request_type")
    if type(number) is int and number in REQUEST_TYPES:
        return number
    return _NUMBERS.get(named, 0) if isinstance(named, str) else 0

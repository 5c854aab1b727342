"""Who an event is about, and which request of which session it is."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ocs.domain.events import Kind, Reporting
from ocs.domain.numbers import NumberRules, clean_number
from ocs.entrypoints.decoders.manner import RATED_NUMBERS
from ocs.entrypoints.decoders.wire import LONGEST_TEXT, Unreadable, WireEvent
from ocs.entrypoints.dialects import Origin

_NAMED: Final = ("subscriber", "msisdn", "imsi", "calling_number", "sip_user", "trunk")
_SPELLED: Final[Mapping[object, str]] = {kind: repr(kind) for kind in Kind}


class NotPermitted(Exception):
    """The event names a tenant that its sender may not act for; or none, where it must."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            "the credential is not for this one"
            if tenant
            else "name one: the credential is for several"
        )


class Who(Struct, frozen=True, gc=False):
    """Who uses, as a source's own order of fields has found it; `text` is empty for nobody.

    `fields` are those that were looked at, for the error.
    """

    text: str
    is_number: bool
    fields: tuple[str, ...]


def users_of(wire: WireEvent, rules: NumberRules, who: Who | None) -> tuple[str, str]:
    """Return who uses, empty where nobody is named (see `judging`: who needs not to be); who calls.

    Often that is one, and what is no plain number takes long to clean.
    """
    calling = wire.calling_number
    if who is None:
        return subscriber_of(wire, rules), clean_number(calling, rules) if calling else ""
    if not who.is_number:
        return who.text.strip(), clean_number(calling, rules) if calling else ""
    subscriber = clean_number(who.text, rules)
    if not calling or calling == who.text:
        return subscriber, calling and subscriber
    return subscriber, clean_number(calling, rules)


def subscriber_of(wire: WireEvent, rules: NumberRules) -> str:
    """Return who uses by the first field that names somebody; empty where none does."""
    number = wire.subscriber or wire.msisdn
    if number or wire.imsi:
        return clean_number(number, rules) if number else wire.imsi.strip()
    number = wire.calling_number or wire.sip_user
    if number:
        return clean_number(number, rules)
    return wire.trunk.strip()


def nobody(who: Who | None) -> Unreadable:
    """Say that nobody is named, and where it was looked for."""
    return Unreadable("subscriber", f"expected one of {', '.join(who.fields if who else _NAMED)}")


def rated_number_of(
    wire: WireEvent, rated: tuple[str, ...] | None, rules: NumberRules, called_number: str
) -> str:
    """Return what an event is rated by; its services may have numbers of their own.

    `rated` is what the source says for the usage type, `called_number` is clean already.
    """
    if rated is None:
        return clean_number(wire.routing_number, rules) if wire.routing_number else called_number
    for name in rated:
        text: str = getattr(wire, name, "")
        if text and name == "called_number":
            return called_number
        if text:
            return clean_number(text, rules) if name in RATED_NUMBERS else text.strip()
    return ""


def session_id_of(wire: WireEvent, kind: Kind) -> str:
    """Name the session of an event; a one-shot event may have an id instead."""
    if wire.session_id:
        return wire.session_id
    if kind is not Kind.EVENT:
        raise Unreadable("session_id", f"expected a text of 1 to {LONGEST_TEXT} characters")
    if not wire.event_id:
        raise Unreadable("session_id", "expected session_id or event_id")
    return wire.event_id


def number_of(wire: WireEvent) -> int | None:
    return wire.request_num if wire.request_number is None else wire.request_number


def request_key_of(
    wire: WireEvent, origin: Origin, seed: tuple[object, ...], reporting: Reporting
) -> str:
    """Tell two requests of a session apart where they carry no number.

    `seed` is what they ask for and when, the time last. Where totals are reported, two without a
    time are told apart by the totals: the same total again is nothing new.
    """
    if origin.idempotency_key:
        if len(origin.idempotency_key) > LONGEST_TEXT:
            raise Unreadable("Idempotency-Key", f"expected at most {LONGEST_TEXT} characters")
        return f"key:{origin.idempotency_key}"
    if wire.event_id:
        return f"event:{wire.event_id}"
    if wire.event_time is not None:
        return key_by_time(seed)
    if reporting is Reporting.TOTAL:
        return f"total:{_digest(seed[:-1])}"
    raise Unreadable(
        "request_number", "expected request_number, event_time or the header Idempotency-Key"
    )


def key_by_time(seed: tuple[object, ...]) -> str:
    """Tell requests apart by what they ask for, and when."""
    return f"time:{_digest(seed)}"


def _digest(seed: tuple[object, ...]) -> str:
    """Return a digest of how the seed is spelled; its kind is looked up, which spells it faster."""
    spelled = ", ".join((_SPELLED[seed[0]], *map(repr, seed[1:])))
    return blake2b(f"({spelled})".encode(), digest_size=12).hexdigest()

"""The canonical JSON of `/realtime` as it stands in a body, typed; nothing is interpreted yet.

Two passes. The strict one decodes straight into the struct (well under 1 µs) and gives up at the
first field that it does not know. The lenient one runs only then: it reads the body as plain
objects, sets aside what is unknown (the *extras*, kept for the CDR), treats null as absent, and
converts the rest, which also yields the name of the field for an error. So a client that sends only
known fields, as nearly all do, never pays for the others.

Rejected: one generic pass with hand-written checks (4 µs more on every event), and refusing unknown
fields (clients add what they like, and an operator wants it on the CDR).
"""

import re
from datetime import datetime
from typing import Annotated, Any, Final, TypeGuard

import msgspec
from msgspec import Meta, Struct

from ocs.domain.money import MAX_UNITS

LONGEST_TEXT: Final = 255
"""Characters of an id or a number; no switch sends longer ones, and they become store keys."""

LONGEST_REF: Final = 4 * LONGEST_TEXT * 12 + 3
"""A `session_ref` holds four names; a character is up to four bytes, each up to `%XX`."""

MOST_SERVICES: Final = 32
"""Rating groups of one event: each is a step of the server-side call. Gy clients send up to 10."""

MOST_USED: Final = 32
"""Parts of the use of one service: one for each change that a client closes its counters at."""

MOST_DEPTH: Final = 16
"""Nesting of a field that is kept but not read."""

Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Whole = Annotated[int, Meta(ge=0, le=MAX_UNITS)]
# A fraction is allowed and rounded once; some switches report 59.98 s.
Units = Whole | Annotated[float, Meta(ge=0, le=MAX_UNITS)]
Instant = int | float | Annotated[datetime, Meta(tz=True)]


class WireUsed(Struct, gc=False, forbid_unknown_fields=True):
    """A part of what a service used (Used-Service-Unit, RFC 8506 8.19)."""

    units: Units = 0
    kind: Text = ""
    when: Text = ""


class WireService(Struct, gc=False, forbid_unknown_fields=True):
    """One item of `services`."""

    rating_group: Whole | Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    service_id: Whole | Text | None = None
    requested_units: Units | None = None
    used_units: Units | None = None
    used: Annotated[list[WireUsed], Meta(max_length=MOST_USED)] | None = None
    called_number: Text = ""


class PlainEvent(Struct, gc=False, forbid_unknown_fields=True):
    """The fields that nearly all events make do with; a text that is absent is empty."""

    record_type: Text = ""
    session_id: Text = ""
    subscriber: Text = ""
    called_number: Text = ""
    calling_number: Text = ""
    usage_type: Text = ""
    request_number: Whole | None = None
    event_time: Instant | None = None
    requested_units: Units | None = None
    used_units: Units | None = None
    session_ref: Annotated[str, Meta(max_length=LONGEST_REF)] = ""
    answer_time: Instant | None = None
    answered: bool = False
    report_only: bool = False
    services: Annotated[list[WireService], Meta(max_length=MOST_SERVICES)] | None = None
    tenant: Text = ""
    trunk: Text = ""
    release_cause: Whole | Text | None = None


class WireEvent(PlainEvent, gc=False, forbid_unknown_fields=True):
    """One event; a text that is absent is empty."""

    dry_run: bool = False
    explain: bool = False
    direction: Text = ""
    routing_number: Text = ""
    request_num: Whole | None = None
    request_type: int | None = None
    event_id: Text = ""
    msisdn: Text = ""
    imsi: Text = ""
    sip_user: Text = ""
    trunk_in: Text = ""
    trunk_out: Text = ""
    action: Text = ""
    requested_action: int | None = None
    reverses: Text = ""
    amount: Whole | float | Text = ""


class Unreadable(Exception):
    """The body, or one event in it, does not say what it should.

    `field` names where, `reason` what was expected, never the value: it may be a person's number,
    and reasons are logged. `plain` is the event as far as it could be read.
    """

    def __init__(self, field: str, reason: str, plain: object = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.plain = plain


Extras = dict[str, Any]

_KNOWN: Final = frozenset(WireEvent.__struct_fields__)
_KNOWN_PLAIN: Final = frozenset(PlainEvent.__struct_fields__)
_KNOWN_SERVICE: Final = frozenset(WireService.__struct_fields__)
_KNOWN_USED: Final = frozenset(WireUsed.__struct_fields__)
NOT_READ: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON ends with, strictly or not."""
read_strictly: Final = msgspec.json.Decoder(WireEvent).decode
"""Reads a body that holds one event of known fields only; raises one of NOT_READ."""
read_plainest: Final = msgspec.json.Decoder(PlainEvent).decode
"""Does the same for one event of the fields that nearly all make do with."""
read_all_plainest: Final = msgspec.json.Decoder(list[PlainEvent]).decode
_strict_events: Final = msgspec.json.Decoder(list[WireEvent]).decode
_plain: Final = msgspec.json.Decoder().decode
_PATH: Final = re.compile(r"(.*) - at `\$(?:\[\.\.\.\])?\.?([^`]*)`$")


def read_events(body: bytes) -> list[WireEvent] | list[object]:
    """Read a body that holds an array: all of it strictly, or the items as plain objects.

    Raises Unreadable when it is no array; `split_known` then reads each item of plain ones.
    """
    try:
        return _strict_events(body)
    except NOT_READ:
        plain = read_json(body)
    if not isinstance(plain, list):
        raise Unreadable("body", "expected an array of events")
    return plain


def split_known(plain: object) -> tuple[Extras, Extras]:
    """Part what is known of one decoded JSON value from the extras; raises Unreadable."""
    if not _is_object(plain):
        raise Unreadable("body", "expected an object: one event")
    extras = {name: value for name, value in plain.items() if name not in _KNOWN}
    known = plain.copy()
    for name in extras:
        del known[name]
    if None in known.values():
        known = {name: value for name, value in known.items() if value is not None}
    if "services" in known:
        known["services"], unread = _split_services(known["services"])
        if unread:
            extras["services"] = unread
    check_kept(extras, plain)
    return known, extras


def to_wire(known: Extras, plain: object) -> WireEvent:
    """Convert known fields of the right kind; raises Unreadable, which tells of `plain`."""
    try:
        return msgspec.convert(known, WireEvent)
    except msgspec.ValidationError as error:
        field, reason = _explain(str(error))
        raise Unreadable(field, reason, plain) from None


def to_plainest(known: Extras) -> PlainEvent | None:
    """Convert known fields; None where they are not those that nearly all make do with."""
    try:
        return msgspec.convert(known, PlainEvent) if known.keys() <= _KNOWN_PLAIN else None
    except msgspec.ValidationError:
        return None


def is_of_no_event(problem: Exception) -> bool:
    """Tell of what reading a plain event ended with whether it is a field that no event has."""
    _, found, behind = str(problem).partition("unknown field `")
    return bool(found) and behind.partition("`")[0] not in _KNOWN


def check_kept(extras: Extras, plain: object) -> None:
    """Refuse what must not be only kept: parts of use beside the services, and deep nesting.

    The one would be use that nobody pays for, the other costs more than an event.
    """
    for name, value in extras.items():
        if type(value) is dict or type(value) is list:
            if name == "used":
                raise Unreadable(name, "expected inside of services", plain)
            if not _within_depth(value, MOST_DEPTH):
                raise Unreadable(name, f"nested deeper than {MOST_DEPTH} levels", plain)


def read_json(body: bytes) -> object:
    """Read any JSON; raises Unreadable."""
    try:
        return _plain(body)
    except UnicodeDecodeError:
        raise Unreadable("body", "expected JSON in UTF-8") from None
    except RecursionError:
        raise Unreadable("body", "expected JSON, nested less deeply") from None
    except msgspec.DecodeError as error:
        raise Unreadable("body", f"expected JSON: {error}") from None


def _split_services(services: object) -> tuple[object, list[Extras]]:
    """Part what is known of each service from what is only kept."""
    if not isinstance(services, list):
        return services, []
    known: list[object] = []
    unread: list[Extras] = []
    for service in services:
        if not _is_object(service):
            known.append(service)
            continue
        read = {k: v for k, v in service.items() if k in _KNOWN_SERVICE and v is not None}
        rest = {k: v for k, v in service.items() if k not in _KNOWN_SERVICE}
        if "used" in read:
            read["used"], unread_used = _split_used(read["used"])
            if unread_used:
                rest["used"] = unread_used
        known.append(read)
        if rest:
            unread.append({"rating_group": service.get("rating_group")} | rest)
    return known, unread


def _split_used(used: object) -> tuple[object, list[Extras]]:
    """Do the same for the parts of a service's use; what is only kept is kept with its units."""
    if not isinstance(used, list):
        return used, []
    known = [
        {k: v for k, v in part.items() if k in _KNOWN_USED and v is not None}
        if _is_object(part)
        else part
        for part in used
    ]
    kept = [part for part in used if _is_object(part) and not part.keys() <= _KNOWN_USED]
    return known, kept


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _within_depth(value: dict[str, Any] | list[Any], depth: int) -> bool:
    if depth == 0:
        return False
    for inner in value.values() if isinstance(value, dict) else value:
        is_nested = type(inner) is dict or type(inner) is list
        if is_nested and not _within_depth(inner, depth - 1):
            return False
    return True


def _explain(message: str) -> tuple[str, str]:
    """Turn msgspec's "Expected `int`, got `str` - at `$.used_units`" into field and reason."""
    match = _PATH.match(message)
    if match is None:
        return "body", message
    reason = match[1].replace("`", "")
    return match[2] or "body", reason[:1].lower() + reason[1:]

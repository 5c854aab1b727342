"""Canonical JSON events (docs/protocol.md) into `domain.Event`.

What is decided here, once for everything behind it:

*Who.* The first identity field that is present, in a fixed order. Numbers are cleaned by the
tenant's rules; an IMSI and the name of a trunk are no numbers and are kept as they are.
*What is rated.* `routing_number` where a switch has resolved portability, else `called_number`.
*When.* The client's time, clamped to the permitted skew. A wrong clock is no reason to refuse a
call: what was said stays in `reported_ms`, and the answer time moves along with the event's.
*Which request.* `request_number`; else the `Idempotency-Key` header, the `event_id`, or a digest of
the event and its time. An event with none of these could be charged twice, and is refused.
*How much.* In `services`. What charging does not read is kept for the CDR, in `attributes`.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.numbers import DEFAULT_RULES, NumberRules, clean_number
from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.attributes import attributes_of
from ocs.entrypoints.decoders.services import services_of
from ocs.entrypoints.decoders.wire import (
    LONGEST_TEXT,
    Extras,
    Instant,
    Unreadable,
    WireEvent,
    read_event,
    read_events,
    read_plain,
)
from ocs.usecases.answer import Answer

_FARTHEST_MS: Final = 2**53 - 1

_RECORD_TYPES: Final = {
    "start_request": Kind.START,
    "initial_request": Kind.START,
    "update_request": Kind.UPDATE,
    "release_request": Kind.RELEASE,
    "final_request": Kind.RELEASE,
    "event_request": Kind.EVENT,
}
_REQUEST_TYPES: Final = {1: Kind.START, 2: Kind.UPDATE, 3: Kind.RELEASE, 4: Kind.EVENT}
_USAGE_TYPES: Final = {
    "": "voice",
    "voice": "voice",
    "call": "voice",
    "data": "data",
    "sms": "sms",
    "mms": "mms",
    "event": "event",
}
_DIRECTIONS: Final = {"": "orig", "orig": "orig", "term": "term", "forward": "forward"}


class DecoderSettings(Struct, frozen=True, kw_only=True):
    """`number_rules` go by tenant; a tenant without them has international numbers."""

    skew_ms: int = 300_000
    most_events: int = 1_000
    number_rules: Mapping[str, NumberRules] = {}


class Origin(Struct, frozen=True, gc=False):
    """What is known of a request beside its body.

    `tenant` is empty where the credential names several and the request chose none.
    """

    now_ms: int
    tenant: str
    tenants: frozenset[str]
    idempotency_key: str = ""


class Decoded(Struct, frozen=True, gc=False):
    """An event to charge, or the answer to one that cannot be.

    `itemised`: the client used the `services` form, and is answered in it.
    """

    outcome: Event | Answer
    itemised: bool = False


class _NotPermitted(Exception):
    """The event names a tenant that its sender may not act for."""


class CanonicalDecoder:
    """Reads bodies for one configuration; it holds nothing else."""

    def __init__(self, settings: DecoderSettings) -> None:
        self._skew_ms = settings.skew_ms
        self._most_events = settings.most_events
        # Rules that are the default ones in all but name are that one object, which is looked for.
        self._rules = {
            tenant: DEFAULT_RULES if rules == DEFAULT_RULES else rules
            for tenant, rules in settings.number_rules.items()
        }

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        try:
            wire, extras = read_event(body)
        except Unreadable as problem:
            return Decoded(_refusal(problem))
        return self._judge(wire, extras, origin)

    def decode_array(self, body: bytes, origin: Origin) -> list[Decoded] | Answer:
        """Read an array, each event for itself; an Answer when there is no array to read."""
        try:
            items = read_events(body)
        except Unreadable as problem:
            return _refusal(problem)
        if len(items) > self._most_events:
            reason = f"at most {self._most_events} events"
            return Answer(code=ResultCode.TOO_LARGE, field="body", reason=reason)
        if not origin.idempotency_key:
            return [self._judge_item(item, origin) for item in items]
        return [
            self._judge_item(item, _origin_of(origin, position))
            for position, item in enumerate(items)
        ]

    def _judge_item(self, item: object, origin: Origin) -> Decoded:
        if type(item) is WireEvent:
            return self._judge(item, None, origin)
        try:
            wire, extras = read_plain(item)
        except Unreadable as problem:
            return Decoded(_refusal(problem))
        return self._judge(wire, extras, origin)

    def _judge(self, wire: WireEvent, extras: Extras | None, origin: Origin) -> Decoded:
        itemised = wire.services is not None
        try:
            return Decoded(self._event(wire, extras, origin), itemised)
        except Unreadable as problem:
            code, field, reason = ResultCode.INVALID_EVENT, problem.field, problem.reason
        except _NotPermitted as problem:
            code, field, reason = ResultCode.FORBIDDEN, "tenant", str(problem)
        refusal = Answer(
            code=code,
            session_id=wire.session_id,
            request_number=_number(wire),
            field=field,
            reason=reason,
        )
        return Decoded(refusal, itemised)

    def _event(self, wire: WireEvent, extras: Extras | None, origin: Origin) -> Event:
        kind = _kind(wire)
        tenant = _tenant(wire, origin)
        rules = self._rules.get(tenant, DEFAULT_RULES)
        usage_type = _USAGE_TYPES.get(wire.usage_type)
        if usage_type is None:
            raise Unreadable("usage_type", "expected voice, data, sms, mms or event")
        direction = _DIRECTIONS.get(wire.direction)
        if direction is None:
            raise Unreadable("direction", "expected orig, term or forward")
        subscriber = _subscriber(wire, kind, rules)
        called_number = clean_number(wire.called_number, rules) if wire.called_number else ""
        rated_number = called_number
        if wire.routing_number:
            rated_number = clean_number(wire.routing_number, rules)
        services = services_of(wire, kind, usage_type)
        reported_ms = origin.now_ms if wire.event_time is None else _to_ms(wire.event_time)
        event_ms = _clamp(reported_ms, origin.now_ms, self._skew_ms)
        answer_time, number, request_key = wire.answer_time, _number(wire), ""
        if number is None:
            seed = (kind, subscriber, rated_number, usage_type, services, reported_ms)
            request_key = _request_key(wire, origin, seed)
        if wire.explain and not wire.dry_run:
            raise Unreadable("explain", "expected only together with dry_run")
        return Event(
            kind,
            tenant,
            wire.session_id or _session_id(wire, kind),
            number,
            request_key,
            subscriber,
            usage_type,
            rated_number,
            event_ms,
            reported_ms,
            None if answer_time is None else _answer_ms(answer_time, event_ms, reported_ms),
            services,
            wire.session_ref,
            direction,
            clean_number(wire.calling_number, rules) if wire.calling_number else "",
            called_number,
            wire.trunk_in,
            wire.answered,
            wire.dry_run,
            event_ms != reported_ms,
            attributes_of(wire, extras),
            wire.explain,
        )


def _kind(wire: WireEvent) -> Kind:
    named = _RECORD_TYPES.get(wire.record_type)
    if wire.request_type is None:
        if named is None:
            raise Unreadable(
                "record_type",
                "expected start_request, update_request, release_request or event_request",
            )
        return named
    numbered = _REQUEST_TYPES.get(wire.request_type)
    if numbered is None:
        raise Unreadable("request_type", "expected 1 (start), 2 (update), 3 (release) or 4 (event)")
    if wire.record_type and named is not numbered:
        raise Unreadable("request_type", "expected the same as record_type, or only one of the two")
    return numbered


def _tenant(wire: WireEvent, origin: Origin) -> str:
    tenant = wire.tenant or origin.tenant
    if not tenant:
        raise _NotPermitted("name one: the credential is for several")
    if tenant not in origin.tenants:
        raise _NotPermitted("the credential is not for this one")
    return tenant


def _subscriber(wire: WireEvent, kind: Kind, rules: NumberRules) -> str:
    if wire.subscriber:
        return clean_number(wire.subscriber, rules)
    if wire.msisdn:
        return clean_number(wire.msisdn, rules)
    if wire.imsi:
        return wire.imsi.strip()
    if wire.calling_number:
        return clean_number(wire.calling_number, rules)
    if wire.sip_user:
        return clean_number(wire.sip_user, rules)
    if wire.trunk:
        return wire.trunk.strip()
    if wire.session_ref and kind in (Kind.UPDATE, Kind.RELEASE):
        return ""  # the reference leads to the account that the session began with
    raise Unreadable(
        "subscriber", "expected one of subscriber, msisdn, imsi, calling_number, sip_user, trunk"
    )


def _session_id(wire: WireEvent, kind: Kind) -> str:
    """Name the session of an event that does not."""
    if kind is not Kind.EVENT:
        raise Unreadable("session_id", f"expected a text of 1 to {LONGEST_TEXT} characters")
    if not wire.event_id:
        raise Unreadable("session_id", "expected session_id or event_id")
    return wire.event_id


def _number(wire: WireEvent) -> int | None:
    return wire.request_num if wire.request_number is None else wire.request_number


def _request_key(wire: WireEvent, origin: Origin, seed: tuple[object, ...]) -> str:
    """Tell two requests of a session apart where they carry no number."""
    if origin.idempotency_key:
        if len(origin.idempotency_key) > LONGEST_TEXT:
            raise Unreadable("Idempotency-Key", f"expected at most {LONGEST_TEXT} characters")
        return f"key:{origin.idempotency_key}"
    if wire.event_id:
        return f"event:{wire.event_id}"
    if wire.event_time is None:
        raise Unreadable(
            "request_number", "expected request_number, event_time or the header Idempotency-Key"
        )
    return f"time:{blake2b(repr(seed).encode(), digest_size=12).hexdigest()}"


def _origin_of(origin: Origin, position: int) -> Origin:
    """Give each event of an array a key of its own where one header stands for all of them."""
    key = f"{position}:{origin.idempotency_key}"
    return Origin(origin.now_ms, origin.tenant, origin.tenants, key)


def _to_ms(instant: Instant) -> int:
    if type(instant) is int:
        ms = instant * 1_000
    else:
        seconds = instant.timestamp() if isinstance(instant, datetime) else instant
        ms = round(seconds * 1_000)
    if -_FARTHEST_MS <= ms <= _FARTHEST_MS:
        return ms
    return _FARTHEST_MS if ms > 0 else -_FARTHEST_MS


def _clamp(reported_ms: int, now_ms: int, skew_ms: int) -> int:
    if reported_ms > now_ms + skew_ms:
        return now_ms + skew_ms
    return max(reported_ms, now_ms - skew_ms)


def _answer_ms(instant: Instant, event_ms: int, reported_ms: int) -> int:
    """Move the answer time with the event's: both come from the same wrong clock."""
    return max(0, min(_to_ms(instant) + event_ms - reported_ms, event_ms))


def _refusal(problem: Unreadable) -> Answer:
    """Answer an event that could not be read, with what could be read of whose it is."""
    plain = problem.plain if isinstance(problem.plain, dict) else {}
    session_id, number = plain.get("session_id"), plain.get("request_number")
    return Answer(
        code=ResultCode.INVALID_EVENT,
        session_id=session_id[:LONGEST_TEXT] if isinstance(session_id, str) else "",
        request_number=number if type(number) is int and 0 <= number <= _FARTHEST_MS else None,
        field=problem.field,
        reason=problem.reason,
    )

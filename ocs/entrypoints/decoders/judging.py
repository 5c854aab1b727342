"""From a typed event of the wire to `domain.Event`, or to what is wrong with it.

What is decided here, once for every source and everything behind it:

*Who.* The first identity field that is present, in a fixed order, unless the source says which.
Numbers are cleaned by the tenant's rules; an IMSI and the name of a trunk are no numbers and are
kept as they are.
*What is rated.* `routing_number` where a switch has resolved portability, else `called_number`;
or what the source says for the usage type.
*When.* The client's time, clamped to the permitted skew. A wrong clock is no reason to refuse a
call: what was said stays in `reported_ms`, and the answer time moves along with the event's.
*Which request.* `request_number`; else the `Idempotency-Key` header, the `event_id`, or a digest of
the event and its time; else, of a source that reports running totals, a digest with the totals. An
event with none of these could be charged twice, and is refused.
*How much.* In `services`; what a one-shot event wants done, in `actions`. What charging does not
read is kept for the CDR, in `attributes`.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.events import Action, Event, Kind, Reporting, ServiceUse
from ocs.domain.numbers import DEFAULT_RULES, NumberRules, clean_number
from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.actions import action_of, amount_of, services_of_action
from ocs.entrypoints.decoders.emergency import emergency_of
from ocs.entrypoints.decoders.instants import FARTHEST_MS, times_of
from ocs.entrypoints.decoders.manner import PLAIN, Manner
from ocs.entrypoints.decoders.services import reporting_of, services_of
from ocs.entrypoints.decoders.who import (
    NotPermitted,
    Who,
    nobody,
    number_of,
    rated_number_of,
    request_key_of,
    session_id_of,
    users_of,
)
from ocs.entrypoints.decoders.wire import LONGEST_TEXT, Unreadable, WireEvent
from ocs.entrypoints.decoders.words import (
    DIRECTIONS,
    REQUEST_TYPE_OF,
    USAGE_TYPES,
    kind_of,
    request_type_of,
    request_type_told,
    unknown_word,
)
from ocs.entrypoints.dialects import Decoded, Origin
from ocs.usecases.answer import Answer

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_DELTA: Final = Reporting.DELTA
_DIRECT_DEBIT: Final = Action.DIRECT_DEBIT
_NO_EMERGENCY: Final = False
_BY_REFERENCE: Final = (Kind.UPDATE, Kind.RELEASE)


class DecoderSettings(Struct, frozen=True, kw_only=True):
    """`number_rules` go by tenant; a tenant without them has international numbers."""

    skew_ms: int = 300_000
    most_events: int = 1_000
    number_rules: Mapping[str, NumberRules] = {}


def rules_of(settings: DecoderSettings) -> dict[str, NumberRules]:
    """Return the rules by tenant; those that are the default ones are that one object."""
    return {
        tenant: DEFAULT_RULES if rules == DEFAULT_RULES else rules
        for tenant, rules in settings.number_rules.items()
    }


def longest_emergency(rules: Mapping[str, NumberRules]) -> int:
    """Return how long a called number of any tenant can be that is an emergency number."""
    return max(each.emergency.longest for each in (DEFAULT_RULES, *rules.values()))


class Judge:
    """Judges the events of one source; it holds nothing but how they are meant."""

    def __init__(self, settings: DecoderSettings, manner: Manner = PLAIN, source: str = "") -> None:
        """`source` is the name that what was judged carries on."""
        self._skew_ms = settings.skew_ms
        self._manner = manner
        self._source = source
        self._rules = rules_of(settings)
        self._longest = longest_emergency(self._rules)

    def judge(
        self, wire: WireEvent, attributes: bytes, origin: Origin, who: Who | None = None
    ) -> Decoded:
        """Return the event, with what is kept of it, or the answer that says what is wrong."""
        itemised = wire.services is not None
        try:
            event = self._event(wire, attributes, origin, who)
            if not event.subscriber or len(event.called_number) <= self._longest:
                event = self._looked_at(event, wire, who)
            return Decoded(event, itemised, REQUEST_TYPE_OF[event.kind], self._source)
        except Unreadable as problem:
            code, field, reason = ResultCode.INVALID_EVENT, problem.field, problem.reason
        except NotPermitted as problem:
            code, field, reason = ResultCode.FORBIDDEN, "tenant", str(problem)
        refusal = Answer(
            code=code,
            session_id=wire.session_id,
            request_number=number_of(wire),
            field=field,
            reason=reason,
        )
        return Decoded(refusal, itemised, request_type_of(wire), self._source)

    def _looked_at(self, event: Event, wire: WireEvent, who: Who | None) -> Event:
        """Look whether it is of a call for help; only such a one, or a reference, needs nobody."""
        dialled = emergency_of(event, wire, self._rules.get(event.tenant, DEFAULT_RULES))
        if dialled:
            return msgspec.structs.replace(event, called_number=dialled, emergency=True)
        if not event.subscriber and not (event.session_ref and event.kind in _BY_REFERENCE):
            raise nobody(who)
        return event

    def refusal(self, problem: Unreadable) -> Decoded:
        """Answer an event that could not be read, with what could be read of whose it is."""
        plain = problem.plain if isinstance(problem.plain, dict) else {}
        session_id, number = plain.get("session_id"), plain.get("request_number")
        refusal = Answer(
            code=ResultCode.INVALID_EVENT,
            session_id=session_id[:LONGEST_TEXT] if isinstance(session_id, str) else "",
            request_number=number if type(number) is int and 0 <= number <= FARTHEST_MS else None,
            field=problem.field,
            reason=problem.reason,
        )
        request_type = request_type_told(plain)
        return Decoded(refusal, request_type=request_type, source=self._source)

    def _event(self, wire: WireEvent, attributes: bytes, origin: Origin, who: Who | None) -> Event:
        kind, manner = kind_of(wire), self._manner
        tenant = wire.tenant or origin.tenant
        if tenant not in origin.tenants:
            raise NotPermitted(tenant)
        rules = self._rules.get(tenant, DEFAULT_RULES)
        usage_type, direction = USAGE_TYPES.get(wire.usage_type), DIRECTIONS.get(wire.direction)
        if usage_type is None or direction is None:
            raise unknown_word(usage_type)
        subscriber, calling_number = users_of(wire, rules, who)
        called_number = clean_number(wire.called_number, rules) if wire.called_number else ""
        rated_number = called_number
        rated = manner.rated.get(usage_type)
        if wire.routing_number or rated is not None:
            rated_number = rated_number_of(wire, rated, rules, called_number)
        if wire.explain or wire.action or wire.reverses or wire.requested_action is not None:
            action, services = _wanted(wire, kind, usage_type, manner, rules)
        else:
            action, services = _DIRECT_DEBIT, services_of(wire, kind, usage_type, manner, rules)
        event_ms = reported_ms = origin.now_ms
        answered_ms = None
        if wire.event_time is not None or wire.answer_time is not None:
            event_ms, reported_ms, answered_ms = times_of(wire, origin.now_ms, self._skew_ms)
        number, request_key = wire.request_number, ""
        if number is None and (number := wire.request_num) is None:
            seed = (kind, subscriber, rated_number, usage_type, services, reported_ms)
            request_key = request_key_of(wire, origin, seed, manner.reporting)
        return Event(
            kind, tenant, wire.session_id or session_id_of(wire, kind), number, request_key,
            subscriber, usage_type, rated_number, event_ms, reported_ms, answered_ms, services,
            wire.session_ref, direction, calling_number, called_number, wire.trunk_in,
            wire.answered, wire.dry_run, event_ms != reported_ms, attributes,
            wire.explain, action, wire.reverses,
            _DELTA if manner.reporting is _DELTA else reporting_of(wire, kind, manner),
            manner.may_open, manner.terms.get(usage_type), _NO_EMERGENCY,
            "" if wire.amount == "" else amount_of(wire, action),
        )  # fmt: skip


def _wanted(
    wire: WireEvent, kind: Kind, usage_type: str, manner: Manner, rules: NumberRules
) -> tuple[Action, tuple[ServiceUse, ...]]:
    """Return what is wanted of the event, and how much; raises Unreadable."""
    if wire.explain and not wire.dry_run:
        raise Unreadable("explain", "expected only together with dry_run")
    action = action_of(wire, kind)
    if action is _DIRECT_DEBIT:
        return action, services_of(wire, kind, usage_type, manner, rules)
    return action, services_of_action(wire, action, usage_type, manner, rules)

"""An event of `default` as nearly all clients write it, judged at less than half the cost.

`judging` judges all that may be written: who uses by seven fields, ported numbers, actions, dry
runs, requests that are known by a key, all that is kept for the CDR; it says what is wrong. Here
only the plain case is: a session or a one-shot event of fields that nearly all make do with
(`PlainEvent`), with a subscriber, with a number or a time, for the tenant of the credential.
Anything else is None, and `judging` judges it as if nobody had. So nothing is decided here, and
nothing refused; test_canonical_plain holds the two equal.
"""

from typing import Final

from ocs.domain.events import Action, Event, Reporting
from ocs.domain.numbers import DEFAULT_RULES, clean_number
from ocs.entrypoints.decoders.attributes import attributes_of_plain
from ocs.entrypoints.decoders.emergency import ADDRESSED
from ocs.entrypoints.decoders.instants import times_of
from ocs.entrypoints.decoders.judging import DecoderSettings, longest_emergency, rules_of
from ocs.entrypoints.decoders.manner import Manner
from ocs.entrypoints.decoders.services import services_of
from ocs.entrypoints.decoders.who import key_by_time
from ocs.entrypoints.decoders.wire import Extras, PlainEvent, Unreadable
from ocs.entrypoints.decoders.words import RECORD_TYPES, REQUEST_TYPE_OF, USAGE_TYPES
from ocs.entrypoints.dialects import Decoded, Origin

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_DIRECT_DEBIT: Final = Action.DIRECT_DEBIT
_DELTA: Final = Reporting.DELTA
_NO: Final = False


class PlainJudge:
    """Judges what is plain of the events of one source."""

    def __init__(self, settings: DecoderSettings, manner: Manner, source: str) -> None:
        """The same that a `Judge` is made of."""
        self._skew_ms = settings.skew_ms
        self._manner = manner
        self._source = source
        self._rules = rules_of(settings)
        self._longest = longest_emergency(self._rules)
        # Of a source that reports totals, or rates by other fields than numbers, none is plain.
        self._may_be_plain = manner.reporting is _DELTA and not manner.rated

    def judge(self, plain: PlainEvent, extras: Extras | None, origin: Origin) -> Decoded | None:
        """Return the event, with what is kept of it; None where it is not plain."""
        number, session_id = plain.request_number, plain.session_id
        tenant = plain.tenant or origin.tenant
        kind, usage_type = RECORD_TYPES.get(plain.record_type), USAGE_TYPES.get(plain.usage_type)
        has_time = plain.event_time is not None and not origin.idempotency_key
        if (
            kind is None
            or usage_type is None
            or not session_id
            or (number is None and not has_time)
        ):
            return None
        if tenant not in origin.tenants or not self._may_be_plain:
            return None
        rules = self._rules.get(tenant, DEFAULT_RULES)
        subscriber, called_number = plain.subscriber, plain.called_number
        subscriber = clean_number(subscriber, rules) if subscriber else ""
        if called_number:
            called_number = clean_number(called_number, rules)
        if not subscriber or (len(called_number) <= self._longest and usage_type in ADDRESSED):
            return None
        manner, now_ms = self._manner, origin.now_ms
        try:
            services = services_of(plain, kind, usage_type, manner, rules)
        except Unreadable:
            return None
        event_ms = reported_ms = now_ms
        answered_ms = None
        if plain.event_time is not None or plain.answer_time is not None:
            event_ms, reported_ms, answered_ms = times_of(plain, now_ms, self._skew_ms)
        request_key = ""
        if number is None:
            seed = (kind, subscriber, called_number, usage_type, services, reported_ms)
            request_key = key_by_time(seed)
        event = Event(
            kind, tenant, session_id, number, request_key, subscriber, usage_type, called_number,
            event_ms, reported_ms, answered_ms, services, plain.session_ref, "orig",
            clean_number(plain.calling_number, rules) if plain.calling_number else "",
            called_number, "", plain.answered, _NO, event_ms != reported_ms,
            attributes_of_plain(plain, extras), _NO, _DIRECT_DEBIT, "", _DELTA, manner.may_open,
            manner.terms.get(usage_type),
        )  # fmt: skip
        itemised = plain.services is not None
        return Decoded(event, itemised, REQUEST_TYPE_OF[kind], self._source)

"""Canonical JSON events (docs/protocol.md) into `domain.Event`: the decoder of `default`.

Nearly all bodies are one event of known fields only, which decodes straight into a struct. Only
where that fails is a body read as plain objects, which keep what is unknown for the CDR, and only
there is it looked for another source that the event names (`elsewhere`): so those who need neither
pay for neither.
"""

from collections.abc import Callable
from typing import Final

from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.attributes import attributes_of
from ocs.entrypoints.decoders.canonical_plain import PlainJudge
from ocs.entrypoints.decoders.judging import DecoderSettings, Judge
from ocs.entrypoints.decoders.key_values import read_form
from ocs.entrypoints.decoders.levels import is_object
from ocs.entrypoints.decoders.manner import PLAIN, Manner
from ocs.entrypoints.decoders.mapping import REQUEST, unwrapped
from ocs.entrypoints.decoders.wire import (
    NOT_READ,
    Unreadable,
    WireEvent,
    is_of_no_event,
    read_all_plainest,
    read_events,
    read_json,
    read_plainest,
    read_strictly,
    split_known,
    to_plainest,
    to_wire,
)
from ocs.entrypoints.dialects import Decoded, Origin, source_named
from ocs.usecases.answer import Answer

Elsewhere = Callable[[object, Origin], Decoded | None]
"""Decodes a plain event that names another source; None: it names none."""

_BLANKS: Final = b" \t\r\n"


def begins_array(body: bytes) -> bool:
    """Tell whether JSON is an array, by its first character."""
    return body[:1] == b"[" or body.lstrip(_BLANKS)[:1] == b"["


def too_many(most_events: int) -> Answer:
    reason = f"at most {most_events} events"
    return Answer(code=ResultCode.TOO_LARGE, field="body", reason=reason)


class CanonicalDecoder:
    """Reads bodies for one configuration; it holds nothing else."""

    def __init__(
        self,
        settings: DecoderSettings,
        manner: Manner = PLAIN,
        source: str = "",
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._judge = Judge(settings, manner, source)
        self._plain = PlainJudge(settings, manner, source)
        self._most_events = settings.most_events
        self._elsewhere = elsewhere

    def is_array(self, body: bytes) -> bool:
        return begins_array(body)

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        try:
            decoded = self._plain.judge(read_plainest(body), None, origin)
        except NOT_READ as problem:
            if is_of_no_event(problem):
                return self._decode_leniently(body, origin)
        else:
            if decoded is not None:
                return decoded
        try:
            wire = read_strictly(body)
        except NOT_READ:
            return self._decode_leniently(body, origin)
        return self._judge.judge(wire, attributes_of(wire, None), origin)

    def decode_array(self, body: bytes, origin: Origin) -> list[Decoded] | Answer:
        """Read an array, each event for itself; an Answer when there is no array to read."""
        if (plain := self._decode_plain_array(body, origin)) is not None:
            return plain
        try:
            items = read_events(body)
        except Unreadable as problem:
            refusal = self._judge.refusal(problem).outcome
            assert isinstance(refusal, Answer)
            return refusal
        if len(items) > self._most_events:
            return too_many(self._most_events)
        if not origin.idempotency_key:
            return [self._judge_listed(item, origin) for item in items]
        return [
            self._judge_listed(item, origin_of(origin, position))
            for position, item in enumerate(items)
        ]

    def _decode_plain_array(self, body: bytes, origin: Origin) -> list[Decoded] | None:
        """Read an array of nothing but plain events; None where it is another one."""
        try:
            items = read_all_plainest(body)
        except NOT_READ:
            return None
        judge = self._plain.judge
        judged = [decoded for item in items if (decoded := judge(item, None, origin)) is not None]
        return judged if len(judged) == len(items) <= self._most_events else None

    def _decode_leniently(self, body: bytes, origin: Origin) -> Decoded:
        try:
            plain = read_json(body)
        except Unreadable as problem:
            plain = read_form(body)
            if REQUEST not in plain and not source_named(plain):
                return self._judge.refusal(problem)
        decoded = None if self._elsewhere is None else self._elsewhere(plain, origin)
        return decoded or self._judge_item(plain, origin)

    def _judge_listed(self, item: object, origin: Origin) -> Decoded:
        if type(item) is WireEvent:
            return self._judge.judge(item, attributes_of(item, None), origin)
        if self._elsewhere is not None and source_named(item):
            return self._judge.refusal(of_another_source(item))
        return self._judge_item(item, origin)

    def _judge_item(self, item: object, origin: Origin) -> Decoded:
        try:
            event = unwrapped(item) if is_object(item) else item
            known, extras = split_known(event)
            plain = to_plainest(known)
            if plain is not None:
                decoded = self._plain.judge(plain, extras, origin)
                if decoded is not None:
                    return decoded
            wire = to_wire(known, event)
        except Unreadable as problem:
            return self._judge.refusal(problem)
        return self._judge.judge(wire, attributes_of(wire, extras), origin)


def of_another_source(plain: object) -> Unreadable:
    """Say that an event of an array names a source: what it says in that one's names is lost."""
    reason = "expected in the address or the header: an array is of one source"
    return Unreadable("file_type", reason, plain)


def origin_of(origin: Origin, position: int) -> Origin:
    """Give each event of an array a key of its own where one header stands for all of them."""
    key = f"{position}:{origin.idempotency_key}"
    return Origin(origin.now_ms, origin.tenant, origin.tenants, key)

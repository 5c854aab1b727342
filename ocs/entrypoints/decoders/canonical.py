"""Canonical JSON events (docs/protocol.md) into `domain.Event`: the decoder of `default`.

Nearly all bodies are one event of known fields only, which decodes straight into a struct. Only
where that fails is a body read as plain objects, which keep what is unknown for the CDR, and only
there is it looked for another source that the event names (`elsewhere`): so those who need neither
pay for neither.
"""

from collections.abc import Callable
from typing import Final

from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.judging import DecoderSettings, Judge
from ocs.entrypoints.decoders.manner import PLAIN, Manner
from ocs.entrypoints.decoders.wire import (
    NOT_READ,
    Unreadable,
    WireEvent,
    read_events,
    read_json,
    read_plain,
    read_strictly,
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
        self._most_events = settings.most_events
        self._elsewhere = elsewhere

    def is_array(self, body: bytes) -> bool:
        return begins_array(body)

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        try:
            wire = read_strictly(body)
        except NOT_READ:
            return self._decode_leniently(body, origin)
        return self._judge.judge(wire, None, origin)

    def decode_array(self, body: bytes, origin: Origin) -> list[Decoded] | Answer:
        """Read an array, each event for itself; an Answer when there is no array to read."""
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

    def _decode_leniently(self, body: bytes, origin: Origin) -> Decoded:
        try:
            plain = read_json(body)
        except Unreadable as problem:
            decoded = None if self._elsewhere is None else self._elsewhere(body, origin)
            return decoded or self._judge.refusal(problem)
        decoded = None if self._elsewhere is None else self._elsewhere(plain, origin)
        return decoded or self._judge_item(plain, origin)

    def _judge_listed(self, item: object, origin: Origin) -> Decoded:
        if type(item) is WireEvent:
            return self._judge.judge(item, None, origin)
        if self._elsewhere is not None and source_named(item):
            return self._judge.refusal(of_another_source(item))
        return self._judge_item(item, origin)

    def _judge_item(self, item: object, origin: Origin) -> Decoded:
        try:
            wire, extras = read_plain(item)
        except Unreadable as problem:
            return self._judge.refusal(problem)
        return self._judge.judge(wire, extras, origin)


def of_another_source(plain: object) -> Unreadable:
    """Say that an event of an array names a source: what it says in that one's names is lost."""
    reason = "expected in the address or the header: an array is of one source"
    return Unreadable("file_type", reason, plain)


def origin_of(origin: Origin, position: int) -> Origin:
    """Give each event of an array a key of its own where one header stands for all of them."""
    key = f"{position}:{origin.idempotency_key}"
    return Origin(origin.now_ms, origin.tenant, origin.tenants, key)

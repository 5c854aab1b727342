"""The decoder of every source that has a field map or a format of its own.

    bytes ─ read ─► plain objects ─ SourceMap ─► canonical ─ typed ─► Judge ─► domain.Event

A JSON source is also read as a form post that carries the JSON in a field `request`, as BillRun's
clients send it. Errors name the client's own field.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from ocs.entrypoints.decoders.canonical import (
    Elsewhere,
    begins_array,
    of_another_source,
    origin_of,
    too_many,
)
from ocs.entrypoints.decoders.judging import Judge
from ocs.entrypoints.decoders.key_values import read_key_values
from ocs.entrypoints.decoders.mapping import REQUEST, SourceMap
from ocs.entrypoints.decoders.who import Who
from ocs.entrypoints.decoders.wire import (
    Extras,
    Unreadable,
    WireEvent,
    check_kept,
    read_json,
    to_wire,
)
from ocs.entrypoints.dialects import Decoded, Origin, source_named
from ocs.usecases.answer import Answer

Read = Callable[[bytes], object]
"""Bytes into plain objects; raises Unreadable."""


class Translation(Struct, frozen=True):
    """How an event of another shape (Diameter's AVPs) is brought into canonical names.

    `canonicalise` raises Unreadable. `plainly` is a short cut for events as nearly all are: what is
    known, and the rest; None where the event is another one.
    """

    canonicalise: Callable[[Extras], Extras]
    plainly: Callable[[Extras], tuple[Extras, Extras] | None] | None = None


def read_json_or_form(body: bytes) -> object:
    """Read JSON, or what a form post has in its field `request`; raises Unreadable."""
    try:
        return read_json(body)
    except Unreadable as problem:
        form = read_form(body)
        if form is None or REQUEST not in form:
            raise problem from None
        return form


def read_form(body: bytes) -> Extras | None:
    """Read a body that is no JSON as a form; None if it is none either."""
    try:
        return dict(read_key_values(body))
    except Unreadable:
        return None


def _listed(plain: object) -> list[object]:
    if not isinstance(plain, list):
        raise Unreadable("body", "expected an array of events")
    return plain


class MappedDecoder:
    """Reads the bodies of one source."""

    def __init__(
        self,
        judge: Judge,
        source_map: SourceMap,
        read: Read,
        *,
        most_events: int,
        translation: Translation | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._judge = judge
        self._map = source_map
        self._read = read
        self._most_events = most_events
        self._canonicalise = translation.canonicalise if translation else None
        self._plainly = translation.plainly if translation and source_map.is_bare else None
        self._elsewhere = elsewhere

    def is_array(self, body: bytes) -> bool:
        return begins_array(body)

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        try:
            plain = self._read(body)
        except Unreadable as problem:
            return self._judge.refusal(problem)
        elsewhere = None if self._elsewhere is None else self._elsewhere(plain, origin)
        return elsewhere or self.decode_plain(plain, origin)

    def decode_array(self, body: bytes, origin: Origin) -> list[Decoded] | Answer:
        """Read several, each for itself; an Answer when there is no array to read."""
        try:
            items = _listed(self._read(body))
        except Unreadable as problem:
            refusal = self._judge.refusal(problem).outcome
            assert isinstance(refusal, Answer)
            return refusal
        if len(items) > self._most_events:
            return too_many(self._most_events)
        return [
            self._decode_listed(item, origin_of(origin, at) if origin.idempotency_key else origin)
            for at, item in enumerate(items)
        ]

    def _decode_listed(self, item: object, origin: Origin) -> Decoded:
        if self._elsewhere is not None and source_named(item):
            return self._judge.refusal(of_another_source(item))
        return self.decode_plain(item, origin)

    def decode_plain(self, plain: object, origin: Origin) -> Decoded:
        """Read one event that is plain objects already."""
        known: Extras = {}
        try:
            event = self._map.event(plain)
            if self._plainly is not None and (read := self._read_plainly(event)) is not None:
                return self._in_client_words(self._judge.judge(*read[:2], origin, read[2]))
            if self._canonicalise is not None:
                event = self._canonicalise(event)
            mapped = self._map.canonical(event)
            known = mapped.known
            check_kept(mapped.rest, known)
            wire = to_wire(known, known)
        except Unreadable as problem:
            problem.plain = known or problem.plain
            return self._in_client_words(self._judge.refusal(problem))
        return self._in_client_words(self._judge.judge(wire, mapped.rest, origin, mapped.who))

    def _read_plainly(self, event: Extras) -> tuple[WireEvent, Extras, Who | None] | None:
        found = self._plainly(event) if self._plainly is not None else None
        if found is None:
            return None
        known, rest = found
        try:
            check_kept(rest, known)
            return to_wire(known, known), rest, self._map.who(known, rest)
        except Unreadable:  # told in the words of the longer way
            return None

    def where(self, body: bytes) -> list[dict[str, str]]:
        """Tell where each canonical field is in the events of a body; nothing, if it is none."""
        try:
            plain = self._read(body)
            events = [
                self._map.event(one) for one in (plain if isinstance(plain, list) else [plain])
            ]
            if self._canonicalise is not None:
                events = [self._canonicalise(event) for event in events]
        except Unreadable:
            return []
        return [self._map.where(event) for event in events]

    def _in_client_words(self, decoded: Decoded) -> Decoded:
        answer = decoded.outcome
        if not isinstance(answer, Answer):
            return decoded
        named = replace(answer, field=self._map.client_name(answer.field))
        return replace(decoded, outcome=named)

"""The decoder of every source that has a field map or a format of its own.

    bytes ─ read ─► plain objects ─ SourceMap ─► canonical ─ typed ─► Judge ─► domain.Event

A JSON source is also read as a form post that carries the JSON in a field `request`, as BillRun's
clients send it. Errors name the client's own field.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Event
from ocs.entrypoints.decoders.attributes import attributes_in, attributes_of
from ocs.entrypoints.decoders.canonical import (
    Elsewhere,
    begins_array,
    of_another_source,
    origin_of,
    too_many,
)
from ocs.entrypoints.decoders.judging import Judge
from ocs.entrypoints.decoders.key_values import read_form
from ocs.entrypoints.decoders.levels import is_object
from ocs.entrypoints.decoders.mapping import REQUEST, SourceMap
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

    `canonicalise` raises Unreadable. `plainly` is a short cut for events as nearly all are: fields
    of a `WireEvent`, of the right kinds, and what is kept beside them; None where the event is
    another one. It reads a body, or an event that is plain objects already, and leaves it as it is.
    """

    canonicalise: Callable[[Extras], Extras]
    plainly: Callable[[bytes | Extras], tuple[Extras, Struct] | None] | None = None


def read_json_or_form(body: bytes) -> object:
    """Read JSON, or what a form post has in its field `request`; raises Unreadable."""
    try:
        return read_json(body)
    except Unreadable as problem:
        form = read_form(body)
        if REQUEST not in form:
            raise problem from None
        return form


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
        has_short_cut = source_map.is_bare and source_map.knows_who
        self._plainly = translation.plainly if translation and has_short_cut else None
        self._elsewhere = elsewhere

    def is_array(self, body: bytes) -> bool:
        return begins_array(body)

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        if self._plainly is not None and (decoded := self._decode_plainly(body, origin)):
            return decoded
        try:
            plain = self._read(body)
        except Unreadable as problem:
            return self._judge.refusal(problem)
        elsewhere = None if self._elsewhere is None else self._elsewhere(plain, origin)
        return elsewhere or self._decode_at_length(plain, origin)

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
        if self._plainly is not None and is_object(plain):
            decoded = self._decode_plainly(plain, origin)
            if decoded is not None:
                return decoded
        return self._decode_at_length(plain, origin)

    def _decode_plainly(self, event: bytes | Extras, origin: Origin) -> Decoded | None:
        found = self._plainly(event) if self._plainly is not None else None
        if found is None:
            return None
        fields, kept = found
        attributes = attributes_in(kept)
        if attributes is None:
            return None
        wire, who = WireEvent(**fields), self._map.who(fields)
        decoded = self._judge.judge(wire, attributes, origin, who)
        return decoded if type(decoded.outcome) is Event else self._in_client_words(decoded)

    def _decode_at_length(self, plain: object, origin: Origin) -> Decoded:
        known: Extras = {}
        try:
            event = self._map.event(plain)
            if self._canonicalise is not None:
                event = self._canonicalise(event)
            mapped = self._map.canonical(event)
            known = mapped.known
            check_kept(mapped.rest, known)
            wire = to_wire(known, known)
            attributes = attributes_of(wire, mapped.rest)
        except Unreadable as problem:
            problem.plain = known or problem.plain
            return self._in_client_words(self._judge.refusal(problem))
        return self._in_client_words(self._judge.judge(wire, attributes, origin, mapped.who))

    def where(self, body: bytes, read: Read | None = None) -> list[dict[str, str]]:
        """Tell where each canonical field is in the events of a body; nothing, if it is none.

        `read` is how the body is read, if not as the source's own.
        """
        try:
            plain = (read or self._read)(body)
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
        if type(answer) is not Answer:
            return decoded
        named = replace(answer, field=self._map.client_name(answer.field))
        return replace(decoded, outcome=named)

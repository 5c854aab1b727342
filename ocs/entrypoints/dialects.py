"""A dialect: the decoder and the encoder of one event source, and the names they go by.

`Realtime` knows no format: it picks the dialect that a request names and hands bytes through.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from msgspec import Struct

from ocs.domain.events import Event
from ocs.usecases.answer import Answer

DEFAULT_SOURCE: Final = "default"
FILE_TYPE: Final = "file_type"
"""The field by which an event itself may name its source."""


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

    `itemised`: the client used the `services` form, and is answered in it. `request_type` is what
    it asked for as a number (CC-Request-Type, RFC 8506 8.3: 1 start, 2 update, 3 release, 4 event;
    0: not known). `source` is the one that has read it, where the event itself named it.
    """

    outcome: Event | Answer
    itemised: bool = False
    request_type: int = 0
    source: str = ""


class Written(Struct, frozen=True, gc=False):
    """An answer as bytes."""

    status: int
    body: bytes
    content_type: str = "application/json"


class EventDecoder(Protocol):
    """Reads the bodies of one source. Whatever the bytes are, it answers; it raises nothing."""

    def is_array(self, body: bytes) -> bool:
        """Tell whether the body holds several events, without reading it."""
        ...

    def decode(self, body: bytes, origin: Origin) -> Decoded:
        """Read one event."""
        ...

    def decode_array(self, body: bytes, origin: Origin) -> list[Decoded] | Answer:
        """Read several, each for itself; an Answer when there is no array to read."""
        ...


class AnswerEncoder(Protocol):
    """Writes answers in the words of one source."""

    def write(self, answer: Answer, decoded: Decoded) -> Written:
        """Write the answer to one event."""
        ...

    def write_array(self, answers: Iterable[tuple[Answer, Decoded]]) -> Written:
        """Write the answers to an array; its status is 200."""
        ...


class Dialect(Struct, frozen=True, gc=False):
    source: str
    decoder: EventDecoder
    encoder: AnswerEncoder


Dialects = Mapping[str, Dialect]
"""By the source's name; `default` is always there."""


def source_named(plain: object) -> str:
    """Return the source that a plain event names, if it is another than the default one."""
    name = plain.get(FILE_TYPE) if isinstance(plain, dict) else None
    return name if isinstance(name, str) and name != DEFAULT_SOURCE else ""

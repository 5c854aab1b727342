"""`ocs source test`: how a recorded body is understood, without charging anything.

The same decoder that serves clients reads it. Beside its event stands, for each canonical field,
where the client said it; and what the source's map leaves unread.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ocs.bootstrap.sources import decoder_settings
from ocs.config.settings import Settings
from ocs.domain.events import MAIN_SERVICE, Event, Kind, Reporting, ServiceUse
from ocs.entrypoints.decoders.mapped import MappedDecoder, read_json_or_form
from ocs.entrypoints.dialects import Decoded, EventDecoder, Origin
from ocs.entrypoints.sources.dialects import make_decoders
from ocs.entrypoints.sources.source import Source
from ocs.usecases.answer import Answer

_CENTURY_MS: Final = 3_155_760_000_000
_REPORTING: Final = {
    Reporting.DELTA: "since the last report",
    Reporting.TOTAL: "since the session began",
    Reporting.AT_RELEASE: "since the session began, settled at the release",
}
_SAID_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "subscriber": ("subscriber", "msisdn", "imsi", "calling_number", "sip_user", "trunk"),
    "record_type": ("record_type", "request_type"),
    "request_number": ("request_number", "request_num"),
    "tenant": ("tenant", "tenant_key"),
    "session_id": ("session_id", "event_id"),
    "action": ("action", "requested_action"),
}
"""Canonical fields by which a field of the event may have been said, if not by its own name."""
_TIMES: Final = ("event_ms", "answer_ms")


class Line(Struct, frozen=True):
    """A field of the event as it is charged; `client` is where the client said it."""

    field: str
    value: str
    client: str = ""


class Understood(Struct, frozen=True):
    """One event, or why there is none: `field` is the client's name of what is wrong."""

    number: int
    outcome: str
    lines: tuple[Line, ...] = ()
    kept: dict[str, object] = {}
    field: str = ""
    reason: str = ""


def understand(
    settings: Settings, sources: Sequence[Source], path: Path, now_ms: int
) -> list[Understood]:
    """Read a file: one body, or one a line. OSError: it cannot be read.

    The first source reads; the others are those that events of `default` may name.
    """
    # Whatever the time was when it was recorded, it is shown as it was said.
    lasting = replace(decoder_settings(settings), skew_ms=_CENTURY_MS)
    decoders = make_decoders(sources, lasting)
    by_name = {source.name: source for source in sources}
    decoder = decoders[sources[0].name]
    tenants = frozenset(tenant.name for tenant in settings.tenants)
    origin = Origin(now_ms, settings.charging.default_tenant, tenants)
    found: list[Understood] = []
    for body in _bodies(path.read_bytes().strip()):
        decoded = _decoded(decoder, body, origin)
        source = by_name[decoded[0].source or sources[0].name] if decoded else sources[0]
        where = _where(decoders[source.name], body, is_named=source is not sources[0])
        for one, places in zip_longest(decoded, where[: len(decoded)]):
            found.append(_understood(len(found) + 1, one, _Places(source, places or {})))
    return found


def _where(decoder: EventDecoder, body: bytes, *, is_named: bool) -> list[dict[str, str]]:
    """Tell where the fields are; `is_named`: it is an event of `default` that names its source."""
    if not isinstance(decoder, MappedDecoder):
        return []
    return decoder.where(body, read_json_or_form if is_named else None)


def _decoded(decoder: EventDecoder, body: bytes, origin: Origin) -> list[Decoded]:
    if not decoder.is_array(body):
        return [decoder.decode(body, origin)]
    events = decoder.decode_array(body, origin)
    return [Decoded(events)] if isinstance(events, Answer) else events


def _bodies(body: bytes) -> list[bytes]:
    """Part lines that are JSON each; everything else is one body, lines and all."""
    lines = [line for line in body.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(map(_is_json, lines)) else [body]


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False


class _Places(Struct, frozen=True):
    """Where a client said what; `named` is by canonical field."""

    source: Source
    named: dict[str, str]

    def of(self, field: str, usage_type: str) -> str:
        service = re.sub(r"\[\d+\]", "[]", field)
        for name in _SAID_IN.get(field, (service,)):
            if name in self.named:
                return self.named[name]
        if field == "rated_number":
            names = self.source.rated.get(usage_type, ("routing_number", "called_number"))
            return next((self.named[name] for name in names if name in self.named), "")
        return ""


def _understood(number: int, decoded: Decoded, places: _Places) -> Understood:
    event = decoded.outcome
    if isinstance(event, Answer):
        return Understood(number, event.code, field=event.field, reason=event.reason)
    kept = msgspec.json.decode(event.attributes, type=dict[str, object]) if event.attributes else {}
    lines = tuple(
        Line(line.field, line.value, places.of(line.field, event.usage_type))
        for line in (*_of_event(event), *_of_services(event))
    )
    return Understood(number, "event", lines, kept)


def _of_event(event: Event) -> Iterator[Line]:
    for name, value in _shown(event).items():
        if value is not None and value is not False and value != "":
            yield Line(_CANONICAL.get(name, name), "true" if value is True else str(value))
    yield Line("reports", _REPORTING[event.reporting])
    if not event.may_open:
        yield Line("unknown_session", "refuse")
    if event.terms is not None:
        terms = msgspec.structs.asdict(event.terms).items()
        yield Line("terms", ", ".join(f"{name} {value}" for name, value in terms if value))


def _shown(event: Event) -> dict[str, object]:
    """Return what is shown of an event by itself."""
    plain = msgspec.structs.asdict(event)
    for name in ("reported_ms", "services", "attributes", "reporting", "terms", "may_open"):
        del plain[name]
    if event.kind is not Kind.EVENT:
        del plain["action"]
    for name in _TIMES:
        if plain[name] is not None:
            plain[name] = _time(plain[name])
    return plain


_CANONICAL: Final = {
    "kind": "record_type",
    "event_ms": "event_time",
    "answer_ms": "answer_time",
}


def _of_services(event: Event) -> Iterator[Line]:
    for position, service in enumerate(event.services):
        is_only = len(event.services) == 1 and service.rating_group == MAIN_SERVICE
        prefix = "" if is_only else f"services[{position}]."
        yield from _of_service(service, prefix)


def _of_service(service: ServiceUse, prefix: str) -> Iterator[Line]:
    if prefix:
        yield Line(f"{prefix}rating_group", service.rating_group)
    yield Line(f"{prefix}used_units", str(service.used_units))
    asked = service.requested_units
    yield Line(f"{prefix}requested_units", "the plan's quota" if asked is None else str(asked))
    if service.rated_number:
        yield Line(f"{prefix}rated_number", service.rated_number)
    if service.before_units:
        yield Line(f"{prefix}before_units", str(service.before_units))


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds")

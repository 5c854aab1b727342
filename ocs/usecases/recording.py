"""Recorded event streams, made new.

A recording is one JSON object a line: `offset_s`, seconds since the first event, and `event`, the
body as a switch posted it. Sent again as it is, it would be a stream of late repeats. So every
session id gets a suffix, and every time is moved: an event is stamped with the moment at which the
replay means to send it, as a switch would, and other times keep their distance from it. At another
speed than the recorded one the stamps are closer together than the use between them says; that is
harmless, for use is counted in reported units and not between stamps. Rejected: keeping the
recorded distances, which at ten times the speed would run ahead into the future until the service
clamps them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

_EVENT_TIME: Final = "event_time"
_TIMES: Final = ("event_time", "answer_time")
_IDENTITIES: Final = ("session_id", "event_id")


class RecordingError(ValueError):
    """The recording cannot be read; the message names the line."""


class Recorded(Struct, frozen=True):
    """One event and when it came; `session` is what keeps it in order with others."""

    offset_s: float
    session: str
    used_units: int
    event: Raw


class _Service(Struct):
    used_units: int = 0


class _Head(Struct):
    """What a replay reads of an event."""

    session_id: str = ""
    event_id: str = ""
    used_units: int = 0
    services: list[_Service] = []


class _Line(Struct):
    offset_s: float
    event: Raw


_line: Final = msgspec.json.Decoder(_Line).decode
_head: Final = msgspec.json.Decoder(_Head).decode
_event: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


def read_recording(lines: Iterable[bytes], limit: int | None = None) -> list[Recorded]:
    """Read up to `limit` events, in the order of their offsets. Raises RecordingError."""
    recording: list[Recorded] = []
    for number, line in enumerate(lines, start=1):
        if limit is not None and len(recording) >= limit:
            break
        if line.strip():
            recording.append(_recorded(number, line))
    recording.sort(key=lambda item: item.offset_s)  # stable: equal offsets keep their order
    return recording


def _recorded(number: int, line: bytes) -> Recorded:
    try:
        record = _line(line)
        head = _head(record.event)
        _shifted(_event(record.event), 0)
    except (msgspec.DecodeError, ValueError) as error:
        raise RecordingError(f"line {number}: {error}") from None
    session = head.session_id or head.event_id
    if not session:
        raise RecordingError(f"line {number}: the event has neither session_id nor event_id")
    used_units = head.used_units + sum(service.used_units for service in head.services)
    return Recorded(record.offset_s, session, used_units, record.event.copy())


def renewed(item: Recorded, suffix: str, sent_ms: int) -> bytes:
    """Write the body of the event as of `sent_ms`, in a session of its own."""
    event = _event(item.event)
    for field in _IDENTITIES:
        if field in event:
            event[field] = f"{event[field]}-{suffix}"
    return _encode(_shifted(event, sent_ms))


def _shifted(event: dict[str, Any], sent_ms: int) -> dict[str, Any]:
    """Move all times so that `event_time` becomes `sent_ms`; whole seconds stay whole."""
    if _EVENT_TIME not in event:
        return event
    recorded_s = _epoch_s(event[_EVENT_TIME])
    for field in _TIMES:
        if field in event:
            time_s = sent_ms / 1000 + _epoch_s(event[field]) - recorded_s
            event[field] = time_s if isinstance(event[field], float) else int(time_s)
    return event


def _epoch_s(time: object) -> float:
    """Read epoch seconds or RFC 3339."""
    if isinstance(time, int | float):
        return float(time)
    if isinstance(time, str):
        return datetime.fromisoformat(time).timestamp()
    raise ValueError(f"{time!r} is no time: expected epoch seconds or RFC 3339")

"""When: a client's times as milliseconds, and what becomes of a wrong clock."""

from datetime import datetime
from typing import Final

from ocs.entrypoints.decoders.wire import Instant, PlainEvent

FARTHEST_MS: Final = 2**53 - 1
_FARTHEST_S: Final = FARTHEST_MS // 1_000


def times_of(wire: PlainEvent, now_ms: int, skew_ms: int) -> tuple[int, int, int | None]:
    """Return when an event was, within the permitted skew; what its clock said; its answer."""
    instant = wire.event_time
    if type(instant) is int and 0 <= instant < _FARTHEST_S:  # as nearly all are, without a call
        event_ms = reported_ms = instant * 1_000
    else:
        event_ms = reported_ms = now_ms if instant is None else _to_ms(instant)
    if not -skew_ms <= reported_ms - now_ms <= skew_ms:
        event_ms = now_ms + skew_ms if reported_ms > now_ms else now_ms - skew_ms
    if wire.answer_time is None:
        return event_ms, reported_ms, None
    # Both come from the same wrong clock.
    answered_ms = _to_ms(wire.answer_time) + event_ms - reported_ms
    if not 0 <= answered_ms <= event_ms:
        answered_ms = 0 if answered_ms < 0 else max(0, event_ms)
    return event_ms, reported_ms, answered_ms


def _to_ms(instant: Instant) -> int:
    if type(instant) is int:
        ms = instant * 1_000
    else:
        seconds = instant.timestamp() if isinstance(instant, datetime) else instant
        ms = round(seconds * 1_000)
    if -FARTHEST_MS <= ms <= FARTHEST_MS:
        return ms
    return FARTHEST_MS if ms > 0 else -FARTHEST_MS

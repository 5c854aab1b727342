"""When: a client's times as milliseconds, and what becomes of a wrong clock."""

from datetime import datetime
from typing import Final

from ocs.entrypoints.decoders.wire import Instant

FARTHEST_MS: Final = 2**53 - 1


def to_ms(instant: Instant) -> int:
    if type(instant) is int:
        ms = instant * 1_000
    else:
        seconds = instant.timestamp() if isinstance(instant, datetime) else instant
        ms = round(seconds * 1_000)
    if -FARTHEST_MS <= ms <= FARTHEST_MS:
        return ms
    return FARTHEST_MS if ms > 0 else -FARTHEST_MS


def clamp(reported_ms: int, now_ms: int, skew_ms: int) -> int:
    if reported_ms > now_ms + skew_ms:
        return now_ms + skew_ms
    return max(reported_ms, now_ms - skew_ms)


def answer_ms(instant: Instant, event_ms: int, reported_ms: int) -> int:
    """Move the answer time with the event's: both come from the same wrong clock."""
    return max(0, min(to_ms(instant) + event_ms - reported_ms, event_ms))

"""The outcomes of a charging request.

An outcome is a value, a fault (the store is down) is one exception raised by an adapter, a bug is
an assert. `ResultCode` lists every outcome once, in order of precedence: where two apply to one
request, the earlier one is answered. `return_codes.ini` gives each its numbers and texts for
operators to edit; a test keeps the two complete and in the same order.
"""

from enum import StrEnum
from typing import Final


class ResultCode(StrEnum):
    """What the service decided about a request, in order of precedence (first wins)."""

    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    TOO_LARGE = "TOO_LARGE"
    INVALID_EVENT = "INVALID_EVENT"
    TOO_BUSY = "TOO_BUSY"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    UNKNOWN_SUBSCRIBER = "UNKNOWN_SUBSCRIBER"
    CONFLICT = "CONFLICT"
    REPEAT_EXPIRED = "REPEAT_EXPIRED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
    SESSION_CLOSED = "SESSION_CLOSED"
    RATE_BLOCKED = "RATE_BLOCKED"
    NO_RATE = "NO_RATE"
    RATING_FAILED = "RATING_FAILED"
    SUBSCRIBER_BLOCKED = "SUBSCRIBER_BLOCKED"
    LIMIT_REACHED = "LIMIT_REACHED"
    NO_CREDIT = "NO_CREDIT"
    NOT_CHARGED = "NOT_CHARGED"
    OK = "OK"


TRANSIENT: Final = frozenset({ResultCode.TOO_BUSY, ResultCode.OUTCOME_UNKNOWN})
"""Codes after which the same request (same request number) should be sent again."""

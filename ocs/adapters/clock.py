"""The one place that looks at a clock.

Everything else takes the time as an argument: a decision that reads a clock can be neither replayed
nor tested without waiting. ruff (TID251) bans the calls everywhere but here.
"""

import time


def wall_ms() -> int:
    """Milliseconds since the epoch. It may jump: for time stamps, never for measuring."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds from an arbitrary start. It never goes back: for durations and deadlines."""
    return time.monotonic()

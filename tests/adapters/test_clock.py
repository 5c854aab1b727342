"""The clock says what it says in."""

import time

from ocs.adapters import clock


def test_wall_time_is_in_milliseconds_since_the_epoch() -> None:
    before_s = time.time()
    assert int(before_s * 1000) <= clock.wall_ms() <= time.time() * 1000


def test_monotonic_time_is_in_seconds_and_never_goes_back() -> None:
    before_s = time.monotonic()
    assert before_s <= clock.monotonic_s() <= clock.monotonic_s() <= time.monotonic()

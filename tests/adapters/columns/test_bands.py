"""The band of a column of instants is the timetable's, and stays as long as is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.timing import NO_BAND, Timetable, Timing
from ocs.domain.zones import UTC_ZONE, Zone, zone_named

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
Timetables = pytest.importorskip("ocs.adapters.columns.bands").Timetables

ZONES = [UTC_ZONE, zone_named("Europe/London"), zone_named("Pacific/Auckland")]
DAY_MS = 86_400_000
SPRING_MS = 1_774_746_000_000  # 2026-03-29 01:00 UTC, when the clocks of London jump

hours = st.integers(0, 23)
timings = st.builds(
    lambda first, more, days: Timing(
        start_s=first * 3_600, end_s=min(first + more, 24) * 3_600, week_days=tuple(days)
    ),
    hours,
    st.integers(1, 24),
    st.sets(st.integers(1, 7), max_size=3),
)
instants = st.integers(SPRING_MS - 40 * DAY_MS, SPRING_MS + 40 * DAY_MS) | st.integers(
    SPRING_MS - DAY_MS, SPRING_MS + DAY_MS
)


@given(
    st.lists(st.none() | timings, min_size=1, max_size=3),
    st.lists(timings, min_size=1, max_size=2),
    st.sampled_from(ZONES),
    st.lists(st.tuples(st.sampled_from([0, 1, None]), instants), min_size=1, max_size=12),
)
def test_bands_are_those_of_the_timetable(
    one: list[Timing | None],
    other: list[Timing],
    zone: Zone,
    asked: list[tuple[int | None, int]],
) -> None:
    tables = Timetables()
    numbers = [tables.number(each, zone) for each in (one, other, one)]
    assert numbers == [0, 1 if other != one else 0, 0]
    asked = [(None if number is None else numbers[number], at_ms) for number, at_ms in asked]
    table, at_ms = zip(*asked, strict=True)
    found = tables.active_at(pl.Series(table, dtype=pl.Int64), pl.Series(at_ms))
    for number, instant, (band, until_ms) in zip(table, at_ms, found.rows(), strict=True):
        if number is None:
            assert band == 0
            assert until_ms > instant + 10**6 * DAY_MS
            continue
        timetable = Timetable(other if number else one, zone)
        assert band == (None if timetable.at(instant) == NO_BAND else timetable.at(instant))
        assert until_ms > instant
        assert len(timetable.switches(instant, until_ms)) == 1


def test_the_same_timings_are_another_table_in_another_zone() -> None:
    tables = Timetables()
    assert [tables.number([None], zone) for zone in (*ZONES, UTC_ZONE)] == [0, 1, 2, 0]

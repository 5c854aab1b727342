"""What clocks show, on the days when they are changed too."""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain import zones
from ocs.domain.zones import DAY_MS, UTC_ZONE, Zone, zone_named

HOUR_MS: Final = 3_600_000
PLACES: Final = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",  # clocks are changed by half an hour
    "Asia/Kathmandu",
    "Africa/Casablanca",  # put back for Ramadan
    "Pacific/Apia",  # skipped the whole of 2011-12-30
    "America/Santiago",  # changes at midnight
    "Pacific/Kiritimati",
)

instants = st.integers(0, 4_102_444_800_000)
places = st.sampled_from(PLACES)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def obvious_wall_ms(name: str, at_ms: int) -> int:
    shown = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(ZoneInfo(name))
    return ms(shown.replace(tzinfo=None).isoformat()) + at_ms % 1000


@given(places, instants)
def test_clocks_show_what_the_zone_says(name: str, at_ms: int) -> None:
    assert zone_named(name).wall_ms(at_ms) == obvious_wall_ms(name, at_ms)


@pytest.mark.parametrize(
    ("name", "wall", "instant"),
    [
        ("UTC", "2026-03-29T01:30", "2026-03-29T01:30"),
        ("Europe/London", "2026-03-29T00:59:59", "2026-03-29T00:59:59"),
        ("Europe/London", "2026-03-29T01:00", "2026-03-29T01:00"),  # skipped: the jump
        ("Europe/London", "2026-03-29T01:30", "2026-03-29T01:00"),
        ("Europe/London", "2026-03-29T02:00", "2026-03-29T01:00"),
        ("Europe/London", "2026-10-25T01:30", "2026-10-25T00:30"),  # shown twice: the first time
        ("Europe/London", "2026-10-25T02:00", "2026-10-25T02:00"),
        ("America/Santiago", "2026-09-06T00:30", "2026-09-06T04:00"),  # no midnight
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),  # no such day
        ("Pacific/Kiritimati", "2026-01-01T00:00", "2025-12-31T10:00"),
    ],
)
def test_a_wall_time_is_first_reached(name: str, wall: str, instant: str) -> None:
    assert zone_named(name).instant_ms(ms(wall)) == ms(instant)


@given(places, instants)
def test_a_wall_time_leads_back_to_the_first_instant_that_shows_it(name: str, at_ms: int) -> None:
    zone = zone_named(name)
    first = zone.instant_ms(zone.wall_ms(at_ms))
    assert first <= at_ms
    assert zone.wall_ms(first) == zone.wall_ms(at_ms)


@given(places, instants, st.integers(-30 * HOUR_MS, 30 * HOUR_MS))
def test_what_clocks_have_reached_is_what_dates_are_held_against(
    name: str, at_ms: int, away_ms: int
) -> None:
    zone = zone_named(name)
    wall_ms = zone.wall_ms(at_ms) + away_ms
    assert (zone.reached_ms(at_ms) >= wall_ms) == (at_ms >= zone.instant_ms(wall_ms))


def test_in_the_hour_that_comes_twice_clocks_have_reached_more_than_they_show() -> None:
    zone = zone_named("Europe/London")
    again = ms("2026-10-25T01:10")
    assert zone.wall_ms(again) == ms("2026-10-25T01:10")
    assert zone.reached_ms(again) == ms("2026-10-25T02:00") - 1
    assert zone.reached_ms(ms("2026-10-25T02:00")) == ms("2026-10-25T02:00")


def test_a_day_is_cut_where_its_offset_changes() -> None:
    zone = zone_named("America/New_York")
    (night, day) = zone.stretches(ms("2026-11-01T00:00") // DAY_MS)
    assert (night.to_ms, night.offset_ms) == (ms("2026-11-01T06:00"), -4 * HOUR_MS)
    assert (day.from_ms, day.offset_ms) == (ms("2026-11-01T06:00"), -5 * HOUR_MS)
    assert (day.to_ms - night.from_ms) == DAY_MS


def test_what_lies_before_1970_or_after_9999_has_some_offset() -> None:
    zone = zone_named("Europe/London")
    assert zone.wall_ms(-10 * DAY_MS) == -10 * DAY_MS + HOUR_MS
    assert zone.wall_ms(2**53 - 1) == 2**53 - 1


def test_days_are_kept_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "_MOST_DAYS_KEPT", 1)
    zone = Zone("Europe/London")
    first = zone.stretches(0)
    assert zone.stretches(0) is first
    zone.stretches(1)
    assert zone.stretches(0) is not first


def test_zones_are_known_by_name() -> None:
    assert zone_named("UTC") is UTC_ZONE
    assert repr(zone_named("Europe/London")) == "Zone('Europe/London')"


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "a\0b"])
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone such as"):
        zone_named(name)


@pytest.mark.nightly
def test_no_zone_changes_twice_within_a_day() -> None:
    """Days are asked about at both ends only."""
    step = timedelta(hours=6)
    begin, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
    for name in available_timezones():
        info, at, before, changed = ZoneInfo(name), begin, None, None
        while at < end:
            offset = at.astimezone(info).utcoffset()
            if before is not None and offset != before:
                assert at.date() != changed, name
                changed = at.date()
            before, at = offset, at + step

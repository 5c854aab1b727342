"""Which band of a price is active when: the table of the week, and whole days at random."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain import timing as timing_module
from ocs.domain.timing import LAST_DAY, NO_BAND, Timetable, Timing
from ocs.domain.zones import DAY_MS, UTC_ZONE, zone_named
from tests.domain.test_zones import PLACES

HOUR: Final = 3_600
PEAK: Final = Timing(week_days=(1, 2, 3, 4, 5), start_s=8 * HOUR, end_s=18 * HOUR, weight=10)
CHRISTMAS: Final = Timing(months=(12,), month_days=(25, 26), weight=20)
LONDON: Final = zone_named("Europe/London")
FIRST_DAY: Final = date(1970, 1, 1).toordinal()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def active(timings: Sequence[Timing | None], wall_ms: int) -> int:
    """Say the rule anew: the highest weight, then the latest start, then the first of the list."""
    day, second = divmod(wall_ms // 1000, DAY_MS // 1000)
    holding = [
        (-timing.weight, -timing.start_s, position)
        for position, timing in enumerate(each or Timing() for each in timings)
        if timing.falls_on(date.fromordinal(FIRST_DAY + day))
        and timing.start_s <= second < timing.end_s
    ]
    return min(holding)[2] if holding else NO_BAND


def at(timings: Sequence[Timing | None], wall: str) -> int:
    found = Timetable(timings, UTC_ZONE).at(ms(wall))
    assert found == active(timings, ms(wall))
    return found


def text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d %H:%M")


@pytest.mark.parametrize(
    ("wall", "band"),
    [
        ("2026-11-20T07:59:59.999", 0),
        ("2026-11-20T08:00", 1),
        ("2026-11-20T17:59:59.999", 1),
        ("2026-11-20T18:00", 0),
        ("2026-11-21T12:00", 0),  # a Saturday
        ("2026-12-25T12:00", 2),  # a Friday
        ("2026-12-26T00:00", 2),
        ("2026-12-27T00:00", 0),
    ],
)
def test_the_highest_weight_is_active(wall: str, band: int) -> None:
    assert at([None, PEAK, CHRISTMAS], wall) == band


def test_among_equal_weights_the_latest_start_is_active_then_the_first_in_the_list() -> None:
    day, morning, again = Timing(), Timing(start_s=6 * HOUR), Timing(start_s=6 * HOUR)
    assert at([day, morning, again], "2026-01-01T05:00") == 0
    assert at([day, morning, again], "2026-01-01T06:00") == 1


def test_where_no_timing_holds_none_is_active() -> None:
    assert at([PEAK], "2026-11-21T12:00") == NO_BAND
    assert at([], "2026-11-21T12:00") == NO_BAND


@pytest.mark.parametrize(
    ("timing", "days"),
    [
        (Timing(month_days=(29,), months=(2,)), ["2024-02-29", "2028-02-29"]),
        (Timing(month_days=(LAST_DAY,), months=(2,)), ["2024-02-29", "2025-02-28", "2026-02-28"]),
        (Timing(month_days=(31,), years=(2026,), months=(3, 4, 5)), ["2026-03-31", "2026-05-31"]),
        (
            Timing(month_days=(1, LAST_DAY), years=(2026,), months=(11, 12)),
            ["2026-11-01", "2026-11-30", "2026-12-01", "2026-12-31"],
        ),
        (
            Timing(week_days=(7,), years=(2026,), months=(1,)),
            ["2026-01-04", "2026-01-11", "2026-01-18", "2026-01-25"],
        ),
        (Timing(years=(2025,), months=(12,), month_days=(31,)), ["2025-12-31"]),
    ],
)
def test_a_timing_falls_on_days_of_the_calendar(timing: Timing, days: list[str]) -> None:
    every_day = range(date(2024, 1, 1).toordinal(), date(2029, 1, 1).toordinal())
    found = [
        str(date.fromordinal(day)) for day in every_day if timing.falls_on(date.fromordinal(day))
    ]
    if not timing.years:
        found = [day for day in found if day[:4] in {each[:4] for each in days}]
    assert found == days


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"months": (13,)}, "months may not hold 13"),
        ({"month_days": (0,)}, "month_days may not hold 0"),
        ({"week_days": (0,)}, "week_days may not hold 0"),
        ({"years": (26,)}, "years may not hold 26"),
        ({"start_s": 10, "end_s": 10}, "10 to 10 is not a span"),
        ({"start_s": -1}, "-1 to 86400 is not a span"),
        ({"end_s": 86_401}, "0 to 86401 is not a span"),
    ],
)
def test_a_timing_that_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Timing(**fields)


def switches(at: str, until: str, zone: str = "Europe/London") -> list[tuple[str, int]]:
    table = Timetable([None, PEAK], zone_named(zone))
    return [(text(instant), band) for instant, band in table.switches(ms(at), ms(until))]


def test_a_week_has_its_switches() -> None:
    assert switches("2026-01-09T12:00", "2026-01-12T08:00:00.001") == [
        ("09 12:00", 1),
        ("09 18:00", 0),
        ("12 08:00", 1),
    ]


def test_a_switch_at_the_end_is_not_part_of_a_span() -> None:
    assert switches("2026-01-12T07:00", "2026-01-12T08:00") == [("12 07:00", 0)]
    assert switches("2026-01-12T08:00", "2026-01-12T08:00") == [("12 08:00", 1)]


def test_peak_hours_move_with_the_clocks() -> None:
    assert switches("2026-03-27T12:00", "2026-03-30T12:00")[1:] == [
        ("27 18:00", 0),
        ("30 07:00", 1),
    ]
    assert switches("2026-10-23T12:00", "2026-10-26T12:00")[1:] == [
        ("23 17:00", 0),
        ("26 08:00", 1),
    ]


NIGHT: Final = [None, Timing(start_s=HOUR // 2 * 3, end_s=HOUR // 4 * 7, weight=1)]  # 01:30-01:45


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-03-29", []),  # 01:30 is skipped
        ("2026-03-30", [("30 00:30", 1), ("30 00:45", 0)]),
        ("2026-10-25", [("25 00:30", 1), ("25 00:45", 0), ("25 01:30", 1), ("25 01:45", 0)]),
        ("2026-10-26", [("26 01:30", 1), ("26 01:45", 0)]),
    ],
)
def test_an_hour_that_is_skipped_or_shown_twice(day: str, expected: list[tuple[str, int]]) -> None:
    begin = ms(day)
    found = Timetable(NIGHT, LONDON).switches(begin, begin + DAY_MS)[1:]
    assert [(text(instant), band) for instant, band in found] == expected


def test_a_band_that_spans_the_jump_begins_or_ends_with_it() -> None:
    late = [None, Timing(start_s=HOUR, end_s=HOUR // 2 * 3, weight=1)]  # 01:00-01:30
    begin = ms("2026-10-25T00:00")
    found = Timetable(late, LONDON).switches(begin, begin + DAY_MS)
    assert [(text(instant), band) for instant, band in found] == [
        ("25 00:00", 1),
        ("25 00:30", 0),
        ("25 01:00", 1),
        ("25 01:30", 0),
    ]


def test_midnight_is_no_switch_where_nothing_changes() -> None:
    evening = Timing(start_s=20 * HOUR, weight=1)
    morning = Timing(end_s=6 * HOUR, weight=1)
    found = Timetable([None, evening, morning], UTC_ZONE).switches(
        ms("2026-01-01T12:00"), ms("2026-01-02T12:00")
    )
    assert [(text(at), band) for at, band in found] == [
        ("01 12:00", 0),
        ("01 20:00", 1),
        ("02 00:00", 2),
        ("02 06:00", 0),
    ]
    whole_days = [Timing(week_days=(1, 2, 3)), Timing(week_days=(4, 5, 6, 7))]
    found = Timetable(whole_days, UTC_ZONE).switches(ms("2026-01-01"), ms("2026-01-06"))
    assert [(text(at), band) for at, band in found] == [("01 00:00", 1), ("05 00:00", 0)]


@st.composite
def timings(draw: st.DrawFn) -> Timing:
    seconds = st.sampled_from([0, 1, HOUR, 90 * 60, 2 * HOUR, 8 * HOUR, 86_399, 86_400])
    start_s, end_s = sorted(draw(st.lists(seconds, min_size=2, max_size=2, unique=True)))
    return Timing(
        years=draw(st.sampled_from([(), (2026,), (2026, 2027)])),
        months=draw(st.sampled_from([(), (3, 10), (1, 12)])),
        month_days=draw(st.sampled_from([(), (LAST_DAY,), (1, 25, 29)])),
        week_days=draw(st.sampled_from([(), (6, 7), (1, 2, 3, 4, 5)])),
        start_s=start_s,
        end_s=end_s,
        weight=draw(st.sampled_from([0, 1, 2.5])),
    )


dates = st.sampled_from(
    [
        *(f"2026-03-{day:02d}" for day in range(27, 32)),
        *(f"2026-10-{day:02d}" for day in range(23, 28)),
        *("2025-12-31", "2026-01-01", "2028-02-28", "2011-12-29", "2026-04-04", "2026-11-01"),
    ]
)


@given(
    st.lists(timings() | st.none(), min_size=1, max_size=5),
    st.sampled_from(PLACES),
    dates,
    st.integers(0, DAY_MS),
    st.integers(1, 3 * DAY_MS),
)
def test_the_switches_are_what_the_clock_says_at_every_instant(
    bands: list[Timing | None], place: str, day: str, from_ms: int, length_ms: int
) -> None:
    zone = zone_named(place)
    at_ms = ms(day) + from_ms
    until_ms = at_ms + length_ms
    table = Timetable(bands, zone)
    found = table.switches(at_ms, until_ms)
    assert found[0][0] == at_ms
    assert all(at_ms < instant < until_ms for instant, _ in found[1:])
    assert all(later[1] != former[1] for former, later in pairwise(found))
    sampled = [*range(at_ms, until_ms, 17 * 60_000 + 1)]
    sampled += [instant + step for instant, _ in found for step in (-1, 0, 1)]
    for instant in sampled:
        if at_ms <= instant < until_ms:
            band = active(bands, zone.wall_ms(instant))
            assert table.at(instant) == band
            assert [b for since, b in found if since <= instant][-1] == band


def test_days_are_kept_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing_module, "_MOST_DAYS_KEPT", 1)
    table = Timetable([PEAK], UTC_ZONE)
    assert [table.at(ms(f"2026-11-{day}T12:00")) for day in (20, 21, 20)] == [0, NO_BAND, 0]

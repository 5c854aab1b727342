"""What cells say: instants in zones, seconds with fractions, whole counts."""

import pytest

from ocs.domain.zones import UTC_ZONE, zone_named

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cells = pytest.importorskip("ocs.adapters.cdr_files.cells")

LONDON = zone_named("Europe/London")
AUTUMN_MS = 1_792_890_000_000  # 2026-10-25 01:00 UTC, when the clocks of London go back to 01:00
SPRING_MS = 1_774_746_000_000  # 2026-03-29 01:00 UTC, when they go on to 02:00


@pytest.mark.parametrize(
    ("cell", "ms"),
    [
        ("", None),
        ("0", None),
        ("0.000000", None),
        ("2026-11-20 09:30:00", 1_795_167_000_000),
        ("2026-11-20T09:30:00", 1_795_167_000_000),
        ("2026-11-20 09:30:00.25", 1_795_167_000_250),
        ("2026-11-20 09:30:00.9996", 1_795_167_001_000),
        ("2026-11-20T09:30:00Z", 1_795_167_000_000),
        ("2026-11-20 10:30:00+01:00", 1_795_167_000_000),
        ("2026-11-20T05:00:00-0430", 1_795_167_000_000),
        ("1795167000", 1_795_167_000_000),
        ("1795167000.412907", 1_795_167_000_413),
        ("1795167000.4124", 1_795_167_000_412),
    ],
)
def test_moments(cell: str, ms: int | None) -> None:
    assert cells.moment(cell, UTC_ZONE, 0) == ms


@pytest.mark.parametrize(
    "cell",
    [
        "2026-11-20",
        "2026-11-20 09:30",
        "2026-13-20 09:30:00",
        "2026-11-20 24:00:01",
        "20 Nov 2026 09:30:00",
        "0000-00-00 00:00:00",
        "1960-01-01 00:00:00",
        "\u0662026-11-20 09:30:00",
        "-1",
        "1e9",
        "1795167000000000",
        "253370764800",
        "NaN",
    ],
)
def test_what_is_no_moment_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        cells.moment(cell, UTC_ZONE, 0)


def test_a_wall_time_that_is_shown_twice_means_the_first() -> None:
    assert cells.moment("2026-10-25 01:30:00", LONDON, 0) == AUTUMN_MS - 1_800_000


def test_it_means_the_second_if_the_call_would_end_before_it_began() -> None:
    start_ms = cells.moment("2026-10-25 01:59:30", LONDON, 0)
    assert start_ms == AUTUMN_MS - 30_000
    assert cells.moment("2026-10-25 01:00:30", LONDON, start_ms) == AUTUMN_MS + 30_000


def test_a_wall_time_that_is_shown_once_is_never_moved() -> None:
    assert cells.moment("2026-10-25 03:00:00", LONDON, AUTUMN_MS * 2) == AUTUMN_MS + 7_200_000
    assert cells.moment("2026-10-25 00:30:00", LONDON, AUTUMN_MS * 2) == AUTUMN_MS - 5_400_000


def test_a_wall_time_that_is_skipped_stands_for_the_jump() -> None:
    assert cells.moment("2026-03-29 01:30:00", LONDON, 0) == SPRING_MS


@pytest.mark.parametrize(
    ("read", "cell", "ms"),
    [
        ("seconds", "", None),
        ("seconds", "61", 61_000),
        ("seconds", "61.25", 61_250),
        ("seconds", "61.250400", 61_250),
        ("seconds", "61.2505", 61_251),
        ("seconds", "0.0004", 0),
        ("milliseconds", "", None),
        ("milliseconds", "61250", 61_250),
        ("milliseconds", "61250.5", 61_251),
    ],
)
def test_durations(read: str, cell: str, ms: int | None) -> None:
    assert getattr(cells, read)(cell) == ms


@pytest.mark.parametrize("cell", ["-1", "1:01", "1e3", "99999999999999999", ".5", "5.", " 5", "٣"])
def test_what_is_no_duration_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        cells.seconds(cell)


def test_microseconds() -> None:
    assert cells.epoch_us("1795167007162400", UTC_ZONE, 0) == 1_795_167_007_162
    assert cells.epoch_us("1795167007162500", UTC_ZONE, 0) == 1_795_167_007_163
    assert cells.epoch_us("0", UTC_ZONE, 0) is None


def test_a_long_cell_is_not_repeated_whole() -> None:
    with pytest.raises(ValueError, match=r"is '9{40}\.\.\.', expected"):
        cells.moment("9" * 1_000, UTC_ZONE, 0)

"""Named timings: what people write, and what is refused because it could mean two things."""

import pytest

from ocs.adapters.tariff_files.timings import read_timings
from ocs.domain.timing import Timing

HOUR = 3_600
DAYS = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "timings"),
    [
        ("always", [Timing()]),
        ("always, weight 2.5", [Timing(weight=2.5)]),
        ("mon-fri 08:00-18:00", [Timing(week_days=DAYS, start_s=8 * HOUR, end_s=18 * HOUR)]),
        ("Sat  SUN", [Timing(week_days=(6, 7))]),
        ("fri-mon", [Timing(week_days=(1, 5, 6, 7))]),
        ("nov-feb", [Timing(months=(1, 2, 11, 12))]),
        ("mar jun-jul", [Timing(months=(3, 6, 7))]),
        ("1 15-17 last", [Timing(month_days=(-1, 1, 15, 16, 17))]),
        ("2026 2028-2030", [Timing(years=(2026, 2028, 2029, 2030))]),
        ("feb 29", [Timing(months=(2,), month_days=(29,))]),
        ("2028 feb 29", [Timing(years=(2028,), months=(2,), month_days=(29,))]),
        ("00:00-24:00", [Timing()]),
        ("7:30-07:30:01", [Timing(start_s=27_000, end_s=27_001)]),
        (
            "mon-fri 08:00-12:00 14:00-18:00, weight 5",
            [
                Timing(week_days=DAYS, start_s=8 * HOUR, end_s=12 * HOUR, weight=5),
                Timing(week_days=DAYS, start_s=14 * HOUR, end_s=18 * HOUR, weight=5),
            ],
        ),
        (
            "weight 10, dec 25-26, jan 1",
            [
                Timing(months=(12,), month_days=(25, 26), weight=10),
                Timing(months=(1,), month_days=(1,), weight=10),
            ],
        ),
    ],
)
def test_what_can_be_said(text: str, timings: list[Timing]) -> None:
    assert read_timings(text) == tuple(timings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has an empty range"),
        ("mon,,tue", "has an empty range"),
        ("weight 1", "must have 1 to 64 ranges, not 0"),
        ("mon, weight 1, weight 1", "more than one weight"),
        ("mon, weight", "empty: expected a decimal"),
        ("mon, weight -1", "is not within 0"),
        ("mon, weight heavy", "is not a decimal number"),
        ("always mon", "always stands alone"),
        ("monday", "is not a week day, month, day, year or time"),
        ("mon-", "is not a week day"),
        ("mon-jan", "is not a week day"),
        ("-", "is not a week day"),
        ("32", "is not within 1 .. 31"),
        ("0", "is not within 1 .. 31"),
        ("15-1", "in rising order"),
        ("2027-2026", "in rising order"),
        ("1969", "is not within 1970"),
        ("1-2-3", "is not a day such as 25"),
        ("fri 22:00-06:00", "write two ranges, split at 24:00"),
        ("08:00-08:00", "ends before it begins"),
        ("08:00", "is not a range of times"),
        ("8-18:00", "is not a day such as 25|is not a time such as 08:00"),
        ("08:60-09:00", "is not a time of the day"),
        ("23:00-24:01", "is not a time of the day"),
        ("08:00-25:00", "is not a time of the day"),
        ("feb 30", "never comes"),
        ("2027 feb 29", "never comes"),
        (", ".join(["mon"] * 65), "must have 1 to 64 ranges, not 65"),
    ],
)
def test_what_cannot_be(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_timings(text)

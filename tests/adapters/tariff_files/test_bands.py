"""Rows of one prefix, against asking every hour which of them holds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.generation import Generation
from ocs.domain.ladder import cost
from ocs.domain.tariff import Used
from tests.adapters.tariff_files.files import DECK, generation_of

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
WEEKS = 4
NAMED = {
    "peak": ("mon-fri 08:00-18:00", 0),
    "rest": ("mon-fri 00:00-08:00 18:00-24:00, sat sun", 0),
    "night": ("22:00-24:00, 00:00-06:00, weight 2", 2),
    "sunday": ("sun, weight 1", 1),
    "any": ("always, weight 0", 0),
}
HEAD = "# currency = EUR\n# zone = UTC\n" + "".join(
    f"# timing.{name} = {text}\n" for name, (text, _) in NAMED.items()
)
COLUMNS = "prefix,destination,cost_per_minute,timing,valid_from,valid_to\n"


class Row(msgspec.Struct, frozen=True):
    """A row; from and to are weeks after the first Monday, None: not limited."""

    timing: str
    from_week: int | None
    to_week: int | None


def holds(name: str, moment: datetime) -> bool:
    """What the timings above say, in other words."""
    is_week_day, is_day = moment.weekday() < 5, 8 <= moment.hour < 18
    return {
        "peak": is_week_day and is_day,
        "rest": not (is_week_day and is_day),
        "night": moment.hour >= 22 or moment.hour < 6,
        "sunday": moment.weekday() == 6,
        "any": True,
    }[name]


def in_force(rows: Sequence[Row], moment: datetime) -> list[int]:
    week = (moment - MONDAY).days // 7
    return [
        index
        for index, row in enumerate(rows)
        if (row.from_week is None or row.from_week <= week)
        and (row.to_week is None or week < row.to_week)
    ]


def deciding(rows: Sequence[Row], moment: datetime) -> list[int]:
    """Return the rows that decide at a moment: one where the price is clear."""
    candidates = in_force(rows, moment)
    named = [i for i in candidates if rows[i].timing and holds(rows[i].timing, moment)]
    top = max((NAMED[rows[i].timing][1] for i in named), default=0)
    by_name = [i for i in named if NAMED[rows[i].timing][1] == top]
    return by_name or [i for i in candidates if not rows[i].timing]


def written(rows: Sequence[Row]) -> str:
    def date(week: int | None) -> str:
        return "" if week is None else f"{MONDAY + timedelta(weeks=week):%Y-%m-%d}"

    return (
        HEAD
        + COLUMNS
        + "".join(
            f"44,UK,{index + 1},{row.timing},{date(row.from_week)},{date(row.to_week)}\n"
            for index, row in enumerate(rows)
        )
    )


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    timings = ["", "", "peak", "rest", "night", "sunday", "any"]
    rows = []
    for _ in range(draw(st.integers(1, 5))):
        weeks = draw(
            st.sampled_from([(None, None), (None, None), (None, 2), (2, None), (1, 3), (3, None)])
        )
        rows.append(Row(draw(st.sampled_from(timings)), *weeks))
    return rows


@given(some_rows())
def test_the_price_of_every_hour_is_that_of_the_row_that_decides(rows: list[Row]) -> None:
    generation = generation_of(written(rows))
    hours = [MONDAY + timedelta(hours=hour) for hour in range(WEEKS * 7 * 24)]
    if not isinstance(generation, Generation):
        assert any(unclear(rows, hour) for hour in hours), generation
        return
    for hour in hours:
        by = deciding(rows, hour)
        assert len(by) <= 1
        at_ms = int(hour.timestamp()) * 1_000
        rate = generation.find(DECK, Used("44", "voice", at_ms))
        found = None if rate is None else cost(rate.ladder, 60) // 1_000_000 - 1
        assert found == (by[0] if by else None), hour


def unclear(rows: Sequence[Row], moment: datetime) -> bool:
    """Whether no row decides at a moment or more than one, or one has no hours left to hold in."""
    candidates = in_force(rows, moment)
    untimed = sum(not rows[index].timing for index in candidates)
    return bool(candidates) and (len(deciding(rows, moment)) != 1 or untimed > 1)

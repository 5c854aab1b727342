"""Days and hours by tables of minutes are those that the rules of a zone say."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.zones import Zone, zone_named

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
clocks = pytest.importorskip("ocs.adapters.columns.clocks")

ZONES = ["UTC", "Europe/London", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Monrovia"]  # fmt: skip
SET_MS = [
    1_774_746_000_000,  # London, 2026-03-29 01:00 UTC
    1_792_890_000_000,  # and back, 2026-10-25
    1_143_862_260_000,  # St John's, 2006-04-02 at one minute past midnight
    504_901_800_000,  # Kathmandu, 1986-01-01: a quarter of an hour later than before
    63_593_070_000,  # Monrovia, 1972-01-07
    0,
]


@given(
    st.sampled_from(ZONES),
    st.sampled_from(SET_MS),
    st.lists(st.integers(-120_000, 120_000), max_size=30),
    st.sampled_from([1, 60, 3_600_000]),
)
def test_the_clocks_of_a_zone(zone: str, set_ms: int, around: list[int], spread: int) -> None:
    given_ms = [max(0, set_ms + each * spread) for each in around]
    shown = clocks.shown(pl.Series(given_ms, dtype=pl.Int64), zone_named(zone))
    local = [
        datetime.fromtimestamp(each // 1_000, UTC).astimezone(ZoneInfo(zone)) for each in given_ms
    ]
    assert shown.rows() == [(each.date(), each.hour) for each in local]


def test_many_instants_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    original = clocks._asked

    def counted(at_ms: Any, zone: Zone) -> Any:
        asked.append(len(at_ms))
        return original(at_ms, zone)

    monkeypatch.setattr(clocks, "_asked", counted)
    instants = pl.Series([SET_MS[0] + 1_000 * each for each in range(3_600)])
    shown = clocks.shown(instants, zone_named("Europe/London"))
    assert asked == [60]
    assert shown["hour"].unique().to_list() == [2], "there is no hour between 1 and 2 that night"
    assert len(shown) == 3_600


def test_what_is_not_known_is_the_beginning() -> None:
    shown = clocks.shown(pl.Series([None, SET_MS[0]], dtype=pl.Int64), zone_named("UTC"))
    assert [str(day) for day in shown["day"]] == ["1970-01-01", "2026-03-29"]

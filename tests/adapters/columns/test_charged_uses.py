"""Rated CDRs as uses: each of them once, whatever folders and rows stand there twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.rerating_report import Period, Selection

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
charged_uses = pytest.importorskip("ocs.adapters.columns.charged_uses")
call_rating = pytest.importorskip("ocs.adapters.columns.call_rating")

DAY_MS = 86_400_000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
EVER = Selection(periods={"demo": Period(0, 10**15)})
ROW: dict[str, Any] = dict.fromkeys(call_rating.ADDED, None) | {
    "tenant": "demo",
    "cdr_id": "c1",
    "line": 7,
    "account": "ann",
    "wallet_group": "ann",
    "plan": "standard",
    "usage_type": "voice",
    "identity": "4411",
    "called_number": "4930",
    "calling_number": "4412",
    "trunk_in": None,
    "direction": "orig",
    "end_ms": NOON_MS + 60_000,
    "duration_ms": None,
    "used_ms": NOON_MS,
    "units": 60,
    "answered": True,
    "amount": 7,
    "currency": "EUR",
    "destination": "Germany",
    "generation": "g1",
    "code": "OK",
    "settled": "debited",
    "settled_amount": 5,
}
SCHEMA = {
    **dict.fromkeys(ROW, pl.String),
    **call_rating.ADDED,
    **dict.fromkeys(("line", "end_ms", "duration_ms", "units"), pl.Int64),
    "answered": pl.Boolean,
}


class Rated:
    """A folder of rated CDRs that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def write(
        self, *changed: dict[str, Any], day: str = "2024-10-04", tenant: str = "demo"
    ) -> None:
        self._number += 1
        path = self.folder / f"tenant={tenant}" / f"day={day}" / f"{self._number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame([ROW | each for each in changed], schema=SCHEMA).write_parquet(path)

    def uses(self, selection: Selection = EVER) -> list[dict[str, Any]]:
        frames = charged_uses.rated_uses([self.folder], selection, self.left_out)
        return [row for frame in _checked(frames) for row in frame.to_dicts()]

    left_out: Counter[str]


def _checked(frames: Iterator[Any]) -> Iterator[Any]:
    for frame in frames:
        assert frame.schema == charged_uses.USES
        yield frame


@pytest.fixture
def rated(tmp_path: Path) -> Rated:
    rated = Rated(tmp_path)
    rated.left_out = Counter()
    return rated


def test_a_use_of_a_row(rated: Rated) -> None:
    rated.write({}, {"cdr_id": "c2", "settled": "recorded", "calling_number": None})
    debited, recorded = rated.uses()
    assert (debited["source"], debited["use_id"], debited["part"]) == ("cdr", "c1", "20000")
    assert (debited["charged_amount"], recorded["charged_amount"]) == (5, 7)
    assert (debited["caller"], recorded["caller"], debited["trunk"]) == ("4412", "4411", "")
    assert (debited["called"], debited["prefix"], debited["doubt"]) == ("4930", "", "")


def test_what_is_told_elsewhere_or_costs_nothing_anyhow_is_left_out(rated: Rated) -> None:
    rated.write(
        {"settled": "duplicate"},
        {"settled": "reconciled"},
        {"settled": "reconciled", "account": "bob"},
        {"cdr_id": "c2", "code": "NOT_CHARGED"},
        {"cdr_id": "c3", "account": None},
    )
    assert rated.uses() == []
    assert rated.left_out == {"duplicate": 1, "reconciled": 2}


def test_the_same_row_again_is_the_same_use(rated: Rated) -> None:
    """In another file, on the day of another zone, by a later rating with other tariffs."""
    rated.write({})
    rated.write({}, {}, day="2024-10-05")
    rated.write({"amount": 8, "generation": "g2"})
    rated.write({"settled": "recorded"}, {"settled": "rejected", "amount": 9})
    (use,) = rated.uses()
    assert (use["charged_amount"], use["doubt"], use["settled"]) == (5, "", "debited")


def test_a_cdr_that_ended_on_another_day_is_another_one(rated: Rated) -> None:
    rated.write({}, {"end_ms": NOON_MS + DAY_MS}, {"account": "bob"})
    assert len(rated.uses()) == 3


@pytest.mark.parametrize(
    "other",
    [{"settled_amount": 6}, {"plan": "other"}, {"units": 61}, {"used_ms": NOON_MS - 1}],
)
@pytest.mark.parametrize("is_one_file", [True, False])
def test_rows_that_do_not_agree_are_one_use_in_doubt(
    rated: Rated, other: dict[str, Any], *, is_one_file: bool
) -> None:
    rows: tuple[dict[str, Any], ...] = ({}, other)
    for some in (rows,) if is_one_file else ((each,) for each in rows):
        rated.write(*some)
    (use,) = rated.uses()
    assert use["doubt"] == charged_uses.IN_DISAGREEMENT


def test_a_row_of_another_plan_is_seen_though_only_one_plan_is_asked_for(rated: Rated) -> None:
    rated.write({}, {"plan": "other"})
    (use,) = rated.uses(Selection(periods=EVER.periods, plans=("standard",)))
    assert use["doubt"] == charged_uses.IN_DISAGREEMENT


def test_two_recorded_rows_that_do_not_agree(rated: Rated) -> None:
    rated.write({"settled": "recorded"}, {"settled": "recorded", "amount": 8})
    (use,) = rated.uses()
    assert use["doubt"] == charged_uses.IN_DISAGREEMENT


def test_what_was_parked_is_in_doubt(rated: Rated) -> None:
    rated.write({"line": 0}, {"line": 0}, {"cdr_id": "c2"})
    assert [(use["use_id"], use["doubt"]) for use in rated.uses()] == [
        ("c2", ""),
        ("c1", charged_uses.PARKED),
    ]


def test_only_files_near_the_period_are_read(rated: Rated) -> None:
    rated.write({}, {"cdr_id": "c2", "used_ms": NOON_MS + 1})
    far = rated.folder / "tenant=demo" / "day=2025-01-01" / "broken.parquet"
    far.parent.mkdir()
    far.write_bytes(b"nothing")
    other = rated.folder / "tenant=acme" / "day=2024-10-04" / "broken.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"nothing")
    first = Selection(periods={"demo": Period(NOON_MS, NOON_MS + 1)})
    assert [use["use_id"] for use in rated.uses(first)] == ["c1"]
    assert rated.uses(Selection(periods={"nobody": Period(0, 1)})) == []


def test_a_file_that_cannot_be_read_is_told(rated: Rated) -> None:
    rated.write({})
    rated.write({}, day="2024-10-05")
    broken = rated.folder / "tenant=demo" / "day=2024-10-05" / "2.parquet"
    broken.write_bytes(b"nothing")
    with pytest.raises(OSError, match="cannot be read"):
        rated.uses()

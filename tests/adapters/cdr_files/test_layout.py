"""What holds for every switch: what a CDR needs, and how outcomes become batches."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
batching = pytest.importorskip("ocs.adapters.cdr_files.batching")

COLUMNS = ("uuid", "destination_number", "answer_epoch", "end_epoch", "billsec", "note")


def read(folder: Path, *lines: str, **options: Any) -> list[Any]:
    path = folder / "cdrs.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    told = cdr_files.Options(columns=COLUMNS, **options)
    return list(cdr_files.open_cdrs(path, "freeswitch", told))


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("u1,44,1000,1061,61,", None),
        ("u1,44,0,1061,0,", None),
        ("u1,,0,1061,0,", None),
        ("u1,,1000,1061,61,", "destination_number"),
        ("u1,,1000,1061,0,", "destination_number"),
        (",44,1000,1061,61,", "uuid"),
        ("u1,44,0,1061,61,", "billsec"),
        ("u1,44,0,0,0,", "answer_epoch"),
        ("u1,44,1000,999,61,", "end_epoch"),
    ],
)
def test_what_a_cdr_needs(tmp_path: Path, line: str, column: str | None) -> None:
    (batch,) = read(tmp_path, line)
    assert [reject.column for reject in batch.rejects] == ([] if column is None else [column])


def test_a_duration_that_is_not_counted_is_from_answer_to_end(tmp_path: Path) -> None:
    (batch,) = read(tmp_path, "u1,44,1000.250,1061,,", "u2,44,0,1061,,", "u3,44,1000,,,")
    assert batch.frame["duration_ms"].to_list() == [60_750, 0]
    assert batch.frame["units"].to_list() == [61, 0]
    assert [(each.line, each.column) for each in batch.rejects] == [(3, "billsec")]


def test_an_id_is_told_from_those_of_other_switches(tmp_path: Path) -> None:
    (batch,) = read(tmp_path, "u1,44,1000,1061,61,", switch="pbx1", tenant="demo")
    row = batch.frame.row(0, named=True)
    assert (row["cdr_id"], row["session_id"], row["tenant"]) == ("pbx1/u1", "u1", "demo")


def test_the_same_row_twice_is_handed_out_twice(tmp_path: Path) -> None:
    (batch,) = read(tmp_path, *["u1,44,1000,1061,61,"] * 2)
    assert batch.frame["cdr_id"].to_list() == ["u1", "u1"]


@pytest.mark.parametrize(("most", "value"), [("MOST_ROWS", 2), ("MOST_TEXT", 24)])
def test_a_batch_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: str, value: int
) -> None:
    monkeypatch.setattr(batching, most, value)
    good, bad = ("u{0},44,1000,1061,61,n{0}".format, "u{0},44,1000,1061,x,n".format)
    lines = [good(1), good(2), "", bad(3), bad(4), good(5)]
    batches = read(tmp_path, *lines)
    assert [batch.frame.height for batch in batches] == [2, 0, 1]
    assert [batch.frame["line"].to_list() for batch in batches] == [[1, 2], [], [6]]
    assert [[each.line for each in batch.rejects] for batch in batches] == [[], [4, 5], []]
    assert [(batch.entries, batch.used, batch.skipped) for batch in batches] == [
        (2, 2, 0),
        (3, 0, 1),
        (1, 1, 0),
    ]

"""What is written as a category because it says the same in every row is read as text."""

from pathlib import Path
from typing import Any

import pytest

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
parquet = pytest.importorskip("ocs.adapters.columns.parquet")

COUNT = 50


def frame() -> Any:
    numbers = range(COUNT)
    return pl.DataFrame(
        {
            "same": ["EUR"] * COUNT,
            "once": ["EUR"] * (COUNT - 2) + ["USD", "EUR"],
            "empty": [""] * COUNT,
            "null": pl.Series([None] * COUNT, dtype=pl.String),
            "both": pl.Series(["", None, "x", *["y"] * (COUNT - 3)]),
            "gap": pl.Series(["x", None, *["x"] * (COUNT - 2)]),
            "varied": [f"c{number}" for number in numbers],
            "number": numbers,
        }
    ).with_columns(lit=pl.lit("g1"), day=pl.lit("2026-09-18").str.to_date())


def test_texts_are_texts_and_empty_ones_are_null(tmp_path: Path) -> None:
    given, path = frame(), tmp_path / "a.parquet"
    parquet.write_rows(given, path)
    found = pl.read_parquet(path)
    assert found.schema == given.schema
    texts = pl.col(pl.String)
    assert found.equals(given.with_columns(pl.when(texts != "").then(texts)))
    assert pl.scan_parquet(path).filter(pl.col("same") == "EUR").collect().height == COUNT
    assert pl.scan_parquet(path).filter(pl.col("empty").is_null()).collect().height == COUNT


def test_files_with_other_values_are_read_together(tmp_path: Path) -> None:
    given = frame()
    parquet.write_rows(given, tmp_path / "a.parquet")
    parquet.write_rows(given.with_columns(same=pl.lit("USD"), lit=pl.col("varied")), tmp_path / "b.parquet")  # fmt: skip
    both = pl.scan_parquet(tmp_path / "*.parquet").collect()
    assert both.schema == given.schema
    assert both["same"].value_counts(sort=True)["count"].to_list() == [COUNT, COUNT]


def test_one_row_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_rows(frame().head(1), path)
    assert pl.read_parquet(path)["varied"].to_list() == ["c0"]

"""A batch has what the rater of columns asks for, once plan and clean numbers are known."""

import pytest

from ocs.domain.plan import Plan
from ocs.domain.tariff import plan_tariffs
from tests.domain.decks import deck, generation

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
columns = pytest.importorskip("ocs.adapters.columns")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")


def test_rows_of_different_switches_are_rated_together() -> None:
    paths = [
        golden.FOLDER / "cucm" / "other-order",
        golden.FOLDER / "kamailio-acc" / "acc.json",
        golden.FOLDER / "csv" / "other-columns.csv",
    ]
    frames = [batch.frame for path in paths for batch in cdr_files.open_cdrs(path)]
    cdrs = pl.concat(frames).with_columns(
        plan=pl.lit("retail"),
        caller=pl.col("calling"),
        trunk=pl.col("trunk_in"),
        answer_ms=pl.coalesce("answer_ms", "start_ms"),
    )
    plans = {"retail": Plan(name="retail", tariffs=plan_tariffs("world"))}
    rater = columns.ColumnRater(generation(deck("world", [("44", 30)])), plans, {})
    prices = rater.rate(cdrs)
    assert prices["code"].to_list() == ["OK"] * 5
    assert cdrs["units"].to_list() == [61, 61, 61, 62, 63]
    assert prices["amount"].to_list() == [60] * 5

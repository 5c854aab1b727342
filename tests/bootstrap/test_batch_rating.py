"""RecordBatch → RecordBatch: the rows of a run, whoever cuts the batches and wherever it is called."""

import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.bootstrap.offline_scene import PLANS, Scene, write_cdrs

pytestmark = pytest.mark.slow

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
batch_rating = pytest.importorskip("ocs.bootstrap.batch_rating")

SETTLED = ("settled", "settled_amount", "settled_reason")
CDRS = 400
BLOCKED = (
    "b1,441632960001,441632960001,4490123456,1789750800000,1789750800000,1789750860000,60,voice\n"
)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene")


@pytest.fixture
def cdrs(scene: Scene) -> Any:
    path = write_cdrs(scene.folder / "a.csv", CDRS)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(BLOCKED)
    return pl.read_csv(path, infer_schema=False)


class Columns:
    """Some other library's batch: nothing but Arrow's C stream."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def of_run(scene: Scene) -> Any:
    """What `ocs offline run` writes of the file."""
    scene.run(scene.folder / "a.csv")
    rows = pl.concat(pl.read_parquet(part, hive_partitioning=False) for part in scene.parts())
    return rows.drop("file", "line", *SETTLED).sort("cdr_id")


def priced(rated: Any) -> Any:
    return rated.filter(pl.col("reason").is_null()).drop("column", "reason").sort("cdr_id")


def test_rows_are_those_of_a_run(scene: Scene, cdrs: Any) -> None:
    rate = batch_rating.BatchRater(scene.config, scene.subscribers)
    rated = pl.concat(rate(Columns(part)) for part in cdrs.iter_slices(90))
    assert rated["cdr_id"].to_list() == cdrs["cdr_id"].to_list()
    assert priced(rated).equals(of_run(scene))
    refused = rated.filter(pl.col("reason").is_not_null())
    assert set(refused["code"]) == {"RATE_BLOCKED"}
    assert refused["amount"].null_count() == len(refused) > 0


def test_the_batch_may_say_who_is_on_which_plan(scene: Scene, cdrs: Any) -> None:
    accounts = {"441632960001": "alpha", "441632960002": "beta", "441632960003": "beta"}
    told = cdrs.with_columns(
        plan=pl.col("subscriber").replace_strict(PLANS),
        account=pl.col("subscriber").replace_strict(accounts),
        wallet_group=pl.col("subscriber").replace_strict(accounts),
    )
    rated = batch_rating.BatchRater(scene.config)(told)
    assert priced(rated).equals(of_run(scene))


def test_a_currency_that_is_not_the_accounts_is_told(scene: Scene, cdrs: Any) -> None:
    told = cdrs.with_columns(plan=pl.lit("standard"), account_currency=pl.lit("USD"))
    rated = batch_rating.BatchRater(scene.config)(told)
    assert set(rated.filter(pl.col("units") > 0)["code"]) == {"RATING_FAILED", "RATE_BLOCKED"}
    assert rated["amount"].sum() == 0


def test_every_row_comes_out_where_it_was(scene: Scene) -> None:
    """A row that is no CDR, one of nobody, one on no plan, one that has a price."""
    batch = pl.DataFrame(
        {
            "cdr_id": ["a", "", "c", "d"],
            "called": ["442071234567"] * 4,
            "answer_ms": [1_789_750_800_000] * 4,
            "units": [-5, 60, 60, 60],
            "plan": ["standard", "standard", None, "standard"],
            "color": ["red", "", "green", "blue"],
        }
    )
    rated = batch_rating.BatchRater(scene.config)(batch)
    assert rated["code"].to_list() == ["UNREADABLE", "UNREADABLE", "UNKNOWN_SUBSCRIBER", "OK"]
    assert rated["column"].to_list() == ["units", "cdr_id", "subscriber", None]
    assert rated["cdr_id"].to_list() == [None, None, "c", "d"]
    assert rated["attributes"].to_list()[2:] == ['{"color":"green"}', '{"color":"blue"}']
    assert rated["amount"].null_count() == 3
    assert rated["tenant"].to_list()[3] == "demo"


def test_an_empty_batch_tells_the_columns(scene: Scene) -> None:
    rate = batch_rating.BatchRater(scene.config, scene.subscribers)
    empty = rate(pl.DataFrame(schema={"cdr_id": pl.String, "called": pl.String}))
    full = rate(pl.read_csv(write_cdrs(scene.folder / "a.csv", 5), infer_schema=False))
    assert (len(empty), empty.schema) == (0, full.schema)


def test_a_batch_without_a_needed_column_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="cdr_id is not among the columns of the batch"):
        batch_rating.BatchRater(scene.config)(pl.DataFrame({"called": ["1"]}))


def test_it_travels_to_another_process(scene: Scene, cdrs: Any) -> None:
    rate = batch_rating.BatchRater(scene.config, scene.subscribers)
    assert len(pickle.dumps(rate)) < 1_000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(rate, (cdrs,))
    assert there.equals(rate(cdrs))


def test_pyarrow_gets_record_batches(scene: Scene, cdrs: Any) -> None:
    pa = pytest.importorskip("pyarrow", reason="PyArrow is the engines', not ours")
    rate = batch_rating.BatchRater(scene.config, scene.subscribers)
    (batch,) = rate.record_batches(cdrs.to_arrow().combine_chunks().to_batches())
    assert isinstance(batch, pa.RecordBatch)
    assert pl.DataFrame(batch).equals(rate(cdrs))
    assert not [each for each in batch.schema.types if pa.types.is_large_string(each)]
    (empty,) = rate.record_batches([batch.schema.empty_table()])
    assert empty.num_rows == 0

"""A chunk is in the output whole or not at all, wherever its writer dies; and it is there once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ocs.usecases.offline_rating import Chunk, ChunkReport, Money, Rated
from ocs.usecases.rejects import Reading, Reject, read

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
rated_files = pytest.importorskip("ocs.adapters.columns.rated_files")

DAYS = ["2026-09-18", "2026-09-19", "2026-09-18"]
UNREAD = Reject("a.csv", 4, "units", "is no number", "UNREADABLE", "x,y,z")
UNPRICED = Reject("a.csv", 5, "called", "has no price", "NO_RATE", '{"cdr_id":"c5"}')
CSV = Reading("csv", {"switch": "s1"}, ("cdr_id,called,units",), again=2)


class Died(BaseException):
    """The process is gone."""


def rows(amount: int = 7) -> Any:
    days = pl.Series(DAYS).str.to_date()
    frame = pl.DataFrame({"cdr_id": ["a", "b", "c"], "tenant": ["demo", "demo", "acme"]})
    return frame.with_columns(day=days, amount=amount)


def chunk(name: str = "n1") -> Chunk:
    return Chunk(
        name=name, file="a.csv", table=pl.DataFrame({"row": range(4)}), rejects=[UNREAD], entries=6,
        used=4, skipped=1, reading=CSV, position=100,
    )  # fmt: skip


def rated(amount: int = 7) -> Rated:
    return Rated(
        table=rows(amount), rejects=[UNPRICED], money=[Money("demo", "EUR", 3, 21)], newest_ms=9,
        generation="g1",
    )  # fmt: skip


def put(folder: Path, amount: int = 7) -> ChunkReport | None:
    """What a run does with a chunk that has no report."""
    output = rated_files.RatedFiles(folder)
    with output.claimed("n1") as is_ours:
        assert is_ours
        found: ChunkReport | None = output.report("n1") or output.put(chunk(), rated(amount))
    return found


def content(folder: Path) -> dict[str, Any]:
    """All that a reader of the folder sees."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: pl.read_parquet(path, hive_partitioning=False).to_dicts()
        if path.suffix == ".parquet"
        else path.read_bytes()
        for name, path in files.items()
    }


def test_rows_rejects_and_the_report_are_where_they_belong(tmp_path: Path) -> None:
    report = put(tmp_path)
    assert report is not None
    assert set(content(tmp_path)) == {*report.parts, "chunks/n1.json"}
    assert set(report.parts) == {
        "tenant=demo/day=2026-09-18/n1.parquet",
        "tenant=demo/day=2026-09-19/n1.parquet",
        "tenant=acme/day=2026-09-18/n1.parquet",
        "rejects/n1.ndjson",
    }
    assert rated_files.RatedFiles(tmp_path).report("n1") == report
    assert (report.cdrs, report.rated) == (4, 3)
    assert report.rejected == {"UNREADABLE": 1, "NO_RATE": 1}
    assert rated_files.RatedFiles(tmp_path).report("n2") is None


def test_rejects_say_how_they_are_read_again(tmp_path: Path) -> None:
    put(tmp_path)
    lines = (tmp_path / "rejects" / "n1.ndjson").read_bytes().splitlines()
    own = Reading("ndjson", again=2)
    assert [read(line) for line in lines] == [CSV, UNREAD, own, UNPRICED]


def test_a_chunk_without_anything_is_done_too(tmp_path: Path) -> None:
    output = rated_files.RatedFiles(tmp_path)
    empty = Rated(table=rows().clear(), rejects=[], money=[], newest_ms=0, generation="g1")
    with output.claimed("n1"):
        report = output.put(msgspec.structs.replace(chunk(), rejects=[]), empty)
    assert report.parts == ()
    assert set(content(tmp_path)) == {"chunks/n1.json"}


def dying(steps: int) -> Callable[..., None]:
    """A call that does its work so many times, and then the process is gone."""
    left = iter(range(steps))
    work = Path.replace

    def replace(path: Path, target: Path) -> None:
        if next(left, None) is None:
            raise Died
        work(path, target)

    return replace


@pytest.mark.parametrize("steps", range(7))
def test_it_is_written_once_wherever_its_writer_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Renames: 1 decides, 4 move the parts, 1 says that it is done. Afterwards prices change."""
    undisturbed = tmp_path / "undisturbed"
    put(undisturbed)
    folder = tmp_path / "disturbed"
    monkeypatch.setattr(Path, "replace", dying(steps))
    if steps < 6:
        with pytest.raises(Died):
            put(folder)
    else:
        put(folder)
    monkeypatch.undo()
    put(folder, amount=7 if steps == 0 else 8)
    assert content(folder) == content(undisturbed)


def test_while_one_is_at_a_chunk_no_other_is(tmp_path: Path) -> None:
    one, other = rated_files.RatedFiles(tmp_path), rated_files.RatedFiles(tmp_path)
    with one.claimed("n1") as first, other.claimed("n1") as second, other.claimed("n2") as third:
        assert (first, second, third) == (True, False, True)
    with other.claimed("n1") as free:
        assert free

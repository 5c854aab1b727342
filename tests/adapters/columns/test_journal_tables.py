"""The journal's tables are read back as they were written."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from ocs.adapters.columns import journal_tables
from ocs.adapters.columns.journal_tables import CDRS, ENTRIES, export
from tests.usecases.test_call_records import change, posted

JOURNAL = [
    posted(1_000, "start", "open", (0, 0), changes=(change("main", 0, 50),)),
    posted(2_000, "start", "open", subject="demo/acme/acme/call-2"),
    posted(3_000, "release", "closed", (60, 40), changes=(change("main", -40, -50),)),
]


def test_entries_and_cdrs(tmp_path: Path) -> None:
    done = export(tmp_path, 17, JOURNAL)
    assert (done.entries, done.cdrs, done.open_sessions) == (3, 1, 1)
    entries = pl.read_parquet(tmp_path / "entries", hive_partitioning=True)
    assert entries.schema == {**ENTRIES, "partition": pl.Int64}
    assert entries["transaction_id"].to_list() == ["017-1000-0", "017-2000-0", "017-3000-0"]
    assert entries["partition"].to_list() == [17, 17, 17]
    assert entries["answer_ms"].to_list() == [None, None, None]
    (cdr,) = pl.read_parquet(tmp_path / "cdrs", hive_partitioning=True).to_dicts()
    assert cdr.keys() == {*CDRS, "partition"}
    assert (cdr["units"], cdr["amount"], cdr["rated_number"]) == (60, 40, "")
    assert cdr["opened_ms"] == datetime.fromtimestamp(1, UTC)
    assert cdr["buckets"] == [{"bucket": "main", "debited": 40}]
    assert cdr["uses"][0]["destination"] == "United Kingdom"
    (still_open,) = pl.read_parquet(tmp_path / "open", hive_partitioning=True).to_dicts()
    assert still_open.keys() == cdr.keys()
    assert (still_open["session_id"], still_open["units"]) == ("call-2", 0)


def test_a_file_has_so_many_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_tables, "ROWS", 2)
    export(tmp_path, 17, JOURNAL)
    files = sorted((tmp_path / "entries" / "partition=017").iterdir())
    assert [file.name for file in files] == ["00000000.parquet", "00000001.parquet"]
    assert [pl.read_parquet(file).height for file in files] == [2, 1]


def test_a_partition_without_calls_has_no_cdrs(tmp_path: Path) -> None:
    export(tmp_path, 17, [])
    assert list(tmp_path.iterdir()) == []

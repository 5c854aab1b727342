"""Our own formats: one broken line harms no other, wherever it stands and however it is broken."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
opening = pytest.importorskip("ocs.adapters.cdr_files.opening")
own_files = pytest.importorskip("ocs.adapters.cdr_files.own_files")

HEADER = "cdr_id,called,units,answer_ms,cause"
NOON_MS = 1_795_176_000_000
BROKEN = {
    b"x,44,1": "has 3 cells, expected 5",
    b"x,44,1,1795176000000,,": "has 6 cells, expected 5",
    b'x,44,1,1795176000000,"OK': "is not CSV: a quote does not close, or stands within a cell",
    b'"x",44,1,1795176000000,"a"b': "is not CSV: a quote does not close, or stands within a cell",
    b'x,4"4,1,1795176000000,"OK': "is not CSV: a quote does not close, or stands within a cell",
    b"x,44,1,1795176000000,\xff": "is not UTF-8 text",
    b"x,44,1\rx,44,1,1795176000000,": "is not CSV: a carriage return stands within the line",
    b"x,44,one,1795176000000,": "is 'one', expected a whole number to 9007199254740991",
    b",44,1,1795176000000,": "is empty, expected an id of the CDR",
}


def batches_of(path: Path, form: str = "", **options: Any) -> list[Any]:
    return list(cdr_files.open_cdrs(path, form, cdr_files.Options(**options)))


def rows_of(batches: list[Any]) -> list[dict[str, Any]]:
    return [row for batch in batches for row in batch.frame.to_dicts()]


def check_counts(batches: list[Any]) -> None:
    rejects = sum(len(batch.rejects) for batch in batches)
    used, skipped = (sum(getattr(each, name) for each in batches) for name in ("used", "skipped"))
    assert used == sum(batch.frame.height for batch in batches)
    assert used + skipped + rejects == sum(batch.entries for batch in batches)
    assert all(dict(batch.frame.schema) == cdr_files.COLUMNS for batch in batches)


lines = st.one_of(
    st.sampled_from([b"", b" ", *BROKEN]),
    st.integers(1, 9).map(lambda units: b'id,44,%d,%d,"a, ""b"""' % (units, NOON_MS)),
    st.integers(1, 9).map(lambda units: b"id,44,%d,%d," % (units, NOON_MS)),
    st.integers(1, 9).map(lambda units: b'id,44,%d,%d,a"b' % (units, NOON_MS)),
)


@given(
    st.lists(lines, max_size=40),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.sampled_from([16, 64, 1_000, 8 << 20]),
    st.sampled_from([1, 3, 256]),
)
def test_a_broken_line_harms_no_other(
    tmp_path_factory: pytest.TempPathFactory,
    given_lines: list[bytes],
    end: bytes,
    ended: bool,
    block: int,
    fewest: int,
) -> None:
    path = tmp_path_factory.mktemp("own") / "cdrs.csv"
    text = end.join([HEADER.encode(), *given_lines]) + (end if ended else b"")
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "BLOCK", block)
        patch.setattr(own_files, "_FEWEST_LINES", fewest)
        batches = batches_of(path, "csv")
    check_counts(batches)
    numbered = list(enumerate(given_lines, 2))
    good = [number for number, line in numbered if line.startswith(b"id,")]
    bad = [(number, BROKEN[line]) for number, line in numbered if line in BROKEN]
    assert [row["line"] for row in rows_of(batches)] == good
    assert [(each.line, each.reason) for batch in batches for each in batch.rejects] == bad
    causes = [row["cause"] for row in rows_of(batches)]
    ends = {b'"': 'a, "b"', b"b": 'a"b', b",": ""}
    assert causes == [ends[given_lines[at - 2][-1:]] for at in good]


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\x1e"), max_size=12
)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=20))
def test_cells_come_out_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("own") / "cdrs.csv"
    frame = pl.DataFrame(
        {
            "cdr_id": [f"n{number}" for number in range(len(pairs))],
            "called": ["44"] * len(pairs),
            "units": [1] * len(pairs),
            "start_ms": [NOON_MS] * len(pairs),
            "cause": [cause for cause, _ in pairs],
            "note": [note for _, note in pairs],
        }
    )
    frame.write_csv(path)
    batches = batches_of(path)
    check_counts(batches)
    rows = rows_of(batches)
    assert [row["cause"] for row in rows] == [cause for cause, _ in pairs]
    notes = pl.Series([row["attributes"] for row in rows]).str.json_path_match("$.note")
    assert [note or "" for note in notes] == [note for _, note in pairs]


def test_csv_ndjson_and_parquet_say_the_same(tmp_path: Path) -> None:
    rows = {
        "cdr_id": ["a", "b", "c", "", "e"],
        "called": ["44", "49", "internet", "44", "44"],
        "usage_type": ["voice", "", "data", "", ""],
        "units": [61, 0, 1_048_576, 1, -1],
        "start_ms": [NOON_MS, NOON_MS, NOON_MS, NOON_MS, NOON_MS],
        "answer_ms": [NOON_MS + 500, None, None, None, None],
        "answered": [True, False, None, None, None],
        "attributes": ['{"codec":"PCMA"}', "", "", "", ""],
    }
    frame = pl.DataFrame(rows)
    frame.write_csv(tmp_path / "cdrs.csv")
    frame.write_ndjson(tmp_path / "cdrs.ndjson")
    frame.write_parquet(tmp_path / "cdrs.parquet")
    found = {}
    for form in ("csv", "ndjson", "parquet"):
        path = tmp_path / f"cdrs.{form}"
        assert cdr_files.detect(path) == form
        batches = batches_of(path)
        check_counts(batches)
        lines_before = 1 if form == "csv" else 0
        kept = [row | {"file": "", "line": row["line"] - lines_before} for row in rows_of(batches)]
        rejects = [
            (each.line - lines_before, each.column, each.reason)
            for batch in batches
            for each in batch.rejects
        ]
        found[form] = (kept, rejects)
    assert found["csv"] == found["ndjson"] == found["parquet"]
    kept, rejects = found["csv"]
    assert [row["cdr_id"] for row in kept] == ["a", "b", "c"]
    assert [line for line, _, _ in rejects] == [4, 5]


def test_what_was_read_can_be_written_and_read_again(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"cdr_id": ["a", "b"], "called": ["44", "49"], "units": [1, 2], "start_ms": [1, 2]}
    ).with_columns(note=pl.lit("x"))
    frame.write_parquet(tmp_path / "one.parquet")
    (first,) = batches_of(tmp_path / "one.parquet")
    first.frame.write_parquet(tmp_path / "two.parquet")
    first.frame.write_csv(tmp_path / "two.csv")
    for name in ("two.parquet", "two.csv"):
        again = pl.concat(batch.frame for batch in batches_of(tmp_path / name))
        assert again.drop("file", "line").equals(first.frame.drop("file", "line"))


def test_numbers_of_parquet_may_be_floats_but_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "cdrs.parquet"
    frame = pl.DataFrame(
        {
            "cdr_id": ["a", "b", "c", "d"],
            "called": ["44"] * 4,
            "start_ms": [NOON_MS] * 4,
            "units": [61.0, 61.5, float("nan"), 1e30],
        }
    )
    frame.write_parquet(path)
    (batch,) = batches_of(path)
    assert batch.frame["units"].to_list() == [61]
    assert [each.line for each in batch.rejects] == [2, 3, 4]
    assert {each.column for each in batch.rejects} == {"units"}


def test_parquet_with_times_of_another_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cdrs.parquet"
    frame = pl.DataFrame({"cdr_id": ["a"], "called": ["44"], "units": [1], "start_ms": [NOON_MS]})
    frame.with_columns(pl.col("start_ms").cast(pl.Datetime("ms"))).write_parquet(path)
    (batch,) = batches_of(path)
    (reject,) = batch.rejects
    assert (reject.column, batch.frame.height) == ("start_ms", 0)
    assert reject.reason.startswith("holds Datetime")


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("44,1,true", None),
        ("44,1,", None),
        (",0,", None),
        (",0,false", None),
        (",0,true", "called"),
        (",1,", "called"),
        ("44,1,false", "units"),
        ("44,0,false", None),
    ],
)
def test_what_was_not_answered_has_no_use(tmp_path: Path, cells: str, column: str | None) -> None:
    path = tmp_path / "cdrs.csv"
    path.write_text(f"cdr_id,start_ms,called,units,answered\na,1,{cells}\n", encoding="ascii")
    (batch,) = batches_of(path)
    assert [reject.column for reject in batch.rejects] == ([] if column is None else [column])


@pytest.mark.parametrize(
    ("header", "column", "reason"),
    [
        ("cdr_id,units", "called", "is not among the columns"),
        ("cdr_id,called,units,units", "", "names a column twice, or not at all"),
        ("cdr_id,called,,", "", "names a column twice, or not at all"),
        ('cdr_id,called,"units', "", "is not CSV: a quote does not close, or stands within a cell"),
    ],
)
def test_a_file_whose_header_is_wrong_is_not_read(
    tmp_path: Path, header: str, column: str, reason: str
) -> None:
    path = tmp_path / "cdrs.csv"
    path.write_text(f"{header}\na,44,1,2\n", encoding="ascii")
    (batch,) = batches_of(path, "csv")
    (reject,) = batch.rejects
    assert (reject.line, reject.column) == (1, column)
    assert reject.reason == f"{reason}: the file is not read"
    assert (batch.entries, batch.frame.height) == (1, 0)


def test_parquet_without_a_needed_column_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cdrs.parquet"
    pl.DataFrame({"cdr_id": ["a"], "units": [1]}).write_parquet(path)
    (batch,) = batches_of(path)
    (reject,) = batch.rejects
    assert (reject.column, batch.entries) == ("called", 1)


def test_parquet_that_is_cut_short_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "cdrs.parquet"
    pl.DataFrame({"cdr_id": ["a"], "called": ["44"], "units": [1]}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    (batch,) = batches_of(path, "parquet")
    (reject,) = batch.rejects
    assert reject.reason.startswith("cannot be read on from here")


def test_a_large_file_comes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, count = tmp_path / "cdrs.csv", 250
    rows = "".join(f"n{number},44,1,{NOON_MS},\n" for number in range(count))
    path.write_text(f"{HEADER}\n{rows}x\n", encoding="ascii")
    monkeypatch.setattr(own_files, "MOST_ROWS", 100)
    monkeypatch.setattr(opening, "BLOCK", 2_000)
    batches = batches_of(path)
    check_counts(batches)
    assert 2 < len(batches) < 10
    assert [row["line"] for row in rows_of(batches)] == list(range(2, count + 2))
    parquet = tmp_path / "cdrs.parquet"
    pl.concat(batch.frame for batch in batches).write_parquet(parquet)
    again = batches_of(parquet)
    assert max(batch.frame.height for batch in again) <= 100
    assert [row["line"] for row in rows_of(again)] == list(range(1, count + 1))


def test_a_file_that_is_empty_has_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    for form in cdr_files.formats():
        if form.name != "parquet":
            assert batches_of(path, form.name) == []
    buffer = io.BytesIO()
    pl.DataFrame(schema={"cdr_id": pl.String, "called": pl.String}).write_parquet(buffer)
    path.write_bytes(buffer.getvalue())
    assert rows_of(batches_of(path)) == []


cells = st.sampled_from(
    ["", '""', "0", "60", "+60", "-60", "060", " 60", "\t60", "60 ", '"60"', '" 60"', "6.0", "1e2", "x"]
)  # fmt: skip
names = st.sampled_from(["", '""', "a", " a", '"a, b"', '"a "" b"', "ä"])


@given(st.lists(st.tuples(names, cells, cells, names), min_size=1, max_size=6), st.booleans())
def test_a_block_in_one_go_and_cell_by_cell_come_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], numbers_first: bool
) -> None:
    path = tmp_path_factory.mktemp("own") / "cdrs.csv"
    columns = ("note", "units", "duration_ms", "cause")
    lines: list[tuple[str, ...]] = [("cdr_id", "called", "start_ms", *columns)]
    lines += [(f"c{place}", "44", str(NOON_MS), *row) for place, row in enumerate(rows)]
    if numbers_first:
        lines = [(*line[2:], *line[:2]) for line in lines]
    path.write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    at_once = batches_of(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_files, "_sound", lambda *_: None)
        by_cells = batches_of(path)
    check_counts(at_once)
    assert rows_of(at_once) == rows_of(by_cells)
    assert [batch.rejects for batch in at_once] == [batch.rejects for batch in by_cells]


@pytest.mark.parametrize(
    "lines", ["c1,44,60,1795176000000,\nc2,44,,1,x\n", 'c1,"44",60,,"a b"\nc2,44,1,1,""\n']
)
def test_a_sound_block_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    path = tmp_path / "cdrs.csv"
    path.write_text(f"{HEADER}\n{lines}", encoding="utf-8")
    monkeypatch.delattr(own_files, "_parsed")
    (batch,) = [batch for batch in batches_of(path) if batch.entries > 1]
    assert batch.used + len(batch.rejects) == 2

"""Chunks: what they are called, where they end, and rejects that come back as a file."""

import gzip
from pathlib import Path

import pytest

from ocs.usecases.offline_rating import FileFault
from ocs.usecases.rejects import UNREADABLE, Reading, Reject, written

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
chunks = pytest.importorskip("ocs.adapters.cdr_files.chunks")
opening = pytest.importorskip("ocs.adapters.cdr_files.opening")
rejected_files = pytest.importorskip("ocs.adapters.cdr_files.rejected_files")

HEADER = b"cdr_id,called,answer_ms,units\n"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BLOCK", 100)
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", 10)


def lines(count: int) -> bytes:
    return HEADER + b"".join(b"c%d,4917%d,1789772400000,60\n" % (n, n) for n in range(count))


def written_file(folder: Path, content: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def names(path: Path, form: str = "") -> list[str]:
    return [chunk.name for chunk in chunks.CdrFile(path, form).chunks()]


def test_the_chunks_of_a_file_are_all_of_it(tmp_path: Path) -> None:
    path = written_file(tmp_path, lines(40) + b"bad\n")
    file = chunks.CdrFile(path)
    found = list(file.chunks())
    assert len(found) > 2
    rows = pl.concat(chunk.table for chunk in found)
    assert rows["cdr_id"].to_list() == [f"c{n}" for n in range(40)]
    assert sum(chunk.entries for chunk in found) == 42
    assert sum(chunk.used + chunk.skipped + len(chunk.rejects) for chunk in found) == 42
    assert (found[-1].position, file.size) == (path.stat().st_size,) * 2
    (reject,) = found[-1].rejects
    assert (reject.line, reject.code, reject.text) == (42, UNREADABLE, "bad")
    assert found[0].reading == Reading("csv", {}, (HEADER.decode().strip(),))


def test_a_name_comes_from_what_is_in_the_file_up_to_the_end_of_the_chunk(tmp_path: Path) -> None:
    first = names(written_file(tmp_path, lines(40)))
    assert len(set(first)) == len(first) > 3
    assert names(written_file(tmp_path, gzip.compress(lines(40)), "b.gz")) == first
    longer = names(written_file(tmp_path, lines(60), "c.csv"))
    assert longer[: len(first) - 1] == first[:-1], "what was added is in the last and behind"
    assert not set(longer[len(first) - 1 :]) & set(first)
    changed = lines(40).replace(b"c20,", b"d20,")
    other = names(written_file(tmp_path, changed, "d.csv"))
    assert other[0] == first[0]
    assert other[-1] != first[-1]
    assert not set(names(written_file(tmp_path, HEADER + b"\n" + lines(40)[len(HEADER) :]))) & {
        first[0]
    }


def test_parquet_is_cut_after_so_many_rows_however_it_comes(tmp_path: Path) -> None:
    frame = pl.read_csv(lines(35)).with_columns(units=pl.Series([-1, *[60] * 34]))
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    frame.write_parquet(path)
    frame.write_parquet(other, row_group_size=3)
    found = list(chunks.CdrFile(path).chunks())
    assert [chunk.entries for chunk in found] == [10, 10, 10, 5]
    assert [len(chunk.rejects) for chunk in found] == [1, 0, 0, 0]
    assert [chunk.used for chunk in found] == [9, 10, 10, 5]
    assert len({chunk.name for chunk in found}) == 4
    assert [chunk.entries for chunk in chunks.CdrFile(other).chunks()] == [10, 10, 10, 5]
    frame.with_columns(units=61).write_parquet(path)
    assert not set(names(path)) & {chunk.name for chunk in found}


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("csv", "csv/all-columns.csv"),
        ("cucm", "cucm/cdr_StandAloneCluster_01_202611200930_17"),
        ("billrun-csv", "billrun-csv/lines.csv"),
        ("asterisk-custom", "asterisk-custom/header.csv"),
    ],
)
def test_the_header_of_a_file_goes_with_its_rejects(form: str, name: str) -> None:
    path = Path(__file__).parents[2] / "data" / "cdr" / name
    head = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()[0].decode()
    chunk = next(iter(chunks.CdrFile(path, form).chunks()))
    assert chunk.reading.header == (head,)


def rejects_file(folder: Path, *given: Reading | Reject) -> Path:
    return written_file(folder, b"".join(map(written, given)), "r.ndjson")


def reject(line: int, text: str) -> Reject:
    return Reject("in/a.csv", line, "units", "is no number", UNREADABLE, text)


def test_texts_of_rejects_are_read_like_their_file(tmp_path: Path) -> None:
    path = rejects_file(
        tmp_path,
        Reading("csv", {"switch": "s1"}, (HEADER.decode().strip(),)),
        reject(7, "c1,4917,1789772400000,60"),
        reject(9, "c2,4917,1789772400000,sixty"),
        reject(11, ""),
        Reading("ndjson", again=3),
        reject(3, '{"cdr_id":"s1/c3","called":"4917","answer_ms":1789772400000,"units":60}'),
    )
    assert rejected_files.is_rejected_file(path)
    csv, own = rejected_files.RejectedFile(path).chunks()
    assert (csv.entries, csv.used, csv.skipped) == (4, 1, 2)
    assert csv.table.select("cdr_id", "file", "line").row(0) == ("s1/c1", "in/a.csv", 7)
    (again,) = csv.rejects
    assert (again.file, again.line, again.text) == ("in/a.csv", 9, "c2,4917,1789772400000,sixty")
    assert (csv.file, csv.reading.again) == (str(path), 1)
    assert csv.reading.options == {"switch": "s1"}
    assert own.table.select("cdr_id", "file", "line").row(0) == ("s1/c3", "in/a.csv", 3)
    assert own.reading.again == 4


def test_an_indented_document_becomes_one_line(tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "data" / "cdr" / "freeswitch-json" / "a_indented.cdr.json"
    text = golden.read_text(encoding="utf-8")
    path = rejects_file(tmp_path, Reading("freeswitch-json"), reject(1, text))
    (chunk,) = rejected_files.RejectedFile(path).chunks()
    (straight,) = chunks.CdrFile(golden, "freeswitch-json").chunks()
    assert chunk.table["session_id"].to_list() == straight.table["session_id"].to_list()


def test_a_second_round_of_the_same_rejects_is_another_chunk(tmp_path: Path) -> None:
    head = HEADER.decode().strip()
    found = []
    for again, line in ((0, 7), (1, 7), (0, 8)):
        reading = Reading("csv", {}, (head,), again=again)
        path = rejects_file(tmp_path, reading, reject(line, "c1,4917,1,60"))
        found += [chunk.name for chunk in rejected_files.RejectedFile(path).chunks()]
    assert len(set(found)) == 3


@pytest.mark.parametrize("line", [b"{}\n", b"what\n", b'{"is":"reading","format":"none"}\n'])
def test_a_line_that_is_no_reject_is_told(tmp_path: Path, line: bytes) -> None:
    path = rejects_file(tmp_path, Reading("ndjson"))
    with path.open("ab") as stream:
        stream.write(line)
    with pytest.raises(FileFault, match=r"r\.ndjson:2: "):
        list(rejected_files.RejectedFile(path).chunks())


def test_what_is_found_out_while_reading_is_told(tmp_path: Path) -> None:
    path = written_file(tmp_path, b"a,b\n")
    file = chunks.CdrFile(path, "asterisk", chunks.Options(extra_column="color"))
    with pytest.raises(FileFault, match="expected uniqueid or userfield"):
        list(file.chunks())
    file = chunks.CdrFile(path, "cucm")
    path.unlink()
    with pytest.raises(FileFault, match="No such file"):
        list(file.chunks())


def test_files_of_cdrs_are_no_files_of_rejects(tmp_path: Path) -> None:
    assert not rejected_files.is_rejected_file(written_file(tmp_path, lines(3)))
    assert not rejected_files.is_rejected_file(written_file(tmp_path, b""))

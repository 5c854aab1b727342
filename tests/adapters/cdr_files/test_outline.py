"""The outline of a file and its reading agree: the same chunks, each of them read by itself too."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.offline_rating import Chunk, FileFault
from ocs.usecases.sharing_work import Share

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
chunks = pytest.importorskip("ocs.adapters.cdr_files.chunks")
opening = pytest.importorskip("ocs.adapters.cdr_files.opening")
shares = pytest.importorskip("ocs.adapters.cdr_files.shares")
batching = pytest.importorskip("ocs.adapters.cdr_files.batching")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")

GOLDEN = Path(__file__).parents[2] / "data" / "cdr"
HEADER = b"cdr_id,called,answer_ms,units\n"
OPTIONS = chunks.Options(switch="s1", tenant="demo")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BLOCK", 100)
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", 10)


def line(n: int) -> bytes:
    return b"c%d,4917%d,1789772400000,60\n" % (n, n)


def written(folder: Path, content: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, form: str = "", options: Any = OPTIONS) -> list[Chunk]:
    return list(chunks.CdrFile(path, form, options).chunks())


def shared(path: Path, form: str = "", options: Any = OPTIONS) -> list[Share]:
    return list(shares.ShareableFile(path, form, options).shares())


def taken(share: Share) -> list[Chunk]:
    return list(shares.open_share(share).chunks())


def told(chunk: Chunk) -> dict[str, Any]:
    """All that a chunk says; a share names its file in full, and knows no progress."""
    assert isinstance(chunk.table, pl.DataFrame)
    return {
        "name": chunk.name,
        "rows": chunk.table.drop("file").to_dicts(),
        "rejects": [(each.line, each.column, each.reason, each.text) for each in chunk.rejects],
        "counts": (chunk.entries, chunk.used, chunk.skipped),
        "reading": chunk.reading,
    }


def agree(path: Path, form: str = "", options: Any = OPTIONS) -> list[Share]:
    """Hold both ways against each other; return the shares."""
    found = shared(path, form, options)
    assert [told(each) for share in found for each in taken(share)] == [
        told(each) for each in read(path, form, options)
    ]
    return found


BROKEN = [
    pytest.param(lambda text: text, id="plain"),
    pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="byte order mark"),
    pytest.param(lambda text: text.replace(b"\n", b"\r\n"), id="CRLF"),
    pytest.param(lambda text: text.rstrip(b"\n"), id="no line end at the end"),
    pytest.param(lambda text: text.replace(line(20), b"\n\n" + line(20)), id="blank lines"),
    pytest.param(lambda text: text.replace(b"c20,", b'"c20,'), id="a quote that does not close"),
    pytest.param(lambda text: text.replace(b"c20,", b"c\xff20,"), id="not UTF-8"),
    pytest.param(lambda text: text.replace(b"c20,", b"c" * 700), id="a long line"),
    pytest.param(lambda text: text.replace(line(39), line(39) * 9), id="rows again"),
]


@pytest.mark.parametrize("spoilt", BROKEN)
def test_pieces_read_by_themselves_are_the_chunks_of_a_run(tmp_path: Path, spoilt: Any) -> None:
    path = written(tmp_path, spoilt(HEADER + b"".join(map(line, range(40))) + b"bad\n"))
    found = agree(path)
    pieces = [share.piece for share in found if share.piece is not None]
    assert len(pieces) == len(found) > 2
    ends = [piece.offset + piece.size for piece in pieces]
    assert [piece.offset for piece in pieces] == [0, *ends[:-1]]
    assert ends[-1] == path.stat().st_size
    assert sum(share.size for share in found) == path.stat().st_size
    lines = [piece.first_line + piece.lines for piece in pieces]
    assert [piece.first_line for piece in pieces] == [1, *lines[:-1]]
    assert [piece.header for piece in pieces] == [b"", *[pieces[1].header] * (len(pieces) - 1)]
    rejects = [reject.line for share in found for chunk in taken(share) for reject in chunk.rejects]
    assert rejects[-1] == lines[-1] - 1, "the last line, by its number in the file"


def test_a_line_that_is_too_long_for_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (opening, batching):
        monkeypatch.setattr(module, "LONGEST_LINE", 60)
    content = HEADER + b"".join(map(line, range(20))) + b"x" * 500 + b"\n" + line(21) + line(22)
    found = agree(written(tmp_path, content))
    rows = [row for share in found for chunk in taken(share) for row in told(chunk)["rows"]]
    assert [row["cdr_id"] for row in rows[-2:]] == ["s1/c21", "s1/c22"]


@pytest.mark.parametrize("path", golden.FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_golden_files_are_shared_as_they_are_read(path: Path) -> None:
    agree(path, path.parent.name, golden.options_of(golden.expected(path)["options"]))


@pytest.mark.parametrize("form", ["cucm", "billrun-csv", "kamailio-acc", "freeswitch-json"])
def test_formats_with_a_memory_are_shared_whole(form: str) -> None:
    path = next(path for path in sorted((GOLDEN / form).iterdir()) if path.suffix != ".gz")
    (share,) = shared(path, form)
    assert (share.piece, share.size, share.format) == (None, path.stat().st_size, form)


def test_packed_files_are_shared_whole_and_are_the_same_chunks(tmp_path: Path) -> None:
    text = HEADER + b"".join(map(line, range(40)))
    plain, packed = written(tmp_path, text), written(tmp_path, bz2.compress(text), "a.bz2")
    (share,) = agree(packed)
    assert share.piece is None
    assert [each.name for each in taken(share)] == [each.name for each in read(plain)]
    assert share.name not in {each.name for each in read(plain)}


@pytest.mark.parametrize("kept", [12, 40])
def test_what_is_damaged_at_its_beginning_is_a_reject(tmp_path: Path, kept: int) -> None:
    packed = gzip.compress(HEADER + b"".join(map(line, range(40))))
    path = written(tmp_path, packed[:kept])
    (share,) = agree(path, "csv")
    *_, last = taken(share)
    assert "cannot be read on from here" in last.rejects[-1].reason


def test_an_own_file_whose_header_is_none_is_not_cut(tmp_path: Path) -> None:
    path = written(tmp_path, b"cdr_id,called,called\n" + b"".join(map(line, range(40))))
    (share,) = agree(path, "csv")
    assert share.piece is None


def test_asterisks_own_order_may_be_told_or_stand_there(tmp_path: Path) -> None:
    rows = b"".join(b"1,%d,ANSWERED,60\n" % n for n in range(40))
    told_order = chunks.Options(columns=("src", "dst", "disposition", "billsec"))
    path = written(tmp_path, rows)
    pieces = list(chunks.CdrFile(path, "asterisk-custom", told_order).cuts())
    assert len(pieces) > 2
    assert {cut.piece.header for cut in pieces} == {b""}
    head = b"src,dst,disposition,billsec,duration,start,answer,end\n"
    cells = b",60,2026-09-18 18:00:00,2026-09-18 18:00:00,2026-09-18 18:01:00\n"
    path = written(tmp_path, head + rows.replace(b"\n", cells))
    found = agree(path, "asterisk-custom")
    assert found[1].piece is not None
    assert found[1].piece.header == head.strip()
    assert sum(chunk.used for share in found for chunk in taken(share)) == 40


def test_an_empty_file_is_no_share(tmp_path: Path) -> None:
    assert shared(written(tmp_path, b""), "ndjson") == []


def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    text = HEADER + b"".join(map(line, range(40)))
    path = written(tmp_path, text)
    first, second, *_ = shared(path)
    written(tmp_path, text.replace(b"c39,", b"d39,"))
    assert [each.name for each in taken(first)] == [first.name]
    written(tmp_path, text.replace(b"c20,", b"d20,"))
    with pytest.raises(FileFault, match=r"is not what it was when it was shared, from line \d+ on"):
        taken(second)
    path.unlink()
    with pytest.raises(FileFault, match="No such file"):
        taken(second)


def test_damage_ends_the_sharing_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails: what came before is shared, and the file is told."""
    path = written(tmp_path, HEADER + b"".join(map(line, range(40))))
    sound, seen = opening.block_of, []

    def block_of(stream: Any) -> Any:
        seen.append(stream)
        return sound(stream) if len(seen) < 6 else ([b"c,"], opening.Damaged("cannot be read on"))

    monkeypatch.setattr("ocs.adapters.cdr_files.outline.block_of", block_of)
    given = shares.ShareableFile(path, "", OPTIONS).shares()
    assert next(given).piece is not None
    with pytest.raises(FileFault, match="cannot be read on"):
        list(given)
    seen.clear()
    *_, last = read(path)
    assert last.rejects[-1].reason == "cannot be read on"


def test_rejects_are_shared_whole(tmp_path: Path) -> None:
    from ocs.usecases import rejects  # noqa: PLC0415

    reject = rejects.Reject("in/a.csv", 7, "units", "is no number", rejects.UNREADABLE, "x")
    reading = rejects.Reading("csv", {"switch": "s1"}, (HEADER.decode().strip(),))
    path = written(tmp_path, rejects.written(reading) + rejects.written(reject), "r.ndjson")
    (share,) = shared(path)
    assert (share.format, share.options, share.piece) == ("", {}, None)
    (chunk,) = taken(share)
    assert (chunk.rejects[0].file, chunk.rejects[0].line) == ("in/a.csv", 7)

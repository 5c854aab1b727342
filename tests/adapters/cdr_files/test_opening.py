"""Compressed files, damaged ones, lines without an end: what can be read is read."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
opening = pytest.importorskip("ocs.adapters.cdr_files.opening")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, compresslevel=1),
    "bzip2": partial(bz2.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=0),
}
SAMPLES = [
    golden.FOLDER / name
    for name in ("csv/all-columns.csv", "ndjson/cdrs.ndjson", "asterisk/Master-21.csv")
]


def totals(path: Path, form: str) -> tuple[int, int, list[str]]:
    """Rows, entries, reasons of rejects."""
    batches = list(cdr_files.open_cdrs(path, form))
    rejects = [reject.reason for batch in batches for reject in batch.rejects]
    used, skipped = (sum(getattr(each, name) for each in batches) for name in ("used", "skipped"))
    entries = sum(batch.entries for batch in batches)
    assert used + skipped + len(rejects) == entries
    return sum(batch.frame.height for batch in batches), entries, rejects


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("way", COMPRESS)
def test_a_compressed_file_is_read_like_the_plain_one(tmp_path: Path, way: str, path: Path) -> None:
    packed = tmp_path / path.name
    packed.write_bytes(COMPRESS[way](path.read_bytes()))
    form = path.parent.name
    assert totals(packed, form) == totals(path, form)
    assert cdr_files.detect(packed) == cdr_files.detect(path)


@pytest.mark.parametrize("form", ["csv", "kamailio-cdr"])
@pytest.mark.parametrize("way", COMPRESS)
def test_a_compressed_file_that_is_cut_short_is_read_up_to_there(
    tmp_path: Path, way: str, form: str
) -> None:
    line = {
        "csv": "{0},44163296{0:04},61,1795167007000,{1}",
        "kamailio-cdr": "start_time=1.5; end_time=3; duration=1.5; callee={0}; note={1}",
    }[form]
    header = "cdr_id,called,units,answer_ms,cause\n" if form == "csv" else ""
    count = 10_000
    lines = (line.format(number, number * 2_654_435_761 % 2**64) for number in range(count))
    packed = COMPRESS[way]((header + "\n".join(lines)).encode())
    path = tmp_path / "cdrs"
    path.write_bytes(packed[: len(packed) * 3 // 4])
    rows, _, rejects = totals(path, form)
    assert count // 3 < rows < count
    assert 1 <= len(rejects) <= 2  # where it ends, and the line that is cut there
    assert rejects[-1].startswith("cannot be read on from here")


def test_a_flipped_byte_ends_the_file_there(tmp_path: Path) -> None:
    path = tmp_path / "cdrs.gz"
    packed = bytearray(gzip.compress(SAMPLES[1].read_bytes()))
    packed[-5] ^= 1  # the check sum
    path.write_bytes(packed)
    rows, _, rejects = totals(path, "ndjson")
    assert rows == totals(SAMPLES[1], "ndjson")[0]
    assert rejects[-1].startswith("cannot be read on from here: CRC check failed")


@pytest.mark.parametrize("form", ["csv", "asterisk"])
def test_zstd_is_refused_with_a_reason(tmp_path: Path, form: str) -> None:
    path = tmp_path / "cdrs.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\x00")
    assert cdr_files.detect(path) is None
    _, entries, (reason,) = totals(path, form)
    assert entries == 1
    assert reason.startswith("is compressed with zstd")


@pytest.mark.parametrize("form", ["csv", "ndjson", "asterisk", "freeswitch-json"])
def test_a_line_that_is_too_long_is_one_reject(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("opening", "batching", "freeswitch_json"):
        monkeypatch.setattr(f"ocs.adapters.cdr_files.{module}.LONGEST_LINE", 4_000)
    monkeypatch.setattr(opening, "BLOCK", 4_000)
    good = {path.parent.name: path for path in golden.FILES if path.name[0] in "Mac"} | {
        "freeswitch-json": golden.FOLDER / "freeswitch-json" / "lines.json"
    }
    text = good[form].read_bytes().rstrip(b"\n")
    path = tmp_path / "cdrs"
    path.write_bytes(text + b"\n" + b"9" * 20_000 + b"\n\n")
    plain_rows, plain_entries, plain_rejects = totals(good[form], form)
    rows, entries, rejects = totals(path, form)
    assert (rows, entries) == (plain_rows, plain_entries + 2)
    assert len(rejects) == len(plain_rejects) + 1
    assert rejects[-1] == "is longer than 4000 bytes"

"""Whatever a file holds, every entry of it is a CDR, skipped, or a reject with a reason."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")

EXAMPLES = settings().max_examples * 2 // 5  # of each format
FORMS = [form.name for form in cdr_files.formats()]
GOOD = {
    form: [path.read_bytes() for path in golden.FILES if path.parent.name == form] for form in FORMS
}
BITES = [
    b"", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b"\x00", b"\x1e", b";", b"=", b"{", b"}", b"[", b"]", b":",
    b"-1", b"1e999", b"9" * 25, b"0", b"null", b"true", b"\xff", b"\xef\xbb\xbf", b"%", b"%zz", b"%ff",
    b'{"$date":', b'{"$numberLong":"9999999999999999999999"}', b"cdr=", b"\\ud800", b"2026-02-30 00:00:00",
    b"9999-12-31 23:59:59", b"1.7976931348623157e308", b"[" * 3_000, b'{"a":' * 3_000,
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, form: str) -> bytes:
    """A golden file with bytes replaced, and lines swapped, doubled or dropped."""
    content: bytes = draw(st.sampled_from(GOOD[form]))
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            start = draw(st.integers(0, len(content)))
            end = min(len(content), start + draw(st.integers(0, 12)))
            bite = draw(st.one_of(st.sampled_from(BITES), st.binary(max_size=4)))
            content = content[:start] + bite + content[end:]
            continue
        lines = content.split(b"\n")
        taken, put = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        lines[put : put + draw(st.integers(0, 1))] = [lines[taken]] * draw(st.integers(0, 2))
        content = b"\n".join(lines)
    return content


def check(path: Path, form: str, options: dict[str, object]) -> None:
    batches = list(cdr_files.open_cdrs(path, form, golden.options_of(options)))
    rejects = [reject for batch in batches for reject in batch.rejects]
    used, skipped = (sum(getattr(each, name) for each in batches) for name in ("used", "skipped"))
    assert used + skipped + len(rejects) == sum(batch.entries for batch in batches)
    assert all(reject.reason for reject in rejects)
    for batch in batches:
        assert dict(batch.frame.schema) == cdr_files.COLUMNS
        assert batch.frame.height <= cdr_files.MOST_ROWS
        sound = batch.frame.select(
            units=pl.col("units").is_between(0, 2**53 - 1),
            id=pl.col("cdr_id") != "",
            time=pl.any_horizontal(pl.col("start_ms", "answer_ms", "end_ms").is_not_null()),
            order=(pl.col("answer_ms") >= pl.col("start_ms")).fill_null(value=True),
            texts=pl.all_horizontal(pl.col(pl.String).is_not_null()),
        )
        assert sound.select(pl.all().all()).row(0) == (True,) * sound.width


OPTIONS: dict[str, list[dict[str, object]]] = {
    "asterisk": [{}, {"extra_column": "uniqueid", "zone": "Europe/London"}],
    "freeswitch": [{"template": name} for name in ("example", "asterisk", "opencdrrate")],
    "freeswitch-json": [{}, {"encoded_values": False}],
    "kamailio-acc": [{}, {"most_open_calls": 1}],
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "parquet"])
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_mutated_file_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(data.draw(mutated(form)))
    check(path, form, data.draw(st.sampled_from(OPTIONS.get(form, [{}]))))
    cdr_files.detect(path)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_their_end(
    tmp_path_factory: pytest.TempPathFactory, form: str, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(content)
    check(path, form, {})
    cdr_files.detect(path)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_damaged_parquet_is_a_reject(
    tmp_path_factory: pytest.TempPathFactory, place: int, bite: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "cdrs.parquet"
    frame = pl.DataFrame({"cdr_id": ["a"] * 9, "called": ["4"] * 9, "units": [1] * 9, "end_ms": 7})
    frame.write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[:place] + bite + content[place + len(bite) :])
    check(path, "parquet", {})

"""Every golden file gives the rows and the rejects that stand beside it, and its counts add up."""

from pathlib import Path

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")

NOT_LINES = {"a_indented.cdr.json", "indented-broken.cdr.json", "no-id.csv"}
"""Files that are one entry: an indented document, a file that is not read for its header."""

BEHEADED = {"no-id.csv", "no-names", "no-header.csv", "no-duration"}
"""Files whose header is not there, or lacks what is needed."""

UNSURE = {"asterisk", "freeswitch"}
"""Formats without a header: their files have to be named, but for an INSERT."""


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", golden.FILES, ids=name_of)
def test_a_file_gives_what_stands_beside_it(path: Path) -> None:
    expected = golden.expected(path)
    assert golden.read(path, expected["options"]) == expected


@pytest.mark.parametrize("path", golden.FILES, ids=name_of)
def test_every_line_is_accounted_for(path: Path) -> None:
    expected = golden.expected(path)
    lines = 1 if path.name in NOT_LINES else len(path.read_bytes().splitlines())
    assert expected["entries"] == lines
    assert lines == expected["used"] + expected["skipped"] + len(expected["rejects"])


@pytest.mark.parametrize("path", golden.FILES, ids=name_of)
def test_the_text_of_a_reject_is_its_line(path: Path) -> None:
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    options = golden.options_of(golden.expected(path)["options"])
    for batch in cdr_files.open_cdrs(path, path.parent.name, options):
        for reject in batch.rejects:
            if path.name not in NOT_LINES:
                line = lines[reject.line - 1].rstrip(b"\r").decode(errors="replace")
                assert reject.text == line
                assert reject.file == str(path)


@pytest.mark.parametrize("path", golden.FILES, ids=name_of)
def test_a_format_is_detected_where_the_first_line_is_sure(path: Path) -> None:
    form, sure = path.parent.name, path.name not in BEHEADED
    known = sure and (form not in UNSURE or path.suffix == ".sql")
    if form == "asterisk-custom":
        known = path.name == "header.csv"
    assert cdr_files.detect(path) == (form if known else None)


def test_every_format_has_files_with_good_and_with_broken_lines() -> None:
    good, broken = set(), set()
    for path in golden.FILES:
        expected = golden.expected(path)
        good |= {path.parent.name} if expected["rows"] else set()
        broken |= {path.parent.name} if expected["rejects"] else set()
    names = {form.name for form in cdr_files.formats()} - {"parquet"}  # written by its own test
    assert good == broken == names

"""What is read from a file is read from it when it was posted, or it is refused and kept beside."""

from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.cdr_files import formats
from ocs.adapters.cdr_intake import CDRS, REJECTS, IntakeFolder, IntakeLimits
from ocs.usecases.posted_cdrs import FORMATS, Posted
from ocs.usecases.taking_cdrs import Kept
from tests.adapters.cdr_files import golden

LIMITS = IntakeLimits(folder_bytes=1 << 30, spare_bytes=0, file_bytes=1 << 20, file_s=60.0)


def test_all_formats_but_parquet_can_be_posted() -> None:
    assert set(FORMATS) == {form.name for form in formats()} - {"parquet"}


def without_lines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "line"} for row in rows]


@pytest.mark.parametrize("path", golden.FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_golden_file_that_was_posted(path: Path, tmp_path: Path) -> None:
    wanted = golden.expected(path)
    intake = IntakeFolder(tmp_path, "0", LIMITS)
    posted = Posted(
        tenant="demo",
        format=path.parent.name,
        switch="",
        body=path.read_bytes(),
    )
    (outcome,) = intake.keep([posted])
    intake.close()
    if not isinstance(outcome, Kept):
        assert len(list((tmp_path / REJECTS).iterdir())) == 1
        assert not wanted["rows"] or path.parent.name == "portsip"
        return
    (file,) = (tmp_path / CDRS).glob("*/*/*/*")
    found = golden.read(file, wanted["options"], path.parent.name)
    assert without_lines(found["rows"]) == without_lines(wanted["rows"])
    assert len(found["rejects"]) == len(wanted["rejects"])

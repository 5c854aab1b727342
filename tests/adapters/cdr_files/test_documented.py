"""docs/cdr.md names what there is: every format, every option, every column."""

import re
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")
freeswitch_csv = pytest.importorskip("ocs.adapters.cdr_files.freeswitch_csv")
options = pytest.importorskip("ocs.adapters.cdr_files.options")

PAGE = (Path(__file__).parents[3] / "docs" / "cdr.md").read_text(encoding="utf-8")


def named(title: str) -> list[str]:
    """Names in the first cells of the table below a title."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)]


def test_formats() -> None:
    assert named("Formats") == [form.name for form in cdr_files.formats()]


def test_columns() -> None:
    assert sorted(named("Columns of a CDR")) == sorted(cdr_files.COLUMNS)


def test_options() -> None:
    fields = msgspec.structs.fields(cdr_files.Options)
    assert sorted(named("Options")) == sorted(field.name for field in fields)


def test_what_can_be_taken_from_another_column() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `fields`")]
    assert re.findall(r"`(\w+)`", row.partition("Can be set:")[2]) == list(options.RENAMED)


def test_templates_of_freeswitch() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `template`")]
    assert re.findall(r"`(\w+)`", row.split("|")[4]) == list(freeswitch_csv.TEMPLATES)

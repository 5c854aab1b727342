"""Every key of a source's file, and every value of its answers, is where an operator looks for it."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Struct
from msgspec.structs import fields

from ocs.config.sources import read_source
from ocs.entrypoints.encoders.naming import _values
from ocs.entrypoints.sources.dialects import is_mapped
from ocs.entrypoints.sources.source import Answering, Defaults, Identity, Reports, Source

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "config/sources/default.toml"
PAGE = (ROOT / "docs/sources.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [Source, Reports, Answering, Defaults, Identity])
def test_every_key_is_in_the_documented_file(kind: type[Struct]) -> None:
    text = DEFAULT.read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:#\s*(?:\{ )?)?\[?(?:\w+\.)?(\w+)\]?(?: =|$)", text, re.MULTILINE))
    shown |= set(re.findall(r"[{,] (\w+) = ", text))

    assert {field.name for field in fields(kind)} - {"name"} <= shown


def test_the_documented_file_changes_nothing() -> None:
    source = read_source(DEFAULT)

    assert source == Source("default", source.about)
    assert not is_mapped(source)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Source, "format"), (Answering, "form"), (Answering, "encoding"), (Answering, "code")],
)
def test_every_choice_is_named(kind: type[Struct], name: str) -> None:
    (choices,) = [_choices(field.type) for field in fields(kind) if field.name == name]
    text = DEFAULT.read_text(encoding="utf-8")

    assert choices
    assert [choice for choice in choices if not re.search(rf"\b{choice}\b", text)] == []


def _choices(kind: Any) -> tuple[str, ...]:
    return get_args(kind)


def test_the_page_lists_every_value_of_an_answer() -> None:
    (table,) = re.findall(r"^\| values \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    listed = set(re.findall(r"`([a-z0-9_.]+)`", table))

    values = set(_values(Answering()))
    as_numbers = {name for name in values if re.fullmatch(r"(cost|balance)\..*_number", name)}

    assert values - as_numbers <= listed
    assert listed - values <= {"services", "code", "return_codes.ini", "_number"}


def test_the_example_of_the_page_is_a_source(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "softswitch.toml"
    path.write_text(text, encoding="utf-8")

    assert read_source(path).reports == Reports(used="total", unit_ms=1)

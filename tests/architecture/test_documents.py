"""What can drift between the documents and the code."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from ocs.domain.results import ResultCode

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "deploy" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_state_table_of_the_design_is_the_one_that_runs() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    assert tool("write_states").with_table(page) == page, "python deploy/tools/write_states.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    broken = [
        link for link in links if not link.startswith("http") and not (page.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_codes_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", page.read_text(encoding="utf-8")))
    others = {"OCS_SERVER_OPERATIONS_PORT", "STALE_WALLET", "KEYS", "ARGV", "RETRY_AND_TERMINATE"}
    unknown = {name for name in named if not name.startswith("OCS_")} - set(ResultCode) - others
    assert unknown == set()

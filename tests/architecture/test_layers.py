"""The import contracts of pyproject.toml hold, and each of them bites.

A contract that is misspelled passes silently. So each is also shown a copy of the tree with one
import planted that it forbids.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import tree

LINTER = Path(sys.executable).with_name("lint-imports")

PLANTED = [
    ("domain/planted.py", "import ocs.usecases", "Layers point inward"),
    ("usecases/planted.py", "import ocs.adapters.clock", "Layers point inward"),
    ("adapters/planted.py", "import ocs.entrypoints.http", "Layers point inward"),
    ("entrypoints/planted.py", "import ocs.adapters.clock", "Layers point inward"),
    ("config/planted.py", "import ocs.bootstrap", "Layers point inward"),
    ("planted.py", "", "Layers point inward"),
    ("adapters/planted.py", "import ocs.adapters.valkey", "Adapters do not meet"),
    ("domain/planted.py", "import time", "The domain is pure"),
    ("domain/planted.py", "import hiredis", "The domain is pure"),
    ("usecases/planted.py", "import socket", "Use cases name no library"),
    ("entrypoints/planted.py", "import aiohttp", "aiohttp only under entrypoints/http"),
    ("adapters/planted.py", "import hiredis", "hiredis, redis and valkey only under"),
    ("adapters/planted.py", "import prometheus_client", "prometheus_client only in"),
    ("adapters/planted.py", "import polars", "polars only under adapters/columns"),
    ("adapters/planted.py", "import ray", "ray only under adapters/engines"),
    ("bootstrap_planted.py", "import rich", "typer and rich only under cli"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LINTER), "--no-cache", "--no-logo", "--config", "pyproject.toml"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(folder), "PATH": "", "COLUMNS": "200", "NO_COLOR": "1"},
    )


def test_the_contracts_hold() -> None:
    result = lint(tree.ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "line", "contract"), PLANTED)
def test_a_contract_bites(tmp_path: Path, name: str, line: str, contract: str) -> None:
    shutil.copytree(tree.ROOT / "ocs", tmp_path / "ocs", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(tree.ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "ocs" / name).write_text(f'"""Planted."""\n{line}\n', encoding="ascii")
    result = lint(tmp_path)
    broken = [row for row in result.stdout.splitlines() if " BROKEN" in row]
    assert result.returncode != 0
    assert "planted" in result.stdout + result.stderr
    if line:
        assert any(row.startswith(contract) for row in broken), result.stdout

"""The top level holds what the design lists and nothing else; nothing names the machine it was
made on."""

import re
from pathlib import Path

import pytest

from tests.architecture import tree

TOP_LEVEL = {
    "pyproject.toml",
    "requirements.lock",
    "ocs",
    "config",
    "return_codes.ini",
    "benchmarks",
    "tests",
    "Dockerfile",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "docs",
    "deploy",
}

# Spelled in pieces, so that this file passes its own check.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("deb", "debian", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w.$}-])/(?:work|root|home|Users)/\w")
HOST = re.compile(r"(?<![\w-])(?:\w+\.)*(?:" + "|".join(map(re.escape, HOSTS)) + r")(?![\w-])")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")


def test_the_top_level_is_what_the_design_lists() -> None:
    present = {path.parts[0] for path in tree.files()}
    assert {name for name in present if not name.startswith(".")} - TOP_LEVEL == set()
    assert TOP_LEVEL - present == set()


def test_every_package_folder_is_a_package() -> None:
    """import-linter does not see a module whose folder has no __init__.py."""
    modules = tree.files_under("ocs", suffix=".py")
    folders = {folder for path in modules for folder in path.parents if folder.parts}
    bare = [str(folder) for folder in folders if not (tree.ROOT / folder / "__init__.py").exists()]
    assert bare == []


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "common.py", "misc.py"])
def test_no_file_is_a_drawer(name: str) -> None:
    assert [path for path in tree.files() if path.name == name] == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, HOST], ids=["machine path", "registry host"])
def test_nothing_names_the_machine_or_a_registry(pattern: re.Pattern[str]) -> None:
    assert [hit for path in tree.files() for hit in _hits(path, pattern)] == []


def test_nothing_is_left_unfinished() -> None:
    sources = [path for path in tree.files() if path.suffix in {".py", ".lua", ".toml", ".ini"}]
    assert [hit for path in sources for hit in _hits(path, UNFINISHED)] == []


@pytest.mark.parametrize(
    ("pattern", "line", "hit"),
    [
        (MACHINE_PATH, "see /" + "work/main/ocs", True),
        (MACHINE_PATH, "open('/" + "home/someone/x')", True),
        (MACHINE_PATH, "https://example.org/" + "home/page", False),
        (MACHINE_PATH, "a/" + "work/b", False),
        (HOST, "https://files." + HOSTS[1] + "/packages", True),
        (HOST, "my" + HOSTS[0] + "anic", False),
        (UNFINISHED, "# TO" + "DO later", True),
    ],
)
def test_the_patterns_find_what_they_are_for(
    pattern: re.Pattern[str], line: str, hit: bool
) -> None:
    assert bool(pattern.search(line)) is hit


def _hits(path: Path, pattern: re.Pattern[str]) -> list[str]:
    try:
        lines = tree.text(path).splitlines()
    except UnicodeDecodeError:
        return []
    return [f"{path}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]

"""What the Makefile, the README and the Dockerfile tell people to type exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocs.cli.app import app
from tests.architecture import tree

DOCUMENTS = ("README.md", "CHANGELOG.md", "Makefile", "Dockerfile", "docs")
IMAGE = re.compile(r'^ENTRYPOINT \["ocs"\]\nCMD (\[.*\])$', re.MULTILINE)
TARGET = re.compile(r"^([a-z]+):(?:[^=\n]*?)(?:## (.+))?$", re.MULTILINE)
# `ocs serve --config x`, .venv/bin/ocs serve, $(BIN)/ocs demo
COMMAND = re.compile(r"(?:^|[`\s/])ocs ((?:[a-z]+ ?)+)((?:[^`\n|&;#]*))", re.MULTILINE)
MENTION = re.compile(r"(?:^|[`$\s])make ([a-z]+)\b", re.MULTILINE)


def targets() -> dict[str, str]:
    return {hit[0]: hit[1] for hit in TARGET.findall(tree.text(Path("Makefile")))}


def documents() -> list[tuple[str, str]]:
    return [
        (str(path), tree.text(path))
        for path in tree.files()
        if path.parts[0] in DOCUMENTS and path.suffix in {"", ".md"}
    ]


def code_of(name: str, text: str) -> str:
    """Only what a document sets as code: prose may say "make sure"."""
    if name == "Makefile":
        return "\n".join(re.findall(r"\$\(BIN\)(/ocs .*)$", text, re.MULTILINE))
    if name == "Dockerfile":
        return " ".join(
            ["ocs", *(word for each in IMAGE.findall(text) for word in json.loads(each))]
        )
    if not name.endswith(".md"):
        return text
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*blocks, *spans])


def test_the_makefile_lists_at_most_twelve_commands() -> None:
    listed = [name for name, meaning in targets().items() if meaning]
    assert {"run", "demo", "check", "test", "fmt", "bench", "nightly", "docker"} <= set(listed)
    assert len(listed) <= 12
    shown = subprocess.run(
        ["make"], cwd=tree.ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [name for name in listed if not any(row.split()[:1] == [name] for row in shown)] == []


def test_every_target_is_phony() -> None:
    """A file of that name would silence the command."""
    phony = re.findall(r"^\.PHONY:(.*)$", tree.text(Path("Makefile")), re.MULTILINE)
    assert set(targets()) == set(" ".join(phony).split())


def test_every_make_command_mentioned_exists() -> None:
    mentioned = {
        (name, target)
        for name, text in documents()
        if name.endswith(".md")
        for target in MENTION.findall(code_of(name, text))
    }
    assert mentioned, "the README says how to run it"
    assert {(name, target) for name, target in mentioned if target not in targets()} == set()


def test_every_ocs_command_mentioned_exists() -> None:
    """Each is asked for its help; options written after it must be in there."""
    wanted: dict[str, set[tuple[str, str]]] = {}
    for name, text in documents():
        for words, rest in COMMAND.findall(code_of(name, text)):
            options = re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)
            command = wanted.setdefault(words.split()[0], set())
            command |= {(name, each) for each in ["", *options]}
    assert {"serve", "demo"} <= set(wanted)
    wrong = []
    for verb, uses in sorted(wanted.items()):
        shown = help_of(verb)
        wrong += [
            f"{name}: ocs {verb} {option}"
            for name, option in sorted(uses)
            if not shown or option not in shown
        ]
    assert wrong == [], "\n".join(wrong)


def help_of(command: str) -> str:
    """The help of a command and of its sub-commands; empty when there is no such command."""
    shown = _help(command)
    _, _, listed = shown.partition("Commands")
    names = re.findall(r"^[│|\s]*([a-z][a-z-]+)\s{2,}\S", listed, re.MULTILINE)
    return "\n".join([shown, *(_help(command, name) for name in names)])


def _help(*words: str) -> str:
    runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    answer = runner.invoke(app, [*words, "--help"])
    return "" if answer.exit_code else answer.stdout


@pytest.mark.parametrize(
    "path", sorted((tree.ROOT / "benchmarks").glob("bench_*.py")), ids=lambda path: path.stem
)
@pytest.mark.slow
def test_every_benchmark_runs_in_smoke_mode(path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, str(path), "--smoke"],
        cwd=tree.ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.strip(), "a benchmark prints its figures"

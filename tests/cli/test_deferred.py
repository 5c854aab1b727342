"""A command starts with what it needs, and nothing of the others."""

import subprocess
import sys

import pytest

from ocs.cli.deferred import DeferredGroup
from tests.cli.terminal import COMMAND, Terminal

LOADED = """
import sys
from ocs.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


def modules_of(*arguments: str) -> set[str]:
    """Run a command in a process of its own; tell what it imported."""
    command = [sys.executable, "-c", LOADED, *arguments]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stderr.split())


def groups() -> list[DeferredGroup]:
    assert isinstance(COMMAND, DeferredGroup)
    members = COMMAND.commands.values()
    return [COMMAND, *(each for each in members if isinstance(each, DeferredGroup))]


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        ("--version", "aiohttp polars hiredis rich ocs.bootstrap"),
        ("rate --help", "aiohttp polars ocs.cli.offline_run ocs.cli.source"),
        ("verify --help", "aiohttp polars ocs.cli.offline_run ocs.cli.source"),
        ("offline run --help", "aiohttp polars ocs.cli.offline_parked"),
        ("offline --help", "aiohttp polars"),
    ],
)
def test_a_command_imports_no_more_than_it_needs(arguments: str, absent: str) -> None:
    loaded = modules_of(*arguments.split())
    assert "ocs.cli.app" in loaded
    assert loaded & set(absent.split()) == set()


def test_every_command_is_where_its_group_says_and_tells_what_it_does() -> None:
    listed = [(name, made) for group in groups() for name, made in group.commands.items()]
    assert {"serve", "offline", "run"} <= {name for name, _ in listed}
    assert [name for name, made in listed if made.name != name or not made.help] == []


def test_help_lists_all_commands_in_their_order() -> None:
    shown = Terminal({"COLUMNS": "200"}).run("offline", "--help")
    words = [line.strip("│ ").split(" ")[0] for line in shown.splitlines()]
    group = next(each for each in groups() if each.name == "offline")
    assert [word for word in words if word in group.places] == list(group.places)


def test_a_wrong_name_is_told_with_the_right_one() -> None:
    terminal = Terminal()
    terminal.run("offline", "rerat", expect=2)
    assert "Did you mean" in terminal.stderr
    assert "rerate" in terminal.stderr

"""The command line as a person or a script meets it: arguments in; exit code, stdout, stderr out."""

import json
import sys
from typing import Any, Final

from typer.main import get_command
from typer.testing import CliRunner

from ocs.cli.app import app

COMMAND: Final = get_command(app)
"""Made once: making it takes longer than most commands."""


class Terminal:
    """Commands run in this process; `environment` is what the shell would have set."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._runner = CliRunner()
        self._environment = environment or {}
        self.stdout = ""
        self.stderr = ""

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command, hold its exit code against `expect`, and give what it printed."""
        with self._runner.isolation(env=self._environment) as (stdout, stderr, _):
            code = _exit_code(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            self.stdout, self.stderr = stdout.getvalue().decode(), stderr.getvalue().decode()
        assert code == expect, f"{arguments}: {self.stdout}{self.stderr}"
        return self.stdout

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run a command with --json."""
        return json.loads(self.run(*arguments, "--json", expect=expect))

    def rows(self, *arguments: str) -> list[list[str]]:
        """Run a command that prints a table; give its cells below the header."""
        return [line.split() for line in self.run(*arguments).splitlines()[1:]]


def _exit_code(arguments: tuple[str, ...]) -> object:
    try:
        COMMAND.main(list(arguments), prog_name="ocs")
    except SystemExit as end:
        return end.code or 0
    raise AssertionError("a command ends its process")

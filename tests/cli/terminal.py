"""The command line as a person or a script meets it: arguments in; exit code, stdout, stderr out."""

import json
from typing import Any

from typer.testing import CliRunner

from ocs.cli.app import app


class Terminal:
    """Commands run in this process; `environment` is what the shell would have set."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._runner = CliRunner()
        self._environment = environment or {}
        self.stdout = ""
        self.stderr = ""

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command, hold its exit code against `expect`, and give what it printed."""
        result = self._runner.invoke(app, arguments, env=self._environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.stdout, self.stderr = result.stdout, result.stderr
        assert result.exit_code == expect, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def json(self, *arguments: str, expect: int = 0) -> Any:
        """Run a command with --json."""
        return json.loads(self.run(*arguments, "--json", expect=expect))

    def rows(self, *arguments: str) -> list[list[str]]:
        """Run a command that prints a table; give its cells below the header."""
        return [line.split() for line in self.run(*arguments).splitlines()[1:]]

"""The command line: one module a command, all registered in `app`."""

from ocs.cli.app import main

__all__ = ["main"]

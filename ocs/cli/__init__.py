"""The command line: one module a command, all named in `app`, imported when asked for."""

from ocs.cli.app import main

__all__ = ["main"]

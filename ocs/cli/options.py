"""The options that most commands share, and what they lead to: settings, or an end with reasons."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from ocs.config.location import is_installed, shipped_configuration
from ocs.config.reader import ConfigurationError, read_settings
from ocs.config.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="OCS_CONFIG",
        help="The configuration file; the sample that ocs comes with unless named.",
    ),
]
DirectoryOption = Annotated[
    Path | None,
    typer.Option("--dir", "-d", help="The data directory, instead of the configured one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: JSON on stdout.")]

ASKED_WRONGLY = 2


def fail(reason: str, code: int = 1) -> typer.Exit:
    """Say on stderr why the command ends; raise what this returns."""
    typer.secho(reason, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    return typer.Exit(code)


def settings_of(config: Path | None, directory: Path | None, store_url: str = "") -> Settings:
    """Read the settings, or end with every reason why they cannot be used.

    `store_url`, if it is there, is instead of the configured store.
    """
    path = config or shipped_configuration()
    try:
        settings = read_settings(path, os.environ)
    except ConfigurationError as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    if directory is None and is_installed(path):
        directory = Path("var")
    if directory is not None:
        store = replace(settings.store, directory=str(directory.absolute()))
        settings = replace(settings, store=store)
    if store_url:
        settings = replace(settings, store=replace(settings.store, url=store_url))
    return settings

"""The `ocs` command: every subcommand is a plain function of its module, named here.

Exit codes: 0 done, 1 done and something is wrong (a check failed, a service stopped), 2 asked
wrongly (unknown option, unusable configuration). Results go to stdout, everything else to stderr.
"""

import sys
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from ocs import __version__
from ocs.cli.deferred import DeferredGroup


class _Commands(DeferredGroup):
    places: ClassVar[Mapping[str, str]] = {
        "serve": "ocs.cli.serve:serve",
        "check": "ocs.cli.check:check",
        "rate": "ocs.cli.rate:rate",
        "replay": "ocs.cli.replay:replay",
        "verify": "ocs.cli.verify:verify",
        "demo": "ocs.cli.demo:demo",
        "account": "ocs.cli.account:app",
        "subscriber": "ocs.cli.subscriber:app",
        "credit": "ocs.cli.credit:app",
        "session": "ocs.cli.session:app",
        "tariff": "ocs.cli.tariff:app",
        "source": "ocs.cli.source:app",
        "audit": "ocs.cli.audit:app",
        "offline": "ocs.cli.offline:app",
    }


app = typer.Typer(
    name="ocs",
    cls=_Commands,
    help="Realtime online charging: rates, reserves and settles calls and data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ocs {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    assert not version, "--version ends the command before this"


def main() -> None:
    # A bug is an assert, and under -O a bug would go on and charge somebody.
    if not __debug__:
        sys.exit("ocs does not run under python -O: its assertions guard people's money.")
    app()

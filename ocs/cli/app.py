"""The `ocs` command: every subcommand is a plain function of its module, registered here.

Exit codes: 0 done, 1 done and something is wrong (a check failed, a service stopped), 2 asked
wrongly (unknown option, unusable configuration). Results go to stdout, everything else to stderr.
"""

import sys
from typing import Annotated

import typer

from ocs import __version__
from ocs.cli import account, audit, credit, offline, session, source, subscriber, tariff
from ocs.cli.check import check
from ocs.cli.demo import demo
from ocs.cli.rate import rate
from ocs.cli.replay import replay
from ocs.cli.serve import serve
from ocs.cli.verify import verify

app = typer.Typer(
    name="ocs",
    help="Realtime online charging: rates, reserves and settles calls and data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(check)
app.command()(rate)
app.command()(replay)
app.command()(verify)
app.command()(demo)
app.add_typer(account.app, name="account")
app.add_typer(subscriber.app, name="subscriber")
app.add_typer(credit.app, name="credit")
app.add_typer(session.app, name="session")
app.add_typer(tariff.app, name="tariff")
app.add_typer(source.app, name="source")
app.add_typer(audit.app, name="audit")
app.add_typer(offline.app, name="offline")


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

"""`ocs offline`: CDRs that are finished, rated from files into files, and what they come to."""

from collections.abc import Mapping
from typing import ClassVar

import typer

from ocs.cli.deferred import DeferredGroup


class _Commands(DeferredGroup):
    places: ClassVar[Mapping[str, str]] = {
        "parked": "ocs.cli.offline_parked:parked",
        "reconcile": "ocs.cli.offline_reconcile:reconcile",
        "report": "ocs.cli.offline_report:report",
        "rerate": "ocs.cli.offline_rerate:rerate",
        "share": "ocs.cli.offline_share:share",
        "work": "ocs.cli.offline_share:work",
        "shares": "ocs.cli.offline_share:shares",
        "run": "ocs.cli.offline_run:run",
    }


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, help="Finished CDRs: rate them, report on them."
)

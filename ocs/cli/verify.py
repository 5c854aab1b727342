"""`ocs verify`: whether the books are right."""

from typing import Annotated

import typer
from rich.table import Table

from ocs.bootstrap.audit import ReelFault, books_of
from ocs.bootstrap.stores import journal_directory
from ocs.cli.office import Office, Place, StoreOption, at_office, show_json, show_table
from ocs.cli.options import ConfigOption, DirectoryOption, JsonOption, fail
from ocs.usecases.verification import Report
from ocs.usecases.verification import verify as verify_books


def verify(
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start", help="Add up the journal's files too, instead of its checkpoints."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every wallet, session and journal entry of the store; exit 1 if any rule is broken."""
    report = verified(Place(config, directory, store), from_start=from_start)
    if as_json:
        show_json(report)
    else:
        show_report(report)
    if not report.clean:
        raise fail(f"the books are NOT right: {len(report.findings)} findings")


def verified(place: Place, *, from_start: bool) -> Report:
    """Check the store at a place."""

    async def work(office: Office) -> Report:
        folder = journal_directory(office.settings)
        books = await books_of(office.stores.connection, folder, from_start=from_start)
        return await verify_books(books)

    try:
        return at_office(place, work)
    except ReelFault as fault:
        raise fail(f"{fault} (ocs audit verify tells all that is damaged)") from None


def show_report(report: Report) -> None:
    """Print what was checked, and what was found."""
    if report.findings:
        table = Table("partition", "rule", "subject", "what is wrong", box=None, pad_edge=False)
        for finding in report.findings:
            table.add_row(str(finding.partition), finding.rule, finding.subject, finding.detail)
        show_table(table)
    typer.echo(
        f"verified {report.wallets} wallets, {report.sessions} sessions"
        f" ({report.open_sessions} open) and {report.entries} journal entries"
        f" in {report.partitions} partitions: {'clean' if report.clean else 'NOT clean'}"
    )

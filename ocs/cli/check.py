"""`ocs check`: everything that a start would find wrong, found without starting."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from ocs.bootstrap.checking import Finding, Report, check_all
from ocs.cli.office import people
from ocs.cli.options import ConfigOption, JsonOption
from ocs.config.location import shipped_configuration

_AREAS = {
    "configuration": "options, their values, and what they name",
    "return codes": "the table of outcomes",
    "sources": "how clients write their events, and how they are answered",
    "tariffs": "every line of every tariff file",
    "plans": "their tariffs, and the currencies of the accounts that use them",
    "provisioning": "the files of accounts and subscribers",
}


def check(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    tariffs: Annotated[
        Path | None, typer.Option(help="A folder of tariffs, instead of the configured one.")
    ] = None,
) -> None:
    """Check configuration, return codes, sources, tariffs, plans, accounts; tell every fault."""
    report = check_all(config or shipped_configuration(), tariffs)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.good else 1)


def _show(report: Report) -> None:
    console = people()
    console.print(Text(report.configuration, "bold"))
    for area, what in _AREAS.items():
        found = [finding for finding in report.findings if finding.area == area]
        if area not in report.checked:
            console.print(Text.assemble(("  not checked", "yellow"), f"  {area}"))
        elif found:
            console.print(Text.assemble((f"  {len(found):>5} wrong", "red"), f"  {area}"))
        else:
            console.print(Text.assemble(("         good", "green"), f"  {area}: {what}"))
    if report.findings:
        console.print(_table("what is wrong", report.findings))
    if report.warnings:
        console.print(_table("what is probably not meant", report.warnings))
    for tariff in report.tariffs:
        about = f"{tariff.rates} rates, {tariff.usage_type}, {tariff.currency}"
        console.print(f"  tariff {tariff.name}: {about}")


def _table(what: str, findings: tuple[Finding, ...]) -> Table:
    table = Table("file", "line", "column", what, box=None, pad_edge=False)
    for finding in findings:
        line = str(finding.line) if finding.line else ""
        table.add_row(finding.file, line, finding.column, finding.reason)
    return table

"""`ocs check`: everything that a start would find wrong, found without starting."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from ocs.bootstrap.checking import Finding, Report, check_all
from ocs.cli.options import ConfigOption, JsonOption
from ocs.config.location import shipped_configuration

_AREAS = {
    "configuration": "options, their values, and what they name",
    "return codes": "the table of outcomes",
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
    """Check configuration, return codes, tariffs, plans and provisioning; tell every fault."""
    report = check_all(config or shipped_configuration(), tariffs)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        _show(report)
    raise typer.Exit(0 if report.good else 1)


def _show(report: Report) -> None:
    console = Console()
    console.print(f"[bold]{report.configuration}[/bold]", highlight=False)
    for area, what in _AREAS.items():
        found = [finding for finding in report.findings if finding.area == area]
        if area not in report.checked:
            console.print(f"  [yellow]not checked[/yellow]  {area}")
        elif found:
            console.print(f"  [red]{len(found):>4} wrong[/red]  {area}")
        else:
            console.print(f"  [green]      good[/green]  {area}: {what}", highlight=False)
    if report.findings:
        console.print(_table(report.findings))
    for tariff in report.tariffs:
        console.print(
            f"  tariff {tariff.name}: {tariff.rates} rates, {tariff.usage_type}, {tariff.currency}",
            highlight=False,
        )


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table("file", "line", "column", "what is wrong", box=None, pad_edge=False)
    for finding in findings:
        line = str(finding.line) if finding.line else ""
        table.add_row(finding.file, line, finding.column, finding.reason)
    return table

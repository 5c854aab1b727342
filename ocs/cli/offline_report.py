"""`ocs offline report`: traffic and money of rated CDRs, as a table and as a drawing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from ocs.bootstrap.reporting import reported
from ocs.bootstrap.stores import CannotStart
from ocs.cli.charts import Bar, bar_chart
from ocs.cli.office import show_json, show_table
from ocs.cli.options import JsonOption, fail
from ocs.domain.money import currency, format_money
from ocs.usecases.traffic import By, Traffic

MOST_BARS: Final = 40
"""More cannot be read on one page; the table has all."""

_NOTHING: Final = "-"


def report(
    *,
    of: Annotated[Path, typer.Option(help="The folder that `ocs offline run --out` wrote.")],
    by: Annotated[By, typer.Option(help="What traffic is told apart by.")] = By.DESTINATION,
    svg: Annotated[Path | None, typer.Option(help="Draw the money into this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show CDRs, units and money by destination, hour, day or trunk."""
    try:
        lines = reported(of, by)
    except CannotStart as error:
        raise fail(str(error)) from None
    if svg is not None:
        try:
            svg.write_text(_chart(lines, by), encoding="utf-8")
        except OSError as error:
            raise fail(f"{svg}: {error.strerror}") from None
    if as_json:
        show_json(lines)
    else:
        show_table(_table(lines, by))


def _table(lines: Sequence[Traffic], by: By) -> Table:
    table = Table("tenant", "used", by.value, box=None, pad_edge=False)
    for name in ("CDRs", "with use", "units", "amount"):
        table.add_column(name, justify="right")
    table.add_column("currency")
    for line in lines:
        table.add_row(
            line.tenant,
            line.usage_type,
            line.key or _NOTHING,
            f"{line.cdrs:,}",
            f"{line.used:,}",
            f"{line.units:,}",
            _told(line),
            line.currency or _NOTHING,
        )
    return table


def _told(line: Traffic) -> str:
    return format_money(line.amount, currency(line.currency)) if line.currency else "0"


def _chart(lines: Sequence[Traffic], by: By) -> str:
    """Draw the lines of each tenant, usage type and currency that cost anything."""
    paid = [line for line in lines if line.currency]
    parts = dict.fromkeys((line.tenant, line.usage_type, line.currency) for line in paid)
    several = len(parts) > 1
    bars = [
        Bar(
            f"{line.tenant} {line.usage_type} {line.key}" if several else line.key or _NOTHING,
            line.amount,
            f"{_told(line)} {line.currency}",
        )
        for line in paid[:MOST_BARS]
    ]
    return bar_chart(f"Money by {by.value}", bars)

"""What a run of offline rating comes to, shown to people; and what stands in its way."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from rich.table import Table

from ocs.bootstrap.offline import BadOptionError
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import show_table
from ocs.cli.options import ASKED_WRONGLY, fail
from ocs.domain.money import currency, format_money
from ocs.usecases.offline_rating import Fate, Money
from ocs.usecases.offline_summary import RunSummary
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.settling_cdrs import Settled

METRICS_EVERY_S: Final = 5.0
"""How often figures are written for a collector."""


@contextmanager
def told(out: Path, stays: str) -> Iterator[None]:
    """End the command with what stands in its way; `stays`: what there is nevertheless."""
    logging.getLogger("ocs").addHandler(logging.NullHandler())  # the command's end tells it
    try:
        yield
    except BadOptionError as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    except (CannotStart, LedgerUnavailable) as error:
        raise fail(f"{error}; {stays} stays, and the same command goes on from it") from None
    except OSError as error:
        raise fail(f"{error.filename or out}: {error.strerror or error}") from None


def is_lacking(summary: RunSummary) -> bool:
    """Tell whether something was not read, has no price, or was not debited as it should."""
    return bool(summary.unread or summary.rejected or Settled.REJECTED in summary.settled)


def show_summary(summary: RunSummary, kept: Path) -> None:
    per_second = summary.rated_now / summary.seconds if summary.seconds else 0.0
    typer.echo(
        f"{summary.rated_now:,} CDRs rated in {summary.seconds:.1f} s: {per_second:,.0f} a second;"
        f" {summary.rated - summary.rated_now:,} were done before"
    )
    chunks = summary.chunks
    typer.echo(
        f"{summary.files} files, {sum(chunks.values())} chunks ({chunks[Fate.ELSEWHERE]} left to"
        f" another run), {summary.entries:,} entries: {summary.used:,} used,"
        f" {summary.skipped:,} skipped"
    )
    if summary.money:
        show_table(money_table(summary.money, "amount"))
    if summary.debited:
        show_table(money_table(summary.debited, "debited"))
    for each in summary.overrun:
        below = format_money(each.amount, currency(each.currency))
        typer.echo(f"of that {below} {each.currency} of {each.tenant} below the accounts' floors")
    if summary.settled:
        show_table(counts_table("settled", "CDRs", summary.settled))
    if summary.rejected:
        show_table(counts_table("rejected", "entries", summary.rejected))
    for unread in summary.unread:
        typer.echo(f"not read: {unread.file}: {unread.reason}", err=True)
    typer.echo(f"kept in {kept}")


def counts_table(head: str, counted: str, counts: Mapping[str, int]) -> Table:
    table = Table(head, counted, box=None, pad_edge=False)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table


def money_table(money: Sequence[Money], head: str) -> Table:
    table = Table("tenant", "currency", "CDRs", head, box=None, pad_edge=False)
    for each in money:
        amount = format_money(each.amount, currency(each.currency)) if each.currency else "none"
        table.add_row(each.tenant, each.currency or "-", f"{each.cdrs:,}", amount)
    return table

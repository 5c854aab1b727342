"""`ocs offline rerate`: a period by other tariffs; what would change, and putting it right."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.table import Table

from ocs.bootstrap.rerating import CannotApply, Rerated, RerateJob, rerated
from ocs.bootstrap.stores import CannotStart
from ocs.cli.instants import instant_ms
from ocs.cli.office import StoreOption, show_json, show_table
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings
from ocs.domain.money import currency as currency_of
from ocs.domain.money import format_money
from ocs.domain.results import ResultCode
from ocs.domain.zones import zone_named
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.rerating import Outcome
from ocs.usecases.rerating_report import By, Line, Period, Selection

MOST_LINES: Final = 40
"""More cannot be read on one page; the files and --json have all."""
_NOTHING: Final = "-"


OfOption = Annotated[
    list[Path] | None, typer.Option("--of", help="What `ocs offline run --out` wrote.")
]
OnlineOption = Annotated[Path | None, typer.Option(help="What `ocs audit export --to` wrote.")]
FromOption = Annotated[
    str, typer.Option("--from", help="When uses began: a date or a time, the tenant's; included.")
]
ToOption = Annotated[str, typer.Option("--to", help="The same, and not included any more.")]
TariffsOption = Annotated[
    Path | None, typer.Option(help="The folder of new tariffs; the configured one.")
]
PlansOption = Annotated[
    Path | None, typer.Option(help="Another configuration, whose plans are to count.")
]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Only this one's; may be repeated.")]
DestinationOption = Annotated[
    list[str] | None, typer.Option(help="Only what was charged as this; may be repeated.")
]
PrefixOption = Annotated[
    list[str] | None, typer.Option(help="Only what was used to numbers that begin so.")
]
ByOption = Annotated[By, typer.Option(help="What differences are told apart by.")]
MostOption = Annotated[int, typer.Option(min=0, help="So many of the biggest differences.")]
ApplyOption = Annotated[
    bool, typer.Option("--apply", help="Adjust the accounts; without it nothing changes.")
]

LeaveOption = Annotated[
    str, typer.Option(help="Leave alone what nobody can tell of this page, and do the rest of it.")
]


class _Asked(Struct, frozen=True):
    """The selection as it was written."""

    begin: str
    end: str
    tenants: Sequence[str]
    accounts: Sequence[str]
    plans: Sequence[str]
    destinations: Sequence[str]
    prefixes: Sequence[str]


def rerate(
    *,
    rated: OfOption = None,
    online: OnlineOption = None,
    begin: FromOption,
    end: ToOption,
    out: Annotated[Path, typer.Option(help="The folder of all re-ratings.")],
    tariffs: TariffsOption = None,
    plans_of: PlansOption = None,
    tenant: OnlyOption = None,
    account: OnlyOption = None,
    plan: OnlyOption = None,
    destination: DestinationOption = None,
    prefix: PrefixOption = None,
    by: ByOption = By.DESTINATION,
    most: MostOption = 10,
    apply: ApplyOption = False,
    leave: LeaveOption = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    as_json: JsonOption = False,
) -> None:
    """Rate a period again by other tariffs; with --apply adjust the accounts by the difference."""
    if not rated and online is None:
        raise fail("--of or --online: one of them is needed, or there is nothing", ASKED_WRONGLY)
    if leave and not apply:
        raise fail("--leave goes with --apply only", ASKED_WRONGLY)
    settings = _rated_by(settings_of(config, directory, store), tariffs)
    only = (each or () for each in (tenant, account, plan, destination, prefix))
    job = RerateJob(
        rated=tuple(rated or ()),
        export=online,
        out=out,
        selection=_selection(settings, _Asked(begin, end, *only)),
        plans=(settings if plans_of is None else settings_of(plans_of, directory)).plans,
        by=by,
        most=most,
        applies=apply,
        leaves=leave,
    )
    done = _rerated(settings, job)
    if as_json:
        show_json(done)
    else:
        _show(done, by)
    if leave and not any(each.code is ResultCode.OUTCOME_UNKNOWN for each in done.finished):
        typer.echo(f"--leave was not needed: of {leave} all could be told", err=True)
    if any(each.code is not ResultCode.OK for each in (*done.finished, *done.outcomes)):
        raise typer.Exit(1)


def _rated_by(settings: Settings, tariffs: Path | None) -> Settings:
    if tariffs is None:
        return settings
    return replace(settings, rating=replace(settings.rating, tariffs=str(tariffs)))


def _rerated(settings: Settings, job: RerateJob) -> Rerated:
    logging.getLogger("ocs").addHandler(logging.NullHandler())  # the command's end tells it
    try:
        return rerated(settings, job)
    except (CannotStart, CannotApply) as error:
        raise fail(str(error)) from None
    except (LedgerUnavailable, OutcomeUnknown) as error:
        raise fail(
            f"{error}; what was adjusted is written down, and the same command goes on from it"
        ) from None


def _selection(settings: Settings, asked: _Asked) -> Selection:
    zones = {each.name: zone_named(each.zone) for each in settings.tenants}
    strange = sorted(set(asked.tenants) - set(zones))
    if strange:
        raise fail(
            f"--tenant: there is no {strange[0]!r}; known: {', '.join(zones)}", ASKED_WRONGLY
        )
    periods: dict[str, Period] = {}
    for name in asked.tenants or zones:
        from_ms = instant_ms("--from", asked.begin, zones[name])
        to_ms = instant_ms("--to", asked.end, zones[name])
        if from_ms >= to_ms:
            raise fail("--to: expected to be later than --from", ASKED_WRONGLY)
        periods[name] = Period(from_ms, to_ms)
    return Selection(
        periods=periods,
        accounts=tuple(asked.accounts),
        plans=tuple(asked.plans),
        destinations=tuple(asked.destinations),
        prefixes=tuple(asked.prefixes),
    )


def _show(done: Rerated, by: By) -> None:
    compared = done.compared
    charged_by = ", ".join(each or "unknown tariffs" for each in done.old_generations)
    typer.echo(
        f"{compared.uses:,} uses compared, {compared.changed:,} have another price by tariffs"
        f" {done.generation}{f', charged by {charged_by}' if charged_by else ''}"
    )
    if compared.lines:
        show_table(_lines_table(compared.lines[:MOST_LINES], by))
    if len(compared.lines) > MOST_LINES:
        typer.echo(f"and {len(compared.lines) - MOST_LINES:,} more")
    if compared.biggest:
        show_table(_biggest_table(done))
    for head, counts in (("not compared", compared.left_out), ("left alone", compared.not_applied)):
        if counts:
            show_table(_counts_table(head, counts))
    _show_outcomes("finished what an earlier run had begun", done.finished)
    _show_outcomes(f"applied as {done.page}", done.outcomes)
    if not done.page:
        typer.echo(
            "nothing was adjusted"
            if not any(line.due for line in compared.lines)
            else "nothing was adjusted: that is done with --apply"
        )
    typer.echo(f"kept in {done.folder}")


def _lines_table(lines: Sequence[Line], by: By) -> Table:
    table = Table("tenant", by.value, box=None, pad_edge=False)
    for name in ("uses", "old", "new", "difference", "to adjust"):
        table.add_column(name, justify="right")
    table.add_column("currency")
    for line in lines:
        amounts = (line.old, line.new, line.difference, line.due)
        money = (_money(amount, line.currency) for amount in amounts)
        key = line.key or _NOTHING
        table.add_row(line.tenant, key, f"{line.uses:,}", *money, line.currency or _NOTHING)
    return table


def _biggest_table(done: Rerated) -> Table:
    table = Table("biggest", "account", "destination", box=None, pad_edge=False)
    for name in ("units", "old", "new", "difference"):
        table.add_column(name, justify="right")
    table.add_column("currency")
    for each in done.compared.biggest:
        money = (_money(amount, each.currency) for amount in (each.old, each.new, each.difference))
        about = (each.use_id, each.account, each.destination or _NOTHING)
        table.add_row(*about, f"{each.units:,}", *money, each.currency or _NOTHING)
    return table


def _counts_table(head: str, counts: Mapping[str, int]) -> Table:
    table = Table(head, "uses", box=None, pad_edge=False)
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table


def _show_outcomes(head: str, outcomes: Sequence[Outcome]) -> None:
    if not outcomes:
        return
    moved = [each for each in outcomes if each.code is ResultCode.OK]
    others = [each for each in outcomes if each.code is not ResultCode.OK]
    left = sum(each.code is ResultCode.OUTCOME_UNKNOWN for each in others)
    told = f", {left:,} left alone" if left else ""
    refused = len(others) - left
    typer.echo(f"{head}: {len(moved):,} accounts adjusted, {refused:,} refused{told}")
    for code in sorted({each.currency for each in moved}):
        amounts = [each.amount for each in moved if each.currency == code]
        charged = sum(amount for amount in amounts if amount > 0)
        given = -sum(amount for amount in amounts if amount < 0)
        typer.echo(f"{_money(charged, code)} {code} charged, {_money(given, code)} given back")
    for each in others[:MOST_LINES]:
        amount = f"{_money(each.amount, each.currency)} {each.currency}"
        word = "left alone" if each.code is ResultCode.OUTCOME_UNKNOWN else "refused"
        typer.echo(f"{word}: {each.tenant} {each.account} {amount}: {each.reason}", err=True)


def _money(amount: int, code: str) -> str:
    return format_money(amount, currency_of(code)) if code else str(amount)

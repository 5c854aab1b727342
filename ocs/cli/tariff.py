"""`ocs tariff`: decks that come from elsewhere, and what a new one changes before it is served."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from ocs.adapters.clock import wall_ms
from ocs.adapters.tariff_files import BadLine, TariffCheck, check_folder
from ocs.bootstrap.comparing import CannotCompareError, CannotLoad, FolderDiff, diff, exported
from ocs.bootstrap.importing import (
    SYSTEMS,
    CannotImport,
    ImportReport,
    Order,
    import_tariffs,
    plans_text,
)
from ocs.bootstrap.rate_matching import CannotMatch, MatchReport, match_event
from ocs.cli.instants import instant_ms
from ocs.cli.office import people, show_json
from ocs.cli.options import ASKED_WRONGLY, ConfigOption, JsonOption, fail, settings_of
from ocs.domain.money import MAX_UNITS
from ocs.domain.usage import USAGE_TYPES
from ocs.domain.zones import zone_named
from ocs.usecases.price_lists import Fault
from ocs.usecases.tariff_diff import Change, Question, TariffDiff

app = typer.Typer(help="Import, export, compare and check tariffs.", no_args_is_help=True)

_IS_DIFFERENT: Final = 1
_CANNOT_COMPARE: Final = 2
_TOP: Final = 20
_USED: Final = {
    "voice": (60, 180, 600),
    "data": (1_048_576, 10_485_760, 104_857_600),
    "sms": (1, 10, 100),
    "mms": (1, 10, 100),
    "event": (1, 10, 100),
}
"""By usage type: the units that a comparison prices unless others are named."""

_COLOURS: Final = {
    Change.BLOCKED: "red",
    Change.REMOVED: "red",
    Change.DEARER: "yellow",
    Change.MIXED: "yellow",
    Change.CHEAPER: "green",
    Change.UNBLOCKED: "green",
    Change.NEW: "green",
}


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A folder (CGRateS) or a file.")],
    *,
    system: Annotated[str, typer.Option("--from", help=f"One of {', '.join(SYSTEMS)}.")],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    currency: Annotated[str, typer.Option(help="ISO 4217, which the source does not say.")],
    tenant: Annotated[str, typer.Option(help="Only this tenant of the source.")] = "",
    zone: Annotated[str, typer.Option(help="Of times of day; UTC unless named.")] = "",
    usage: Annotated[
        list[str] | None,
        typer.Option(help="What a category or usage type of the source is: roaming=data."),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Keep prices that are not in force any more.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Translate the tariffs of another system to price lists and plans."""
    if system not in SYSTEMS:
        raise fail(f"--from: {system!r} is none of {', '.join(SYSTEMS)}", ASKED_WRONGLY)
    order = Order(
        source=source,
        out=out,
        currency=currency,
        at_ms=None if history else wall_ms(),
        tenant=tenant,
        zone=_zone(zone),
        usage_types=_usage_types(usage or []),
    )
    try:
        report = import_tariffs(system, order)
    except CannotImport as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    if as_json:
        show_json(report)
    else:
        _show_import(report)
    raise typer.Exit(0 if report.is_written else 1)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="The tariff, as its file is named.")],
    tariffs: Annotated[
        Path | None, typer.Option(help="A folder of tariffs, instead of the configured one.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write a loaded tariff, which may have been written in any model, as CSV."""
    folder = tariffs or Path(settings_of(config, None).rating.tariffs)
    try:
        typer.echo(exported(folder, name), nl=False)
    except CannotLoad as error:
        raise _cannot_load(error) from None


@app.command("diff")
def diff_(
    old: Annotated[Path, typer.Argument(help="A tariff file, or a folder of them.")],
    new: Annotated[Path, typer.Argument(help="What is to come instead.")],
    *,
    numbers: Annotated[
        Path | None, typer.Option(help="A file of called numbers, one a line: what matters.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many destinations are told.")] = _TOP,
    units: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_UNITS, help="Units to price; may be repeated."),
    ] = None,
    at: Annotated[str, typer.Option(help="RFC 3339 or epoch seconds; now unless named.")] = "",
    zone: Annotated[str, typer.Option(help="Of decks that name none; UTC unless named.")] = "",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the exit code.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell what a new deck changes: 0 nothing, 1 something, 2 they cannot be compared."""
    sample = _numbers(numbers) if numbers else ()
    place = zone_named(_zone(zone) or "UTC")
    at_ms = instant_ms("--at", at, place)

    def question_of(usage_type: str) -> Question:
        return Question(tuple(units or _USED[usage_type]), at_ms, top, place, sample)

    try:
        found = diff(old, new, question_of)
    except CannotLoad as error:
        raise _cannot_load(error, _CANNOT_COMPARE) from None
    except CannotCompareError as error:
        raise fail(str(error), _CANNOT_COMPARE) from None
    if as_json:
        show_json(found)
    elif not quiet:
        _show_diff(found)
    raise typer.Exit(_IS_DIFFERENT if found.is_different else 0)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder of tariffs.")],
    as_json: JsonOption = False,
) -> None:
    """Read every line of every tariff of a folder; tell every fault."""
    if not folder.is_dir():
        raise fail(f"{folder} is not a folder", ASKED_WRONGLY)
    found = check_folder(folder)
    if as_json:
        show_json(found)
    else:
        _show_check(found)
    raise typer.Exit(0 if found.is_good else 1)


@app.command()
def match(
    rates: Annotated[Path, typer.Argument(help="BillRun's rates, as they are exported.")],
    filters: Annotated[Path, typer.Option(help="BillRun's filters by category, a JSON file.")],
    event: Annotated[str, typer.Option(help="An event: JSON, or a file of it.")],
    as_json: JsonOption = False,
) -> None:
    """Show which rate BillRun would take for an event, in each tariff category."""
    try:
        report = match_event(rates, filters, event)
    except CannotMatch as error:
        raise fail(str(error), ASKED_WRONGLY) from None
    if as_json:
        show_json(report)
    else:
        _show_match(report)
    raise typer.Exit(0 if report.is_rated else 1)


def _zone(name: str) -> str:
    try:
        return zone_named(name).name if name else ""
    except ValueError as error:
        raise fail(f"--zone: {error}", ASKED_WRONGLY) from None


def _usage_types(options: list[str]) -> dict[str, str]:
    found = {}
    for option in options:
        name, equals, usage_type = option.partition("=")
        if not equals or usage_type not in USAGE_TYPES:
            reason = f"--usage: {option!r} is not a name = one of {', '.join(USAGE_TYPES)}"
            raise fail(reason, ASKED_WRONGLY)
        found[name.strip()] = usage_type
    return found


def _numbers(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"--numbers: {path} cannot be read: {error}", ASKED_WRONGLY) from None
    return tuple(line.strip().removeprefix("+") for line in lines if line.strip())


def _cannot_load(error: CannotLoad, code: int = 1) -> typer.Exit:
    for line in error.bad_lines:
        place = f"{line.file}, line {line.line}" if line.line else line.file
        typer.echo(f"{place}: {line.column + ': ' if line.column else ''}{line.reason}", err=True)
    return fail(str(error), code)


def _show_import(report: ImportReport) -> None:
    console = people()
    for faults, style in ((report.faults, "red"), (report.warnings, "yellow")):
        if faults:
            console.print(_faults(faults, style))
    if not report.is_written:
        console.print(Text(f"{len(report.faults)} faults: nothing was written", "red"))
        return
    table = Table("tariff", "for", "model", box=None, pad_edge=False)
    table.add_column("rows", justify="right")
    for tariff in report.tariffs:
        table.add_row(tariff.name, tariff.usage_type, tariff.model, str(tariff.rows))
    console.print(table)
    console.print(Text(plans_text(report.plans).rstrip()))
    console.print(Text.assemble(("written", "green"), f" to {report.folder}"))


def _faults(faults: tuple[Fault, ...], style: str) -> Table:
    table = Table("file", "line", "column", "reason", box=None, pad_edge=False, style=style)
    for fault in faults:
        place = str(fault.line) if fault.line else fault.path
        table.add_row(fault.file, place, fault.column, fault.reason)
    return table


def _show_diff(found: FolderDiff) -> None:
    console = people()
    for tariff in found.tariffs:
        _show_tariff_diff(tariff)
    for names, what in ((found.only_in_old, "gone"), (found.only_in_new, "new")):
        for name in names:
            console.print(Text.assemble((what, "yellow"), f" tariff {name}"))
    if not found.is_different:
        console.print(Text("no call costs another amount", "green"))


def _show_tariff_diff(found: TariffDiff) -> None:
    console = people()
    counts = [f"{count} {change}" for change, count in found.counts.items() if count]
    about = (
        f"  {found.currency}; prefixes: {', '.join(counts)};"
        f" rows gone {found.rows_only_in_old}, new {found.rows_only_in_new}"
    )
    console.print(Text.assemble((found.name, "bold"), about))
    table = Table("prefix", "destination", "change", box=None, pad_edge=False)
    table.add_column("of", justify="right")
    for units in found.units:
        table.add_column(f"{units}: old", justify="right")
        table.add_column("new", justify="right")
        table.add_column("%", justify="right")
    for line in found.lines:
        prices = zip(line.old, line.new, line.percent, strict=True)
        cells = [text or "-" for triple in prices for text in triple]
        origin = "".join(f" {text}" for text in (line.from_prefix, line.trunk) if text)
        change = Text(line.change.value, _COLOURS.get(line.change, ""))
        table.add_row(f"{line.prefix}{origin}", line.destination, change, str(line.weight), *cells)
    console.print(table)


def _show_check(found: TariffCheck) -> None:
    console = people()
    if found.bad_lines:
        console.print(_bad_lines(found.bad_lines))
        console.print(Text(f"{len(found.bad_lines)} bad lines", "red"))
    for tariff in found.tariffs:
        about = f" {tariff.rates} rates, {tariff.usage_type}, {tariff.currency}"
        console.print(Text.assemble(("good", "green"), f"  tariff {tariff.name}:{about}"))


def _bad_lines(lines: tuple[BadLine, ...]) -> Table:
    table = Table("file", "line", "column", "what is wrong", box=None, pad_edge=False)
    for bad in lines:
        table.add_row(bad.file, str(bad.line) if bad.line else "", bad.column, bad.reason)
    return table


def _show_match(report: MatchReport) -> None:
    table = Table("category", "rate", "priority", box=None, pad_edge=False)
    for found in report.matches:
        table.add_row(found.category, found.rate or "none", str(found.priority or ""))
    console = people()
    console.print(table)
    if not report.is_rated:
        console.print(Text("not rated: a category without a rate leaves the event unrated", "red"))

"""`ocs source`: which event sources there are, and how one of them understands a recorded body."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from ocs.adapters import clock
from ocs.bootstrap.understanding import Understood, understand
from ocs.cli.office import people, show_json
from ocs.cli.options import ASKED_WRONGLY, ConfigOption, JsonOption, fail, settings_of
from ocs.config.reader import ConfigurationError
from ocs.config.settings import Settings
from ocs.config.sources import read_source, read_sources, source_files
from ocs.entrypoints.dialects import DEFAULT_SOURCE
from ocs.entrypoints.sources.source import Source

app = typer.Typer(help="How clients write their events, and how they are answered.")


class ListedSource(Struct, frozen=True):
    """A source as it is listed; `used` and `settle` are how it reports."""

    source: str
    about: str
    format: str
    used: str
    settle: str
    answer: str
    file: str


@app.command("list")
def list_sources(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the event sources, the operator's and those that ocs comes with."""
    settings = settings_of(config, None)
    files = source_files(settings)
    listed = [
        ListedSource(
            source=source.name,
            about=source.about,
            format=source.format,
            used=source.reports.used,
            settle=source.reports.settle,
            answer=source.answer.form,
            file=str(files[source.name]),
        )
        for source in sorted(_sources(settings), key=lambda source: source.name)
    ]
    if as_json:
        show_json(listed)
        return
    table = Table("source", "format", "reports", "answer", "about", box=None, pad_edge=False)
    for each in listed:
        table.add_row(each.source, each.format, each.used, each.answer, each.about)
    people().print(table)


@app.command("test")
def try_source(
    name: Annotated[
        str, typer.Argument(help="The source, or a file of one that is being written.")
    ],
    file: Annotated[Path, typer.Argument(help="A recorded body, or one a line.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a source understands a recorded body, field by field; nothing is charged."""
    settings = settings_of(config, None)
    source = _source(settings, name)
    is_default = source.name == DEFAULT_SOURCE
    named = [each for each in _sources(settings) if each.name != source.name] if is_default else []
    try:
        understood = understand(settings, [source, *named], file, clock.wall_ms())
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror}", ASKED_WRONGLY) from None
    if as_json:
        show_json(understood)
    else:
        for each in understood:
            _show(each)
    raise typer.Exit(0 if all(each.outcome == "event" for each in understood) else 1)


def _sources(settings: Settings) -> tuple[Source, ...]:
    try:
        return read_sources(settings)
    except ConfigurationError as error:
        raise fail(str(error), ASKED_WRONGLY) from None


def _source(settings: Settings, name: str) -> Source:
    """Read one source, whatever is wrong with the others."""
    path = Path(name)
    if path.suffix != ".toml":
        files = source_files(settings)
        if name not in files:
            raise fail(f"there is no source {name!r}; known: {', '.join(files)}", ASKED_WRONGLY)
        path = files[name]
    try:
        return read_source(path)
    except ConfigurationError as error:
        raise fail(str(error), ASKED_WRONGLY) from None


def _show(understood: Understood) -> None:
    console = people()
    if understood.outcome != "event":
        refused = f"{understood.field}: {understood.reason}"
        console.print(Text.assemble(f"event {understood.number}: ", (understood.outcome, "red")))
        console.print(Text(f"  {refused}"))
        return
    console.print(Text(f"event {understood.number}", "bold"))
    table = Table("the client's field", "field", "understood as", box=None, pad_edge=False)
    for line in understood.lines:
        table.add_row(line.client, line.field, line.value)
    for name, value in understood.kept.items():
        table.add_row(name, Text("kept for the CDR", "dim"), str(value))
    console.print(table)

"""The options that several commands of `ocs offline` share: how files are read, and by whom."""

from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct

from ocs.cli.options import ASKED_WRONGLY, fail

FormatOption = Annotated[
    str, typer.Option("--format", help="Of all files; detected unless named (docs/cdr.md).")
]
SubscribersOption = Annotated[
    Path | None,
    typer.Option(help="A CSV of identity,account,plan, instead of the store's subscribers."),
]
ZoneOption = Annotated[str, typer.Option(help="Of local times; the tenant's unless named.")]
SwitchOption = Annotated[str, typer.Option(help="Put before ids that one switch made.")]
SecondsOption = Annotated[str, typer.Option(help="Milliseconds go up, half_up or down.")]
ColumnsOption = Annotated[
    str, typer.Option(help="Names of all columns, with commas, where no header has them.")
]
FieldOption = Annotated[
    list[str] | None, typer.Option(help="A column of the CDR from the switch's: name=column.")
]
ExtraColumnOption = Annotated[str, typer.Option(help="Asterisk: uniqueid or userfield.")]
TemplateOption = Annotated[str, typer.Option(help="FreeSWITCH: the template's name.")]
PlainOption = Annotated[
    bool, typer.Option("--plain-values", help="FreeSWITCH: values are not URL-encoded.")
]
DebitOption = Annotated[
    bool, typer.Option(help="Debit the accounts that CDRs settle; or only rate and record.")
]
MetricsOption = Annotated[
    Path | None, typer.Option(help="Prometheus figures, for a textfile collector.")
]


class ReadingOptions(Struct, frozen=True, kw_only=True):
    """How files are read, as the command was told."""

    zone: str
    switch: str
    seconds: str
    columns: str
    field: list[str] | None
    extra_column: str
    template: str
    plain_values: bool

    def named(self) -> dict[str, Any]:
        """Give the readers' options that were told; end the command for what is no option."""
        told: dict[str, Any] = {
            "zone": self.zone,
            "switch": self.switch,
            "seconds": self.seconds,
            "columns": [name.strip() for name in self.columns.split(",") if name.strip()],
            "fields": _fields(self.field or []),
            "extra_column": self.extra_column,
            "template": self.template,
        }
        named = {name: value for name, value in told.items() if value}
        return {**named, "encoded_values": not self.plain_values}


def _fields(named: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in named]
    wrong = [name for name, sign, column in pairs if not (name and sign and column)]
    if wrong:
        raise fail(f"--field: expected name=column, not {wrong[0]!r}", ASKED_WRONGLY)
    return {name: column for name, _, column in pairs}

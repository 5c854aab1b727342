"""`ocs audit`: the journal's files, checked, looked up and exported.

They are read as they are, beside a running service or without one.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec.json import decode
from msgspec.structs import asdict
from rich.progress import track
from rich.table import Table

from ocs.bootstrap.audit import ReelFault, audited, entry_in_files, entry_in_store
from ocs.bootstrap.exporting import exported
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import (
    Office,
    Place,
    StoreOption,
    at_office,
    people,
    show_json,
    show_table,
    unknown,
)
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.usecases.journal import Posted
from ocs.usecases.ports import RatingInfo

app = typer.Typer(no_args_is_help=True, help="The journal's files: verify, show, export.")


@app.command()
def verify(
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the hash chains of all files; exit 1 if a byte is not what was written."""
    try:
        found = audited(settings_of(config, directory))
    except ReelFault as fault:
        raise fail(str(fault)) from None
    if as_json:
        show_json(found)
    else:
        if found.damages:
            table = Table("partition", "reel", "position", "what", box=None, pad_edge=False)
            for damage in found.damages:
                place = (damage.partition, damage.reel, damage.position)
                table.add_row(*map(str, place), damage.what)
            show_table(table)
        typer.echo(
            f"audited {found.entries} entries in {found.reels} reels of {found.partitions}"
            f" partitions, {found.reel_bytes} bytes: {'NOT sound' if found.damages else 'sound'}"
        )
        typer.echo(f"digest of all chains: {found.digest}")
    if found.damages:
        raise fail(f"the journal is NOT what was written: {len(found.damages)} damages")


@app.command()
def show(
    transaction_id: Annotated[str, typer.Argument(help="As in the answer: 017-1700000000000-0.")],
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
) -> None:
    """Show one entry of the journal, from the files, else from the store."""
    settings = settings_of(config, directory)
    try:
        posted = entry_in_files(settings, transaction_id)
    except ReelFault as fault:
        raise fail(str(fault)) from None
    except ValueError:
        raise fail(f"{transaction_id!r} is no transaction id", ASKED_WRONGLY) from None

    async def look(office: Office) -> Posted | None:
        return await entry_in_store(office.stores, transaction_id)

    if posted is None:
        posted = at_office(Place(config, directory, store), look)
    if posted is None:
        unknown(f"transaction {transaction_id}")
    show_json(_shown(posted))


@app.command()
def export(
    *,
    to: Annotated[Path, typer.Option(help="A folder, new or empty, for the Parquet files.")],
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all entries, and a CDR for each session that is over, as Parquet."""
    try:
        done = exported(settings_of(config, directory), to)
        shown = not as_json and people().is_terminal
        parts = list(track(done, "partitions", total=None) if shown else done)
    except (CannotStart, ReelFault) as error:
        raise fail(str(error)) from None
    if as_json:
        show_json(parts)
        return
    entries, cdrs = sum(part.entries for part in parts), sum(part.cdrs for part in parts)
    still_open = sum(part.open_sessions for part in parts)
    typer.echo(
        f"exported {entries} entries and {cdrs} CDRs of {len(parts)} partitions to {to};"
        f" {still_open} sessions are still open"
    )


def _shown(posted: Posted) -> dict[str, Any]:
    """Spell an entry for people; amounts are integers, for the currency is the wallet's."""
    entry = posted.entry
    return {
        "transaction_id": entry.transaction_id,
        "kind": entry.kind,
        "subject": entry.subject,
        "request": entry.request,
        "state": entry.state,
        "written_at": _moment(entry.at_ms),
        "event_at": _moment(posted.event_ms),
        "changes": entry.changes,
        **_result(posted),
        "info": msgspec.Raw(posted.info.encode()) if posted.info else None,
    }


def _result(posted: Posted) -> dict[str, Any]:
    """Spell what was answered, field by field; nothing for what is no charge."""
    if posted.result is None:
        return {}
    services = [
        {**asdict(service), "rating": asdict(decode(rating, type=RatingInfo)) if rating else None}
        for service, rating in zip(posted.result.services, posted.ratings, strict=True)
    ]
    return {"result": {**asdict(posted.result), "services": services}}


def _moment(ms: int) -> str:
    if not ms:
        return ""
    moment = datetime.fromtimestamp(ms / 1_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

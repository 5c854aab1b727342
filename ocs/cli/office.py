"""Where commands that work on accounts do so: the store of a running service, and the use cases.

A command opens the office, does its one thing, and closes it. Whatever prevents that is told in one
line on stderr with exit code 1; a wrong order with exit code 2.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from ocs.bootstrap.seeds import cleaner
from ocs.bootstrap.stores import CannotStart, Stores, open_stores
from ocs.cli.options import ASKED_WRONGLY, fail, settings_of
from ocs.config.settings import Settings
from ocs.usecases.crediting import Crediting
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.provisioning import Provisioning, TermsError

PIPE_WIDTH: Final = 1_000
"""Wider than the longest reference of a session, beside all else."""

TenantOption = Annotated[
    str, typer.Option(help="The tenant; the one that the configuration provisions unless named.")
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", help="URL of the store, instead of the configured or the embedded one."
    ),
]

_T = TypeVar("_T")


class Office(Struct, frozen=True):
    """What a command works with; `clean` brings a number into the form of the directory."""

    settings: Settings
    stores: Stores
    tenant: str
    provisioning: Provisioning
    crediting: Crediting
    clean: Callable[[str], str]


class Place(Struct, frozen=True):
    """Where the office is, as the options say."""

    config: Path | None = None
    directory: Path | None = None
    store: str = ""
    tenant: str = ""


def at_office(place: Place, work: Callable[[Office], Awaitable[_T]]) -> _T:
    """Open the office, do the work, close it; end the command where that cannot be."""
    settings = settings_of(place.config, place.directory, place.store)
    # What the connection logs on its way is in the one line that a command ends with.
    logging.getLogger("ocs").addHandler(logging.NullHandler())
    try:
        return asyncio.run(_work(settings, place.tenant, work))
    except CannotStart as error:
        raise fail(f"{error} (is `ocs serve` running, with the same --config and --dir?)") from None
    except LedgerUnavailable as error:
        raise fail(f"the store did nothing: {error}") from None
    except OutcomeUnknown as error:
        raise fail(f"whether it was done is not known, do the same again: {error}") from None
    except TermsError as error:
        raise fail(f"{error.field}: {error}", ASKED_WRONGLY) from None


async def _work(settings: Settings, tenant: str, work: Callable[[Office], Awaitable[_T]]) -> _T:
    async with open_stores(settings) as stores:
        office = Office(
            settings=settings,
            stores=stores,
            tenant=tenant or settings.provision.tenant,
            provisioning=Provisioning(stores.directory, stores.ledger),
            crediting=Crediting(stores.directory, stores.ledger),
            clean=cleaner(settings),
        )
        return await work(office)


def show_json(value: object) -> None:
    """Print a result for machines."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def show_table(table: Table) -> None:
    """Print a result for people."""
    people().print(table)


def people() -> Console:
    """Give the console for people.

    What names and numbers hold is no markup. In a pipe no line is broken, for `grep` and `cut`.
    """
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, markup=False, width=PIPE_WIDTH)


def unknown(what: str) -> NoReturn:
    """End a command that names what does not exist."""
    raise fail(f"there is no {what}")

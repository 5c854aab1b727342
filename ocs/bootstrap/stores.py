"""What `ocs` keeps, opened from the settings: the store's connection, ledger and directory.

Commands use it beside a running `ocs serve`: the embedded store has room for them on its socket.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from ocs.adapters.valkey.connection import (
    Connection,
    ConnectionSettings,
    LinkLimits,
    OutcomeUnknown,
    ReplyError,
    StoreUnavailable,
)
from ocs.adapters.valkey.directory import ValkeyDirectory
from ocs.adapters.valkey.embedded import socket_path
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.journal import begin_reversible
from ocs.adapters.valkey.keys import PARTITIONS_KEY
from ocs.adapters.valkey.lanes import Lanes
from ocs.adapters.valkey.ledger import EXPIRED_KEEP_S, ValkeyLedger
from ocs.adapters.valkey.records import RECORD_FORM
from ocs.bootstrap.past_entries import PastEntries
from ocs.config.settings import Durability, Settings
from ocs.usecases.client_clocks import MARGIN_S

START_PATIENCE_S = 5.0
"""For a store that is named by a URL and still starts; a command that asks for it waits so long."""

_FIRST_PAUSE_S = 0.02
_SIDE_PAUSE_S = 1.0
"""Between attempts of a side link: of a store with few places left, the next is a main link's."""
_SHARE_OF_LEDGER = 0.75
"""Of a request's time limit, what one ledger call may take with all its repeats."""


class CannotStart(Exception):
    """The service or a command cannot begin its work; the message is for people."""


class Stores(Struct, frozen=True):
    """Open as long as the context that gave it."""

    connection: Connection
    ledger: ValkeyLedger
    directory: ValkeyDirectory


def data_directory(settings: Settings) -> Path:
    return Path(settings.store.directory)


def store_directory(settings: Settings) -> Path:
    """The embedded store's own files; short, as its socket lies there."""
    return data_directory(settings) / "store"


def tariffs_directory(settings: Settings) -> Path:
    """Compiled tariff generations."""
    return data_directory(settings) / "tariffs"


def emergency_directory(settings: Settings) -> Path:
    """Emergency calls that are not in the store yet."""
    return data_directory(settings) / "emergency"


def journal_directory(settings: Settings) -> Path:
    """What the journal's drainer writes."""
    named = settings.journal.folder
    return Path(named) if named else data_directory(settings) / "journal"


def intake_directory(settings: Settings) -> Path:
    """CDRs that were posted."""
    named = settings.offline.intake_folder
    return Path(named) if named else data_directory(settings) / "intake"


def store_url(settings: Settings) -> str:
    """Where the store is: the one that is named, else the embedded one."""
    named = settings.store.url
    return named or f"unix://{quote(str(socket_path(store_directory(settings))))}"


def make_connection(
    settings: Settings, url: str, client_name: str, *, beside: Connection | None = None
) -> Connection:
    """Make a connection that is not started. Raises `AddressError` (a ValueError).

    `beside`: the main one, of which this is a side one: counted with it, and silent on faults.
    """
    store = settings.store
    replicas = store.replicas if store.durability is Durability.REPLICATED else 0
    return Connection(
        url,
        settings=ConnectionSettings(
            limits=LinkLimits(
                timeout_s=store.timeout_ms / 1000, waiting_commands=store.max_waiting
            ),
            connect_timeout_s=store.connect_timeout_ms / 1000,
            confirm_replicas=replicas,
            confirm_ms=store.replica_timeout_ms,
            client_name=client_name,
            first_pause_s=_FIRST_PAUSE_S if beside is None else _SIDE_PAUSE_S,
            logs_faults=beside is None,
        ),
        library=assemble(),
        counters=None if beside is None else beside.counters,
    )


@asynccontextmanager
async def open_stores(settings: Settings, *, first_start: bool = False) -> AsyncIterator[Stores]:
    """Connect for one command. Raises `CannotStart` when the store is not there or not ours."""
    try:
        connection = make_connection(settings, store_url(settings), "ocs-command")
    except ValueError as error:
        raise CannotStart(str(error)) from None
    connection.start()
    try:
        await connection.wait_connected(START_PATIENCE_S)
        await _check_partitions(connection, settings.ledger.partitions, first_start=first_start)
        yield Stores(connection, make_ledger(settings, connection), ValkeyDirectory(connection))
    except (StoreUnavailable, OutcomeUnknown, ReplyError) as error:
        raise CannotStart(f"the store: {error}") from None
    finally:
        await connection.close()


def make_ledger(
    settings: Settings, connection: Connection, lanes: Lanes | None = None
) -> ValkeyLedger:
    """Make the ledger of a store; `lanes`: those of the connection, for many charges at a time."""
    # What is left of the time limit after the last attempt is for the rest of the request.
    patience_s = settings.charging.time_limit_ms / 1000 * _SHARE_OF_LEDGER
    ledger = ValkeyLedger(
        connection,
        settings.ledger.partitions,
        assemble(),
        lanes=lanes,
        patience_s=patience_s,
        expired_keep_s=max(EXPIRED_KEEP_S, settings.ledger.closed_keep_s + MARGIN_S),
    )
    past = PastEntries(connection, journal_directory(settings), patience_s)
    ledger.reverse_from(past.find)
    return ledger


def begun_with(partitions: int) -> str:
    """Spell what a store remembers of how it was begun."""
    return f"{partitions} form {RECORD_FORM}"


async def _check_partitions(connection: Connection, wanted: int, *, first_start: bool) -> None:
    """Hold settings and program against what the store was begun with.

    With another number of partitions every wallet would be looked for in the wrong place, and made
    anew there; records of another form would be read as other amounts.
    """
    if first_start:
        await connection.execute("SET", PARTITIONS_KEY, begun_with(wanted), "NX")
        await begin_reversible(connection)
    found = await connection.execute("GET", PARTITIONS_KEY)
    if not isinstance(found, bytes):
        raise CannotStart(f"the store at {connection.address} was never used by `ocs serve`")
    number, _, form = found.decode(errors="replace").partition(" form ")
    if form != str(RECORD_FORM):
        raise CannotStart(
            f"the store holds records of {f'form {form}' if form else 'an earlier form'}, and this"
            f" version of ocs reads form {RECORD_FORM}: use the version that wrote them, or begin"
            " with another data directory (--dir)"
        )
    if number != str(wanted):
        raise CannotStart(
            f"the store was begun with {number} partitions and [ledger] partitions is {wanted}:"
            " set it back, it can never be changed"
        )

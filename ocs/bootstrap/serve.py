"""`ocs serve`: everything that has to be in order before the first worker, then the supervisor.

    settings ─► sockets ─► store ─► accounts ─┐
             └► tariff builder ───────────────┴─► workers ─► ready ─► ... ─► drain ─► store stops
                                                └─► journal drainer ─► ends before the store

What is wrong is found before anything is served, and told with all its reasons. What was begun is
ended in reverse order, whatever happens.
"""

import asyncio
import logging
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ocs.adapters import clock
from ocs.adapters.valkey.embedded import EmbeddedStore, EmbeddedStoreError, Fsync
from ocs.bootstrap.builder import TariffBuilder
from ocs.bootstrap.checking import return_codes_file
from ocs.bootstrap.drainer import DrainerProcess
from ocs.bootstrap.processes import python_command, python_environment
from ocs.bootstrap.seeds import seed
from ocs.bootstrap.specification import WorkerSpecification
from ocs.bootstrap.stores import (
    CannotStart,
    data_directory,
    open_stores,
    store_directory,
    store_url,
)
from ocs.config.reader import ConfigurationError
from ocs.config.settings import Durability, Settings
from ocs.config.sources import read_sources
from ocs.entrypoints.listening import CannotListen, Slot, Sockets, may_bind, open_sockets, url_of
from ocs.entrypoints.logs import configure_logs
from ocs.entrypoints.return_codes import ReturnCodesError, load_return_codes
from ocs.entrypoints.sources.source import Source
from ocs.entrypoints.supervisor import Supervisor

STORE_PATIENCE_S: Final = 20.0
"""For the embedded store to serve; while it loads its data it is given longer."""
ORPHANS_PATIENCE_S: Final = 3.0
"""For workers of a killed parent to leave the port."""
_MEBIBYTE: Final = 2**20

_log = logging.getLogger(__name__)


class Ready(Struct, frozen=True):
    """What to tell when all workers serve."""

    url: str
    operations_urls: tuple[str, ...]
    tariffs: str
    store: str
    has_credentials: bool


def serve(settings: Settings, workers: int, on_ready: Callable[[Ready], None]) -> int:
    """Serve until a signal; return the exit code. Raises `CannotStart`."""
    settings = _with_one_pseudonym_key(settings)
    configure_logs(settings.logs.level)
    _refuse_exposure(settings)
    _refuse_return_codes(settings)
    sources = _sources(settings)
    with _ended_by_signals(), ExitStack() as undo:
        try:
            _make_data_directory(settings)
            sockets = _open_sockets(settings, workers)
            undo.callback(sockets.close)
            builder = TariffBuilder(settings)
            undo.callback(builder.stop)
            store = _start_store(settings, undo)
        except (CannotListen, EmbeddedStoreError) as error:
            raise CannotStart(str(error)) from None
        _run_prepare(settings)
        built = builder.wait()
        if built.problems:
            raise CannotStart("\n".join(["the tariffs cannot be used:", *built.problems]))
        work = _Work(settings, sockets, store, built.path, sources)
        if work.drainer is not None:
            undo.callback(work.drainer.stop)
        work.tell_ready = lambda: on_ready(_ready(settings, sockets, built.summary))
        drain_s = settings.server.drain_delay_s + settings.server.drain_s
        supervisor = Supervisor(sockets.slots, work, monotonic_s=clock.monotonic_s, drain_s=drain_s)
        code = supervisor.run()
        _ignore_signals()
        return code


class _Work:
    """What the supervisor does its work with."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sockets,
        store: EmbeddedStore | None,
        tariffs: str,
        sources: tuple[Source, ...],
    ) -> None:
        self.drainer = DrainerProcess(settings) if settings.journal.drain else None
        self.tell_ready: Callable[[], None] = lambda: None
        self._settings = settings
        self._slots = len(sockets.slots)
        self._sources = sources
        self._store = store
        self._tariffs = tariffs

    def start_worker(self, slot: Slot, control: socket.socket) -> "subprocess.Popen[bytes]":
        descriptors = [each.fileno() for each in (control, slot.service, slot.operations)]
        return subprocess.Popen(
            python_command("ocs.bootstrap.worker", *map(str, descriptors)),
            stdin=subprocess.DEVNULL,
            pass_fds=descriptors,
            env=python_environment(),
            # Ctrl-C in the terminal ends the parent, which then drains its workers.
            process_group=0,
        )

    def specification(self, slot: Slot) -> bytes:
        return msgspec.json.encode(
            WorkerSpecification(
                settings=self._settings,
                store_url=store_url(self._settings),
                tariffs=self._tariffs,
                slot=slot.number,
                slots=self._slots,
                sources=self._sources,
            )
        )

    def start_builder(self) -> TariffBuilder:
        return TariffBuilder(self._settings)

    def use_tariffs(self, path: str) -> None:
        self._tariffs = path

    def store_trouble(self) -> str:
        if self._store is None:
            return ""
        try:
            self._store.poll()
        except EmbeddedStoreError as error:
            return str(error)
        return ""

    def watch_journal(self) -> None:
        if self.drainer is not None:
            self.drainer.watch(clock.monotonic_s())

    def ready(self) -> None:
        self.tell_ready()


def _refuse_exposure(settings: Settings) -> None:
    server = settings.server
    if may_bind(server.host, settings.credentials):
        return
    raise CannotStart(
        f"{server.host} can be reached from outside, and there is no credential in"
        f" {settings.file}: anybody could spend your customers' money. Add [[credentials]], or"
        " serve on 127.0.0.1"
    )


def _sources(settings: Settings) -> tuple[Source, ...]:
    try:
        return read_sources(settings)
    except ConfigurationError as error:
        raise CannotStart(str(error)) from None


def _refuse_return_codes(settings: Settings) -> None:
    try:
        load_return_codes(return_codes_file(settings))
    except ReturnCodesError as error:
        raise CannotStart(str(error)) from None


def _with_one_pseudonym_key(settings: Settings) -> Settings:
    """Draw the key here where there is none: all workers must name a subscriber alike."""
    if settings.logs.pseudonym_key:
        return settings
    logs = replace(settings.logs, pseudonym_key=secrets.token_hex(32))
    return replace(settings, logs=logs)


def _make_data_directory(settings: Settings) -> None:
    directory = data_directory(settings)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"the data directory {directory} cannot be used: {error.strerror}"
        raise CannotStart(reason) from None


def _open_sockets(settings: Settings, workers: int) -> Sockets:
    server = settings.server
    return open_sockets(
        (server.host, server.port),
        (server.operations_host, server.operations_port),
        workers,
        patience_s=ORPHANS_PATIENCE_S,
        sleep=time.sleep,
    )


def _start_store(settings: Settings, undo: ExitStack) -> EmbeddedStore | None:
    if settings.store.url:
        return None
    relaxed = settings.store.durability is Durability.RELAXED
    fsync: Fsync = "everysec" if relaxed else "always"
    binary = settings.store.binary
    store = EmbeddedStore(
        store_directory(settings),
        binary=Path(binary) if binary else None,
        fsync=fsync,
        maxmemory_bytes=settings.store.maxmemory_mb * _MEBIBYTE,
    )
    store.start()
    undo.callback(store.stop)
    store.wait_ready(STORE_PATIENCE_S)
    return store


def _run_prepare(settings: Settings) -> None:
    """Run the one part that needs an event loop; the loop is gone when this returns.

    Signals are not for the loop: what it is told while it ends, nobody would hear.
    """
    asyncio.run(_prepare(settings))


async def _prepare(settings: Settings) -> None:
    async with open_stores(settings, first_start=True) as stores:
        await seed(settings, stores)


def _ready(settings: Settings, sockets: Sockets, tariffs: str) -> Ready:
    return Ready(
        url=url_of(sockets.slots[0].service),
        operations_urls=tuple(url_of(slot.operations) for slot in sockets.slots),
        tariffs=tariffs,
        store=settings.store.url and "named by store.url",
        has_credentials=bool(settings.credentials),
    )


# --- Signals before and after the supervisor ----------------------------------------------------


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM undo what was begun, as Ctrl-C does; a hang-up is not for now."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    former = {number: signal.getsignal(number) for number in numbers}
    _let_signals_end_it()
    # A handler, not SIG_IGN, which every child would inherit.
    signal.signal(signal.SIGHUP, _not_now)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _let_signals_end_it() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _ignore_signals() -> None:
    """The store is being stopped, which takes as long as its last write: not to be cut short."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _not_now)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _not_now(number: int, _frame: FrameType | None) -> None:
    _log.debug("signal %d has no meaning now", number)

"""The life of a worker process: up, serving, draining, gone.

    starting ── store reached ──► serving ── SIGTERM, or the parent is gone ──► draining ──► end
        │                            │                                             │
     /livez 200, /readyz 503      /readyz 200                                   /readyz 503

A worker holds nothing but caches: whatever a client was told is in the store. So its end needs no
more care than answering what it has in hand.

It hears from its parent through one socket (see `supervisor`); the end of that socket is the death
of the parent, however it died. Nothing else would tell: a killed parent sends no signal.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from msgspec import Struct

_LONGEST_LINE: Final = 65_536
_log = logging.getLogger(__name__)


class Served(Protocol):
    """An HTTP application on a socket of its own."""

    async def start(self) -> None:
        """Listen."""
        ...

    async def stop(self, within_s: float) -> None:
        """Stop listening, answer what is in hand for so long, close all connections."""
        ...


class WorkerParts(Struct, frozen=True, kw_only=True):
    """What a worker is made of; `bootstrap` puts it together.

    `connect` returns once the store can be charged on. `set_draining` turns /readyz to 503.
    `use_tariffs` opens a generation, swaps it in and returns its id; ValueError if it is unusable.
    """

    control: socket.socket
    operations: Served
    service: Served
    connect: Callable[[], Awaitable[None]]
    disconnect: Callable[[], Awaitable[None]]
    use_tariffs: Callable[[str], str]
    background: tuple[Callable[[], Awaitable[None]], ...]
    set_draining: Callable[[], None]
    drain_delay_s: float
    drain_s: float


def receive_specification(control: socket.socket) -> bytes:
    """Read the first line from the parent; a parent that is gone already ends the process."""
    line = b""
    while not line.endswith(b"\n"):
        part = control.recv(_LONGEST_LINE)
        if not part:
            raise SystemExit(0)
        line += part
    return line


async def work(parts: WorkerParts) -> None:
    """Live from start to end."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    # It belongs to the parent, which tells its workers when there is something to load.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    reader, writer = await asyncio.open_connection(sock=parts.control)
    orders = loop.create_task(_obey(parts, reader, writer, ending))
    try:
        await parts.operations.start()
        if await _unless(ending, parts.connect()):
            await _serve(parts, writer, ending)
        await parts.operations.stop(0)
    finally:
        await _end(orders)
        await parts.disconnect()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _serve(parts: WorkerParts, parent: asyncio.StreamWriter, ending: asyncio.Event) -> None:
    await parts.service.start()
    parent.write(b"ready\n")
    # What runs in the background runs for ever. When a part of it fails, the worker ends as it
    # always does, and its successor starts with all parts.
    background = [asyncio.ensure_future(run()) for run in parts.background]
    end = asyncio.ensure_future(ending.wait())
    try:
        await asyncio.wait([end, *background], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in background:
            if task.done():
                _log.error("a part of the worker failed: ending", exc_info=task.exception())
        parts.set_draining()
        await asyncio.sleep(parts.drain_delay_s)
        await parts.service.stop(parts.drain_s)
        await _end(end, *background)


async def _obey(
    parts: WorkerParts,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    ending: asyncio.Event,
) -> None:
    with contextlib.suppress(ConnectionError):
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            assert verb == "tariffs", f"the parent said {line!r}"
            try:
                generation = parts.use_tariffs(rest)
            except ValueError:
                _log.exception("the new tariffs are not usable here; the former go on serving")
            else:
                writer.write(f"tariffs {generation}\n".encode())
    _log.warning("the parent process is gone: ending")
    ending.set()


async def _unless(ending: asyncio.Event, doing: Awaitable[None]) -> bool:
    """Wait for `doing`, unless the end comes first; whether it was done."""
    done = asyncio.ensure_future(doing)
    end = asyncio.ensure_future(ending.wait())
    await asyncio.wait([done, end], return_when=asyncio.FIRST_COMPLETED)
    if done.done():
        await _end(end)
        done.result()
        return True
    await _end(done)
    return False


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""Real stores for tests: the server that `ocs serve` starts, started the way that it starts it.

OCS_TEST_FSYNC=everysec makes them cheaper on a slow disk; `always` is what production runs.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
import uvloop

from ocs.adapters.valkey.connection import Argument, Connection, Reply
from ocs.adapters.valkey.embedded import EmbeddedStore, Fsync

READY_TIMEOUT_S = 20.0
LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
]
Loops = Callable[[], asyncio.AbstractEventLoop]
_PIECE_BYTES = 64 << 10


class Hours:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def running(server: EmbeddedStore) -> Iterator[EmbeddedStore]:
    """Started, and stopped whatever happens."""
    try:
        server.start()
        server.wait_ready(READY_TIMEOUT_S)
        yield server
    finally:
        server.stop()


@contextmanager
def running_server() -> Iterator[EmbeddedStore]:
    """A server in a directory of its own; both are gone afterwards."""
    fsync = cast("Fsync", os.environ.get("OCS_TEST_FSYNC", "always"))
    with _short_directory() as path, running(EmbeddedStore(path, fsync=fsync)) as server:
        yield server


@contextmanager
def _short_directory() -> Iterator[Path]:
    # Not pytest's tmp_path: its long names would put each socket into a fallback directory.
    with tempfile.TemporaryDirectory(prefix="ocs-store-") as path:
        yield Path(path)


async def ask(server: EmbeddedStore, *arguments: Argument) -> Reply:
    """One command on a connection of its own."""
    async with Connection(server.url) as connection:
        return await connection.execute(*arguments)


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory whose path leaves room for a socket."""
    with _short_directory() as path:
        yield path


@pytest.fixture(scope="session")
def store_server() -> Iterator[EmbeddedStore]:
    """One server for all tests that leave it as they find it: running."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_server() -> Iterator[EmbeddedStore]:
    """A server for one test, to be killed, stopped, or reconfigured."""
    with running_server() as server:
        yield server


@pytest.fixture
async def store(store_server: EmbeddedStore) -> AsyncIterator[Connection]:
    """A connection to an empty store. Functions stay: their names tell their content."""
    async with Connection(store_server.url) as connection:
        await connection.execute("FLUSHALL")
        yield connection


async def take_memory(connection: Connection, name: str, size: int) -> list[str]:
    """Put so many bytes into a store, to 64 KiB, even above its limit; the names of the keys.

    In pieces that every allocator has a size for: a large one may be given a quarter more. In one
    script, since a store that is full takes no second command.
    """
    keys = [f"{name}:{number}" for number in range(size // _PIECE_BYTES)]
    script = "for _, key in ipairs(KEYS) do redis.call('SETRANGE', key, ARGV[1], 'x') end"
    await connection.execute("EVAL", script, len(keys), *keys, _PIECE_BYTES - 32)
    return keys

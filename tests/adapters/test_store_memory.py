"""How full the store says that it is: by the number that it compares with its limit itself."""

import asyncio

import pytest

from ocs.adapters.valkey.connection import Connection, ReplyError
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.memory import store_memory
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.shedding import StoreMemory
from tests.adapters.store import take_memory

MEBIBYTE = 2**20
WHOLE = b"""# Memory
used_memory:900
used_memory_human:900B
used_memory_lua:99
maxmemory:1000
maxmemory_human:1K
mem_not_counted_for_evict:30
"""


async def test_what_is_put_in_is_seen_and_so_is_the_limit(own_server: EmbeddedStore) -> None:
    async with Connection(own_server.url) as connection:
        empty = await store_memory(connection)
        assert empty.limit_bytes == 0
        await connection.execute("CONFIG", "SET", "maxmemory", 64 * MEBIBYTE)
        fillers = await take_memory(connection, "filler", 8 * MEBIBYTE)
        filled = await store_memory(connection)
        assert filled.limit_bytes == 64 * MEBIBYTE
        assert 8 <= (filled.used_bytes - empty.used_bytes) / MEBIBYTE < 10
        await connection.execute("DEL", *fillers)
        assert (await store_memory(connection)).used_bytes < empty.used_bytes + MEBIBYTE


async def test_it_is_full_when_the_store_says_so(own_server: EmbeddedStore) -> None:
    async with Connection(own_server.url) as connection:
        used = (await store_memory(connection)).used_bytes
        await connection.execute("CONFIG", "SET", "maxmemory", used + MEBIBYTE)
        assert await connection.execute("SET", "k", "v") == b"OK"
        assert (await store_memory(connection)).used_percent < 100
        await connection.execute("CONFIG", "SET", "maxmemory", used - MEBIBYTE // 10)
        assert (await store_memory(connection)).used_percent > 100
        with pytest.raises(ReplyError, match="OOM"):
            await connection.execute("SET", "k", "v")


class Telling(Connection):
    """Answers INFO with a text."""

    def __init__(self, info: bytes) -> None:
        super().__init__("unix:///nowhere.sock")
        self.info = info

    def execute(self, *arguments: object) -> asyncio.Future:  # type: ignore[type-arg]
        assert arguments == ("INFO", "memory")
        future = asyncio.get_running_loop().create_future()
        future.set_result(self.info)
        return future


@pytest.mark.parametrize(
    ("info", "memory"),
    [
        (WHOLE.replace(b"\n", b"\r\n"), StoreMemory(870, 1_000)),
        (b"used_memory:900\nmaxmemory:1000\n", StoreMemory(900, 1_000)),
        (b"used_memory:900\r\n", StoreMemory(900, 0)),
        (b"", StoreMemory(0, 0)),
    ],
)
async def test_what_its_log_and_its_replicas_wait_for_does_not_count(
    info: bytes, memory: StoreMemory
) -> None:
    assert await store_memory(Telling(info)) == memory


async def test_a_store_that_is_away_is_a_fault() -> None:
    with pytest.raises(LedgerUnavailable):
        await store_memory(Connection("unix:///nowhere.sock"))

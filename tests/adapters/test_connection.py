"""The connection: order, batches, limits, and the handshake. Its faults are in test_link_faults."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    ConnectionSettings,
    LinkLimits,
    ReplyError,
    StoreOverloaded,
    StoreUnavailable,
    StoreUnusable,
)
from ocs.adapters.valkey.embedded import EmbeddedStore, socket_path
from tests.adapters.store import LOOPS, Loops


@pytest.mark.parametrize("loops", LOOPS)
def test_ten_thousand_interleaved_commands_each_get_their_own_reply(
    store_server: EmbeddedStore, loops: Loops
) -> None:
    async def ask(connection: Connection, task: int) -> None:
        for step in range(100):
            text = f"{task}/{step}"
            if (task + step) % 3 == 0:
                with pytest.raises(ReplyError, match="wrong number"):
                    await connection.execute("GET", text, "too many")
            elif (task + step) % 3 == 1:
                assert (
                    await connection.execute("ECHO", text * (step + 1))
                    == (text * (step + 1)).encode()
                )
            else:
                assert await connection.execute("MGET", text, text) == [None, None]

    async def scenario() -> None:
        async with Connection(store_server.url) as connection:
            await connection.execute("FLUSHALL")
            before = connection.counters.batches
            await asyncio.gather(*[ask(connection, task) for task in range(100)])
            assert connection.counters.batches - before < 5_000, "commands of a tick share a write"
            assert connection.waiting == 0

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


async def test_all_commands_of_one_tick_leave_in_one_write(store: Connection) -> None:
    counters = store.counters
    batches, commands = counters.batches, counters.commands
    asked = [store.execute("ECHO", number) for number in range(50)]
    assert counters.batches == batches, "nothing leaves before the tick is over"
    assert store.waiting == 50
    assert await asyncio.gather(*asked) == [b"%d" % number for number in range(50)]
    assert (counters.batches - batches, counters.commands - commands) == (1, 50)
    assert counters.batch_sizes[(50).bit_length()] == 1
    assert store.waiting == 0


async def test_arguments_are_text_bytes_or_integers(store: Connection) -> None:
    await store.execute("SET", "key", b"\x00\xff\r\n")
    assert await store.execute("GET", b"key") == b"\x00\xff\r\n"
    assert await store.execute("INCRBY", "number", 2**53) == 2**53
    with pytest.raises(TypeError):
        store.execute("SET", "key", None)  # type: ignore[arg-type]
    assert await store.execute("ECHO", "Größe") == "Größe".encode()


async def test_an_error_reply_carries_its_code(store: Connection) -> None:
    await store.execute("SET", "text", "a")
    with pytest.raises(ReplyError) as failed:
        await store.execute("INCR", "text")
    assert failed.value.code == "ERR"
    assert failed.value.message == "value is not an integer or out of range"


async def test_a_cancelled_command_runs_and_shifts_no_reply(store: Connection) -> None:
    before = store.execute("INCR", "number")
    cancelled = store.execute("INCR", "number")
    after = store.execute("INCR", "number")
    cancelled.cancel()
    assert (await before, await after) == (1, 3)


async def test_a_large_value_passes_the_pressure_of_the_transport(store: Connection) -> None:
    large = b"x" * 4_000_000
    asked = [store.execute("ECHO", large), store.execute("ECHO", "small")]
    await asyncio.sleep(0)
    asked.append(store.execute("ECHO", "while writing is paused"))
    assert await asyncio.gather(*asked) == [large, b"small", b"while writing is paused"]


# --- Limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [LinkLimits(waiting_commands=10), LinkLimits(waiting_bytes=10 * len(b"*1\r\n$4\r\nPING\r\n"))],
)
async def test_what_exceeds_the_queue_is_refused_at_once_and_the_rest_answered(
    store_server: EmbeddedStore, limits: LinkLimits
) -> None:
    async with Connection(store_server.url, settings=ConnectionSettings(limits=limits)) as store:
        asked = [store.execute("PING") for _ in range(12)]
        assert [future.done() for future in asked] == [False] * 10 + [True] * 2
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert replies[:10] == [b"PONG"] * 10
        assert [type(reply) for reply in replies[10:]] == [StoreOverloaded] * 2
        assert store.counters.refused == 2
        assert await store.execute("PING") == b"PONG", "there is room again"


def test_a_confirmation_must_take_less_than_the_time_out() -> None:
    with pytest.raises(ValueError, match="less than the store time-out"):
        ConnectionSettings(confirm_replicas=1, confirm_ms=1000)


# --- Life ---------------------------------------------------------------------------------------


async def test_close_answers_what_was_asked_before_it(store_server: EmbeddedStore) -> None:
    connection = Connection(store_server.url)
    connection.start()
    await connection.wait_connected(5)
    asked = [connection.execute("ECHO", number) for number in range(100)]
    await connection.close()
    assert [await future for future in asked] == [b"%d" % number for number in range(100)]
    with pytest.raises(StoreUnavailable, match="not connected"):
        await connection.execute("PING")


async def test_closing_what_was_never_started_is_nothing(tmp_path: Path) -> None:
    connection = Connection(f"unix://{tmp_path}/nobody.sock")
    await connection.close()
    assert connection.waiting == 0


async def test_without_a_server_commands_fail_at_once_and_waiting_ends(tmp_path: Path) -> None:
    connection = Connection(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StoreUnavailable, match="not connected to the store at unix:///"):
        await connection.execute("PING")
    connection.start()
    with pytest.raises(StoreUnavailable, match="No such file"):
        await connection.wait_connected(0.05)
    assert not connection.connected
    await connection.close()


async def test_a_connection_may_start_before_its_store(own_server: EmbeddedStore) -> None:
    own_server.stop()
    connection = Connection(own_server.url)
    connection.start()
    with pytest.raises(StoreUnavailable):
        await connection.wait_connected(0.05)
    await asyncio.to_thread(own_server.start)
    await connection.wait_connected(10)
    assert await connection.execute("PING") == b"PONG"
    await connection.close()


# --- Handshake ----------------------------------------------------------------------------------


async def test_the_handshake_authenticates_names_and_selects(own_server: EmbeddedStore) -> None:
    path = socket_path(own_server.directory)
    async with Connection(own_server.url) as admin:
        await admin.execute("ACL", "SETUSER", "bob", "on", ">hush", "~*", "+@all")
    settings = ConnectionSettings(client_name="ocs-worker-0")
    async with Connection(f"unix://bob:hush@{path}?db=3", settings=settings) as bob:
        assert await bob.execute("ACL", "WHOAMI") == b"bob"
        info = await bob.execute("CLIENT", "INFO")
    assert isinstance(info, bytes)
    assert b" name=ocs-worker-0 " in info
    assert b" db=3 " in info


async def test_a_wrong_password_is_reported_at_once(own_server: EmbeddedStore) -> None:
    path = socket_path(own_server.directory)
    async with Connection(own_server.url) as admin:
        await admin.execute("CONFIG", "SET", "requirepass", "hush")
    for url in (f"unix://:wrong@{path}", f"unix://{path}"):
        with pytest.raises(StoreUnusable, match=r"WRONGPASS|NOAUTH"):
            async with Connection(url):
                pytest.fail("connected without the password")


async def test_a_replica_is_waited_out_until_it_is_promoted(own_server: EmbeddedStore) -> None:
    async with Connection(own_server.url) as admin:
        await admin.execute("REPLICAOF", "127.0.0.1", 1)
        connection = Connection(own_server.url)
        connection.start()
        with pytest.raises(StoreUnavailable, match="is a replica"):
            await connection.wait_connected(0.05)
        await admin.execute("REPLICAOF", "NO", "ONE")
        await connection.wait_connected(10)
        await connection.close()


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _made_up_server(path: Path, answer: Answer) -> AsyncIterator[str]:
    links: set[asyncio.Task[None] | None] = set()

    async def serve(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        links.add(asyncio.current_task())
        with contextlib.suppress(OSError):
            await answer(source, target)
            target.close()
            await target.wait_closed()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        await asyncio.wait([link for link in links if link is not None])
        await server.wait_closed()


@pytest.mark.parametrize(
    ("info", "fault", "reason"),
    [
        ("redis_version:6.2.14", StoreUnusable, "version 6.2; Valkey or Redis >= 7.2 is needed"),
        ("redis_version:7.0.15", StoreUnusable, "version 7.0"),
        ("server:other", StoreUnusable, "version unknown"),
    ],
)
async def test_a_server_that_is_too_old_is_named(
    tmp_path: Path, info: str, fault: type[Exception], reason: str
) -> None:
    async def answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        await source.read(1000)
        target.write(b"$%d\r\n%s\r\n" % (len(info), info.encode()))
        await source.read()

    async with _made_up_server(tmp_path / "s", answer) as url:
        with pytest.raises(fault, match=reason):
            async with Connection(url):
                pytest.fail("connected to an old server")


async def test_a_full_server_is_asked_again(tmp_path: Path) -> None:
    async def answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        await source.read(1000)
        target.write(b"-ERR max number of clients reached\r\n")

    async with _made_up_server(tmp_path / "s", answer) as url:
        connection = Connection(url)
        connection.start()
        with pytest.raises(StoreUnavailable, match="max number of clients") as full:
            await connection.wait_connected(0.1)
        assert not isinstance(full.value, StoreUnusable)
        await connection.close()


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [(b"HTTP/1.1 400\r\n", "does not speak its protocol"), (b"+A\r\n+B\r\n", "nobody asked for")],
)
async def test_a_server_that_answers_nonsense_is_given_up(
    tmp_path: Path, garbage: bytes, reason: str
) -> None:
    async def answer(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        await source.read(1000)
        target.write(garbage)
        await source.read()

    async with _made_up_server(tmp_path / "s", answer) as url:
        connection = Connection(url)
        connection.start()
        with pytest.raises(StoreUnavailable, match=f"{reason}|version unknown"):
            await connection.wait_connected(0.2)
        await connection.close()

"""Whatever breaks, each command is told the truth: executed, not executed, or unknown.

A server is killed, stopped, and cut off at many bytes; afterwards every command's fate is looked up
in the store and held against what its caller was told.
"""

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    ConnectionSettings,
    LinkLimits,
    OutcomeUnknown,
    ReplyError,
    StoreFault,
    StoreUnavailable,
)
from ocs.adapters.valkey.embedded import EmbeddedStore, socket_path
from ocs.adapters.valkey.pipeline import Counters, Pipeline
from tests.adapters.cutting_proxy import CuttingProxy, Direction
from tests.adapters.store import LOOPS, Loops, running_server

# Long enough for a busy machine to answer, short enough for a test to wait for.
IMPATIENT = ConnectionSettings(limits=LinkLimits(timeout_s=0.4), connect_timeout_s=0.4)


async def _set(connection: Connection, key: str, told: dict[str, str]) -> None:
    try:
        await connection.execute("SET", key, 1)
    except OutcomeUnknown:
        told[key] = "unknown"
    except StoreUnavailable:
        told[key] = "not executed"
    else:
        told[key] = "executed"


async def _hold_against_the_store(url: str, told: dict[str, str]) -> None:
    async with Connection(url) as direct:
        keys = list(told)
        found = await asyncio.gather(*[direct.execute("EXISTS", key) for key in keys])
    for key, exists in zip(keys, found, strict=True):
        if told[key] != "unknown":
            assert (key, exists) == (key, 1 if told[key] == "executed" else 0)


async def _restarted(server: EmbeddedStore) -> None:
    while not server.restarts:
        server.poll()
        await asyncio.sleep(0.01)
    await asyncio.to_thread(server.wait_ready, 20.0)


@pytest.mark.parametrize("loops", LOOPS)
def test_a_killed_server_loses_nothing_that_it_answered(
    own_server: EmbeddedStore, loops: Loops
) -> None:
    told: dict[str, str] = {}

    async def load(connection: Connection, task: int) -> None:
        for step in range(100_000):
            key = f"{task}/{step}"
            await _set(connection, key, told)
            if len(told) == 2_000:
                os.kill(own_server.pid or 0, signal.SIGKILL)
            if told[key] != "executed":
                return

    async def scenario() -> None:
        async with Connection(own_server.url) as connection:
            await asyncio.gather(*[load(connection, task) for task in range(64)])
            assert Counter(told.values())["unknown"] >= 1
            await _set(connection, "without a server", told)
            assert told["without a server"] == "not executed"
            await _restarted(own_server)
            await connection.wait_connected(10)
            assert connection.counters.reconnects == 1
            await _set(connection, "after", told)
            assert told["after"] == "executed"
        await _hold_against_the_store(own_server.url, told)

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("loops", LOOPS)
def test_a_hung_server_is_given_up_and_found_again(own_server: EmbeddedStore, loops: Loops) -> None:
    async def scenario() -> None:
        pid = own_server.pid
        assert pid is not None
        async with Connection(own_server.url, settings=IMPATIENT) as connection:
            os.kill(pid, signal.SIGSTOP)
            try:
                asked = [connection.execute("INCR", "number") for _ in range(10)]
                told = await asyncio.gather(*asked, return_exceptions=True)
                assert [type(each) for each in told] == [OutcomeUnknown] * 10
                assert "no answer from the store for 0.4 s" in str(told[0])
                assert connection.counters.timeouts == 1
                with pytest.raises(StoreUnavailable, match="no answer from the store"):
                    await connection.execute("INCR", "number")
                with pytest.raises(StoreUnavailable):
                    await connection.wait_connected(0.05)
            finally:
                os.kill(pid, signal.SIGCONT)
            await connection.wait_connected(10)
            # "Unknown" was the truth: the server had them in its socket, and then ran them.
            assert await connection.execute("GET", "number") == b"10"

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


async def test_what_a_hung_server_did_not_take_was_not_executed(own_server: EmbeddedStore) -> None:
    pid = own_server.pid
    assert pid is not None
    async with Connection(own_server.url, settings=IMPATIENT) as connection:
        os.kill(pid, signal.SIGSTOP)
        try:
            # More than the sockets' buffers hold: the transport pauses, and what follows waits.
            large = connection.execute("SET", "large", b"x" * 8_000_000)
            await asyncio.sleep(0)
            small = connection.execute("SET", "small", 1)
            told = await asyncio.gather(large, small, return_exceptions=True)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert [type(each) for each in told] == [OutcomeUnknown, StoreUnavailable]
        await connection.wait_connected(10)
        assert await connection.execute("EXISTS", "small") == 0


async def test_a_process_that_was_held_up_does_not_blame_the_server(store: Connection) -> None:
    settings = ConnectionSettings(limits=LinkLimits(timeout_s=0.1))
    async with Connection(f"unix://{store.address.unix_path}", settings=settings) as connection:
        answer = connection.execute("PING")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        _hold_the_loop(3 * settings.limits.timeout_s)
        assert await answer == b"PONG"
        assert connection.counters.timeouts == 0


def _hold_the_loop(seconds: float) -> None:
    """As a long computation would."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(seconds)
        with pytest.raises(TimeoutError):
            near.recv(1)


# --- Cuts ---------------------------------------------------------------------------------------

COMMANDS = 40
# Each side's bytes for the commands below, so that the positions cover all of them.
SENT_BYTES, ANSWERED_BYTES = 40 * 30, 40 * 5
SEED = 20_240_229
CUTS: list[tuple[Direction, int]] = [
    *(("sent", position) for position in random.Random(SEED).sample(range(SENT_BYTES), 40)),
    *(("answered", position) for position in random.Random(SEED).sample(range(ANSWERED_BYTES), 40)),
]


async def test_a_link_cut_at_any_byte_tells_the_truth(
    store_server: EmbeddedStore, store: Connection, tmp_path: Path
) -> None:
    server_path = socket_path(store_server.directory)
    told: dict[str, str] = {}
    fates: Counter[str] = Counter()
    async with (
        CuttingProxy(tmp_path / "proxy", server_path) as proxy,
        Connection(f"unix://{proxy.path}") as connection,
    ):
        for number, (direction, position) in enumerate(CUTS):
            proxy.cut(direction, position)
            asked = []
            for step in range(COMMANDS):
                asked.append(asyncio.create_task(_set(connection, f"{number}/{step:02}", told)))
                if step % 7 == 0:
                    await asyncio.sleep(0)
            await asyncio.gather(*asked)
            # The cut that comes behind the last reply has nothing to break yet.
            while proxy.cuts == number:
                await _set(connection, f"{number}/more{len(told)}", told)
            await connection.wait_connected(10)
        assert proxy.cuts == len(CUTS)
    fates.update(told.values())
    assert fates["executed"] > 0
    assert fates["unknown"] > 0
    assert await store.execute("PING") == b"PONG"
    await _hold_against_the_store(store_server.url, told)


# The handshake sends 95 bytes.
HANDSHAKE_POSITIONS = range(0, 95, 6)


@pytest.mark.parametrize("direction", ["sent", "answered"])
async def test_a_handshake_cut_at_any_byte_is_begun_again(
    store_server: EmbeddedStore, tmp_path: Path, direction: Direction
) -> None:
    server_path = socket_path(store_server.directory)
    async with CuttingProxy(tmp_path / "proxy", server_path) as proxy:
        for position in HANDSHAKE_POSITIONS:
            proxy.cut(direction, position)
            connection = Connection(f"unix://{proxy.path}")
            connection.start()
            await connection.wait_connected(10)
            assert await connection.execute("PING") == b"PONG"
            await connection.close()
        assert proxy.cuts == len(HANDSHAKE_POSITIONS)


# --- Confirmation by replicas -------------------------------------------------------------------

CONFIRMED = ConnectionSettings(confirm_replicas=1, confirm_ms=100)


async def test_without_replicas_nothing_is_confirmed(
    store_server: EmbeddedStore, store: Connection
) -> None:
    async with Connection(store_server.url, settings=CONFIRMED) as connection:
        told = await asyncio.gather(
            connection.execute("SET", "a", 1),
            connection.execute("FCALL", "no_such_function", 0),
            connection.execute("INCR", "a", "too many"),
            return_exceptions=True,
        )
        assert connection.counters.unconfirmed == 2
    assert isinstance(told[0], OutcomeUnknown)
    assert "confirmed by 0 of 1 replicas" in str(told[0])
    assert isinstance(told[1], ReplyError), "a refusal needs no confirmation"
    assert isinstance(told[2], OutcomeUnknown), "an error that may have written does"
    assert await store.execute("GET", "a") == b"1", "unknown was the truth"


async def test_a_link_lost_before_the_confirmation_leaves_the_outcome_unknown(
    store_server: EmbeddedStore, tmp_path: Path
) -> None:
    server_path = socket_path(store_server.directory)
    async with (
        CuttingProxy(tmp_path / "proxy", server_path) as proxy,
        Connection(f"unix://{proxy.path}", settings=CONFIRMED) as connection,
    ):
        proxy.cut("answered", len(b"+OK\r\n"))
        with pytest.raises(OutcomeUnknown, match="closed the link"):
            await connection.execute("SET", "a", 1)


async def test_a_link_that_was_given_up_takes_no_more_replies() -> None:
    link = Pipeline(LinkLimits(), Counters())
    asked = link.send(("PING",))
    link.give_up("of no use")
    link.data_received(b"+PONG\r\n")
    with pytest.raises(StoreUnavailable, match="of no use"):
        await asked


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
async def test_answers_wait_for_the_replica(own_server: EmbeddedStore) -> None:
    port = _free_port()
    async with Connection(own_server.url) as admin:
        await admin.execute("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        await admin.execute("CONFIG", "SET", "port", port)
    with running_server() as replica_server:
        async with (
            Connection(replica_server.url) as replica,
            Connection(f"redis://127.0.0.1:{port}", settings=CONFIRMED) as primary,
        ):
            await replica.execute("REPLICAOF", "127.0.0.1", port)
            while True:
                try:
                    await primary.execute("SET", "joined", 1)
                    break
                except OutcomeUnknown:
                    continue
            asked = [primary.execute("SET", f"key{number}", 1) for number in range(100)]
            assert await asyncio.gather(*asked) == [b"OK"] * 100
            assert await replica.execute("EXISTS", "key0", "key99") == 2
            os.kill(replica_server.pid or 0, signal.SIGSTOP)
            try:
                with pytest.raises(StoreFault, match="confirmed by 0 of 1"):
                    await primary.execute("SET", "alone", 1)
            finally:
                os.kill(replica_server.pid or 0, signal.SIGCONT)

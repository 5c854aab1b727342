"""A store that is reached through TLS: whom it is trusted to be, and that nothing else is different.

The server itself speaks no TLS here; a proxy before it does, with a certificate of the test's own.
"""

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    ConnectionSettings,
    OutcomeUnknown,
    StoreUnavailable,
    StoreUntrusted,
)
from ocs.adapters.valkey.embedded import EmbeddedStore, socket_path
from tests.adapters.cutting_proxy import CuttingProxy, Direction
from tests.adapters.store import LOOPS, Loops

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

VALUE = b"x" * 20_000
MANY = 400


@dataclass(frozen=True)
class Certificate:
    """Of localhost, signed by itself: trusted by whom it is named to."""

    path: Path
    key: Path

    @property
    def served(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.path, self.key)
        return context


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=a test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.path)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    return certificate


def proxy_before(server: EmbeddedStore, certificate: Certificate) -> CuttingProxy:
    return CuttingProxy(Path("unused"), socket_path(server.directory), certificate.served)


@pytest.mark.parametrize("loops", LOOPS)
def test_commands_and_large_replies_pass(
    store_server: EmbeddedStore, trusted: Certificate, loops: Loops
) -> None:
    """More than buffers hold, both ways: links pause, and go on."""

    async def scenario() -> None:
        async with (
            proxy_before(store_server, trusted) as proxy,
            Connection(f"rediss://localhost:{proxy.port}") as connection,
        ):
            keys = [f"large/{number}" for number in range(MANY)]
            asked = [connection.execute("SET", key, VALUE) for key in keys]
            assert await asyncio.gather(*asked) == [b"OK"] * MANY
            asked = [connection.execute("GET", key) for key in keys]
            assert await asyncio.gather(*asked) == [VALUE] * MANY

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


async def test_nobody_waits_while_authorities_are_read(
    store_server: EmbeddedStore, trusted: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ssl.create_default_context
    threads: list[int] = []

    def make_noted() -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return make()

    async with proxy_before(store_server, trusted) as proxy:
        monkeypatch.setattr(ssl, "create_default_context", make_noted)
        async with Connection(f"rediss://localhost:{proxy.port}") as connection:
            assert await connection.execute("PING") == b"PONG"
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("loops", LOOPS)
@pytest.mark.parametrize("direction", ["sent", "answered"])
def test_a_link_that_breaks_is_made_anew(
    store_server: EmbeddedStore, trusted: Certificate, loops: Loops, direction: Direction
) -> None:
    async def scenario() -> None:
        async with (
            proxy_before(store_server, trusted) as proxy,
            Connection(f"rediss://localhost:{proxy.port}") as connection,
        ):
            proxy.cut(direction, 3)
            with pytest.raises(OutcomeUnknown):
                await connection.execute("SET", "cut", 1)
            await connection.wait_connected(10)
            assert connection.counters.reconnects == 1
            assert await connection.execute("EXISTS", "cut") == (direction == "answered")
            await connection.execute("DEL", "cut")

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


@pytest.mark.parametrize("loops", LOOPS)
def test_a_stranger_is_told_at_once(
    store_server: EmbeddedStore, certificate: Certificate, loops: Loops
) -> None:
    async def scenario() -> None:
        async with proxy_before(store_server, certificate) as proxy:
            with pytest.raises(StoreUntrusted, match=r"not trusted: .*SSL_CERT_FILE"):
                async with Connection(f"rediss://localhost:{proxy.port}"):
                    pass

    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(scenario())


async def test_a_certificate_of_another_host_is_not_trusted(
    store_server: EmbeddedStore, trusted: Certificate
) -> None:
    async with proxy_before(store_server, trusted) as proxy:
        with pytest.raises(StoreUntrusted, match=r"127\.0\.0\.1") as told:
            async with Connection(f"rediss://127.0.0.1:{proxy.port}"):
                pass
    assert "SSL_CERT_FILE" not in str(told.value)


async def test_tls_where_none_is_spoken(trusted: Certificate) -> None:
    """And none where it is: both are told, neither waits without an end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    impatient = ConnectionSettings(connect_timeout_s=0.3)
    plain = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
    ciphered = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=trusted.served)
    async with plain, ciphered:
        for scheme, server in (("rediss", plain), ("redis", ciphered)):
            url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(StoreUnavailable, match=f"{scheme}://localhost") as told:
                async with Connection(url, settings=impatient):
                    pass
            assert told.type is StoreUnavailable

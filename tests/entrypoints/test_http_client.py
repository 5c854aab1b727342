"""The replay's client against a socket that answers as each test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from ocs.entrypoints.http.client import MAX_HEAD_BYTES, HttpClient
from ocs.usecases.replay_tally import Exchange

Respond = Callable[[bytes], bytes | None]


class Peer:
    def __init__(self, respond: Respond, pieces: int = 1) -> None:
        self.respond = respond
        self.pieces = pieces
        self.connections = 0
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.respond(self.requests[-1])
                if answer is None:
                    break
                step = -(-len(answer) // self.pieces)
                for start in range(0, len(answer), step):
                    writer.write(answer[start : start + step])
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def served(peer: Peer) -> AsyncIterator[str]:
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        # Handlers notice the closed connections in the next rounds of the loop.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_requests_share_a_kept_connection() -> None:
    peer = Peer(lambda _: http(b'{"return_code":1}', "Idempotency-Hit: true"), pieces=4)
    async with served(peer) as url, HttpClient(url, token="secret") as client:
        for _ in range(3):
            assert await client.post(b"{}") == Exchange(200, b'{"return_code":1}', hit=True)
        assert await client.get("/readyz") == Exchange(200, b'{"return_code":1}', hit=True)
    assert peer.connections == 1
    assert peer.requests[0].startswith(b"POST /realtime HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Bearer secret\r\n" in peer.requests[0]
    assert peer.requests[3].startswith(b"GET /readyz ")


def test_it_runs_on_uvloop_too() -> None:
    async def scenario() -> list[Exchange]:
        peer = Peer(lambda request: http(request[-2:]))
        async with served(peer) as url, HttpClient(url) as client:
            return [await client.post(b"%02d" % number) for number in range(3)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert [answer.body for answer in runner.run(scenario())] == [b"00", b"01", b"02"]


async def test_no_more_connections_than_allowed() -> None:
    peer = Peer(lambda request: http(request[-2:]))
    async with served(peer) as url, HttpClient(url, connections=2) as client:
        answers = await asyncio.gather(*(client.post(b"%02d" % number) for number in range(20)))
    assert [answer.body for answer in answers] == [b"%02d" % number for number in range(20)]
    assert peer.connections == 2


async def test_a_connection_that_the_service_closes_is_not_used_again() -> None:
    peer = Peer(lambda _: http(b"{}", "Connection: close", status="402 Payment Required"))
    async with served(peer) as url, HttpClient(url, connections=1) as client:
        assert await client.post(b"{}") == Exchange(402, b"{}")
        assert await client.post(b"{}") == Exchange(402, b"{}")
    assert peer.connections == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "lost before the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "not HTTP/1.1 with a Content"),
        (b"220 mail.example ESMTP\r\n\r\n", "not HTTP/1.1 with a Content"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "sensible size"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * MAX_HEAD_BYTES, "no end of its headers"),
    ],
)
async def test_what_cannot_be_an_answer_is_an_error(answer: bytes | None, reason: str) -> None:
    async with served(Peer(lambda _: answer)) as url, HttpClient(url) as client:
        with pytest.raises(ConnectionError, match=reason):
            await client.post(b"{}")


async def test_a_service_that_says_nothing_times_out() -> None:
    peer = Peer(lambda _: b"HTTP")
    async with served(peer) as url, HttpClient(url, timeout_s=0.01) as client:
        with pytest.raises(TimeoutError):
            await client.post(b"{}")


async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    peer = Peer(lambda _: http(b"{}") + http(b"{}"), pieces=2)
    async with served(peer) as url, HttpClient(url, connections=1) as client:
        assert await client.post(b"{}") == Exchange(200, b"{}")
        await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert (await client.post(b"{}")).body == b"{}"


async def test_nobody_there_is_an_error() -> None:
    async with served(Peer(lambda _: None)) as url:
        pass
    async with HttpClient(url) as client:
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await client.post(b"{}")


@pytest.mark.parametrize("url", ["", "ftp://host", "127.0.0.1:8080", "http://"])
def test_an_address_is_checked(url: str) -> None:
    with pytest.raises(ValueError, match="expected http://host:port"):
        HttpClient(url)


async def test_addresses_may_have_a_path_and_ipv6() -> None:
    client = HttpClient("https://[::1]:8443/charging/", path="/realtime")
    assert client._path == "/charging/realtime"
    assert client._headers.startswith("Host: [::1]:8443\r\n")
    assert client._tls is not None

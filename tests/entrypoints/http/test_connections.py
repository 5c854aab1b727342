"""How connections behave: pieces, pauses, clients that go, a server that stops."""

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web

from ocs.domain.results import ResultCode
from ocs.entrypoints.http.app import HttpServer
from ocs.entrypoints.http.front import ConnectionLimits
from ocs.entrypoints.http.realtime import RealtimeLimits
from ocs.entrypoints.http.responses import Answered, _phrase
from ocs.usecases.answer import Answer
from tests.entrypoints.http.serving import START, Face, call, serving, until


async def test_what_was_taken_in_is_finished_when_the_client_goes() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        _, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request_bytes(START))
        await until(lambda: len(face.charger.events) == 1)
        writer.close()
        await writer.wait_closed()
        assert face.realtime.in_flight == 1
        face.charger.gate.set()
        await until(lambda: face.realtime.in_flight == 0)


async def test_a_stopping_server_answers_what_is_in_hand() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request_bytes(START))
        await until(lambda: len(face.charger.events) == 1)
    # `serving` has opened the gate and stopped the server.
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_stop_waits_no_longer_than_it_is_told() -> None:
    async with serving(within_s=0.01) as face:
        face.charger.answers["s1"] = Answer(code=ResultCode.OK)
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request_bytes(START)[:-10])
        await until(lambda: writer.transport.get_write_buffer_size() == 0)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def request_bytes(event: object, extra: bytes = b"") -> bytes:
    body = json.dumps(event).encode()
    head = b"POST /realtime HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n"
    return head % (extra, len(body)) + body


async def exchange(face: Face, *parts: bytes) -> bytes:
    """Write parts, each after the server had time for the former; read until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.01)
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


async def test_a_body_that_comes_in_pieces_is_one_body() -> None:
    whole = request_bytes(START, b"Connection: close\r\n")
    async with serving() as face:
        answer = await exchange(face, whole[:-20], whole[-20:-5], whole[-5:])

    assert b'"granted_units":60' in answer


async def test_a_chunked_body_is_a_body() -> None:
    body = json.dumps(START).encode()
    head = b"POST /realtime HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:50], body[50:])]
    async with serving() as face:
        answer = await exchange(face, head, *chunks, b"0\r\n\r\n")

    assert b'"granted_units":60' in answer


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    whole = request_bytes(START, b"Connection: close\r\nExpect: 100-continue\r\n")
    head, body = whole.split(b"\r\n\r\n")
    async with serving() as face:
        answer = await exchange(face, head + b"\r\n\r\n", body)

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with serving(limits=RealtimeLimits(body_timeout_s=0.02)) as face:
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request_bytes(START)[:-10])
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 400")


async def test_a_connection_that_asks_nothing_is_closed() -> None:
    limits = ConnectionLimits(header_timeout_s=0.02, keepalive_timeout_s=60)
    async with serving(connections=limits) as face:
        assert await exchange(face) == b""
        assert await exchange(face, b"POST /realtime HTTP/1.1\r\nHost: x\r\n") == b""


async def test_a_connection_that_idles_is_closed_after_its_answer() -> None:
    limits = ConnectionLimits(header_timeout_s=60, keepalive_timeout_s=0.02)
    async with serving(connections=limits) as face:
        answer = await exchange(face, request_bytes(START))

    assert b'"granted_units":60' in answer


async def test_requests_without_pause_are_answered_in_order() -> None:
    one, two = (
        request_bytes(START),
        request_bytes(START | {"session_id": "s2"}, b"Connection: close\r\n"),
    )
    async with serving() as face:
        answer = await exchange(face, one + two)

    assert answer.index(b'"session_id":"s1"') < answer.index(b'"session_id":"s2"')


@pytest.mark.parametrize(
    ("version", "asks", "expected"),
    [
        (b"1.1", b"", b"keep-alive"),
        (b"1.1", b"Connection: close\r\n", b"close"),
        (b"1.0", b"", b"close"),
        (b"1.0", b"Connection: keep-alive\r\n", b"keep-alive"),
    ],
)
async def test_a_connection_that_will_be_closed_says_so(
    version: bytes, asks: bytes, expected: bytes
) -> None:
    request = request_bytes(START, asks).replace(b"HTTP/1.1", b"HTTP/" + version)
    async with serving() as face:
        reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert b"Connection: " + expected + b"\r\n" in head
    assert b"Date: Fri, 20 Nov 2026 09:22:25 GMT\r\n" in head


class SlowReader:
    """A request, its transport and its writer, whose client has not read the last answer."""

    keep_alive = True

    def __init__(self, *, closing: bool = False) -> None:
        self.transport = self.writer = self
        self.closing = closing
        self.log: list[str] = []

    def is_closing(self) -> bool:
        return self.closing

    def write(self, _: bytes) -> None:
        self.log.append("write")

    def get_write_buffer_size(self) -> int:
        return 1

    async def drain(self) -> None:
        self.log.append("drain")


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    client: Any = SlowReader()
    answered = Answered(200, b"{}", 0)
    await answered.prepare(client)
    await answered.write_eof()

    assert client.log == ["write", "drain"]


async def test_a_client_that_is_gone_is_a_connection_error() -> None:
    client: Any = SlowReader(closing=True)
    answered = Answered(200, b"{}", 0)
    await answered.prepare(client)

    with pytest.raises(ConnectionResetError):
        await answered.write_eof()
    assert client.log == []


@pytest.mark.parametrize(("error", "status"), [(ZeroDivisionError, 500), (ConnectionError, 400)])
async def test_a_bug_in_a_handler_is_a_500_and_logged_a_lost_client_is_not(
    caplog: pytest.LogCaptureFixture, error: type[Exception], status: int
) -> None:
    async def fail(_: web.BaseRequest) -> web.StreamResponse:
        raise error

    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer({"/realtime": {"POST": fail}}, listener)
    await server.start()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(request_bytes(START, b"Connection: close\r\n"))
    received = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.stop(1)

    assert received.startswith(b"HTTP/1.1 %d" % status)
    assert b'"status":%d' % status in received
    assert len(caplog.records) == (status == 500)


async def test_a_client_that_goes_while_it_sends_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as face:
        _, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(request_bytes(START)[:-10])
        await until(lambda: writer.transport.get_write_buffer_size() == 0)
        writer.close()
        await writer.wait_closed()
        assert (await call(face, body=START)).status == 200

    assert caplog.records == []


def test_a_status_without_a_name_is_a_status() -> None:
    assert _phrase(299) == "Status"
    assert _phrase(402) == "Payment Required"

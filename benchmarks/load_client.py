"""An HTTP client that costs little, so that a benchmark measures the server.

Each connection has its requests as ready bytes and sends the next when an answer is complete. Of an
answer only the status and the length are read. At a few µs a request one core of client outruns one
core of any server that speaks HTTP in Python.

Only for a server that is known to answer with Content-Length, header names written as aiohttp
writes them, and one answer a request.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

_HEADER_END = b"\r\n\r\n"
_LENGTH = b"Content-Length: "


def post(path: str, body: bytes) -> bytes:
    """Write one request."""
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass
class Load:
    """What became of one run; `statuses` counts answers by HTTP status."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        return self.statuses.total()


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Sequence[bytes], load: Load) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = iter(requests)
        self._load = load
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def begin(self) -> None:
        self._send_next()

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        end = data.find(_HEADER_END)
        if end < 0:
            self._received = data
            return
        at = data.index(_LENGTH) + len(_LENGTH)
        length = int(data[at : data.index(b"\r", at)])
        if len(data) < end + len(_HEADER_END) + length:
            self._received = data
            return
        self._received = b""
        self._load.statuses[int(data[9:12])] += 1
        if data.find(b'"return_code":-', end) >= 0:
            self._load.refused += 1
        self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed"))

    def _send_next(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


async def run_load(host: str, port: int, requests: Sequence[Sequence[bytes]]) -> Load:
    """Send all requests, those of each inner sequence one after another on one connection."""
    loop = asyncio.get_running_loop()
    load = Load()
    connections: list[_Connection] = []
    for of_one in requests:
        _, connection = await loop.create_connection(partial(_Connection, of_one, load), host, port)
        connections.append(connection)
    began_s = loop.time()
    for connection in connections:
        connection.begin()
    await asyncio.gather(*[connection.done for connection in connections])
    load.seconds = loop.time() - began_s
    return load

"""An HTTP client that costs little, so that a benchmark measures the server.

Each connection has its requests as ready bytes. `run_load` sends the next when an answer is
complete (closed loop: how many can it do?), `run_paced` when it is due (open loop: how long does it
take?). Of an answer only the status and the length are read. At a few µs a request one core of
client outruns one core of any server that speaks HTTP in Python.

Only for a server that is known to answer with Content-Length, header names written as aiohttp
writes them, and one answer a request.
"""

import asyncio
import random
from collections import Counter, deque
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


@dataclass
class PacedLoad(Load):
    """With the seconds from when each request was due to its answer."""

    latencies_s: list[float] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """Sends what `_next_request` gives, one at a time."""

    def __init__(self, load: Load) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

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
        self._answered()
        self.send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed"))

    def send_next(self) -> None:
        assert self._transport is not None
        request = self._next_request()
        if request is not None:
            self._transport.write(request)

    def _next_request(self) -> bytes | None:
        raise NotImplementedError

    def _answered(self) -> None:
        """Take note of an answer."""

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()


class _ClosedLoop(_Connection):
    def __init__(self, requests: Sequence[bytes], load: Load) -> None:
        super().__init__(load)
        self._requests = iter(requests)

    def _next_request(self) -> bytes | None:
        request = next(self._requests, None)
        if request is None:
            self._end()
        return request


class _OpenLoop(_Connection):
    """Is given requests when they are due; those that come while one is under way wait for it."""

    def __init__(self, requests: int, load: PacedLoad) -> None:
        super().__init__(load)
        self._latencies_s = load.latencies_s
        self._loop = asyncio.get_running_loop()
        self._left = requests
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._due_s: float | None = None

    def give(self, due_s: float, request: bytes) -> None:
        self._waiting.append((due_s, request))
        if self._due_s is None:
            self.send_next()

    def _next_request(self) -> bytes | None:
        if not self._waiting:
            return None
        self._due_s, request = self._waiting.popleft()
        return request

    def _answered(self) -> None:
        assert self._due_s is not None
        self._latencies_s.append(self._loop.time() - self._due_s)
        self._due_s = None
        self._left -= 1
        if not self._left:
            self._end()


async def run_load(host: str, port: int, requests: Sequence[Sequence[bytes]]) -> Load:
    """Send all requests, those of each inner sequence one after another on one connection."""
    loop = asyncio.get_running_loop()
    load = Load()
    connections: list[_ClosedLoop] = []
    for of_one in requests:
        _, connection = await loop.create_connection(partial(_ClosedLoop, of_one, load), host, port)
        connections.append(connection)
    began_s = loop.time()
    for connection in connections:
        connection.send_next()
    await asyncio.gather(*[connection.done for connection in connections])
    load.seconds = loop.time() - began_s
    return load


async def run_paced(
    host: str, port: int, requests: Sequence[Sequence[bytes]], rate: float, seed: int
) -> PacedLoad:
    """Send `rate` requests a second at random times, whether or not the server keeps up.

    Those of each inner sequence go over one connection, in their order; the sequences are equally
    long. The loop's timers are good to half a millisecond: a request that is sent late by that is
    counted from when it was due, one that is sent early from when it was sent.
    """
    loop = asyncio.get_running_loop()
    load = PacedLoad()
    connections: list[_OpenLoop] = []
    for of_one in requests:
        make = partial(_OpenLoop, len(of_one), load)
        _, connection = await loop.create_connection(make, host, port)
        connections.append(connection)
    chance = random.Random(seed)
    began_s = due_s = loop.time()
    for step in zip(*requests, strict=True):
        for connection, request in zip(connections, step, strict=True):
            due_s += chance.expovariate(rate)
            if (early_s := due_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            connection.give(min(due_s, loop.time()), request)
    await asyncio.gather(*[connection.done for connection in connections])
    load.seconds = loop.time() - began_s
    return load

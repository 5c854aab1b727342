"""A small HTTP/1.1 client: a few keep-alive connections, one request on each at a time.

`ocs replay` measures the service from the same machine, so what the client costs is taken from what
it measures. This one spends some 25 microseconds a request, a fifth of a full client. It knows what
our service sends: a status line, headers, and a body with its Content-Length. Anything else
(chunked bodies, redirects) is a `ConnectionError` that says so, never a wrong answer.

A request that gets no answer raises an `OSError` (a time-out is one) and its connection is thrown
away. Nothing is repeated here: only the caller knows what a repeat would do.
"""

import asyncio
import re
import ssl
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

from ocs.usecases.replay_tally import Exchange

MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 16_777_216
"""An answer to 1,000 events is below 1 MiB; `/metrics` grows with its labels."""

_HEAD_END: Final = b"\r\n\r\n"
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CLOSES: Final = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_HIT: Final = re.compile(rb"\r\nidempotency-hit:[ \t]*true", re.IGNORECASE)


class HttpClient:
    """`async with` it; `post` sends to `path`. Connections open when they are first needed."""

    def __init__(
        self,
        url: str,
        *,
        path: str = "/realtime",
        connections: int = 16,
        token: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """Raises ValueError for a URL that is none of http or https."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address: expected http://host:port")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/") + path
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._headers = f"Host: {host}:{self._port}\r\nContent-Type: application/json\r\n"
        if token:
            self._headers += f"Authorization: Bearer {token}\r\n"
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Link] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        closing, self._idle = self._idle, []
        for link in closing:
            link.close()
        for link in closing:
            await link.closed

    async def post(self, body: bytes) -> Exchange:
        """Send one event, or an array of events. Raises OSError where no answer came."""
        return await self.request("POST", self._path, body)

    async def get(self, path: str) -> Exchange:
        """Read one of the service's pages. Raises OSError where no answer came."""
        return await self.request("GET", path, b"")

    async def request(self, method: str, path: str, body: bytes) -> Exchange:
        """Send one request when a connection is free. Raises OSError where no answer came."""
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        async with self._free, asyncio.timeout(self._timeout_s):
            link = await self._link()
            try:
                exchange = await link.send(head.encode() + body)
            except BaseException:
                link.close()
                raise
            if link.usable:
                self._idle.append(link)
            return exchange

    async def _link(self) -> "_Link":
        while self._idle:
            link = self._idle.pop()
            if link.usable:
                return link
        loop = asyncio.get_running_loop()
        _, opened = await loop.create_connection(_Link, self._host, self._port, ssl=self._tls)
        return opened


class _Link(asyncio.Protocol):
    """One connection: a request goes out, one answer comes back."""

    def __init__(self) -> None:
        self.usable = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Exchange] | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked: uvloop's transports are of no class of asyncio.
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._fail(f"the connection was lost before the answer came: {exc or 'closed'}")
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answer is None:
            self._fail("something came that was not asked for")
            return
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                self._fail("the answer has no end of its headers")
            return
        head = bytes(self._received[:head_end])
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None or int(length[1]) > MAX_BODY_BYTES:
            self._fail("the answer is not HTTP/1.1 with a Content-Length of sensible size")
            return
        whole = head_end + len(_HEAD_END) + int(length[1])
        if len(self._received) >= whole:
            body = bytes(self._received[head_end + len(_HEAD_END) : whole])
            self._finish(head, Exchange(int(status[1]), body, _HIT.search(head) is not None))

    def send(self, request: bytes) -> asyncio.Future[Exchange]:
        """Write a request; the future is its answer."""
        assert self._transport is not None, "a link is used after it was made"
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, head: bytes, exchange: Exchange) -> None:
        answer, self._answer = self._answer, None
        if _CLOSES.search(head):
            self.close()
        if answer is not None and not answer.done():
            answer.set_result(exchange)

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(ConnectionError(reason))
        self.close()

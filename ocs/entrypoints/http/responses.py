"""An answer that leaves in one write, complete.

aiohttp's `Response` can stream, compress, set cookies and be changed until it is sent. For that it
keeps a header dictionary and takes five calls to write it. An event's answer needs none of this; it
was a sixth of the time of an event. `Answered` offers the three members by which aiohttp's protocol
sends a response, and hands the transport the bytes; the front takes them as they are (`whole`).

What must not be lost on the way: a connection that is to be closed says so, and a client that sends
without reading is waited for.
"""

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final, cast

from aiohttp import web

JSON_HEADERS: Final = {"Content-Type": "application/json", "Server": "ocs"}


class Answered:
    """An answer. `headers` are further header lines, each with its line end."""

    __slots__ = (
        "_body",
        "_content_type",
        "_headers",
        "_now_s",
        "_request",
        "_status",
        "keep_alive",
    )

    def __init__(
        self,
        status: int,
        body: bytes,
        now_s: int,
        headers: str = "",
        content_type: str = "application/json",
    ) -> None:
        self.keep_alive = False
        self._body = body
        self._content_type = content_type
        self._headers = headers
        self._now_s = now_s
        self._request: web.BaseRequest | None = None
        self._status = status

    def response(self) -> web.StreamResponse:
        """Return itself as what aiohttp's handlers are typed to return."""
        return cast("web.StreamResponse", self)

    def whole(self, *, keep_alive: bool) -> bytes:
        """Write it as it goes over the wire."""
        head = _head(self._status, self._now_s, keep_alive, self._headers, self._content_type)
        return b"%b%d\r\n\r\n%b" % (head, len(self._body), self._body)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Take note of the connection; called by aiohttp."""
        self._request = request
        self.keep_alive = request.keep_alive

    async def write_eof(self) -> None:
        """Send everything; called by aiohttp. ConnectionError: the client is gone."""
        request = self._request
        assert request is not None, "prepared before it is sent"
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(self.whole(keep_alive=self.keep_alive))
        if transport.get_write_buffer_size():
            await request.writer.drain()


@lru_cache(maxsize=64)
def _head(status: int, now_s: int, keep_alive: bool, headers: str, content_type: str) -> bytes:
    """Write status line and headers up to the length; the same for all answers of a second."""
    connection = "keep-alive" if keep_alive else "close"
    return (
        f"HTTP/1.1 {status} {_phrase(status)}\r\nContent-Type: {content_type}\r\nServer: ocs\r\n"
        f"Date: {formatdate(now_s, usegmt=True)}\r\nConnection: {connection}\r\n{headers}"
        "Content-Length: "
    ).encode()


def _phrase(status: int) -> str:
    """Name a status; operators may choose one that HTTP has no name for."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"

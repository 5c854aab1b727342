"""Connections without a network: every segment is cut where a test wants it.

A `Line` is the transport of one connection and notes what the server does with it. `hear` makes
replies of the bytes that were written.
"""

import asyncio
import json
from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from tests.entrypoints.http.serving import Face

QUIET_TURNS = 8
"""Turns of the loop without news after which a server waits for its client. An answer takes six."""


class Reply(msgspec.Struct, frozen=True):
    """`text` is the body where it is ours; aiohttp's own words quote the segment."""

    status: int
    headers: dict[str, str]
    text: bytes


class Line(asyncio.Transport):
    def __init__(self, face: Face, peer: str = "127.0.0.1") -> None:
        super().__init__({"peername": (peer, 40_000)})
        self.written = b""
        self.is_closed = False
        self.is_lost = False
        self.is_aborted = False
        self.reads = True
        self._protocol: asyncio.BaseProtocol = face.protocols()
        self._protocol.connection_made(self)

    # --- For the test ---

    @property
    def protocol(self) -> asyncio.Protocol:
        assert isinstance(self._protocol, asyncio.Protocol)
        return self._protocol

    async def send(self, *segments: bytes) -> "Line":
        """Deliver segments, each after the former was dealt with."""
        for segment in segments:
            if not self.is_closed:
                self.protocol.data_received(segment)
            await self.settle()
        return self

    async def settle(self) -> None:
        """Let the server work until it has nothing to do."""
        seen, quiet = (self.written, self.is_closed), 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            now = (self.written, self.is_closed)
            seen, quiet = now, quiet + 1 if now == seen else 0

    def hang_up(self) -> None:
        """End it from the client's side."""
        self.close()

    @property
    def replies(self) -> list[Reply]:
        return list(_replies(self.written))

    # --- For the server ---

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        for part in parts:
            self.write(part)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        self.is_aborted = True
        self.close()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.lose)

    def lose(self) -> None:
        self.is_lost = True
        self._protocol.connection_lost(None)


def names(line: Line) -> list[str]:
    """Say how the events on a line were answered."""
    return [json.loads(reply.text)["return_name"] for reply in line.replies]


def charged(face: Face) -> list[tuple[str, str]]:
    """List the tenants and sessions of the events that reached charging."""
    return [(event.tenant, event.session_id) for event in face.charger.events]


def _replies(written: bytes) -> Iterable[Reply]:
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        length = int(headers.get("Content-Length", 0))
        text, written = rest[:length], rest[length:]
        headers.pop("Date", None)
        status = int(line.split(" ")[1])
        if status == HTTPStatus.CONTINUE:
            continue  # sent or not, as the body was there with its head or not
        if headers.get("Server") != "ocs":
            yield Reply(status, {}, b"")
        else:
            yield Reply(status, headers, text)

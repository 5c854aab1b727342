"""A link to the store that breaks at a chosen byte.

client ──► CuttingProxy ──► server      `cut("sent", 17)`: the 18th byte from the client on
       ◄──              ◄──             is never delivered, and both sides are cut off

With `tls` it is reached at a port of localhost instead of a path, and speaks TLS there.
"""

import asyncio
import contextlib
import ssl
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Direction = Literal["sent", "answered"]


class CuttingProxy:
    def __init__(self, path: Path, server: Path, tls: ssl.SSLContext | None = None) -> None:
        self.path = path
        self.port = 0
        self.cuts = 0
        self._tls = tls
        self._server_path = server
        self._listener: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._direction: Direction = "sent"
        self._left: int | None = None

    def cut(self, direction: Direction, after_bytes: int) -> None:
        """Lets so many more bytes pass, then cuts, once."""
        self._direction, self._left = direction, after_bytes

    async def __aenter__(self) -> Self:
        if self._tls is None:
            self._listener = await asyncio.start_unix_server(self._serve, self.path)
            return self
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        if self._links:
            await asyncio.wait(self._links)
        await self._listener.wait_closed()

    async def _serve(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        far, far_out = await asyncio.open_unix_connection(self._server_path)
        ways = [
            asyncio.create_task(self._pass_on(near, far_out, "sent")),
            asyncio.create_task(self._pass_on(far, near_out, "answered")),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
        for writer in (near_out, far_out):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._links.discard(task)

    async def _pass_on(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, direction: Direction
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self._left is None or direction != self._direction:
                    target.write(data)
                    await target.drain()
                    continue
                passing = data[: self._left]
                self._left -= len(passing)
                target.write(passing)
                await target.drain()
                if len(passing) < len(data):
                    self._left = None
                    self.cuts += 1
                    return

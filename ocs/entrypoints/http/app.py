"""The HTTP server: which path goes where, and how connections begin and end.

Paths are fixed, so they are a table, on aiohttp's low-level server. An `Application` would cost
4 µs more on every event for its router and signals, and its errors are pages for browsers; here
they are JSON like all else.

How long a client may take is bounded at each step: `header_timeout_s` from the connection to its
first request, `keepalive_timeout_s` between two requests (until the next is complete), and the
time of a body by its handler.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from msgspec import Struct

from ocs.entrypoints.http.answers import problem_body
from ocs.entrypoints.http.operations import Operations
from ocs.entrypoints.http.realtime import Realtime
from ocs.entrypoints.http.responses import JSON_HEADERS

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[str, Mapping[str, Handler]]
"""By path, then by method."""

_log = logging.getLogger(__name__)


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """`backlog` bounds connections that the kernel has accepted and we have not."""

    header_timeout_s: float = 10.0
    keepalive_timeout_s: float = 75.0
    backlog: int = 1_024


def service_routes(realtime: Realtime, operations: Operations) -> Routes:
    """What the service's port answers; the probes are there too, for simple set-ups."""
    return {
        "/realtime": {"POST": realtime.handle},
        "/livez": _readable(operations.livez),
        "/readyz": _readable(operations.readyz),
    }


def operations_routes(operations: Operations) -> Routes:
    """What the operations port of a worker answers."""
    return {
        "/metrics": _readable(operations.metrics),
        "/livez": _readable(operations.livez),
        "/readyz": _readable(operations.readyz),
    }


class HttpServer:
    """Routes served on one socket that somebody else has bound."""

    def __init__(
        self, routes: Routes, listener: socket.socket, limits: ConnectionLimits | None = None
    ) -> None:
        self._routes = routes
        self._listener = listener
        self._limits = limits or ConnectionLimits()
        self._silent: dict[object, asyncio.TimerHandle] = {}
        self._web: web.Server | None = None
        self._accepting: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        # access_log: a line per granted event would cost more than charging it.
        self._web = web.Server(
            self._handle,
            access_log=None,
            keepalive_timeout=self._limits.keepalive_timeout_s,
        )
        self._accepting = await asyncio.get_running_loop().create_server(
            self._connection, sock=self._listener, backlog=self._limits.backlog
        )

    async def stop(self, within_s: float) -> None:
        """Stop listening, answer what is in hand for so long, close all connections."""
        assert self._accepting is not None, "a server is stopped after it was started"
        assert self._web is not None
        self._accepting.close()
        await asyncio.sleep(0)  # what the kernel has handed over becomes a connection
        self._web.pre_shutdown()
        await self._web.shutdown(within_s)
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()

    def _connection(self) -> RequestHandler:
        """Make the handler of a new connection, and give it its time for a first request."""
        assert self._web is not None
        connection = self._web()
        self._silent[connection] = asyncio.get_running_loop().call_later(
            self._limits.header_timeout_s, self._end_silent, connection
        )
        return connection

    def _end_silent(self, connection: RequestHandler) -> None:
        self._silent.pop(connection, None)
        connection.force_close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._silent and (timer := self._silent.pop(request.protocol, None)):
            timer.cancel()
        path = request.raw_path
        methods = self._routes.get(path) or self._routes.get(path.partition("?")[0])
        if methods is None:
            return _problem(HTTPStatus.NOT_FOUND)
        handler = methods.get(request.method)
        if handler is None:
            refusal = _problem(HTTPStatus.METHOD_NOT_ALLOWED)
            refusal.headers["Allow"] = ", ".join(methods)
            return refusal
        try:
            return await handler(request)
        except ConnectionError:  # the client went while it was sending: nobody reads the answer
            return _problem(HTTPStatus.BAD_REQUEST)
        except Exception:  # noqa: BLE001 -- a bug of one request must not end the connection's others
            _log.exception("a request could not be answered")
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR)


def _readable(handler: Handler) -> Mapping[str, Handler]:
    return {"GET": handler, "HEAD": handler}


def _problem(status: HTTPStatus) -> web.Response:
    return web.Response(
        body=problem_body(status),
        status=status,
        headers=JSON_HEADERS,
    )

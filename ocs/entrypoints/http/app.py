"""The HTTP server: which path goes where, and how connections begin and end.

A connection to a server of events begins in `front`, which serves plain events by itself; all else
is aiohttp's. Paths are fixed, so they are a table, on aiohttp's low-level server: an `Application`
would bring a router and signals that nobody uses, and its errors are pages for browsers; here they
are JSON like all else.

How long a client may take is bounded at each step, whoever has the connection: `header_timeout_s`
to its first request, `keepalive_timeout_s` between two requests (until the next is complete), and
the time of a body.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ocs.entrypoints.http.answers import problem_body
from ocs.entrypoints.http.cdr import CDR_PATH, Cdrs
from ocs.entrypoints.http.front import ConnectionLimits, Front, Shared
from ocs.entrypoints.http.heads import REALTIME_PATH, Heads
from ocs.entrypoints.http.operations import Operations
from ocs.entrypoints.http.realtime import Realtime
from ocs.entrypoints.http.responses import JSON_HEADERS

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes = Mapping[str, Mapping[str, Handler]]
"""By path, then by method."""

_log = logging.getLogger(__name__)


def service_routes(realtime: Realtime, operations: Operations, cdrs: Cdrs | None = None) -> Routes:
    """What the service's port answers; the probes are there too, for simple set-ups."""
    intake: Routes = {} if cdrs is None else {CDR_PATH: {"POST": cdrs.handle}}
    return {
        **intake,
        REALTIME_PATH: {"POST": realtime.handle, "GET": realtime.handle},
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
        self,
        routes: Routes,
        listener: socket.socket,
        limits: ConnectionLimits | None = None,
        events: Realtime | None = None,
    ) -> None:
        """`events` are served by the front; without them all is aiohttp's."""
        self._routes = routes
        self._listener = listener
        self._limits = limits or ConnectionLimits()
        self._events = events
        self._fronts: set[Front] = set()
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
            self._protocols(), sock=self._listener, backlog=self._limits.backlog
        )

    async def stop(self, within_s: float) -> None:
        """Stop listening, answer what is in hand for so long, close all connections."""
        assert self._accepting is not None, "a server is stopped after it was started"
        assert self._web is not None
        self._accepting.close()
        await asyncio.sleep(0)  # what the kernel has handed over becomes a connection
        fronts = self._end_fronts(within_s)
        self._web.pre_shutdown()
        await asyncio.gather(fronts, self._web.shutdown(within_s))
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()

    async def _end_fronts(self, within_s: float) -> None:
        fronts = list(self._fronts)
        for front in fronts:
            front.end()
        if fronts:
            await asyncio.wait([front.gone for front in fronts], timeout=within_s)
        for front in fronts:
            front.abort()

    def _protocols(self) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes the protocol of a new connection."""
        if self._events is None:
            return lambda: self._handler(self._limits.header_timeout_s)
        shared = Shared(
            realtime=self._events,
            heads=Heads(self._events.authenticator, self._events.limits.body_bytes),
            limits=self._limits,
            hand_over=self._take_over,
            open=self._fronts,
        )
        return lambda: Front(shared)

    def _handler(self, within_s: float) -> RequestHandler:
        """Make aiohttp's handler of a connection, and give it its time for a first request."""
        assert self._web is not None
        handler = self._web()
        self._silent[handler] = asyncio.get_running_loop().call_later(
            within_s, self._end_silent, handler
        )
        return handler

    def _take_over(self, transport: asyncio.Transport, waiting: bytes, within_s: float) -> None:
        """Go on with a connection of the front's."""
        handler = self._handler(within_s)
        handler.connection_made(transport)
        transport.set_protocol(handler)
        handler.data_received(waiting)

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

"""The way of an event through HTTP: a connection that serves plain requests by itself.

aiohttp costs an event 20 µs or more, a quarter of all, for headers, streams, request objects and
tasks that one JSON body does not need; the front costs it 4. So a connection begins here:

                   plain `POST /realtime` ──► Realtime.begin ───► one write ─┐
    connection ──► front ◄───────────────────────────────────────────────────┘
                   all else ──► aiohttp, with every byte not answered yet, for good

Whatever is not plain (see `heads`: another path, chunks, an unknown credential, something wrong) is
handed over before anything of it is answered, so the front has no errors of its own to word: what
it cannot do, aiohttp does, slower. The two never hold a connection at once, and there is one place
where bytes wait.

*One at a time.* A connection's requests are answered in their order; what a client sends meanwhile
waits here, and above a bound in the kernel (`pause_reading`). A client that does not read its
answers is asked nothing more until it does.

*One timer.* A connection has one time by which something is due (`_due_s`), which every answer
moves; the timer looks at it when it fires, so that a request costs no timer. Before the first
request it is the time for a head, then the keep-alive time, and while a body is missing the time
for that: what has come of it is then answered, which is a refusal, and the connection is closed.

*No task.* A single event goes with a round (`rounds`), which tells its answer; a task is there only
for what waits by itself: an array, a call for help.

Rejected: a task for each connection that waits for requests (a future and two turns of the loop for
each); a task for each request (a round costs an event 5 µs less).
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay
from msgspec import Struct

from ocs.entrypoints.http.heads import BLANK_LINE, LONGEST_HEAD, Heads, PlainHead
from ocs.entrypoints.http.realtime import Realtime
from ocs.entrypoints.http.responses import Answered

HandOver = Callable[[asyncio.Transport, bytes, float], None]
"""Takes a connection, its bytes that wait, and the seconds left for a request to be complete."""

_BUSY: Final = sys.maxsize
"""As a number of bytes to wait for: nothing is looked at before the present request is answered."""


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """`backlog` bounds connections that the kernel has accepted and we have not."""

    header_timeout_s: float = 10.0
    keepalive_timeout_s: float = 75.0
    backlog: int = 1_024


class Shared(Struct, frozen=True, kw_only=True):
    """What the connections of one server have in common. `open` are those not yet gone."""

    realtime: Realtime
    heads: Heads
    limits: ConnectionLimits
    hand_over: HandOver
    open: set["Front"]


class Front(asyncio.Protocol):
    """One connection. `gone` is done when it is closed, or handed over, and nothing is in hand."""

    def __init__(self, shared: Shared) -> None:
        self._heads = shared.heads
        self._realtime = shared.realtime
        self._shared = shared
        self._keepalive_s = shared.limits.keepalive_timeout_s
        self._most_waiting_bytes = LONGEST_HEAD + shared.realtime.limits.body_bytes
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._peer: str | None = None
        self._parts: list[bytes] = []
        self._waiting_bytes = 0
        self._needed_bytes = 0
        self._is_in_hand = False
        self._answering: asyncio.Task[None] | None = None
        self._is_deaf = False
        self._is_ending = False
        self._is_stalled = False
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # --- Told by the transport ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        tcp_nodelay(self._transport, value=True)
        tcp_keepalive(self._transport)
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) else name
        self._shared.open.add(self)
        limits = self._shared.limits
        self._wait_until(self._loop.time() + min(limits.header_timeout_s, self._keepalive_s))

    def data_received(self, data: bytes) -> None:
        if not self._needed_bytes:
            self._look(data)
            return
        self._parts.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= self._needed_bytes:
            self._look(self._taken())
        elif self._needed_bytes == _BUSY and self._waiting_bytes > self._most_waiting_bytes:
            self._is_deaf = True
            self._transport_open().pause_reading()

    def pause_writing(self) -> None:
        self._is_stalled = True

    def resume_writing(self) -> None:
        self._is_stalled = False
        self._go_on()

    def connection_lost(self, _: Exception | None) -> None:
        """What was taken in is finished all the same: the client will ask again."""
        self._transport = None
        self._stop_timer()
        if not self._is_in_hand:
            self._leave()

    # --- Told by the server ---------------------------------------------------------------------

    def end(self) -> None:
        """Take in nothing more, and close when the request in hand is answered."""
        self._is_ending = True
        if not self._is_in_hand and self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is in hand."""
        if self._transport is not None:
            self._transport.abort()

    # --- What has come --------------------------------------------------------------------------

    def _look(self, data: bytes) -> None:
        """Begin the request that stands first in `data`, and keep what follows it."""
        end = data.find(BLANK_LINE) + len(BLANK_LINE)
        if self._is_stalled:
            self._keep(data, _BUSY)
        elif end < len(BLANK_LINE):
            if self._heads.may_become_plain(data):
                self._keep(data, len(data) + 1)
            else:
                self._hand_over(data)
        elif (head := self._heads.plain(data[:end], self._peer)) is None:
            self._hand_over(data)
        elif len(data) < (size := end + head.body_bytes):
            self._keep(data, size)
            self._wait_until(self._loop.time() + self._realtime.limits.body_timeout_s)
        else:
            if len(data) > size:
                self._keep(data[size:], _BUSY)
            self._begin(data[end:size], head)

    def _keep(self, data: bytes, needed_bytes: int) -> None:
        self._parts.append(data)
        self._waiting_bytes = len(data)
        self._needed_bytes = needed_bytes

    def _taken(self) -> bytes:
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting_bytes = 0
        return data

    def _go_on(self) -> None:
        """Look at what has come during a request, if that is answered."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_in_hand or self._needed_bytes != _BUSY:
            return
        self._needed_bytes = 0
        if self._is_deaf and self._waiting_bytes <= self._most_waiting_bytes:
            self._listen()
        self._look(self._taken())

    def _listen(self) -> None:
        self._is_deaf = False
        self._transport_open().resume_reading()

    def _hand_over(self, data: bytes) -> None:
        transport = self._transport_open()
        if self._is_deaf:
            self._listen()
        self._stop_timer()
        self._transport = None
        self._leave()
        self._shared.hand_over(transport, data, max(0.0, self._due_s - self._loop.time()))

    # --- What is answered -----------------------------------------------------------------------

    def _begin(self, body: bytes, head: PlainHead) -> None:
        self._needed_bytes = _BUSY
        try:
            answered = self._realtime.begin(
                body, head.caller, head.idempotency_key, head.source, self._finish
            )
        except Exception:  # noqa: BLE001 -- a bug of one request must not end the connection's others
            answered = self._realtime.broken()
        if isinstance(answered, Answered):
            self._send(answered)
            return
        self._is_in_hand = True
        if answered is not None:
            self._answering = self._loop.create_task(self._wait(answered))

    async def _wait(self, answering: Awaitable[Answered]) -> None:
        try:
            answered = await answering
        except Exception:  # noqa: BLE001 -- as above
            answered = self._realtime.broken()
        self._finish(answered)

    def _finish(self, answered: Answered) -> None:
        self._is_in_hand = False
        self._send(answered)

    def _send(self, answered: Answered) -> None:
        transport = self._transport
        if transport is None:
            self._leave()
            return
        if transport.is_closing():
            return
        transport.write(answered.whole(keep_alive=not self._is_ending))
        if self._is_ending:
            transport.close()
            return
        self._due_s = self._loop.time() + self._keepalive_s
        if self._timer is None:
            self._wait_until(self._due_s)
        if self._parts:
            # Not at once: of many connections none is to be served many times in a turn.
            self._loop.call_soon(self._go_on)
        else:
            self._needed_bytes = 0

    # --- What does not come ---------------------------------------------------------------------

    def _wait_until(self, due_s: float) -> None:
        self._stop_timer()
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._look_at_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look_at_time(self) -> None:
        self._timer = None
        if self._is_in_hand:
            return  # the answer sets a new time
        if self._loop.time() < self._due_s:
            self._wait_until(self._due_s)
            return
        data = b"".join(self._parts)
        end = data.find(BLANK_LINE) + len(BLANK_LINE)
        if self._needed_bytes == _BUSY or end < len(BLANK_LINE):
            self.abort()
            return
        head = self._heads.plain(data[:end], self._peer)
        assert head is not None, "it was plain when its body began to be waited for"
        self._is_ending = True
        self._begin(data[end:], head)

    def _leave(self) -> None:
        self._shared.open.discard(self)
        self.gone.set_result(None)

    def _transport_open(self) -> asyncio.Transport:
        assert self._transport is not None, "bytes come from a connection"
        return self._transport

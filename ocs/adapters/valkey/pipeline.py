"""One link to the store, on which every command is pipelined without anybody asking for it.

    execute ─┐                                  ┌─ future 1 ◄─┐
    execute ─┼─► buffer ── end of the tick ──►  ├─ future 2 ◄─┼── replies, in the order sent
    execute ─┘             ONE write            └─ future 3 ◄─┘

Whatever the tasks of one event-loop tick ask for leaves in one write, and the server answers in
order, so matching is a queue. A command costs 2 to 3 µs of client CPU this way, against 45 to 67 µs
where each call takes a pooled connection, writes, and waits (measured with redis-py). Rejected:
explicit pipelines, because every caller would have to know every other; a timer for each command,
because timers cost more than the command.

Four numbers tell everything about the state: commands are *sent* when they were handed to the
transport, *answered* when their reply came; the difference is in flight, and what is in the buffer
waits. When the link is lost, what was in flight has an unknown outcome, what waited was not
executed, and each is told so.

A hung server is noticed by looking a few times per time-out at how many replies came: if a command
sent a whole time-out ago is still without reply, the link is given up. The looks are counted, not a
clock: when this process itself was held up for seconds, it does not blame the server for it.

What is begun together may be waited for together (`send_all`): the replies gather in one future,
whose commands lie in the queue like any others. A future for each, and a step of the event loop
for each caller, would cost more than the command.

With `confirm`, a `WAIT` follows each batch, and no answer of the batch is told before the replicas
confirmed it: one confirmation for all commands of a tick.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, TypeAlias, cast

import hiredis

from ocs.adapters.valkey.faults import (
    OutcomeUnknown,
    ReplyError,
    StoreOverloaded,
    StoreUnavailable,
    not_executed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Argument: TypeAlias = str | bytes | int
Reply: TypeAlias = "bytes | int | list[Reply] | None"

pack = cast("Callable[[tuple[Argument, ...]], bytes]", hiredis.pack_command)
"""Write a command in the store's protocol."""
_INCOMPLETE = object()
# How often per time-out the link is looked at: a hang is noticed at most 1/8 late.
_LOOKS_PER_TIMEOUT = 8
# Batch sizes are counted by powers of two; 2^20 commands in one tick are beyond any bound.
_BATCH_SIZE_CLASSES = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLimits:
    """What one link may hold, and how long it may be silent."""

    timeout_s: float = 1.0
    # 10,000 commands are 0.2 s of one store core: whoever waits longer is better refused at once.
    waiting_commands: int = 10_000
    # Not yet handed to the transport. Charges are below 1 KiB, so commands are the usual bound.
    waiting_bytes: int = 16 * 1024 * 1024


@dataclass(slots=True)
class Counters:
    """What happened on all links of a connection, or of several; metrics read it."""

    commands: int = 0
    batches: int = 0
    refused: int = 0
    timeouts: int = 0
    reconnects: int = 0
    unconfirmed: int = 0
    # Entry n counts the batches of 2^(n-1) to 2^n - 1 commands.
    batch_sizes: list[int] = field(default_factory=lambda: [0] * _BATCH_SIZE_CLASSES)


class Replies(asyncio.Future[list[object]]):
    """The replies to commands that were sent together, in their order, faults among them."""

    def __init__(self, commands: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.told: list[object] = []
        self.commands = commands


_Waiting: TypeAlias = "asyncio.Future[Reply] | Replies | None"
"""Who waits for a reply; None is the WAIT behind a batch."""


class Pipeline(asyncio.Protocol):
    """One link, from `connection_made` until `closed` is set; it is never opened again."""

    def __init__(self, limits: LinkLimits, counters: Counters) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._counters = counters
        self._reader = hiredis.Reader(replyError=ReplyError.parse, notEnoughData=_INCOMPLETE)
        self._transport: asyncio.Transport | None = None
        # All commands without reply, oldest first; the last len(_buffer) of them were not sent yet.
        self._unanswered: deque[_Waiting] = deque()
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._sent = 0
        self._answered = 0
        self._flush_is_due = False
        self._paused = False
        self._looks: deque[int] = deque(maxlen=_LOOKS_PER_TIMEOUT)
        self._next_look: asyncio.TimerHandle | None = None
        self._wait_command = b""
        self._replicas_wanted = 0
        self._unconfirmed: list[tuple[asyncio.Future[Reply] | Replies, object]] = []
        self.lost_because = ""
        self.closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Commands without reply."""
        return len(self._unanswered)

    def confirm(self, replicas: int, wait_ms: int) -> None:
        """From here on an answer is told only after `replicas` replicas received its batch."""
        self._replicas_wanted = replicas
        self._wait_command = pack(("WAIT", replicas, wait_ms))

    # --- Sending --------------------------------------------------------------------------------

    def send(self, arguments: tuple[Argument, ...]) -> asyncio.Future[Reply]:
        return self.send_packed(pack(arguments))

    def send_packed(self, command: bytes) -> asyncio.Future[Reply]:
        """Send a command that is in the store's protocol already."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if not self._has_room(1, len(command)):
            self._counters.refused += 1
            future.set_exception(StoreOverloaded("too many commands wait for the store"))
            return future
        if self.lost_because:
            future.set_exception(StoreUnavailable(self.lost_because))
            return future
        self._buffer_bytes += len(command)
        self._buffer.append(command)
        self._unanswered.append(future)
        self._flush_soon()
        return future

    def send_all(self, commands: Sequence[bytes]) -> Replies | None:
        """Send packed commands whose replies are waited for together.

        None: they do not all fit, or the link is lost. Each alone may still be sent, or be refused.
        """
        assert commands, "what is not sent is not answered"
        size = sum(map(len, commands))
        if self.lost_because or not self._has_room(len(commands), size):
            return None
        replies = Replies(len(commands), self._loop)
        self._buffer_bytes += size
        self._buffer += commands
        self._unanswered.extend(repeat(replies, len(commands)))
        self._flush_soon()
        return replies

    def _has_room(self, commands: int, size: int) -> bool:
        limits = self._limits
        return (
            len(self._unanswered) + commands <= limits.waiting_commands
            and self._buffer_bytes + size <= limits.waiting_bytes
        )

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        buffer = self._buffer
        if self._paused or not buffer or self._transport is None:
            return
        size = len(buffer)
        counters = self._counters
        counters.commands += size
        counters.batches += 1
        counters.batch_sizes[min(size.bit_length(), _BATCH_SIZE_CLASSES - 1)] += 1
        if self._replicas_wanted:
            buffer.append(self._wait_command)
            self._unanswered.append(None)
        self._sent += len(buffer)
        batch = b"".join(buffer)
        buffer.clear()
        self._buffer_bytes = 0
        self._transport.write(batch)

    def pause_writing(self) -> None:
        """The server reads slower than we write: commands wait here, up to their limits."""
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    # --- Receiving ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.lost_because:
            return
        self._reader.feed(data)
        gets = self._reader.gets
        oldest = self._unanswered.popleft
        in_flight = self._sent - self._answered
        tell = self._keep if self._replicas_wanted else _tell
        try:
            while (reply := gets()) is not _INCOMPLETE:
                if not in_flight:
                    self.give_up(f"the store sent what nobody asked for: {reply!r}")
                    return
                in_flight -= 1
                tell(oldest(), reply)
        except hiredis.ProtocolError as error:
            self._answered = self._sent - in_flight
            self.give_up(f"the store does not speak its protocol: {error}")
            return
        self._answered = self._sent - in_flight

    def _keep(self, waiting: _Waiting, reply: object) -> None:
        """Keeps replies until the one to the batch's WAIT comes, then tells them all."""
        if waiting is not None:
            self._unconfirmed.append((waiting, reply))
            return
        confirmed = isinstance(reply, int) and reply >= self._replicas_wanted
        for kept, kept_reply in self._unconfirmed:
            refused = isinstance(kept_reply, ReplyError) and not_executed(kept_reply)
            if confirmed or refused:
                _tell(kept, kept_reply)
                continue
            self._counters.unconfirmed += 1
            _tell(kept, OutcomeUnknown(f"confirmed by {reply} of {self._replicas_wanted} replicas"))
        self._unconfirmed.clear()

    # --- Life -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._look()

    def _look(self) -> None:
        looks = self._looks
        if len(looks) == _LOOKS_PER_TIMEOUT and self._answered < looks[0]:
            self._counters.timeouts += 1
            self.give_up(f"no answer from the store for {self._limits.timeout_s} s")
            return
        looks.append(self._sent)
        interval_s = self._limits.timeout_s / _LOOKS_PER_TIMEOUT
        self._next_look = self._loop.call_later(interval_s, self._look)

    async def drain(self, timeout_s: float) -> None:
        """Waits until every command asked for so far has its answer, or the time is over."""
        waiting = {future for future in self._unanswered if future is not None}
        waiting |= {future for future, _ in self._unconfirmed}
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)

    def give_up(self, reason: str) -> None:
        """Ends the link at once; every command without reply is told what is known of it."""
        if self.lost_because:
            return
        self.lost_because = reason
        if self._next_look is not None:
            self._next_look.cancel()
        for future, _ in self._unconfirmed:
            _tell(future, OutcomeUnknown(reason))
        sent = len(self._unanswered) - len(self._buffer)
        for position, waiting in enumerate(self._unanswered):
            fault = OutcomeUnknown if position < sent else StoreUnavailable
            _tell(waiting, fault(reason))
        self._unconfirmed.clear()
        self._unanswered.clear()
        self._buffer.clear()
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.give_up(f"the link to the store broke: {exc}" if exc else "the store closed the link")
        self.closed.set()


def _tell(waiting: _Waiting, reply: object) -> None:
    if isinstance(waiting, Replies):
        told = waiting.told
        told.append(reply)
        if len(told) == waiting.commands and not waiting.done():
            waiting.set_result(told)
    # A done future was cancelled by its caller; its command ran all the same.
    elif waiting is None or waiting.done():
        return
    elif isinstance(reply, Exception):
        waiting.set_exception(reply)
    else:
        waiting.set_result(cast("Reply", reply))

"""Replay: a recorded stream sent to a running service, at a pace of one's own.

The pace is open loop. Each event has its moment, whatever became of the ones before, and its
latency counts from that moment, also when it had to wait: for a free connection, for the answer to
the former event of its session, or because the service was slow. A loop that waits for answers
before it goes on would slow down with the service and report how well it felt.

Within a session the order is strict: a switch does not send an update before its start is answered.
So each session with events under way has a queue and one task that works it off; sessions do not
wait for one another.

A 503 and a lost connection say nothing about what the service did, so the same body, which carries
the same request number, is sent again until it is answered. That is what the protocol asks of every
client, and it makes a replay through a crash of the service count right.

Timers wake up late, by a millisecond at the worst, which would show in every percentile. So events
are sent up to a millisecond early, and an early one counts from when it was sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from msgspec import Struct

from ocs.usecases.recording import Recorded, renewed
from ocs.usecases.replay_tally import Exchange, Tally

TIMER_SLACK_S: Final = 0.001
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


class Sender(Protocol):
    """One request, one answer; an OSError (time-outs are among them) where none came."""

    async def post(self, body: bytes) -> Exchange:
        """Send an event."""
        ...


class Pace(Struct, frozen=True, kw_only=True):
    """`rate` events a second where above 0, else the recorded pace times `speed`."""

    speed: float = 1.0
    rate: float = 0.0

    def due_s(self, index: int, offset_s: float) -> float:
        return index / self.rate if self.rate > 0 else offset_s / self.speed


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """`copies` of each event at once; those without an answer again for `give_up_s` (0: never)."""

    suffix: str
    pace: Pace = Pace()
    copies: int = 1
    give_up_s: float = 60.0


class Replayer:
    """One run. Clock and sleep are handed in, so that tests need not wait."""

    def __init__(
        self,
        sender: Sender,
        options: ReplayOptions,
        *,
        clock_s: Callable[[], float],
        wall_ms: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.tally = Tally()
        self._sender = sender
        self._options = options
        self._clock_s = clock_s
        self._started_s = clock_s()
        self._wall_ms = wall_ms
        self._sleep = sleep
        self._queues: dict[str, deque[tuple[float, Recorded]]] = {}

    async def run(self, recording: Sequence[Recorded]) -> None:
        """Send everything and wait for the answers."""
        self._started_s = self._clock_s()
        first_s = recording[0].offset_s if recording else 0.0
        async with asyncio.TaskGroup() as sessions:
            for index, item in enumerate(recording):
                due_s = self._options.pace.due_s(index, item.offset_s - first_s)
                # Also when it is late already: answers must be read between two events.
                early_s = self._started_s + due_s - self._clock_s() - TIMER_SLACK_S
                await self._sleep(max(early_s, 0))
                queue = self._queues.get(item.session)
                if queue is None:
                    self._queues[item.session] = deque([(due_s, item)])
                    sessions.create_task(self._work_off(item.session))
                else:
                    queue.append((due_s, item))

    @property
    def elapsed_s(self) -> float:
        return self._clock_s() - self._started_s

    async def _work_off(self, session: str) -> None:
        queue = self._queues[session]
        while queue:
            due_s, item = queue.popleft()
            await self._send(due_s, item)
        del self._queues[session]

    async def _send(self, due_s: float, item: Recorded) -> None:
        counts_from_s = min(self.elapsed_s, due_s)
        sent_ms = self._wall_ms + int(due_s * 1000)
        body = renewed(item, self._options.suffix, sent_ms)
        # One copy needs no task of its own.
        copies = [self._answer(body) for _ in range(self._options.copies)]
        answers = [await copies[0]] if len(copies) == 1 else await asyncio.gather(*copies)
        came = [answer for answer in answers if answer is not None]
        if len(came) < len(answers):
            self.tally.unanswered()
            return
        latency_ms = (self.elapsed_s - counts_from_s) * 1000
        self.tally.answered(came, item.used_units, latency_ms)

    async def _answer(self, body: bytes) -> Exchange | None:
        pause_s = FIRST_PAUSE_S
        give_up_s = self.elapsed_s + self._options.give_up_s
        while True:
            exchange = await self._try(body)
            if exchange is not None and exchange.status != HTTPStatus.SERVICE_UNAVAILABLE:
                return exchange
            if self.elapsed_s + pause_s > give_up_s:
                return exchange
            self.tally.retried()
            await self._sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _try(self, body: bytes) -> Exchange | None:
        try:
            return await self._sender.post(body)
        except OSError:
            return None

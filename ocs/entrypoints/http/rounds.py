"""Rounds: single events that come in one turn of the loop are charged together, as an array's are.

    connection 1 ── event ─┐                              ┌─ answer ── connection 1
    connection 2 ── event ─┼─► one round ── charge_all ──►┼─ answer ── connection 2
    connection 3 ── event ─┘      (one task)              └─ later  ── connection 3

What an event costs by itself (a task, a future, some turns of the loop) costs a round once. And
each step is taken by all events of a round before the next step is: so the interpreter finds the
code of a step, and what it needs, still in the processor's caches. Both together are a tenth to a
seventh of what an event costs the worker (benchmarks/README.md).

Nobody waits for a slow one: an event whose payer has to be looked up, or whose reply needs a second
look, leaves its round and is answered when it can be. And nobody waits for many: a round is closed
when it is full, so that the first are answered while the store charges the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Final

from msgspec import Struct

from ocs.domain.events import Event
from ocs.entrypoints.dialects import Decoded, Dialect
from ocs.entrypoints.http.responses import Answered
from ocs.usecases.answer import Answer, AnswerOfOne

ChargeAll = Callable[[Sequence[Event]], Awaitable[Sequence[AnswerOfOne]]]
"""Charges several events."""
Tell = Callable[[Answered], None]
"""Takes the answer to a request; called once."""

_MOST_TOGETHER: Final = 32
"""Events of a round. The store reads, and syncs, some 25 charges at a time; larger rounds would
wait for what it does next, and cost the worker hardly less."""

_log = logging.getLogger(__name__)


class Request(Struct, frozen=True, gc=False):
    """A single event that is taken in hand, and what it takes to answer it."""

    event: Event
    decoded: Decoded
    dialect: Dialect
    now_ms: int


class Rounds:
    """Charges requests. `respond` makes the response of what became of one; it raises nothing."""

    def __init__(
        self, charge_all: ChargeAll, respond: Callable[[Request, Answer | Exception], Answered]
    ) -> None:
        self._charge_all = charge_all
        self._respond = respond
        self._gathering: list[tuple[Request, Tell]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, request: Request, tell: Tell) -> None:
        """Charge a request with the others of this turn."""
        some = self._gathering
        if not some or len(some) >= _MOST_TOGETHER:
            some = self._gathering = []
            self._begin(self._charge(some))
        some.append((request, tell))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself does not keep it
        task.add_done_callback(self._tasks.discard)

    async def _charge(self, some: list[tuple[Request, Tell]]) -> None:
        if self._gathering is some:
            self._gathering = []
        charged: Sequence[AnswerOfOne]
        try:
            charged = await self._charge_all([request.event for request, _ in some])
        except Exception as bug:  # noqa: BLE001 -- answered, to each of them
            charged = [bug] * len(some)
        for (request, tell), one in zip(some, charged, strict=True):
            if type(one) is Answer or isinstance(one, Exception):
                self._tell(request, tell, one)
            else:
                assert not isinstance(one, Answer)
                self._begin(self._tell_later(request, tell, one))

    async def _tell_later(self, request: Request, tell: Tell, charging: Awaitable[Answer]) -> None:
        outcome: Answer | Exception
        try:
            outcome = await charging
        except Exception as bug:  # noqa: BLE001 -- answered
            outcome = bug
        self._tell(request, tell, outcome)

    def _tell(self, request: Request, tell: Tell, outcome: Answer | Exception) -> None:
        try:
            tell(self._respond(request, outcome))
        except Exception:  # noqa: BLE001 -- the others of its round are to be answered all the same
            _log.exception("an answer could not be sent")

"""Charging, measured from outside: how long each event took, told to whoever counts or logs it.

One wrapper for all observers (the metrics, the log of events): each layer of coroutines costs every
event as much as counting it does.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

from msgspec import Struct

from ocs.adapters.clock import monotonic_s
from ocs.domain.events import Event
from ocs.usecases.answer import Answer, AnswerOfOne

Charge = Callable[[Event], Awaitable[Answer]]
ChargeAll = Callable[[Sequence[Event]], Awaitable[Sequence[AnswerOfOne]]]
Observe = Callable[[Sequence[Event], Sequence[Answer], float], None]
"""Told of events, their answers in the same order, and the seconds that each of them took."""


class MeasuredCharger:
    """Charging that is timed and told to observers; it has the interface of what it wraps."""

    def __init__(self, charge: Charge, charge_all: ChargeAll, observers: Sequence[Observe]) -> None:
        self._charge = charge
        self._charge_all = charge_all
        self._observers = tuple(observers)

    def charge(self, event: Event) -> Awaitable[Answer]:
        began_s = monotonic_s()
        return _Measured(event, began_s, self._charge(event), self._observers)

    async def charge_all(self, events: Sequence[Event]) -> Sequence[AnswerOfOne]:
        """Charge several events; each took as long as all, or as it is waited for."""
        began_s = monotonic_s()
        charged = list(await self._charge_all(events))
        took_s = monotonic_s() - began_s
        assert len(charged) == len(events), "each event has what becomes of it"
        answers = [one for one in charged if type(one) is Answer]
        answered = events
        if len(answers) < len(charged):
            pairs = zip(events, charged, strict=True)
            answered = [event for event, one in pairs if type(one) is Answer]
            for position, one in enumerate(charged):
                if not isinstance(one, Answer | Exception):
                    charged[position] = _Measured(events[position], began_s, one, self._observers)
        for observe in self._observers if answers else ():
            observe(answered, answers, took_s)
        return charged


class _Measured(Struct, frozen=True, gc=False):
    """A charge that is under way, and who is told of it. No coroutine: there is one an event."""

    event: Event
    began_s: float
    answer: Awaitable[Answer]
    observers: tuple[Observe, ...]

    def __await__(self) -> Generator[Any, None, Answer]:
        answer = yield from self.answer.__await__()
        took_s = monotonic_s() - self.began_s
        for observe in self.observers:
            observe((self.event,), (answer,), took_s)
        return answer

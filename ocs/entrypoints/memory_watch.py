"""The look at the store's memory: once a second, and what is shed by it is told to who sheds.

Every worker looks for itself, so all of them shed alike within a second, and there is nobody whose
death would keep the door open or closed. A second is often enough: the journal grows by some ten
megabytes in it at the most.

While looks are missed, what was last known stands, but not for long: a store that is back may be
another one, with room. A worker that knows nothing sheds nothing; the store says what it refuses.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.shedding import Shed, ShedLevels, StoreMemory, shed_at

PERIOD_S: Final = 1.0
"""Between two looks, and what one may take."""
MOST_MISSED: Final = 10
"""Looks without an answer, after which nothing is known: 10 to 20 seconds."""

_SAID: Final = {
    Shed.NOTHING: "nothing is turned away for it any more",
    Shed.STARTS: "new calls are turned away",
    Shed.ONE_SHOTS: "new calls and one-shot events are turned away",
}

_log = logging.getLogger(__name__)


class MemoryWatch:
    """`run` until cancelled. `memory` is what was last seen, None where nothing is known."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[StoreMemory]],
        levels: ShedLevels,
        tell: Callable[[Shed], None],
    ) -> None:
        """`tell` is told what is shed from now on, whenever that changes."""
        self.memory: StoreMemory | None = None
        self.shed = Shed.NOTHING
        self._ask = ask
        self._levels = levels
        self._tell = tell
        self._missed = 0

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Look once, and shed by what is seen."""
        try:
            async with asyncio.timeout(PERIOD_S):
                memory = await self._ask()
        except (LedgerUnavailable, OutcomeUnknown, TimeoutError) as fault:
            self._miss(fault)
            return
        self._missed = 0
        self.memory = memory
        shed = shed_at(memory, self._levels, self.shed)
        if shed is not self.shed:
            severity = logging.WARNING if shed else logging.INFO
            _log.log(severity, "the store's memory is %s: %s", _fullness(memory), _SAID[shed])
            self._change(shed)

    def _miss(self, fault: Exception) -> None:
        self._missed += 1
        if self._missed != MOST_MISSED:
            return
        why = str(fault) or "no answer in time"
        _log.warning("how full the store is cannot be told, so nothing is shed for it: %s", why)
        self.memory = None
        self._change(Shed.NOTHING)

    def _change(self, shed: Shed) -> None:
        self.shed = shed
        self._tell(shed)


def _fullness(memory: StoreMemory) -> str:
    return f"{memory.used_percent} % full" if memory.limit_bytes else "without a limit"

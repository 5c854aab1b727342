"""Shedding in one worker: what looks at the store's memory, what turns away, what is told of it."""

from functools import partial

from ocs.adapters.metrics import MemoryFigures
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.memory import store_memory
from ocs.config.settings import Settings
from ocs.domain.events import Kind
from ocs.entrypoints.http.realtime import Realtime
from ocs.entrypoints.memory_watch import MemoryWatch
from ocs.usecases.shedding import Shed, ShedLevels


class Shedding:
    """The parts, put together around what answers the events."""

    def __init__(self, settings: Settings, connection: Connection, realtime: Realtime) -> None:
        levels = ShedLevels(
            starts_percent=settings.store.shed_starts_percent,
            one_shots_percent=settings.store.shed_percent,
        )
        self._realtime = realtime
        self._watch = MemoryWatch(partial(store_memory, connection), levels, self._set)

    async def run(self) -> None:
        """Look for ever."""
        await self._watch.run()

    def figures(self) -> MemoryFigures:
        shed = self._watch.shed
        return MemoryFigures(
            memory=self._watch.memory,
            shedding={Kind.START: shed >= Shed.STARTS, Kind.EVENT: shed >= Shed.ONE_SHOTS},
            shed=self._realtime.shed_events,
        )

    def _set(self, shed: Shed) -> None:
        self._realtime.shed = shed

"""Emergency calls in one worker: what answers them, where they wait, and what drains it."""

from typing import Final

from ocs.adapters.metrics import EmergencyFigures
from ocs.adapters.spool import FileSpool
from ocs.bootstrap.stores import emergency_directory
from ocs.config.settings import Settings
from ocs.usecases.charging import Charger
from ocs.usecases.emergency import EmergencyCalls, EmergencyDrain
from ocs.usecases.ports import Ledger

_MEBIBYTE: Final = 2**20


class Emergency:
    """The parts, put together around the charging of a worker."""

    def __init__(self, settings: Settings, ledger: Ledger, charger: Charger, slot: int) -> None:
        most_bytes = settings.store.spool_mb * _MEBIBYTE
        self._spool = FileSpool(emergency_directory(settings), str(slot), most_bytes)
        self._drain = EmergencyDrain(ledger, self._spool)
        self.calls = EmergencyCalls(charger.charge, charger.charge_all, self._spool)

    async def run(self) -> None:
        """Drain for ever."""
        await self._drain.run()

    async def finish(self) -> None:
        """Drain what is left, if that can be done at once; the rest is the successor's."""
        await self._drain.finish()
        self._spool.close()

    def figures(self) -> EmergencyFigures:
        return EmergencyFigures(
            answered=self.calls.answered,
            waiting=self._spool.waiting,
            drained=self._drain.drained,
            dropped=self._spool.dropped,
        )

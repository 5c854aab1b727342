"""The intake of one worker: what takes CDRs in, the folder they go into, and the thread between.

Nothing of the extra `offline` is imported here: a server takes in what it could not rate itself.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ocs.adapters.cdr_intake import IntakeFolder, IntakeLimits
from ocs.adapters.metrics import IntakeFigures
from ocs.bootstrap.stores import intake_directory
from ocs.config.settings import Settings
from ocs.entrypoints.http.auth import Authenticator
from ocs.entrypoints.http.cdr import CdrLimits, Cdrs
from ocs.usecases.taking_cdrs import Intake

ANSWER_S: Final = 5.0
"""For one that waits for the disk; a switch has a thread for each, so later is of no use."""
MOST_WAITING_BYTES: Final = 32 << 20
_MEBIBYTE: Final = 2**20


class WorkerIntake:
    """The parts, put together. Where the intake is switched off they do nothing."""

    def __init__(self, settings: Settings, slot: int) -> None:
        self._settings = settings
        offline = settings.offline
        limits = IntakeLimits(
            folder_bytes=offline.intake_mb * _MEBIBYTE,
            spare_bytes=offline.intake_spare_mb * _MEBIBYTE,
            file_bytes=offline.intake_file_mb * _MEBIBYTE,
            file_s=offline.intake_file_s,
        )
        self._folder = IntakeFolder(intake_directory(settings), str(slot), limits)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake")
        self._intake = Intake(self._folder, self._aside, MOST_WAITING_BYTES)

    def cdrs(self, authenticator: Authenticator) -> Cdrs | None:
        """Make what answers `POST /cdr`, if anything does."""
        settings = self._settings
        if not settings.offline.intake:
            return None
        limits = CdrLimits(
            body_bytes=settings.offline.intake_body_bytes,
            body_timeout_s=settings.server.body_timeout_s,
            answer_s=ANSWER_S,
            retry_after_s=settings.server.retry_after_s,
        )
        return Cdrs(self._intake, authenticator, limits)

    async def run(self) -> None:
        """Take in for ever."""
        await self._intake.run()

    def close(self) -> None:
        """Let what is being written come to its end, and finish all files."""
        self._thread.submit(self._folder.close)
        self._thread.shutdown()

    def figures(self) -> IntakeFigures | None:
        if not self._settings.offline.intake:
            return None
        return IntakeFigures(
            received=self._intake.received,
            refused=self._intake.refused,
            waiting_bytes=self._intake.waiting_bytes,
        )

    async def _aside(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

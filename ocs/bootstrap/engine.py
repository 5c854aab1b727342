"""`ocs offline run --engine ray`: the files of a run, rated in the processes of a cluster.

The files are cut here (that takes a second for gigabytes), and each piece is rated wherever Ray has
room, like a share of `ocs offline work`: the same rater, the same output that needs no lock, the
same debits, each chunk once. All machines see the input and the output under the same paths.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.offline import OfflineJob
from ocs.bootstrap.sharing import WorkJob, opened_rating, shareable_files, shared_folder_id
from ocs.bootstrap.stores import CannotStart
from ocs.config.settings import Settings
from ocs.usecases.offline_rating import ChunkDone, FileFault, rate_file
from ocs.usecases.offline_summary import Tally
from ocs.usecases.sharing_work import Share, ShareableFile

_TOKEN_BYTES: Final = 6


class Rated(Struct, frozen=True):
    """What became of a share; with the fault that ended it, if one did."""

    share: Share
    steps: tuple[ChunkDone, ...]
    fault: str


class EngineWork:
    """A run on an engine; has what a run here has (`OfflineWork`)."""

    def __init__(
        self,
        files: tuple[ShareableFile, ...],
        tally: Tally,
        spread: Callable[[Iterator[Share]], Iterator[Rated]],
    ) -> None:
        self.size = sum(file.size for file in files)
        self.tally = tally
        self._files = files
        self._spread = spread

    def steps(self) -> Iterator[int]:
        """As `rate_files`; raises `CannotStart` besides."""
        done = 0
        for rated in self._spread(self._shares()):
            for step in rated.steps:
                self.tally.add(step)
            if rated.fault:
                self.tally.add_unread(rated.share.file, rated.fault)
            done += rated.share.size
            yield done

    def _shares(self) -> Iterator[Share]:
        for file in self._files:
            self.tally.add_file()
            try:
                yield from file.shares()
            except FileFault as fault:
                self.tally.add_unread(file.name, str(fault))


@contextmanager
def opened_on_ray(settings: Settings, job: OfflineJob) -> Iterator[EngineWork]:
    """Put a run on Ray together. Raises `BadOptionError` and `CannotStart`."""
    try:
        from ocs.adapters.engines.on_ray import EngineFault, ray_cluster, spread  # noqa: PLC0415
    except ImportError:
        raise CannotStart("this needs the extra `ray`: pip install 'ocs[offline,ray]'") from None
    tally = Tally()
    files = tuple(shareable_files(settings, job, tally.add_unread))
    place = WorkJob(
        out=job.out.absolute(),
        subscribers=job.subscribers and job.subscribers.absolute(),
        debit=job.debit,
    )
    make = partial(ShareRater, msgspec.json.encode(settings), place)
    with offline_extra():
        from ocs.bootstrap.offline_columns import worker_at  # noqa: PLC0415
    shared_folder_id(job.out)  # makes the folder
    try:
        with worker_at(job.out), ray_cluster() as processors:
            yield EngineWork(files, tally, lambda shares: spread(make, shares, processors))
    except EngineFault as fault:
        raise CannotStart(str(fault)) from None


class ShareRater:
    """Rates shares in a process of the cluster; what it opens lasts as long as that."""

    def __init__(self, settings_text: bytes, job: WorkJob) -> None:
        settings = msgspec.json.decode(settings_text, type=Settings)
        self._open = ExitStack()
        token = secrets.token_hex(_TOKEN_BYTES)
        self._parts = opened_rating(settings, job, token, self._open)

    def __call__(self, share: Share) -> Rated:
        """Rate a share. LedgerUnavailable."""
        open_share, rater, output = self._parts
        steps: list[ChunkDone] = []
        fault = ""
        try:
            steps.extend(rate_file(open_share(share), rater, output))
        except (FileFault, OSError) as error:
            fault = str(error)
        return Rated(share, tuple(steps), fault)

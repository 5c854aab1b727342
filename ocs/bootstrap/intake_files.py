"""The files of the intake, for one run of `ocs offline run --intake`: read, then put away.

    cdrs/demo/freeswitch-json/_/...  ──► read as tenant, format and switch of the folder
                                     ──► all chunks done: rated/demo/freeswitch-json/_/...
                                     ──► removed when `offline.intake_keep_s` have passed

A file is put away when all of its chunks are known to the output. So a run that was killed in
between finds them done the next time, and puts the file away then; what was not rated stays. Only
a run that debits puts away: one that does not is for looking, and what it read is still to be
charged. One run at a time: another would find files gone that it is about to read.
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from ocs.adapters.cdr_intake import CDRS, NO_SWITCH, RATED
from ocs.adapters.clock import wall_ms
from ocs.bootstrap.offline import OfflineJob, OfflineWork, Rating, opened_work
from ocs.bootstrap.stores import CannotStart, intake_directory
from ocs.config.settings import Settings
from ocs.usecases.offline_rating import CdrFile, Chunk, Output
from ocs.usecases.offline_summary import Tally
from ocs.usecases.sharing_work import Way

_LOCK: Final = "run.lock"
_MS: Final = 1_000


class IntakeFile:
    """A file of the intake; remembers of what chunks it is."""

    def __init__(self, file: CdrFile) -> None:
        self.name = file.name
        self.size = file.size
        self._file = file
        self._chunks: list[str] = []
        self._is_read = False

    def chunks(self) -> Iterator[Chunk]:
        """As `CdrFile.chunks`."""
        for chunk in self._file.chunks():
            self._chunks.append(chunk.name)
            yield chunk
        self._is_read = True

    def is_done(self, output: Output) -> bool:
        """Tell whether it was read to its end, and all of it is in the output."""
        return self._is_read and all(output.report(name) for name in self._chunks)


class IntakeRating:
    """Implements `Rating`: the files are rated, then put away."""

    def __init__(self, settings: Settings, work: OfflineWork, *, debits: bool) -> None:
        self._folder = intake_directory(settings)
        self._keep_s = settings.offline.intake_keep_s
        self._work = work
        self._debits = debits
        self.size = work.size
        self.tally = work.tally

    def steps(self) -> Iterator[int]:
        """As `Rating.steps`."""
        yield from self._work.steps()
        posted = [file for file in self._work.files if isinstance(file, IntakeFile)]
        if self._debits:
            _put_away(self._folder, posted, self._work)
        _remove_old(self._folder / RATED, self._keep_s)


@contextmanager
def opened_intake(settings: Settings, job: OfflineJob) -> Iterator[Rating]:
    """Put a run together that rates what was posted, beside the files of the job.

    Raises as `opened_work`; `CannotStart` also while another run is at the intake, and `OSError`.
    """
    folder = intake_directory(settings)
    with _ours(folder), opened_work(settings, job) as work:
        posted = _files(settings, job, folder / CDRS, work.tally)
        whole = replace(work, files=(*work.files, *posted))
        yield IntakeRating(settings, whole, debits=job.way is Way.DEBIT)


@contextmanager
def _ours(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / _LOCK).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"{folder}: another run is at the intake") from None
        yield


def _files(settings: Settings, job: OfflineJob, cdrs: Path, tally: Tally) -> Iterator[IntakeFile]:
    """Open the files of each folder, to be read as its path says."""
    from ocs.bootstrap.offline_columns import posted_files_of  # noqa: PLC0415 -- needs the extra

    known = {tenant.name for tenant in settings.tenants}
    for folder in sorted(cdrs.glob("*/*/*")):
        tenant, form, switch = folder.relative_to(cdrs).parts
        if tenant not in known:
            tally.add_unread(str(folder), f"there is no tenant {tenant!r}")
            continue
        named = {} if switch == NO_SWITCH else {"switch": switch}
        reading = {**job.reading, **named}
        of_folder = replace(job, inputs=(folder,), tenant=tenant, format_name=form, reading=reading)
        yield from map(IntakeFile, posted_files_of(settings, of_folder, tally))


def _put_away(folder: Path, files: Iterable[IntakeFile], work: OfflineWork) -> None:
    """Take away what is rated. Raises `OSError`."""
    for file in files:
        if file.is_done(work.output):
            path = Path(file.name)
            target = folder / RATED / path.relative_to(folder / CDRS)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.rename(target)


def _remove_old(rated: Path, keep_s: int) -> None:
    """Remove what came longer ago. Raises `OSError`."""
    too_old_s = wall_ms() / _MS - keep_s
    for path in rated.rglob("*"):
        if path.is_file() and path.stat().st_mtime <= too_old_s:
            path.unlink()

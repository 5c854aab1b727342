"""The parts of `ocs offline` that need the extra `offline`: readers, rater and output.

Imported only by who is about to use them: a server does without what the extra brings.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from ocs.adapters import cdr_files
from ocs.adapters.cdr_files import CdrOptionError, Options
from ocs.adapters.cdr_files.chunks import CdrFile as SwitchFile
from ocs.adapters.cdr_files.options import check_options
from ocs.adapters.cdr_files.posted_files import PostedFile
from ocs.adapters.cdr_files.rejected_files import RejectedFile, is_rejected_file
from ocs.adapters.cdr_files.shares import ShareableFile as FileOfShares
from ocs.adapters.columns import ColumnRater
from ocs.adapters.columns.call_rating import CallRater, TenantTerms
from ocs.adapters.columns.debited_output import DebitedOutput
from ocs.adapters.columns.output_users import OutputInUse, Users, using
from ocs.adapters.columns.rated_files import RatedFiles
from ocs.adapters.columns.shared_files import SharedFiles, output_id
from ocs.bootstrap.offline import BadOptionError, OfflineJob
from ocs.bootstrap.stores import CannotStart
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.zones import zone_named
from ocs.usecases.offline_rating import CdrFile, Output, People, Rater
from ocs.usecases.offline_summary import Tally
from ocs.usecases.settling_cdrs import Settle
from ocs.usecases.sharing_work import ShareableFile

_File = TypeVar("_File")


def rater_of(settings: Settings, generation: Generation, people: People) -> Rater:
    """Make what prices CDRs."""
    plans = {plan.name: plan.plan() for plan in settings.plans}
    tenants = {
        each.name: TenantTerms(each.rules(), zone_named(each.zone)) for each in settings.tenants
    }
    zones = {name: terms.zone for name, terms in tenants.items()}
    columns = ColumnRater(generation, plans, zones)
    return CallRater(columns, tenants, people, generation.id)


def output_of(folder: Path) -> Output:
    """Open the folder of the output, or make it. Raises `CannotStart`."""
    try:
        return RatedFiles(folder)
    except OSError as error:
        raise CannotStart(f"{folder}: {error.strerror}") from None


def run_at(folder: Path) -> AbstractContextManager[None]:
    """Be at an output as a run. Raises `CannotStart` while workers are, and `OSError`."""
    return _at(folder, Users.RUNS)


def worker_at(folder: Path) -> AbstractContextManager[None]:
    """Be at an output as a worker. Raises `CannotStart` while a run is, and `OSError`."""
    return _at(folder, Users.WORKERS)


@contextmanager
def _at(folder: Path, users: Users) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(using(folder, users))
        except OutputInUse as error:
            raise CannotStart(str(error)) from None
        yield


def debited_output(output: Output, settle: Settle) -> Output:
    """Put what debits before an output."""
    return DebitedOutput(output, settle)


def shared_output(folder: Path, worker: str) -> tuple[Output, str]:
    """Open a folder that several machines write into; return its id with it. CannotStart."""
    try:
        return SharedFiles(folder, worker), output_id(folder)
    except OSError as error:
        raise CannotStart(f"{folder}: {error.strerror}") from None


def files_of(settings: Settings, job: OfflineJob, tally: Tally) -> tuple[CdrFile, ...]:
    """Open all files; the tally is told of those that cannot be. Raises `BadOptionError`."""
    return tuple(_opened(job, _options(settings, job), tally.add_unread, _file))


def posted_files_of(settings: Settings, job: OfflineJob, tally: Tally) -> tuple[CdrFile, ...]:
    """Open files that were posted, as `files_of`, whatever they look like."""
    return tuple(_opened(job, _options(settings, job), tally.add_unread, _posted))


def shareable_files_of(
    settings: Settings, job: OfflineJob, add_unread: Callable[[str, str], None]
) -> Iterator[ShareableFile]:
    """Open all files one after the other, as `files_of`."""
    return _opened(job, _options(settings, job), add_unread, _shareable)


def _opened(
    job: OfflineJob,
    options: Options,
    add_unread: Callable[[str, str], None],
    opened: Callable[[Path, OfflineJob, Options], _File],
) -> Iterator[_File]:
    for path in _paths(job):
        try:
            given = opened(path, job, options)
        except CdrOptionError as error:
            add_unread(str(path), str(error))
        except OSError as error:
            add_unread(str(path), error.strerror or str(error))
        else:
            yield given


def _posted(path: Path, job: OfflineJob, options: Options) -> CdrFile:
    return PostedFile(path, job.format_name, options)


def _shareable(path: Path, job: OfflineJob, options: Options) -> ShareableFile:
    return FileOfShares(path, job.format_name, options)


def _file(path: Path, job: OfflineJob, options: Options) -> CdrFile:
    if is_rejected_file(path):
        return RejectedFile(path)
    return SwitchFile(path, job.format_name, options)


def _paths(job: OfflineJob) -> Iterator[Path]:
    """Yield files and what is in folders; hidden files are not finished, and the output is none."""
    out = job.out.resolve()
    for given in job.inputs:
        if not given.is_dir():
            yield given
            continue
        is_within = given.resolve().is_relative_to(out)
        for path in sorted(given.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(given).parts)
            ours = not is_within and path.resolve().is_relative_to(out)
            if path.is_file() and not hidden and not ours:
                yield path


def _options(settings: Settings, job: OfflineJob) -> Options:
    known = [tenant.name for tenant in settings.tenants]
    if job.tenant not in known:
        raise BadOptionError(f"--tenant: there is no {job.tenant!r}; known: {', '.join(known)}")
    zone = next(each.zone for each in settings.tenants if each.name == job.tenant)
    given: Mapping[str, object] = {"tenant": job.tenant, "zone": zone, **job.reading}
    try:
        options = msgspec.convert(given, Options)
        check_options(options)
    except ValueError as error:
        raise BadOptionError(str(error)) from None
    names = [form.name for form in cdr_files.formats()]
    if job.format_name and job.format_name not in names:
        raise BadOptionError(f"--format: {job.format_name!r} is none of {', '.join(names)}")
    return options

"""The parts of `ocs offline` that need the extra `offline`: readers, rater and output.

Imported only by who is about to use them: a server does without what the extra brings.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ocs.adapters import cdr_files
from ocs.adapters.cdr_files import CdrOptionError, Options
from ocs.adapters.cdr_files.chunks import CdrFile as SwitchFile
from ocs.adapters.cdr_files.options import check_options
from ocs.adapters.cdr_files.rejected_files import RejectedFile, is_rejected_file
from ocs.adapters.columns import ColumnRater
from ocs.adapters.columns.call_rating import CallRater, TenantTerms
from ocs.adapters.columns.debited_output import DebitedOutput
from ocs.adapters.columns.rated_files import RatedFiles
from ocs.bootstrap.offline import BadOptionError, OfflineJob
from ocs.bootstrap.stores import CannotStart
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.zones import zone_named
from ocs.usecases.offline_rating import CdrFile, Output, People, Rater
from ocs.usecases.offline_summary import Tally
from ocs.usecases.settling_cdrs import Settle


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


def debited_output(output: Output, settle: Settle) -> Output:
    """Put what debits before an output."""
    return DebitedOutput(output, settle)


def files_of(settings: Settings, job: OfflineJob, tally: Tally) -> tuple[CdrFile, ...]:
    """Open all files; the tally is told of those that cannot be. Raises `BadOptionError`."""
    options = _options(settings, job)
    files: list[CdrFile] = []
    for path in _paths(job):
        try:
            given = _file(path, job, options)
        except CdrOptionError as error:
            tally.add_unread(str(path), str(error))
        except OSError as error:
            tally.add_unread(str(path), error.strerror or str(error))
        else:
            files.append(given)
    return tuple(files)


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

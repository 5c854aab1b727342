"""What `ocs offline` works with: files, tariffs, plans, people and the output, put together."""

import asyncio
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, Self

import msgspec
from msgspec import Struct

from ocs.adapters.clock import monotonic_s, wall_ms
from ocs.adapters.textfile import Figure, write_figures
from ocs.bootstrap.debiting import opened_settling
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.seeds import told
from ocs.bootstrap.stores import open_stores
from ocs.config.settings import Settings
from ocs.domain.numbers import clean_number
from ocs.usecases.offline_rating import CdrFile, Output, People, Rater, RememberedPeople
from ocs.usecases.offline_summary import RunSummary, Tally, rate_files
from ocs.usecases.ports import Directory, Subscriber
from ocs.usecases.seed_files import SeedFile, read_subscribers
from ocs.usecases.sharing_work import Way

RUNS: Final = "runs"
_ASKED_AT_ONCE: Final = 1_000
_MS: Final = 1_000
_HELD_MEMORY: Final = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:10000,muzzy_decay_ms:10000")
"""Polars hands memory back after half a second and gets it again for the next chunk: a tenth of the
time. Kept for ten seconds, it is there; the peak is some 80 MB higher. Read when Polars is loaded.
"""


class BadOptionError(Exception):
    """An option of the command cannot be used; the text names it."""


class OfflineJob(Struct, frozen=True, kw_only=True):
    """What is to be rated, and where to. `reading` are options of the readers, by name.

    `subscribers` is a file of subscribers of one tenant, to be asked instead of the store; nobody
    is debited then, nor without `debit`.
    """

    inputs: tuple[Path, ...]
    out: Path
    tenant: str
    format_name: str = ""
    reading: Mapping[str, Any] = {}
    subscribers: Path | None = None
    debit: bool = True

    @property
    def way(self) -> Way:
        """What it is to do about money."""
        return Way.of(has_subscribers=self.subscribers is not None, debit=self.debit)


class OfflineWork(Struct, frozen=True):
    """All that a run needs; open as long as the context that gave it."""

    files: tuple[CdrFile, ...]
    rater: Rater
    output: Output
    tally: Tally

    @property
    def size(self) -> int:
        """Bytes of all files; for progress."""
        return sum(file.size for file in self.files)

    def steps(self) -> Iterator[int]:
        """As `rate_files`."""
        return rate_files(self.files, self.rater, self.output, self.tally)


class Rating(Protocol):
    """A run, wherever it is done."""

    @property
    def size(self) -> int:
        """Bytes of all files; for progress."""
        ...

    @property
    def tally(self) -> Tally:
        """What was done so far."""
        ...

    def steps(self) -> Iterator[int]:
        """Rate all files; yield how many of their bytes are done."""
        ...


@contextmanager
def opened_work(settings: Settings, job: OfflineJob) -> Iterator[OfflineWork]:
    """Put a run together. Raises `BadOptionError` and `CannotStart`."""
    os.environ.setdefault(*_HELD_MEMORY)
    with offline_extra():
        from ocs.bootstrap.offline_columns import (  # noqa: PLC0415
            debited_output,
            files_of,
            output_of,
            rater_of,
            run_at,
        )
    tally = Tally()
    files = files_of(settings, job, tally)
    with ExitStack() as stack:
        people = RememberedPeople(people_of(settings, job, stack), monotonic_s)
        generation = stack.enter_context(opened_tariffs(settings))
        rater = rater_of(settings, generation, people)
        output = output_of(job.out)
        stack.enter_context(run_at(job.out))
        if job.way is Way.DEBIT:
            settle = stack.enter_context(opened_settling(settings))
            output = debited_output(output, settle)
        yield OfflineWork(files, rater, output, tally)


def write_summary(folder: Path, summary: RunSummary) -> Path:
    """Keep the summary of a run beside its output. Raises `OSError`."""
    runs = folder / RUNS
    runs.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    began_ms = wall_ms() - int(summary.seconds * _MS)
    path = runs / f"{began_ms}.json"
    while True:
        try:
            with path.open("xb") as stream:
                stream.write(text + b"\n")
        except FileExistsError:  # another run began in the same millisecond
            began_ms += 1
            path = runs / f"{began_ms}.json"
        else:
            return path


def write_metrics(path: Path, tally: Tally, left_bytes: int, more: Sequence[Figure] = ()) -> None:
    """Tell how far a run is. Raises `OSError`."""
    summary = tally.summary(0.0)
    lag_s = max(0, wall_ms() - summary.newest_ms) / _MS if summary.newest_ms else 0.0
    write_figures(
        path,
        [
            Figure(
                "ocs_cdr_rated_total",
                "counter",
                "CDRs that this run rated.",
                [({}, float(tally.rated_now))],
            ),
            Figure(
                "ocs_cdr_rejected_total",
                "counter",
                "Entries of this run's files that have no price, by the code of the reject.",
                [({"code": code}, float(count)) for code, count in summary.rejected.items()],
            ),
            Figure(
                "ocs_cdr_settled_total",
                "counter",
                "CDRs of this run's files, by what became of their money.",
                [({"settled": word}, float(count)) for word, count in summary.settled.items()],
            ),
            Figure(
                "ocs_cdr_lag_seconds",
                "gauge",
                "Since the newest use that was rated began.",
                [({}, lag_s)],
            ),
            Figure(
                "ocs_cdr_left_bytes",
                "gauge",
                "Of the run's files, not read yet.",
                [({}, float(left_bytes))],
            ),
            *more,
        ],
    )


def people_of(settings: Settings, job: OfflineJob, stack: ExitStack) -> People:
    """Give those whom a job asks who is who; the store's are open as long as the stack."""
    if job.subscribers is not None:
        return _listed(settings, job.tenant, job.subscribers)
    return stack.enter_context(_StorePeople(settings))


class _ListedPeople:
    """Those of a file, who are all of one tenant; what currency they pay in is not told."""

    def __init__(self, tenant: str, people: Mapping[str, Subscriber]) -> None:
        self._tenant = tenant
        self._people = people

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        if tenant != self._tenant:
            return {}
        return {each: self._people[each] for each in identities if each in self._people}


def _listed(settings: Settings, tenant: str, path: Path) -> People:
    rules = next(each.rules() for each in settings.tenants if each.name == tenant)
    try:
        file = SeedFile(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadOptionError(f"--subscribers: {path} cannot be read: {error}") from None
    plans = [plan.name for plan in settings.plans]
    lines, bad = read_subscribers(file, plans, lambda raw: clean_number(raw, rules))
    if bad:
        raise BadOptionError("\n".join(told(line) for line in bad))
    people = {
        line.identity: Subscriber(
            identity=line.identity,
            account=line.account,
            wallet_group=line.account,
            plan=line.plan,
            currency="",
        )
        for line in lines
    }
    return _ListedPeople(tenant, people)


class _StorePeople:
    """Those of the store's directory. Its loop runs only while it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self._directory: Directory | None = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._directory = self._runner.run(self._opened())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._open.aclose())
        self._runner.close()

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        return self._runner.run(self._found(tenant, list(identities)))

    async def _opened(self) -> Directory:
        stores = await self._open.enter_async_context(open_stores(self._settings))
        return stores.directory

    async def _found(self, tenant: str, identities: list[str]) -> Mapping[str, Subscriber]:
        directory = self._directory
        assert directory is not None, "the store is open"
        found: dict[str, Subscriber] = {}
        for begin in range(0, len(identities), _ASKED_AT_ONCE):
            some = identities[begin : begin + _ASKED_AT_ONCE]
            answers = await asyncio.gather(*(directory.subscriber(tenant, each) for each in some))
            found.update((name, who) for name, who in zip(some, answers, strict=True) if who)
        return found

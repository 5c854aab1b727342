"""A run of offline rating over many files: counts that add up, money by tenant and currency."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from msgspec import Struct

from ocs.usecases.offline_rating import (
    CdrFile,
    Chunk,
    ChunkDone,
    ChunkReport,
    Fate,
    FileFault,
    Money,
    Output,
    Rater,
    priced_chunk,
)

_COUNTED: Final = ("entries", "used", "skipped", "cdrs", "rated")


class Unread(Struct, frozen=True):
    """A file that was not read, or not to its end, and why."""

    file: str
    reason: str


class RunSummary(Struct, frozen=True, kw_only=True):
    """All chunks of all files of a run, those that an earlier run had done (`found`) among them.

    `rated_now` are the rows that this run wrote, in `seconds`. A second copy of a file counts among
    the chunks that were found, and nowhere else.
    """

    files: int
    chunks: Mapping[str, int]
    entries: int
    used: int
    skipped: int
    cdrs: int
    rated: int
    rated_now: int
    rejected: Mapping[str, int]
    money: Sequence[Money]
    unread: Sequence[Unread]
    seconds: float
    newest_ms: int
    settled: Mapping[str, int] = {}
    debited: Sequence[Money] = ()
    overrun: Sequence[Money] = ()


class Tally:
    """A summary that grows, chunk by chunk."""

    def __init__(self) -> None:
        self.rated_now = 0
        self.rejected_now = 0
        self.newest_ms = 0
        self._files = 0
        self._chunks: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._settled: Counter[str] = Counter()
        self._money: dict[tuple[str, str], Money] = {}
        self._debited: dict[tuple[str, str], Money] = {}
        self._overrun: dict[tuple[str, str], Money] = {}
        self._unread: list[Unread] = []
        self._names: set[str] = set()

    def add_file(self) -> None:
        self._files += 1

    def add_unread(self, file: str, reason: str) -> None:
        self._unread.append(Unread(file, reason))

    def add(self, done: ChunkDone) -> None:
        self._chunks[done.fate] += 1
        if done.report is None or done.report.name in self._names:
            return
        self._names.add(done.report.name)
        self._add(done.report)
        if done.fate is Fate.RATED:
            self.rated_now += done.report.rated
            self.rejected_now += sum(done.report.rejected.values())

    def _add(self, report: ChunkReport) -> None:
        for name in _COUNTED:
            self._counts[name] += getattr(report, name)
        self._rejected.update(report.rejected)
        self.newest_ms = max(self.newest_ms, report.newest_ms)
        self._settled.update(report.settled)
        for sums, moneys in (
            (self._money, report.money),
            (self._debited, report.debited),
            (self._overrun, report.overrun),
        ):
            for money in moneys:
                _add(sums, money)

    def summary(self, seconds: float) -> RunSummary:
        """Return what was counted so far."""
        return RunSummary(
            files=self._files,
            chunks={fate.value: self._chunks[fate] for fate in Fate},
            **{name: self._counts[name] for name in _COUNTED},
            rated_now=self.rated_now,
            rejected=dict(sorted(self._rejected.items())),
            money=sorted(self._money.values()),
            unread=tuple(self._unread),
            seconds=seconds,
            newest_ms=self.newest_ms,
            settled=dict(sorted(self._settled.items())),
            debited=sorted(self._debited.values()),
            overrun=sorted(self._overrun.values()),
        )


def _add(sums: dict[tuple[str, str], Money], money: Money) -> None:
    key = money.tenant, money.currency
    so_far = sums.get(key, Money(*key, 0, 0))
    sums[key] = Money(*key, so_far.cdrs + money.cdrs, so_far.amount + money.amount)


def rate_files(
    files: Sequence[CdrFile], rater: Rater, output: Output, tally: Tally
) -> Iterator[int]:
    """Rate files one after the other; yield how many bytes of all of them have been read.

    A chunk is put while the next one is rated. A file with a fault is told in the tally, and the
    next one is read. LedgerUnavailable, OSError.
    """
    before = 0
    with ThreadPoolExecutor(1, "ocs-writer") as pool:
        behind = _Behind(pool)
        for file in files:
            tally.add_file()
            try:
                for chunk in file.chunks():
                    read = before + min(chunk.position, file.size)
                    for done, reached in behind.follow(chunk, read, rater, output):
                        tally.add(done)
                        yield reached
            except FileFault as fault:
                tally.add_unread(file.name, str(fault))
            before += file.size
            yield before
        for done, reached in behind.last():
            tally.add(done)
            yield reached


class _Behind:
    """What is put behind the one who rates: one chunk at a time, in their order.

    One and not more, since a rated chunk is some 200 MB.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._name = ""
        self._reached = 0
        self._putting: Future[ChunkDone] | None = None

    def follow(
        self, chunk: Chunk, reached: int, rater: Rater, output: Output
    ) -> Iterator[tuple[ChunkDone, int]]:
        """Rate a chunk and begin to put it; yield what is done by then."""
        if chunk.name == self._name:  # a copy: it is done when that one is
            yield from self.last()
        priced = priced_chunk(chunk, rater, output)
        if isinstance(priced, ChunkDone):
            yield from self.last()
            yield priced, reached
            return
        with ExitStack() as undone:
            undone.callback(priced.leave)
            yield from self.last()
            undone.pop_all()
        self._name, self._reached = chunk.name, reached
        self._putting = self._pool.submit(priced.put)

    def last(self) -> Iterator[tuple[ChunkDone, int]]:
        """Wait for what is under way."""
        putting, self._putting = self._putting, None
        if putting is not None:
            yield putting.result(), self._reached

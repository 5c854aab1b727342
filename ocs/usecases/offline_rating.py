"""Rating finished CDRs: files in, priced rows and rejects out, chunk by chunk, each of them once.

    CdrFile.chunks ──► Chunk ──► Rater.rate ──► Rated ──► Output.put ──► ChunkReport
                         │                                   ▲
                         └── its name is known? then its report is there, and nothing is done

A *chunk* is a piece of a file, named by a hash of what the file holds up to the piece's end. So a
run that was killed is begun again from the first file, and does only what is not there yet; a copy
of a file under another name is the same chunks; a file that was changed is other ones. The hash
goes over what stands before as well, since what a line means may depend on it (the header, the
INVITE of a BYE).

Every entry of a file is in the report of one chunk: read into a CDR, skipped, or rejected; and
every CDR is a row of the output or a reject. So the counts of a run add up, however often it was
interrupted:

    entries = used + skipped + unreadable        cdrs = rated + rejected for want of a price

What a table is, only adapters know: here it has a length. Rejected: a list of done files (a file
is too much to do again), a data base of lines (the output itself says what is done).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from ocs.usecases.ports import Subscriber
from ocs.usecases.rejects import Reading, Reject

RECORDED: Final = "recorded"
"""In the column `settled`: rated and written down; no wallet was touched."""

KEPT_S: Final = 60.0
"""How old what is known of a subscriber may be: a change of plan counts a minute later."""
MOST_PEOPLE_KEPT: Final = 500_000
"""About 200 MB."""


class Table(Protocol):
    """Rows in columns; adapters know which, and in what they are kept."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...


class Chunk(Struct, frozen=True, kw_only=True):
    """A piece of a file. `position` is how many bytes of the file have been read behind it.

    `entries` of the file are accounted for: `used` for the CDRs of `table`, `skipped`, `rejects`.
    `reading` says how the text of a reject is read again.
    """

    name: str
    file: str
    table: Table
    rejects: Sequence[Reject]
    entries: int
    used: int
    skipped: int
    reading: Reading
    position: int


class Money(Struct, frozen=True, order=True):
    """What the rated CDRs of one tenant come to in one currency; empty where nothing is owed."""

    tenant: str
    currency: str
    cdrs: int
    amount: int


class Rated(Struct, frozen=True, kw_only=True):
    """The rows that have a price, those that have none as rejects, and what the rows come to.

    `newest_ms` is when the last of the uses began; 0 without rows. `settled` counts the rows by
    what became of their money, `debited` is what was taken from wallets for them, and `overrun`
    what of that their floors did not cover (its `cdrs` is 0: that is told of accounts).
    """

    table: Table
    rejects: Sequence[Reject]
    money: Sequence[Money]
    newest_ms: int
    generation: str
    settled: Mapping[str, int] = {}
    debited: Sequence[Money] = ()
    overrun: Sequence[Money] = ()


class ChunkReport(Struct, frozen=True, kw_only=True):
    """What became of a chunk; `rejected` counts by the code of the reject.

    It is what is kept of a chunk that is done: `parts` are the files of its rows and rejects.
    """

    name: str
    file: str
    entries: int
    used: int
    skipped: int
    cdrs: int
    rated: int
    rejected: Mapping[str, int]
    money: tuple[Money, ...]
    newest_ms: int
    generation: str
    parts: tuple[str, ...]
    settled: Mapping[str, int] = {}
    debited: tuple[Money, ...] = ()
    overrun: tuple[Money, ...] = ()


class FileFault(Exception):
    """A file cannot be read, or not to its end; says why. The chunks that came of it are good."""


class CdrFile(Protocol):
    """A file of CDRs, whatever its format."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def size(self) -> int:
        """Bytes; for progress."""
        ...

    def chunks(self) -> Iterator[Chunk]:
        """Read it, in bounded memory; the same content gives the same chunks. FileFault."""
        ...


class Rater(Protocol):
    """Finds who pays and what it costs."""

    def rate(self, table: Table) -> Rated:
        """Price the CDRs of a table. LedgerUnavailable: the directory cannot be asked."""
        ...


class Output(Protocol):
    """Where rated CDRs are kept. Raises `OSError`."""

    def report(self, name: str) -> ChunkReport | None:
        """Return what became of a chunk that is done."""
        ...

    def claimed(self, name: str) -> AbstractContextManager[bool]:
        """Keep others from a chunk; false: another run is at it.

        A chunk whose writer died after it had decided what to write is finished first.
        """
        ...

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        """Keep a claimed chunk: all of it or, whenever the process ends, nothing."""
        ...


class People(Protocol):
    """Who is who, many at a time."""

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        """Return those who are known, by identity."""
        ...


class Fate(StrEnum):
    """What a run did with a chunk: rated it, found it done, or left it to another run."""

    RATED = "rated"
    FOUND = "found"
    ELSEWHERE = "elsewhere"


class ChunkDone(Struct, frozen=True):
    """One step of a run; a chunk that is another run's has no report here."""

    fate: Fate
    report: ChunkReport | None
    position: int


class Priced:
    """A chunk that is rated and has only to be put; it is claimed until that is done."""

    def __init__(self, chunk: Chunk, rated: Rated, output: Output, claim: ExitStack) -> None:
        self._chunk = chunk
        self._rated = rated
        self._output = output
        self._claim = claim

    def put(self) -> ChunkDone:
        """Put it into the output."""
        with self._claim:
            report = self._output.put(self._chunk, self._rated)
        return ChunkDone(Fate.RATED, report, self._chunk.position)

    def leave(self) -> None:
        """Leave it to somebody else."""
        self._claim.close()


def rate_file(file: CdrFile, rater: Rater, output: Output) -> Iterator[ChunkDone]:
    """Rate what is not done of a file, chunk by chunk. FileFault, LedgerUnavailable, OSError."""
    for chunk in file.chunks():
        priced = priced_chunk(chunk, rater, output)
        yield priced.put() if isinstance(priced, Priced) else priced


def priced_chunk(chunk: Chunk, rater: Rater, output: Output) -> Priced | ChunkDone:
    """Rate a chunk, unless it is done or another run is at it."""
    report = output.report(chunk.name)
    if report is not None:
        return ChunkDone(Fate.FOUND, report, chunk.position)
    with ExitStack() as claim:
        if not claim.enter_context(output.claimed(chunk.name)):
            return ChunkDone(Fate.ELSEWHERE, None, chunk.position)
        report = output.report(chunk.name)  # it may have been done since we asked
        if report is not None:
            return ChunkDone(Fate.FOUND, report, chunk.position)
        rated = rater.rate(chunk.table)
        assert len(rated.table) + len(rated.rejects) == len(chunk.table), chunk.name
        return Priced(chunk, rated, output, claim.pop_all())


class RememberedPeople:
    """A bounded memory before a directory: each identity is asked for once in `KEPT_S`."""

    def __init__(self, people: People, clock_s: Callable[[], float]) -> None:
        self._people = people
        self._clock_s = clock_s
        self._since_s = clock_s()
        self._known: dict[tuple[str, str], Subscriber | None] = {}

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        """As `People.find`."""
        now_s = self._clock_s()
        if now_s - self._since_s >= KEPT_S or len(self._known) > MOST_PEOPLE_KEPT:
            self._known.clear()
            self._since_s = now_s
        missing = [each for each in identities if (tenant, each) not in self._known]
        if missing:
            found = self._people.find(tenant, missing)
            self._known.update({(tenant, each): found.get(each) for each in missing})
        known = ((each, self._known[tenant, each]) for each in identities)
        return {identity: who for identity, who in known if who is not None}

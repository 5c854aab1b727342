"""Sharing work, without a store and without files: who does what, and what becomes of faults."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from ocs.usecases.offline_rating import Chunk, ChunkReport, FileFault, Rated, Table
from ocs.usecases.offline_summary import Unread
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.rejects import Reading
from ocs.usecases.sharing_work import Backlog, Given, Held, Piece, Share, Worker, give_out

PIECE = Piece(name="p", offset=0, size=9, first_line=1, lines=2, header=b"", digest="d")


def share(name: str, piece: Piece | None = PIECE) -> Share:
    return Share(name=name, file="a.csv", size=9, format="csv", options={}, piece=piece)


class Queue:
    """Implements the port `WorkQueue` in memory."""

    def __init__(self, *shares: Share) -> None:
        self.waiting = list(shares)
        self.known: set[str] = set()
        self.told: list[tuple[str, str]] = []
        self.got_on = 0

    def add(self, shares: Iterable[Share]) -> int:
        new = [each for each in shares if each.name not in self.known]
        self.known |= {each.name for each in new}
        self.waiting += new
        return len(new)

    def take(self) -> Held | None:
        return Held("t", self.waiting.pop(0), 1) if self.waiting else None

    @contextmanager
    def holding(self, held: Held) -> Iterator[Callable[[], None]]:
        def gets_on() -> None:
            self.got_on += 1

        yield gets_on
        self.told.append((held.share.name, "let go"))

    def done(self, held: Held) -> None:
        self.told.append((held.share.name, "done"))

    def failed(self, held: Held, reason: str) -> None:
        self.told.append((held.share.name, reason))

    def give_back(self, held: Held) -> None:
        self.told.append((held.share.name, "given back"))

    def backlog(self) -> Backlog:
        return Backlog(waiting=len(self.waiting), under_way=0, aside=0)


class File:
    """A file of chunks, or with a fault."""

    name = "a.csv"
    size = 9

    def __init__(self, *names: str, fault: Exception | None = None) -> None:
        self._names, self._fault = names, fault

    def chunks(self) -> Iterator[Chunk]:
        for name in self._names:
            yield Chunk(
                name=name, file=self.name, table=(1, 2), rejects=[], entries=2, used=2, skipped=0,
                reading=Reading("csv"), position=9,
            )  # fmt: skip
        if self._fault is not None:
            raise self._fault

    def shares(self) -> Iterator[Share]:
        yield from map(share, self._names)
        if self._fault is not None:
            raise self._fault


class Rater:
    """Implements the port `Rater`."""

    def rate(self, table: Table) -> Rated:
        return Rated(table=table, rejects=[], money=[], newest_ms=0, generation="g")


class Output:
    """Implements the port `Output`; calls what it is given when something is put into it."""

    def __init__(self, when_put: Callable[[], None] = lambda: None) -> None:
        self.chunks: dict[str, ChunkReport] = {}
        self._when_put = when_put

    def report(self, name: str) -> ChunkReport | None:
        return self.chunks.get(name)

    def claimed(self, name: str) -> AbstractContextManager[bool]:
        return nullcontext(enter_result=name not in self.chunks)

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        self._when_put()
        self.chunks[chunk.name] = ChunkReport(
            name=chunk.name, file=chunk.file, entries=2, used=2, skipped=0, cdrs=2,
            rated=len(rated.table), rejected={}, money=(), newest_ms=0, generation="g", parts=(),
        )  # fmt: skip
        return self.chunks[chunk.name]


def worker(queue: Queue, file: File, output: Output, ending: list[bool] | None = None) -> Worker:
    is_ending = ending if ending is not None else []
    return Worker(queue, lambda _: file, Rater(), output, is_ending=lambda: bool(is_ending))


def until_idle(at: Worker) -> int:
    """Work until nothing is free; how many shares that were."""
    for count, held in enumerate(at.work()):
        if held is None:
            return count
    raise AssertionError("it ended before")


def test_shares_are_taken_until_none_is_free() -> None:
    queue, output = Queue(share("a"), share("b")), Output()
    at = worker(queue, File("n1"), output)
    assert until_idle(at) == 2
    assert queue.told == [("a", "let go"), ("a", "done"), ("b", "let go"), ("b", "done")]
    assert queue.got_on == 2
    summary = at.tally.summary(1.0)
    assert (summary.files, summary.rated, summary.rated_now) == (2, 2, 2)
    assert summary.chunks == {"rated": 1, "found": 1, "elsewhere": 0}


@pytest.mark.parametrize(
    "fault", [FileFault("it changed"), OSError("no disk")], ids=["file", "output"]
)
def test_a_fault_is_told_and_the_next_share_is_taken(fault: Exception) -> None:
    queue, output = Queue(share("a"), share("b")), Output()
    assert until_idle(worker(queue, File("n1", fault=fault), output)) == 2
    assert queue.told == [("a", str(fault)), ("b", str(fault))]
    assert set(output.chunks) == {"n1"}, "what came before it is good"


def test_a_store_that_is_away_ends_the_worker() -> None:
    """It keeps the share until others take it for dead: nothing can be told."""

    def away() -> None:
        raise LedgerUnavailable("the store is away")

    queue = Queue(share("a"))
    with pytest.raises(LedgerUnavailable):
        until_idle(worker(queue, File("n1"), Output(away)))
    assert queue.told == []


def test_who_is_to_end_ends_a_piece_and_takes_no_other() -> None:
    ending: list[bool] = []
    queue = Queue(share("a"), share("b"))
    at = worker(queue, File("n1"), Output(lambda: ending.append(True)), ending)
    assert [held.share.name for held in at.work() if held] == ["a"]
    assert queue.told[-1] == ("a", "done")


def test_who_is_to_end_gives_a_whole_file_back_after_the_chunk_in_hand() -> None:
    ending: list[bool] = []
    queue, output = Queue(share("a", None)), Output(lambda: ending.append(True))
    assert len(list(worker(queue, File("n1", "n2", "n3"), output, ending).work())) == 1
    assert queue.told == [("a", "let go"), ("a", "given back")]
    assert set(output.chunks) == {"n1"}
    queue.waiting.append(share("a", None))
    assert until_idle(worker(queue, File("n1", "n2", "n3"), output)) == 1
    assert queue.told[-1] == ("a", "done")
    assert set(output.chunks) == {"n1", "n2", "n3"}


def test_files_are_given_out_and_those_with_a_fault_are_told() -> None:
    queue, given = Queue(), Given()
    files = [File("n1", "n2"), File("n2", fault=FileFault("no disk")), File("n3")]
    assert list(give_out(files, queue, given)) == [9, 9, 9, 9]
    assert (given.files, given.shares, given.added) == (3, 4, 3)
    assert given.unread == [Unread("a.csv", "no disk")]
    assert [each.name for each in queue.waiting] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("waiting", "under_way", "aside", "is_empty"),
    [(0, 0, 0, True), (0, 0, 2, True), (1, 0, 0, False), (0, 1, 0, False)],
)
def test_what_is_set_aside_keeps_nobody_waiting(
    waiting: int, under_way: int, aside: int, is_empty: bool
) -> None:
    assert Backlog(waiting=waiting, under_way=under_way, aside=aside).is_empty is is_empty

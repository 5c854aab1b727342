"""A run over files: each chunk once, whatever became of it before; counts that add up."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from threading import Event
from typing import Any

import pytest

from ocs.usecases.offline_rating import (
    KEPT_S,
    MOST_PEOPLE_KEPT,
    Chunk,
    ChunkReport,
    Fate,
    FileFault,
    Money,
    Rated,
    RememberedPeople,
    Table,
    rate_file,
)
from ocs.usecases.offline_summary import RunSummary, Tally, rate_files
from ocs.usecases.ports import Subscriber
from ocs.usecases.rejects import Reading, Reject

BAD = Reject("f", 9, "units", "is no number", "UNREADABLE", "x")
DEAR = Reject("f", 8, "called", "has no price", "NO_RATE", "{}")


class File:
    """A file whose chunks have these names; each holds three CDRs and a bad line."""

    def __init__(self, name: str, *chunks: str, fault: str = "") -> None:
        self.name = name
        self.size = 10 * len(chunks)
        self._chunks = chunks
        self._fault = fault

    def chunks(self) -> Iterator[Chunk]:
        for place, name in enumerate(self._chunks, 1):
            yield Chunk(
                name=name, file=self.name, table=[1, 2, 3], rejects=[BAD], entries=5, used=3,
                skipped=1, reading=Reading("csv"), position=15 * place,
            )  # fmt: skip
        if self._fault:
            raise FileFault(self._fault)


class Rater:
    """Two of three have a price."""

    def __init__(self) -> None:
        self.rated = 0

    def rate(self, table: Table) -> Rated:
        self.rated += 1
        money = [Money("demo", "EUR", 2, 7)]
        return Rated(table=[0] * (len(table) - 1), rejects=[DEAR], money=money, newest_ms=self.rated, generation="g")  # fmt: skip


class Output:
    """What is done is kept in memory; `taken` are chunks that another run is at."""

    def __init__(self, *taken: str, racing: str = "") -> None:
        self.reports: dict[str, ChunkReport] = {}
        self._taken = taken
        self._racing = racing

    def report(self, name: str) -> ChunkReport | None:
        return self.reports.get(name)

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        if name == self._racing:
            self.reports[name] = report(name)
        yield name not in self._taken

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        found = report(chunk.name, tuple(rated.money), rated.newest_ms)
        self.reports[chunk.name] = found
        return found


def report(name: str, money: tuple[Money, ...] = (), newest_ms: int = 0) -> ChunkReport:
    return ChunkReport(
        name=name, file="f", entries=5, used=3, skipped=1, cdrs=3, rated=2,
        rejected={"UNREADABLE": 1, "NO_RATE": 1}, money=money, newest_ms=newest_ms, generation="g",
        parts=(),
    )  # fmt: skip


def run(output: Output, *files: File) -> tuple[RunSummary, list[int]]:
    tally = Tally()
    read = list(rate_files(files, Rater(), output, tally))
    return tally.summary(2.0), read


def test_what_was_done_and_what_is_done_now_are_one_summary() -> None:
    output = Output()
    output.reports["b"] = report("b", (Money("acme", "USD", 2, 1), Money("demo", "EUR", 2, 3)), 99)
    summary, read = run(output, File("one", "a", "b"), File("two", "c"))
    assert summary.chunks == {"rated": 2, "found": 1, "elsewhere": 0}
    assert (summary.files, summary.entries, summary.used, summary.skipped) == (2, 15, 9, 3)
    assert (summary.cdrs, summary.rated, summary.rated_now) == (9, 6, 4)
    assert summary.rejected == {"NO_RATE": 3, "UNREADABLE": 3}
    assert list(summary.money) == [Money("acme", "USD", 2, 1), Money("demo", "EUR", 6, 17)]
    assert (summary.newest_ms, summary.seconds) == (99, 2.0)
    assert read == [15, 20, 20, 30, 30], "never more than the file's size"
    again, _ = run(output, File("one", "a", "b"), File("two", "c"))
    assert (again.rated_now, again.money) == (0, summary.money)


def test_a_copy_counts_once() -> None:
    summary, _ = run(Output(), File("one", "a"), File("copy", "a"))
    assert summary.chunks == {"rated": 1, "found": 1, "elsewhere": 0}
    assert (summary.files, summary.entries, summary.rated) == (2, 5, 2)


def test_a_chunk_of_another_run_is_left_alone() -> None:
    output = Output("b")
    summary, _ = run(output, File("one", "a", "b"))
    assert summary.chunks == {"rated": 1, "found": 0, "elsewhere": 1}
    assert (summary.entries, set(output.reports)) == (5, {"a"})


def test_a_chunk_that_was_done_while_we_asked_is_not_rated() -> None:
    summary, _ = run(Output(racing="a"), File("one", "a"))
    assert (summary.chunks["found"], summary.rated_now) == (1, 0)


def test_a_file_that_goes_wrong_does_not_stop_the_next() -> None:
    summary, _ = run(Output(), File("one", "a", fault="is gone"), File("two", "b"))
    assert [(each.file, each.reason) for each in summary.unread] == [("one", "is gone")]
    assert summary.chunks["rated"] == 2


def test_a_rater_that_loses_a_row_is_a_bug() -> None:
    class Lossy(Rater):
        def rate(self, table: Table) -> Rated:
            return super().rate([*range(len(table) - 1)])

    with pytest.raises(AssertionError):
        list(rate_files([File("one", "a")], Lossy(), Output(), Tally()))


class Logged(Output):
    """Tells what was asked of it, in its order; putting `dead` fails."""

    def __init__(self, dead: str = "", until: Event | None = None) -> None:
        super().__init__()
        self.log: list[str] = []
        self._dead = dead
        self._until = until

    def report(self, name: str) -> ChunkReport | None:
        self.log.append(f"report {name}")
        return super().report(name)

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        self.log.append(f"claim {name}")
        with super().claimed(name) as is_ours:
            yield is_ours
        self.log.append(f"leave {name}")

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        if self._until is not None:
            assert self._until.wait(60), "the next one was not rated meanwhile"
        if chunk.name == self._dead:
            raise OSError("no space left")
        self.log.append(f"put {chunk.name}")
        return super().put(chunk, rated)


def test_a_chunk_is_put_while_the_next_one_is_rated() -> None:
    is_next = Event()

    class Second(Rater):
        def rate(self, table: Table) -> Rated:
            if self.rated:
                is_next.set()
            return super().rate(table)

    output = Logged(until=is_next)
    read = list(rate_files([File("one", "a"), File("two", "b", "c")], Second(), output, Tally()))
    puts = [entry for entry in output.log if entry.startswith("put")]
    assert puts == ["put a", "put b", "put c"]
    assert sorted(read) == [10, 10, 25, 30, 30]


def test_a_copy_of_what_is_being_put_waits_for_it() -> None:
    output = Logged()
    summary, _ = run(output, File("one", "a"), File("copy", "a"), File("third", "a"))
    once = ["report a", "claim a", "report a", "put a", "leave a"]
    assert output.log == [*once, "report a", "report a"]
    assert summary.chunks == {"rated": 1, "found": 2, "elsewhere": 0}


def test_what_was_rated_before_a_fault_was_known_is_left() -> None:
    output, tally = Logged(dead="b"), Tally()
    with pytest.raises(OSError, match="no space"):
        list(rate_files([File("one", "a", "b", "c", "d")], Rater(), output, tally))
    assert {f"claim {name}" for name in "abc"} <= set(output.log)
    assert not {"put b", "put c", "claim d"} & set(output.log)
    assert sum(entry.startswith("claim") for entry in output.log) == 3
    assert "leave c" in output.log
    assert tally.rated_now == 2


def test_a_file_by_itself_is_rated_chunk_by_chunk() -> None:
    output = Logged()
    output.reports["b"] = report("b")
    done = list(rate_file(File("one", "a", "b"), Rater(), output))
    assert [(each.fate, each.position) for each in done] == [(Fate.RATED, 15), (Fate.FOUND, 30)]


class Directory:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        self.asked.append((tenant, sorted(identities)))
        return {each: subscriber(each) for each in identities if each != "nobody"}


def subscriber(name: str) -> Subscriber:
    return Subscriber(identity=name, account="a", wallet_group="a", plan="p", currency="EUR")


def test_people_are_asked_for_once_in_a_while() -> None:
    now_s = 0.0
    directory = Directory()
    people = RememberedPeople(directory, lambda: now_s)
    assert people.find("demo", ["a", "nobody"]) == {"a": subscriber("a")}
    assert set(people.find("demo", ["a", "nobody", "b"])) == {"a", "b"}
    assert people.find("demo", ["a"]) == people.find("demo", ["a"])
    assert set(people.find("acme", ["a"])) == {"a"}
    now_s = KEPT_S
    people.find("demo", ["a"])
    assert directory.asked == [
        ("demo", ["a", "nobody"]), ("demo", ["b"]), ("acme", ["a"]), ("demo", ["a"]),
    ]  # fmt: skip


def test_people_are_forgotten_when_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PEOPLE_KEPT > 1
    monkeypatch.setattr("ocs.usecases.offline_rating.MOST_PEOPLE_KEPT", 1)
    directory = Directory()
    people = RememberedPeople(directory, lambda: 0.0)
    people.find("demo", ["a", "b"])
    people.find("demo", ["a"])
    assert [identities for _, identities in directory.asked] == [["a", "b"], ["a"]]

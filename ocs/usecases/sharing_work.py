"""Sharing the rating of files: one gives pieces of them out, many take them, on any machine.

    files ──► Outliner ──► Share ──► WorkQueue.add             `ocs offline share`
                                         │
              WorkQueue.take ◄───────────┘                     `ocs offline work`, as many as wanted
                  │
                  └─► Opener ──► rate_file ──► Output ──► WorkQueue.done

A *share* is one chunk, where a piece of the file can be read by itself, else the whole file with
all its chunks. It is in one of these hands:

    waiting     nobody has it
    under way   a worker has it, and renews that while it gets on; one that is dead does not
    aside       it was tried `MOST_ATTEMPTS` times, and its reason is kept for people
    done        its report is durable; then it is forgotten here

Who has a share may lose it: to be slow and to be dead look the same from outside. So nothing that
counts hangs on who has it. Two workers at one chunk write the same rows under the same name, the
first who decides wins (`Output`), and the ledger debits a chunk once (`SettlingCdrs`). The queue
spares work; it does not guard money.

Rejected: a lock for each file (what is unlocked by whom, when its machine is gone?), a coordinator
that workers report to (one more thing that dies; the store is there already).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Final, Protocol

from msgspec import Struct

from ocs.usecases.offline_rating import CdrFile, FileFault, Output, Rater, rate_file
from ocs.usecases.offline_summary import Tally, Unread

MOST_ATTEMPTS: Final = 5
"""Workers that a share may cost before it is set aside: one may be killed, or out of memory for
another's sake; five in a row are the share's own doing."""


class Way(StrEnum):
    """What a run or a worker does about money; the words are those of its options.

    All workers of a queue go one way, or some CDRs would be debited and others silently not.
    """

    DEBIT = "debit"
    NO_DEBIT = "no-debit"
    SUBSCRIBERS = "subscribers"

    @classmethod
    def of(cls, *, has_subscribers: bool, debit: bool) -> "Way":
        """Choose by what was asked: nobody of a list of subscribers has a wallet to be debited."""
        if has_subscribers:
            return cls.SUBSCRIBERS
        return cls.DEBIT if debit else cls.NO_DEBIT


class Bound(Struct, frozen=True):
    """What a queue is bound to by its first worker: the id of an output, and a `Way`.

    Empty where nobody has worked yet; the way also where only a former version has.
    """

    output: str
    way: str


class Piece(Struct, frozen=True, kw_only=True):
    """A piece of a file that can be read by itself: `lines` lines, `size` bytes from `offset` on.

    `name` is that of the chunk that it is. `header` stands before it, if it is not the first;
    `digest` tells whether the file is still what it was; a piece that is not shared has none.
    """

    name: str
    offset: int
    size: int
    first_line: int
    lines: int
    header: bytes
    digest: str = ""


class Share(Struct, frozen=True, kw_only=True):
    """What a worker takes at once, and how it is to be read.

    Without `piece` it is the whole file. `format` is the name of its format, empty for a file of
    rejects, which says itself how it is read.
    """

    name: str
    file: str
    size: int
    format: str
    options: Mapping[str, Any]
    piece: Piece | None


class Held(Struct, frozen=True):
    """A share that a worker has, under the queue's own name for it."""

    ticket: str
    share: Share
    attempt: int


class SetAside(Struct, frozen=True, kw_only=True):
    """A share that nobody is given any more, and why."""

    share: Share
    reason: str


class UnderWay(Struct, frozen=True, kw_only=True):
    """A share that a worker has; `quiet_ms` since it was heard of."""

    share: Share
    worker: str
    quiet_ms: int
    attempt: int


class Backlog(Struct, frozen=True, kw_only=True):
    """How many shares are in which hand."""

    waiting: int
    under_way: int
    aside: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left that a worker could do or wait for."""
        return not (self.waiting or self.under_way)


class WorkQueue(Protocol):
    """Shares between machines. All raise `LedgerUnavailable`: ask again, it is harmless."""

    def add(self, shares: Iterable[Share]) -> int:
        """Put those in that were not there before; return how many those were."""
        ...

    def take(self) -> Held | None:
        """Return a share that nobody has, or whose worker was not heard of for too long."""
        ...

    def holding(self, held: Held) -> AbstractContextManager[Callable[[], None]]:
        """Renew it, as long as what this gives is called now and then: it gets on."""
        ...

    def done(self, held: Held) -> None:
        """Forget a share: what came of it is durable."""
        ...

    def failed(self, held: Held, reason: str) -> None:
        """Leave it to the next attempt, or set it aside after the last."""
        ...

    def give_back(self, held: Held) -> None:
        """Leave it to others at once, as if it had not been taken."""
        ...

    def backlog(self) -> Backlog:
        """Return how much there is to do."""
        ...


OpenShare = Callable[[Share], CdrFile]
"""Open what a share is made of. FileFault: it is not there, or not what it was."""


class ShareableFile(Protocol):
    """A file that is to be shared."""

    @property
    def name(self) -> str:
        """What reports call it, the same on all machines."""
        ...

    @property
    def size(self) -> int:
        """Bytes; for progress."""
        ...

    def shares(self) -> Iterator[Share]:
        """Yield what workers can take one by one. FileFault: it cannot be read to its end."""
        ...


class Given(Struct):
    """What was given out: `added` of the shares were not in the queue before."""

    files: int = 0
    shares: int = 0
    added: int = 0
    unread: list[Unread] = []

    def add_unread(self, file: str, reason: str) -> None:
        self.unread.append(Unread(file, reason))


def give_out(files: Iterable[ShareableFile], queue: WorkQueue, given: Given) -> Iterator[int]:
    """Put the shares of files into the queue; yield the bytes that this was, share by share.

    A file with a fault is told, and the next one is read. What was put in of it stays: it is good.
    """
    for file in files:
        given.files += 1
        try:
            for share in file.shares():
                given.added += queue.add([share])
                given.shares += 1
                yield share.size
        except FileFault as fault:
            given.add_unread(file.name, str(fault))


class Worker:
    """Takes shares and rates them. `is_ending` says that the process is to stop soon."""

    def __init__(
        self,
        queue: WorkQueue,
        open_share: OpenShare,
        rater: Rater,
        output: Output,
        *,
        is_ending: Callable[[], bool],
    ) -> None:
        self.tally = Tally()
        self._queue = queue
        self._open = open_share
        self._rater = rater
        self._output = output
        self._is_ending = is_ending

    def work(self) -> Iterator[Held | None]:
        """Do share after share until it ends; yield each that is over, None where none is free."""
        while not self._is_ending():
            held = self._queue.take()
            if held is not None:
                self._do(held)
            yield held

    def _do(self, held: Held) -> None:
        try:
            with self._queue.holding(held) as gets_on:
                is_whole = self._rate(held.share, gets_on)
        except (FileFault, OSError) as fault:
            self._queue.failed(held, str(fault))
            return
        if is_whole:
            self._queue.done(held)
        else:
            self._queue.give_back(held)

    def _rate(self, share: Share, gets_on: Callable[[], None]) -> bool:
        """Rate a share; whether that came to its end before this process is to end."""
        self.tally.add_file()
        for done in rate_file(self._open(share), self._rater, self._output):
            self.tally.add(done)
            gets_on()
            if share.piece is None and self._is_ending():
                return False
        return True

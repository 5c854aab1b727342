"""The journal outside the store: its words, and the doors to both of its ends.

    store: stream of a partition ──► drainer ──► reels (files), heads, checkpoints
           (short memory, trimmed)               (for ever, a hash chain a partition)

An entry is known by its id, which the store gives: milliseconds and a number, always growing within
a partition. So `after this id` is all that a reader has to remember, and what is written says by
itself how far it goes. Rejected: a consumer group, which would keep the same position a second time
in the store's memory and log, and could disagree with the files after a kill.

A position also counts: the store tells how many entries a stream ever got, so an entry that nobody
has read and that is no longer there is noticed, whoever removed it.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from msgspec import Struct

from ocs.usecases.ports import ChargeResult
from ocs.usecases.shedding import StoreMemory
from ocs.usecases.verification import Change, Entry

EntryId = tuple[int, int]
"""Milliseconds of the store's clock, and the number within them."""
RawEntry = tuple[bytes, bytes]
"""The id as the store spells it, and the record."""

FindWritten = Callable[[int, EntryId], Awaitable[RawEntry | None]]
"""Finds an entry of a partition that has left the store; None where it is not to be had."""

NOWHERE: Final[EntryId] = (0, 0)
"""Before the first entry."""


class ReelFault(Exception):
    """The journal's files cannot be read or written; the message is for people."""


class DamagedReel(ReelFault):
    """Something in a partition's files is not what was written."""


class FolderInUse(ReelFault):
    """Another drainer writes into this folder."""


class LeaseLost(Exception):
    """Another drainer has taken over: nothing more may be written or trimmed by this one."""


def parse_id(text: str) -> EntryId:
    """Read what the store spelled; ValueError when it is no id."""
    ms, _, number = text.partition("-")
    return int(ms), int(number)


def spell_id(entry_id: EntryId) -> str:
    """Spell an id as the store does."""
    return f"{entry_id[0]}-{entry_id[1]}"


class Position(Struct, frozen=True):
    """How far something has come in a partition: so many entries, the last of them this one."""

    entries: int = 0
    last: EntryId = NOWHERE


class StreamState(Struct, frozen=True):
    """A stream of the store: its first and last id, what it ever got, and what is there."""

    first: EntryId
    last: EntryId
    added: int
    length: int

    @property
    def gone(self) -> int:
        """Entries that were there and are no longer."""
        return self.added - self.length


class Lease(Struct, frozen=True):
    """The right to drain. Epochs grow with each holder; 0: somebody else has it.

    `elsewhere` is the folder that the store's journal is written into, when it is not ours.
    """

    epoch: int
    store_ms: int
    elsewhere: str = ""


class Stream(Protocol):
    """The journal's end in the store. Raises `LedgerUnavailable` and `OutcomeUnknown`."""

    async def take(self, folder: str) -> Lease:
        """Take the lease for this folder, or renew it."""
        ...

    async def give_back(self) -> None:
        """Let the next one have the lease at once."""
        ...

    async def claim(self, partition: int, epoch: int) -> bool:
        """Keep earlier epochs from trimming a partition; false when a later one has done that."""
        ...

    async def state(self, partition: int) -> StreamState | None:
        """Look at a stream; None when there is none."""
        ...

    async def read(self, partition: int, after: EntryId, count: int) -> list[RawEntry]:
        """Read the next entries, `count` at most."""
        ...

    async def trim(self, partition: int, epoch: int, before: EntryId) -> int:
        """Remove entries below an id; how many went. Raises `LeaseLost` for a past epoch."""
        ...

    async def memory(self) -> StoreMemory:
        """Say how full the store's memory is."""
        ...

    async def tell(self, status: "JournalStatus") -> None:
        """Leave in the store how it stands."""
        ...


class Reels(Protocol):
    """The journal's end on disk. Raises `ReelFault`."""

    def open(self) -> str:
        """Make the folder ours alone; its id."""
        ...

    def position(self, partition: int) -> Position:
        """Say how far a partition is written, committed or not."""
        ...

    def append(self, partition: int, entries: list[RawEntry], now_ms: int) -> None:
        """Write entries, synced to disk; they count from the next commit on."""
        ...

    def commit(self) -> None:
        """Make everything that was appended count, at once."""
        ...

    def reset(self) -> None:
        """Forget what was not committed."""
        ...

    def checkpoint(self, partition: int) -> Position:
        """Say how far the checkpoint of a partition is."""
        ...

    def advance(self, partition: int, most: int) -> Position:
        """Take the checkpoint further by some `most` entries that are committed."""
        ...

    def extent(self) -> tuple[int, int]:
        """Count reels and their bytes."""
        ...


class JournalStatus(Struct, frozen=True):
    """How the journal stands, for metrics: of one drainer, since it was started.

    `standing` is a `draining.Standing`. `at_ms` is when the last pass ended well, 0 for none yet;
    `lag_ms` how long the entry that waited longest in it had to wait. `stopped` are partitions that
    are not drained until somebody looks. `keep_ms`: how long the store keeps entries at present.
    """

    standing: str
    reason: str
    at_ms: int
    drained: int
    trimmed: int
    lag_entries: int
    lag_ms: int
    reels: int
    reel_bytes: int
    stopped: int
    faults: int
    keep_ms: int = 0


Numbers = Mapping[str, Mapping[str, tuple[int, int]]]
"""By wallet address and bucket, what is left and what is held; nothing is said of empty ones."""

Moved = tuple[str, tuple[tuple[str, int, int], ...]]
"""The wallet that an entry is about, and left and held of each bucket after it."""
MovesOf = Callable[[bytes], Moved]
"""Reads what a record moved."""


class Damage(Struct, frozen=True):
    """One place where the files are not what was written; reel 0: the whole partition."""

    partition: int
    reel: int
    position: int
    what: str


class Audited(Struct, frozen=True):
    """What was looked at, and what was found. `digest` covers the heads of all chains."""

    folder: str
    partitions: int
    reels: int
    entries: int
    reel_bytes: int
    digest: str
    damages: tuple[Damage, ...]


class Posted(Struct, frozen=True, kw_only=True):
    """An entry of the journal with all that it says.

    `info` is JSON text: what is kept of an event (`preparing.Info`), of a credit, or nothing.
    `result` and `ratings` are those of a charge.
    """

    entry: Entry
    partition: int
    event_ms: int
    info: str
    result: ChargeResult | None
    ratings: tuple[str, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.entry.changes


Post = Callable[[int, RawEntry], Posted]
"""Reads an entry of a partition."""
History = Callable[[int], Iterator[RawEntry]]
"""All entries of a partition that are on disk, from the first."""


def entries_of(partition: int, raw: Iterable[RawEntry], post: Post) -> Iterator[Entry]:
    """Read entries as the books want them."""
    return (post(partition, each).entry for each in raw)

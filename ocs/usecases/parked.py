"""Events that could not be charged online, as they lie parked in the store, and the door to them.

    streams `unrated`, `late`, `emergency` ──► settled, or noted ──► row or reject ──► removed
                     (read)                     (under way)          (durable)

An event was parked because nobody was there to pay (no such subscriber, no price), because it came
so late that its session is forgotten, or because it was a call for help. It leaves its stream as
part of a *settlement*: the use of one call, or a one-shot event, that comes to its end as one.

What keeps this whole wherever a run dies: a settlement is written down as *under way* by the step
that debits it (or that decides that nothing is debited), with all that its rows need. Only then are
the rows written, then the entries removed, then it is forgotten. So whoever comes next finishes
what is under way before it looks at any stream, and nothing in the streams behind that is settled.
Two runs cannot mix: each has an epoch, and raises the *fence* of a partition before it looks at it;
behind a fence that was raised nothing is debited by who came before.

Rejected: to remove entries in the step that debits (the rows would be lost with the process); to
remember each entry that was settled for some days, as CDRs are (a day that is too short debits
twice); consumer groups (they say who reads, not what was paid).
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from ocs.domain.events import Event
from ocs.usecases.ports import (
    ChargeCall,
    RatingInfo,
    Reply,
    SessionKey,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.settling_cdrs import Settled


class ParkedRef(Struct, frozen=True, array_like=True, order=True):
    """Where a parked event lies. `entry` is the stream's id of it."""

    partition: int
    stream: str
    entry: str

    @property
    def at_ms(self) -> int:
        """When it was parked, by the store's clock."""
        return int(self.entry.partition("-")[0])


class Parked(Struct, frozen=True):
    """A parked event; where it cannot be read, `event` is None and `text` says what lies there."""

    ref: ParkedRef
    event: Event | None
    text: str = ""


class ParkedUse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of the output: the use of one service, as far as it is known before it is debited.

    Where `settled` is DEBITED, units, amount and price are the ledger's. `reason` is why nothing is
    debited. `stream` is where the use lay parked, `dropped` why an operator gave it up.
    """

    stream: str
    rating_group: str
    session_id: str
    tenant: str
    settled: Settled
    subscriber: str = ""
    account: str = ""
    wallet_group: str = ""
    plan: str = ""
    currency: str = ""
    calling_number: str = ""
    called_number: str = ""
    rated_number: str = ""
    trunk_in: str = ""
    direction: str = ""
    usage_type: str = ""
    used_ms: int = 0
    end_ms: int = 0
    units: int = 0
    generation: str = ""
    reason: str = ""
    dropped: str = ""
    attributes: str = "{}"


class Note(Struct, frozen=True, kw_only=True):
    """What is kept of a settlement while it is under way.

    `chunk` is what its rows are part of, `fates` counts its entries by what became of them.
    """

    name: str
    chunk: str
    entries: tuple[ParkedRef, ...]
    uses: tuple[ParkedUse, ...]
    fates: Mapping[str, int] = {}


class UnderWay(Struct, frozen=True):
    """A settlement that is under way in a partition, with the ledger's result where it debited."""

    partition: int
    note: Note
    result: Reply | None = None


class ParkedOrder(Struct, frozen=True):
    """Debit parked use as one. `call` is a release that tells its answer, or an event.

    `before`: of each service of the call the units that were charged already, and how many of them
    by money: the use begins behind them, and what they cost is paid. `mark` is the session's, from
    before the journal was asked: if it has another one by now, the journal may have more.
    """

    call: ChargeCall
    before: tuple[tuple[int, int], ...]
    note: Note
    mark: bytes = b""


class Looked(Struct, frozen=True):
    """A session as the ledger has it. `mark` changes with each charge; empty for none."""

    is_live: bool
    mark: bytes = b""


class ParkedStatus(StrEnum):
    """What the ledger said to an order: it is settled, or nothing moved."""

    SETTLED = "settled"
    FENCED = "FENCED"
    MOVED = "MOVED"
    NO_WALLET = "NO_WALLET"
    STALE = "STALE"
    BY_CDRS = "CDRS"
    BY_NOBODY = "NOBODY"
    OVERFLOW = "OVERFLOW"


class ParkedReply(Struct, frozen=True):
    """`reply` is there when it is settled, now or before; `stale` when the wallet is another."""

    status: ParkedStatus
    reply: Reply | None = None
    stale: WalletDefinition | None = None


class TakenOver(Exception):
    """Another run has begun; this one may not debit any more."""


class Begun(Struct, frozen=True):
    """A run's epoch; 0: the store's parked events are settled into another output."""

    epoch: int


class SettledUse(Struct, frozen=True, kw_only=True):
    """A row as it is written: what was known before, and what the ledger said of it.

    `name` tells it from every other row. `overrun` is that of the whole settlement, told once.
    """

    name: str
    use: ParkedUse
    units: int
    amount: int = 0
    overrun: int = 0
    rating: RatingInfo | None = None
    transaction_id: str = ""


class ParkedOutput(Protocol):
    """Where rows are kept, and the rejects of what was dropped. OSError."""

    def has(self, chunk: str) -> bool:
        """Tell whether a chunk is written."""
        ...

    def put(self, chunk: str, rows: Sequence[SettledUse]) -> None:
        """Write a chunk: all of it or, whenever the process ends, nothing."""
        ...


class ParkedStore(Protocol):
    """The parked events and the ledger behind them. LedgerUnavailable, OutcomeUnknown."""

    @property
    def partitions(self) -> int:
        """How many there are."""
        ...

    def partition_of(self, wallet: WalletKey | SessionKey) -> int:
        """Tell where a wallet and its sessions lie."""
        ...

    async def begin(self, folder: str, *, moves: bool) -> Begun:
        """Begin a run that settles into this output; `moves`: in the place of another one."""
        ...

    async def claim(self, partition: int) -> None:
        """Keep earlier runs from a partition. Raises `TakenOver` when a later one is there."""
        ...

    async def store_ms(self) -> int:
        """Read the store's clock."""
        ...

    async def read(
        self, partition: int, stream: str, after: str, count: int
    ) -> Sequence[tuple[str, bytes]]:
        """Read the next entries of a stream: id and what was parked."""
        ...

    async def under_way(self, partition: int) -> Sequence[UnderWay]:
        """List what is under way in a partition."""
        ...

    async def look(self, session: SessionKey) -> Looked:
        """Look at a session."""
        ...

    async def settle(self, order: ParkedOrder) -> ParkedReply:
        """Debit what was used; under way from now on. The same order again answers the same."""
        ...

    async def note(self, partition: int, note: Note) -> None:
        """Have a settlement under way that debits nothing. Raises `TakenOver`."""
        ...

    async def remove(self, entries: Collection[ParkedRef]) -> None:
        """Take entries out of their streams."""
        ...

    async def forget(self, partition: int, names: Collection[str]) -> None:
        """Forget settlements whose entries are removed."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """Count the entries of each stream."""
        ...

"""Settling parked events: read, looked up in the journal, debited as one, written down, removed.

    finish what is under way ─► read ─► gather ─► look up ─► settle or note ─► rows ─► removed
                                 ▲                                                        │
                                 └──────────── until nothing more can be settled ─────────┘

Each event ends as one of these: *debited*, *duplicate* (it was settled before), *reconciled* or
*recorded* (the money is not the affair of events, or there is none), *dropped* by an operator; or
it stays parked, and the summary says why. The order of the steps is what makes it safe to die
anywhere; `parked.py` says how.

What is settled is over: nothing came of it for as long as the ledger would remember it, and no
session of its name is open. What comes later is settled behind that.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.usecases.parked import Parked, ParkedOutput, ParkedRef, ParkedStore, UnderWay
from ocs.usecases.parked_groups import Group
from ocs.usecases.parked_journal import Charged, JournalSource, Known, charged_of
from ocs.usecases.parked_judging import Judge, Judged
from ocs.usecases.parked_rows import rows_of
from ocs.usecases.parked_summary import ParkedTally, Waits
from ocs.usecases.parked_use import at_its_time, request_of
from ocs.usecases.ports import EMERGENCY, LATE, UNRATED, SessionKey

MOST_READ: Final = 50_000
"""Events in memory at once, some 100 MB; those of one session are looked at together as far as they
are among them, and settled behind each other otherwise."""
MOST_BESIDE: Final = 50
"""Settlements that are asked for at once: some milliseconds of the store."""
CHUNK_ROWS: Final = 1_000
"""Of one file, more or less: so much is under way at most."""
_PAGE: Final = 1_000
_PASSES: Final = 100
_IDLE_PASSES: Final = 2
"""What was put off because a session or a wallet moved is looked at again, whatever else did."""
_STREAMS: Final = (UNRATED, LATE, EMERGENCY)
_decode: Final = msgspec.json.Decoder(tuple[Event, msgspec.Raw]).decode


class Dropping(Struct, frozen=True):
    """What an operator gives up: events that wait for one of `reasons` since before `until_ms`."""

    reasons: frozenset[str] = frozenset()
    until_ms: int = 0


class ParkedRun:
    """One run; `TakenOver` when another one has begun meanwhile. LedgerUnavailable, OSError."""

    def __init__(
        self,
        *,
        store: ParkedStore,
        journal: JournalSource,
        judge: Judge,
        output: ParkedOutput,
        dropping: Dropping,
        moved: Callable[[ParkedTally], None],
    ) -> None:
        self.tally = ParkedTally()
        self._store = store
        self._journal = journal
        self._judge = judge
        self._output = output
        self._dropping = dropping
        self._moved = moved
        self._run = ""
        self._chunks = 0
        self._chunk = ""
        self._postponed = False
        self._under_way: list[UnderWay] = []

    async def run(self, folder: str, *, moves: bool) -> bool:
        """Settle what can be settled; false: the events are settled into another output."""
        epoch = (await self._store.begin(folder, moves=moves)).epoch
        if not epoch:
            return False
        # A store that is brought back from an older copy counts epochs anew: with the time no chunk
        # has a name that is in the output already.
        self._run = f"{epoch:06}-{await self._store.store_ms()}"
        for partition in range(self._store.partitions):
            await self._store.claim(partition)
        self._begin_chunk()
        await self._finish_others()
        idle = 0
        for _ in range(_PASSES):
            before = self.tally.events.total()
            self.tally.look_again()
            self._postponed = False
            await self._pass()
            idle = idle + 1 if self.tally.events.total() == before else 0
            if not self._postponed or idle == _IDLE_PASSES:
                break
        return True

    # --- What is under way ------------------------------------------------------------------------

    async def _finish_others(self) -> None:
        """Finish what a run left that died."""
        by_chunk: defaultdict[str, list[UnderWay]] = defaultdict(list)
        for partition in range(self._store.partitions):
            for one in await self._store.under_way(partition):
                by_chunk[one.note.chunk].append(one)
        for chunk, some in sorted(by_chunk.items()):
            await self._finish(chunk, some)
            self.tally.finished += len(some)

    async def _finish(self, chunk: str, some: Sequence[UnderWay]) -> None:
        """Have the rows of a chunk on disk; then remove its events, and forget it."""
        rows = [(one.note, rows_of(one)) for one in some]
        if not self._output.has(chunk):
            ordered = sorted((row for _, each in rows for row in each), key=lambda row: row.name)
            self._output.put(chunk, ordered)
        await self._store.remove([ref for one in some for ref in one.note.entries])
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for one in some:
            by_partition[one.partition].append(one.note.name)
        for partition, names in by_partition.items():
            await self._store.forget(partition, names)
        for note, each in rows:
            self.tally.settled(note, each)

    async def _flush(self) -> None:
        if self._under_way:
            await self._finish(self._chunk, self._under_way)
            self._under_way = []
            self._begin_chunk()
        self._moved(self.tally)

    def _begin_chunk(self) -> None:
        self._chunks += 1
        self._chunk = f"parked-{self._run}-{self._chunks:05}"

    # --- What is parked ---------------------------------------------------------------------------

    async def _pass(self) -> None:
        """Look at all events once."""
        async for events in self._read():
            gathered = await self._judge.gatherer.gathered(events)
            for reason, some in _by_use(gathered.waiting):
                await self._leave(some, reason)
            await self._settle(gathered.groups)
            await self._flush()

    async def _read(self) -> AsyncIterator[list[Parked]]:
        """Read all streams, so many events at a time."""
        some: list[Parked] = []
        for partition in range(self._store.partitions):
            for stream in _STREAMS:
                after = "0"
                while page := await self._store.read(partition, stream, after, _PAGE):
                    after = page[-1][0]
                    some += [
                        _parked(ParkedRef(partition, stream, entry), data) for entry, data in page
                    ]
                    if len(some) >= MOST_READ:
                        yield some
                        some = []
        if some:
            yield some

    async def _settle(self, groups: Sequence[Group]) -> None:
        """Settle groups of which none has to wait for another one."""
        over = await self._over(groups)
        known = await self._known(over)
        for some in _parts(over):
            judged = await asyncio.gather(
                *(self._judge.judge(group, _charged(known, group), self._chunk) for group in some)
            )
            for group, one in zip(some, judged, strict=True):
                await self._take(group, one)
            if len(self._under_way) >= CHUNK_ROWS:
                await self._flush()

    async def _over(self, groups: Sequence[Group]) -> list[Group]:
        """Give the groups that are over; the others wait."""
        now_ms, over = await self._store.store_ms(), []
        for some in _parts(groups):
            told = await asyncio.gather(*(self._judge.over(group, now_ms) for group in some))
            for group, looked_at in zip(some, told, strict=True):
                if isinstance(looked_at, Waits):
                    await self._leave(group.events, looked_at)
                else:
                    over.append(looked_at)
        return over

    async def _known(self, groups: Sequence[Group]) -> Known:
        """Look up in the journal what it says of the sessions of some groups."""
        sessions: dict[SessionKey, int] = {}
        for group in groups:
            if group.payment is not None:
                key, oldest_ms = group.payment.session, group.oldest_ms
                sessions[key] = min(oldest_ms, sessions.get(key, oldest_ms))
        return await charged_of(self._journal, sessions, self._store.partition_of)

    async def _take(self, group: Group, judged: Judged) -> None:
        if judged.under_way is not None:
            self._under_way.append(judged.under_way)
        else:
            await self._leave(group.events, judged.waits)

    async def _leave(self, events: Sequence[Parked], reason: str) -> None:
        """Leave events where they are, or give them up if an operator said so."""
        newest_ms = max(parked.ref.at_ms for parked in events)
        if reason in self._dropping.reasons and newest_ms < self._dropping.until_ms:
            self._under_way.append(await self._judge.drop(events, reason, self._chunk))
            return
        self._postponed = self._postponed or reason == Waits.LATER
        for parked in events:
            self.tally.waits(parked, reason)


def _parts(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    for begin in range(0, len(groups), MOST_BESIDE):
        yield groups[begin : begin + MOST_BESIDE]


def _by_use(
    waiting: Sequence[tuple[Parked, str]],
) -> Iterator[tuple[str, Sequence[Parked]]]:
    """Put together what waits for the same reason and is one use, as far as its events say."""
    uses: defaultdict[tuple[str, ...], list[Parked]] = defaultdict(list)
    for parked, reason in waiting:
        event = parked.event
        if event is None:
            uses[reason, parked.ref.stream, parked.ref.entry].append(parked)
        else:
            number = request_of(event) if event.kind is Kind.EVENT else ""
            uses[reason, event.tenant, event.subscriber, event.session_id, number].append(parked)
    for (reason, *_), some in uses.items():
        yield reason, some


def _charged(known: Known, group: Group) -> Charged | None:
    """Return what the journal says of a group's session; None where it does not reach back."""
    return None if group.payment is None else known[group.payment.session]


def _parked(ref: ParkedRef, data: bytes) -> Parked:
    try:
        return Parked(ref, at_its_time(_decode(data)[0]))
    except msgspec.DecodeError:
        return Parked(ref, None, data.decode(errors="replace"))

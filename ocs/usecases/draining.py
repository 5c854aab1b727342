"""Draining: the journal goes from the store's streams to disk, and what is safe there is trimmed.

    begin ──► drain, partition after partition ──► conclude
      │          read on, append, sync               commit ─► checkpoints ─► trim
      └ the lease                                      └ from here on it counts

Nothing is removed from a stream before a commit covers it, a checkpoint does, and it is older than
`keep_ms`: the latest is what reversals ask for on hosts without the files. (When the store's memory
runs short they leave earlier, see `keeping`.) So whatever is killed at whatever point, the next one
reads on from the last commit, and each entry is written once, in its order.

Three things stop a partition until somebody looks, and are told, while the others go on: entries
are gone that were never written; the store has forgotten some that were (it was put back to an
earlier state); its reels are damaged. To go on would hide it. A full disk stops everything, until
there is room again. Nothing of that holds up charging, which knows nothing of it.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from ocs.usecases.journal import (
    DamagedReel,
    EntryId,
    FolderInUse,
    JournalStatus,
    LeaseLost,
    Position,
    ReelFault,
    Reels,
    Stream,
    StreamState,
    parse_id,
)
from ocs.usecases.keeping import Keeping
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown

BATCH: Final = 5_000
"""Entries of a partition read at a time: some 3 MB."""
CHECKPOINT_STEP: Final = 20_000
"""Entries that checkpoints are taken further by in one pass: below a second's work."""
CHECKPOINTS: Final = 64
"""Taken in one pass, for each is read and written whole; the others follow in the next passes."""


class Standing(StrEnum):
    """Whether this drainer drains, and why not."""

    DRAINING = "draining"
    WAITING = "waiting"
    ELSEWHERE = "elsewhere"
    STORE_AWAY = "store_away"
    FILES_UNUSABLE = "files_unusable"


class DrainRules(Struct, frozen=True, kw_only=True):
    """`keep_ms`: how long the store keeps what is safe; `checkpoint_ms`: between two checkpoints.

    Both are less while the store's memory is short: nothing leaves it that no checkpoint covers.

    `renew_s`: how old the lease may become within a pass.
    """

    partitions: int
    keep_ms: int = 300_000
    checkpoint_ms: int = 300_000
    renew_s: float = 0.5


class _Seen(Struct):
    """What is known of a partition since this drainer has the lease.

    `length` are the entries of its stream, `waiting` those of them that are not written.
    """

    first: EntryId
    length: int
    waiting: int
    checkpoint_at_ms: int


class Drainer:
    """`begin`, `drain` each partition and `conclude`, again and again; none of them raises."""

    def __init__(
        self, stream: Stream, reels: Reels, rules: DrainRules, monotonic_s: Callable[[], float]
    ) -> None:
        self.standing = Standing.WAITING
        self.reason = ""
        self.stopped: dict[int, str] = {}
        self.drained = self.trimmed = self.faults = 0
        self._stream = stream
        self._reels = reels
        self._rules = rules
        self._monotonic_s = monotonic_s
        self._folder = ""
        self._epoch = 0
        self._taken_s = 0.0
        self._store_ms = 0
        self._well_at_ms = 0
        self._lag_ms = 0
        self._extent = (0, 0)
        self._keeping = Keeping(rules.keep_ms)
        self._seen: dict[int, _Seen] = {}

    async def begin(self) -> Standing:
        """Take the lease, or renew it; go on only when this is `DRAINING`."""
        try:
            if not self._folder:
                self._folder = self._reels.open()
            self._lag_ms = 0
            self._stand(await self._take())
        except (LedgerUnavailable, OutcomeUnknown, ReelFault) as fault:
            self._failed(fault)
        return self.standing

    async def drain(self, partition: int) -> bool:
        """Write a batch of a partition, not yet for good; whether more of it waits."""
        try:
            await self._renew()
            if self.standing is not Standing.DRAINING or partition in self.stopped:
                return False
            state = await self._look(partition)
            return state is not None and await self._write(partition, state)
        except (LedgerUnavailable, OutcomeUnknown, LeaseLost, ReelFault) as fault:
            self._failed(fault)
        return False

    async def conclude(self) -> bool:
        """Make it count, take checkpoints further, trim; whether a checkpoint has far to go."""
        behind = False
        try:
            if self.standing is Standing.DRAINING:
                await self._renew()
            if self.standing is Standing.DRAINING:
                self._reels.commit()
                await self._look_at_memory()
                behind = self._take_checkpoints()
                await self._trim()
                self._extent = self._reels.extent()
                self._well_at_ms = self._store_ms
        except (LedgerUnavailable, OutcomeUnknown, LeaseLost, ReelFault) as fault:
            self._failed(fault)
        await self._tell()
        return behind

    async def end(self) -> None:
        """Let the next one begin at once. What was not committed, it reads again."""
        if self._epoch:
            try:
                await self._stream.give_back()
            except (LedgerUnavailable, OutcomeUnknown):
                return  # it ends by itself

    # --- The lease ------------------------------------------------------------------------------

    async def _renew(self) -> None:
        if self._monotonic_s() - self._taken_s > self._rules.renew_s:
            self._stand(await self._take())

    async def _take(self) -> Standing:
        asked_s = self._monotonic_s()
        lease = await self._stream.take(self._folder)
        self._store_ms = lease.store_ms
        if lease.epoch != self._epoch:
            # A new reign, perhaps after somebody else's: nothing that was seen before is believed.
            self._forget()
            self._epoch = lease.epoch
        if lease.elsewhere:
            self.reason = f"the journal of this store is written into folder {lease.elsewhere}"
            return Standing.ELSEWHERE
        if not lease.epoch:
            self.reason = "another drainer is at work, or was a moment ago"
            return Standing.WAITING
        self._taken_s = asked_s
        return Standing.DRAINING

    def _forget(self) -> None:
        self._seen.clear()
        self.stopped.clear()
        self._reels.reset()

    # --- One partition --------------------------------------------------------------------------

    async def _look(self, partition: int) -> StreamState | None:
        """See what a stream has that is not written; None when nothing."""
        state, position = await self._stream.state(partition), self._reels.position(partition)
        if state is None:
            if position.entries:
                self._stop(partition, f"the store has lost all {position.entries} entries")
            return None
        if partition not in self._seen:
            if not await self._stream.claim(partition, self._epoch):
                raise LeaseLost(f"partition {partition} is drained by somebody else")
            self._seen[partition] = _Seen(state.first, 0, 0, 0)
        seen = self._seen[partition]
        seen.first, seen.length = state.first, state.length
        seen.waiting = state.added - position.entries
        wrong = _discrepancy(state, position)
        if wrong:
            self._stop(partition, wrong)
            return None
        return state if state.last > position.last else None

    async def _write(self, partition: int, state: StreamState) -> bool:
        position = self._reels.position(partition)
        entries = await self._stream.read(partition, position.last, BATCH)
        if not entries:
            self._stop(partition, "entries were removed from the stream unread")
            return False
        waited_ms = self._store_ms - parse_id(entries[0][0].decode())[0]
        self._lag_ms = max(self._lag_ms, waited_ms)
        self._reels.append(partition, entries, self._store_ms)
        self.drained += len(entries)
        written = self._reels.position(partition)
        if written.last == state.last and written.entries != state.added:
            gone = state.added - written.entries
            self._stop(partition, f"{gone} entries were removed from the stream unread")
        self._seen[partition].waiting = max(0, state.added - written.entries)
        return written.last < state.last

    def _stop(self, partition: int, reason: str) -> None:
        self.stopped[partition] = reason
        self.faults += 1

    # --- What is safe ---------------------------------------------------------------------------

    async def _look_at_memory(self) -> None:
        oldest_ms = min((seen.first[0] for seen in self._seen.values()), default=self._store_ms)
        entries = sum(seen.length for seen in self._seen.values())
        self._keeping.look(await self._stream.memory(), entries, self._store_ms - oldest_ms)

    def _take_checkpoints(self) -> bool:
        """Take those further that are due; whether one of them has more to go."""
        most, left = CHECKPOINT_STEP, CHECKPOINTS
        for partition, seen in self._due():
            if most <= 0:
                return True
            before = self._reels.checkpoint(partition).entries
            if before < self._reels.position(partition).entries:
                if not left:
                    return False
                left -= 1
                most -= self._advance(partition, most) - before
            if most > 0:
                seen.checkpoint_at_ms = self._store_ms
        return most <= 0

    def _due(self) -> list[tuple[int, _Seen]]:
        """Return the partitions whose checkpoints are due, those first that wait longest."""
        every_ms = self._rules.checkpoint_ms
        if self._keeping.is_short:
            every_ms = min(every_ms, self._keeping.keep_ms)
        due = [
            (partition, seen)
            for partition, seen in self._seen.items()
            if self._store_ms - seen.checkpoint_at_ms >= every_ms and partition not in self.stopped
        ]
        return sorted(due, key=lambda each: each[1].checkpoint_at_ms)

    def _advance(self, partition: int, most: int) -> int:
        try:
            return self._reels.advance(partition, most).entries
        except DamagedReel as damage:
            # One chain that is broken is no reason to leave the others.
            self._stop(partition, str(damage))
            return self._reels.checkpoint(partition).entries

    async def _trim(self) -> None:
        """Remove from the streams what is written, in a checkpoint, and no longer needed."""
        needed = (self._store_ms - self._keeping.keep_ms, 0)
        for partition, seen in self._seen.items():
            if seen.first >= needed or partition in self.stopped:
                continue
            safe = self._reels.checkpoint(partition).last
            if safe < seen.first:
                continue
            before = min(needed, (safe[0], safe[1] + 1))
            self.trimmed += await self._stream.trim(partition, self._epoch, before)

    # --- How it stands --------------------------------------------------------------------------

    def status(self) -> JournalStatus:
        """Tell how it stands now."""
        reels, reel_bytes = self._extent
        return JournalStatus(
            standing=self.standing,
            reason=self.reason or next(iter(self.stopped.values()), ""),
            at_ms=self._well_at_ms,
            drained=self.drained,
            trimmed=self.trimmed,
            lag_entries=sum(seen.waiting for seen in self._seen.values()),
            lag_ms=self._lag_ms,
            reels=reels,
            reel_bytes=reel_bytes,
            stopped=len(self.stopped),
            faults=self.faults,
            keep_ms=self._keeping.keep_ms,
        )

    async def _tell(self) -> None:
        """Leave the status in the store. Who waits says nothing: the holder does."""
        if self.standing not in (Standing.DRAINING, Standing.FILES_UNUSABLE):
            return
        try:
            await self._stream.tell(self.status())
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            self._failed(fault)

    def _stand(self, standing: Standing) -> None:
        if standing is Standing.DRAINING:
            self.reason = ""
        self.standing = standing

    def _failed(self, fault: Exception) -> None:
        self.reason = str(fault)
        if isinstance(fault, LeaseLost | FolderInUse):
            self.standing = Standing.WAITING
        elif isinstance(fault, ReelFault):
            self.standing = Standing.FILES_UNUSABLE
            self.faults += 1
        else:
            # What was appended is committed when the store is back, if the lease is ours still.
            self.standing = Standing.STORE_AWAY
            return
        # What was appended does not count; the next pass begins with what the disk has.
        self._epoch, self._folder = 0, ""


def _discrepancy(state: StreamState, position: Position) -> str:
    """Say why a stream does not continue what is written; empty when it does."""
    if state.gone > position.entries:
        gone = state.gone - position.entries
        return f"{gone} entries are gone from the stream that were never written"
    if state.added < position.entries or state.last < position.last:
        forgotten = position.entries - state.added
        return f"the store has forgotten {forgotten} entries that are written"
    return ""

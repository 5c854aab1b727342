"""The store's end of the journal in memory: one partition's stream is a list, and nothing fails
unless a test says so."""

from collections.abc import Callable

from ocs.usecases.journal import (
    EntryId,
    JournalStatus,
    Lease,
    LeaseLost,
    RawEntry,
    StreamState,
    parse_id,
)
from ocs.usecases.shedding import StoreMemory

LEASE_MS = 2_000


class MemoryStore:
    """What all drainers see of the store."""

    def __init__(self) -> None:
        self.now_ms = 10_000
        self.streams: dict[int, list[RawEntry]] = {}
        self.added: dict[int, int] = {}
        self.last: dict[int, EntryId] = {}
        self.fences: dict[int, int] = {}
        self.folder = ""
        self.owner = ""
        self.until_ms = 0
        self.epoch = 0
        self.status: JournalStatus | None = None
        self.memory = StoreMemory(0, 0)

    def add(self, partition: int, entry: RawEntry) -> None:
        self.streams.setdefault(partition, []).append(entry)
        self.added[partition] = self.added.get(partition, 0) + 1
        self.last[partition] = parse_id(entry[0].decode())


class MemoryStream:
    """Implements the port `Stream`. `before` is called with the name of each call."""

    def __init__(
        self, store: MemoryStore, owner: str, before: Callable[[str], None] = lambda _: None
    ) -> None:
        self.store = store
        self.owner = owner
        self.before = before

    async def take(self, folder: str) -> Lease:
        self.before("take")
        store = self.store
        if store.folder not in {"", folder}:
            return Lease(0, store.now_ms, store.folder)
        if store.owner != self.owner:
            if store.now_ms < store.until_ms <= store.now_ms + LEASE_MS:
                return Lease(0, store.now_ms)
            store.epoch += 1
        store.folder, store.owner = folder, self.owner
        store.until_ms = store.now_ms + LEASE_MS
        return Lease(store.epoch, store.now_ms)

    async def give_back(self) -> None:
        self.before("give_back")
        if self.store.owner == self.owner:
            self.store.until_ms = 0

    async def claim(self, partition: int, epoch: int) -> bool:
        self.before("claim")
        if self.store.fences.get(partition, 0) > epoch:
            return False
        self.store.fences[partition] = epoch
        return True

    async def state(self, partition: int) -> StreamState | None:
        self.before("state")
        store = self.store
        if partition not in store.streams:
            return None
        stream, last = store.streams[partition], store.last[partition]
        first = parse_id(stream[0][0].decode()) if stream else last
        return StreamState(first, last, store.added[partition], len(stream))

    async def read(self, partition: int, after: EntryId, count: int) -> list[RawEntry]:
        self.before("read")
        stream = self.store.streams[partition]
        return [each for each in stream if parse_id(each[0].decode()) > after][:count]

    async def trim(self, partition: int, epoch: int, before: EntryId) -> int:
        self.before("trim")
        if self.store.fences.get(partition) != epoch:
            raise LeaseLost("a later drainer was here")
        stream = self.store.streams[partition]
        stays = [each for each in stream if parse_id(each[0].decode()) >= before]
        self.store.streams[partition] = stays
        return len(stream) - len(stays)

    async def memory(self) -> StoreMemory:
        self.before("memory")
        return self.store.memory

    async def tell(self, status: JournalStatus) -> None:
        self.before("tell")
        self.store.status = status

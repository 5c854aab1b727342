"""The journal's streams, as their drainer sees them: read on, trimmed, and held by one.

    ocs:journal     which folder the journal is written into, who drains it until when, its status,
                    and since when what leaves the store can be reversed (`reversible_since`)
    {p017}f         the fence of a partition: the epoch whose holder may trim its stream

The lease says who should drain. It cannot say who does: a holder that was stopped for a while goes
on where it was, as if the lease were its own still. So every new holder raises the fence of a
partition before it looks at it, and a trim is one step in the store with a look at the fence: what
a past holder asks for is refused, whenever it comes. A drainer changes nothing else in the store.

The folder is named there because a second one, on another host, would have gaps where the first
one's trims were.

Trimming has to work in a store that is full, which refuses scripts that do not say so (allow-oom).
"""

from typing import Final, cast

import msgspec
from msgspec import Struct

from ocs.adapters.valkey import records
from ocs.adapters.valkey.books import entry_of
from ocs.adapters.valkey.connection import Argument, Connection, Reply, ReplyError, StoreUnavailable
from ocs.adapters.valkey.connection import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.keys import JOURNAL_KEY, Keys
from ocs.adapters.valkey.memory import store_memory
from ocs.adapters.valkey.port_faults import answered
from ocs.usecases.journal import (
    EntryId,
    JournalStatus,
    Lease,
    LeaseLost,
    Moved,
    Posted,
    RawEntry,
    StreamState,
    parse_id,
    spell_id,
)
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.shedding import StoreMemory

LEASE_MS: Final = 2_000
"""How long a holder that is gone keeps the next one waiting. One that is merely slow (a disk that
hangs) finds it ended, and its own again if nobody else came."""

_TAKE: Final = """#!lua flags=allow-oom
local time = redis.call('TIME')
local now, ttl = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])
local had = redis.call('HMGET', KEYS[1], 'folder', 'owner', 'until_ms', 'epoch')
if had[1] and had[1] ~= ARGV[1] then return { now, 0, had[1] } end
local ends, epoch = tonumber(had[3] or 0), tonumber(had[4] or 0)
if had[2] ~= ARGV[2] then
  if ends > now and ends <= now + ttl then return { now, 0, '' } end
  epoch = epoch + 1
end
redis.call('HSET', KEYS[1], 'folder', ARGV[1], 'owner', ARGV[2],
  'until_ms', string.format('%.0f', now + ttl), 'epoch', string.format('%.0f', epoch))
return { now, epoch, '' }
"""
"""KEYS the lease. ARGV folder, owner, for how long. Returns the store's clock, the epoch (0: it is
somebody else's), the folder if it is another one. An end that is further off than any holder could
have set is of a clock that was set back since: it does not count."""

_GIVE_BACK: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'until_ms', '0')
end
return 1
"""

_CLAIM: Final = """#!lua flags=allow-oom
local had = redis.call('GET', KEYS[1])
if had and tonumber(had) > tonumber(ARGV[1]) then return 0 end
if had ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""
"""KEYS the fence. ARGV the epoch. Returns 0 when a later one was here."""

_TRIM: Final = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
return redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[2])
"""
"""KEYS the fence, the stream. ARGV the epoch, the first id that stays. Returns how many entries
went, -1 when the epoch is not that of the fence. By whole nodes of the stream (~): it is cheap."""

_BEGIN_REVERSIBLE: Final = """#!lua flags=allow-oom
local now_ms = redis.call('TIME')[1] * 1000
return redis.call('HSETNX', KEYS[1], 'reversible_since', string.format('%.0f', now_ms))
"""

_TELL: Final = """#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], 'status', ARGV[1])
"""

_LAST: Final = b"last-generated-id"
_ADDED: Final = b"entries-added"
_LENGTH: Final = b"length"
_FIRST: Final = b"first-entry"
_NO_STREAM: Final = "no such key"


class ValkeyStream:
    """Implements the port `Stream`; `owner` is a name that no other drainer has."""

    def __init__(self, connection: Connection, partitions: int, owner: str) -> None:
        self._connection = connection
        self._owner = owner
        self._keys = [Keys(n) for n in range(partitions)]

    async def take(self, folder: str) -> Lease:
        reply = await self._script(_TAKE, (JOURNAL_KEY,), folder, self._owner, LEASE_MS)
        now_ms, epoch, other = msgspec.convert(reply, tuple[int, int, bytes])
        return Lease(epoch, now_ms, other.decode())

    async def give_back(self) -> None:
        await self._script(_GIVE_BACK, (JOURNAL_KEY,), self._owner)

    async def claim(self, partition: int, epoch: int) -> bool:
        return await self._script(_CLAIM, (self._keys[partition].fence,), epoch) == 1

    async def state(self, partition: int) -> StreamState | None:
        return await stream_state(self._connection, partition)

    async def read(self, partition: int, after: EntryId, count: int) -> list[RawEntry]:
        reply = await answered(
            self._connection.execute(
                "XRANGE",
                self._keys[partition].journal,
                f"({spell_id(after)}",
                "+",
                "COUNT",
                count,
            )
        )
        page = cast("list[tuple[bytes, list[bytes]]]", reply)
        return [(entry_id, fields[1]) for entry_id, fields in page]

    async def trim(self, partition: int, epoch: int, before: EntryId) -> int:
        keys = self._keys[partition]
        gone = await self._script(_TRIM, (keys.fence, keys.journal), epoch, spell_id(before))
        if gone == -1:
            raise LeaseLost(f"partition {partition} is drained by somebody else")
        return cast("int", gone)

    async def memory(self) -> StoreMemory:
        return await store_memory(self._connection)

    async def tell(self, status: JournalStatus) -> None:
        await self._script(_TELL, (JOURNAL_KEY,), msgspec.json.encode(status))

    async def _script(self, script: str, keys: tuple[str, ...], *rest: Argument) -> Reply:
        return await answered(self._connection.execute("EVAL", script, len(keys), *keys, *rest))


async def stream_state(connection: Connection, partition: int) -> StreamState | None:
    """Tell what a partition's stream has, and ever got; None when it is not there."""
    try:
        reply = await connection.execute("XINFO", "STREAM", Keys(partition).journal)
    except ReplyError as error:
        if _NO_STREAM in error.message:
            return None
        raise LedgerUnavailable(str(error)) from error
    except (StoreUnavailable, StoreOutcomeUnknown) as fault:
        raise LedgerUnavailable(str(fault)) from fault
    flat = cast("list[object]", reply)
    told = dict(zip(flat[::2], flat[1::2], strict=True))
    last = parse_id(cast("bytes", told[_LAST]).decode())
    first = cast("list[bytes] | None", told[_FIRST])
    return StreamState(
        first=parse_id(first[0].decode()) if first else last,
        last=last,
        added=cast("int", told[_ADDED]),
        length=cast("int", told[_LENGTH]),
    )


async def journal_status(connection: Connection) -> JournalStatus | None:
    """Read how the journal stands; None when nobody drains it, or the store cannot be asked."""
    try:
        told = await connection.execute("HGET", JOURNAL_KEY, "status")
    except (StoreUnavailable, StoreOutcomeUnknown, ReplyError):
        return None
    return msgspec.json.decode(told, type=JournalStatus) if isinstance(told, bytes) else None


async def journal_folder_id(connection: Connection) -> str:
    """Read which folder the journal is written into; empty when it was never drained."""
    told = await answered(connection.execute("HGET", JOURNAL_KEY, "folder"))
    return told.decode() if isinstance(told, bytes) else ""


async def begin_reversible(connection: Connection) -> None:
    """Note, once for a store, that from now on reversals are remembered for long."""
    await answered(connection.execute("EVAL", _BEGIN_REVERSIBLE, 1, JOURNAL_KEY))


class Reversible(Struct, frozen=True):
    """Which entries count for a reversal when they have left the store: this folder's, since then.

    What was written before the store remembered reversals for so long may have been reversed. None
    does while the journal `must_be_looked_at`.
    """

    folder: str
    since_ms: int
    must_be_looked_at: bool


async def reversible(connection: Connection) -> Reversible | None:
    """Tell which entries count for a reversal; None: none does."""
    reply = await answered(
        connection.execute("HMGET", JOURNAL_KEY, "folder", "reversible_since", "status")
    )
    folder, since_ms, told = cast("list[bytes | None]", reply)
    if folder is None or since_ms is None:
        return None
    try:
        stopped = msgspec.json.decode(told, type=JournalStatus).stopped if told else 0
    except msgspec.ValidationError:  # of a drainer of another version
        stopped = 1
    return Reversible(folder.decode(), int(since_ms), stopped > 0)


async def find_entry(connection: Connection, partition: int, wanted: EntryId) -> RawEntry | None:
    """Find an entry that the stream still has."""
    spelled = spell_id(wanted)
    reply = await answered(connection.execute("XRANGE", Keys(partition).journal, spelled, spelled))
    page = cast("list[tuple[bytes, list[bytes]]]", reply)
    return (page[0][0], page[0][1][1]) if page else None


def moves_of(record: bytes) -> Moved:
    """Read what a record moved."""
    subject, moves = records.decode_moves(record)
    wallet = "/".join(subject.split("/", 2)[:2])
    return wallet, tuple((bucket, left, held) for bucket, _, _, left, held, _ in moves)


def posted(partition: int, raw: RawEntry) -> Posted:
    """Read an entry with all that it says."""
    entry_id, data = raw[0].decode(), raw[1]
    record = records.decode_entry(data)
    entry = entry_of(Keys(partition).label, entry_id, record)
    frame = record.frame
    return Posted(
        entry=entry,
        partition=partition,
        event_ms=record.event_ms,
        info=record.info,
        result=records.result_of(frame, entry.transaction_id) if frame else None,
        ratings=frame.ratings if frame else (),
    )

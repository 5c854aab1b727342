"""Shares of work in the store: a stream, a consumer group, and what was set aside.

    ocs:work:{cdr}:shares    the stream: what is not done; its group's pending list: who has what
    ocs:work:{cdr}:known     names that were put in, by when (sorted set)
    ocs:work:{cdr}:aside     shares that failed too often (hash, by name)
    ocs:work:{cdr}:reasons   what was wrong with them the last time (hash, by name)
    ocs:work:{cdr}:output    the output that all of them go into
    ocs:work:{cdr}:way       whether their CDRs are debited (`Way`)

How long a share was not heard of is the server's to say (the idle time of its entry), so the clocks
of the workers do not matter. To take one over is what XAUTOCLAIM does, as XPENDING and XCLAIM in
one step: it does not tell how often an entry was delivered, and looks at the first few only. An
entry leaves the stream when it is done, so the stream's length is the backlog.

What is known is forgotten after `KNOWN_MS`: a share that is put in again after that is taken, found
done by its output, and costs a look.
"""

from collections.abc import Awaitable, Iterable
from typing import Final, cast

import msgspec

from ocs.adapters.valkey.connection import Argument, Connection, Reply, ReplyError, StoreUnavailable
from ocs.adapters.valkey.connection import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.keys import WorkKeys
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.sharing_work import (
    MOST_ATTEMPTS,
    Backlog,
    Bound,
    Held,
    SetAside,
    Share,
    UnderWay,
    Way,
)

LEASE_MS: Final = 60_000
"""A worker that was not heard of for so long is taken for dead. One that lives renews three times
in it; one that was merely stopped finds its share with another, and both write the same."""
KNOWN_MS: Final = 47 * 86_400_000
"""As long as the ledger remembers finished CDRs."""
MOST_LISTED: Final = 1_000
NO_WORD: Final = "its workers ended without a word: killed, or out of memory"

_GROUP: Final = "workers"
_NOBODY: Final = "nobody"
_LONG_AGO_MS: Final = 86_400_000

_ADD: Final = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[1]))
local added = 0
for i = 2, #ARGV, 2 do
  if redis.call('ZADD', KEYS[2], 'NX', now, ARGV[i]) == 1 then
    redis.call('XADD', KEYS[1], '*', 'name', ARGV[i], 'share', ARGV[i + 1])
    added = added + 1
  end
end
return added
"""
"""KEYS shares, known. ARGV for how long names are known, then name and share of each."""

_JOIN: Final = """#!lua flags=allow-oom
redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
for _, told in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local had = {}
  for i = 1, #told, 2 do had[told[i]] = told[i + 1] end
  if had.pending == 0 and had.idle > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], had.name)
  end
end
redis.call('SET', KEYS[2], ARGV[2], 'NX')
local output = redis.call('GET', KEYS[2])
if output == ARGV[2] then redis.call('SET', KEYS[3], ARGV[4], 'NX') end
return { output, redis.call('GET', KEYS[3]) or '' }
"""
"""KEYS shares, output, way. ARGV group, the id of an output, after how long workers without
anything are forgotten, the way. Returns the output and the way that it is bound to; whoever comes
with another output has no word in the way."""

_SET_ASIDE: Final = """
local function set_aside(group, id)
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then redis.call('HSET', KEYS[2], entry[2][2], entry[2][4]) end
  redis.call('XACK', KEYS[1], group, id)
  redis.call('XDEL', KEYS[1], id)
end
"""

_TAKE: Final = f"""#!lua flags=allow-oom
{_SET_ASIDE}
local group, worker, lease, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
while true do
  local quiet = redis.call('XPENDING', KEYS[1], group, 'IDLE', lease, '-', '+', 1)[1]
  if not quiet then break end
  local id, attempts = quiet[1], quiet[4]
  if attempts >= most then
    set_aside(group, id)
  else
    local entry = redis.call('XCLAIM', KEYS[1], group, worker, 0, id)[1]
    if entry then return {{ id, entry[2][4], attempts + 1 }} end
  end
end
local fresh = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', KEYS[1], '>')
if not fresh then return {{}} end
local entry = fresh[1][2][1]
return {{ entry[1], entry[2][4], 1 }}
"""
"""KEYS shares, aside. ARGV group, worker, how long a dead one is quiet, the most attempts.
Returns the id of an entry, its share, which attempt it is; nothing if there is none to take."""

_OURS: Final = """
local had = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not had or had[2] ~= ARGV[2] then return 0 end
"""
"""KEYS shares, ... ARGV group, worker, id, ... Returns 0 where it is somebody else's by now."""

_RENEW: Final = f"""#!lua flags=allow-oom
{_OURS}
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
return 1
"""

_GIVE_BACK: Final = f"""#!lua flags=allow-oom
{_OURS}
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[3],
  'IDLE', ARGV[5], 'RETRYCOUNT', had[4] - 1, 'JUSTID')
return 1
"""
"""ARGV ... nobody's name, an idle time that is over. The attempt does not count."""

_FAILED: Final = f"""#!lua flags=allow-oom
{_SET_ASIDE}
{_OURS}
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
if had[4] >= tonumber(ARGV[6]) then set_aside(ARGV[1], ARGV[3]) end
return 1
"""
"""KEYS shares, aside, reasons. ARGV ... the share's name, the reason, the most attempts."""

_DONE: Final = """#!lua flags=allow-oom
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[3])
return redis.call('XDEL', KEYS[1], ARGV[2])
"""
"""KEYS shares, reasons. ARGV group, id, the share's name. Whoever has it: it is done."""

_AGAIN: Final = """#!lua
local aside = redis.call('HGETALL', KEYS[2])
for i = 1, #aside, 2 do
  redis.call('XADD', KEYS[1], '*', 'name', aside[i], 'share', aside[i + 1])
end
redis.call('DEL', KEYS[2], KEYS[3])
return #aside / 2
"""
"""KEYS shares, aside, reasons."""

_DROP: Final = """#!lua flags=allow-oom
local names = redis.call('HKEYS', KEYS[2])
for _, name in ipairs(names) do redis.call('ZREM', KEYS[1], name) end
redis.call('DEL', KEYS[2], KEYS[3])
return #names
"""
"""KEYS known, aside, reasons."""

_BACKLOG: Final = """#!lua flags=no-writes
local pending = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, told in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for i = 1, #told, 2 do
      if told[i] == 'pending' then pending = pending + told[i + 1] end
    end
  end
end
return { redis.call('XLEN', KEYS[1]), pending, redis.call('HLEN', KEYS[2]) }
"""


class ValkeyWorkStream:
    """The queue of this name, for one worker; `worker` is a name that no other one has."""

    def __init__(
        self, connection: Connection, name: str, worker: str, *, lease_ms: int = LEASE_MS
    ) -> None:
        self._connection = connection
        self._keys = WorkKeys(name)
        self._worker = worker
        self._lease_ms = lease_ms

    async def join(self, output: str, way: Way) -> Bound:
        """Begin to take; return what the first who came has bound the queue to."""
        keys = self._keys
        places = (keys.shares, keys.output, keys.way)
        return _bound(await self._script(_JOIN, places, _GROUP, output, _LONG_AGO_MS, way))

    async def bound(self) -> Bound:
        """Return what the queue is bound to."""
        keys = self._keys
        return _bound(await _answered(self._connection.execute("MGET", keys.output, keys.way)))

    async def add(self, shares: Iterable[Share]) -> int:
        keys = self._keys
        named = [part for each in shares for part in (each.name, msgspec.json.encode(each))]
        reply = await self._script(_ADD, (keys.shares, keys.known), KNOWN_MS, *named)
        return cast("int", reply)

    async def take(self) -> Held | None:
        keys = self._keys
        reply = await self._script(
            _TAKE, (keys.shares, keys.aside), _GROUP, self._worker, self._lease_ms, MOST_ATTEMPTS
        )
        if not reply:
            return None
        ticket, share, attempt = msgspec.convert(reply, tuple[bytes, bytes, int])
        return Held(ticket.decode(), msgspec.json.decode(share, type=Share), attempt)

    async def renew(self, held: Held) -> bool:
        """Say that one is at it; false: another has it."""
        return await self._ours(_RENEW, (self._keys.shares,), held) == 1

    async def give_back(self, held: Held) -> None:
        await self._ours(_GIVE_BACK, (self._keys.shares,), held, _NOBODY, self._lease_ms)

    async def failed(self, held: Held, reason: str) -> None:
        keys = self._keys
        places = (keys.shares, keys.aside, keys.reasons)
        await self._ours(_FAILED, places, held, held.share.name, reason, MOST_ATTEMPTS)

    async def done(self, held: Held) -> None:
        keys = self._keys
        places = (keys.shares, keys.reasons)
        await self._script(_DONE, places, _GROUP, held.ticket, held.share.name)

    async def again(self) -> int:
        """Put back what was set aside; return how many that were."""
        keys = self._keys
        reply = await self._script(_AGAIN, (keys.shares, keys.aside, keys.reasons))
        return cast("int", reply)

    async def drop(self) -> int:
        """Forget what was set aside, so that it can be added anew; return how many that were."""
        keys = self._keys
        reply = await self._script(_DROP, (keys.known, keys.aside, keys.reasons))
        return cast("int", reply)

    async def backlog(self) -> Backlog:
        keys = self._keys
        reply = await self._script(_BACKLOG, (keys.shares, keys.aside))
        left, pending, aside = msgspec.convert(reply, tuple[int, int, int])
        return Backlog(waiting=left - pending, under_way=pending, aside=aside)

    async def under_way(self) -> list[UnderWay]:
        """List who has what, the longest first; at most `MOST_LISTED`."""
        backlog, shares = await self.backlog(), self._keys.shares
        if not backlog.under_way:
            return []
        reply = await _answered(
            self._connection.execute("XPENDING", shares, _GROUP, "-", "+", MOST_LISTED)
        )
        found = []
        for ticket, worker, quiet_ms, attempt in cast("list[tuple[bytes, bytes, int, int]]", reply):
            page = await _answered(self._connection.execute("XRANGE", shares, ticket, ticket))
            for _, fields in cast("list[tuple[bytes, list[bytes]]]", page):
                share = msgspec.json.decode(fields[3], type=Share)
                found.append(
                    UnderWay(
                        share=share, worker=worker.decode(), quiet_ms=quiet_ms, attempt=attempt
                    )
                )
        return found

    async def aside(self) -> list[SetAside]:
        """List what is given to nobody any more, by file."""
        kept = await self._hash(self._keys.aside)
        reasons = await self._hash(self._keys.reasons)
        found = [
            SetAside(
                share=msgspec.json.decode(share, type=Share),
                reason=reasons.get(name, NO_WORD.encode()).decode(),
            )
            for name, share in kept.items()
        ]
        return sorted(found, key=lambda each: (each.share.file, each.share.name))

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        flat = cast("list[bytes]", await _answered(self._connection.execute("HGETALL", key)))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def _ours(self, script: str, keys: tuple[str, ...], held: Held, *rest: Argument) -> Reply:
        return await self._script(script, keys, _GROUP, self._worker, held.ticket, *rest)

    async def _script(self, script: str, keys: tuple[str, ...], *rest: Argument) -> Reply:
        return await _answered(self._connection.execute("EVAL", script, len(keys), *keys, *rest))


def _bound(reply: Reply) -> Bound:
    output, way = msgspec.convert(reply, tuple[bytes | None, bytes | None])
    return Bound((output or b"").decode(), (way or b"").decode())


async def _answered(reply: Awaitable[Reply]) -> Reply:
    """Translate faults. Whether it was executed does not matter: all of it may be asked again."""
    try:
        return await reply
    except (StoreUnavailable, StoreOutcomeUnknown, ReplyError) as fault:
        raise LedgerUnavailable(str(fault)) from fault

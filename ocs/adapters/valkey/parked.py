"""The streams of parked events, and their settlements: the port `ParkedStore` on Valkey.

    ocs:parked      the output that parked events are settled into, and the epoch of the last run
    {p017}g         the fence of a partition: the epoch of the run that may settle there
    {p017}m         settlements under way: by name, their note and, if they were debited, the result

    under way   I its length, note (JSON); then, if it was debited, the journal's id, a blank, frame

A settlement lies in the partition of the wallet that it debits, for one step does both; its entries
may lie elsewhere (what nobody was known for is parked by the name that was told). So nothing but
what is under way says that an entry is settled, and it is forgotten last.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from struct import Struct as Form
from typing import Final, cast

import msgspec

from ocs.adapters.valkey.calls import decode_reply, encode_call
from ocs.adapters.valkey.connection import Argument, Connection, Reply
from ocs.adapters.valkey.functions import FunctionLibrary
from ocs.adapters.valkey.keys import PARKED_KEY, Keys, partition_of
from ocs.adapters.valkey.port_faults import answered
from ocs.adapters.valkey.records import decode_definition, decode_session
from ocs.domain.session import State
from ocs.usecases.addresses import session_address, wallet_address
from ocs.usecases.parked import (
    Begun,
    Looked,
    Note,
    ParkedOrder,
    ParkedRef,
    ParkedReply,
    ParkedStatus,
    TakenOver,
    UnderWay,
)
from ocs.usecases.ports import EMERGENCY, LATE, UNRATED, OutcomeUnknown, SessionKey, WalletKey

STREAMS: Final = (UNRATED, LATE, EMERGENCY)

_BEGIN: Final = """
local had = redis.call('HGET', KEYS[1], 'folder')
if had and had ~= ARGV[1] and ARGV[2] == '0' then return 0 end
redis.call('HSET', KEYS[1], 'folder', ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'epoch', 1)
"""
"""KEYS the run's key. ARGV folder, 1 if it takes the place of another one. Returns the epoch; 0:
it is another folder's."""

_CLAIM: Final = """
local had = redis.call('GET', KEYS[1])
if had and tonumber(had) > tonumber(ARGV[1]) then return 0 end
if had ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
return 1
"""
"""KEYS the fence. ARGV the epoch. Returns 0 when a later one was here."""

_NOTE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], ARGV[2], struct.pack('<I', #ARGV[3]) .. ARGV[3])
return 1
"""
"""KEYS the fence, the settlements under way. ARGV epoch, name, note. Returns 0 when a later run has
begun."""

_REMOVED_AT_ONCE: Final = 1_000
"""Some hundred microseconds of the store."""
_GOES_ON: Final = (State.OPEN, State.IDLE, State.EXPIRED)
"""An expired session may go on, from where it stood: it knows nothing of what is settled here."""
_LENGTH: Final = Form("<I")
_BEFORE: Final = Form("<dd")
_OVERFLOW: Final = "AMOUNT_OVERFLOW"
_encode: Final = msgspec.json.Encoder().encode
_decode_note: Final = msgspec.json.Decoder(Note).decode


class ValkeyParked:
    """Implements the port `ParkedStore`."""

    def __init__(
        self, connection: Connection, partitions: int, library: FunctionLibrary, epoch: int = 0
    ) -> None:
        self.partitions = partitions
        self._connection = connection
        self._function = library.function("settle_parked")
        self._epoch = epoch
        self._keys = [Keys(n) for n in range(partitions)]

    def partition_of(self, wallet: WalletKey | SessionKey) -> int:
        return partition_of(wallet_address(wallet), self.partitions)

    async def begin(self, folder: str, *, moves: bool) -> Begun:
        self._epoch = cast("int", await self._script(_BEGIN, (PARKED_KEY,), folder, int(moves)))
        return Begun(self._epoch)

    async def claim(self, partition: int) -> None:
        fence = self._keys[partition].parked_fence
        if await self._script(_CLAIM, (fence,), self._epoch) != 1:
            raise TakenOver

    async def store_ms(self) -> int:
        seconds, micros = cast("list[bytes]", await self._execute("TIME"))
        return int(seconds) * 1000 + int(micros) // 1000

    async def read(
        self, partition: int, stream: str, after: str, count: int
    ) -> Sequence[tuple[str, bytes]]:
        key = self._keys[partition].stream(stream)
        reply = await self._execute("XRANGE", key, f"({after}", "+", "COUNT", count)
        page = cast("list[tuple[bytes, list[bytes]]]", reply)
        return [(entry_id.decode(), fields[1]) for entry_id, fields in page]

    async def under_way(self, partition: int) -> Sequence[UnderWay]:
        keys = self._keys[partition]
        flat = cast("list[bytes]", await self._execute("HGETALL", keys.settlements))
        return [_under_way(partition, keys.label, value) for value in flat[1::2]]

    async def look(self, session: SessionKey) -> Looked:
        keys = self._keys[self.partition_of(session)]
        data = await self._execute("GET", keys.session(session_address(session)))
        if not isinstance(data, bytes):
            return Looked(is_live=False)
        view = decode_session(session, keys.label, data)
        return Looked(view.state in _GOES_ON, data)

    async def settle(self, order: ParkedOrder) -> ParkedReply:
        call = order.call
        address = wallet_address(call.session)
        keys = self._keys[partition_of(address, self.partitions)]
        session = session_address(call.session)
        names = (
            keys.wallet(address),
            keys.settlements,
            keys.journal,
            keys.parked_fence,
            keys.session(session),
        )
        arguments: tuple[Argument, ...] = (
            order.note.name,
            self._epoch,
            _encode(order.note),
            encode_call(call, session),
            b"".join(_BEFORE.pack(*each) for each in order.before),
            order.mark,
        )
        command = ("FCALL", self._function, len(names), *names, *arguments)
        try:
            reply = await self._execute(*command)
        except OutcomeUnknown as fault:
            if _OVERFLOW in str(fault):
                return ParkedReply(ParkedStatus.OVERFLOW)
            raise
        return await self._reply(cast("bytes", reply), keys, address)

    async def _reply(self, answer: bytes, keys: Keys, address: str) -> ParkedReply:
        if b" " in answer:
            return ParkedReply(ParkedStatus.SETTLED, decode_reply(answer, keys.label))
        status = ParkedStatus(answer.decode())
        if status is ParkedStatus.FENCED:
            raise TakenOver
        if status is not ParkedStatus.STALE:
            return ParkedReply(status)
        data = await self._execute("GET", keys.definitions(address))
        return ParkedReply(status, stale=decode_definition(cast("bytes", data)))

    async def note(self, partition: int, note: Note) -> None:
        keys = self._keys[partition]
        names = (keys.parked_fence, keys.settlements)
        if await self._script(_NOTE, names, self._epoch, note.name, _encode(note)) != 1:
            raise TakenOver

    async def remove(self, entries: Collection[ParkedRef]) -> None:
        by_stream: defaultdict[str, list[str]] = defaultdict(list)
        for ref in entries:
            by_stream[self._keys[ref.partition].stream(ref.stream)].append(ref.entry)
        await asyncio.gather(*(self._execute("XDEL", key, *ids) for key, ids in by_stream.items()))

    async def forget(self, partition: int, names: Collection[str]) -> None:
        if names:
            await self._execute("HDEL", self._keys[partition].settlements, *names)

    async def waiting(self) -> Mapping[str, int]:
        return await waiting(self._connection, self.partitions)

    async def _execute(self, *command: Argument) -> Reply:
        return await answered(self._connection.execute(*command))

    async def _script(self, script: str, keys: tuple[str, ...], *rest: Argument) -> Reply:
        return await self._execute("EVAL", script, len(keys), *keys, *rest)


async def waiting(connection: Connection, partitions: int) -> Mapping[str, int]:
    """Count the entries of each stream. LedgerUnavailable, OutcomeUnknown."""
    counts: dict[str, int] = {}
    for stream in STREAMS:
        lengths = await asyncio.gather(
            *(
                answered(connection.execute("XLEN", Keys(n).stream(stream)))
                for n in range(partitions)
            )
        )
        counts[stream] = sum(cast("list[int]", lengths))
    return counts


def _under_way(partition: int, label: str, value: bytes) -> UnderWay:
    (length,) = _LENGTH.unpack_from(value)
    end = _LENGTH.size + length
    note, result = _decode_note(value[_LENGTH.size : end]), value[end:]
    return UnderWay(partition, note, decode_reply(b"OK " + result, label) if result else None)

"""The ledger on Valkey: packs a call, sends it, reads the answer.

Every method is one function call in one partition, and every one may be sent again: charges are
known by session and request, credits by reference, definitions by version. So the faults of the
connection are dealt with here, once: what was not executed is sent again until the time limit, and
what may have been executed is sent again after a reconnect, when the store itself tells what became
of it. Only when the limit passes does the caller learn of a fault.

Charges that are begun together are sent and waited for together; those of them that meet a fault
go on by themselves, as single ones do, each with the time that is left since they were begun.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import lru_cache, partial
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from ocs.adapters.clock import monotonic_s
from ocs.adapters.valkey import crediting, debits, records, reversals
from ocs.adapters.valkey.calls import Desk, decode_reply, make_desk
from ocs.adapters.valkey.connection import (
    Connection,
    ReplyError,
    StoreFault,
    StoreOverloaded,
    function_not_found,
    not_executed,
)
from ocs.adapters.valkey.connection import Reply as StoreReply
from ocs.adapters.valkey.functions import FunctionLibrary
from ocs.adapters.valkey.keys import Keys, partition_of
from ocs.adapters.valkey.lanes import Lanes
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import (
    parse_session_address,
    session_address,
    sessions_of,
    wallet_address,
)
from ocs.usecases.journal import FindWritten
from ocs.usecases.ports import (
    ChargeCall,
    CreditCall,
    CreditReply,
    DebitCall,
    DebitReply,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    ReplyOfOne,
    ReverseCall,
    ReverseReply,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)

Command = tuple[str | bytes | int, ...]
Send = Callable[[], Future[StoreReply]]
"""Sends a command, each time it is called."""

PARKED_KEEP_S: Final = 86_400
"""How long a parked event is remembered: as long as clients send it again."""
EXPIRED_KEEP_S: Final = 3_600
"""At the least: how long a session may go on whose client had gone silent."""
_MOST_DESKS: Final = 100_000
"""Accounts whose keys are remembered, about 50 MB at the most."""
_PAUSE_S: Final = 0.01
"""Before a refused call is sent again (LOADING, a slot on the move)."""
_BUSY: Final = frozenset({"OOM", "BUSY", "NOREPLICAS", "MISCONF"})
"""Refusals that a little waiting does not cure: they are answered at once."""
_OVERFLOW: Final = "AMOUNT_OVERFLOW"
_STALE: Final = b"STALE"
_encode: Final = msgspec.msgpack.Encoder().encode


class ValkeyLedger:
    """Implements the port `Ledger`. `patience_s`: how long one call may be tried.

    `lanes` are those that begin with `connection`; many charges leave over all of them.
    """

    def __init__(
        self,
        connection: Connection,
        partitions: int,
        library: FunctionLibrary,
        *,
        lanes: Lanes | None = None,
        patience_s: float = 1.5,
        expired_keep_s: int = EXPIRED_KEEP_S,
    ) -> None:
        self.partitions = partitions
        self._connection = connection
        self._lanes = lanes or Lanes(connection)
        self._library = library
        self._patience_s = patience_s
        self._expired_keep_s = expired_keep_s
        self._past = reversals.PastCharges(self._send, partitions)
        self._keys = [Keys(n) for n in range(partitions)]
        self._desk: Callable[[str, str, str], Desk] = lru_cache(_MOST_DESKS)(self._make_desk)

    def reverse_from(self, written: FindWritten) -> None:
        """Reverse also what has left the store, where `written` finds it."""
        self._past.written = written

    def charge(self, call: ChargeCall) -> Awaitable[Reply]:
        """Settle and hold. The call leaves in this tick; to await it is to wait for the reply."""
        sent = self._written(call)
        return _Charging(self, sent, monotonic_s(), self._connection.execute_packed(sent.command))

    def charge_all(self, calls: Sequence[ChargeCall]) -> Awaitable[Sequence[ReplyOfOne]]:
        """Make several charges. The calls leave in this tick, in one write for each lane."""
        begun_s = monotonic_s()
        try:
            sent = [self._written(call) for call in calls]
        except Exception:  # noqa: BLE001 -- a bug, and only the call that has it is to suffer
            return self._each(calls)
        replies = self._lanes.execute_all(
            [each.command for each in sent], [each.partition for each in sent]
        )
        return self._each(calls) if replies is None else self._all(sent, begun_s, replies)

    async def _each(self, calls: Sequence[ChargeCall]) -> Sequence[ReplyOfOne]:
        """Charge calls that cannot be sent together: there is no link, or not room for them all."""

        async def alone(call: ChargeCall) -> Reply:
            return await self.charge(call)

        replies = await asyncio.gather(*map(alone, calls), return_exceptions=True)
        return cast("Sequence[ReplyOfOne]", replies)

    async def _all(
        self, sent: Sequence["_Sent"], begun_s: float, replies: Awaitable[Sequence[object]]
    ) -> Sequence[ReplyOfOne]:
        return [
            decode_reply(reply, each.label)
            if type(reply) is bytes and reply != _STALE
            else self.conclude(each, begun_s, reply)
            for each, reply in zip(sent, await replies, strict=True)
        ]

    async def conclude(self, sent: "_Sent", begun_s: float, reply: object) -> Reply:
        """Conclude a charge whose first reply is no result."""
        if isinstance(reply, ReplyError) and _OVERFLOW in reply.message:
            return Reply(ResultCode.RATING_FAILED)  # more than can be counted: nothing was moved
        if isinstance(reply, ReplyError | StoreFault):
            send = partial(self._connection.execute_packed, sent.command)
            reply = await self._again(send, begun_s, reply)
        if reply == _STALE:
            return Reply(ResultCode.OK, stale=await self._definition(sent.session))
        return decode_reply(cast("bytes", reply), sent.label)

    async def credit(self, call: CreditCall) -> CreditReply:
        """Top up, refund or adjust."""
        address, keys = self._place(call.wallet)
        names, *arguments = crediting.order_of(call, address, keys)
        return crediting.reply_of(await self._call("credit", names, *arguments), keys.label)

    async def reverse(self, call: ReverseCall) -> ReverseReply:
        """Take back what a transaction debited."""
        address, keys = self._place(call.wallet)
        entry_id = reversals.entry_of(call, keys.label)
        if entry_id is None:
            return reversals.UNKNOWN
        found = await self._past.find(address, keys, entry_id)
        if isinstance(found, ReverseReply):
            return found
        order = reversals.order_of(call, address, entry_id, found)
        if isinstance(order, ReverseReply):
            return order
        names = reversals.names_of(order, address, keys)
        reply = await self._call("reverse", names, order.argument, order.told, order.digest)
        return reversals.reply_of(reply, keys.label)

    async def debit(self, call: DebitCall) -> DebitReply:
        """Debit CDRs, each once."""
        address, keys = self._place(call.wallet)
        names, *arguments = debits.order_of(call, address, keys)
        try:
            reply = await self._call("debit", names, *arguments)
        except ReplyError as error:
            if _OVERFLOW in error.message:
                return debits.OVERFLOW
            raise
        return debits.reply_of(reply, keys.label)

    async def expire(self, session: SessionKey) -> bool:
        """Give back what a session past its deadline holds."""
        wallet, keys = self._place(session)
        member = session_address(session)
        reply = await self._call(
            "expire",
            (keys.wallet(wallet), keys.session(member), keys.deadlines, keys.journal),
            _encode((member, self._expired_keep_s)),
            records.encode_told("expire", 0, member, ""),
        )
        return reply == 1

    async def define(self, wallet: WalletKey, definition: WalletDefinition) -> bool:
        """Create or change a wallet."""
        address, keys = self._place(wallet)
        for_script, for_python = records.encode_definition(definition)
        reply = await self._call(
            "define",
            (keys.wallet(address), keys.definitions(address), keys.journal),
            for_script,
            for_python,
            records.encode_told("define", 0, address, ""),
        )
        return reply == 1

    async def park(self, stream: str, key: SessionKey, request: str, entry: bytes) -> str:
        """Append to a stream of parked events, once per session and request."""
        _, keys = self._place(key)
        reply = await self._call(
            "park",
            (keys.stream(stream), keys.parked(stream, session_address(key), request)),
            entry,
            PARKED_KEEP_S,
        )
        assert isinstance(reply, bytes)
        return f"{keys.label}-{reply.decode()}"

    async def balance(self, wallet: WalletKey) -> WalletBalance | None:
        """Read a wallet."""
        address, keys = self._place(wallet)
        reply = await self._send(("MGET", keys.wallet(address), keys.definitions(address)))
        data, definitions = cast("list[bytes | None]", reply)
        if data is None or definitions is None:
            return None
        return records.decode_wallet(data, definitions)

    async def _definition(self, session: SessionKey) -> WalletDefinition:
        address, keys = self._place(session)
        data = await self._send(("GET", keys.definitions(address)))
        return records.decode_definition(cast("bytes", data))

    async def session(self, key: SessionKey) -> SessionView | None:
        """Read one session."""
        _, keys = self._place(key)
        data = await self._send(("GET", keys.session(session_address(key))))
        if not isinstance(data, bytes):
            return None
        return records.decode_session(key, keys.label, data)

    async def sessions(self, tenant: str, limit: int) -> list[SessionView]:
        """List remembered sessions of a tenant (a scan of the whole store)."""
        found: list[SessionView] = []
        cursor: bytes = b"0"
        while len(found) < limit:
            reply = await self._send(("SCAN", cursor, "MATCH", "{p*}s:*", "COUNT", 1000))
            cursor, names = msgspec.convert(reply, tuple[bytes, list[bytes]])
            keys = [parse_session_address(name.decode().partition("}s:")[2]) for name in names]
            views = await asyncio.gather(*(self.session(k) for k in keys if k.tenant == tenant))
            found += [view for view in views if view is not None]
            if cursor == b"0":
                break
        return found[:limit]

    async def due(self, partition: int, limit: int) -> list[SessionKey]:
        """List sessions of a partition whose deadline may have passed."""
        key = self._keys[partition].deadlines
        now_ms = await self.store_ms()
        members = await self._send(("ZRANGEBYSCORE", key, "-inf", now_ms, "LIMIT", 0, limit))
        return [parse_session_address(m.decode()) for m in cast("list[bytes]", members)]

    async def open_sessions(self) -> int:
        """Count the sessions that have a deadline, over all partitions."""
        counts = await asyncio.gather(*(self._send(("ZCARD", k.deadlines)) for k in self._keys))
        return sum(cast("list[int]", counts))

    async def store_ms(self) -> int:
        """Read the store's clock."""
        reply = await self._send(("TIME",))
        seconds, micros = cast("list[bytes]", reply)
        return int(seconds) * 1000 + int(micros) // 1000

    def _place(self, key: WalletKey | SessionKey) -> tuple[str, Keys]:
        """Return a wallet's address, and the keys of its partition."""
        address = wallet_address(key)
        return address, self._keys[partition_of(address, self.partitions)]

    def _make_desk(self, tenant: str, wallet_group: str, account: str) -> Desk:
        address, keys = self._place(WalletKey(tenant, wallet_group))
        sessions = sessions_of(tenant, wallet_group, account)
        return make_desk(self._library.function("charge"), address, sessions, keys)

    def _written(self, call: ChargeCall) -> "_Sent":
        session = call.session
        desk = self._desk(session.tenant, session.wallet_group, session.account)
        return _Sent(session, desk.partition, desk.label, desk.command(call))

    # --- Sending, and sending again ---------------------------------------------------------------

    async def _call(self, verb: str, keys: tuple[str, ...], *arguments: bytes | int) -> StoreReply:
        function = self._library.function(verb)
        return await self._send(("FCALL", function, len(keys), *keys, *arguments))

    async def _send(self, command: Command) -> StoreReply:
        begun_s = monotonic_s()
        send = partial(self._connection.execute, *command)
        try:
            return await send()
        except (ReplyError, StoreFault) as fault:
            return await self._again(send, begun_s, fault)

    async def _again(
        self, send: Send, begun_s: float, fault: ReplyError | StoreFault
    ) -> StoreReply:
        """Send a call again after `fault`, until it is answered or the time limit passes.

        The limit counts from when the call was begun, not from when somebody came to wait for it:
        of many that were begun together the last is waited for when all the others are done.
        """
        until_s = begun_s + self._patience_s
        maybe_done, is_first = False, True
        while True:
            unexecuted = not_executed(fault)
            if isinstance(fault, ReplyError) and not unexecuted:
                raise fault
            maybe_done = maybe_done or not unexecuted
            if self._is_final(fault) or monotonic_s() >= until_s:
                break
            try:
                await self._make_ready(fault, until_s, is_first=is_first)
                return await send()
            except (ReplyError, StoreFault) as next_fault:
                fault, is_first = next_fault, False
        if maybe_done:
            raise OutcomeUnknown(str(fault)) from fault
        raise LedgerUnavailable(str(fault)) from fault

    def _is_final(self, fault: ReplyError | StoreFault) -> bool:
        """Tell whether waiting is no use: the store is full or stuck, or too much waits for it."""
        if isinstance(fault, ReplyError):
            return fault.code in _BUSY
        return isinstance(fault, StoreOverloaded)

    async def _make_ready(
        self, fault: ReplyError | StoreFault, until_s: float, *, is_first: bool
    ) -> None:
        left_s = max(0.0, until_s - monotonic_s())
        if function_not_found(fault):
            await self._connection.ensure_loaded()
        elif not self._connection.connected:
            await self._connection.wait_connected(left_s)
        elif isinstance(fault, ReplyError) or not is_first:
            # A link that is up again since the fault is used at once.
            await asyncio.sleep(min(_PAUSE_S, left_s))


class _Sent(Struct, frozen=True, gc=False):
    """A charge on its way, with what it takes to send it again and to read its reply."""

    session: SessionKey
    partition: int
    label: str
    command: bytes


class _Charging(Struct, frozen=True, gc=False):
    """A single charge that is waited for. In the common case it costs one future, nothing else."""

    ledger: ValkeyLedger
    sent: _Sent
    begun_s: float
    reply: Future[StoreReply]

    def __await__(self) -> Generator[Any, None, Reply]:
        reply: object
        try:
            reply = yield from self.reply
        except (ReplyError, StoreFault) as fault:
            reply = fault
        if type(reply) is bytes and reply != _STALE:
            return decode_reply(reply, self.sent.label)
        return (yield from self.ledger.conclude(self.sent, self.begun_s, reply).__await__())

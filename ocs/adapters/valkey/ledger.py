"""The ledger on Valkey: packs a call, sends it, reads the answer.

Every method is one function call in one partition, and every one may be sent again: charges are
known by session and request, credits by reference, definitions by version. So the faults of the
connection are dealt with here, once: what was not executed is sent again until the time limit, and
what may have been executed is sent again after a reconnect, when the store itself tells what became
of it. Only when the limit passes does the caller learn of a fault.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Generator
from functools import lru_cache
from typing import Any, Final, cast

import msgspec

from ocs.adapters.clock import monotonic_s
from ocs.adapters.valkey import records
from ocs.adapters.valkey.calls import encode_call
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
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import parse_session_address, session_address, wallet_address
from ocs.usecases.ports import (
    ChargeCall,
    CreditCall,
    CreditReply,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)

Command = tuple[str | bytes | int, ...]

REFERENCE_KEEP_S: Final = 30 * 86_400
"""How long a credit's reference is remembered: an operator may repeat a top-up weeks later."""
PARKED_KEEP_S: Final = 86_400
"""How long a parked event is remembered: as long as clients send it again."""
EXPIRED_KEEP_S: Final = 3_600
_PAUSE_S: Final = 0.01
"""Before a refused call is sent again (LOADING, a slot on the move)."""
_BUSY: Final = frozenset({"OOM", "BUSY", "NOREPLICAS", "MISCONF"})
"""Refusals that a little waiting does not cure: they are answered at once."""
_OVERFLOW: Final = "AMOUNT_OVERFLOW"
_CREDIT_CODES: Final = {
    b"OK": ResultCode.OK,
    b"HIT": ResultCode.OK,
    b"CONFLICT": ResultCode.CONFLICT,
    b"NO_CREDIT": ResultCode.NO_CREDIT,
    b"NO_WALLET": ResultCode.UNKNOWN_SUBSCRIBER,
}
_BARE_CODES: Final = {
    b"NO_WALLET": ResultCode.UNKNOWN_SUBSCRIBER,
    b"REPEAT_EXPIRED": ResultCode.REPEAT_EXPIRED,
    b"UNKNOWN_SESSION": ResultCode.UNKNOWN_SESSION,
}
_encode: Final = msgspec.msgpack.Encoder().encode


class ValkeyLedger:
    """Implements the port `Ledger`. `patience_s`: how long one call may be tried."""

    def __init__(
        self,
        connection: Connection,
        partitions: int,
        library: FunctionLibrary,
        *,
        patience_s: float = 1.5,
    ) -> None:
        self.partitions = partitions
        self._connection = connection
        self._library = library
        self._patience_s = patience_s
        self._keys = [Keys(n) for n in range(partitions)]
        self._charge = library.function("charge")
        self._partition_of: Callable[[str], int] = lru_cache(maxsize=100_000)(
            lambda address: partition_of(address, partitions)
        )

    def charge(self, call: ChargeCall) -> Awaitable[Reply]:
        """Settle and hold. The call leaves in this tick; to await it is to wait for the reply."""
        wallet, keys = self._place(call.session)
        member = session_address(call.session)
        argument = encode_call(call, member)
        command = (
            "FCALL",
            self._charge,
            4,
            keys.wallet(wallet),
            keys.session(member),
            keys.deadlines,
            keys.journal,
            argument,
        )
        return _Charging(
            self, call.session, keys.label, command, self._connection.execute(*command)
        )

    async def after(
        self, command: Command, begun_s: float, fault: ReplyError | StoreFault
    ) -> bytes | None:
        """Get the answer to a charge whose first sending, at `begun_s`, met a fault.

        None: its amounts are too large to be counted, and nothing was moved.
        """
        if isinstance(fault, ReplyError) and _OVERFLOW in fault.message:
            return None
        return cast("bytes", await self._again(command, begun_s, fault))

    async def stale(self, session: SessionKey) -> Reply:
        """Answer a charge that knew old definitions with the new ones."""
        return Reply(ResultCode.OK, stale=await self._definition(session))

    async def credit(self, call: CreditCall) -> CreditReply:
        """Top up, refund or adjust."""
        wallet, keys = self._place(call.wallet)
        fingerprint = f"{call.bucket} {call.amount}"
        info = msgspec.json.encode((call.bucket, call.amount, call.reason)).decode()
        argument = _encode(
            (
                call.bucket,
                call.amount,
                fingerprint,
                REFERENCE_KEEP_S,
            )
        )
        reply = await self._call(
            "credit",
            (keys.wallet(wallet), keys.reference(wallet, call.reference), keys.journal),
            argument,
            records.encode_told("credit", 0, wallet, info),
        )
        status, *rest = cast("list[bytes]", reply)
        entry_id, left = msgspec.convert(rest or (b"", 0), tuple[bytes, int])
        return CreditReply(
            code=_CREDIT_CODES[status],
            transaction_id=f"{keys.label}-{entry_id.decode()}" if entry_id else "",
            left=left,
            hit=status == b"HIT",
        )

    async def expire(self, session: SessionKey) -> bool:
        """Give back what a session past its deadline holds."""
        wallet, keys = self._place(session)
        member = session_address(session)
        reply = await self._call(
            "expire",
            (keys.wallet(wallet), keys.session(member), keys.deadlines, keys.journal),
            _encode((member, EXPIRED_KEEP_S)),
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
        return address, self._keys[self._partition_of(address)]

    # --- Sending, and sending again ---------------------------------------------------------------

    async def _call(self, verb: str, keys: tuple[str, ...], *arguments: bytes | int) -> StoreReply:
        function = self._library.function(verb)
        return await self._send(("FCALL", function, len(keys), *keys, *arguments))

    async def _send(self, command: Command) -> StoreReply:
        begun_s = monotonic_s()
        try:
            return await self._connection.execute(*command)
        except (ReplyError, StoreFault) as fault:
            return await self._again(command, begun_s, fault)

    async def _again(
        self, command: Command, begun_s: float, fault: ReplyError | StoreFault
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
                return await self._connection.execute(*command)
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


class _Charging:
    """A charge that is under way. In the common case it costs one future and nothing else."""

    __slots__ = ("_begun_s", "_command", "_future", "_label", "_ledger", "_session")

    def __init__(
        self,
        ledger: ValkeyLedger,
        session: SessionKey,
        label: str,
        command: Command,
        future: Future[StoreReply],
    ) -> None:
        self._ledger = ledger
        self._session = session
        self._label = label
        self._command = command
        self._begun_s = monotonic_s()
        self._future = future

    def __await__(self) -> Generator[Any, None, Reply]:
        try:
            reply = yield from self._future
        except (ReplyError, StoreFault) as fault:
            after = self._ledger.after(self._command, self._begun_s, fault)
            reply = yield from after.__await__()
        if reply is None:
            return Reply(ResultCode.RATING_FAILED)
        answer = cast("bytes", reply)
        if answer == b"STALE":
            return (yield from self._ledger.stale(self._session).__await__())
        return _charge_reply(answer, self._label)


def _charge_reply(answer: bytes, label: str) -> Reply:
    """Read the store's answer: a status, or a status, the journal's id and a frame."""
    status, *rest = answer.split(b" ", 2)
    if not rest:
        return Reply(_BARE_CODES[status])
    entry_id, data = rest
    frame = records.decode_frame(data)
    result = records.result_of(frame, f"{label}-{entry_id.decode()}" if entry_id else "")
    code = ResultCode.CONFLICT if status == b"CONFLICT" else result.code
    return Reply(code, result, frame.ratings, hit=status == b"HIT")

"""What a reversal needs of the journal's entry: found here, carried out by `lua/reverse.lua`.

An entry never changes, so it is read before, from the store or from the journal's files, and what
is to go back travels with the call as data: the script moves numbers, and looks only how old the
entry is, whether the session is over, and whether this was done before. The journal does not tell
money from units; but the charge's own results say how much money it debited in all, which is
enough: what of it has no bucket any more is that much money.

The store keeps entries for minutes (`usecases.keeping`), reversals for a month. So where it has no
entry any more, what was done before is looked up among the reversals (`reversed_before`) before any
file is read: who repeats a refund whose answer was lost gets it on any host.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from struct import Struct as Form
from typing import Final, cast

import msgspec
from msgspec import Struct

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Reply as StoreReply
from ocs.adapters.valkey.crediting import digest_of
from ocs.adapters.valkey.keys import Keys, partition_of
from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.usecases.journal import FindWritten, parse_id
from ocs.usecases.ports import ReverseCall, ReverseReply

_ENTRY_ID: Final = re.compile(r"[1-9][0-9]{0,18}-(0|[1-9][0-9]{0,18})").fullmatch
"""As the store spells them. It reads 01-00 as 1-0, too; a reversal is remembered by the text."""
_CHARGES: Final = frozenset(Kind)
_GONE: Final = (
    "there is no such transaction of this wallet within 30 days, or it has left the store and the"
    " journal's files are not here"
)
_RERATED: Final = (
    "a re-rating has adjusted the account since, and what of it was for this transaction is not"
    " known any more: give back by a credit what the use costs now"
)
_ADJUSTED: Final = (
    "its use was adjusted by the re-rating {}: rate the account back by the former tariffs first,"
    " or give back by a credit what the use costs now"
)
_REFUSALS: Final = {
    b"GONE": (ResultCode.UNKNOWN_SESSION, _GONE),
    b"NO_WALLET": (ResultCode.UNKNOWN_SESSION, "there is no such wallet"),
    b"OPEN": (ResultCode.CONFLICT, "the session is not over yet"),
    b"RERATED": (ResultCode.CONFLICT, _RERATED),
}
UNKNOWN: Final = ReverseReply(code=ResultCode.UNKNOWN_SESSION, why=_GONE)
NO_CHARGE: Final = ReverseReply(
    code=ResultCode.CONFLICT, why="only a charge can be reversed, not what put something right"
)


_MARK_NUMBERS: Final = Form("<dd")
"""Behind two texts, each with its length before it: the entry, and the reversal's."""


class Order(Struct, frozen=True):
    """What the script is told: the session's address, the call, what the journal is told.

    `digest` names the session in what re-ratings have noted.
    """

    session: str
    argument: bytes
    told: bytes
    digest: bytes


def entry_of(call: ReverseCall, label: str) -> str | None:
    """Return the journal's id in a transaction id; None when it is not one of the partition."""
    its_label, _, entry_id = call.transaction_id.partition("-")
    return entry_id if its_label == label and _ENTRY_ID(entry_id) else None


class PastCharges:
    """Where the entry of a charge is found: in the store, or else where `written` finds it."""

    def __init__(
        self, send: Callable[[tuple[str, ...]], Awaitable[StoreReply]], partitions: int
    ) -> None:
        self.written: FindWritten | None = None
        self._send = send
        self._partitions = partitions

    async def find(self, address: str, keys: Keys, entry_id: str) -> bytes | ReverseReply:
        """Find an entry's record, or what was said when it was reversed before."""
        page = await self._send(("XRANGE", keys.journal, entry_id, entry_id))
        if page:
            ((_, (_, record)),) = cast("list[tuple[bytes, list[bytes]]]", page)
            return record
        at_ms = entry_id.partition("-")[0]
        marks = await self._send(("ZRANGEBYSCORE", keys.reversals, at_ms, at_ms))
        before = reversed_before(
            cast("list[bytes]", marks), entry_id, keys.wallet(address), keys.label
        )
        if before is not None or self.written is None:
            return before or UNKNOWN
        written = await self.written(partition_of(address, self._partitions), parse_id(entry_id))
        return UNKNOWN if written is None else written[1]


def order_of(call: ReverseCall, address: str, entry_id: str, record: bytes) -> Order | ReverseReply:
    """Make the order from the entry's record; `address` is the wallet's."""
    entry = records.decode_entry(record)
    if not f"{entry.subject}/".startswith(f"{address}/"):
        return UNKNOWN
    if entry.frame is None or entry.kind not in _CHARGES:
        return NO_CHARGE
    money = sum(service.settled_amount for service in entry.frame.services)
    one_shot = int(entry.kind == Kind.EVENT)
    order: list[str | int] = [entry_id, one_shot, money]
    for bucket, left_by, *_ in entry.moves:
        order += (bucket, -left_by)
    info = msgspec.json.encode((call.transaction_id, entry.subject, call.reason)).decode()
    return Order(
        entry.subject,
        msgspec.msgpack.encode(order),
        records.encode_told("reverse", 0, address, info),
        digest_of(entry.subject),
    )


def reversed_before(
    marks: Sequence[bytes], entry_id: str, wallet_key: str, label: str
) -> ReverseReply | None:
    """Find the reversal of an entry of this wallet among those of its millisecond."""
    for mark in marks:
        entry_end = 1 + mark[0]
        id_end = entry_end + 1 + mark[entry_end]
        end = id_end + _MARK_NUMBERS.size
        if mark[1:entry_end] != entry_id.encode() or mark[end:] != wallet_key.encode():
            continue
        money, units = _MARK_NUMBERS.unpack_from(mark, id_end)
        return ReverseReply(
            code=ResultCode.OK,
            transaction_id=f"{label}-{mark[entry_end + 1 : id_end].decode()}",
            amount=int(money),
            units=int(units),
            hit=True,
        )
    return None


def names_of(order: Order, address: str, keys: Keys) -> tuple[str, ...]:
    """Name the records that the script is to have; `address` is the wallet's."""
    return (
        keys.wallet(address),
        keys.session(order.session),
        keys.reversals,
        keys.journal,
        keys.adjusted(address),
    )


def reply_of(answer: StoreReply, label: str) -> ReverseReply:
    """Read the script's answer."""
    status, *rest = cast("list[bytes]", answer)
    if status == b"ADJUSTED":
        return ReverseReply(code=ResultCode.CONFLICT, why=_ADJUSTED.format(rest[0].decode()))
    if status in _REFUSALS:
        code, why = _REFUSALS[status]
        return ReverseReply(code=code, why=why)
    entry_id, amount, units = msgspec.convert(rest, tuple[bytes, int, int])
    return ReverseReply(
        code=ResultCode.OK,
        transaction_id=f"{label}-{entry_id.decode()}",
        amount=amount,
        units=units,
        hit=status == b"HIT",
    )

"""What a reversal needs of the journal's entry: found here, carried out by `lua/reverse.lua`.

An entry never changes, so it is read before, and what is to go back travels with the call as data:
the script moves numbers, and looks only whether the entry is still there, whether the session is
over, and whether this was done before. The journal does not tell money from units; but the charge's
own results say how much money it debited in all, which is enough: what of it has no bucket any more
is that much money.
"""

import re
from typing import Final, cast

import msgspec
from msgspec import Struct

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Reply as StoreReply
from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.usecases.ports import ReverseCall, ReverseReply

_ENTRY_ID: Final = re.compile(r"[1-9][0-9]{0,18}-(0|[1-9][0-9]{0,18})").fullmatch
"""As the store spells them. It reads 01-00 as 1-0, too; a reversal is remembered by the text."""
_CHARGES: Final = frozenset(Kind)
_GONE: Final = "the journal has no such transaction of this wallet, or not any more"
_REFUSALS: Final = {
    b"GONE": (ResultCode.UNKNOWN_SESSION, _GONE),
    b"NO_WALLET": (ResultCode.UNKNOWN_SESSION, "there is no such wallet"),
    b"OPEN": (ResultCode.CONFLICT, "the session is not over yet"),
}
UNKNOWN: Final = ReverseReply(code=ResultCode.UNKNOWN_SESSION, why=_GONE)
NO_CHARGE: Final = ReverseReply(
    code=ResultCode.CONFLICT, why="only a charge can be reversed, not what put something right"
)


class Order(Struct, frozen=True):
    """What the script is told: the session's address, the call, and what the journal is told."""

    session: str
    argument: bytes
    told: bytes


def entry_of(call: ReverseCall, label: str) -> str | None:
    """Return the journal's id in a transaction id; None when it is not one of the partition."""
    its_label, _, entry_id = call.transaction_id.partition("-")
    return entry_id if its_label == label and _ENTRY_ID(entry_id) else None


def order_of(
    call: ReverseCall, address: str, entry_id: str, page: StoreReply
) -> Order | ReverseReply:
    """Make the order from what the journal has under that id; `address` is the wallet's."""
    found = cast("list[tuple[bytes, list[bytes]]]", page)
    if not found:
        return UNKNOWN
    ((_, (_, data)),) = found
    entry = records.decode_entry(data)
    if not f"{entry.subject}/".startswith(f"{address}/"):
        return UNKNOWN
    if entry.frame is None or entry.kind not in _CHARGES:
        return NO_CHARGE
    money = sum(service.settled_amount for service in entry.frame.services)
    order: list[str | int] = [entry_id, int(entry.kind == Kind.EVENT), money]
    for bucket, left_by, *_ in entry.moves:
        order += (bucket, -left_by)
    info = msgspec.json.encode((call.transaction_id, entry.subject, call.reason)).decode()
    return Order(
        entry.subject,
        msgspec.msgpack.encode(order),
        records.encode_told("reverse", 0, address, info),
    )


def reply_of(answer: StoreReply, label: str) -> ReverseReply:
    """Read the script's answer."""
    status, *rest = cast("list[bytes]", answer)
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

"""How credits travel to `lua/credit.lua` and back; among them the adjustments of re-ratings.

A re-rating moves one amount for each account; which of it was for which use only its book says, and
a reversal has no book. So with each amount the store notes its uses (`lua/adjusted.lua`, 40 bytes
each), as long as its journal holds their transactions. What is rated from CDRs is not noted: no
debit of a CDR is ever reversed.
"""

from hashlib import blake2b
from struct import Struct as Form
from typing import Final, cast

import msgspec

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Reply as StoreReply
from ocs.adapters.valkey.keys import Keys
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import session_address
from ocs.usecases.ports import AdjustedUse, Adjusts, CreditCall, CreditReply

REFERENCE_KEEP_S: Final = 30 * 86_400
"""How long a credit's reference is remembered: an operator may repeat a top-up weeks later."""
_USE: Final = Form("<8s8sddd")
_DIGEST_BYTES: Final = 8
_NO_ENTRY: Final = "0-0"
_CODES: Final = {
    b"OK": ResultCode.OK,
    b"HIT": ResultCode.OK,
    b"CONFLICT": ResultCode.CONFLICT,
    b"REVERSED": ResultCode.CONFLICT,
    b"NO_CREDIT": ResultCode.NO_CREDIT,
    b"NO_WALLET": ResultCode.UNKNOWN_SUBSCRIBER,
}
_REVERSED: Final = (
    "a transaction of it was reversed that the export of the journal does not know of: export it"
    " again, and rate again"
)
_encode: Final = msgspec.msgpack.Encoder().encode


def order_of(
    call: CreditCall, address: str, keys: Keys
) -> tuple[tuple[str, ...], bytes, bytes, bytes]:
    """Write a call: keys, the call, what the journal is told, uses. `address` is the wallet's."""
    names = (
        keys.wallet(address),
        keys.reference(address, call.reference),
        keys.journal,
        keys.adjusted(address),
    )
    fingerprint = call.fingerprint or f"{call.bucket} {call.amount}"
    order: tuple[str | int, ...] = (call.bucket, call.amount, fingerprint, REFERENCE_KEEP_S)
    info = msgspec.json.encode((call.bucket, call.amount, call.reason)).decode()
    told = records.encode_told("credit", 0, address, info)
    if call.adjusts is None:
        return names, _encode(order), told, b""
    seen = call.adjusts.seen.partition("-")[2] or _NO_ENTRY
    return names, _encode((*order, call.adjusts.page, seen)), told, _packed(call.adjusts)


def reply_of(answer: StoreReply, label: str) -> CreditReply:
    """Read the script's answer."""
    status, *rest = cast("list[bytes]", answer)
    entry_id, left, amount = msgspec.convert(rest or (b"", 0, 0), tuple[bytes, int, int])
    return CreditReply(
        code=_CODES[status],
        transaction_id=f"{label}-{entry_id.decode()}" if entry_id else "",
        left=left,
        hit=status == b"HIT",
        amount=amount,
        why=_REVERSED if status == b"REVERSED" else "",
    )


def digest_of(text: str) -> bytes:
    """Name a session or a rating group in few bytes."""
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _packed(adjusts: Adjusts) -> bytes:
    return b"".join(map(_packed_use, adjusts.uses))


def _packed_use(use: AdjustedUse) -> bytes:
    _, ms, count = use.begun_by.split("-")
    return _USE.pack(
        digest_of(session_address(use.session)),
        digest_of(use.rating_group),
        int(ms),
        int(count),
        use.amount,
    )

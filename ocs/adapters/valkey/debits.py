"""How debits of finished CDRs travel to `lua/debit.lua` and back.

What is remembered of a CDR for 45 days has to be small: 16 bytes of its id's digest, and 17 of who
had it first, its fate and its amount. A digest is not a key of anything secret, but callers can
choose what a switch makes ids of (Call-ID), so it is long enough that nobody finds two alike.
"""

from datetime import date, timedelta
from hashlib import blake2b
from struct import Struct as Form
from struct import unpack
from typing import Final, cast

import msgspec

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Reply as StoreReply
from ocs.adapters.valkey.keys import Keys
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import quoted, sessions_of
from ocs.usecases.ports import MOST_CDRS_DEBITED, CdrFate, DebitCall, DebitReply, Settler

_DIGEST_BYTES: Final = 16
_MARK_BYTES: Final = 8
_DAY: Final = Form("<d")
_COUNT: Final = Form("<H")
_AMOUNT: Final = Form("<d")
_FIRST_DAY: Final = date(1970, 1, 1)
_REFUSALS: Final = {
    b"NO_WALLET": DebitReply(
        code=ResultCode.UNKNOWN_SUBSCRIBER, why="the account has no wallet yet"
    ),
    b"EVENTS": DebitReply(
        code=ResultCode.NOT_CHARGED,
        settled_by=Settler.EVENTS,
        why="the account is settled by events",
    ),
    b"NOBODY": DebitReply(
        code=ResultCode.NOT_CHARGED, settled_by=Settler.NOBODY, why="it is an offline account"
    ),
    b"CURRENCY": DebitReply(
        code=ResultCode.INVALID_EVENT, why="it was rated in another currency than the account's"
    ),
}
OVERFLOW: Final = DebitReply(
    code=ResultCode.RATING_FAILED, why="it costs more than a bucket can hold"
)


def order_of(call: DebitCall, address: str, keys: Keys) -> tuple[tuple[str, ...], bytes, bytes]:
    """Write a call: keys, the call, and what the journal is told. `address` is the wallet's."""
    assert 0 < len(call.cdrs) <= MOST_CDRS_DEBITED, len(call.cdrs)
    sessions = sessions_of(call.wallet.tenant, call.wallet.wallet_group, call.account)
    session_keys = keys.session(sessions)
    names = [keys.wallet(address), keys.known_cdrs(sessions, call.day), keys.journal]
    parts = [
        _DAY.pack(call.day),
        records.short_text(call.currency),
        blake2b(call.chunk.encode(), digest_size=_MARK_BYTES).digest(),
        _COUNT.pack(len(call.cdrs)),
    ]
    for cdr in call.cdrs:
        names.append(session_keys + quoted(cdr.session_id))
        parts += (
            blake2b(cdr.cdr_id.encode(), digest_size=_DIGEST_BYTES).digest(),
            _AMOUNT.pack(cdr.amount),
        )
    return tuple(names), b"".join(parts), records.encode_told("debit", 0, address, _info(call))


def _info(call: DebitCall) -> str:
    """Write the beginning of a list; the script adds two numbers and closes it."""
    day = str(_FIRST_DAY + timedelta(days=call.day))
    return msgspec.json.encode((call.account, call.chunk, day)).decode().removesuffix("]")


def reply_of(answer: StoreReply, label: str) -> DebitReply:
    """Read the script's answer."""
    status, *rest = cast("list[bytes]", answer)
    if status in _REFUSALS:
        return _REFUSALS[status]
    entry_id, overrun, fates, amounts = msgspec.convert(rest, tuple[bytes, int, bytes, bytes])
    return DebitReply(
        code=ResultCode.OK,
        transaction_id=f"{label}-{entry_id.decode()}" if entry_id else "",
        overrun_amount=overrun,
        fates=tuple(map(CdrFate, fates.decode())),
        amounts=tuple(map(int, unpack(f"<{len(fates)}d", amounts))),
    )

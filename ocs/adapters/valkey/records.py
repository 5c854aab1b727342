"""The records of the store, as Python reads them: the twin of `lua/records.lua`.

Each is a msgpack array whose first element is the version of its form. Only the script writes
wallets and sessions; this module reads them, and writes what the script takes. What the script
only keeps (definitions, ratings, info) is JSON text, because its msgpack knows no type for bytes.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.results import ResultCode
from ocs.domain.session import State
from ocs.domain.wallet import Bucket
from ocs.usecases.ports import (
    BucketBalance,
    ChargeResult,
    HoldView,
    ServiceResult,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
)


class DefinitionRecord(Struct, array_like=True, frozen=True):
    """What a wallet is. `buckets` is JSON text of the buckets' definitions."""

    version: int
    active: int
    currency: str
    floor: int
    buckets: str


class ServiceRecord(Struct, array_like=True, frozen=True):
    """One service of a session: the places P_* of `lua/records.lua`."""

    rating_group: str
    elapsed: int
    priced: int
    seg_from: int
    carried_whole: int
    carried_rest: int
    carried_den: int
    charged: int
    granted: int
    fee_due: int
    grace: int
    minimum: int
    maximum: int
    rounding: int
    timed: int
    subject: str
    rating: str
    ladder: list[int] | bool
    later: list[int | str | list[int]] | bool
    held: list[int | str]
    """Bucket, amount, increment and factor, four each."""
    taken: list[int | str]
    anchor_ms: int


class SessionHead(Struct, array_like=True, frozen=True):
    """The first fields of a session, S_* of `lua/records.lua`; the services follow."""

    form: int
    state: State
    opened_ms: int
    deadline_ms: int
    hint_ms: int
    answer_ms: int
    top: int
    low: int
    high: int
    keys: list[str] | bool
    results: msgspec.Raw
    kept: int
    repeats: int


class Frame(Struct, array_like=True, frozen=True, gc=False):
    """An answer as the script packs it; the transaction id stands beside it."""

    request: str
    fingerprint: str
    code: ResultCode
    services: tuple[ServiceResult, ...]
    available_amount: int
    held_amount: int
    overrun_amount: int
    late_start: bool
    ratings: tuple[str, ...]


class JournalEntry(Struct, array_like=True, frozen=True):
    """One entry of the journal; a charge's has its frame beside it.

    `subject` is the address of a session, or of a wallet (`credit`, `define`). `moves` is bucket,
    left by, held by, left, held and floor, six each; the floor is false unless a hold was placed.
    """

    form: int
    kind: str
    subject: str
    at_ms: int
    event_ms: int
    state: str
    info: str
    moves: list[str | int | bool]


_MOVE: Final = 6
_HELD: Final = 4
_BUCKET: Final = 8
_WALLET_HEAD: Final = 7
_SESSION_HEAD: Final = 15
_definition_decoder: Final = msgspec.msgpack.Decoder(DefinitionRecord)
_list_decoder: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_wallet_decoder: Final = msgspec.msgpack.Decoder(list[int | str])
_head_decoder: Final = msgspec.msgpack.Decoder(SessionHead)
_service_decoder: Final = msgspec.msgpack.Decoder(ServiceRecord)
_entry_decoder: Final = msgspec.msgpack.Decoder(JournalEntry)
_buckets_decoder: Final = msgspec.json.Decoder(tuple[Bucket, ...])
_frame_decoder: Final = msgspec.msgpack.Decoder(Frame)
_STR8, _STR32 = 0xD9, 0xDB


def text_bytes(raw: msgspec.Raw) -> bytes:
    """Return what a Lua string held: the script's msgpack writes bytes as text too."""
    data = bytes(raw)
    head = data[0]
    return data[1 + (1 << (head - _STR8)) :] if _STR8 <= head <= _STR32 else data[1:]


def encode_buckets(buckets: tuple[Bucket, ...]) -> str:
    """Write the definitions of a wallet's buckets, as JSON text."""
    return msgspec.json.encode(buckets).decode()


def decode_frame(data: bytes) -> Frame:
    """Read an answer."""
    return _frame_decoder.decode(data)


def result_of(frame: Frame, transaction_id: str) -> ChargeResult:
    """Make the result that a frame and its transaction id stand for."""
    return ChargeResult(
        frame.code,
        transaction_id,
        frame.services,
        frame.available_amount,
        frame.held_amount,
        frame.overrun_amount,
        frame.late_start,
    )


def decode_entry(data: bytes) -> JournalEntry:
    """Read an entry of the journal."""
    return _entry_decoder.decode(data)


def decode_moves(entry: JournalEntry) -> Iterator[tuple[str, int, int, int, int, int | None]]:
    """Yield bucket, left by, held by, left, held, and the floor or None, of each move."""
    for i in range(0, len(entry.moves), _MOVE):
        bucket, left_by, held_by, left, held, floor = entry.moves[i : i + _MOVE]
        limit = None if floor is False else int(floor)
        yield str(bucket), int(left_by), int(held_by), int(left), int(held), limit


def decode_definition(data: bytes) -> WalletDefinition:
    """Read the definitions of a wallet."""
    record = _definition_decoder.decode(data)
    return WalletDefinition(
        version=record.version,
        active=bool(record.active),
        currency=record.currency,
        floor_amount=record.floor,
        buckets=_buckets_decoder.decode(record.buckets),
    )


def decode_wallet(data: bytes, definitions: bytes) -> WalletBalance:
    """Read a wallet."""
    record = _wallet_decoder.decode(data)
    return WalletBalance(
        definition=decode_definition(definitions),
        balances=tuple(
            BucketBalance(
                bucket=str(record[b]),
                left=int(record[b + 2]),
                held=int(record[b + 3]),
                credited=int(record[b + 4]),
                debited=int(record[b + 5]),
            )
            for b in range(_WALLET_HEAD, len(record), _BUCKET)
        ),
        open_sessions=int(record[6]),
    )


def decode_session(key: SessionKey, data: bytes) -> SessionView:
    """Read a session."""
    head = _head_decoder.decode(data)
    services = [_service_decoder.decode(raw) for raw in _list_decoder.decode(data)[_SESSION_HEAD:]]
    return SessionView(
        key=key,
        state=head.state,
        opened_ms=head.opened_ms,
        deadline_ms=head.deadline_ms,
        answer_ms=head.answer_ms,
        elapsed_units=sum(s.elapsed for s in services),
        granted_units=sum(s.granted for s in services),
        charged_amount=sum(s.charged for s in services),
        repeats=head.repeats,
        holds=tuple(
            HoldView(rating_group=s.rating_group, bucket=str(s.held[i]), amount=int(s.held[i + 1]))
            for s in services
            for i in range(0, len(s.held), _HELD)
        ),
        last=_last_result(text_bytes(head.results), head.kept),
    )


def _last_result(results: bytes, kept: int) -> ChargeResult | None:
    """Read the last of the kept answers: transaction id, length of the frame, frame."""
    last, at = None, 0
    for _ in range(kept):
        text, at = _unpack_text(results, at)
        length, at = _unpack_length(results, at)
        last = result_of(decode_frame(results[at : at + length]), text)
        at += length
    return last


def _unpack_text(data: bytes, at: int) -> tuple[str, int]:
    short = data[at] < _STR8
    length, start = (data[at] & 0x1F, at + 1) if short else (data[at + 1], at + 2)
    return data[start : start + length].decode(), start + length


def _unpack_length(data: bytes, at: int) -> tuple[int, int]:
    # A frame is at most 64 KiB: a positive fixint, uint8 or uint16.
    head = data[at]
    size = {0xCC: 1, 0xCD: 2, 0xCE: 4}.get(head, 0)
    if not size:
        return head, at + 1
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size

"""The records of the store, as Python reads them: the twin of `lua/records.lua`.

Each is a msgpack array whose first element is the version of its form. Only the script writes
wallets and sessions; this module reads them, and writes what the script takes. What the script
only keeps (definitions, ratings, info) is JSON text, because its msgpack knows no type for bytes.
"""

from typing import Final

import msgspec
from msgspec import Struct

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

FORM: Final = 1
"""The version of the forms below."""


class BucketRecord(Struct, array_like=True, frozen=True):
    """One bucket of a wallet."""

    bucket: str
    money: int
    left: int
    held: int
    credited: int
    debited: int
    from_ms: int
    until_ms: int


class WalletRecord(Struct, array_like=True, frozen=True):
    """A wallet. `definitions` is JSON text of the buckets' definitions."""

    form: int
    version: int
    active: int
    currency: str
    floor: int
    last_ms: int
    open_sessions: int
    definitions: str
    buckets: tuple[BucketRecord, ...]


class ServiceRecord(Struct, array_like=True, frozen=True):
    """One service of a session; `taken` is bucket, used, paid, three each."""

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
    subject: str
    timed: int
    segments: list[tuple[int, list[int], str]]
    segment: int
    terms: list[int] | bool
    held: list[tuple[str, int, int, int]]
    taken: list[str | int]


class SessionRecord(Struct, array_like=True, frozen=True):
    """A session; `results` is request and packed result in turn."""

    form: int
    state: State
    opened_ms: int
    deadline_ms: int
    hint_ms: int
    answer_ms: int
    top: int
    low: int
    high: int
    keys: list[str]
    results: list[msgspec.Raw]
    services: list[ServiceRecord]
    repeats: int
    start_fingerprint: str
    start_request: str


class Move(Struct, array_like=True, frozen=True):
    """What one entry changed in one bucket, and how the bucket stood after it.

    `floor` is there when the entry placed a hold on the bucket: then left - held >= floor.
    """

    bucket: str
    left_by: int
    held_by: int
    left: int
    held: int
    floor: int | None = None


class JournalEntry(Struct, array_like=True, frozen=True):
    """One entry of the journal. With its id it repeats the whole result (`ChargeResult`)."""

    form: int
    kind: str
    subject: str
    """The address of a session, or of a wallet (`credit`, `define`)."""
    request: str
    fingerprint: str
    at_ms: int
    event_ms: int
    code: str
    services: tuple[ServiceResult, ...]
    moves: list[Move]
    available_amount: int
    held_amount: int
    overrun_amount: int
    late_start: bool
    state: str
    info: str


_wallet_decoder: Final = msgspec.msgpack.Decoder(WalletRecord)
_session_decoder: Final = msgspec.msgpack.Decoder(SessionRecord)
_entry_decoder: Final = msgspec.msgpack.Decoder(JournalEntry)
_buckets_decoder: Final = msgspec.json.Decoder(tuple[Bucket, ...])
_head_decoder: Final = msgspec.msgpack.Decoder(tuple[int, int, str, int])
_result_decoder: Final = msgspec.msgpack.Decoder(ChargeResult)
_kept_decoder: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_STR8, _STR32 = 0xD9, 0xDB


def text_bytes(raw: msgspec.Raw) -> bytes:
    """Return what a Lua string held. The script's msgpack writes every string as text, also bytes."""
    data = bytes(raw)
    head = data[0]
    return data[1 + (1 << (head - _STR8)) :] if _STR8 <= head <= _STR32 else data[1:]


def encode_buckets(buckets: tuple[Bucket, ...]) -> str:
    """Write the definitions of a wallet's buckets, as JSON text."""
    return msgspec.json.encode(buckets).decode()


def decode_result(data: bytes) -> ChargeResult:
    """Read a stored result."""
    return _result_decoder.decode(data)


def decode_entry(data: bytes) -> JournalEntry:
    """Read an entry of the journal."""
    return _entry_decoder.decode(data)


def decode_stale(head: bytes, definitions: bytes) -> WalletDefinition:
    """Read the definitions that come with STALE."""
    version, active, currency, floor = _head_decoder.decode(head)
    return WalletDefinition(
        version=version,
        active=bool(active),
        currency=currency,
        floor_amount=floor,
        buckets=_buckets_decoder.decode(definitions),
    )


def decode_wallet(data: bytes) -> WalletBalance:
    """Read a wallet."""
    record = _wallet_decoder.decode(data)
    return WalletBalance(
        definition=WalletDefinition(
            version=record.version,
            currency=record.currency,
            active=bool(record.active),
            floor_amount=record.floor,
            buckets=_buckets_decoder.decode(record.definitions),
        ),
        balances=tuple(
            BucketBalance(
                bucket=b.bucket, left=b.left, held=b.held, credited=b.credited, debited=b.debited
            )
            for b in record.buckets
        ),
        open_sessions=record.open_sessions,
    )


def decode_session(key: SessionKey, data: bytes) -> SessionView:
    """Read a session."""
    record = _session_decoder.decode(data)
    last = None
    if record.results:
        kept = _kept_decoder.decode(text_bytes(record.results[-1]))
        last = decode_result(text_bytes(kept[1]))
    return SessionView(
        key=key,
        state=record.state,
        opened_ms=record.opened_ms,
        deadline_ms=record.deadline_ms,
        answer_ms=record.answer_ms,
        elapsed_units=sum(s.elapsed for s in record.services),
        granted_units=sum(s.granted for s in record.services),
        charged_amount=sum(s.charged for s in record.services),
        repeats=record.repeats,
        holds=tuple(
            HoldView(rating_group=s.rating_group, bucket=bucket, amount=amount)
            for s in record.services
            for bucket, amount, _, _ in s.held
        ),
        last=last,
    )

"""The records of the store, as Python reads and writes them: the twin of `lua/records.lua`.

Each is a fixed form of little-endian numbers and texts (a length, then that many bytes of UTF-8),
because that is what the script reads and writes at the least cost: one call of its `struct` library
a record, where msgpack costs twice as much for each value. What is stored begins with the version
of its form. Only the script writes wallets and sessions; this module reads them, and reads the
answers. What only Python reads (definitions for Python) is msgpack and JSON.
"""

from collections.abc import Iterator
from struct import Struct as Form
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.results import ResultCode
from ocs.domain.session import State
from ocs.domain.wallet import Bucket, BucketKind
from ocs.usecases.ports import (
    BucketBalance,
    ChargeResult,
    HoldView,
    ServiceResult,
    SessionKey,
    SessionView,
    Settler,
    WalletBalance,
    WalletDefinition,
)

RECORD_FORM: Final = 3
"""The version of the forms; `lua/records.lua` has the same. Nothing reads another one."""

_MONEY: Final = BucketKind.MONEY
_SETTLERS: Final = (Settler.EVENTS, Settler.CDR, Settler.NOBODY)
"""In the order of their numbers in `lua/records.lua`."""


class Frame(Struct, frozen=True, gc=False):
    """An answer as the script packs it; the journal's id stands beside it."""

    services: tuple[ServiceResult, ...]
    available_amount: int
    held_amount: int
    overrun_amount: int
    late_start: bool
    ratings: tuple[str, ...]
    asked: bytes
    """Request and fingerprint, each with its length."""

    @property
    def request(self) -> str:
        return Reader(self.asked).long_text()


Move = tuple[str, int, int, int, int, int | None]


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One entry of the journal.

    `subject` is the address of a session, or of a wallet (`credit`, `define`). `moves` is bucket,
    left by, held by, left, held and floor of each bucket that changed; the floor is None unless a
    hold was placed. `frame` is the answer to a charge. `event_ms` is 0 where there was no event.
    When it was written is in its id.
    """

    kind: str
    subject: str
    event_ms: int
    state: str
    info: str
    moves: tuple[Move, ...]
    frame: Frame | None


class DefinitionRecord(Struct, array_like=True, frozen=True):
    """What a wallet is, for Python. `buckets` is JSON text of the buckets' definitions."""

    version: int
    active: int
    currency: str
    floor: int
    buckets: str
    settled_by: Settler = Settler.EVENTS


_definition_decoder: Final = msgspec.msgpack.Decoder(DefinitionRecord)
_buckets_decoder: Final = msgspec.json.Decoder(tuple[Bucket, ...])
_encode: Final = msgspec.msgpack.Encoder().encode
CODES: Final = {code.value.encode(): code for code in ResultCode}

_SHORT: Final = Form("<H")
_LONG: Final = Form("<I")
_FRAME_HEAD: Final = Form("<BBqqq")
_RESULT: Final = Form("<qqBqqqBHH")
_WALLET_HEAD: Final = Form("<BddH")
_BUCKET: Final = Form("<dddd")
_DEFINITION_HEAD: Final = Form("<dBd")
_DEFINED: Final = Form("<Bdd")
_SESSION_NUMBERS: Final = Form("<BdHBddddd")
_SERVICE: Final = Form("<Bddddd")
_SHAPE_MONEY, _SHAPE_UNITS, _SHAPE_ANY = 2, 3, 4
_UNITS: Final = Form("<ddddd")
_ANY: Final = Form("<BHH")
_RARE: Final = Form("<HBdB")
_ENTRY_COUNTS: Final = Form("<IH")
_MOVE: Final = Form("<ddddBd")
_ORIGIN: Final = Form("<dd")
_NUMBER: Final = Form("<d")
_TERMS: Final = Form("<10d")
_HELD: Final = Form("<dB")
_HELD_UNITS: Final = Form("<dd")
_TAKEN: Final = Form("<dd")


class Reader:
    """Reads a record from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def numbers(self, form: Form) -> tuple[int, ...]:
        """Read some numbers; the script's doubles hold integers below 2^53."""
        values = form.unpack_from(self.data, self.at)
        self.at += form.size
        return tuple(map(int, values))

    def text(self, length: int) -> str:
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def tiny_text(self) -> str:
        self.at += 1
        return self.text(self.data[self.at - 1])

    def short_text(self) -> str:
        (length,) = self.numbers(_SHORT)
        return self.text(length)

    def long_text(self) -> str:
        (length,) = self.numbers(_LONG)
        return self.text(length)

    def rest(self) -> bytes:
        return self.data[self.at :]


def short_text(text: str) -> bytes:
    """Write a text of up to 65,535 bytes."""
    data = text.encode()
    return _SHORT.pack(len(data)) + data


def long_text(text: str) -> bytes:
    """Write a text of any length."""
    data = text.encode()
    return _LONG.pack(len(data)) + data


def encode_told(kind: str, event_ms: int, address: str, info: str) -> bytes:
    """Write what the journal is told of an operation; `event_ms` 0 where there is no event."""
    return short_text(kind) + _NUMBER.pack(event_ms) + long_text(address) + info.encode()


def encode_definition(definition: WalletDefinition) -> tuple[bytes, bytes]:
    """Write what a wallet is: for the script, which needs no prices or usage types; for Python."""
    lowest, active = definition.floor_amount, int(definition.active)
    told = active + 2 * _SETTLERS.index(definition.settled_by)
    parts = [_DEFINITION_HEAD.pack(definition.version, told, lowest)]
    parts.append(short_text(definition.currency))
    for b in definition.buckets:
        parts.append(short_text(b.bucket))
        parts.append(_DEFINED.pack(b.kind is _MONEY, b.valid_from_ms, b.valid_until_ms))
    buckets = msgspec.json.encode(definition.buckets).decode()
    record = DefinitionRecord(
        definition.version, active, definition.currency, lowest, buckets, definition.settled_by
    )
    return b"".join(parts), _encode(record)


def decode_definition(data: bytes) -> WalletDefinition:
    """Read the definitions of a wallet."""
    record = _definition_decoder.decode(data)
    return WalletDefinition(
        version=record.version,
        active=bool(record.active),
        currency=record.currency,
        floor_amount=record.floor,
        buckets=_buckets_decoder.decode(record.buckets),
        settled_by=record.settled_by,
    )


def decode_frame(data: bytes) -> Frame:
    """Read an answer."""
    count, late, free, held, overrun = _FRAME_HEAD.unpack_from(data)
    at = _FRAME_HEAD.size
    services, ratings = [], []
    for _ in range(count):
        granted, validity, final, used, settled, total, *lengths = _RESULT.unpack_from(data, at)
        at += _RESULT.size
        code_bytes, group_bytes, rating_bytes = lengths
        group_at = at + code_bytes
        rating_at = group_at + group_bytes
        end = rating_at + rating_bytes
        services.append(
            ServiceResult(
                data[group_at:rating_at].decode(),
                CODES[data[at:group_at]],
                granted,
                validity,
                final == 1,
                used,
                settled,
                total,
            )
        )
        ratings.append(data[rating_at:end].decode())
        at = end
    return Frame(tuple(services), free, held, overrun, late == 1, tuple(ratings), data[at:])


def _code_of(services: tuple[ServiceResult, ...]) -> ResultCode:
    """Choose the code of the whole: OK when any service is OK, NOT_CHARGED, else the first's."""
    if len(services) == 1:
        return services[0].code
    codes = [service.code for service in services]
    for code in (ResultCode.OK, ResultCode.NOT_CHARGED):
        if code in codes:
            return code
    return codes[0] if codes else ResultCode.OK


def result_of(frame: Frame, transaction_id: str) -> ChargeResult:
    """Make the result that a frame and its transaction id stand for."""
    services = frame.services
    return ChargeResult(
        _code_of(services),
        transaction_id,
        services,
        frame.available_amount,
        frame.held_amount,
        frame.overrun_amount,
        frame.late_start,
    )


def decode_entry(data: bytes) -> JournalEntry:
    """Read an entry of the journal."""
    reader = Reader(data)
    reader.at = 1
    state = reader.tiny_text()
    told_bytes, count = reader.numbers(_ENTRY_COUNTS)
    moves = tuple(_read_moves(reader, count))
    end = reader.at + told_bytes
    kind = reader.short_text()
    (event_ms,) = reader.numbers(_NUMBER)
    subject = reader.long_text()
    info = reader.text(end - reader.at)
    frame = reader.rest()
    return JournalEntry(
        kind=kind,
        subject=subject,
        event_ms=event_ms,
        state=state,
        info=info,
        moves=moves,
        frame=decode_frame(frame) if frame else None,
    )


def decode_moves(data: bytes) -> tuple[str, tuple[Move, ...]]:
    """Read of an entry only its subject and what it moved: a third of the price of the whole."""
    reader = Reader(data)
    reader.at = 2 + data[1]  # behind the state
    _, count = reader.numbers(_ENTRY_COUNTS)
    moves = tuple(_read_moves(reader, count))
    reader.short_text()  # the kind
    reader.at += _NUMBER.size
    return reader.long_text(), moves


def _read_moves(reader: Reader, count: int) -> Iterator[Move]:
    for _ in range(count):
        bucket = reader.short_text()
        left_by, held_by, left, held, placed, lowest = reader.numbers(_MOVE)
        yield bucket, left_by, held_by, left, held, lowest if placed else None


def decode_wallet(data: bytes, definitions: bytes) -> WalletBalance:
    """Read a wallet."""
    reader = Reader(data)
    _, _, open_sessions, count = reader.numbers(_WALLET_HEAD)
    numbers = [reader.numbers(_BUCKET) for _ in range(count)]
    reader.numbers(_DEFINITION_HEAD)
    reader.short_text()  # the currency
    balances = []
    for left, held, credited, debited in numbers:
        bucket = reader.short_text()
        reader.numbers(_DEFINED)
        balances.append(
            BucketBalance(bucket=bucket, left=left, held=held, credited=credited, debited=debited)
        )
    return WalletBalance(
        definition=decode_definition(definitions),
        balances=tuple(balances),
        open_sessions=open_sessions,
    )


class _Service(Struct):
    """What is shown of one service."""

    elapsed: int
    granted: int
    charged: int
    holds: list[HoldView]


def decode_session(key: SessionKey, label: str, data: bytes) -> SessionView:
    """Read a session; `label` is its partition's, with which transaction ids begin."""
    reader = Reader(data)
    _, deadline_ms, count, kept, _, answer_ms, *_ = reader.numbers(_SESSION_NUMBERS)
    state = State(reader.tiny_text())
    (origin_bytes,) = reader.numbers(_LONG)
    end = reader.at + origin_bytes
    opened_ms, repeats = reader.numbers(_ORIGIN)
    reader.at = end
    services = [_read_service(reader) for _ in range(count)]
    return SessionView(
        key=key,
        state=state,
        opened_ms=opened_ms,
        deadline_ms=deadline_ms,
        answer_ms=answer_ms,
        elapsed_units=sum(s.elapsed for s in services),
        granted_units=sum(s.granted for s in services),
        charged_amount=sum(s.charged for s in services),
        repeats=repeats,
        holds=tuple(hold for s in services for hold in s.holds),
        last=_last_result(reader, kept, label),
    )


def _read_service(reader: Reader) -> _Service:
    shape, elapsed, _, _, charged, granted = reader.numbers(_SERVICE)
    reader.short_text()  # the subject of the price
    held = []
    if shape in {_SHAPE_MONEY, _SHAPE_UNITS}:
        bucket = reader.short_text()
        amount, *_ = reader.numbers(_UNITS if shape == _SHAPE_UNITS else _NUMBER)
        if amount:
            held.append((bucket, amount))
    (price_bytes,) = reader.numbers(_LONG)
    price = Reader(reader.data[reader.at + 1 : reader.at + price_bytes])
    reader.at += price_bytes
    if shape == _SHAPE_ANY:
        held = _read_any(reader)
    group = price.short_text()
    holds = [HoldView(rating_group=group, bucket=b, amount=amount) for b, amount in held]
    return _Service(elapsed, granted, charged, holds)


def _read_any(reader: Reader) -> list[tuple[str, int]]:
    """Read what no other shape has room for; returns what is held."""
    rare, held_count, taken_count = reader.numbers(_ANY)
    held = []
    for _ in range(held_count):
        bucket = reader.short_text()
        amount, of_units = reader.numbers(_HELD)
        if of_units:
            reader.numbers(_HELD_UNITS)
        held.append((bucket, amount))
    for _ in range(taken_count):
        reader.short_text()
        reader.numbers(_TAKEN)
    if rare:
        *_, own_terms = reader.numbers(_RARE)
        if own_terms:
            reader.numbers(_TERMS)
    return held


def _last_result(reader: Reader, kept: int, label: str) -> ChargeResult | None:
    """Read the last of the kept answers."""
    last = None
    for _ in range(kept):
        (length,) = reader.numbers(_LONG)
        end = reader.at + length
        entry_id = reader.tiny_text()
        last = result_of(decode_frame(reader.data[reader.at : end]), f"{label}-{entry_id}")
        reader.at = end
    return last

"""How a charge travels to the store: the bytes that `lua/charge.lua` reads.

    numbers │ limits │ request, fingerprint │ kind, time, address, info │ uses

The parts that come again and again are made once and remembered here, and taken apart once and
remembered there: the limits of a plan, a list of payers, and the price of a destination with its
rating group. So a call costs little more than to join them. What a price is for (the subject, in a
call the number) goes beside it: prices are few, numbers are not.
"""

from functools import lru_cache
from struct import Struct as Form
from typing import Final

import msgspec

from ocs.adapters.valkey.records import encode_told, long_text, short_text
from ocs.domain.wallet import Payer
from ocs.usecases.ports import ChargeCall, ChargeLimits, Segment, ServiceCall

_MOST_PRICES: Final = 20_000
_MOST_LISTS: Final = 1_000

_HEAD: Final = Form("<ddddBBB")
_USE: Final = Form("<ddddBH")
_LONG: Final = Form("<I")
_SHORT: Final = Form("<H")
_NUMBER: Final = Form("<d")
_PAYER: Final = Form("<dd")
_LIMITS: Final = Form("<9d")
_ladder_decoder: Final = msgspec.msgpack.Decoder(tuple[int, ...])


def encode_call(call: ChargeCall, address: str) -> bytes:
    """Write a call; `address` is that of its session."""
    number = call.request_number
    kind = call.kind.value
    asked = long_text(call.request_key if number < 0 else str(number))
    asked += long_text(call.fingerprint)
    told = encode_told(kind, call.event_ms, address, call.info)
    parts = [
        _kind_text(kind),
        _HEAD.pack(
            number,
            call.wallet_version,
            call.event_ms,
            call.answer_ms,
            call.answered,
            call.dry_run,
            call.can_open,
        ),
        _limits(call.limits),
        _LONG.pack(len(asked)),
        asked,
        _LONG.pack(len(told)),
        told,
        _SHORT.pack(len(call.services)),
    ]
    for service in call.services:
        _add_use(parts, service)
    return b"".join(parts)


def _add_use(parts: list[bytes], service: ServiceCall) -> None:
    payers = _payers(service.payers)
    price = _price_of(service)
    parts.append(
        _USE.pack(
            service.used_units,
            service.ask_units,
            service.cap_units,
            service.minimum_units,
            service.free,
            len(payers),
        )
    )
    parts.append(payers)
    parts.append(_LONG.pack(len(price)))
    parts.append(price)
    parts.append(short_text(service.subject))


def _price_of(service: ServiceCall) -> bytes:
    segments = service.segments
    group, timed = service.rating_group, service.timed
    if len(segments) == 1:
        only = segments[0]
        return _plain_price(timed, group, only.rating, bytes(only.ladder))
    if not segments:
        return _plain_price(timed, group, "", b"")
    first, *switches = segments
    plain = _plain_price(timed, group, first.rating, bytes(first.ladder))
    return plain + b"".join(map(_switch, switches))


def _switch(segment: Segment) -> bytes:
    ladder = _ladder(bytes(segment.ladder))
    return _NUMBER.pack(segment.from_ms) + ladder + short_text(segment.rating)


@lru_cache(maxsize=_MOST_PRICES)
def _plain_price(timed: int, group: str, rating: str, ladder: bytes) -> bytes:
    head = bytes((timed,)) + short_text(group) + short_text(rating)
    return head + _ladder(ladder)


@lru_cache(maxsize=_MOST_LISTS)
def _ladder(packed: bytes) -> bytes:
    numbers = _ladder_decoder.decode(packed) if packed else ()
    data = b"".join(map(_NUMBER.pack, numbers))
    return _LONG.pack(len(data)) + data


@lru_cache(maxsize=_MOST_LISTS)
def _payers(payers: tuple[Payer, ...]) -> bytes:
    return b"".join(
        short_text(payer.bucket) + _PAYER.pack(payer.increment_units, payer.factor)
        for payer in payers
    )


@lru_cache(maxsize=_MOST_LISTS)
def _limits(limits: ChargeLimits) -> bytes:
    return _LIMITS.pack(*msgspec.structs.astuple(limits))


@lru_cache(maxsize=_MOST_LISTS)
def _kind_text(kind: str) -> bytes:
    return bytes((len(kind),)) + kind.encode()

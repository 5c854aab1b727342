"""What charging does not read, kept as JSON text for the CDR.

It travels through the store and its journal, so it is limited. A client that sends more has it cut
at whole fields and marked `attributes_truncated`: refusing the event would cost a call.
"""

from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from ocs.entrypoints.decoders.wire import Extras, PlainEvent, WireEvent

LONGEST_ATTRIBUTES: Final = 4_096
"""Bytes of JSON kept of one event."""

_MOST_TRUNKS: Final = 1_000
"""Trunks of which what is kept is remembered, where it is nothing else: 0.2 MB of usual names."""
_encode: Final = msgspec.json.Encoder().encode


class _Kept(Struct, omit_defaults=True, gc=False):
    """Known fields that charging may leave unread."""

    trunk: str = ""
    trunk_in: str = ""
    trunk_out: str = ""
    release_cause: int | str | None = None
    msisdn: str = ""
    imsi: str = ""
    sip_user: str = ""
    event_id: str = ""


def attributes_of(wire: WireEvent, extras: Extras | None) -> bytes:
    """Return the JSON text of all that is unread; empty when nothing is."""
    if _is_bare(wire):
        return attributes_kept(extras)
    kept = _Kept(
        wire.trunk,
        wire.trunk_in,
        wire.trunk_out,
        wire.release_cause,
        wire.msisdn,
        wire.imsi,
        wire.sip_user,
        wire.event_id,
    )
    return _joined(kept, extras)


def attributes_of_plain(plain: PlainEvent, extras: Extras | None) -> bytes:
    """Return the same of a plain event."""
    if plain.release_cause is None:
        if not plain.trunk:
            return attributes_kept(extras)
        if not extras:
            return _of_trunk(plain.trunk)
    return _joined(_Kept(trunk=plain.trunk, release_cause=plain.release_cause), extras)


@lru_cache(maxsize=_MOST_TRUNKS)
def _of_trunk(trunk: str) -> bytes:
    return _encode(_Kept(trunk))


def _joined(kept: _Kept, extras: Extras | None) -> bytes:
    known = _encode(kept)
    if not extras:
        return known
    unknown = _encode(extras)
    if len(known) + len(unknown) - 1 > LONGEST_ATTRIBUTES:
        return _cut(msgspec.to_builtins(kept) | extras)
    return known[:-1] + b"," + unknown[1:]  # one object of two, neither of which is empty


def attributes_kept(extras: Extras | None) -> bytes:
    """Return the same of an event that leaves nothing unread but these."""
    if not extras:
        return b""
    text = _encode(extras)
    return text if len(text) <= LONGEST_ATTRIBUTES else _cut(extras)


def attributes_in(kept: Struct) -> bytes | None:
    """Return the same where all that is unread is in a struct; None: it is too long."""
    text = _encode(kept)
    return text if len(text) <= LONGEST_ATTRIBUTES else None


def _is_bare(wire: WireEvent) -> bool:
    """Tell whether nothing of `_Kept` is there: of most events, and cheaper than to write it."""
    return not (
        wire.trunk
        or wire.trunk_in
        or wire.event_id
        or wire.imsi
        or wire.msisdn
        or wire.sip_user
        or wire.trunk_out
        or wire.release_cause is not None
    )


def _cut(fields: Extras) -> bytes:
    """Keep the first whole fields that fit, and say that there were more."""
    mark = {"attributes_truncated": True}
    kept: Extras = {}
    left = LONGEST_ATTRIBUTES - len(_encode(mark))
    for name, value in fields.items():
        left -= len(_encode({name: value}))
        if left >= 0:
            kept[name] = value
        else:
            break
    return _encode(kept | mark)

"""What a service used, where its client reports it in parts (`services[].used`).

A client closes its counters when a price changes under it, when a quota ends, when its user moves;
each part says why and when. Charging needs their sum, and how much of it is from before a change of
the tariff that the last answer told. Reasons and order are kept for the CDR.

Parts may count in several ways at once (a Gy client reports seconds beside octets). Only the way in
which the usage type is counted is summed. Use that is only reported in another way is refused: it
would be use that nobody pays for.
"""

from typing import Final

from ocs.domain.money import MAX_UNITS
from ocs.entrypoints.decoders.wire import Unreadable, WireUsed

_WAYS: Final = ("", "time", "volume", "volume_in", "volume_out", "events")
_COUNTED_IN: Final = {"voice": "time", "data": "volume"}
_EVENTS: Final = "events"
_WHEN: Final = ("", "before", "after")
_TWO_WAYS: Final = frozenset({"volume_in", "volume_out"})


def used_of(
    parts: list[WireUsed], used_units: float | None, usage_type: str
) -> tuple[float, float]:
    """Return the units used, and how many of them before a tariff change; raises Unreadable.

    `used_units` is what the service says beside its parts: it must be nothing.
    """
    if used_units is not None:
        raise Unreadable("used_units", "expected either used_units or used")
    for position, part in enumerate(parts):
        if part.kind not in _WAYS:
            reason = "expected time, volume, volume_in, volume_out or events"
            raise Unreadable(f"used[{position}].kind", reason)
        if part.when not in _WHEN:
            raise Unreadable(f"used[{position}].when", "expected before or after")
    counted = _counted(parts, _COUNTED_IN.get(usage_type, _EVENTS))
    used = sum(part.units for part in counted)
    if used > MAX_UNITS:
        raise Unreadable("used", f"expected at most {MAX_UNITS} in all")
    return used, sum(part.units for part in counted if part.when == "before")


def _counted(parts: list[WireUsed], way: str) -> list[WireUsed]:
    counted = [part for part in parts if part.kind in ("", way)]
    if not counted and way == "volume":
        counted = [part for part in parts if part.kind in _TWO_WAYS]
    if not counted and any(part.units for part in parts):
        raise Unreadable("used", f"expected a part of the kind {way}")
    return counted

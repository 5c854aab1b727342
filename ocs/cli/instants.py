"""The instant that an option names: a date, a time in a zone, seconds since 1970, or now."""

from datetime import UTC, datetime

from ocs.adapters.clock import wall_ms
from ocs.cli.options import ASKED_WRONGLY, fail
from ocs.domain.zones import LATEST_MS, Zone


def instant_ms(option: str, text: str, zone: Zone) -> int:
    """Read RFC 3339 (in `zone` where it has no offset) or epoch seconds; "" is now."""
    if not text:
        return wall_ms()
    try:
        at_ms = _read(text, zone)
    except (ValueError, OverflowError):
        at_ms = -1
    if not 0 <= at_ms < LATEST_MS:
        raise fail(
            f"{option}: {text!r} is neither RFC 3339 nor epoch seconds, from 1970 on", ASKED_WRONGLY
        )
    return at_ms


def _read(text: str, zone: Zone) -> int:
    if text.isdecimal():
        return int(text) * 1000
    time = datetime.fromisoformat(text)
    if time.tzinfo is not None:
        return int(time.timestamp() * 1000)
    return zone.instant_ms(int(time.replace(tzinfo=UTC).timestamp() * 1000))

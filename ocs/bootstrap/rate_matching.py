"""`ocs tariff match`: an event, held against the rates and filters of a BillRun."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ocs.adapters.tariff_import.billrun_matching import (
    BadFilterError,
    Match,
    match_rates,
    rates_by_category,
)
from ocs.adapters.tariff_import.json_source import SourceError, date_ms, parse_json, read_json

_TIMES = ("time", "urt", "event_time")


class CannotMatch(Exception):
    """A file or an event that cannot be used."""


class MatchReport(msgspec.Struct, frozen=True):
    """Which rate each tariff category takes at a time (RFC 3339)."""

    at: str
    matches: tuple[Match, ...]

    @property
    def is_rated(self) -> bool:
        """Whether every category has a rate."""
        return rates_by_category(self.matches) is not None


def match_event(rates: Path, filters: Path, event: str) -> MatchReport:
    """Find the rates of an event, which is JSON or a file of it.

    Its time is a field `time` (or `urt`), its usage type `usaget` (or `usage_type`).
    """
    try:
        listed = _rates(read_json(rates), rates.name)
        by_category = read_json(filters)
        fields = parse_json(event) if event.lstrip().startswith("{") else read_json(Path(event))
    except SourceError as error:
        raise CannotMatch(f"{error.fault.file or 'the event'}: {error.fault.reason}") from None
    if not isinstance(by_category, Mapping):
        raise CannotMatch(f"{filters.name}: is not an object of filters by category")
    if not isinstance(fields, Mapping):
        raise CannotMatch("the event is not an object")
    try:
        at_ms = next((date_ms(fields[name]) for name in _TIMES if name in fields), None)
        if at_ms is None:
            raise CannotMatch(f"the event has no {_TIMES[0]}")
        usage_type = str(fields.get("usaget") or fields.get("usage_type") or "")
        matches = match_rates(listed, by_category, fields, at_ms, usage_type)
    except (ValueError, BadFilterError) as error:
        raise CannotMatch(str(error)) from None
    return MatchReport(datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(), matches)


def _rates(document: object, file: str) -> list[Mapping[str, object]]:
    listed = document.get("rates") if isinstance(document, Mapping) else document
    if not isinstance(listed, list) or not all(isinstance(rate, Mapping) for rate in listed):
        raise CannotMatch(f"{file}: is not a list of rates")
    return listed

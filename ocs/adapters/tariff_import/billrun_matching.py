"""Which rate BillRun would take for an event: its filters by tariff category, told step by step.

Somebody who migrates has to know that the same calls meet the same prices; in BillRun that depends
on filters that look at any field of an event, where ours look at the number. So their rule is here,
for comparison only: nothing that is charged asks it.

    category -> priorities, in order; the first that finds a rate wins
    priority -> filters, all of which must hold; the prefix filters also sort, longest first

A filter compares a field of the rate (`rate_key`) with one of the event (`line_key`), or with a
value computed from it (`billrun_conditions`). Rates count from `from` up to, but without, `to`. An
event that lacks a rate in any category has none.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from ocs.adapters.tariff_import.billrun_conditions import (
    NotMet,
    at_path,
    is_equal_strictly,
    line_value,
    text_of_value,
)
from ocs.adapters.tariff_import.json_source import date_ms

Document = Mapping[str, object]

_UNRATED: Final = "UNRATED"
_RETAIL: Final = "retail"
_USAGE_TYPE: Final = "usaget"
_PREFIX: Final = "longestPrefix"
_MOST_DIGITS: Final = 64
_NUMBER: Final = (int, float, Decimal)


class Match(msgspec.Struct, frozen=True):
    """The rate of a category, None if there is none; `priority` counts from 1."""

    category: str
    rate: str | None
    priority: int | None = None


class BadFilterError(ValueError):
    """A filter that BillRun would not understand either."""


def match_rates(
    rates: Sequence[Document],
    filters: Mapping[str, object],
    event: Document,
    at_ms: int,
    usage_type: str = "",
) -> tuple[Match, ...]:
    """Return the rate of each category; BadFilterError for a filter of no known kind.

    `usage_type` "" takes rates of every usage type into account.
    """
    in_force = [rate for rate in rates if _holds(rate, at_ms, usage_type)]
    matches = []
    for category, listed in filters.items():
        of_category = [
            rate for rate in in_force if str(rate.get("tariff_category") or _RETAIL) == category
        ]
        matches.append(_match(category, _priorities(listed), of_category, event))
    return tuple(matches)


def rates_by_category(matches: Sequence[Match]) -> dict[str, str] | None:
    """Return what the event is rated with; None as soon as one category has no rate."""
    found = {match.category: match.rate for match in matches if match.rate is not None}
    return found if found and len(found) == len(matches) else None


def _match(
    category: str,
    priorities: Sequence[Sequence[Document]],
    rates: Sequence[Document],
    event: Document,
) -> Match:
    for position, filters in enumerate(priorities, 1):
        rate = _first(filters, rates, event)
        if rate is not None:
            key = str(rate.get("key", ""))
            return Match(category, None if key == _UNRATED else key, position)
    return Match(category, None)


def _first(
    filters: Sequence[Document], rates: Sequence[Document], event: Document
) -> Document | None:
    """Return the rate that passes all filters, of several the one with the longest prefixes."""
    found = [(rate, ()) for rate in rates]
    ranked: list[tuple[Document, tuple[str, ...]]] = list(found)
    for each in filters:
        kind = str(each.get("type", ""))
        if kind != _PREFIX and kind not in _KINDS:
            raise BadFilterError(f"{kind[:40]!r} is not one of {', '.join((*_KINDS, _PREFIX))}")
        key = str(each.get("rate_key") or each.get("entity_key") or "")
        if key == _USAGE_TYPE:
            continue
        try:
            value = line_value(each, event)
        except NotMet:
            return None
        if kind == _PREFIX:
            ranked = _by_prefix(ranked, key, value)
        else:
            holds = _KINDS[kind]
            ranked = [(rate, rank) for rate, rank in ranked if holds(at_path(rate, key), value)]
    # Prefixes of one number compare as text like they compare by length.
    return max(ranked, key=lambda each: each[1])[0] if ranked else None


def _by_prefix(
    ranked: Sequence[tuple[Document, tuple[str, ...]]], key: str, value: object
) -> list[tuple[Document, tuple[str, ...]]]:
    """Keep the rates with a prefix of the value, and remember the longest."""
    number = text_of_value(value[0] if isinstance(value, list) and value else value)[:_MOST_DIGITS]
    kept = []
    for rate, rank in ranked:
        listed = at_path(rate, key)
        prefixes = [
            prefix
            for prefix in (listed if isinstance(listed, list) else [listed])
            if isinstance(prefix, str) and prefix and number.startswith(prefix)
        ]
        if prefixes:
            kept.append((rate, (*rank, max(prefixes))))
    return kept


def _equals(found: object, value: object) -> bool:
    """Equality as the database has it: a list holds its members, and types must agree."""
    if isinstance(found, list) and any(is_equal_strictly(item, value) for item in found):
        return True
    return is_equal_strictly(found, value)


def _is_in_range(found: object, value: object) -> bool:
    """Whether one of a list of ranges, from and to included, holds the value."""
    for item in found if isinstance(found, list) else []:
        if isinstance(item, Mapping):
            low, high = item.get("from"), item.get("to")
            if _is_ordered(low, value) and _is_ordered(value, high):
                return True
    return False


def _is_ordered(low: object, high: object) -> bool:
    """Whether low <= high, where they are of one kind; of different kinds they never are."""
    if isinstance(low, str) and isinstance(high, str):
        return low <= high
    if isinstance(low, bool) or isinstance(high, bool):
        return False
    if isinstance(low, _NUMBER) and isinstance(high, _NUMBER):
        return low <= high
    return False


def _has_pattern(found: object, value: object) -> bool:
    try:
        pattern = re.compile(text_of_value(value), re.IGNORECASE)
    except re.error as error:
        raise BadFilterError(f"{text_of_value(value)[:40]!r} is not a pattern: {error}") from error
    items = found if isinstance(found, list) else [found]
    return any(isinstance(item, str) and pattern.search(item) for item in items)


_KINDS: Final[dict[str, Callable[[object, object], bool]]] = {
    "match": _equals,
    "equalFalse": lambda found, value: not _equals(found, value),
    "range": _is_in_range,
    "regex": _has_pattern,
}


def _holds(rate: Document, at_ms: int, usage_type: str) -> bool:
    from_ms, to_ms = date_ms(rate.get("from")), date_ms(rate.get("to"))
    priced = rate.get("rates")
    if usage_type and isinstance(priced, Mapping) and usage_type not in priced:
        return False
    return (from_ms is None or from_ms <= at_ms) and (to_ms is None or at_ms < to_ms)


def _priorities(listed: object) -> list[list[Document]]:
    """Return the filters by priority, however they are wrapped."""
    if isinstance(listed, Mapping):
        listed = listed.get("priorities")
    if not isinstance(listed, list):
        raise BadFilterError("the filters of a category are a list of priorities")
    priorities = []
    for priority in listed:
        filters = priority.get("filters") if isinstance(priority, Mapping) else priority
        if not isinstance(filters, list) or not all(isinstance(each, Mapping) for each in filters):
            raise BadFilterError("a priority is a list of filters")
        priorities.append(filters)
    return priorities

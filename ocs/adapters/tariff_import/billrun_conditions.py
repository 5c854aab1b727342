"""The value that a BillRun filter compares with: a field of the event, or one computed from it.

    regex        the field, with everything that the pattern matches taken out of it
    condition    compare two fields; go on with a third, with a fixed value, or with the answer
    function     of a time: hour_of_day "08", time_of_day "0830", day_of_week "1" to "7", ...

A condition that must be met and is not ends its priority (`NotMet`). Comparisons are PHP's: numbers
in text are numbers, and true equals whatever is not empty.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ocs.adapters.tariff_import.json_source import number

Document = Mapping[str, object]

_COMPUTED: Final = "computed"
_RESULT: Final = "condition_result"
_FIXED: Final = "hard_coded"
_PATTERN: Final = re.compile(r"/(.*)/([a-z]*)", re.DOTALL)
_LONGEST_STAMP: Final = 11  # digits of seconds since 1970; what is longer is a date
_FUNCTIONS: Final = {
    "minute_of_hour": "%M",
    "hour_of_day": "%H",
    "time_of_day": "%H%M",
    "day_of_week": "%u",
    "day_of_month": "%d",
    "month_of_year": "%m",
    "month_and_day": "%m%d",
}


class NotMet(Exception):
    """A condition that must be met is not."""


def line_value(filter_: Document, event: Document) -> object:
    """Return what a filter compares the rate's field with."""
    key = str(filter_.get("line_key", ""))
    if key == _COMPUTED:
        computed = filter_.get("computed")
        return _computed(computed if isinstance(computed, Mapping) else {}, event)
    return _applied(_field(event, key), filter_.get("preFunction"))


def at_path(document: object, path: str) -> object:
    """Return the value at a dotted path; None where there is none."""
    for name in path.split("."):
        if not isinstance(document, Mapping) or name not in document:
            return None
        document = document[name]
    return document


def text_of_value(value: object) -> str:
    """Return a value as PHP writes it where it needs text."""
    if isinstance(value, bool):
        return "1" if value else ""
    return "" if value is None else str(value)


def is_equal_strictly(one: object, other: object) -> bool:
    """Equality of values of one kind: 1 is not "1", and true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return one == other


def _computed(computed: Document, event: Document) -> object:
    keys = computed.get("line_keys")
    lines = [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []
    first = lines[0] if lines else {}
    second = lines[1] if len(lines) > 1 else {}
    value = _applied(_line(first, event), first.get("preFunction"))
    if computed.get("type", "regex") == "regex":
        return value
    operator = str(computed.get("operator", ""))
    if operator in _OF_PRESENCE:
        result = _OF_PRESENCE[operator](_present(event, str(first.get("key", ""))))
    elif operator == "$regex":
        result = _matches(str(second.get("key", "")), value)
    else:
        compare = _OPERATORS.get(operator)
        result = compare is not None and compare(value, _line(second, event))
    return _projected(computed, event, result=result)


def _projected(computed: Document, event: Document, *, result: bool) -> object:
    """Return what a condition goes on with."""
    if computed.get("must_met") and not result:
        raise NotMet
    projection = computed.get("projection")
    chosen = at_path(projection, "on_true" if result else "on_false")
    target = chosen if isinstance(chosen, Mapping) else {}
    key = str(target.get("key", ""))
    if key == _RESULT:
        return result
    if key == _FIXED:
        return target.get("value", "")
    return _line(target, event)


def _line(key: Document, event: Document) -> object:
    value = _field(event, str(key.get("key", "")))
    pattern = str(key.get("regex") or "")
    compiled = _compiled(pattern) if pattern else None
    return value if compiled is None else compiled.sub("", text_of_value(value))


def _field(event: Document, key: str) -> object:
    """Return a field: the user's own first, then the event's; "" where it has none."""
    found = _present(event, key)
    return "" if found is None else found


def _present(event: Document, key: str) -> object:
    for place in (f"uf.{key}", f"foreign.{key}", key):
        found = at_path(event, place)
        if found is not None:
            return found
    return None


def _applied(value: object, function: object) -> object:
    """Apply a function of time; what is no time stays as it is."""
    if not isinstance(function, str) or function not in _FUNCTIONS:
        return value
    text = text_of_value(value)
    try:
        if len(text) > _LONGEST_STAMP:
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError):
        return value
    return moment.strftime(_FUNCTIONS[function])


def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern written between slashes; None for what is none."""
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        return None
    try:
        return re.compile(match[1], re.IGNORECASE if "i" in match[2] else 0)
    except re.error:
        return None


def _matches(pattern: str, value: object) -> bool:
    compiled = _compiled(pattern) or _compiled(f"/{pattern}/")
    values = value if isinstance(value, list) else [value]
    return compiled is not None and any(compiled.search(text_of_value(item)) for item in values)


def _order(one: object, other: object) -> int:
    """Compare loosely: as booleans where one is, as numbers where both can be, else as text."""
    if isinstance(one, bool) or isinstance(other, bool):
        return int(_is_truthy(one)) - int(_is_truthy(other))
    try:
        difference = number(one) - number(other)
    except ValueError:
        first, second = text_of_value(one), text_of_value(other)
        return (first > second) - (first < second)
    return (difference > 0) - (difference < 0)


def _is_truthy(value: object) -> bool:
    return value not in (None, False, "", "0", 0, [])


def _is_among(value: object, listed: object) -> bool:
    values = value if isinstance(value, list) else [value]
    others = listed if isinstance(listed, list) else [listed]
    return any(_order(one, other) == 0 for one in values for other in others)


_OPERATORS: Final[dict[str, Callable[[object, object], bool]]] = {
    "$eq": lambda one, other: _order(one, other) == 0,
    "$ne": lambda one, other: _order(one, other) != 0,
    "$gt": lambda one, other: _order(one, other) > 0,
    "$gte": lambda one, other: _order(one, other) >= 0,
    "$lt": lambda one, other: _order(one, other) < 0,
    "$lte": lambda one, other: _order(one, other) <= 0,
    "$in": _is_among,
    "$nin": lambda one, other: not _is_among(one, other),
}

_OF_PRESENCE: Final[dict[str, Callable[[object], bool]]] = {
    "$exists": lambda value: value is not None,
    "$existsFalse": lambda value: value is None,
    "$isTrue": lambda value: value is not None and _is_truthy(value),
    "$isFalse": lambda value: value is not None and not _is_truthy(value),
}

"""A client's value as the kind that its canonical field wants: texts as numbers, numbers as texts.

Form posts and dialplans have nothing but texts; other clients write numbers of subscribers as
numbers. This is the one place that bridges it, for every source but `default`, whose clients are
told what to send. What cannot be converted is handed on as it is: the typed decoder behind this
names it, and says what was expected.

Times are told apart by their size: seconds since 1970 stay below 10¹¹ for 3,000 years, and a
thousand times that is milliseconds, then microseconds, then nanoseconds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

Convert = Callable[[object], object]

_WHOLE: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_FEW: Final = 18
_NUMBER: Final = re.compile(r"-?(\d{1,19}(\.\d*)?|\.\d+)", re.ASCII)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_SECONDS: Final = 10**11
_SIZES: Final = ((1e14, 1_000), (1e17, 1_000_000), (1e20, 1_000_000_000))


def text(value: object) -> object:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    if type(value) is float and value.is_integer():
        return str(int(value))
    return value


def whole(value: object) -> object:
    if type(value) is str:
        if value.isdecimal() and len(value) <= _FEW and value.isascii():  # as most are
            return int(value)
        return int(value) if _WHOLE.fullmatch(value.strip()) else value
    if type(value) is float and value.is_integer():
        return int(value)
    return value


def number(value: object) -> object:
    if type(value) is not str:
        return value
    if value.isdecimal() and len(value) <= _FEW and value.isascii():
        return int(value)
    if len(value) <= _FEW and value.replace(".", "", 1).isdecimal() and value.isascii():
        return float(value)
    stripped = value.strip()
    if not _NUMBER.fullmatch(stripped):
        return value
    return float(stripped) if "." in stripped else int(stripped)


def time(value: object) -> object:
    """Return seconds since 1970, or what is written otherwise as it is."""
    found = number(value) if type(value) is str else value
    if type(found) is not int and type(found) is not float:
        return value.strip() if type(value) is str else value
    if -_SECONDS < found < _SECONDS:
        return found
    for below, units in _SIZES:
        if abs(found) < below:
            return found / units
    return found


def time_or_never(value: object) -> object:
    """Do the same; a time of 0 is what switches write for what has not happened."""
    return time(value) or None


def flag(value: object) -> object:
    word = str(value).strip().lower() if type(value) in (str, int) else ""
    if word in _TRUE:
        return True
    return False if word in _FALSE else value


def as_is(value: object) -> object:
    return value


_AS_THEY_ARE: Final[Mapping[Convert, type]] = {
    text: str,
    whole: int,
    number: int,
    flag: bool,
    as_is: str,
}

_OF_EVENT: Final[Mapping[str, Convert]] = {
    "request_number": whole,
    "request_num": whole,
    "request_type": whole,
    "requested_action": whole,
    "requested_units": number,
    "used_units": number,
    "event_time": time,
    "answer_time": time_or_never,
    "answered": flag,
    "report_only": flag,
    "dry_run": flag,
    "explain": flag,
    "release_cause": as_is,
    "services": as_is,
    "amount": as_is,
}
_OF_SERVICE: Final[Mapping[str, Convert]] = {
    "rating_group": as_is,
    "service_id": as_is,
    "requested_units": number,
    "used_units": number,
    "used": as_is,
}
_OF_USED: Final[Mapping[str, Convert]] = {"units": number}


def native_of(convert: Convert) -> type:
    """Return the type of value that a conversion leaves as it is; of most that is what comes.

    Times have none: they look at the size of a number.
    """
    return _AS_THEY_ARE.get(convert, type(None))


def conversions(names: tuple[str, ...], inside: str) -> dict[str, Convert]:
    """Return the conversion of each canonical field of an event, a service or a part of its use."""
    known = {"": _OF_EVENT, "services": _OF_SERVICE, "used": _OF_USED}[inside]
    assert known.keys() <= set(names), "a conversion is of a field that there is"
    return {name: known.get(name, text) for name in names}

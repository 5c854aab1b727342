"""Named timings, as the head of a tariff file defines them.

    # timing.peak     = mon-fri 08:00-18:00
    # timing.siesta   = jun-aug mon-fri 12:00-13:00 14:00-15:30, weight 5
    # timing.holidays = dec 25-26, jan 1, weight 10

Ranges are separated by commas; a time belongs to the timing when one of them holds. In a range
words of different kinds narrow each other, words of one kind add up:

    mon tue fri-sun       week days                 08:00-18:00      time of day, the end excluded;
    jan nov-feb           months                                     24:00 is the end of the day
    1 15-31 last          days of the month         2026 2026-2028   years
    always                nothing narrowed

`weight` (0 where not given) says which timing of a price wins where two hold. Week days and months
may run over the end (fri-mon). Times may not: whether `fri 22:00-06:00` means the early hours of
Saturday is not to be guessed, two ranges say it.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from ocs.adapters.tariff_files.values import read_decimal, shown
from ocs.domain.coverage import ever_holds
from ocs.domain.timing import LAST_DAY, MOST_BANDS, Timing

WEEK_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS: Final = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_LAST: Final = "last"
_ALWAYS: Final = "always"
_WEIGHT: Final = "weight"
_GREATEST_WEIGHT: Final = 1_000_000
_YEAR_DIGITS: Final = 4
_DAY_S: Final = 86_400
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", re.ASCII)
_NUMBERS: Final = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", re.ASCII)
_EARLIEST_YEAR, _LATEST_YEAR = 1970, 2199


class _Range(msgspec.Struct):
    """What the words of one range have said so far."""

    years: set[int]
    months: set[int]
    month_days: set[int]
    week_days: set[int]
    hours: list[tuple[int, int]]


def read_timings(text: str) -> tuple[Timing, ...]:
    """Read the value of a timing; ValueError says which word cannot be."""
    items = [item.strip().lower() for item in text.split(",")]
    weights = [item for item in items if item.split()[:1] == [_WEIGHT]]
    if len(weights) > 1:
        raise ValueError("has more than one weight")
    weight = _weight(weights[0]) if weights else 0.0
    timings = [timing for item in items if item not in weights for timing in _range(item, weight)]
    if not 1 <= len(timings) <= MOST_BANDS:
        raise ValueError(f"must have 1 to {MOST_BANDS} ranges, not {len(timings)}")
    return tuple(timings)


def _weight(item: str) -> float:
    value = read_decimal(item.removeprefix(_WEIGHT).strip())
    if not 0 <= value <= _GREATEST_WEIGHT:
        raise ValueError(f"weight {value} is not within 0 .. {_GREATEST_WEIGHT}")
    return float(value)


def _range(item: str, weight: float) -> list[Timing]:
    words = item.split()
    if not words:
        raise ValueError("has an empty range")
    if _ALWAYS in words and len(words) > 1:
        raise ValueError(f"{shown(item)}: {_ALWAYS} stands alone")
    said = _Range(set(), set(), set(), set(), [])
    for word in words if words != [_ALWAYS] else ():
        _add(said, word)
    timings = [
        Timing(
            years=tuple(sorted(said.years)),
            months=tuple(sorted(said.months)),
            month_days=tuple(sorted(said.month_days)),
            week_days=tuple(sorted(said.week_days)),
            start_s=start_s,
            end_s=end_s,
            weight=weight,
        )
        for start_s, end_s in said.hours or [(0, _DAY_S)]
    ]
    if not ever_holds(timings[0]):
        raise ValueError(f"{shown(item)} never comes")
    return timings


def _add(said: _Range, word: str) -> None:
    """Put one word to those of its kind."""
    if word == _LAST:
        said.month_days.add(LAST_DAY)
    elif ":" in word:
        said.hours.append(_hours(word))
    elif word[0].isdigit():
        _add_numbers(said, word)
    elif word[:3] in MONTHS:
        said.months |= _names(word, MONTHS)
    else:
        said.week_days |= _names(word, WEEK_DAYS)


def _names(word: str, names: Sequence[str]) -> set[int]:
    """Return the numbers, from 1, of a name or of a range of names that may run over the end."""
    first, dash, last = word.partition("-")
    if first not in names or (dash and last not in names):
        raise ValueError(
            f"{shown(word)} is not a week day, month, day, year or time: see docs/tariffs.md"
        )
    low = names.index(first)
    length = (names.index(last) - low) % len(names) if dash else 0
    return {(low + step) % len(names) + 1 for step in range(length + 1)}


def _add_numbers(said: _Range, word: str) -> None:
    match = _NUMBERS.fullmatch(word)
    if match is None:
        raise ValueError(f"{shown(word)} is not a day such as 25 or 1-15, nor a year such as 2026")
    low, high = int(match[1]), int(match[2] or match[1])
    is_year = len(match[1]) == _YEAR_DIGITS
    least, greatest = (_EARLIEST_YEAR, _LATEST_YEAR) if is_year else (1, 31)
    if not least <= low <= high <= greatest:
        raise ValueError(f"{shown(word)} is not within {least} .. {greatest}, in rising order")
    (said.years if is_year else said.month_days).update(range(low, high + 1))


def _hours(word: str) -> tuple[int, int]:
    start, dash, end = word.partition("-")
    if not dash:
        raise ValueError(f"{shown(word)} is not a range of times such as 08:00-18:00")
    start_s, end_s = _seconds(start), _seconds(end)
    if not start_s < end_s:
        raise ValueError(f"{shown(word)} ends before it begins: write two ranges, split at 24:00")
    return start_s, end_s


def _seconds(text: str) -> int:
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not a time such as 08:00 or 23:59:30")
    hours, minutes, seconds = (int(digits or 0) for digits in match.groups())
    total = (60 * hours + minutes) * 60 + seconds
    if max(minutes, seconds) >= 60 or total > _DAY_S:  # noqa: PLR2004 -- a clock has sixties
        raise ValueError(f"{shown(text)} is not a time of the day")
    return total

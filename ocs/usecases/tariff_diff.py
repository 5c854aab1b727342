"""What a new deck changes: prices of the destinations that matter, before it goes live.

Two decks are compared by what calls would cost, not by their lines: every prefix of either is
dialled in both. So a prefix that is new and costs what its country costs is no change, and one that
is gone may be one: its calls are now priced by a shorter prefix, or by none.

What changes stands first, in the order of what matters: the destinations that most of a sample of
numbers go to, or, without a sample, those with the most prefixes.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

from ocs.domain.generation import Generation
from ocs.domain.money import currency, format_money
from ocs.domain.plan import LONGEST_LIFE_S
from ocs.domain.rating import Segment, rate_use
from ocs.domain.tariff import CATCH_ALL, PlanTariff, Rate, Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE, Zone

_SECOND_MS: Final = 1000
_TENTHS_OF_A_PERCENT: Final = 1000


class Origin(msgspec.Struct, frozen=True, order=True):
    """A prefix, with the caller and the trunk that its row asks for."""

    prefix: str
    caller: str = ""
    trunk: str = ""


class Side(msgspec.Struct, frozen=True):
    """One tariff as it is loaded, and what its rows are found by."""

    generation: Generation
    name: str
    usage_type: str
    currency: str
    origins: tuple[Origin, ...]


class Change(StrEnum):
    """What becomes of a destination.

    ELSEWHERE: it costs the same for the units that were asked about, and not for others.
    """

    BLOCKED = "blocked"
    REMOVED = "removed"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    MIXED = "mixed"
    ELSEWHERE = "elsewhere"
    UNBLOCKED = "unblocked"
    NEW = "new"
    SAME = "same"


class Line(msgspec.Struct, frozen=True):
    """A destination: what so many units cost before and after (None: not to be had).

    `weight` is how many numbers of the sample, or prefixes, it stands for; `percent` is by how much
    each cost changes, None where it was or becomes nothing.
    """

    prefix: str
    destination: str
    change: Change
    weight: int
    old: tuple[str | None, ...]
    new: tuple[str | None, ...]
    percent: tuple[str | None, ...]
    from_prefix: str = ""
    trunk: str = ""


class TariffDiff(msgspec.Struct, frozen=True):
    """One tariff. `counts` are of prefixes by change, `rows_only_in` of lines in one file only."""

    name: str
    currency: str
    units: tuple[int, ...]
    counts: Mapping[str, int]
    rows_only_in_old: int
    rows_only_in_new: int
    lines: tuple[Line, ...]

    @property
    def is_different(self) -> bool:
        """Whether any call would cost another amount."""
        return any(count for change, count in self.counts.items() if change != Change.SAME)


class Question(msgspec.Struct, frozen=True):
    """How to compare: costs of which units, at which instant, whose zone, what sample of numbers.

    `top` is how many destinations are told; `numbers` empty: weigh by prefixes.
    """

    units: tuple[int, ...]
    at_ms: int
    top: int
    zone: Zone = UTC_ZONE
    numbers: tuple[str, ...] = ()


class CannotCompareError(ValueError):
    """Two decks that have nothing in common."""


def compare(old: Side, new: Side, question: Question) -> TariffDiff:
    """Compare two decks; CannotCompareError where currency or usage type differ."""
    if (old.usage_type, old.currency) != (new.usage_type, new.currency):
        raise CannotCompareError(
            f"{old.name} is {old.usage_type} in {old.currency}, "
            f"{new.name} is {new.usage_type} in {new.currency}"
        )
    both = _Both(old, new, question)
    origins = sorted({*old.origins, *new.origins})
    counts = dict.fromkeys((change.value for change in Change), 0)
    by_prefixes: dict[object, _Weighed] = {}
    for origin in origins:
        pair = both.quoted(origin)
        counts[pair.change.value] += 1
        by_prefixes.setdefault(pair.key, _Weighed(pair)).weight += 1
    weighed = both.of_numbers() if question.numbers else list(by_prefixes.values())
    weighed.sort(key=_precedence)
    return TariffDiff(
        name=new.name,
        currency=new.currency,
        units=question.units,
        counts=counts,
        rows_only_in_old=len({*old.origins} - {*new.origins}),
        rows_only_in_new=len({*new.origins} - {*old.origins}),
        lines=tuple(_line(each, question, new.currency) for each in weighed[: question.top]),
    )


class _Quoted(msgspec.Struct, frozen=True):
    """What a number costs: the rate, its ladders, and the costs; None where it is blocked."""

    rate: Rate | None = None
    segments: tuple[Segment, ...] = ()
    costs: tuple[int, ...] | None = None


class _Pair(msgspec.Struct, frozen=True):
    """A prefix by both decks."""

    origin: Origin
    old: _Quoted
    new: _Quoted
    change: Change

    @property
    def destination(self) -> str:
        rate = self.new.rate or self.old.rate
        return "" if rate is None else rate.destination

    @property
    def key(self) -> object:
        """What prefixes have in common that are told as one: under the first of them."""
        caller, trunk = self.origin.caller, self.origin.trunk
        return self.destination, self.change, self.old.costs, self.new.costs, caller, trunk


class _Weighed(msgspec.Struct):
    """A pair, and how many prefixes or numbers it stands for."""

    pair: _Pair
    weight: int = 0


class _Quotes:
    """What numbers cost by one deck. Equal ladders are priced once."""

    def __init__(self, deck: Side, question: Question) -> None:
        self._deck = deck
        self._tariffs = (PlanTariff(deck.name),)
        self._question = question
        self._costs: dict[tuple[Segment, ...], tuple[int, ...]] = {}

    def quoted(self, origin: Origin) -> _Quoted:
        question, deck = self._question, self._deck
        used = Used(
            number=origin.prefix,
            usage_type=deck.usage_type,
            at_ms=question.at_ms,
            zone=question.zone,
            caller=origin.caller,
            trunk=origin.trunk,
        )
        if deck.usage_type == VOICE:
            until_ms = question.at_ms + min(max(question.units), LONGEST_LIFE_S) * _SECOND_MS
            schedule = deck.generation.schedule(self._tariffs, used, until_ms)
        else:
            found = deck.generation.find(self._tariffs, used)
            schedule = () if found is None else ((question.at_ms, found),)
        if not schedule:
            return _Quoted()
        rate = schedule[0][1]
        if rate.blocked:
            return _Quoted(rate)
        segments = tuple(Segment(from_ms, each.ladder) for from_ms, each in schedule)
        return _Quoted(rate, segments, self._priced(segments))

    def _priced(self, segments: tuple[Segment, ...]) -> tuple[int, ...]:
        known = self._costs.get(segments)
        if known is None:
            is_timed = self._deck.usage_type == VOICE
            at_ms = self._question.at_ms
            known = tuple(
                rate_use(segments, units, at_ms, timed=is_timed).total
                for units in self._question.units
            )
            self._costs[segments] = known
        return known


class _Both:
    """The old and the new deck, asked together."""

    def __init__(self, old: Side, new: Side, question: Question) -> None:
        self._old = _Quotes(old, question)
        self._new = _Quotes(new, question)
        self._numbers = question.numbers

    def quoted(self, origin: Origin) -> _Pair:
        old, new = self._old.quoted(origin), self._new.quoted(origin)
        return _Pair(origin, old, new, _change(old, new))

    def of_numbers(self) -> list[_Weighed]:
        """Return the prefixes that price the sample's numbers now, or will if none does now."""
        found: dict[Origin, _Weighed] = {}
        for number in self._numbers:
            pair = self.quoted(Origin(number))
            rate = pair.old.rate or pair.new.rate
            if rate is not None:
                origin = Origin("" if rate.prefix == CATCH_ALL else rate.prefix)
                if origin not in found:
                    found[origin] = _Weighed(self.quoted(origin))
                found[origin].weight += 1
        return list(found.values())


def _precedence(weighed: _Weighed) -> tuple[bool, int, Origin]:
    """Order destinations by whether they change, then by weight."""
    return weighed.pair.change is Change.SAME, -weighed.weight, weighed.pair.origin


def _line(weighed: _Weighed, question: Question, code: str) -> Line:
    pair, count = weighed.pair, len(question.units)
    return Line(
        prefix=pair.origin.prefix or CATCH_ALL,
        destination=pair.destination,
        change=pair.change,
        weight=weighed.weight,
        old=_amounts(pair.old, code, count),
        new=_amounts(pair.new, code, count),
        percent=_percents(pair.old, pair.new, count),
        from_prefix=pair.origin.caller,
        trunk=pair.origin.trunk,
    )


def _change(old: _Quoted, new: _Quoted) -> Change:
    if old.rate is None or new.rate is None:
        if old.rate is new.rate:
            return Change.SAME
        return Change.NEW if old.rate is None else Change.REMOVED
    if old.costs is None or new.costs is None:
        if old.costs is new.costs:
            return Change.SAME
        return Change.UNBLOCKED if old.costs is None else Change.BLOCKED
    change = _of_costs(old.costs, new.costs)
    return Change.ELSEWHERE if change is Change.SAME and old.segments != new.segments else change


def _of_costs(old: Sequence[int], new: Sequence[int]) -> Change:
    is_dearer = any(after > before for before, after in zip(old, new, strict=True))
    is_cheaper = any(after < before for before, after in zip(old, new, strict=True))
    if is_dearer and is_cheaper:
        return Change.MIXED
    if is_dearer:
        return Change.DEARER
    return Change.CHEAPER if is_cheaper else Change.SAME


def _amounts(quoted: _Quoted, code: str, count: int) -> tuple[str | None, ...]:
    if quoted.costs is None:
        return (None,) * count
    money = currency(code)
    return tuple(format_money(cost, money) for cost in quoted.costs)


def _percents(old: _Quoted, new: _Quoted, count: int) -> tuple[str | None, ...]:
    if old.costs is None or new.costs is None:
        return (None,) * count
    return tuple(
        _percent(before, after) for before, after in zip(old.costs, new.costs, strict=True)
    )


def _percent(before: int, after: int) -> str | None:
    """Return a change in per cent with one decimal; None where there was nothing to change."""
    if not before:
        return None
    tenths = round(Fraction(after - before, before) * _TENTHS_OF_A_PERCENT)
    sign = "-" if tenths < 0 else "+" if tenths else ""
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}"

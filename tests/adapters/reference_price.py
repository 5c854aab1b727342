"""What a service has cost so far, and how far money or a bucket carries it: the dumb way.

This is half of the reference ledger (`reference_ledger.py` is the other half): a second, naive
reading of `docs/design.md` 2.1 to 2.3 and 2.5. Prices are `Fraction`s, the greatest number of
units that money affords is found by trying (`bisect` over all counts), and nothing is cached.

    Ladder      the numbers of `Segment.ladder`, as the wire documents them
    Timeline    when the unit at a position of elapsed time is used
    Purse       one payer and what it can give now; adjacent money purses form one pool
    Meter       the counters of a service: elapsed, priced, taken, charged, and its segments
    walk        spend units over purses: room, then the first pool or bucket that is valid and able

One walk serves settling (what was held, then the list) and holding (the list, valid now): they
differ in the purses alone. A walk knows no grace: what a longer use would cost must be covered, and
whoever settles takes the money back out when the use ended within the grace.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from math import ceil, floor, inf, lcm
from typing import NamedTuple

import msgspec

from ocs.usecases.ports import Segment

LARGEST_DENOMINATOR = 2**26
SECOND_MS = 1000
ENDLESS = 2**80


class Ladder(NamedTuple):
    """Prices are in money units; `maximum` is None where there is none."""

    den: int
    fee: Fraction
    grace: int
    minimum: int
    maximum: int | None
    rounding: int
    rows: tuple[tuple[int, int, Fraction], ...]

    def stretch(self, begin: int, end: int) -> Fraction:
        """Price of the units in [begin, end), increments counted from `begin` or their row."""
        return sum(
            (
                ceil(Fraction(min(end, row_end) - max(begin, start), increment)) * price
                for (start, row_end, increment, price) in self._bounded()
                if max(begin, start) < min(end, row_end)
            ),
            Fraction(0),
        )

    def edge(self, begin: int, position: int) -> int:
        """End of the increment in which the last unit before `position` lies."""
        if position <= begin:
            return position
        for start, row_end, increment, _price in self._bounded():
            low = max(begin, start)
            if low < position <= row_end:
                return int(
                    min(row_end, low + ceil(Fraction(position - low, increment)) * increment)
                )
        raise AssertionError(position)

    def _bounded(self) -> Iterable[tuple[int, int, int, Fraction]]:
        ends = [start for start, _, _ in self.rows[1:]] + [ENDLESS]
        for (start, increment, price), end in zip(self.rows, ends, strict=True):
            yield start, end, increment, price


def ladder_of(segment: Segment) -> Ladder:
    den, whole, rest, grace, minimum, maximum, rounding, *rows = msgspec.msgpack.decode(
        segment.ladder, type=list[int]
    )
    return Ladder(
        den,
        whole + Fraction(rest, den),
        grace,
        minimum,
        None if maximum < 0 else maximum,
        rounding,
        tuple(
            (start, increment, row_whole + Fraction(row_rest, den))
            for start, increment, row_whole, row_rest in zip(*[iter(rows)] * 4, strict=True)
        ),
    )


def rounded(amount: Fraction, rule: int) -> int:
    """Rules: 0 half up, 1 half even, 2 up, 3 down."""
    return (
        floor(amount + Fraction(1, 2)),
        round(amount),
        ceil(amount),
        floor(amount),
    )[rule]


class Timeline(NamedTuple):
    """The unit at elapsed `position` is used at `time_ms(position)`."""

    anchor_ms: int
    step_ms: int
    """1000 for timed services; 0 where all use happens at the event's time."""

    def time_ms(self, position: int) -> int:
        return self.anchor_ms + position * self.step_ms

    def units_until(self, instant_ms: int, position: int) -> float:
        """How many units from `position` on are used before a later instant."""
        if not self.step_ms:
            return inf
        return ceil(Fraction(instant_ms - self.time_ms(position), self.step_ms))


@dataclass
class Purse:
    """A payer and the amount that it can give. Money has `increment` 0."""

    bucket: str
    amount: int
    increment: int
    factor: int
    valid_from_ms: float = -inf
    valid_until_ms: float = inf

    def valid(self, instant_ms: int) -> bool:
        return self.valid_from_ms <= instant_ms < self.valid_until_ms


class Payment(NamedTuple):
    """So much out of a bucket; once held, the same is a hold."""

    bucket: str
    amount: int
    increment: int
    factor: int


@dataclass
class Taken:
    """Units that a bucket paid, and units that it was debited for."""

    used: int = 0
    covered: int = 0


def in_force(segments: tuple[Segment, ...], instant_ms: int) -> int:
    """Which of the segments prices a unit that is used at `instant_ms`."""
    return max((i for i, s in enumerate(segments) if s.from_ms <= instant_ms), default=0)


@dataclass
class Meter:
    """The counters of one service. `charged` runs ahead of the debits during a walk only."""

    timed: bool
    free: bool
    subject: str
    segments: tuple[Segment, ...]
    elapsed: int = 0
    priced: int = 0
    charged: int = 0
    taken: dict[str, Taken] = field(default_factory=dict)
    current: int = 0
    """Which segment prices the next unit."""
    begin: int = 0
    """The position (in `priced`) at which it took over."""
    carried: Fraction = Fraction(0)
    """Exact cost of the fee and the closed segments."""
    carried_den: int = 1
    first: Ladder | None = None
    """The ladder that priced the first unit: its fee, grace, minimum, maximum and rounding rule."""

    @property
    def ladder(self) -> Ladder:
        return ladder_of(self.segments[self.current])

    def cost(self, priced: int) -> int:
        """What `priced` units cost, without regard to grace."""
        if priced == 0:
            return 0
        exact = self.ladder.stretch(self.begin, priced)
        return self._bounded(exact + (self.carried if self.first else self.ladder.fee))

    def fee_when_answered(self) -> int:
        """What an answered call owes that used nothing (2.1)."""
        return 0 if self.ladder.grace else self._bounded(self.ladder.fee)

    def _bounded(self, exact: Fraction) -> int:
        terms = self.first or self.ladder
        amount = max(rounded(exact, terms.rounding), terms.minimum)
        return amount if terms.maximum is None else min(amount, terms.maximum)

    def within_grace(self) -> bool:
        return self.first is not None and self.elapsed < self.first.grace

    # Segments -----------------------------------------------------------------------------------

    def change_subject(self, subject: str, segments: tuple[Segment, ...], instant_ms: int) -> None:
        """Begin a segment with the ladder in force at `instant_ms`; the old increment is void."""
        if self.first:
            self._close(segments[in_force(segments, instant_ms)])
        self.subject, self.segments = subject, segments
        self.current, self.begin = in_force(segments, instant_ms), self.priced

    def follow_switch(self, timeline: Timeline) -> None:
        """Begin the segment in force at the present position, if it is not the current one."""
        index = in_force(self.segments, timeline.time_ms(self.elapsed))
        if not self.timed or index == self.current:
            return
        if self.first:
            self._close(self.segments[index])
        self.current, self.begin = index, self.priced

    def _close(self, following: Segment) -> None:
        assert self.first
        self.carried += self.ladder.stretch(self.begin, self.priced)
        den = ladder_of(following).den
        self.carried_den = lcm(self.carried_den, den)
        if self.carried_den > LARGEST_DENOMINATOR:
            self.carried = Fraction(rounded(self.carried, self.first.rounding))
            self.carried_den = den

    # Paying -------------------------------------------------------------------------------------

    def use_room(self, units: int) -> int:
        """Use the rest of a begun increment that is paid for, up to `units`; return how many."""
        for taken in self.taken.values():
            if room := min(units, taken.covered - taken.used):
                taken.used += room
                self.elapsed += room
                return room
        paid = self.charged >= self.cost(self.priced)
        room = min(units, self.ladder.edge(self.begin, self.priced) - self.priced) if paid else 0
        self.priced += room
        self.elapsed += room
        return room

    def affordable(self, money: int, units: int) -> int:
        """The greatest number of further units, at most `units`, that `money` covers."""
        return bisect_right(
            range(1, units + 1), money + self.charged, key=lambda n: self.cost(self.priced + n)
        )

    def price(self, units: int) -> int:
        """Count `units` as paid by money; return what is due for them."""
        if not self.first:
            self.first, self.carried, self.carried_den = (
                self.ladder,
                self.ladder.fee,
                self.ladder.den,
            )
        self.priced += units
        self.elapsed += units
        due = max(0, self.cost(self.priced) - self.charged)
        self.charged += due
        return due


def take(pool: list[Purse], due: int) -> list[Payment]:
    """Take money due from the pool's entries, in their order."""
    payments = []
    for purse in pool:
        part = min(due, purse.amount)
        purse.amount -= part
        due -= part
        if part:
            payments.append(Payment(purse.bucket, part, 0, 1))
    assert due == 0
    return payments


def _pay_by_money(meter: Meter, units: int, pool: list[Purse]) -> list[Payment] | None:
    count = meter.affordable(sum(purse.amount for purse in pool), units)
    return take(pool, meter.price(count)) if count else None


def _pay_by_units(meter: Meter, units: int, purse: Purse) -> list[Payment] | None:
    """Whole increments, or not at all; the last one may be used in part (its rest is room)."""
    each = purse.increment * purse.factor
    increments = min(ceil(Fraction(units, purse.increment)), purse.amount // each)
    count = min(units, increments * purse.increment)
    if not count:
        return None
    taken = meter.taken.setdefault(purse.bucket, Taken())
    taken.used += count
    taken.covered += increments * purse.increment
    meter.elapsed += count
    purse.amount -= increments * each
    return [Payment(purse.bucket, increments * each, purse.increment, purse.factor)]


def pools(purses: list[Purse]) -> list[list[Purse]]:
    """Units buckets alone, adjacent money together."""
    numbered = groupby(enumerate(purses), key=lambda p: -1 if not p[1].increment else p[0])
    return [[purse for _, purse in group] for _, group in numbered]


def first_able(
    meter: Meter, units: int, purses: list[Purse], instant_ms: int
) -> list[Payment] | None:
    for group in pools(purses):
        valid = [purse for purse in group if purse.valid(instant_ms)]
        if not valid:
            continue
        by_units = valid[0].increment > 0
        paid = (
            _pay_by_units(meter, units, valid[0])
            if by_units
            else _pay_by_money(meter, units, valid)
        )
        if paid is not None:
            return paid
    return None


def walk(
    meter: Meter, units: int, purses: list[Purse], timeline: Timeline
) -> tuple[int, list[Payment]]:
    """Use up to `units`: room first, then whoever is first able; return (paid units, payments).

    It goes from change to change (a bucket's validity, a switch of the price), because between two
    of them it does not matter when a unit is used.
    """
    rest, payments = units, list[Payment]()
    while rest:
        if room := meter.use_room(rest):
            rest -= room
            continue
        meter.follow_switch(timeline)
        now_ms, position = timeline.time_ms(meter.elapsed), meter.elapsed
        changes = [instant for p in purses for instant in (p.valid_from_ms, p.valid_until_ms)]
        changes += [segment.from_ms for segment in meter.segments if meter.timed]
        later = [timeline.units_until(int(c), position) for c in changes if now_ms < c < inf]
        paid = first_able(meter, int(min([rest, *later])), purses, now_ms)
        if paid is None:
            break
        rest -= meter.elapsed - position
        payments += paid
    return units - rest, merged(payments)


def merged(payments: Iterable[Payment]) -> list[Payment]:
    """Add up neighbours out of the same bucket."""
    result: list[Payment] = []
    for payment in payments:
        if result and result[-1]._replace(amount=payment.amount) == payment:
            result[-1] = payment._replace(amount=result[-1].amount + payment.amount)
        else:
            result.append(payment)
    return result

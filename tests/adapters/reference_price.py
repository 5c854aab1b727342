"""What a service has cost so far, and how far money or a bucket carries it: the dumb way.

This is half of the reference ledger (`reference_ledger.py` is the other half): a second, naive
reading of `docs/design.md` 2.1 to 2.3 and 2.5. Prices are `Fraction`s, the greatest number of
units that money affords is found by trying (`bisect` over all counts), and nothing is cached.

    Ladder      the numbers of `Segment.ladder`, as `packed()` in ocs/domain/ladder.py lists them
    Timeline    when the unit at a position of elapsed time is used
    Purse       one payer and what it can give now; adjacent money purses form one pool
    Meter       the counters of a service: elapsed, priced, taken, charged, paid, and its segments
    Walk        use units over purses: room, then each pool or bucket as far as it goes

One walk serves settling (what was held, then the list) and holding (the list, valid now): they
differ in the purses, and in that a hold covers the greatest cost of any stop on its way, as if
there were no grace, and keeps within limit and end.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from math import ceil, floor, inf, lcm
from typing import NamedTuple

import msgspec

from ocs.domain.wallet import Payer
from ocs.usecases.ports import Segment

LARGEST_DENOMINATOR = 2**26
SECOND_MS = 1000
ENDLESS = 2**80


class Ladder(NamedTuple):
    """Prices are in money units; `maximum` and `limit` are None where there is none."""

    den: int
    fee: Fraction
    grace: int
    minimum: int
    maximum: int | None
    rounding: int
    quantum: int
    by_total: bool
    limit: int | None
    end: int
    rows: tuple[tuple[int, int, Fraction], ...]

    def stretch(self, begin: int, end: int) -> Fraction:
        """Price of the units in [begin, end), increments counted from `begin` or their row."""
        if self.by_total:
            _, _, increment, price = self._row_of(end) if end > begin else (0, 0, 1, Fraction(0))
            return ceil(Fraction(end - begin, increment)) * price
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
        start, row_end, increment, _ = self._row_of(position)
        low = begin if self.by_total else max(begin, start)
        return min(row_end, low + ceil(Fraction(position - low, increment)) * increment)

    def row_ends(self) -> list[int]:
        return [row_end for _, row_end, _, _ in self._bounded()]

    def _row_of(self, position: int) -> tuple[int, int, int, Fraction]:
        """The row in which the last unit before `position` lies."""
        return next(row for row in self._bounded() if row[0] < position <= row[1])

    def _bounded(self) -> Iterable[tuple[int, int, int, Fraction]]:
        ends = [start for start, _, _ in self.rows[1:]] + [ENDLESS]
        for (start, increment, price), end in zip(self.rows, ends, strict=True):
            yield start, end, increment, price


def ladder_of(segment: Segment) -> Ladder:
    numbers = msgspec.msgpack.decode(segment.ladder, type=list[int])
    den, whole, rest, grace, minimum, maximum, rounding, quantum, by_total, limit, end = numbers[
        :11
    ]
    rows = numbers[11:]
    return Ladder(
        den,
        whole + Fraction(rest, den),
        grace,
        minimum,
        None if maximum < 0 else maximum,
        rounding,
        quantum,
        bool(by_total),
        None if limit < 0 else limit,
        ENDLESS if end < 0 else end,
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
    """The counters of one service."""

    timed: bool
    subject: str
    segments: tuple[Segment, ...]
    elapsed: int = 0
    priced: int = 0
    charged: int = 0
    one_shot: bool = False
    """Used as a whole: where it ends is its only stop."""
    taken: dict[str, Taken] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    """What money buckets paid where the price may fall with use; who paid last stands last."""
    current: int = 0
    """Which segment prices the next unit."""
    begin: int = 0
    """The position (in `priced`) at which it took over."""
    carried: Fraction = Fraction(0)
    """Exact cost of the fee and the closed segments."""
    carried_den: int = 1
    fee_due: bool = False
    """The call was answered, though nothing was used."""
    totals: bool = False
    """The client reports running totals, which may go back."""
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

    def dearest(self, units: int) -> int:
        """The greatest cost of a stop within the next `units`: it rises up to the end of a row."""
        last = self.priced + units
        ends = [] if self.one_shot else self.ladder.row_ends()
        return max(self.cost(stop) for stop in [last, *ends] if self.priced < stop <= last)

    def cost_so_far(self) -> int:
        """What is owed for all use up to now, by the rules of 2.1."""
        if self.priced == 0:
            owes_fee = self.fee_due and not self.ladder.grace
            return self._bounded(self.ladder.fee) if owes_fee else 0
        assert self.first
        return 0 if self.elapsed < self.first.grace else self.cost(self.priced)

    def _bounded(self, exact: Fraction) -> int:
        terms = self.first or self.ladder
        amount = rounded(exact / terms.quantum, terms.rounding) * terms.quantum
        amount = max(amount, terms.minimum)
        return amount if terms.maximum is None else min(amount, terms.maximum)

    # Segments -----------------------------------------------------------------------------------

    def change_subject(self, subject: str, segments: tuple[Segment, ...]) -> None:
        """Begin a segment with another ladder; the begun increment of the old one is void."""
        if self.first:
            self._close(segments[0])
        self.subject, self.segments = subject, segments
        self.current, self.begin = 0, self.priced
        self.fee_due = False  # it was settled when it fell due

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

    def use_room(self, units: int, *, granting: bool = False, unpaid: bool = False) -> int:
        """Use the rest of begun increments, up to `units`; return how many.

        `unpaid`: what money began is not paid for yet, and no room.
        """
        room = 0 if unpaid else min(units, self.begun_units())
        room = min(room, self.until_end()) if granting else room
        self.priced += room
        for taken in self.taken.values():
            part = min(units - room, taken.covered - taken.used)
            taken.used += part
            room += part
        self.elapsed += room
        return room

    def has_unpaid_increment(self) -> bool:
        """Within its grace nobody has paid for what was begun."""
        return self.charged < self.cost(self.priced)

    def begun_units(self) -> int:
        return self.ladder.edge(self.begin, self.priced) - self.priced

    def until_end(self) -> int:
        return max(0, self.ladder.end - self.priced)

    def affordable(self, money: int, units: int) -> int:
        """The greatest number of further units, at most `units`, of which it covers every stop.

        `money` is all that the service may have cost behind them.
        """
        if units and self.dearest(units) <= money:
            return units
        return bisect_right(range(1, units + 1), money, key=self._dearest_step)

    def grantable(self, money: int, units: int) -> int:
        """The same within limit and end."""
        limit = (self.first or self.ladder).limit
        money = money if limit is None else min(money, limit)
        return self.affordable(money, min(units, self.until_end()))

    def _dearest_step(self, units: int) -> int:
        """Of a use that is broken off, every stop counts."""
        return replace(self, one_shot=False).dearest(units)

    def note_paid(self, bucket: str, amount: int) -> None:
        """Remember who paid, if any ladder of the price may fall with use, or use may go back."""
        falls = any(ladder_of(segment).by_total for segment in self.segments)
        if self.priced and (falls or self.totals):
            self.paid[bucket] = self.paid.pop(bucket, 0) + amount

    def price(self, units: int) -> None:
        """Count `units` as paid by money."""
        if not self.first:
            self.first, self.carried, self.carried_den = (
                self.ladder,
                self.ladder.fee,
                self.ladder.den,
            )
        self.priced += units
        self.elapsed += units

    def take_back(self, units: int, payers: Iterable[Payer]) -> list["Payment"]:
        """Undo the last `units` of use, as far as it goes; returns what buckets of units get.

        Money first, but not out of closed segments; then the buckets, first used last.
        """
        listed = {payer.bucket: payer for payer in payers if payer.increment_units}
        by_money = min(units, self.priced - self.begin)
        self.priced -= by_money
        self.elapsed -= by_money
        if not self.priced:
            self.first, self.carried, self.carried_den = None, Fraction(0), 1
        rest, payments = units - by_money, []
        for bucket in [name for name in reversed(self.taken) if name in listed]:
            taken, payer = self.taken[bucket], listed[bucket]
            if part := min(rest, taken.used):
                taken.used -= part
                self.elapsed -= part
                rest -= part
                increment = payer.increment_units
                covered = min(taken.covered, ceil(Fraction(taken.used, increment)) * increment)
                amount = (covered - taken.covered) * payer.factor
                payments.append(Payment(bucket, amount, increment, payer.factor))
                taken.covered = covered
        return payments


def pools(purses: list[Purse]) -> list[list[Purse]]:
    """Units buckets alone, adjacent money together."""
    numbered = groupby(enumerate(purses), key=lambda p: -1 if not p[1].increment else p[0])
    return [[purse for _, purse in group] for _, group in numbered]


@dataclass
class Walk:
    """Use units over purses, payer by payer, each as far as it goes.

    Settling debits the cost so far; holding sets aside what it would be without the grace, and does
    not count on the room of an increment that is not paid for.
    """

    meter: Meter
    timeline: Timeline
    holding: bool = False
    of_hold: bool = False
    """Purses that were held are asked in turn for what is due, though no unit is left to pay."""
    dearest: int = 0
    """Of a hold: the greatest cost of a stop up to here."""
    prices_only: bool = False
    """Nothing is taken yet of what falls due."""
    payments: list[Payment] = field(default_factory=list)

    def use(self, units: int, purses: list[Purse]) -> int:
        """Use up to `units`, return how many; what money owes is taken from it as it falls due."""
        rest = units - self._use_room(units)
        for group in pools(purses):
            if rest or self.of_hold:
                rest -= self._use_group(rest, group)
        if not self.holding:
            self.collect(purses)
        return units - rest

    def collect(self, purses: list[Purse], up_to: int = ENDLESS) -> None:
        """Take what is due, so much of it, from the money that is valid now."""
        now_ms, money = self.timeline.time_ms(self.meter.elapsed), []
        for purse in purses:
            if not purse.increment and purse.valid(now_ms):
                purse.amount = min(purse.amount, up_to)
                up_to -= purse.amount
                money.append(purse)
        self._collect(money)

    def _use_group(self, units: int, group: list[Purse]) -> int:
        """Go from change to change: in between it does not matter when a unit is used."""
        rest, meter = units, self.meter
        while True:
            position = meter.elapsed
            now_ms = self.timeline.time_ms(position)
            valid = [purse for purse in group if purse.valid(now_ms)]
            by_units = group[0].increment > 0
            if not by_units and not self.holding:
                self._collect(valid)
            # What costs nothing is paid by a pool that has nothing, expired or not.
            if not rest or (by_units and not valid):
                return units - rest
            limit = min(rest, self._until_change(group))
            if not by_units and meter.begun_units():  # used to its end, whatever has switched
                limit = min(limit, meter.begun_units())
            elif not by_units:
                meter.follow_switch(self.timeline)
            paid = self._pay_by_units(limit, valid[0]) if by_units else self._pay(limit, valid)
            if not paid:
                return units - rest
            rest -= paid + self._use_room(rest - paid)

    def _use_room(self, units: int) -> int:
        unpaid = self.holding and self.meter.has_unpaid_increment()
        return self.meter.use_room(units, granting=self.holding, unpaid=unpaid)

    def _until_change(self, group: list[Purse]) -> int:
        """How many units until a bucket's validity or the price changes."""
        position = self.meter.elapsed
        now_ms = self.timeline.time_ms(position)
        changes = [instant for p in group for instant in (p.valid_from_ms, p.valid_until_ms)]
        if self.meter.timed and not group[0].increment:
            changes += [segment.from_ms for segment in self.meter.segments]
        later = [int(instant) for instant in changes if now_ms < instant < inf]
        counts = [self.timeline.units_until(instant, position) for instant in later]
        return min([ENDLESS, *(int(count) for count in counts if count < inf)])

    def _pay(self, units: int, pool: list[Purse]) -> int:
        meter = self.meter
        money = sum(purse.amount for purse in pool) + meter.charged
        count = meter.grantable(money, units) if self.holding else meter.affordable(money, units)
        if count:
            self.dearest = max(self.dearest, meter.dearest(count))
            meter.price(count)
            self._collect(pool)
        return count

    def _collect(self, pool: list[Purse]) -> None:
        """Take what is due from money, in its order; what it does not have stays due."""
        meter, pool = self.meter, [] if self.prices_only else pool
        owed = self.dearest if self.holding else meter.cost_so_far()
        for purse in pool:
            part = min(max(0, owed - meter.charged), purse.amount)
            purse.amount -= part
            meter.charged += part
            if part:
                meter.note_paid(purse.bucket, part)
                self.payments.append(Payment(purse.bucket, part, 0, 1))

    def _pay_by_units(self, units: int, purse: Purse) -> int:
        """Whole increments, or not at all; the last one may be used in part (its rest is room)."""
        each = purse.increment * purse.factor
        increments = min(ceil(Fraction(units, purse.increment)), purse.amount // each)
        count = min(units, increments * purse.increment)
        if count:
            taken = self.meter.taken.setdefault(purse.bucket, Taken())
            taken.used += count
            taken.covered += increments * purse.increment
            self.meter.elapsed += count
            purse.amount -= increments * each
            amount = increments * each
            self.payments.append(Payment(purse.bucket, amount, purse.increment, purse.factor))
        return count


def merged(payments: Iterable[Payment]) -> list[Payment]:
    """Add up neighbours out of the same bucket."""
    result: list[Payment] = []
    for payment in payments:
        if result and result[-1]._replace(amount=payment.amount) == payment:
            result[-1] = payment._replace(amount=result[-1].amount + payment.amount)
        else:
            result.append(payment)
    return result

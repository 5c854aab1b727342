"""Random uses to rate, of every size up to 2^53, for whoever must find the same integers.

Hypothesis draws small and awkward ladders (`walked.py`); here sizes are drawn by their magnitude,
so that quotients and remainders of all lengths meet. A case is a function of its seed.
"""

from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple

from ocs.domain.ladder import MAX_DENOMINATOR, Ladder, Row
from ocs.domain.money import MAX_AMOUNT, MAX_QUANTUM, MAX_UNITS, Rounding
from ocs.domain.rating import Segment, rate_use

ANSWER_MS = 1_700_000_000_000
LATEST_S = 2**42
"""Behind the answer; in milliseconds an instant must stay below 2^53."""
DENOMINATORS = (1, 1, 2, 3, 60, 6_000, 8_191, 3**15, MAX_DENOMINATOR - 1, MAX_DENOMINATOR)
ROUNDINGS = (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.UP, Rounding.DOWN)


class Case(NamedTuple):
    """`units` used from ANSWER_MS on, and an amount that may buy them."""

    segments: tuple[Segment, ...]
    units: int
    money: int


def cases(seed: int, count: int, *, switches: int = 3) -> Iterator[Case]:
    random = Random(seed)
    for _ in range(count):
        yield _case(random, switches)


def _case(random: Random, switches: int) -> Case:
    units = sized(random, MAX_UNITS)
    latest = min(units + 1, LATEST_S)
    seconds = sorted(sized(random, latest) for _ in range(random.randint(0, switches)))
    starts = [0, *(ANSWER_MS + 1_000 * second - random.randrange(1_000) for second in seconds)]
    segments = tuple(Segment(start, ladder(random)) for start in starts)
    whole = rate_use(segments, units, ANSWER_MS, timed=True).total
    near = whole + random.choice([-1, 0, 0, 1])
    money = near if random.random() < 0.5 and 0 <= near <= MAX_AMOUNT else sized(random, MAX_AMOUNT)
    return Case(segments, units, money)


def sized(random: Random, most: int) -> int:
    """A number of 0 to `most`, each number of digits as likely as any other."""
    return min(most, random.randrange(2 ** random.randint(0, most.bit_length())))


def ladder(random: Random) -> Ladder:
    den = random.choice([*DENOMINATORS, random.randint(1, MAX_DENOMINATOR)])
    greatest = 2 ** random.randint(0, 53)
    starts = {0, *(sized(random, MAX_UNITS) for _ in range(random.randint(0, 4)))}
    rows = tuple(
        Row(start, 1 + sized(random, 2**40), random.randrange(min(greatest, MAX_AMOUNT) * den + 1))
        for start in sorted(starts)
    )
    return Ladder(
        den=den,
        fee=random.choice([0, random.randrange(greatest * den)]),
        rows=rows,
        grace=random.choice([0, 0, 0, sized(random, 10_000)]),
        minimum=random.choice([0, 0, 0, sized(random, MAX_AMOUNT)]),
        maximum=random.choice([-1, -1, -1, sized(random, MAX_AMOUNT)]),
        rounding=random.choice(ROUNDINGS),
        quantum=random.choice([1, 1, 10, 10_000, MAX_QUANTUM]),
        by_total=random.random() < 0.3,
        limit=random.choice([-1, -1, -1, sized(random, MAX_AMOUNT)]),
        end=random.choice([MAX_UNITS, MAX_UNITS, MAX_UNITS, 1 + sized(random, MAX_UNITS - 1)]),
    )


def everyday(seed: int, count: int) -> Iterator[Case]:
    """Uses of one ladder each, as price lists have them: seconds, cents, a few tiers."""
    random = Random(seed)
    for _ in range(count):
        each = _everyday_ladder(random)
        row = random.choice(each.rows)
        edge = row.start + row.increment * random.randint(0, 5) + random.randint(-1, 1)
        units = max(0, random.choice((edge, random.randint(0, 4_000), 10 ** random.randint(0, 9))))
        yield Case((Segment(0, each),), units, money=0)


def _everyday_ladder(random: Random) -> Ladder:
    den = random.choice((1, 1, 3, 60, 1_000, 1_024))
    widths = [random.randint(1, 3_600) for _ in range(random.choice((0, 0, 0, 1, 2, 5, 30)))]
    rows = tuple(
        Row(start, random.choice((1, 1, 6, 30, 60, 1_024)), random.choice((0, 1, 60)) * price)
        for start in accumulate(widths, initial=0)
        for price in (random.randint(0, 10**5 * den),)
    )
    return Ladder(
        den=den,
        fee=random.choice((0, 0, random.randint(1, 10**6) * den)),
        rows=rows,
        grace=random.choice((0, 0, 5)),
        minimum=random.choice((0, 0, random.randint(1, 10**7))),
        maximum=random.choice((-1, -1, random.randint(0, 10**9))),
        rounding=random.choice(ROUNDINGS),
        quantum=random.choice((1, 1, 10, 10_000, 1_000_000)),
        by_total=random.random() < 0.25,
    )

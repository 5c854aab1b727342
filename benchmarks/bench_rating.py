"""What a price costs to compile, to evaluate and to turn round, and whether use has a say in it.

A charging system that counts increments one by one pays for a day's call 86,400 times what it pays
for a second. Here the cost of a use and the use that an amount buys are closed forms: what they
take depends on the rows of a price and the switches within the call, never on the use. So each is
measured from 1 s to 24 h, and the last column is the dearest of a line over its cheapest.

The floor is a price as anybody would write it: ceil(seconds / increment) * price, in exact
fractions, rounded.

    python benchmarks/bench_rating.py [--smoke]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import ceil

import msgspec

from ocs.domain.ladder import Ladder, affordable, cost
from ocs.domain.money import currency
from ocs.domain.rates.interval import Interval
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.tiered import Tiered, Volume
from ocs.domain.rating import Segment, affordable_use, rate_use

EUR = currency("EUR")
USES_S = (1, 60, 3_600, 86_400)
STEPS = (
    PriceStep(start=0, end=60, price=Decimal("0.10"), per=60, by=60),
    PriceStep(start=60, end=600, price=Decimal("0.08"), per=60, by=6),
    PriceStep(start=600, end=None, price=Decimal("0.05"), per=60, by=1),
)


class Size(msgspec.Struct, frozen=True):
    """How often each thing is done in a round, and how many rounds the median is of."""

    calls: int
    rounds: int


CANONICAL = Size(calls=20_000, rounds=5)
SMOKE = Size(calls=50, rounds=1)


def interval() -> Ladder:
    rate = Interval(
        price_1=Decimal("0.06"),
        price_n=Decimal("0.03"),
        interval_1=30,
        interval_n=6,
        connect_fee=Decimal("0.01"),
        postcall_surcharge=Decimal("0.1"),
    )
    return rate.compile(EUR)


def peak_hours() -> tuple[Segment, ...]:
    """Two prices that take turns twice a day, as a call of a day runs through them."""
    ladders = interval(), Tiered(steps=STEPS).compile(EUR)
    switches = (0, 8 * 3_600_000, 18 * 3_600_000, 24 * 3_600_000)
    return tuple(Segment(at_ms, ladders[place % 2]) for place, at_ms in enumerate(switches))


def by_hand(seconds: int) -> int:
    return round(ceil(Fraction(seconds, 6)) * Fraction(3_000))


def microseconds(do: Callable[[], object], size: Size) -> float:
    """Return what one call takes, the median of some rounds."""
    taken = []
    for _ in range(size.rounds):
        began_s = time.perf_counter()
        for _ in range(size.calls):
            do()
        taken.append((time.perf_counter() - began_s) / size.calls * 1e6)
    return statistics.median(taken)


def report(name: str, figures: Sequence[float]) -> None:
    cells = " ".join(f"{figure:>9.2f}" for figure in figures)
    print(f"{name:<40} {cells} {max(figures) / min(figures):>10.2f}")


def measure(size: Size) -> None:
    print(f"µs, one core; rounds {size.rounds}, {size.calls} calls each")
    print(f"{'of a use of':<40} {'1 s':>9} {'1 min':>9} {'1 h':>9} {'24 h':>9} {'max/min':>10}")

    def line(name: str, size: Size, calls: Sequence[Callable[[], object]]) -> None:
        report(name, [microseconds(call, size) for call in calls])

    line("floor: one price by hand", size, [partial(by_hand, used) for used in USES_S])
    tiered = Tiered(steps=STEPS)
    ladders = {
        "interval with fee and surcharge": interval(),
        "tiered, three steps": tiered.compile(EUR),
        "volume, three steps": Volume(steps=STEPS).compile(EUR),
    }
    for name, ladder in ladders.items():
        amounts = [cost(ladder, used) for used in USES_S]
        line(f"cost: {name}", size, [partial(cost, ladder, used) for used in USES_S])
        line(f"affordable: {name}", size, [partial(affordable, ladder, each) for each in amounts])
    few = msgspec.structs.replace(size, calls=max(1, size.calls // 10))
    priced = partial(rate_use, peak_hours(), answer_ms=0, timed=True)
    line("cost: peak hours, explained", few, [partial(priced, units=used) for used in USES_S])
    bought = partial(affordable_use, peak_hours(), 10**12, 0, timed=True)
    line("affordable: peak hours", few, [partial(bought, most_units=used) for used in USES_S])
    line("compile: interval", few, [interval])
    line("compile: tiered, three steps", few, [partial(tiered.compile, EUR)])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true")
    measure(SMOKE if parser.parse_args(argv).smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main())

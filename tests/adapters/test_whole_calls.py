"""Two ledgers, whole calls: services from their start to their release, however they are reported.

The machine (`test_ledger_machine.py`) tries what nobody would think of; it seldom gets as far as a
release whose total has fallen below what four reports had settled. Here money is there, calls go
on, and prices, buckets and reports are drawn by a plain generator: a case is its seed. Every second
call is taken back at its end, report by report.
"""

from random import Random
from typing import Any

import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Kind, Reporting
from ocs.domain.ladder import FREE, Ladder, Row
from ocs.domain.money import MAX_UNITS, Rounding
from ocs.domain.wallet import FOREVER_MS, MAIN_BUCKET, Bucket, BucketKind
from ocs.usecases.ports import WalletDefinition
from tests.adapters import ledger_strategies as draw
from tests.adapters.ledger_strategies import BASE_MS, USAGE
from tests.adapters.two_ledgers import GROUPS, TwoLedgers

CALLS = 8
"""Of one case."""
ROUNDINGS = [rounding for rounding in Rounding if rounding is not Rounding.NONE]


def ladder(random: Random) -> Ladder:
    den = random.choice([1, 3, 60])
    starts = [0, *sorted(random.sample(range(1, 150), random.choice([0, 0, 1, 2])))]
    rows = [
        Row(start, random.choice([1, 1, 6, 60]), random.randint(0, 4 * den)) for start in starts
    ]
    return Ladder(
        den=den,
        fee=random.choice([0, 0, 7 * den]),
        rows=tuple(rows),
        grace=random.choice([0, 0, 0, 20]),
        minimum=random.choice([0, 0, 0, 15]),
        maximum=random.choice([-1, -1, 200]),
        rounding=random.choice(ROUNDINGS),
        quantum=random.choice([1, 1, 10]),
        by_total=random.random() < 0.3,
        limit=random.choice([-1, -1, -1, 150]),
        end=random.choice([MAX_UNITS, MAX_UNITS, 250]),
    )


def buckets(random: Random) -> tuple[Bucket, ...]:
    """Some of them expire in the midst of it all."""
    names = random.sample(["bonus", "credit", "units_a", "units_b"], random.choice([0, 1, 2, 3]))
    return (
        *(
            Bucket(
                bucket=name,
                kind=BucketKind.UNITS if name.startswith("units") else BucketKind.MONEY,
                priority=random.randint(-1, 2),
                valid_until_ms=random.choice([FOREVER_MS, BASE_MS + 300_000]),
                usage_types=(USAGE,) if name.startswith("units") else (),
                increment_units=random.choice([1, 6, 10]) if name.startswith("units") else 1,
                factor=random.choice([1, 1, 2]) if name.startswith("units") else 1,
            )
            for name in sorted(names)
        ),
        MAIN_BUCKET,
    )


def schedule(random: Random) -> list[tuple[int, Ladder]]:
    switches = sorted(random.sample(range(10, 400), random.choice([0, 0, 1, 2])))
    starts = [0, *(BASE_MS + 1000 * second for second in switches)]
    return [(start, ladder(random)) for start in starts]


def begin(random: Random, both: TwoLedgers) -> None:
    both.reporting = random.choice([*Reporting, Reporting.TOTAL, None])
    both.minimum = random.choice([1, 1, 20])
    names = [name for group in GROUPS.values() for name in group if name != "free"]
    both.segments = {name: draw.segments(schedule(random)) for name in names}
    both.segments["free"] = draw.segments([(0, FREE)])
    both.begin()
    both.define(WalletDefinition(version=1, currency="EUR", buckets=buckets(random)))
    for bucket in both.defined.buckets:
        both.credit(bucket.bucket, random.choice([0, 50, 300, 2_000]), bucket.bucket)


def use(random: Random, group: str) -> dict[str, Any]:
    names = GROUPS[group]
    return {
        "group": group,
        "subject": random.choice([names[0]] * 4 + names),
        "used": random.choice([0, 30, 60, random.randint(0, 130)]),
        "ask": random.choice([60, 60, 130, 0]),
        "cap": 130,
        "reporting": random.choice(list(Reporting)),
        "back": random.choice([0, 2, 15, 70, 300]),
        "before": random.choice([0, 0, 7, 40]),
        "before_subject": random.choice(names),
        "coming": random.choice([None, None, *names]),
    }


def whole_call(random: Random, both: TwoLedgers) -> None:
    groups = random.choice([["0"], ["0"], ["1"], ["0", "1"]])
    first, session = len(both.transactions), both.session(0)
    kinds = [Kind.START, *[Kind.UPDATE] * random.randint(1, 4), Kind.RELEASE]
    trouble = draw.Trouble(answered=random.random() < 0.3)
    for kind in [*kinds, *random.choice([[], [], [Kind.RELEASE], [Kind.UPDATE]])]:
        uses = [use(random, group) for group in groups]
        if kind is Kind.UPDATE:  # totals go back at the end alone, but for an update overtaken
            uses = [{**one, "back": random.choice([0, 0, 0, 10])} for one in uses]
        both.charge(both.call(kind, session, uses, trouble))
        both.compare()
        both.pass_time(random.choice([0, 20, 60]))
    if random.random() < 0.5:
        for pair in random.sample(list(both.transactions.items())[first:], 2):
            both.reverse(*pair)
            both.compare()
    both.hung_up[0] += 1


@pytest.mark.parametrize("seed", range(8))
def test_whole_calls_agree(seed: int, store_server: EmbeddedStore) -> None:
    play(seed, store_server)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 40))
def test_many_whole_calls_agree(seed: int, store_server: EmbeddedStore) -> None:
    play(seed, store_server)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(40, 200))
def test_whole_calls_agree_all_night(seed: int, store_server: EmbeddedStore) -> None:
    play(seed, store_server)


def play(seed: int, store_server: EmbeddedStore) -> None:
    random, both = Random(seed), TwoLedgers(store_server.url)
    try:
        begin(random, both)
        for _ in range(CALLS):
            whole_call(random, both)
    finally:
        both.close()

"""What the ledger machine draws from: awkward prices, mixed wallets, calls that make trouble.

Numbers are small on purpose: with prices, balances and increments of the same order, edges, empty
buckets and rounding ties come up all the time, where realistic amounts would never meet.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import strategies as st

from ocs.domain.events import Reporting
from ocs.domain.ladder import Ladder, Row, packed
from ocs.domain.money import MAX_UNITS, Rounding
from ocs.domain.wallet import FOREVER_MS, MAIN, Bucket, BucketKind
from ocs.usecases.ports import ChargeLimits, Segment, WalletDefinition

BASE_MS = 4_102_444_800_000
"""1 January 2100: what the store lets fade by its own clock never fades during a test."""
DENOMINATORS = (1, 1, 2, 3, 7, 60, 3**10, 2**20, 2**26)
"""With pairs that have no common multiple up to 2^26."""
ROUNDINGS = [rounding for rounding in Rounding if rounding is not Rounding.NONE]
USAGE = "voice"


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    den = draw(st.sampled_from(DENOMINATORS))
    starts = sorted(draw(st.sets(st.integers(1, 60), max_size=2)))
    prices = st.one_of(
        st.just(0), st.integers(0, 8 * den), st.integers(1, 40).map(lambda n: n * den)
    )
    rows = [
        Row(start, draw(st.sampled_from([1, 1, 6, 7, 30, 60])), draw(prices))
        for start in [0, *starts]
    ]
    return Ladder(
        den=den,
        fee=draw(st.one_of(st.just(0), st.integers(0, 20 * den))),
        rows=tuple(rows),
        grace=draw(st.sampled_from([0, 0, 0, 5, 40])),
        minimum=draw(st.sampled_from([0, 0, 0, 15])),
        maximum=draw(st.sampled_from([-1, -1, -1, 60])),
        rounding=draw(st.sampled_from(ROUNDINGS)),
        quantum=draw(st.sampled_from([1, 1, 1, 10, 7])),
        by_total=draw(st.sampled_from([False, False, True])),
        limit=draw(st.sampled_from([-1, -1, -1, 90, 10])),
        end=draw(st.sampled_from([MAX_UNITS] * 4 + [20, 130])),
    )


@st.composite
def rebates(draw: st.DrawFn) -> Ladder:
    """Volume pricing whose cost falls in the midst of a call, so that money goes back."""
    dear, cheap, start = draw(st.integers(4, 9)), draw(st.integers(0, 3)), draw(st.integers(3, 40))
    rows = (Row(0, 1, dear), Row(start, draw(st.sampled_from([1, 6])), cheap))
    fee, grace = draw(st.sampled_from([0, 5])), draw(st.sampled_from([0, 0, 10]))
    return Ladder(den=1, fee=fee, rows=rows, grace=grace, by_total=True)


@st.composite
def schedules(draw: st.DrawFn) -> list[tuple[int, Ladder]]:
    """The ladder in force, and up to two switches within some minutes."""
    switches = sorted(draw(st.sets(st.integers(-100, 400), max_size=2)))
    starts = [0, *(BASE_MS + 1000 * second for second in switches)]
    return [(start, draw(st.one_of(ladders(), ladders(), rebates()))) for start in starts]


def segments(schedule: list[tuple[int, Ladder]]) -> tuple[Segment, ...]:
    return tuple(
        Segment(from_ms, msgspec.Raw(msgspec.msgpack.encode(packed(ladder))), f"rating {i}")
        for i, (from_ms, ladder) in enumerate(schedule)
    )


@st.composite
def buckets(draw: st.DrawFn, name: str) -> Bucket:
    if name == MAIN:
        return Bucket(bucket=MAIN)
    units = name.startswith("units")
    moments = st.one_of(st.none(), st.integers(-100, 400).map(lambda s: BASE_MS + 1000 * s))
    start, end = draw(moments), draw(moments)
    return Bucket(
        bucket=name,
        kind=BucketKind.UNITS if units else BucketKind.MONEY,
        priority=draw(st.integers(-1, 1)),
        valid_from_ms=start or 0,
        valid_until_ms=end or FOREVER_MS,
        usage_types=(USAGE,) if units else (),
        increment_units=draw(st.sampled_from([1, 6, 10])) if units else 1,
        factor=draw(st.sampled_from([1, 1, 2])) if units else 1,
    )


@st.composite
def definitions(draw: st.DrawFn, version: int) -> WalletDefinition:
    names = draw(st.sets(st.sampled_from(["bonus", "credit", "units_a", "units_b"]), max_size=3))
    return WalletDefinition(
        version=version,
        currency="EUR",
        active=draw(st.sampled_from([True] * 7 + [False])),
        floor_amount=draw(st.sampled_from([0, 0, 0, -40])),
        buckets=tuple(draw(buckets(name)) for name in [*sorted(names), MAIN]),
    )


def limits() -> st.SearchStrategy[ChargeLimits]:
    return st.builds(
        ChargeLimits,
        validity_s=st.sampled_from([20, 300]),
        max_ring_s=st.sampled_from([0, 180]),
        life_units=st.sampled_from([86_400, 86_400, 100]),
        max_sessions=st.sampled_from([1_000, 2]),
        lead_s=st.sampled_from([0, 0, 0, 7_200]),
    )


def use(groups: dict[str, list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    """What is reported and asked for; `groups` names the subjects of each rating group.

    Where totals are reported, `back` is how far one falls behind what was used.
    """
    return st.sampled_from(sorted(groups)).flatmap(
        lambda group: st.fixed_dictionaries(
            {
                "group": st.just(group),
                "subject": st.sampled_from([groups[group][0]] * 3 + groups[group]),
                "used": st.one_of(st.just(0), st.integers(1, 25), st.integers(0, 130)),
                "ask": st.sampled_from([60, 60, 20, 0, 1, 45, 130]),
                "cap": st.sampled_from([130, 130, 50]),
                "reporting": st.sampled_from(Reporting),
                "back": st.sampled_from([0, 0, 0, 3, 45]),
                "before": st.sampled_from([0, 0, 0, 7, 40]),
                "before_subject": st.sampled_from(groups[group]),
                "coming": st.sampled_from([None, None, *groups[group]]),
            }
        )
    )


@dataclass(frozen=True)
class Trouble:
    """How a request departs from the plain one. `back`: of an earlier session; `lag_s`: in the past."""

    number: str = "next"
    back: int = 0
    lag_s: int = 0
    answer_s: int | None = None
    answered: bool = False
    can_open: bool = True
    only_repeats: bool = False
    dry_run: bool = False
    stale: int = 0


def troubles() -> st.SearchStrategy[Trouble]:
    return st.builds(
        Trouble,
        number=st.sampled_from(["next", "next", "next", "older", "far", "key"]),
        back=st.sampled_from([0, 0, 0, 1]),
        lag_s=st.sampled_from([0, 0, 0, 30, 400, -20]),
        answer_s=st.sampled_from([None, None, 0, 5, 60]),
        answered=st.booleans(),
        can_open=st.sampled_from([True] * 7 + [False]),
        only_repeats=st.sampled_from([False] * 9 + [True]),
        dry_run=st.sampled_from([False] * 7 + [True]),
        stale=st.sampled_from([0] * 9 + [1]),
    )

"""Columns of CDRs are rated as the domain rates them one by one, to the last integer."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.domain.generation import Generation
from ocs.domain.money import MAX_AMOUNT
from ocs.domain.plan import Plan
from ocs.domain.rating import Segment, rate_use
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS, Deck, PlanTariff, Used
from ocs.domain.timing import Timing
from ocs.domain.zones import UTC_ZONE, zone_named
from tests.domain.decks import BLOCKED, Amount, Line, deck, generation
from tests.domain.random_prices import everyday

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
columns = pytest.importorskip("ocs.adapters.columns")

LONDON = zone_named("Europe/London")
SPRING_MS = 1_774_746_000_000  # 2026-03-29 01:00 UTC, when the clocks of London jump to 02:00
HOUR_MS = 3_600_000
PEAK = Timing(start_s=8 * 3_600, end_s=18 * 3_600, weight=10)
NIGHT = Timing(start_s=3_600, end_s=3 * 3_600, week_days=(7,), weight=20)
AMOUNT, CURRENCY, TARIFF, PREFIX, DESTINATION, MODEL, CODE, GENERATION, FEE = range(9)

instants = st.integers(SPRING_MS - 30 * HOUR_MS, SPRING_MS + 30 * HOUR_MS) | st.sampled_from(
    [SPRING_MS - 1, SPRING_MS, SPRING_MS + HOUR_MS]
)
# Few of them: what is tested here is which applies, and when.
ladders = st.sampled_from([case.segments[0].ladder for case in everyday(seed=0, count=50)])
amounts: st.SearchStrategy[Amount] = st.one_of(
    ladders,
    st.just(BLOCKED),
    st.tuples(
        st.tuples(st.none(), ladders),
        st.tuples(st.just(PEAK), ladders),
        st.tuples(st.just(NIGHT), ladders),
    ),
    st.tuples(st.tuples(st.just(PEAK), ladders)),
)


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """The rows of a deck, maybe dated."""
    prefixes = draw(st.lists(st.text("014", max_size=4), unique=True, max_size=7))
    if draw(st.booleans()):
        return [(prefix, draw(amounts)) for prefix in prefixes]
    rows: list[Line] = []
    for prefix in prefixes:
        cuts = sorted({ALWAYS_FROM_MS, NEVER_ENDS_MS, *draw(st.lists(instants, max_size=3))})
        spans = list(pairwise(cuts))[draw(st.integers(0, 1)) :]
        rows += [(prefix, draw(amounts), *span) for span in spans]
    return rows


@st.composite
def decks(draw: st.DrawFn, name: str) -> list[Deck]:
    """The decks of a tariff: one for all, maybe others for some callers or a trunk."""
    origins = draw(
        st.lists(
            st.tuples(st.sampled_from(["", "4", "44"]), st.sampled_from(["", "north"])),
            unique=True,
            max_size=2,
        )
    )
    zone = draw(st.sampled_from([None, UTC_ZONE, LONDON]))
    return [
        deck(
            name,
            draw(lines()),
            usage_type="sms" if name == "texts" else "voice",
            code="JPY" if name == "far" else "EUR",
            zone=zone,
            wall_dates=zone is None and draw(st.booleans()),
            from_prefix=from_prefix,
            trunk=trunk,
        )
        for from_prefix, trunk in {("", ""), *origins}
    ]


@st.composite
def books(draw: st.DrawFn) -> tuple[Generation, dict[str, Plan]]:
    """A generation and the plans that use it."""
    tariffs = {name: draw(decks(name)) for name in ("near", "far", "texts")}
    shares = st.sampled_from([Fraction(100), Fraction(100), Fraction(90), Fraction(0)])
    plans = {
        name: Plan(
            name=name,
            tariffs=tuple(
                PlanTariff(tariff, draw(shares))
                for tariff in draw(st.permutations([*tariffs, "unknown"]))
            ),
            blocked_prefixes=draw(st.sampled_from([(), ("01", "a"), ("4",)])),
            free_prefixes=draw(st.sampled_from([(), ("014",), ("",)])),
        )
        for name in ("basic", "other")
    }
    return generation(*(each for decks in tariffs.values() for each in decks)), plans


CHOICES: dict[str, Sequence[Any]] = {
    "tenant": ("here", "there"),
    "plan": ("basic", "basic", "basic", "other", "gone"),
    "usage_type": ("voice", "voice", "voice", "sms", "data"),
    "caller": ("", "4", "441", "1", "alice"),
    "trunk": ("", "north", "south"),
    "answered": (True, False),
}
ODD_NUMBERS = ("alice", "+4", "-1", "4a", "", "٤", "0" * 18, "1" * 19, "4" * 30)


def cdr(chance: Random) -> dict[str, Any]:
    """A CDR somewhere about the night in which the clocks of London jump."""
    digits = "".join(chance.choices("014", k=chance.randint(1, 6)))
    near_ms = chance.randint(-30 * HOUR_MS, 30 * HOUR_MS)
    return {
        **{name: chance.choice(values) for name, values in CHOICES.items()},
        "called": chance.choice((digits, digits, digits, chance.choice(ODD_NUMBERS))),
        "answer_ms": SPRING_MS + chance.choice((near_ms, near_ms // 60, -1, 0)),
        "units": chance.choice(
            (0, chance.randint(1, 120), chance.randint(1, 20_000), 10**7, 2**53)
        ),
    }


def priced(generation: Generation, plans: dict[str, Plan], cdr: dict[str, Any]) -> tuple[Any, ...]:
    """Price one CDR as the domain does it; the columns of a price."""
    plan, timed = plans.get(cdr["plan"]), cdr["usage_type"] == "voice"
    nothing = (None,) * CODE
    if plan is None or cdr["units"] > (366 * 86_400 if timed else MAX_AMOUNT):
        return (*nothing, "RATING_FAILED", generation.id, None)
    zone = LONDON if cdr["tenant"] == "there" else UTC_ZONE
    used = Used(
        cdr["called"], cdr["usage_type"], cdr["answer_ms"], zone, cdr["caller"], cdr["trunk"]
    )
    until_ms = cdr["answer_ms"] + cdr["units"] * 1_000
    rate = plan.exempt(cdr["called"], cdr["usage_type"])
    schedule = generation.schedule(plan.tariffs, used, until_ms) if rate is None else ((0, rate),)
    if not schedule:
        return (*nothing, "NO_RATE", generation.id, None)
    rate = schedule[0][1]
    about = rate.currency, rate.tariff, rate.prefix, rate.destination, rate.model
    if rate.blocked:
        return (None, *about, "RATE_BLOCKED", generation.id, None)
    segments = [Segment(from_ms, later.ladder) for from_ms, later in schedule if not later.blocked]
    use = rate_use(segments, cdr["units"], cdr["answer_ms"], timed=timed, answered=cdr["answered"])
    if use.total > MAX_AMOUNT:
        return (None, *about, "RATING_FAILED", generation.id, None)
    fees = [step.amount for part in use.parts for step in part.steps if step.what == "fee"]
    return (use.total, *about, "OK", generation.id, min(int(sum(fees)), use.total))


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 8)
@given(books(), st.integers(0, 2**32))
def test_columns_are_rated_like_single_uses(
    book: tuple[Generation, dict[str, Plan]], seed: int
) -> None:
    generation, plans = book
    chance = Random(seed)
    rows = [cdr(chance) for _ in range(400)]
    rater = columns.ColumnRater(generation, plans, {"there": LONDON})
    rated = rater.rate(pl.DataFrame(rows))
    assert rated.schema == columns.PRICES
    for row, got in zip(rows, rated.rows(), strict=True):
        assert got == priced(generation, plans, row), row

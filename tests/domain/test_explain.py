"""An explanation is the price itself, told step by step."""

from datetime import datetime
from fractions import Fraction

import pytest

from ocs.domain.explain import Explanation, explain, segments_of
from ocs.domain.generation import Generation
from ocs.domain.ladder import Bounds, compile_ladder
from ocs.domain.money import MAX_UNITS, currency, parse_decimal, parse_money
from ocs.domain.plan import Plan, rates_of
from ocs.domain.rating import rate_use
from ocs.domain.tariff import PlanTariff, Used, plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.zones import zone_named
from tests.domain.decks import deck, generation

LONDON = zone_named("Europe/London")
EIGHT_S, SIX_PM_S = 8 * 3600, 18 * 3600
PEAK = (
    (Timing(start_s=EIGHT_S, end_s=SIX_PM_S, weight=1), 600_000),
    (None, 60_000),
)


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def explained(
    what: Generation, number: str, time: str, units: int, plan: Plan | None = None, **used: str
) -> Explanation:
    plan = plan or Plan(name="standard", tariffs=plan_tariffs("retail"))
    asked = Used(number, used.get("usage_type", "voice"), at_ms(time), LONDON)
    found = explain(what, plan, asked, units)
    assert found is not None
    return found


def sum_of(explanation: Explanation) -> Fraction:
    return sum(
        (parse_decimal(step.amount) for part in explanation.parts for step in part.steps),
        Fraction(0),
    )


def test_one_price_is_one_part_that_adds_up_to_the_total() -> None:
    found = explained(generation(deck("retail", [("44", 60_000)])), "4420", "2026-01-07T09:00Z", 90)
    assert (found.tariff, found.prefix, found.total) == ("retail", "44", "0.12")
    (part,) = found.parts
    assert [(step.what, step.increments, step.amount) for step in part.steps] == [
        ("row", 2, "0.12")
    ]
    assert sum_of(found) == parse_decimal(found.total)


def test_a_call_over_a_switch_has_a_part_for_each_price_with_the_local_time() -> None:
    tariffs = generation(deck("retail", [("44", PEAK)]))
    found = explained(tariffs, "4420", "2026-07-01T16:59:00Z", 180)
    assert [(part.at, part.from_units, part.to_units) for part in found.parts] == [
        ("2026-07-01T17:59:00+01:00", 0, 60),
        ("2026-07-01T18:00:00+01:00", 60, 180),
    ]
    assert found.total == "0.72"
    assert sum_of(found) == parse_decimal(found.total)


def test_the_clocks_go_forward_within_a_call() -> None:
    """At 00:59 in London on that night, a minute later it is two o'clock."""
    two_to_six = ((Timing(start_s=2 * 3600, end_s=6 * 3600, weight=1), 600_000), (None, 60_000))
    found = explained(
        generation(deck("retail", [("44", two_to_six)])), "4420", "2026-03-29T00:59:00+00:00", 190
    )
    assert [part.at for part in found.parts] == [
        "2026-03-29T00:59:00+00:00",
        "2026-03-29T02:00:00+01:00",
    ]
    assert found.total == "1.86"


def test_data_keeps_the_price_of_its_beginning() -> None:
    tariffs = generation(deck("retail", [("44", PEAK)], usage_type="data"))
    found = explained(tariffs, "44", "2026-07-01T16:59:59Z", 600, usage_type="data")
    assert len(found.parts) == 1
    assert found.total == "6.00"


def test_a_plan_may_take_a_share_block_and_exempt() -> None:
    tariffs = generation(deck("retail", [("44", 60_000)]))
    plan = Plan(
        name="half",
        tariffs=(PlanTariff("retail", Fraction(50)),),
        blocked_prefixes=("449",),
        free_prefixes=("448",),
    )
    half = explained(tariffs, "4420", "2026-01-07T09:00Z", 60, plan)
    assert (half.total, half.parts[0].percent) == ("0.03", "50")
    free = explained(tariffs, "44800", "2026-01-07T09:00Z", 60, plan)
    assert (free.total, free.model, free.currency) == ("0.00", "free", "")
    assert explained(tariffs, "44900", "2026-01-07T09:00Z", 60, plan).blocked


def test_what_has_no_price_has_no_explanation() -> None:
    plan = Plan(name="standard", tariffs=plan_tariffs("retail"))
    used = Used("33", "voice", 0)
    assert explain(generation(deck("retail", [("44", 1)])), plan, used, 60) is None


@pytest.mark.parametrize("units", [0, 1, 59, 60, 61, 3600, 86_400])
def test_the_total_is_what_rating_says(units: int) -> None:
    tariffs = generation(deck("retail", [("44", PEAK)]))
    plan = Plan(name="standard", tariffs=plan_tariffs("retail"))
    used = Used("44", "voice", at_ms("2026-07-01T06:00:30Z"), LONDON)
    found = explain(tariffs, plan, used, units)
    assert found is not None
    segments = segments_of(rates_of(tariffs, plan, used, units))
    total = rate_use(segments, units, used.at_ms, timed=True).total
    assert parse_money(found.total, currency("EUR")) == total
    assert sum_of(found) * currency("EUR").units_a_whole == total


def test_a_use_without_bounds_is_explained_by_the_prices_of_a_calls_life() -> None:
    tariffs = generation(deck("retail", [("44", PEAK)]))
    plan = Plan(name="standard", tariffs=plan_tariffs("retail"))
    used = Used("44", "voice", at_ms("2026-07-06T16:30:00Z"), LONDON)
    short = explain(tariffs, plan, used, MAX_UNITS, life_s=3600)
    assert short is not None
    assert [part.to_units for part in short.parts] == [1800, MAX_UNITS]
    longest = explain(tariffs, plan, used, MAX_UNITS)
    assert longest is not None
    assert len(longest.parts) == 1 + 2 * 7


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({}, ""),
        ({"end": 120}, "120 units"),
        ({"limit": 150_000}, "0.15 EUR"),
        ({"end": 120, "limit": 150_000}, "120 units or 0.15 EUR"),
    ],
)
def test_a_price_that_ends_a_call_says_where(bounds: Bounds, told: str) -> None:
    ladder = compile_ladder(Fraction(0), [(0, 60, Fraction(60_000))], **bounds)
    found = explained(generation(deck("retail", [("44", ladder)])), "4420", "2026-01-07T09:00Z", 60)
    assert found.granted_at_most == told

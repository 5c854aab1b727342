"""Which rate applies, from when, and why it costs what it costs."""

from typing import Any

import msgspec
import pytest

from ocs.domain import tariff as tariff_module
from ocs.domain.ladder import packed
from ocs.domain.plan import USAGE_TYPES, Plan, TariffMeta, check_plan, explain
from tests.domain.decks import BLOCKED, deck, generation

SPECIAL = deck("special", [("4917", 5)])
WORLD = deck("world", [("49", 10), ("4917", 20), ("4477", BLOCKED), ("", 99)])
DATED = deck("dated", [("49", 10), ("4917", 20, 100, 200), ("4917", 30, 200, 300)])
TEXTS = deck("texts", [("49", 7)], usage_type="sms")
GENERATION = generation(SPECIAL, WORLD, DATED, TEXTS)


@pytest.mark.parametrize(
    ("tariffs", "number", "tariff", "prefix"),
    [
        (("special", "world"), "49171", "special", "4917"),
        (("special", "world"), "4930", "world", "49"),
        (("world", "special"), "49171", "world", "4917"),
        (("world",), "alice", "world", "*"),
        (("texts", "no such tariff", "world"), "4930", "world", "49"),
    ],
)
def test_the_first_tariff_with_a_match_wins(
    tariffs: tuple[str, ...], number: str, tariff: str, prefix: str
) -> None:
    rate = GENERATION.find(tariffs, number, "voice", 0)
    assert rate is not None
    assert (rate.tariff, rate.prefix) == (tariff, prefix)


@pytest.mark.parametrize(
    ("tariffs", "usage_type"), [((), "voice"), (("special",), "voice"), (("world",), "sms")]
)
def test_there_may_be_no_rate(tariffs: tuple[str, ...], usage_type: str) -> None:
    assert GENERATION.find(tariffs, "4930", usage_type, 0) is None
    assert GENERATION.schedule(tariffs, "4930", usage_type, 0, 1) == ()
    assert explain(GENERATION, tariffs, "4930", usage_type, 0, 60) is None


def test_a_rate_carries_all_that_a_charge_needs() -> None:
    rate = GENERATION.find(("dated",), "49171", "voice", 150)
    assert rate is not None
    assert (rate.destination, rate.model, rate.currency) == ("to 4917", "flat", "EUR")
    assert (rate.valid_from_ms, rate.valid_to_ms, rate.usage_type) == (100, 200, "voice")
    assert msgspec.msgpack.decode(rate.packed) == list(packed(rate.ladder))
    assert GENERATION.find(("dated",), "49172", "voice", 150) is rate


def test_a_blocked_destination_is_found_and_says_so() -> None:
    rate = GENERATION.find(("world",), "447712", "voice", 0)
    assert rate is not None
    assert rate.blocked


def test_a_schedule_of_an_undated_deck_is_its_one_rate() -> None:
    assert [
        (at, rate.prefix) for at, rate in GENERATION.schedule(("world",), "491", "voice", 5, 9)
    ] == [(5, "49")]


@pytest.mark.parametrize(
    ("at_ms", "until_ms", "expected"),
    [
        (0, 100, [(0, 10)]),
        (0, 101, [(0, 10), (100, 20)]),
        (50, 1_000, [(50, 10), (100, 20), (200, 30), (300, 10)]),
        (100, 250, [(100, 20), (200, 30)]),
        (350, 1_000, [(350, 10)]),
    ],
)
def test_a_schedule_has_each_change_that_dates_bring(
    at_ms: int, until_ms: int, expected: list[tuple[int, int]]
) -> None:
    schedule = GENERATION.schedule(("dated",), "49171", "voice", at_ms, until_ms)
    assert [(instant, rate.ladder.rows[0].price) for instant, rate in schedule] == expected


def test_a_call_begun_at_a_price_that_ends_is_finished_at_it() -> None:
    ending = generation(deck("ending", [("49", 10, 0, 100), ("50", 1)]))
    assert [at for at, _ in ending.schedule(("ending",), "491", "voice", 50, 500)] == [50]


@pytest.mark.parametrize("following", [10, BLOCKED])
def test_a_renewed_price_or_a_block_does_not_cut_a_call(following: int | None) -> None:
    renewed = generation(deck("renewed", [("49", 10, 0, 100), ("49", following, 100, 200)]))
    assert [at for at, _ in renewed.schedule(("renewed",), "491", "voice", 50, 500)] == [50]


def test_a_blocked_call_has_no_later_price() -> None:
    opening = generation(deck("opening", [("49", BLOCKED, 0, 100), ("49", 5, 100, 200)]))
    schedule = opening.schedule(("opening",), "491", "voice", 50, 500)
    assert [(at, rate.blocked) for at, rate in schedule] == [(50, True)]


def test_rates_are_kept_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tariff_module, "_MOST_RATES_KEPT", 1)
    small = deck("small", [("1", 1), ("2", 1)])
    first = small.find("1", 0)
    assert small.find("1", 0) is first
    small.find("2", 0)
    assert small.find("1", 0) is not first
    assert small.find("1", 0) == first


def test_rows_with_one_price_share_it() -> None:
    same = deck("same", [("1", 5), ("2", 5)])
    one, two = same.find("1", 0), same.find("2", 0)
    assert one is not None
    assert two is not None
    assert one.packed is two.packed
    assert len(same.rows.price_records) == 1


def test_a_generation_says_what_it_holds() -> None:
    assert GENERATION.tariffs[1] == TariffMeta("world", "EUR", "voice", 4)


def test_an_explanation_adds_up() -> None:
    told = explain(GENERATION, ("special", "world"), "4930", "voice", 0, 90)
    assert told is not None
    assert (told.tariff, told.prefix, told.generation) == ("world", "49", "test")
    assert (told.total, told.rounding, told.units) == ("0.00002", "half_up", 90)
    assert [(step.what, step.increments, step.price, step.amount) for step in told.steps] == [
        ("row", 2, "0.00001", "0.00002")
    ]


def test_a_plan_has_a_default_for_whatever_it_leaves_out() -> None:
    plan = Plan("basic", ("world",), quota_units={"voice": 60})
    assert (plan.minimum_units["voice"], plan.maximum_units["voice"]) == (1, 3_600)
    assert plan.quota_units["voice"] == 60
    assert plan.quota_units["sms"] == 1
    assert set(plan.quota_units) == set(USAGE_TYPES)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quota_units": {"fax": 1}}, "'fax' is not one of"),
        ({"minimum_units": {"fax": 1}}, "'fax' is not one of"),
        ({"quota_units": {"voice": 4_000}}, "voice units must satisfy"),
        ({"minimum_units": {"voice": 0}}, "voice units must satisfy"),
        ({"validity_s": 0}, "validity_s"),
    ],
)
def test_a_plan_that_cannot_hold_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Plan("basic", ("world",), **fields)


def test_a_plan_is_held_against_the_tariffs_that_there_are() -> None:
    dollars = generation(WORLD, deck("dollars", [("1", 1)], code="USD"))
    assert check_plan(Plan("good", ("world",)), dollars) == ()
    assert check_plan(Plan("typo", ("wrold",)), dollars) == (
        "plan typo: there is no tariff 'wrold'",
    )
    assert "different currencies" in check_plan(Plan("mixed", ("world", "dollars")), dollars)[0]

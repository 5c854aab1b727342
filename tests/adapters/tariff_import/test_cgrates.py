"""A CGRateS tariff plan costs here what it costs there, but for what rounds wrongly there."""

from pathlib import Path

import pytest

from ocs.adapters.tariff_import.cgrates import compile_plan, current
from ocs.adapters.tariff_import.cgrates_bands import leave_gaps, told_apart
from ocs.adapters.tariff_import.cgrates_files import read_folder
from ocs.adapters.tariff_import.cgrates_plan import (
    Activation,
    DestinationRate,
    PlanRates,
    Profile,
    RateSlot,
    TariffPlan,
)
from ocs.adapters.tariff_import.cgrates_plan import Timing as PeerTiming
from ocs.domain.timing import Timetable, Timing
from ocs.domain.zones import UTC_ZONE
from ocs.usecases.price_lists import Fault, Imported
from tests.adapters.tariff_import.tables import TABLES, cost_of, generation_of, written

WEDNESDAY, SATURDAY, XMAS = "2026-01-07", "2026-01-10", "2026-12-25"


def imported(folder: Path, **changed: str) -> Imported:
    plan, faults = read_folder(written(folder / "plan", **changed))
    found = compile_plan(plan, "EUR")
    return Imported(
        found.lists, found.plans, found.profiles, found.warnings, (*faults, *found.faults)
    )


def one(slots: tuple[RateSlot, ...], **rate: str | int) -> TariffPlan:
    """A plan of one rate for 49, active since ever."""
    return TariffPlan(
        destinations={"D": ("49",)},
        rates={"R": slots},
        destination_rates={"DR": (DestinationRate("D", "R", **rate),)},  # type: ignore[arg-type]
        rating_plans={"RP": (PlanRates("DR"),)},
        rating_profiles=(Profile("t", "call", "*any", (Activation("", "RP"),)),),
    )


@pytest.mark.parametrize(
    ("number", "at", "seconds", "amount"),
    [
        ("49301", f"{WEDNESDAY}T10:00:00Z", 61, "0.705"),
        ("49301", f"{WEDNESDAY}T06:00:00Z", 61, "0.061"),
        ("49301", f"{WEDNESDAY}T18:59:30Z", 120, "0.76"),  # its begun minute, and a minute
        ("49301", f"{SATURDAY}T10:00:00Z", 60, "0.06"),
        ("49301", f"{XMAS}T10:00:00Z", 60, "0.06"),
        ("491711", f"{WEDNESDAY}T10:00:00Z", 600, "1.5"),  # free beyond the maximum
        ("442079", f"{WEDNESDAY}T10:00:00Z", 3, "0"),  # 0.003, rounded down
        ("110", f"{WEDNESDAY}T10:00:00Z", 60, "0"),
        ("33", f"{WEDNESDAY}T10:00:00Z", 60, None),
    ],
)
def test_a_call_costs_what_its_plan_says(
    tmp_path: Path, number: str, at: str, seconds: int, amount: str | None
) -> None:
    found = imported(tmp_path)
    tariffs = found.profiles["acme", "call", "1001"]
    assert tariffs == ("rp_de", "rp_world-20260101")
    assert cost_of(found, tariffs, number, at, seconds) == amount


def test_plans_are_made_of_profiles_and_their_fallbacks(tmp_path: Path) -> None:
    found = imported(tmp_path)
    assert {plan.name: [each.name for each in plan.tariffs] for plan in found.plans} == {
        "1001": ["rp_de", "rp_world-20260101", "rp_data"],
        "any": ["rp_world-20200101", "rp_data"],
    }
    assert {plan.tenant for plan in found.plans} == {"acme"}


def test_data_is_priced_by_raw_units(tmp_path: Path) -> None:
    found = imported(tmp_path)
    tariffs = found.profiles["acme", "data", "*any"]
    cost = cost_of(found, tariffs, "web", f"{WEDNESDAY}T10:00:00Z", 1_048_577, "data")
    assert cost == "0.0101"


def test_a_category_of_another_name_is_what_one_says_it_is(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"].replace(",data,", ",internet,")
    plan, _ = read_folder(written(tmp_path / "plan", RatingProfiles=profiles))
    found = compile_plan(plan, "EUR", usage_types={"internet": "data"})
    assert {each.name: each.usage_type for each in found.lists}["rp_data"] == "data"


def test_a_second_category_of_calls_has_a_plan_of_its_own(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"] + "acme,resale,1001,,RP_WORLD,\n"
    found = imported(tmp_path, RatingProfiles=profiles)
    by_name = {plan.name: [each.name for each in plan.tariffs] for plan in found.plans}
    assert by_name["1001"][0] == "rp_de"
    assert by_name["1001-resale"] == [*found.profiles["acme", "resale", "1001"]]


def test_plans_of_several_tenants_are_named_after_them(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"] + "zeta,call,*any,,RP_WORLD,\n"
    found = imported(tmp_path, RatingProfiles=profiles)
    assert {plan.name for plan in found.plans} == {"acme-1001", "acme-any", "zeta-any"}


def test_an_activation_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"] + "acme,call,1001,2026-01-07T10:00:30Z,RP_WORLD,\n"
    found = imported(tmp_path, RatingProfiles=profiles)
    tariffs = found.profiles["acme", "call", "1001"]
    before, after = f"{WEDNESDAY}T10:00:00Z", f"{WEDNESDAY}T10:00:30Z"
    assert cost_of(found, tariffs, "49301", before, 20) == "0.7"
    assert cost_of(found, tariffs, "49301", after, 20) is None
    assert cost_of(found, tariffs, "442", after, 60) == "0.06"
    assert cost_of(found, tariffs, "442", "2025-12-31T23:00:00Z", 60) is None


def test_what_is_past_can_be_left_out(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"] + (
        "acme,call,1002,2019-01-01T00:00:00Z,RP_DE,\n"
        "acme,call,1002,2027-01-01T00:00:00Z,RP_WORLD,\n"
        "acme,call,1003,2018-01-01T00:00:00Z,RP_DE,\n"
        "acme,call,1003,2021-01-01T00:00:00Z,RP_WORLD,\n"
    )
    plan, _ = read_folder(written(tmp_path / "plan", RatingProfiles=profiles))
    found = compile_plan(current(plan, 1_790_000_000_000), "EUR")
    assert found.profiles["acme", "call", "1003"] == found.profiles["acme", "call", "*any"]
    (begun, to_come) = found.profiles["acme", "call", "1002"]
    by_name = {each.name: each for each in found.lists}
    assert by_name[begun].valid_from_ms is None
    assert by_name[begun].valid_to_ms == by_name[to_come].valid_from_ms == 1_798_761_600_000


@pytest.mark.parametrize(("depth", "reached"), [(1, "a"), (2, "abc"), (3, "abdc"), (4, "abdc")])
def test_fallbacks_are_followed_so_many_subjects_deep(depth: int, reached: str) -> None:
    plan = TariffPlan(
        destinations={"D": ("49",)},
        rates={"R": (RateSlot(rate="1"),)},
        destination_rates={"DR": (DestinationRate("D", "R"),)},
        rating_plans={name: (PlanRates("DR"),) for name in "ABCD"},
        rating_profiles=(
            Profile("t", "call", "a", (Activation("", "A", ("b", "c", "nobody")),)),
            Profile("t", "call", "b", (Activation("", "B", ("d", "a")),)),
            Profile("t", "call", "c", (Activation("", "C"),)),
            Profile("t", "call", "d", (Activation("", "D"),)),
        ),
    )
    found = compile_plan(plan, "EUR", fallback_depth=depth)
    assert found.profiles["t", "call", "a"] == tuple(reached)
    assert any("no profile of 'nobody'" in warning.reason for warning in found.warnings)


def test_a_fallback_counts_while_the_activation_that_names_it_does(tmp_path: Path) -> None:
    profiles = (
        "acme,call,a,2020-01-01T00:00:00Z,RP_DE,b\nacme,call,a,2026-01-01T00:00:00Z,RP_DE,\n"
        "acme,call,b,2019-01-01T00:00:00Z,RP_DE,\nacme,call,b,2025-06-01T00:00:00Z,RP_WORLD,\n"
        "acme,call,b,2026-06-01T00:00:00Z,RP_DE,\n"
    )
    found = imported(tmp_path, RatingProfiles=profiles)
    by_name = {each.name: each for each in found.lists}
    (world,) = [by_name[name] for name in found.profiles["acme", "call", "a"] if "world" in name]
    assert (world.valid_from_ms, world.valid_to_ms) == (1_748_736_000_000, 1_767_225_600_000)
    assert len(found.profiles["acme", "call", "a"]) == 4


def test_leaving_out_the_past_hides_no_fault(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"].replace("2026-01-01T00:00:00Z", "soon")
    plan, _ = read_folder(written(tmp_path / "plan", RatingProfiles=profiles))
    (fault,) = compile_plan(current(plan, 1_790_000_000_000), "EUR").faults
    assert (fault.line, fault.column) == (2, "ActivationTime")


def test_fallbacks_that_fan_out_are_a_fault() -> None:
    subjects = tuple(f"s{number}" for number in range(40))
    profiles = tuple(
        Profile("t", "call", subject, (Activation("", f"P{subject}", subjects),))
        for subject in subjects
    )
    found = compile_plan(TariffPlan(rating_profiles=profiles), "EUR", fallback_depth=9)
    assert "'s0' leads to more than 1000 rating plans" in {fault.reason for fault in found.faults}


@pytest.mark.parametrize(
    ("slots", "seconds", "amount"),
    [
        ((RateSlot(rate="0.1", rate_unit="60s", rate_increment="1s"),), 3_600, "6"),
        ((RateSlot(rate="0.001", rate_unit="1s", rate_increment="100ms"),), 7, "0.007"),
        ((RateSlot(rate="0.001", rate_unit="100ms", rate_increment="1s"),), 7, "0.07"),
        ((RateSlot(rate="0.3", rate_unit="1500ms", rate_increment="3s"),), 4, "1.2"),
        ((RateSlot(rate="1", rate_unit="1h", rate_increment="1m"),), 61, "0.033333"),
        (
            (
                RateSlot(
                    rate="0.2", rate_unit="60s", rate_increment="10s", group_interval_start="60s"
                ),
                RateSlot(connect_fee="0.05", rate="0.3", rate_unit="60s", rate_increment="30s"),
            ),
            61,
            "0.383333",
        ),
    ],
)
def test_rates_are_exact(slots: tuple[RateSlot, ...], seconds: int, amount: str) -> None:
    assert (
        cost_of(compile_plan(one(slots), "EUR"), ("rp",), "49", f"{WEDNESDAY}T00:00:00Z", seconds)
        == amount
    )


@pytest.mark.parametrize(
    ("slots", "column", "reason"),
    [
        ((RateSlot(rate_increment="1500ms"),), "RateIncrement", "neither whole seconds"),
        ((RateSlot(rate_increment="soon"),), "RateIncrement", "not a duration"),
        ((RateSlot(rate_unit="1.0000000001s"),), "RateUnit", "not a duration"),
        ((RateSlot(rate_unit="0.5ns"),), "RateUnit", "finer than a nanosecond"),
        ((RateSlot(rate="-1"),), "Rate", "negative"),
        ((RateSlot(connect_fee="1,5"),), "ConnectFee", "not a decimal"),
        ((RateSlot(group_interval_start="60s"),), "GroupIntervalStart", "no line of this rate begins at 0"),
        ((RateSlot(), RateSlot()), "GroupIntervalStart", "begin at the same time"),
        ((RateSlot(), RateSlot(group_interval_start="500ms")), "GroupIntervalStart", "whole number of seconds"),
        (
            (RateSlot(rate_increment="60s"), RateSlot(group_interval_start="90s")),
            "GroupIntervalStart",
            "whole number of the increments before it (60)",
        ),
    ],
)  # fmt: skip
def test_rates_that_have_no_form_here_are_refused(
    slots: tuple[RateSlot, ...], column: str, reason: str
) -> None:
    (fault,) = compile_plan(one(slots), "EUR").faults
    assert (fault.file, fault.column) == ("Rates.csv", column)
    assert reason in fault.reason


@pytest.mark.parametrize(
    ("rate", "column"),
    [
        ({"max_cost": "1", "max_cost_strategy": "*stop"}, "MaxCostStrategy"),
        ({"max_cost": "much"}, "MaxCost"),
    ],
)
def test_a_maximum_needs_a_strategy(rate: dict[str, str], column: str) -> None:
    (fault,) = compile_plan(one((RateSlot(),), **rate), "EUR").faults
    assert (fault.file, fault.column) == ("DestinationRates.csv", column)


def test_a_price_that_cannot_be_charged_is_refused() -> None:
    (fault,) = compile_plan(one((RateSlot(rate="9999999999999"),)), "EUR").faults
    assert fault.file == "DestinationRates.csv"
    assert "is not within" in fault.reason


def test_what_numbers_cannot_match_is_left_out_with_a_warning(tmp_path: Path) -> None:
    text = TABLES["Destinations.csv"] + "UK,voicemail\n"
    found = imported(tmp_path, Destinations=text)
    (warning,) = found.warnings
    assert warning == Fault(
        "Destinations.csv", 0, "", "Prefix", "UK: 'voicemail' is not digits, left out"
    )


def test_a_plan_that_prices_nothing_is_left_out(tmp_path: Path) -> None:
    text = TABLES["Destinations.csv"].replace("UK,+44", "UK,voicemail").replace("112;110", "sos")
    found = imported(tmp_path, Destinations=text)
    assert found.faults == ()
    assert found.profiles["acme", "call", "*any"] == ()
    assert any("prices no number" in warning.reason for warning in found.warnings)
    assert [plan.name for plan in found.plans] == ["1001", "any"]


def test_two_prices_at_the_same_time_are_told_and_the_first_is_taken(tmp_path: Path) -> None:
    plans = TABLES["RatingPlans.csv"] + "RP_DE,DR_CHEAP,PEAK,10\n"
    found = imported(tmp_path, RatingPlans=plans)
    assert {warning.line for warning in found.warnings} == {10}
    tariffs = found.profiles["acme", "call", "1001"]
    assert cost_of(found, tariffs, "49301", f"{WEDNESDAY}T10:00:00Z", 60) == "0.7"


@pytest.mark.parametrize(("plus", "number", "amount"), [("", "49", "2"), ("00", "49", "1"), ("00", "0049", "2"), ("00", "001", "3")])  # fmt: skip
def test_a_plus_goes_or_becomes_digits(plus: str, number: str, amount: str) -> None:
    plan = TariffPlan(
        destinations={"PLUS": ("+49",), "PLAIN": ("0", "4")},
        rates={str(rate): (RateSlot(rate=str(rate)),) for rate in (1, 2, 3)},
        destination_rates={
            "DR": (DestinationRate("PLAIN", "1"), DestinationRate("PLUS", "2"), DestinationRate("*any", "3"))
        },
        rating_plans={"RP": (PlanRates("DR"),)},
        rating_profiles=(Profile("t", "call", "*any", (Activation("", "RP"),)),),
    )  # fmt: skip
    found = compile_plan(plan, "EUR", plus=plus)
    assert cost_of(found, ("rp",), number, f"{WEDNESDAY}T00:00:00Z", 1) == amount


def test_a_part_of_the_week_may_be_without_price() -> None:
    plan = one((RateSlot(rate="1"),))
    weekdays = TariffPlan(
        plan.destinations,
        {"WD": PeerTiming(week_days=(1, 2, 3, 4, 5), end="17:59:59")},
        plan.rates,
        plan.destination_rates,
        {"RP": (PlanRates("DR", "WD"),)},
        plan.rating_profiles,
    )
    found = compile_plan(weekdays, "EUR")
    assert found.lists[0].gaps
    assert cost_of(found, ("rp",), "49", f"{WEDNESDAY}T17:59:59Z", 1) == "1"
    assert cost_of(found, ("rp",), "49", f"{WEDNESDAY}T18:00:00Z", 1) is None
    assert cost_of(found, ("rp",), "49", f"{SATURDAY}T12:00:00Z", 1) is None


def test_a_timing_that_is_a_schedule_or_is_not_there_is_refused() -> None:
    plan = one((RateSlot(),))
    plans = {"RP": (PlanRates("DR", "*monthly"),)}
    found = compile_plan(TariffPlan(plan.destinations, {}, plan.rates, plan.destination_rates, plans, plan.rating_profiles), "EUR")  # fmt: skip
    assert [(fault.column, fault.reason) for fault in found.faults] == [
        ("TimingTag", "there is no timing '*monthly' in Timings.csv")
    ]


def test_timings_on_the_same_days_are_cut_and_lose_a_weight_that_says_nothing() -> None:
    morning, peak, evening = (
        Timing(week_days=(1, 2), start_s=start, weight=10.0) for start in (0, 100, 200)
    )
    assert told_apart((morning, peak, evening, peak)) == (
        Timing(week_days=(1, 2), start_s=0, end_s=100),
        Timing(week_days=(1, 2), start_s=100, end_s=200),
        Timing(week_days=(1, 2), start_s=200),
        None,
    )


@pytest.mark.parametrize(
    "timings",
    [
        (Timing(weight=10.0), Timing(week_days=(6, 7), weight=10.0)),
        (Timing(weight=10.0), Timing(start_s=100, end_s=200, weight=10.0), Timing(months=(12,), weight=20.0)),
        (Timing(weight=-1.0), Timing(start_s=100, weight=2_000_000.0)),
        (Timing(start_s=100, end_s=300), Timing(start_s=200, end_s=400), Timing()),
    ],
)  # fmt: skip
def test_telling_timings_apart_changes_no_decision(timings: tuple[Timing, ...]) -> None:
    told = told_apart(timings)
    kept = [timing for timing in told if timing is not None]
    assert len(kept) == len(timings)
    assert all(0 <= timing.weight <= 1_000_000 for timing in kept)
    here, there = Timetable(kept, UTC_ZONE), Timetable(timings, UTC_ZONE)
    for day in range(400):
        for second in (0, 99, 100, 150, 199, 200, 299, 300, 399, 400, 86_399):
            at_ms = (day * 86_400 + second) * 1_000
            assert here.at(at_ms) == there.at(at_ms)
    assert not leave_gaps(tuple(kept))


def test_a_timing_that_never_comes_is_left_out(tmp_path: Path) -> None:
    timings = TABLES["Timings.csv"].replace("XMAS,*any,12,25", "XMAS,*any,2,30")
    found = imported(tmp_path, Timings=timings)
    assert [(warning.line, warning.reason) for warning in found.warnings] == [
        (6, "XMAS never comes: left out")
    ]


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown currency"):
        compile_plan(TariffPlan(), "XXQ")


def test_lists_load_in_the_zone_that_is_named(tmp_path: Path) -> None:
    plan, _ = read_folder(written(tmp_path / "plan"))
    found = compile_plan(plan, "EUR", zone="Europe/Berlin")
    assert {each.zone for each in found.lists} == {"Europe/Berlin"}
    assert len(generation_of(found).tariffs) == len(found.lists)

"""CGRateS's pure rating cases: costs, tiers, timings, splits, rounding."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from ocs.adapters.tariff_import.cgrates_plan import NANOSECONDS, raw_units
from ocs.adapters.tariff_import.cgrates_plan import Timing as PeerTiming
from ocs.adapters.tariff_import.cgrates_prices import timing_of
from ocs.domain.explain import segments_of
from ocs.domain.ladder import compile_ladder, edge
from ocs.domain.money import Rounding, currency, round_fraction
from ocs.domain.rating import rate_use
from ocs.domain.timing import NO_BAND, Timetable, Timing
from ocs.domain.zones import UTC_ZONE
from tests.conformance.cases import Case, cases
from tests.conformance.cgrates_rating import CURRENCY, NoPlan, call_of, first_fee

FILE = "cgrates.json"
A_WHOLE = currency(CURRENCY).units_a_whole
ROUNDINGS = {"*up": Rounding.UP, "*down": Rounding.DOWN, "*middle": Rounding.HALF_UP}
HALF_TIER = {
    "tenant": "t",
    "category": "call",
    "subject": "s",
    "destination": "7",
    "start": "2026-01-07T10:00:00Z",
    "tor": "*voice",
}


def is_test(case: Case) -> bool:
    return bool(case["conformance"] != "informative")


def expected(case: Case) -> Case:
    """What the exact price is; where the peer is wrong by rounding, never what it says."""
    exact: Case = case.get("expect_exact") or {}
    if case["conformance"] == "exact-only":
        return exact
    return {**case["expect"], **exact}


def amount(text: str) -> Fraction:
    return Fraction(Decimal(text)) * A_WHOLE


def at_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("case", cases(FILE, "cost", wanted=is_test))
def test_cost(case: Case) -> None:
    expect = expected(case)
    try:
        call = call_of(case)
    except NoPlan:
        assert expect["error"] == "RATING_PLAN_NOT_FOUND"
        return
    if "error" in expect:
        assert expect["error"] == "UNAUTHORIZED_DESTINATION"
        assert not call.schedule or call.schedule[0][1].blocked
        return
    segments = segments_of(call.schedule)
    if case["call"].get("loop_index"):  # not the first part of its call: the fee has been paid
        segments = tuple(
            msgspec.structs.replace(each, ladder=msgspec.structs.replace(each.ladder, fee=0))
            for each in segments
        )
    rated = rate_use(segments, call.units, call.at_ms, timed=call.timed)
    assert rated.total == amount(expect["cost"])
    if "connect_fee_of_first_span" in expect:
        fee = first_fee(call.schedule[0][1].ladder) if call.units else 0
        assert fee == amount(expect["connect_fee_of_first_span"])


@pytest.mark.parametrize("case", cases(FILE, "tier_cost", wanted=is_test))
def test_tier_cost(case: Case) -> None:
    tariff = {
        "destinations": {"D": ["7"]},
        "rates": {"R": case["rates"]},
        "destination_rates": {"DR": [{"destination": "D", "rate": "R"}]},
        "rating_plans": {"RP": [{"destination_rates": "DR"}]},
        "rating_profiles": [
            {
                "tenant": "t",
                "category": "call",
                "subject": "s",
                "activations": [{"time": "", "plan": "RP"}],
            }
        ],
    }
    call = call_of({"tariff": tariff, "call": HALF_TIER | {"usage": case["usage"]}})
    rated = rate_use(segments_of(call.schedule), call.units, call.at_ms, timed=call.timed)
    assert rated.total == amount(expected(case)["cost"])


@pytest.mark.parametrize("case", cases(FILE, "timing_active", wanted=is_test))
def test_timing_active(case: Case) -> None:
    timing = timing_of(msgspec.convert(case["timing"], PeerTiming), 0.0)
    timetable = Timetable([timing], UTC_ZONE)
    for time, active in case["at"].items():
        assert (timetable.at(at_ms(time)) != NO_BAND) is active, time


@pytest.mark.parametrize("case", cases(FILE, "split", wanted=is_test))
def test_split(case: Case) -> None:
    """The parts of a span that lie in a timing, and those that do not; an end is exclusive here."""
    peer = msgspec.convert(case["timing"], PeerTiming)
    timing = timing_of(msgspec.structs.replace(peer, end=None), 0.0)
    if peer.end is not None:
        hours, minutes, seconds = map(int, peer.end.split(":"))
        timing = msgspec.structs.replace(timing, end_s=hours * 3600 + minutes * 60 + seconds)
    begin, end = map(at_ms, case["span"])
    switches = Timetable([timing], UTC_ZONE).switches(begin, end)
    ends = [*(instant for instant, _ in switches[1:]), end]
    parts = [
        [instant, until, "out" if band == NO_BAND else "in"]
        for (instant, band), until in zip(switches, ends, strict=True)
    ]
    assert parts == [[at_ms(a), at_ms(b), where] for a, b, where in case["expect"]]


@pytest.mark.parametrize("case", cases(FILE, "select_intervals", wanted=is_test))
def test_select_intervals(case: Case) -> None:
    """Which of several timings come into force in a span, in the order of time."""
    timings = [
        timing_of(
            msgspec.convert({k: v for k, v in one.items() if k != "weight"}, PeerTiming),
            float(one.get("weight", 0)),
        )
        for one in case["timings"]
    ]
    begin, end = map(at_ms, case["span"])
    switches = Timetable(timings, UTC_ZONE).switches(begin, end)
    found = [timings[band] for _, band in switches]
    assert len(found) == len(case["expect"])
    for timing, words in zip(found, case["expect"], strict=True):
        assert is_named(timing, words), (timing, words)


def is_named(timing: Timing, words: str) -> bool:
    """Tell whether a timing is meant by its start, maybe with its weight."""
    start, _, weight = words.partition(" (weight ")
    hours, minutes, seconds = map(int, start.split(":"))
    begins = timing.start_s == hours * 3600 + minutes * 60 + seconds
    return begins and (not weight or timing.weight == float(weight.removesuffix(")")))


@pytest.mark.parametrize("case", cases(FILE, "round", wanted=is_test))
def test_round(case: Case) -> None:
    fine = Fraction(Decimal(case["value"])) * 10 ** case["decimals"]
    rounded = round_fraction(fine.numerator, fine.denominator, ROUNDINGS[case["method"]])
    assert Fraction(rounded, 10 ** case["decimals"]) == Fraction(Decimal(case["expect"]))


@pytest.mark.parametrize("case", cases(FILE, "round_duration", wanted=is_test))
def test_round_duration(case: Case) -> None:
    """Use is rounded up to the end of the increment that it has begun."""
    whole, used, expect = (
        raw_units(case[name]) // NANOSECONDS for name in ("whole", "amount", "expect")
    )
    begun = compile_ladder(Fraction(0), [(0, whole, Fraction(1))])
    assert edge(begun, used) == expect

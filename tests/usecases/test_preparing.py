"""From an event to its price: whose clocks, which caller and trunk, from when, and what is free."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from ocs.domain.events import MAIN_SERVICE, Event, Kind, ServiceUse
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.tariff import plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.zones import zone_named
from ocs.usecases.paying import Payment
from ocs.usecases.ports import ChargeLimits, SessionKey
from ocs.usecases.preparing import Preparer
from ocs.usecases.pricing import Priced
from tests.domain.decks import BLOCKED, deck, generation


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


PEAK: Final = Timing(start_s=28_800, end_s=64_800, weight=1)
HOURS: Final = ((PEAK, 200), (None, 100))
GENERATION: Final = generation(
    deck("voice", [("49", HOURS), ("33", 300), ("90", BLOCKED), ("80", 0)]),
    deck("voice", [("33", 310)], from_prefix="49"),
    deck("voice", [("33", 320)], trunk="t1"),
    deck("data", [("", HOURS)], usage_type="data"),
    deck("dollars", [("1", 1)], code="USD"),
)
PLAN: Final = Plan(
    "standard",
    plan_tariffs("voice", "data", "dollars"),
    blocked_prefixes=("490",),
    free_prefixes=("4900", "900"),
)
NOON: Final = ms("2026-07-01T12:00")
PREPARER: Final = Preparer(
    ChargeLimits(life_units=86_400),
    {"british": zone_named("Europe/London"), "american": zone_named("America/New_York")},
)


def priced(number: str, *, at_ms: int = NOON, used_units: int = 0, **fields: object) -> Priced:
    event = Event(
        kind=Kind.UPDATE,
        tenant="plain",
        session_id="s",
        request_number=1,
        request_key="",
        subscriber="alice",
        usage_type="voice",
        rated_number=number,
        event_ms=at_ms,
        reported_ms=at_ms,
        answer_ms=None,
        services=(ServiceUse(MAIN_SERVICE, used_units, 60),),
    )
    payment = Payment(SessionKey("plain", "alice", "alice", "s"), PLAN, "EUR", None)
    return price_of(PREPARER, msgspec.structs.replace(event, **fields), payment, GENERATION)


def price_of(preparer: Preparer, event: Event, payment: Payment, tariffs: Generation) -> Priced:
    return preparer.conditions(event, event.services[0], payment, tariffs).priced


def a_minute(price: Priced) -> list[tuple[int, int]]:
    """Money units for a minute, with the instants from which they hold."""
    assert price.code is ResultCode.OK
    rows = [(each.from_ms, msgspec.msgpack.decode(each.ladder)) for each in price.segments]
    return [(from_ms, ladder[-2] // ladder[0]) for from_ms, ladder in rows]


@pytest.mark.parametrize(
    ("tenant", "peak_ends"),
    [("plain", "01T18:00"), ("british", "01T17:00"), ("american", "01T22:00")],
)
def test_hours_are_those_of_the_tenants_clocks(tenant: str, peak_ends: str) -> None:
    first, second, third = a_minute(priced("4930", at_ms=ms("2026-07-01T14:00"), tenant=tenant))
    assert (first, second) == ((0, 200), (ms(f"2026-07-{peak_ends}"), 100))
    assert third == (second[0] + 14 * 3_600_000, 200)


@pytest.mark.parametrize(
    ("fields", "price"),
    [
        ({"calling_number": "4930"}, 310),
        ({"calling_number": "4417"}, 300),
        ({"subscriber": "4930"}, 310),
        ({"subscriber": "4930", "calling_number": "4417"}, 300),
        ({"subscriber": "4930", "direction": "term"}, 300),
        ({"subscriber": "4417", "trunk_in": "t1"}, 320),
        ({"subscriber": "4930", "trunk_in": "t1"}, 310),
        ({"trunk_in": "t2"}, 300),
    ],
)
def test_caller_and_trunk_tell_rows_apart(fields: dict[str, Any], price: int) -> None:
    assert a_minute(priced("331", **fields)) == [(0, price)]


@pytest.mark.parametrize(
    ("number", "code", "free"),
    [
        ("4901", ResultCode.RATE_BLOCKED, False),
        ("49001", ResultCode.OK, True),
        ("9001", ResultCode.OK, True),  # blocked by the tariff
        ("901", ResultCode.RATE_BLOCKED, False),
        ("801", ResultCode.OK, True),
        ("70", ResultCode.NO_RATE, False),
        ("12", ResultCode.RATING_FAILED, False),  # in dollars
    ],
)
def test_what_a_plan_blocks_and_frees_comes_before_its_tariffs(
    number: str, code: ResultCode, free: bool
) -> None:
    price = priced(number)
    assert (price.code, price.free) == (code, free)


def test_a_call_that_is_first_heard_of_at_its_end_is_priced_from_its_beginning() -> None:
    end = ms("2026-07-01T18:10")
    release = a_minute(priced("4930", at_ms=end, used_units=1_200, kind=Kind.RELEASE))
    assert release[:2] == [(0, 200), (ms("2026-07-01T18:00"), 100)]
    answered = a_minute(priced("4930", at_ms=end, answer_ms=ms("2026-07-01T17:59:59")))
    assert answered == release
    assert a_minute(priced("4930", at_ms=end, used_units=600))[0] == (0, 100)


def test_a_beginning_is_looked_for_within_the_longest_life() -> None:
    assert a_minute(priced("331", used_units=2**53 - 1)) == [(0, 300)]
    assert a_minute(priced("331", answer_ms=1)) == [(0, 300)]


@pytest.mark.parametrize(("at", "price"), [("2026-07-01T07:59:59", 100), ("2026-07-01T08:00", 200)])
def test_data_has_the_price_of_its_time_whatever_comes(at: str, price: int) -> None:
    found = priced("internet", at_ms=ms(at), used_units=10**9, usage_type="data")
    assert a_minute(found) == [(0, price)]


def test_prices_of_one_rate_are_made_once() -> None:
    assert priced("331").segments[0] is priced("332").segments[0]


def test_a_price_is_remembered_until_other_tariffs_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = Plan("plain", plan_tariffs("flat"))
    preparer = Preparer(ChargeLimits(), {})
    payment = Payment(SessionKey("plain", "alice", "alice", "s"), plan, "EUR", None)
    before, after = (generation(deck("flat", [("49", price)])) for price in (100, 200))
    event = Event(
        Kind.START, "plain", "s", 0, "", "alice", "voice", "4930", NOON, NOON, None,
        (ServiceUse(MAIN_SERVICE, 0, 60),),
    )  # fmt: skip
    first = price_of(preparer, event, payment, before)
    assert price_of(preparer, event, payment, before) is first
    assert a_minute(first) == [(0, 100)]
    assert a_minute(price_of(preparer, event, payment, after)) == [(0, 200)]
    dollars = msgspec.structs.replace(payment, currency="USD")
    assert price_of(preparer, event, dollars, after).code is ResultCode.RATING_FAILED
    monkeypatch.setattr("ocs.usecases.preparing._MOST_NUMBERS_KEPT", 2)
    kept = price_of(preparer, event, payment, after)
    for number in ("4931", "4932"):
        price_of(preparer, msgspec.structs.replace(event, rated_number=number), payment, after)
    anew = price_of(preparer, event, payment, after)
    assert anew == kept
    assert anew is not kept

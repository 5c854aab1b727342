"""How much, for how long, and what at the end: what plan and source say together."""

from typing import Any

import pytest
from msgspec.structs import replace

from ocs.domain.events import Reporting, ServiceUse, Terms
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Bucket, BucketKind
from ocs.usecases.answer import FinalUnit, FinalUnitAction
from ocs.usecases.paying import Payment
from ocs.usecases.ports import UNRATED, ChargeLimits, SessionKey
from ocs.usecases.preparing import Preparer
from tests.adapters.reference_ledger import ReferenceLedger
from tests.usecases.charging_desk import CENT, EUR, PRICES, STANDARD, TARIFFS, on_paper, told

TOP_UP = "https://pay.example/alice"
REDIRECTING = Plan(
    "standard", TARIFFS, final_unit_action="redirect", redirect_address=TOP_UP, validity_s=100
)


@pytest.mark.parametrize(
    ("terms", "granted", "validity_s"),
    [
        (None, 300, 600),
        (Terms(), 300, 600),
        (Terms(quota_units=120), 120, 600),
        (Terms(quota_units=7_200), 3_600, 600),  # no more than the plan's maximum
        (Terms(quota_units=7_200, maximum_units=9_000), 3_600, 600),
        (Terms(maximum_units=60), 60, 600),
        (Terms(validity_s=30), 300, 30),
    ],
)
async def test_of_two_maximums_the_lower_counts_and_of_the_rest_the_sources(
    terms: Terms | None, granted: int, validity_s: int
) -> None:
    desk = on_paper()
    await desk.open(10 * EUR)
    (service,) = (await desk.charge(told("start", 0, terms=terms))).services
    assert (service.granted_units, service.validity_s) == (granted, validity_s)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (None, ResultCode.OK),
        (Terms(minimum_units=120), ResultCode.NO_CREDIT),
        (Terms(minimum_units=120, maximum_units=60), ResultCode.OK),  # a minimum that can be had
    ],
)
async def test_a_source_may_want_a_greater_minimum(terms: Terms | None, code: ResultCode) -> None:
    desk = on_paper()
    await desk.open(6 * CENT)
    assert (await desk.charge(told("start", 0, asks=300, terms=terms))).code is code


def test_the_rules_of_a_plan_and_a_source_are_made_once() -> None:
    preparer = Preparer(ChargeLimits(), {})
    payment = Payment(SessionKey("demo", "alice", "alice", "s1"), STANDARD, "EUR", None)
    events = [told("start", 0, terms=terms) for terms in (None, Terms(validity_s=5))]
    plain, short = (preparer.prepare(each, payment, PRICES, opens=True) for each in events)
    again = preparer.prepare(events[0], payment, PRICES, opens=True)
    assert again.call.limits is plain.call.limits
    assert short.call.limits == replace(plain.call.limits, validity_s=5)


# --- Sessions that nobody started, and how use is reported ---------------------------------------


@pytest.mark.parametrize("may_open", [True, False])
async def test_an_update_opens_a_session_where_the_source_wants_it(may_open: bool) -> None:
    desk = on_paper()
    await desk.open(EUR)
    answer = await desk.charge(told("update", 1, used=30, asks=60, may_open=may_open))
    ledger = desk.ledger
    assert isinstance(ledger, ReferenceLedger)
    if may_open:
        assert (answer.code, answer.settled) == (ResultCode.OK, True)
    else:
        assert (answer.code, answer.settled) == (ResultCode.UNKNOWN_SESSION, False)
        assert await desk.main() == (EUR, 0)
    assert len(ledger.parked.get(UNRATED, {})) == (not may_open)


async def test_a_start_and_a_release_open_what_an_update_may_not() -> None:
    desk = on_paper()
    await desk.open(EUR)
    begun = await desk.charge(told("start", 0, asks=60, may_open=False))
    known = await desk.charge(told("update", 1, used=60, asks=60, may_open=False))
    lost = await desk.charge(told("release", 1, used=60, may_open=False, session_id="s2"))
    assert [each.code for each in (begun, known, lost)] == [ResultCode.OK] * 3


@pytest.mark.parametrize("reporting", [Reporting.TOTAL, Reporting.AT_RELEASE])
async def test_the_ledger_is_told_what_reports_count(reporting: Reporting) -> None:
    desk = on_paper()
    await desk.open(EUR)
    await desk.charge(told("start", 0, asks=60, reporting=reporting))
    update = await desk.charge(told("update", 1, used=60, asks=60, reporting=reporting))
    assert update.services[0].settled_amount == (6 * CENT if reporting is Reporting.TOTAL else 0)
    ended = await desk.charge(told("release", 2, used=90, reporting=reporting))
    assert ended.services[0].total_amount == 12 * CENT
    assert await desk.main() == (EUR - 12 * CENT, 0)


# --- The end of the money ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "final"),
    [
        ({}, FinalUnit()),
        (
            {"final_unit_action": "redirect", "redirect_address": TOP_UP},
            FinalUnit(FinalUnitAction.REDIRECT, TOP_UP),
        ),
        (
            {"final_unit_action": "restrict", "filter_id": "portal"},
            FinalUnit(FinalUnitAction.RESTRICT, filter_id="portal"),
        ),
    ],
)
async def test_the_last_units_come_with_what_the_plan_does_then(
    options: dict[str, Any], final: FinalUnit
) -> None:
    desk = on_paper(Plan("standard", TARIFFS, **options))
    await desk.open(12 * CENT)
    first = await desk.charge(told("start", 0, asks=60))
    assert (first.services[0].final_unit, first.services[0].final) == (False, None)
    last = await desk.twice(told("update", 1, used=60, asks=60))
    assert (last.services[0].final_unit, last.services[0].final) == (True, final)


async def test_a_plan_that_redirects_does_so_also_where_nothing_can_be_granted() -> None:
    redirecting, ending = on_paper(REDIRECTING), on_paper()
    for desk in (redirecting, ending):
        await desk.open(CENT)
    refused = await redirecting.twice(told("start", 0, asks=60))
    assert refused.code is ResultCode.NO_CREDIT
    assert refused.services[0].final == FinalUnit(FinalUnitAction.REDIRECT, TOP_UP)
    assert (await ending.charge(told("start", 0, asks=60))).services[0].final is None


async def test_money_that_others_hold_is_not_the_end_but_soon_asked_for_again() -> None:
    desk = on_paper(REDIRECTING)
    await desk.open(12 * CENT)
    await desk.charge(told("start", 0, asks=60, session_id="other"))
    answer = await desk.twice(told("start", 0, asks=60))
    (service,) = answer.services
    assert (service.final_unit, service.final, service.validity_s) == (False, None, 30)


# --- When to come back ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "asks", "threshold"),
    [
        (None, 60, 20),
        (None, 20, 0),  # the whole grant is below it
        (None, 21, 20),
        (Terms(threshold_units=50), 60, 50),
    ],
)
async def test_a_threshold_is_told_with_a_greater_grant(
    terms: Terms | None, asks: int, threshold: int
) -> None:
    desk = on_paper(Plan("standard", TARIFFS, threshold_units={"voice": 20}))
    await desk.open(EUR)
    answer = await desk.twice(told("start", 0, asks=asks, terms=terms))
    assert answer.services[0].quota_threshold_units == threshold


async def test_no_threshold_is_told_with_the_last_units() -> None:
    desk = on_paper(Plan("standard", TARIFFS, threshold_units={"voice": 20}))
    await desk.open(6 * CENT)
    (service,) = (await desk.charge(told("start", 0, asks=60))).services
    assert (service.final_unit, service.quota_threshold_units) == (True, 0)


async def test_what_a_client_does_without_an_answer_is_the_plans() -> None:
    desk = on_paper(Plan("standard", TARIFFS, failure_handling="continue"))
    await desk.open(EUR)
    assert (await desk.twice(told("start", 0, asks=60))).failure_handling == "continue"


# --- Free of charge ------------------------------------------------------------------------------


async def test_what_is_free_is_not_charged_service_by_service() -> None:
    desk = on_paper()
    await desk.open(0)
    free = ServiceUse("1", 0, 60, "8001")
    alone = await desk.charge(told("start", 0, free, session_id="alone"))
    assert (alone.code, alone.services[0].code) == (ResultCode.NOT_CHARGED, ResultCode.NOT_CHARGED)
    beside = await desk.charge(told("start", 0, ServiceUse("2", 0, 60), free))
    assert beside.code is ResultCode.NOT_CHARGED
    assert [each.code for each in beside.services] == [
        ResultCode.NO_CREDIT,
        ResultCode.NOT_CHARGED,
    ]
    assert [each.granted_units for each in beside.services] == [0, 60]


async def test_each_service_is_paid_by_the_buckets_of_its_number() -> None:
    desk = on_paper()
    minutes = Bucket(
        bucket="minutes",
        kind=BucketKind.UNITS,
        priority=1,
        usage_types=("voice",),
        zones=("4930",),
    )
    await desk.open(EUR, minutes)
    await desk.credit(100, "minutes")
    own, other = ServiceUse("1", 0, 60), ServiceUse("2", 0, 60, "4940")
    answer = await desk.charge(told("start", 0, own, other))
    assert answer.code is ResultCode.OK
    assert (await desk.bucket("minutes"), await desk.main()) == ((100, 60), (EUR, 6 * CENT))

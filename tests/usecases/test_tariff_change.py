"""Data whose price changes: what is held, what the client is told, and what it reports then.

17:00            18:00            19:00
  |--- 1 a minute --|--- 3 a minute --|--- 1 ...
"""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from ocs.domain.events import ServiceUse, Terms
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.timing import Timing
from ocs.usecases.answer import Answer
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.decks import deck, generation
from tests.usecases.charging_desk import CENT, EUR, TARIFFS, Desk, on_paper, told

DEAR: Final = Timing(start_s=18 * 3_600, end_s=19 * 3_600, weight=1)
HOURS: Final = generation(
    deck("bytes", [("", ((DEAR, 3 * CENT), (None, CENT)))], usage_type="data"),
    deck("calls", [("49", ((DEAR, 3 * CENT), (None, CENT)))]),
)
PLAN: Final = Plan("standard", TARIFFS, validity_s=600)


def at(clock: str) -> int:
    moment = datetime.fromisoformat(f"2026-07-01T{clock}").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


async def asked(desk: Desk, clock: str, number: int, use: ServiceUse, **fields: Any) -> Answer:
    """Post a start (number 0) or an update of data at a time of day."""
    desk.now_ms = now_ms = at(clock)
    assert isinstance(desk.ledger, ReferenceLedger)
    desk.ledger.now_ms = now_ms
    times: dict[str, Any] = {"event_ms": now_ms, "reported_ms": now_ms}
    kind = "update" if number else "start"
    return await desk.charge(told(kind, number, use, **{"usage_type": "data"} | times | fields))


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = on_paper(PLAN, HOURS, now_ms=at("17:00"))
    ledger = desk.ledger
    assert isinstance(ledger, ReferenceLedger)
    # As the store's, the ids of this ledger tell when they were given.
    books = ledger.books
    monkeypatch.setattr(books, "next_id", lambda: f"000-{ledger.now_ms}-{len(books.journal)}")
    await desk.open(EUR)
    return desk


@pytest.mark.parametrize(
    ("clock", "change", "held"),
    [
        ("17:49:59", "", CENT),
        ("17:50:01", "18:00", 3 * CENT),
        ("17:59:59", "18:00", 3 * CENT),
        ("18:00:00", "", 3 * CENT),
        ("18:55:00", "19:00", 3 * CENT),  # what is dearer is held, coming or not
        ("19:00:00", "", CENT),
    ],
)
async def test_a_change_within_the_validity_is_told_and_held_for(
    desk: Desk, clock: str, change: str, held: int
) -> None:
    answer = await asked(desk, clock, 0, ServiceUse("0", 0, 60))
    (service,) = answer.services
    assert service.tariff_change_ms == (at(change) if change else 0)
    assert answer.held_amount == held


async def test_the_validity_is_that_of_the_source(desk: Desk) -> None:
    terms = Terms(validity_s=3_000)
    answer = await asked(desk, "17:20", 0, ServiceUse("0", 0, 60), terms=terms)
    assert answer.services[0].tariff_change_ms == at("18:00")


async def test_a_repeat_behind_the_change_is_told_of_it_as_well(desk: Desk) -> None:
    first = await asked(desk, "17:55", 0, ServiceUse("0", 0, 60))
    again = await asked(desk, "18:01", 0, ServiceUse("0", 0, 60))
    assert again.hit
    assert again.services == first.services


async def test_a_call_is_not_told_of_its_changes(desk: Desk) -> None:
    answer = await asked(desk, "17:55", 0, ServiceUse("0", 0, 60), usage_type="voice")
    assert answer.services[0].tariff_change_ms == 0


async def test_where_nothing_is_granted_nothing_changes(desk: Desk) -> None:
    answer = await asked(desk, "17:55", 0, ServiceUse("0", 0, 0))
    assert answer.services[0].tariff_change_ms == 0


async def test_use_from_before_the_change_has_the_price_from_before_it(desk: Desk) -> None:
    await asked(desk, "17:55", 0, ServiceUse("0", 0, 120))
    report = ServiceUse("0", 120, 60, before_units=60)
    answer = await asked(desk, "18:02", 1, report)
    assert answer.services[0].settled_amount == 4 * CENT
    assert answer.held_amount == 3 * CENT
    back = await asked(desk, "19:02", 2, ServiceUse("0", 120, 0, before_units=60))
    assert back.services[0].settled_amount == 4 * CENT


async def test_without_the_parts_all_use_has_the_price_of_the_report(desk: Desk) -> None:
    await asked(desk, "17:55", 0, ServiceUse("0", 0, 120))
    answer = await asked(desk, "18:02", 1, ServiceUse("0", 120, 60))
    assert answer.services[0].settled_amount == 6 * CENT


async def test_a_client_whose_clock_is_ahead_means_the_change_to_come(desk: Desk) -> None:
    await asked(desk, "17:55", 0, ServiceUse("0", 0, 120))
    answer = await asked(desk, "17:59:30", 1, ServiceUse("0", 120, 60, before_units=60))
    assert answer.services[0].settled_amount == 4 * CENT


async def test_where_no_price_changes_parts_are_one(desk: Desk) -> None:
    steady = on_paper(PLAN)
    await steady.open(EUR)
    parts, whole = (ServiceUse("0", 61, 0, before_units=units) for units in (60, 0))
    for session_id, use in (("parts", parts), ("whole", whole)):
        start = told("start", 0, asks=60, usage_type="data", session_id=session_id)
        assert (await steady.charge(start)).services[0].tariff_change_ms == 0
        update = told("update", 1, use, usage_type="data", session_id=session_id)
        assert (await steady.charge(update)).services[0].settled_amount == 20
    now = {"event_ms": desk.now_ms, "reported_ms": desk.now_ms}
    await desk.charge(told("start", 0, asks=60, **now))
    call = await desk.charge(told("update", 1, ServiceUse("0", 61, 0, before_units=60), **now))
    assert call.services[0].settled_units == 61


async def test_a_number_without_a_price_has_none_whenever_it_changes(desk: Desk) -> None:
    desk.tariffs.current = generation(
        deck("bytes", [("1", ((DEAR, 3 * CENT), (None, CENT)))], usage_type="data")
    )
    answer = await asked(desk, "17:55", 0, ServiceUse("0", 0, 60))
    assert answer.code is ResultCode.NO_RATE


async def test_the_change_of_each_service_is_its_own(desk: Desk) -> None:
    desk.tariffs.current = generation(
        deck("bytes", [("1", ((DEAR, 3 * CENT), (None, CENT))), ("2", CENT)], usage_type="data")
    )
    desk.now_ms = at("17:55")
    uses = ServiceUse("1", 0, 60, "1"), ServiceUse("2", 0, 60, "2"), ServiceUse("3", 0, 60, "3")
    times: dict[str, Any] = {"event_ms": at("17:55"), "reported_ms": at("17:55")}
    assert isinstance(desk.ledger, ReferenceLedger)
    desk.ledger.now_ms = at("17:55")
    answer = await desk.charge(told("start", 0, *uses, usage_type="data", **times))
    assert [each.tariff_change_ms for each in answer.services] == [at("18:00"), 0, 0]
    assert [each.code for each in answer.services] == [
        ResultCode.OK,
        ResultCode.OK,
        ResultCode.NO_RATE,
    ]
    assert answer.held_amount == 4 * CENT

"""Services of one event that are rated by numbers of their own, each at its own price."""

import msgspec
import pytest

from ocs.domain.events import Event, ServiceUse
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer
from ocs.usecases.ports import UNRATED
from ocs.usecases.preparing import fingerprint, info_json
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.decks import BLOCKED, deck, generation
from tests.usecases.charging_desk import CENT, EUR, Desk, on_paper, told

GROUPS = generation(
    deck(
        "bytes",
        [("100", 6 * CENT), ("200", 1 * CENT), ("300", 0), ("400", BLOCKED)],
        usage_type="data",
    )
)


def data(kind: str, number: int, *uses: ServiceUse) -> Event:
    return told(kind, number, *uses, usage_type="data", rated_number="")


def group(name: str, used: int = 0, asks: int | None = 0) -> ServiceUse:
    return ServiceUse(name, used, asks, name)


async def served(amount: int = EUR) -> Desk:
    desk = on_paper(tariffs=GROUPS)
    await desk.open(amount)
    return desk


def parked(desk: Desk) -> list[list[tuple[str, int]]]:
    """Rating groups and units of what waits to be rated offline."""
    assert isinstance(desk.ledger, ReferenceLedger)
    entries = desk.ledger.parked.get(UNRATED, {}).values()
    events = [msgspec.json.decode(entry)[0] for entry in entries]
    return [
        [(each["rating_group"], each["used_units"]) for each in event["services"]]
        for event in events
    ]


def codes(answer: Answer) -> list[ResultCode]:
    return [service.code for service in answer.services]


async def test_each_service_has_the_price_of_its_number() -> None:
    desk = await served()
    begun = await desk.charge(data("start", 0, group("100", asks=60), group("200", asks=120)))
    assert [each.rating.prefix for each in begun.services if each.rating] == ["100", "200"]
    assert begun.held_amount == 8 * CENT
    ended = await desk.twice(data("release", 1, group("100", 60), group("200", 61)))
    assert [each.settled_amount for each in ended.services] == [6 * CENT, 2 * CENT]
    assert ended.available_amount == EUR - 8 * CENT


async def test_services_may_come_and_go_in_any_order_of_requests() -> None:
    desk = await served()
    await desk.charge(data("start", 0, group("100", asks=60)))
    await desk.charge(data("update", 2, group("200", asks=60)))
    await desk.charge(data("update", 1, group("100", 60, 60)))
    ended = await desk.charge(data("release", 3, group("200", 60), group("100", 30)))
    assert [each.total_amount for each in ended.services] == [1 * CENT, 12 * CENT]
    assert await desk.main() == (EUR - 13 * CENT, 0)


async def test_one_service_alone_has_the_price_of_its_number_too() -> None:
    desk = await served()
    answer = await desk.charge(data("start", 0, group("200", asks=60)))
    assert answer.held_amount == 1 * CENT


@pytest.mark.parametrize(
    ("name", "code"), [("999", ResultCode.NO_RATE), ("400", ResultCode.RATE_BLOCKED)]
)
async def test_a_service_without_a_price_is_refused_by_itself(name: str, code: ResultCode) -> None:
    desk = await served()
    begun = await desk.charge(data("start", 0, group(name, asks=60), group("100", asks=60)))
    assert (begun.code, begun.settled) == (ResultCode.OK, True)
    assert codes(begun) == [code, ResultCode.OK]
    report = data("update", 1, group(name, 40, 60), group("100", 60, 60))
    told_twice = [await desk.charge(report) for _ in range(2)]
    assert [each.hit for each in told_twice] == [False, True]
    assert msgspec.structs.replace(told_twice[1], hit=False) == told_twice[0]
    assert (codes(told_twice[0]), told_twice[0].settled) == ([code, ResultCode.OK], False)
    assert parked(desk) == [[(name, 40)]]
    assert await desk.main() == (EUR - 6 * CENT, 6 * CENT)


async def test_of_events_that_are_charged_together_too_only_the_unpriced_use_is_parked() -> None:
    desk = await served()
    await desk.charge(data("start", 0, group("100", asks=60), group("200", asks=60)))
    priced, partly = await desk.charge_all(
        data("update", 1, group("100", 60, 0), group("200", 60, 0)),
        data("update", 2, group("100", 1, 0), group("999", 40, 0)),
    )
    assert isinstance(priced, Answer)
    assert isinstance(partly, Answer)
    assert (priced.settled, partly.settled) == (True, False)
    assert codes(partly) == [ResultCode.OK, ResultCode.NO_RATE]
    assert parked(desk) == [[("999", 40)]]


async def test_where_no_service_has_a_price_nothing_is_begun() -> None:
    desk = await served()
    refused = await desk.charge(data("start", 0, group("400", asks=60), group("999", asks=60)))
    assert (refused.code, refused.transaction_id) == (ResultCode.RATE_BLOCKED, "")
    lost = await desk.charge(data("update", 1, group("400", 5, 60), group("999", 6, 60)))
    assert (lost.code, lost.settled) == (ResultCode.RATE_BLOCKED, False)
    assert parked(desk) == [[("400", 5), ("999", 6)]]


async def test_a_service_that_lost_its_price_goes_on_at_the_one_it_had() -> None:
    desk = await served()
    await desk.charge(data("start", 0, group("100", asks=60), group("200", asks=60)))
    desk.tariffs.current = generation(deck("bytes", [("200", CENT)], usage_type="data"))
    ended = await desk.charge(data("release", 1, group("100", 60), group("200", 60)))
    assert (ended.code, ended.settled, parked(desk)) == (ResultCode.OK, True, [])
    assert [each.settled_amount for each in ended.services] == [6 * CENT, 1 * CENT]


def test_the_number_of_a_service_is_part_of_the_request_and_kept_for_the_cdr() -> None:
    plain, other = data("start", 0, ServiceUse("1", 0, 60)), data("start", 0, group("1", asks=60))
    assert fingerprint(plain) != fingerprint(other)
    assert b'"rated_numbers":{"1":"1"}' in info_json(other, "", "")
    assert b"rated_numbers" not in info_json(plain, "", "")

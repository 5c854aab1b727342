"""What becomes of events that could not be charged: each sentence of `docs/design.md` 2.15."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Reporting, ServiceUse
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Bucket, BucketKind
from ocs.usecases.emergency import EmergencyCalls, EmergencyDrain
from ocs.usecases.parked import ParkedOrder, ParkedReply
from ocs.usecases.ports import Account, WalletDefinition
from tests.adapters.calls import price
from tests.domain.decks import deck, generation
from tests.usecases.charging_desk import ALICE, CENT, EUR, PRICES, TARIFFS
from tests.usecases.parked_scene import (
    HOUR_MS,
    MINUTE,
    NO_PRICES,
    Scene,
    opened,
    park_call,
    told_of,
)


@pytest.fixture
async def scene(store_server: EmbeddedStore) -> AsyncIterator[Scene]:
    async with opened(store_server.url) as scene:
        yield scene


async def test_the_use_of_a_stranger_is_debited_when_somebody_knows_him(scene: Scene) -> None:
    """30 + 30 + 31 s are two minutes, whoever reported them how."""
    await park_call(scene, 30, 30, 31)
    first = await scene.run()
    assert [(w.stream, w.reason, w.events) for w in first.waiting] == [
        ("unrated", "UNKNOWN_SUBSCRIBER", 3)
    ]
    assert first.events == {}
    assert await scene.waiting() == {"unrated": 3}
    await scene.desk.open(EUR)
    second = await scene.run()
    assert (second.events, second.waiting) == ({"debited": 3}, [])
    assert told_of(scene.shelf.rows) == [("s1", "debited", 91, 2 * MINUTE)]
    assert await scene.main() == EUR - 2 * MINUTE
    assert await scene.waiting() == {}
    third = await scene.run()
    assert (third.events, third.finished) == ({}, 0)
    assert await scene.main() == EUR - 2 * MINUTE


async def test_a_row_says_what_was_debited_by_which_price(scene: Scene) -> None:
    await park_call(scene, 30, calling_number="4411", called_number="4930", trunk_in="north")
    await scene.desk.open(EUR)
    await scene.run()
    (row,) = scene.shelf.rows
    use = row.use
    assert (use.account, use.wallet_group, use.plan, use.currency) == (
        "alice",
        "alice",
        "standard",
        "EUR",
    )
    assert (use.calling_number, use.called_number, use.trunk_in) == ("4411", "4930", "north")
    assert (use.stream, use.rating_group, use.generation) == ("unrated", "0", PRICES.id)
    assert (use.used_ms, use.end_ms) == (scene.now_ms - 30_000, scene.now_ms)
    assert row.rating
    assert (row.rating.tariff, row.rating.prefix) == ("calls", "49")
    assert row.transaction_id


async def test_what_has_no_price_waits_for_one(scene: Scene) -> None:
    scene.desk.tariffs.current = NO_PRICES
    await scene.desk.open(EUR)
    await park_call(scene, 61)
    summary = await scene.run(tariffs=NO_PRICES)
    assert [w.reason for w in summary.waiting] == [ResultCode.NO_RATE]
    summary = await scene.run()
    assert summary.events == {"debited": 1}
    assert await scene.main() == EUR - 2 * MINUTE


async def test_what_is_blocked_has_no_price(scene: Scene) -> None:
    await park_call(scene, 61, rated_number="900")
    await scene.desk.open(EUR)
    assert [w.reason for w in (await scene.run()).waiting] == [ResultCode.RATE_BLOCKED]


async def test_the_plan_that_is_gone_has_no_price(scene: Scene) -> None:
    await park_call(scene, 61)
    await scene.desk.open(EUR)
    summary = await scene.run(plan=Plan("another", TARIFFS))
    assert [w.reason for w in summary.waiting] == ["NO_PLAN"]


async def test_without_a_wallet_it_waits(scene: Scene) -> None:
    await park_call(scene, 61)
    await scene.desk.know()
    assert [w.reason for w in (await scene.run()).waiting] == ["NO_WALLET"]


@pytest.mark.parametrize(
    ("used", "owed"),
    [((30, 90), 90), ((90, 60), 60), ((90, 30, 100), 100)],
)
async def test_totals_are_what_they_are_online(
    scene: Scene, used: tuple[int, ...], owed: int
) -> None:
    """An update never lowers one, the release sets it."""
    await park_call(scene, *used, reporting=Reporting.TOTAL)
    await scene.desk.open(EUR)
    await scene.run()
    assert told_of(scene.shelf.rows) == [("s1", "debited", owed, -(-owed // 60) * MINUTE)]


async def test_what_only_its_release_reports_is_that(scene: Scene) -> None:
    await park_call(scene, 200, 70, reporting=Reporting.AT_RELEASE)
    await scene.desk.open(EUR)
    await scene.run()
    assert told_of(scene.shelf.rows) == [("s1", "debited", 70, 2 * MINUTE)]


async def test_what_its_client_may_still_send_again_waits(scene: Scene) -> None:
    """As long as the ledger would remember it: one-shot events longer than sessions."""
    await park_call(scene, 30)
    await scene.charge("event", 7, used=30, usage_type="sms")
    await scene.desk.open(EUR)
    summary = await scene.run(quiet_s=600)
    assert [(w.reason, w.events) for w in summary.waiting] == [("OPEN", 2)]
    for later_s, debited in (
        (590, {}),
        (610, {"debited": 1}),
        (1_190, {}),
        (1_210, {"debited": 1}),
    ):
        summary = await scene.run(quiet_s=600, later_s=later_s)
        assert summary.events == debited


async def test_a_session_that_goes_on_online_waits(scene: Scene) -> None:
    """The price comes in mid-call, so the rest is charged as it is used."""
    await scene.charge("start", 0, asks=60)
    await scene.charge("update", 1, used=30, asks=60)
    await scene.desk.open(EUR)
    assert (await scene.charge("update", 2, used=31, asks=60)).code is ResultCode.OK
    assert await scene.desk.main() == (EUR - MINUTE, MINUTE)
    assert [w.reason for w in (await scene.run()).waiting] == ["OPEN"]
    await scene.charge("release", 3, used=10)
    assert await scene.main() == EUR - MINUTE
    assert (await scene.run()).events == {"debited": 1}
    # 30 parked, 41 charged: 71 s are two minutes, of which one was paid.
    assert told_of(scene.shelf.rows) == [("s1", "debited", 30, MINUTE)]
    assert await scene.main() == EUR - 2 * MINUTE


async def test_the_worked_numbers_r(scene: Scene) -> None:
    """Fee 0.05 and 0.06 a minute: what was charged online is the beginning of the use."""
    prices = generation(deck("calls", [("49", price(6 * CENT, 60, fee=5 * CENT))]))
    scene.desk.tariffs.current = prices
    await scene.charge("update", 1, used=20)
    await scene.desk.open(EUR)
    await scene.charge("update", 2, used=30)
    await scene.charge("release", 3, used=0)
    assert await scene.main() == EUR - 5 * CENT - MINUTE
    await scene.run(tariffs=prices)
    assert told_of(scene.shelf.rows) == [("s1", "debited", 20, 0)]
    for number, units in ((4, 10), (5, 31)):
        await scene.park_again(scene.event("update", number, used=units))
        await scene.run(tariffs=prices)
    assert told_of(scene.shelf.rows) == [
        ("s1", "debited", 10, 0),
        ("s1", "debited", 20, 0),
        ("s1", "debited", 31, MINUTE),
    ]
    assert await scene.main() == EUR - 5 * CENT - 2 * MINUTE


async def test_totals_that_were_charged_online_since_owe_nothing(scene: Scene) -> None:
    await scene.charge("update", 1, used=30, reporting=Reporting.TOTAL)
    await scene.desk.open(EUR)
    await scene.charge("release", 2, used=90, reporting=Reporting.TOTAL)
    assert await scene.main() == EUR - 2 * MINUTE
    assert (await scene.run()).events == {"duplicate": 1}
    assert told_of(scene.shelf.rows) == [("s1", "duplicate", 0, 0)]
    assert await scene.main() == EUR - 2 * MINUTE


async def test_a_request_that_was_charged_when_it_came_again_is_a_duplicate(scene: Scene) -> None:
    """The subscriber was created between the two."""
    await scene.charge("release", 1, used=30)
    await scene.desk.open(EUR)
    assert (await scene.charge("release", 1, used=30)).settled
    assert (await scene.run()).events == {"duplicate": 1}
    assert told_of(scene.shelf.rows) == [("s1", "duplicate", 30, 0)]
    assert await scene.main() == EUR - MINUTE


@pytest.mark.parametrize("reporting", [Reporting.DELTA, Reporting.TOTAL])
async def test_late_repeats_of_what_was_charged_are_never_debited(
    scene: Scene, reporting: Reporting
) -> None:
    await scene.desk.open(EUR)
    said = {"ago_s": 7_200, "reporting": reporting}
    scene.desk.now_ms -= 7_200_000
    await scene.charge("start", 0, asks=60, **said)
    await scene.charge("update", 1, used=30, asks=60, **said)
    await scene.charge("release", 2, used=61, **said)
    scene.desk.now_ms = scene.now_ms
    paid = await scene.main()
    assert paid == EUR - 2 * MINUTE
    await scene.forget()
    for kind, number, used in (("start", 0, 0), ("update", 1, 30), ("release", 2, 61)):
        answer = await scene.charge(kind, number, used=used, **said)
        assert (answer.code, answer.settled) == (ResultCode.REPEAT_EXPIRED, False)
    assert await scene.waiting() == {"late": 3}
    assert (await scene.run()).events == {"duplicate": 2, "recorded": 1}
    assert (await scene.main(), await scene.waiting()) == (paid, {})


async def test_late_use_that_was_never_charged_is_debited_at_its_time(scene: Scene) -> None:
    await scene.desk.open(EUR)
    answer = await scene.charge("release", 2, used=61, ago_s=7_200)
    assert not answer.settled
    assert (await scene.run()).events == {"debited": 1}
    (row,) = scene.shelf.rows
    assert (row.use.stream, row.amount) == ("late", 2 * MINUTE)
    assert row.use.used_ms == scene.now_ms - 2 * HOUR_MS - 61_000


async def test_what_was_settled_is_a_duplicate_when_it_comes_late(scene: Scene) -> None:
    """Parked as unrated and settled; the same request again, after its memory has faded."""
    await park_call(scene, 61, ago_s=7_200)
    await scene.desk.open(EUR)
    await scene.run()
    answer = await scene.charge("release", 1, used=61, ago_s=7_200)
    assert not answer.settled
    assert await scene.waiting() == {"late": 1}
    assert (await scene.run()).events == {"duplicate": 1}
    assert await scene.main() == EUR - 2 * MINUTE


async def test_a_request_that_lies_in_both_streams_is_debited_once(scene: Scene) -> None:
    await park_call(scene, 61, ago_s=7_200)
    await scene.desk.open(EUR)
    await scene.charge("release", 1, used=61, ago_s=7_200)
    assert await scene.waiting() == {"late": 1, "unrated": 1}
    assert (await scene.run()).events == {"debited": 1, "duplicate": 1}
    assert await scene.main() == EUR - 2 * MINUTE


async def test_where_the_journal_does_not_reach_back_nothing_is_debited(scene: Scene) -> None:
    await scene.desk.open(EUR)
    await scene.charge("release", 2, used=61, ago_s=7_200)
    for partition in range(4):
        await scene.connection.execute("XTRIM", f"{{p{partition:03d}}}j", "MAXLEN", 1)
    run = scene.parked_run()
    assert await run.run("shelf", moves=False)
    summary = run.tally.summary(0.0)
    assert [(w.stream, w.reason) for w in summary.waiting] == [("late", "NOT_KNOWN")]
    assert await scene.main() == EUR


async def test_one_shot_events_are_settled_each_by_itself(scene: Scene) -> None:
    """61 messages of one session, and 60: each begins at nothing."""
    for number, used in ((1, 61), (2, 60)):
        answer = await scene.charge("event", number, used=used, usage_type="sms")
        assert not answer.settled
    await scene.desk.open(EUR)
    assert (await scene.run()).events == {"debited": 2}
    assert told_of(scene.shelf.rows) == [
        ("s1", "debited", 60, 9 * CENT),
        ("s1", "debited", 61, 18 * CENT),
    ]


async def test_of_an_event_only_the_services_without_a_price_are_parked(scene: Scene) -> None:
    uses = (ServiceUse("0", 61, 0), ServiceUse("7", 61, 0, rated_number="1"))
    await scene.desk.open(EUR)
    event = msgspec.structs.replace(scene.event("release", 1), services=uses)
    assert not (await scene.desk.charge(event)).settled
    assert await scene.main() == EUR - 2 * MINUTE
    dearer = generation(deck("calls", [("49", MINUTE), ("1", 10 * CENT)]))
    assert (await scene.run(tariffs=dearer)).events == {"debited": 1}
    assert told_of(scene.shelf.rows) == [("s1", "debited", 61, 20 * CENT)]
    assert await scene.main() == EUR - 2 * MINUTE - 20 * CENT


async def test_each_service_of_a_session_has_its_row(scene: Scene) -> None:
    uses = (ServiceUse("0", 61, 0), ServiceUse("7", 10, 0))
    event = msgspec.structs.replace(scene.event("release", 1), services=uses)
    await scene.desk.charge(event)
    await scene.desk.open(EUR)
    await scene.run()
    rows = {row.use.rating_group: (row.units, row.amount) for row in scene.shelf.rows}
    assert rows == {"0": (61, 2 * MINUTE), "7": (10, MINUTE)}


async def test_a_call_to_two_numbers_is_two_uses_behind_each_other(scene: Scene) -> None:
    prices = generation(
        deck("calls", [(n, price(m * CENT, 60, fee=5 * CENT)) for n, m in (("33", 60), ("49", 6))])
    )
    await scene.charge("update", 1, used=60)
    await scene.charge("release", 2, used=60, rated_number="33")
    await scene.desk.open(EUR)
    assert (await scene.run(tariffs=prices)).events == {"debited": 2}
    assert told_of(scene.shelf.rows) == [
        ("s1", "debited", 60, 11 * CENT),
        ("s1", "debited", 60, 60 * CENT),
    ]


async def test_bundles_pay_as_they_would_have(scene: Scene) -> None:
    await park_call(scene, 91)
    minutes = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",), priority=1)
    await scene.desk.open(EUR, minutes)
    await scene.desk.credit(90, "minutes")
    await scene.run()
    assert (await scene.desk.bucket("minutes"), await scene.main()) == ((0, 0), EUR - MINUTE)
    assert told_of(scene.shelf.rows) == [("s1", "debited", 91, MINUTE)]


async def test_the_floor_stops_nothing_and_the_overrun_is_told(scene: Scene) -> None:
    await park_call(scene, 61)
    await scene.desk.open(MINUTE)
    summary = await scene.run()
    assert [(m.tenant, m.currency, m.amount) for m in summary.overrun] == [("demo", "EUR", MINUTE)]
    assert [(m.cdrs, m.amount) for m in summary.debited] == [(1, 2 * MINUTE)]
    assert await scene.main() == -MINUTE


@pytest.mark.parametrize(("settler", "fate"), [("cdr", "reconciled"), ("nobody", "recorded")])
async def test_other_settlers_are_not_debited(scene: Scene, settler: Any, fate: str) -> None:
    await park_call(scene, 61)
    await scene.desk.know()
    settled_by = msgspec.convert(settler, WalletDefinition.__annotations__["settled_by"])
    definition = WalletDefinition(
        version=1, currency="EUR", buckets=(Bucket(bucket="main"),), settled_by=settled_by
    )
    assert await scene.ledger.define(ALICE, definition)
    assert (await scene.run()).events == {fate: 1}
    assert told_of(scene.shelf.rows) == [("s1", fate, 61, 0)]
    assert await scene.main() == 0


async def test_calls_for_help_are_recorded_and_nobody_pays(scene: Scene) -> None:
    spool = _Spool()
    calls = EmergencyCalls(scene.desk.charge, scene.desk._charger.charge_all, spool)
    for kind, number, used in (("start", 0, 0), ("update", 1, 30), ("release", 2, 40)):
        said = {"emergency": True, "called_number": "112", "rated_number": "112"}
        await calls.charge(scene.event(kind, number, used=used, **said))
    await EmergencyDrain(scene.ledger, spool).drain()
    await scene.desk.open(EUR)
    assert (await scene.run()).events == {"recorded": 3}
    assert told_of(scene.shelf.rows) == [("s1", "recorded", 70, 0)]
    assert (await scene.main(), await scene.waiting()) == (EUR, {})


class _Spool:
    def __init__(self) -> None:
        self._records: list[Any] = []

    @property
    def waiting(self) -> int:
        return len(self._records)

    def append(self, record: Any) -> None:
        self._records.append(record)

    def batch(self, most: int) -> Any:
        return self._records[:most]

    def drained(self) -> None:
        self._records.clear()


async def test_the_answer_is_where_a_call_begins(scene: Scene) -> None:
    await park_call(scene, 30, answer_ms=scene.now_ms - 45_000)
    await scene.desk.open(EUR)
    await scene.run()
    (row,) = scene.shelf.rows
    assert row.use.used_ms == scene.now_ms - 45_000


async def test_what_does_not_say_whom_it_called_is_rated_as_its_session(scene: Scene) -> None:
    """An update need not repeat the number; the journal has it."""
    await scene.desk.open(EUR)
    await scene.charge("release", 1, used=60)
    await scene.park_again(scene.event("update", 2, used=10, rated_number=""))
    assert (await scene.run()).events == {"debited": 1}
    (row,) = scene.shelf.rows
    assert (row.amount, row.rating and row.rating.prefix) == (MINUTE, "49")


@pytest.mark.parametrize(("names", "fate"), [("alice", "debited"), ("", "NO_PLAN")])
async def test_one_event_with_a_name_is_enough_for_a_session(
    scene: Scene, names: str, fate: str
) -> None:
    """Where no event names anybody and the journal does not either, no plan is known."""
    await scene.desk.open(EUR)
    account = Account(account="alice", wallet_group="alice", currency="EUR")
    await scene.desk._directory.put_account("demo", account)
    reference = "demo/alice/alice/s1"
    first = scene.event("update", 1, used=10, subscriber=names, session_ref=reference)
    await scene.park_again(first)
    second = scene.event("release", 2, used=20, subscriber="", session_ref=reference)
    await scene.park_again(second)
    summary = await scene.run()
    told = summary.events or {w.reason: w.events for w in summary.waiting}
    assert told == {fate: 2}


async def test_whose_plan_is_gone_waits_though_the_journal_knows_him(scene: Scene) -> None:
    await scene.desk.open(EUR)
    account = Account(account="alice", wallet_group="alice", currency="EUR")
    await scene.desk._directory.put_account("demo", account)
    await scene.charge("release", 1, used=60)
    reference = "demo/alice/alice/s1"
    await scene.park_again(scene.event("update", 2, used=9, subscriber="", session_ref=reference))
    summary = await scene.run(plan=Plan("another", TARIFFS))
    assert [w.reason for w in summary.waiting] == ["NO_PLAN"]


async def test_a_wallet_that_keeps_changing_is_left_for_later(scene: Scene) -> None:
    await park_call(scene, 61)
    minutes = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",))
    await scene.desk.open(EUR, minutes)
    store: Any = scene.store()
    settle = store.settle

    async def settle_stale(order: ParkedOrder) -> ParkedReply:
        call = msgspec.structs.replace(order.call, wallet_version=0)
        reply: ParkedReply = await settle(msgspec.structs.replace(order, call=call))
        return reply

    store.settle = settle_stale
    run = scene.parked_run(store)
    assert await run.run("shelf", moves=False)
    assert [w.reason for w in run.tally.summary(0.0).waiting] == ["LATER"]


async def test_a_report_that_cannot_be_right_stands_in_no_runs_way(scene: Scene) -> None:
    """3,000 years are debited as they would be online; no row can say when they began."""
    await park_call(scene, 100_000_000_000)
    await scene.desk.open(EUR)
    assert (await scene.run()).events == {"debited": 1}
    assert [row.use.used_ms for row in scene.shelf.rows] == [1]

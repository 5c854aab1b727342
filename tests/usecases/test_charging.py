"""Charging, from an event to its answer, on the reference ledger.

What the ledger decides is tested with the ledger; here it is what becomes of an event around it:
who pays, at which price, what is parked, and what the answer says.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.generation import Generation
from ocs.domain.money import MAX_UNITS
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.tariff import plan_tariffs
from ocs.domain.timing import Timing
from ocs.domain.wallet import MAIN_BUCKET, Bucket, BucketKind
from ocs.usecases.answer import Answer
from ocs.usecases.charging import Charger, ChargingSettings
from ocs.usecases.ports import (
    LATE,
    UNRATED,
    Account,
    ChargeCall,
    CreditCall,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    Subscriber,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger
from tests.domain.decks import BLOCKED, deck, generation

NOW_MS = 1_800_000_000_000
EUR = 1_000_000
HOUR_MS = 3_600_000
ALICE = WalletKey("demo", "alice")
Charge = Callable[..., Awaitable[Answer]]


class Remembering(MemoryDirectory):
    """A directory that has every subscriber in its memory already, or none."""

    remembers = True

    def peek(self, tenant: str, identity: str, _now_ms: int) -> Subscriber | None:
        return self._subscribers.get((tenant, identity)) if self.remembers else None


@dataclass
class Held:
    current: Generation


@dataclass
class Office:
    """A small operator: one rate of 0.06 a minute, one of 0, one blocked, one in dollars."""

    ledger: ReferenceLedger = field(default_factory=lambda: ReferenceLedger(now_ms=NOW_MS))
    directory: Remembering = field(default_factory=Remembering)
    tariffs: Held = field(
        default_factory=lambda: Held(
            generation(
                deck("voice", [("49", 60_000), ("800", 0), ("900", BLOCKED)]),
                deck("mobile", [("4917", 120_000)]),
                deck("dated", [("33", 60_000, 0, NOW_MS), ("33", 120_000, NOW_MS, 2**53 - 1)]),
                deck("dollars", [("1", 60_000)], code="USD"),
                deck("bytes", [("", 10)], usage_type="data"),
            )
        )
    )
    now_ms: int = NOW_MS

    def __post_init__(self) -> None:
        plans = (
            Plan("standard", plan_tariffs("voice", "dated", "dollars", "bytes")),
            Plan("premium", plan_tariffs("mobile", "voice"), validity_s=60),
        )
        self.charger = Charger(
            ledger=self.ledger,
            directory=self.directory,
            tariffs=self.tariffs,
            plans={plan.name: plan for plan in plans},
            settings=ChargingSettings(),
            clock_ms=lambda: self.now_ms,
        )

    async def open(self, name: str, amount: int = EUR, plan: str = "standard") -> None:
        account = Account(account=name, wallet_group=name, currency="EUR")
        await self.directory.put_account("demo", account)
        await self.directory.put_subscriber(
            "demo",
            Subscriber(identity=name, account=name, wallet_group=name, plan=plan, currency="EUR"),
        )
        wallet = WalletKey("demo", name)
        definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
        assert await self.ledger.define(wallet, definition)
        await self.ledger.credit(
            CreditCall(wallet=wallet, bucket="main", amount=amount, reference="opening")
        )

    def parked(self, stream: str) -> int:
        return len(self.ledger.parked.get(stream, {}))


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.open("alice")
    return office


def event(
    kind: Kind, number: int, /, *, used: int = 0, asks: int | None = None, **fields: object
) -> Event:
    defaults: dict[str, object] = {
        "kind": kind,
        "tenant": "demo",
        "session_id": "s1",
        "request_number": number,
        "request_key": "",
        "subscriber": "alice",
        "usage_type": "voice",
        "rated_number": "49301234",
        "event_ms": NOW_MS,
        "reported_ms": NOW_MS,
        "answer_ms": None,
        "services": (ServiceUse("0", used, asks),),
    }
    return msgspec.convert(defaults | fields, Event)


def start(*, asks: int | None = None, **fields: object) -> Event:
    return msgspec.structs.replace(event(Kind.START, 0, asks=asks), **fields)


async def test_a_call_from_start_to_release(office: Office) -> None:
    begun = await office.charger.charge(start(asks=60))
    assert (begun.code, begun.services[0].granted_units) == (ResultCode.OK, 60)
    assert begun.services[0].rating is not None
    assert begun.services[0].rating.destination == "to 49"
    assert begun.session_ref == "demo/alice/alice/s1"
    goes_on = await office.charger.charge(event(Kind.UPDATE, 1, used=60, asks=60))
    assert goes_on.services[0].settled_amount == 60_000
    ended = await office.charger.charge(event(Kind.RELEASE, 2, used=10))
    assert (ended.code, ended.available_amount) == (ResultCode.OK, EUR - 120_000)
    assert (ended.currency, ended.held_amount, ended.settled) == ("EUR", 0, True)


async def test_a_repeat_is_the_same_answer(office: Office) -> None:
    first = await office.charger.charge(start(asks=60))
    again = await office.charger.charge(start(asks=60, event_ms=NOW_MS + 5, reported_ms=NOW_MS + 5))
    assert again.hit
    assert msgspec.structs.replace(again, hit=False) == first


async def test_other_use_under_the_same_number_is_a_conflict(office: Office) -> None:
    first = await office.charger.charge(start(asks=60))
    other = await office.charger.charge(start(asks=61))
    assert other.code is ResultCode.CONFLICT
    assert other.transaction_id == first.transaction_id
    assert other.services[0].granted_units == 60


async def test_a_request_far_below_the_newest_is_too_old_to_be_told_from_a_repeat(
    office: Office,
) -> None:
    await office.charger.charge(event(Kind.START, 100, asks=60))
    answer = await office.charger.charge(event(Kind.UPDATE, 2, used=1, asks=60))
    assert (answer.code, answer.transaction_id) == (ResultCode.REPEAT_EXPIRED, "")


async def test_the_quota_of_the_plan_is_granted_where_nothing_is_asked(office: Office) -> None:
    answer = await office.charger.charge(start())
    assert answer.services[0].granted_units == 300
    assert answer.services[0].validity_s == 600


async def test_the_subscribers_plan_decides(office: Office) -> None:
    await office.open("bob", plan="premium")
    answer = await office.charger.charge(start(subscriber="bob", rated_number="491701", asks=60))
    assert answer.services[0].rating is not None
    assert answer.services[0].rating.tariff == "mobile"
    assert (answer.held_amount, answer.services[0].validity_s) == (120_000, 60)


async def test_a_subscriber_who_is_not_remembered_is_looked_up(office: Office) -> None:
    office.directory.remembers = False
    assert (await office.charger.charge(start(asks=60))).code is ResultCode.OK
    assert office.directory.look_ups == 1


async def test_a_stranger_is_refused_and_what_was_used_is_parked_once(office: Office) -> None:
    refused = await office.charger.charge(start(subscriber="nobody", asks=60))
    assert (refused.code, refused.settled) == (ResultCode.UNKNOWN_SUBSCRIBER, True)
    assert office.parked(UNRATED) == 0
    for _ in range(2):
        answer = await office.charger.charge(
            event(Kind.UPDATE, 1, subscriber="nobody", used=30, asks=60)
        )
        assert (answer.code, answer.settled) == (ResultCode.UNKNOWN_SUBSCRIBER, False)
    assert office.parked(UNRATED) == 1
    await office.charger.charge(event(Kind.RELEASE, 2, subscriber="nobody", used=5))
    assert office.parked(UNRATED) == 2


async def test_an_event_that_names_nobody_is_a_strangers(office: Office) -> None:
    answer = await office.charger.charge(event(Kind.RELEASE, 2, subscriber="", used=5))
    assert (answer.code, office.parked(UNRATED)) == (ResultCode.UNKNOWN_SUBSCRIBER, 1)


async def test_a_dry_run_parks_nothing(office: Office) -> None:
    answer = await office.charger.charge(
        event(Kind.UPDATE, 1, subscriber="nobody", used=30, dry_run=True)
    )
    assert (answer.code, office.parked(UNRATED)) == (ResultCode.UNKNOWN_SUBSCRIBER, 0)


async def test_a_dry_run_explains_the_price_if_it_is_asked_to(office: Office) -> None:
    asked = event(Kind.START, 0, asks=90, dry_run=True, explain=True)
    answer = await office.charger.charge(asked)
    (explanation,) = answer.explanations
    assert explanation is not None
    assert (answer.code, explanation.units, explanation.total) == (ResultCode.OK, 90, "0.12")
    assert answer.held_amount == 120_000
    plain = await office.charger.charge(msgspec.structs.replace(asked, explain=False))
    assert plain == msgspec.structs.replace(answer, explanations=())


async def test_an_explanation_looks_no_further_than_a_call_may_live(office: Office) -> None:
    mornings = (Timing(end_s=43_200, weight=1), 60_000), (None, 90_000)
    office.tariffs.current = generation(deck("voice", [("49", mornings)]))
    asked = event(Kind.START, 0, asks=MAX_UNITS, dry_run=True, explain=True)
    answer = await office.charger.charge(asked)
    assert [len(each.parts) for each in answer.explanations if each] == [3]


async def test_where_only_a_session_is_named_no_plan_is_known_to_explain_by(office: Office) -> None:
    ref = (await office.charger.charge(start(asks=60))).session_ref
    asked = event(Kind.UPDATE, 1, subscriber="", session_ref=ref, dry_run=True, explain=True)
    assert (await office.charger.charge(asked)).explanations == ()


async def test_what_has_no_price_is_refused_without_an_explanation(office: Office) -> None:
    asked = event(Kind.START, 0, rated_number="7700", asks=90, dry_run=True, explain=True)
    answer = await office.charger.charge(asked)
    assert (answer.code, answer.explanations) == (ResultCode.NO_RATE, ())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("7700", ResultCode.NO_RATE),
        ("9001", ResultCode.RATE_BLOCKED),
        ("1555", ResultCode.RATING_FAILED),
    ],
)
async def test_what_has_no_price_does_not_start(
    office: Office, number: str, code: ResultCode
) -> None:
    refused = await office.charger.charge(start(rated_number=number, asks=60))
    assert (refused.code, refused.transaction_id, refused.settled) == (code, "", True)
    assert refused.reason
    used = await office.charger.charge(event(Kind.UPDATE, 1, rated_number=number, used=30, asks=60))
    assert (used.code, used.settled, office.parked(UNRATED)) == (code, False, 1)


async def test_a_plan_that_is_not_configured_prices_nothing(office: Office) -> None:
    await office.open("carol", plan="gone")
    answer = await office.charger.charge(start(subscriber="carol", asks=60))
    assert answer.code is ResultCode.RATING_FAILED
    used = await office.charger.charge(event(Kind.RELEASE, 1, subscriber="carol", used=60))
    assert (used.code, used.settled) == (ResultCode.RATING_FAILED, False)


async def test_a_call_goes_on_at_its_price_when_the_tariff_has_lost_it(office: Office) -> None:
    await office.charger.charge(start(asks=60))
    office.tariffs.current = generation(deck("voice", [("7", 1)]))
    answer = await office.charger.charge(event(Kind.RELEASE, 1, used=60))
    assert (answer.code, answer.available_amount) == (ResultCode.OK, EUR - 60_000)


async def test_another_service_without_a_price_is_parked(office: Office) -> None:
    await office.charger.charge(start(asks=60))
    office.tariffs.current = generation(deck("voice", [("7", 1)]))
    answer = await office.charger.charge(event(Kind.UPDATE, 1, services=(ServiceUse("9", 60, 0),)))
    assert (answer.code, answer.settled) == (ResultCode.NO_RATE, False)
    assert (answer.services[0].rating, office.parked(UNRATED)) == (None, 1)


async def test_a_free_call_is_not_charged(office: Office) -> None:
    answer = await office.charger.charge(start(rated_number="800123", asks=60))
    assert (answer.code, answer.services[0].granted_units) == (ResultCode.NOT_CHARGED, 60)
    assert answer.held_amount == 0


async def test_a_price_that_changes_in_mid_call_splits_it(office: Office) -> None:
    later = NOW_MS - 30_000
    begun = await office.charger.charge(
        start(rated_number="33123", asks=120, event_ms=later, answer_ms=later)
    )
    # The minute begun before the switch is used to its end at the old price.
    assert begun.held_amount == 60_000 + 120_000


async def test_data_is_priced_by_its_report(office: Office) -> None:
    await office.charger.charge(start(asks=60, usage_type="data", rated_number=""))
    answer = await office.charger.charge(
        event(Kind.RELEASE, 1, used=60, usage_type="data", rated_number="")
    )
    assert answer.available_amount == EUR - 10


async def test_new_definitions_of_a_wallet_are_learnt_from_the_ledger(office: Office) -> None:
    minutes = Bucket(bucket="minutes", kind=BucketKind.UNITS, priority=1, usage_types=("voice",))
    definition = WalletDefinition(version=2, currency="EUR", buckets=(MAIN_BUCKET, minutes))
    assert await office.ledger.define(ALICE, definition)
    await office.ledger.credit(
        CreditCall(wallet=ALICE, bucket="minutes", amount=100, reference="bonus")
    )
    first = await office.charger.charge(start(asks=60))
    second = await office.charger.charge(start(asks=60, session_id="s2"))
    assert (first.code, second.code) == (ResultCode.OK, ResultCode.OK)
    # 60 s of the bucket for the first, 40 s of it and a minute of money for the second.
    assert (first.held_amount, second.held_amount) == (0, 60_000)


async def test_definitions_that_keep_changing_are_a_fault(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = WalletDefinition(version=9, currency="EUR", buckets=(MAIN_BUCKET,))

    async def always_stale(_call: ChargeCall) -> Reply:
        return Reply(ResultCode.OK, stale=stale)

    monkeypatch.setattr(office.ledger, "charge", always_stale)
    assert (await office.charger.charge(start(asks=60))).code is ResultCode.TOO_BUSY


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LedgerUnavailable("away"), ResultCode.TOO_BUSY),
        (OutcomeUnknown("lost"), ResultCode.OUTCOME_UNKNOWN),
    ],
)
async def test_a_fault_is_answered(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: Exception, code: ResultCode
) -> None:
    async def fails(_call: ChargeCall) -> Reply:
        raise fault

    monkeypatch.setattr(office.ledger, "charge", fails)
    answer = await office.charger.charge(start(asks=60))
    assert (answer.code, answer.reason) == (code, str(fault))


async def test_an_account_without_a_wallet_is_unknown(office: Office) -> None:
    subscriber = Subscriber(
        identity="dave", account="dave", wallet_group="dave", plan="standard", currency="EUR"
    )
    await office.directory.put_subscriber("demo", subscriber)
    answer = await office.charger.charge(start(subscriber="dave", asks=60))
    assert answer.code is ResultCode.UNKNOWN_SUBSCRIBER


async def test_use_that_cannot_be_reckoned_with_is_parked(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More money than an integer of the ledger holds: a report gone wrong, for people to look at."""

    async def overflows(_call: ChargeCall) -> Reply:
        return Reply(ResultCode.RATING_FAILED)

    monkeypatch.setattr(office.ledger, "charge", overflows)
    release = event(Kind.RELEASE, 1, used=2**53 - 1)
    for _ in range(2):
        answer = await office.charger.charge(release)
        assert (answer.code, answer.settled) == (ResultCode.RATING_FAILED, False)
    assert office.parked(UNRATED) == 1


async def test_memories_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.usecases.paying._MOST_WALLETS_KEPT", 1)
    monkeypatch.setattr("ocs.usecases.pricing._MOST_PRICES_KEPT", 1)
    minutes = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",))
    definition = WalletDefinition(version=2, currency="EUR", buckets=(MAIN_BUCKET, minutes))
    for name in ("w1", "w2"):
        await office.open(name)
        assert await office.ledger.define(WalletKey("demo", name), definition)
        for number in ("49301", "800123"):
            begun = await office.charger.charge(
                start(subscriber=name, session_id=f"{name}-{number}", rated_number=number, asks=1)
            )
            ended = await office.charger.charge(
                event(
                    Kind.RELEASE,
                    1,
                    subscriber="",
                    session_id=f"{name}-{number}",
                    session_ref=begun.session_ref,
                )
            )
            assert ended.code is ResultCode.OK


async def test_a_wallet_that_was_learnt_and_is_plain_again_needs_no_list(office: Office) -> None:
    minutes = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",))
    for version, buckets in ((2, (MAIN_BUCKET, minutes)), (3, (MAIN_BUCKET,))):
        definition = WalletDefinition(version=version, currency="EUR", buckets=buckets)
        assert await office.ledger.define(ALICE, definition)
        for name in ("a", "b"):
            answer = await office.charger.charge(start(session_id=f"{name}{version}", asks=60))
            assert answer.code is ResultCode.OK


# --- Sessions by reference ------------------------------------------------------------------------


async def test_a_session_reference_needs_no_subscriber(office: Office) -> None:
    begun = await office.charger.charge(start(asks=60))

    def by_reference(kind: Kind, number: int, asks: int) -> Event:
        return event(
            kind,
            number,
            used=60,
            asks=asks,
            subscriber="",
            rated_number="",
            session_ref=begun.session_ref,
        )

    for number in (1, 2):
        goes_on = await office.charger.charge(by_reference(Kind.UPDATE, number, 60))
        assert (goes_on.code, goes_on.currency) == (ResultCode.OK, "EUR")
    ended = await office.charger.charge(by_reference(Kind.RELEASE, 3, 0))
    assert ended.available_amount == EUR - 180_000


async def test_a_session_reference_wins_over_the_subscriber(office: Office) -> None:
    await office.open("bob")
    begun = await office.charger.charge(start(asks=60))
    answer = await office.charger.charge(
        event(Kind.RELEASE, 1, used=60, subscriber="bob", session_ref=begun.session_ref)
    )
    assert answer.available_amount == EUR - 60_000
    same = event(Kind.RELEASE, 2, used=0, session_ref=begun.session_ref)
    assert (await office.charger.charge(same)).code is ResultCode.SESSION_CLOSED


async def test_a_reference_to_a_session_that_is_gone(office: Office) -> None:
    answer = await office.charger.charge(
        event(Kind.UPDATE, 1, used=60, subscriber="", session_ref="demo/alice/alice/s1")
    )
    assert (answer.code, answer.settled) == (ResultCode.UNKNOWN_SESSION, False)
    assert office.parked(UNRATED) == 1


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nonsense", "not the address"),
        ("other/alice/alice/s1", "somebody else"),
        ("demo/alice/alice/s2", "another session"),
        ("demo/alice/nobody/s1", "no account"),
        ("demo/bob/alice/s1", "no account"),
    ],
)
async def test_a_wrong_reference_names_the_field(
    office: Office, reference: str, reason: str
) -> None:
    answer = await office.charger.charge(
        event(Kind.UPDATE, 1, used=60, subscriber="", session_ref=reference)
    )
    assert (answer.code, answer.field) == (ResultCode.INVALID_EVENT, "session_ref")
    assert reason in answer.reason


# --- Old events -----------------------------------------------------------------------------------


async def test_an_event_older_than_sessions_are_remembered_is_parked(office: Office) -> None:
    old = start(asks=60, reported_ms=NOW_MS - HOUR_MS - 1)
    answer = await office.charger.charge(old)
    assert (answer.code, answer.settled) == (ResultCode.REPEAT_EXPIRED, False)
    assert (office.parked(LATE), answer.transaction_id) == (1, "")
    await office.charger.charge(msgspec.structs.replace(old, dry_run=True))
    assert office.parked(LATE) == 1


async def test_an_old_event_of_a_session_that_is_known_is_charged(office: Office) -> None:
    await office.charger.charge(start(asks=60))
    answer = await office.charger.charge(
        event(Kind.UPDATE, 1, used=60, asks=60, reported_ms=NOW_MS - HOUR_MS - 1)
    )
    assert (answer.code, answer.services[0].settled_amount) == (ResultCode.OK, 60_000)


async def test_one_shot_events_are_remembered_for_a_day(office: Office) -> None:
    sent = event(Kind.EVENT, 0, asks=60, reported_ms=NOW_MS - 23 * HOUR_MS)
    assert (await office.charger.charge(sent)).code is ResultCode.OK
    older = event(Kind.EVENT, 0, asks=60, session_id="s2", reported_ms=NOW_MS - 25 * HOUR_MS)
    assert (await office.charger.charge(older)).code is ResultCode.REPEAT_EXPIRED


async def test_one_shot_events_take_one_unit_or_what_was_used(office: Office) -> None:
    one = await office.charger.charge(event(Kind.EVENT, 0, usage_type="data", rated_number=""))
    assert one.services[0].granted_units == 1
    used = await office.charger.charge(event(Kind.EVENT, 0, session_id="e2", used=60))
    assert (used.services[0].granted_units, used.services[0].settled_amount) == (0, 60_000)

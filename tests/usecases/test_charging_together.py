"""Events that are charged together are answered like events that are charged one by one."""

from collections.abc import Sequence

import msgspec
import pytest

from ocs.domain.events import Event, Kind
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer
from ocs.usecases.charging import Charger
from ocs.usecases.finishing import finish
from ocs.usecases.ports import (
    ChargeCall,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    WalletDefinition,
    WalletKey,
)
from ocs.usecases.preparing import fingerprint
from tests.together import outcomes
from tests.usecases.test_charging import NOW_MS, Office, event, start


@pytest.fixture
async def office() -> Office:
    office = Office()
    for name in ("alice", "bob", "carol"):
        await office.open(name)
    return office


def named(session: str, subscriber: str = "alice", **fields: object) -> Event:
    return start(asks=60, session_id=session, subscriber=subscriber, **fields)


def codes(answers: Sequence[Answer | Exception]) -> list[ResultCode]:
    assert not [one for one in answers if isinstance(one, Exception)]
    return [one.code for one in answers if isinstance(one, Answer)]


async def each(charger: Charger, events: Sequence[Event]) -> list[Answer | Exception]:
    return [await charger.charge(one) for one in events]


async def test_the_answers_are_those_of_single_events() -> None:
    events = [
        named("s1"),
        named("s2", "bob"),
        named("s3", "nobody"),
        named("s4", rated_number="990"),
        named("s5", rated_number="900"),
        named("s6", rated_number="800123"),
        event(Kind.RELEASE, 1, used=90, session_id="s7"),
        event(Kind.UPDATE, 1, session_id="s8", subscriber="", session_ref="no address"),
        event(Kind.RELEASE, 0, used=5, session_id="s9", reported_ms=0),
    ]
    together, apart = Office(), Office()
    for office in (together, apart):
        for name in ("alice", "bob"):
            await office.open(name)
    answers = await outcomes(await together.charger.charge_all(events))
    assert answers == await each(apart.charger, events)
    assert {ResultCode.OK, ResultCode.UNKNOWN_SUBSCRIBER, ResultCode.NO_RATE} < set(codes(answers))
    assert together.ledger.parked.keys() == apart.ledger.parked.keys() != set()


async def test_nothing_to_charge_is_no_call(office: Office) -> None:
    assert await office.charger.charge_all([]) == []
    assert codes(await outcomes(await office.charger.charge_all([named("s1", "nobody")]))) == [
        ResultCode.UNKNOWN_SUBSCRIBER
    ]


async def test_new_definitions_are_learnt_on_the_way(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    wallet = WalletKey("demo", "alice")
    balance = await office.ledger.balance(wallet)
    assert balance is not None
    stale = WalletDefinition(version=2, currency="EUR", buckets=balance.definition.buckets)

    async def stale_first(calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        found = [await office.ledger.charge(call) for call in calls[1:]]
        return [Reply(ResultCode.OK, stale=stale), *found]

    monkeypatch.setattr(office.ledger, "charge_all", stale_first)
    answers = await outcomes(await office.charger.charge_all([named("s1"), named("s2", "bob")]))
    assert codes(answers) == [ResultCode.OK] * 2


async def test_faults_are_answered_each_in_its_place(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        found = [await office.ledger.charge(call) for call in calls]
        return [LedgerUnavailable("away"), found[1], OutcomeUnknown("lost")]

    monkeypatch.setattr(office.ledger, "charge_all", broken)
    events = [named("s1"), named("s2", "bob"), named("s3", "carol")]
    answers = await outcomes(await office.charger.charge_all(events))
    assert codes(answers) == [ResultCode.TOO_BUSY, ResultCode.OK, ResultCode.OUTCOME_UNKNOWN]


async def test_a_store_that_goes_away_when_it_is_asked_again_is_a_fault_of_that_event(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = WalletDefinition(version=2, currency="EUR", buckets=())

    async def stale_always(calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        return [Reply(ResultCode.OK, stale=stale) for _ in calls]

    async def gone(_call: ChargeCall) -> Reply:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(office.ledger, "charge_all", stale_always)
    monkeypatch.setattr(office.ledger, "charge", gone)
    answers = await outcomes(await office.charger.charge_all([named("s1"), named("s2", "bob")]))
    assert codes(answers) == [ResultCode.TOO_BUSY] * 2


async def test_a_bug_hits_one_event_only(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """In preparing, in the ledger, and on the slow way."""
    peek = office.directory.peek

    def broken_peek(tenant: str, identity: str, now_ms: int) -> object:
        if identity == "carol":
            raise ZeroDivisionError
        return peek(tenant, identity, now_ms)

    async def broken_directory(_tenant: str, _identity: str) -> None:
        raise KeyError

    async def broken(calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        return [TypeError(), await office.ledger.charge(calls[1])]

    monkeypatch.setattr(office.directory, "peek", broken_peek)
    monkeypatch.setattr(office.directory, "subscriber", broken_directory)
    monkeypatch.setattr(office.ledger, "charge_all", broken)
    events = [named("s1", "carol"), named("s2"), named("s3", "nobody"), named("s4", "bob")]
    preparing, ledger, slow, good = await outcomes(await office.charger.charge_all(events))
    assert [type(bug) for bug in (preparing, ledger, slow)] == [
        ZeroDivisionError,
        TypeError,
        KeyError,
    ]
    assert codes([good]) == [ResultCode.OK]


async def test_a_bug_in_answering_hits_one_event_only(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: Event, *rest: object) -> Answer:
        if event.session_id == "s1":
            raise ZeroDivisionError
        return finish(event, *rest)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr("ocs.usecases.charging.finish", broken)
    bug, good = await office.charger.charge_all([named("s1"), named("s2", "bob")])
    assert isinstance(bug, ZeroDivisionError)
    assert codes(await outcomes([good])) == [ResultCode.OK]


async def test_what_takes_longer_is_handed_back_to_be_awaited(office: Office) -> None:
    """So that whoever waits for the others need not wait for it."""
    slow, good = await office.charger.charge_all([named("s1", "nobody"), named("s2", "bob")])
    assert isinstance(good, Answer)
    assert not isinstance(slow, Answer)
    assert codes(await outcomes([slow])) == [ResultCode.UNKNOWN_SUBSCRIBER]


# --- What makes two requests the same ------------------------------------------------------------


def test_the_fingerprint_tells_requests_apart() -> None:
    same = event(Kind.UPDATE, 3, used=30, asks=60)
    again = msgspec.structs.replace(
        same, event_ms=NOW_MS + 1, reported_ms=0, request_number=4, attributes=b'{"a":1}'
    )
    others = [
        event(Kind.RELEASE, 3, used=30, asks=60),
        event(Kind.UPDATE, 3, used=31, asks=60),
        event(Kind.UPDATE, 3, used=30, asks=61),
        event(Kind.UPDATE, 3, used=30),
        event(Kind.UPDATE, 3, used=30, asks=60, rated_number="49301235"),
        event(Kind.UPDATE, 3, used=30, asks=60, usage_type="data"),
        msgspec.structs.replace(same, services=same.services * 2),
    ]
    assert fingerprint(again) == fingerprint(same)
    assert len({fingerprint(one) for one in (same, *others)}) == 1 + len(others)


def test_the_fingerprint_is_short_whatever_the_number() -> None:
    long = [event(Kind.START, 0, rated_number=digit * 255) for digit in "12"]
    assert len({fingerprint(one) for one in long}) == 2
    assert max(len(fingerprint(one)) for one in (*long, start())) <= 64

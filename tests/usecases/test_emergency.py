"""Emergency calls: answered without anything but the event, and put into the store later."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.usecases import emergency as module
from ocs.usecases.answer import Answer
from ocs.usecases.emergency import EmergencyCalls, EmergencyDrain, Spooled, number_of
from ocs.usecases.ports import EMERGENCY, LedgerUnavailable, OutcomeUnknown, SessionKey
from tests.adapters.reference_ledger import ReferenceLedger

NOW_MS = 1_800_000_000_000
REF = "demo/urn:service:sos/112/s1"


class MemorySpool:
    """The port's twin in memory."""

    def __init__(self) -> None:
        self.records: list[Spooled] = []
        self._given = 0

    @property
    def waiting(self) -> int:
        return len(self.records)

    def append(self, record: Spooled) -> None:
        self.records.append(record)

    def batch(self, most: int) -> Sequence[Spooled]:
        self._given = len(self.records[:most])
        return self.records[:most]

    def drained(self) -> None:
        del self.records[: self._given]


def event(kind: Kind = Kind.START, number: int = 0, **fields: object) -> Event:
    defaults: dict[str, object] = {
        "kind": kind,
        "tenant": "demo",
        "session_id": "s1",
        "request_number": number,
        "request_key": "",
        "subscriber": "",
        "usage_type": "voice",
        "rated_number": "112",
        "event_ms": NOW_MS,
        "reported_ms": NOW_MS,
        "answer_ms": None,
        "services": (ServiceUse("0", 0, 60),),
        "called_number": "112",
        "emergency": True,
    }
    return msgspec.convert(defaults | fields, Event)


def asks(used: int, asked: int | None) -> tuple[ServiceUse, ...]:
    return (ServiceUse("0", used, asked),)


class Desk:
    def __init__(self) -> None:
        self.spool = MemorySpool()
        self.charged: list[Event] = []
        self.calls = EmergencyCalls(self.charge, self.charge_all, self.spool)

    async def charge(self, event: Event) -> Answer:
        self.charged.append(event)
        return Answer(code=ResultCode.TOO_BUSY, session_id=event.session_id)

    async def charge_all(self, events: Sequence[Event]) -> list[Answer | Exception]:
        return [await self.charge(event) for event in events]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("given", "granted", "validity_s"),
    [
        (event(), 60, 3_600),
        (event(services=asks(0, None)), 3_600, 3_600),
        (event(Kind.UPDATE, 1, services=asks(60, 90)), 90, 3_600),
        (event(Kind.UPDATE, 1, services=asks(60, 0)), 0, 3_600),
        (event(Kind.RELEASE, 2, services=asks(30, 60)), 0, 0),
        (event(Kind.EVENT, usage_type="sms", services=asks(0, 3)), 3, 0),
        (event(usage_type="sms", services=asks(0, None)), 1, 3_600),
    ],
)
async def test_it_is_granted_as_asked(
    desk: Desk, given: Event, granted: int, validity_s: int
) -> None:
    answer = await desk.calls.charge(given)
    (service,) = answer.services
    assert (answer.code, service.code) == (ResultCode.NOT_CHARGED, ResultCode.NOT_CHARGED)
    assert (service.granted_units, service.validity_s) == (granted, validity_s)
    assert (service.settled_amount, service.final_unit, answer.settled) == (0, False, True)
    assert service.settled_units == given.services[0].used_units
    assert (answer.session_ref, answer.request_number) == (REF, given.request_number)
    assert desk.charged == []


async def test_every_service_is_granted(desk: Desk) -> None:
    given = event(services=(ServiceUse("1", 0, 60), ServiceUse("2", 0, None)))
    answer = await desk.calls.charge(given)
    assert [(s.rating_group, s.granted_units) for s in answer.services] == [("1", 60), ("2", 3_600)]


async def test_a_repeat_is_the_same_answer(desk: Desk) -> None:
    assert await desk.calls.charge(event()) == await Desk().calls.charge(event())


async def test_other_events_are_charged(desk: Desk) -> None:
    answer = await desk.calls.charge(event(emergency=False))
    assert answer.code is ResultCode.TOO_BUSY
    assert (desk.spool.records, desk.calls.answered) == ([], 0)


async def test_of_many_events_each_has_its_own_answer(desk: Desk) -> None:
    some = [event(session_id=f"s{n}", emergency=n % 2 == 0) for n in range(4)]
    answers = await desk.calls.charge_all(some)
    assert [(a.session_id, a.code) for a in answers if isinstance(a, Answer)] == [
        ("s0", ResultCode.NOT_CHARGED),
        ("s1", ResultCode.TOO_BUSY),
        ("s2", ResultCode.NOT_CHARGED),
        ("s3", ResultCode.TOO_BUSY),
    ]
    assert [e.session_id for e in desk.charged] == ["s1", "s3"]
    assert desk.calls.answered == 2
    assert len(await desk.calls.charge_all(some[1::2])) == 2
    assert len(await desk.calls.charge_all(some[::2])) == 2
    assert [e.session_id for e in desk.charged] == ["s1", "s3"] * 2


async def test_what_is_written_down_says_all_of_the_event(desk: Desk) -> None:
    given = event(subscriber="441632960001", attributes=b'{"cell":"7"}')
    await desk.calls.charge(given)
    (record,) = desk.spool.records
    assert record.key == SessionKey("demo", "urn:service:sos", "112", "s1")
    assert record.request == "0"
    written, about = msgspec.json.decode(record.entry, type=tuple[Event, dict[str, object]])
    assert written == given
    assert (about["subscriber"], about["called_number"]) == ("441632960001", "112")
    assert about["attributes"] == {"cell": "7"}


async def test_an_event_without_a_number_goes_by_its_key(desk: Desk) -> None:
    await desk.calls.charge(event(request_number=None, request_key="event:e1"))
    assert desk.spool.records[0].request == "event:e1"


async def test_a_dry_run_is_not_written_down(desk: Desk) -> None:
    assert (await desk.calls.charge(event(dry_run=True))).code is ResultCode.NOT_CHARGED
    assert desk.spool.records == []


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (REF, "112"),
        ("demo/urn:service:sos/urn:service:sos.fire/s1", "urn:service:sos.fire"),
        ("other/urn:service:sos/112/s1", ""),
        ("demo/urn:service:sos/112/s2", ""),
        ("demo/alice/urn:service:sos/s1", ""),
        ("urn:service:sos", ""),
        ("demo/alice/alice/s1", ""),
        ("", ""),
    ],
)
def test_a_reference_tells_what_was_dialled(reference: str, found: str) -> None:
    assert number_of(reference, "demo", "s1") == found


# --- Into the store -------------------------------------------------------------------------------


class Away(ReferenceLedger):
    """A store that is away while `faults` has something to say."""

    def __init__(self) -> None:
        super().__init__(now_ms=NOW_MS)
        self.faults: list[Exception] = []
        self.hangs = False

    async def park(self, stream: str, key: SessionKey, request: str, entry: bytes) -> str:
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        done = await super().park(stream, key, request, entry)
        if self.faults:
            raise self.faults.pop()
        return done


async def called(spool: MemorySpool, events: int) -> None:
    desk = Desk()
    calls = EmergencyCalls(desk.charge, desk.charge_all, spool)
    for number in range(events):
        await calls.charge(event(Kind.UPDATE, number))


async def test_what_waits_goes_into_the_store_once() -> None:
    ledger, spool = Away(), MemorySpool()
    await called(spool, 250)
    drain = EmergencyDrain(ledger, spool)
    await drain.drain()
    assert (spool.waiting, drain.drained) == (0, 250)
    assert {request for _, request in ledger.parked[EMERGENCY]} == {str(n) for n in range(250)}
    await called(spool, 250)
    await drain.drain()
    assert len(ledger.parked[EMERGENCY]) == 250


@pytest.mark.parametrize(
    "make", [LedgerUnavailable, OutcomeUnknown, ValueError], ids=lambda make: make.__name__
)
async def test_a_fault_leaves_what_waits_where_it_is(make: Callable[[str], Exception]) -> None:
    ledger, spool = Away(), MemorySpool()
    await called(spool, 3)
    ledger.faults = [make("away"), make("away")]
    drain = EmergencyDrain(ledger, spool)
    await drain.finish()
    assert (spool.waiting, drain.drained) == (3, 0)
    await drain.finish()
    assert (spool.waiting, drain.drained) == (0, 3)
    assert len(ledger.parked[EMERGENCY]) == 3


async def test_it_tries_until_the_store_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PERIOD_S", 0.0)
    ledger, spool = Away(), MemorySpool()
    await called(spool, 1)
    ledger.faults = [LedgerUnavailable("gone") for _ in range(3)]
    running = asyncio.create_task(EmergencyDrain(ledger, spool).run())
    async with asyncio.timeout(5):
        while spool.waiting:  # noqa: ASYNC110 -- it is another task's
            await asyncio.sleep(0)
    running.cancel()
    assert [record.getMessage() for record in caplog.records] == [
        "emergency events wait for the store: gone"
    ]


async def test_the_end_does_not_wait_for_a_store_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LAST_S", 0.01)
    ledger, spool = Away(), MemorySpool()
    await called(spool, 1)
    ledger.hangs = True
    await asyncio.wait_for(EmergencyDrain(ledger, spool).finish(), 5)
    assert spool.waiting == 1

"""A client whose clock is wrong, on both ledgers: the same event again, after it was forgotten.

The store's own clock forgets records; here it is turned by hand, as far as the test's (`Hours`).
Whatever the clock says, the account is debited at most once, and what is not debited is parked.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from ocs.domain.events import Action, Event, Kind
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer
from tests.adapters.calls import NOW_MS
from tests.adapters.ledgers import RealBench, ReferenceBench, real_bench
from tests.adapters.reference_ledger import ReferenceLedger
from tests.usecases.charging_desk import ALICE, CENT, EUR, Desk, told

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
LEADS = {
    "-2d": -2 * DAY_MS,
    "-1h": -HOUR_MS,
    "0": 0,
    "+1s": 1_000,
    "+10min": 10 * MINUTE_MS,
    "+2h": 2 * HOUR_MS,
    "+23h": 23 * HOUR_MS,
    "+25h": 25 * HOUR_MS,
    "+40d": 40 * DAY_MS,
}
AHEAD = [lead for lead in LEADS.values() if 0 <= lead <= 23 * HOUR_MS]
# The others are for `make test`: each forgets a session of each shape.
AT_ONCE = {"0", "+2h", "+25h"}
TOO_FAR = [lead for lead in LEADS.values() if lead > 23 * HOUR_MS]


class Hours:
    """A desk on either ledger, and hours that pass: sessions expire, and are forgotten."""

    def __init__(self, bench: RealBench | ReferenceBench) -> None:
        self.bench = bench
        self.desk = Desk(bench.ledger, refunds_any=True)
        if isinstance(bench, ReferenceBench):
            bench.ledger.forgets = True

    async def until(self, at_ms: int) -> None:
        """Let time pass, in small steps at first, since what expires is forgotten later."""
        step_ms = 2 * MINUTE_MS
        while self.desk.now_ms < at_ms:
            await self._pass(min(step_ms, at_ms - self.desk.now_ms))
            step_ms = min(step_ms * 2, DAY_MS)

    async def _pass(self, step_ms: int) -> None:
        self.desk.now_ms += step_ms
        await self.bench.set_now(self.desk.now_ms)
        if isinstance(self.bench, RealBench):
            await self._forget(self.bench, step_ms)
        for view in await self.bench.ledger.sessions("demo", 100):
            await self.bench.ledger.expire(view.key)

    async def _forget(self, bench: RealBench, step_ms: int) -> None:
        for name in [*await bench.keys("{p*}s:*"), *await bench.keys("{p*}r:*")]:
            left_ms = await bench.connection.execute("PTTL", name)
            assert isinstance(left_ms, int)
            if left_ms >= 0:
                await bench.connection.execute("PEXPIRE", name, left_ms - step_ms)

    async def spent(self) -> int:
        left, _ = await self.desk.main()
        return EUR - left

    async def parked(self, stream: str) -> int:
        ledger = self.bench.ledger
        if isinstance(ledger, ReferenceLedger):
            return len(ledger.parked.get(stream, {}))
        assert isinstance(self.bench, RealBench)
        found = [
            await self.bench.connection.execute("XLEN", name)
            for name in await self.bench.keys(f"{{p???}}{stream}")
        ]
        return sum(each for each in found if isinstance(each, int))

    async def send(self, events: list[Event]) -> list[Answer]:
        return [await self.desk.charge(event) for event in events]


@pytest.fixture(params=["reference", "real"])
async def hours(request: pytest.FixtureRequest) -> AsyncIterator[Hours]:
    if request.param == "reference":
        yield await begun(ReferenceBench())
        return
    async with real_bench(request.getfixturevalue("store_server").url) as bench:
        yield await begun(bench)


async def begun(bench: RealBench | ReferenceBench) -> Hours:
    await bench.set_now(NOW_MS)
    hours = Hours(bench)
    await hours.desk.open(EUR)
    return hours


def event(lead_ms: int, kind: str, number: int, **fields: Any) -> Event:
    """An event of now, as a client says whose clock is ahead; its time is clamped to 5 min."""
    clamped_ms = max(-5 * MINUTE_MS, min(lead_ms, 5 * MINUTE_MS))
    times = {"event_ms": NOW_MS + clamped_ms, "reported_ms": NOW_MS + lead_ms}
    return told(kind, number, **{**times, "time_flag": clamped_ms != lead_ms, **fields})


ONE_MINUTE = {"used": 60, "asks": 0}
SENT: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "one-shot debit": [("event", {"asks": 60})],
    "one-shot use": [("event", {"used": 60})],
    "start that reports use": [("start", ONE_MINUTE)],
    "start that reports use, and is refused": [("start", {"used": 960, "asks": 60})],
    "update": [("update", ONE_MINUTE)],
    "update that is refused": [("update", {"used": 960, "asks": 60})],
    "release": [("release", {"used": 60})],
    "a call": [("start", {"asks": 60}), ("update", ONE_MINUTE), ("release", {"used": 0})],
    "a call that is never released": [("start", {"asks": 60}), ("update", ONE_MINUTE)],
    "a message in a call": [
        ("start", {"asks": 60}),
        ("event", {"asks": 60, "usage_type": "sms"}),
        ("release", {"used": 0}),
    ],
    "a release behind a message": [
        ("event", {"asks": 60, "usage_type": "sms"}),
        ("release", {"used": 0}),
    ],
}
"""What a client sends. Behind 960 s nothing is left that the next minute could be paid by."""
PRICES = {"sms": 9 * CENT, "voice": 6 * CENT}


def sent_with(lead_ms: int, name: str) -> list[Event]:
    return [event(lead_ms, kind, n, **fields) for n, (kind, fields) in enumerate(SENT[name])]


def cost_of(event: Event) -> int:
    """For each minute, or 60 messages, that are used or debited at once."""
    (use,) = event.services
    units = use.used_units or (use.requested_units or 0) * (event.kind is Kind.EVENT)
    return units // 60 * PRICES[event.usage_type]


def instants(lead_ms: int) -> list[int]:
    """When a client sends again: around each instant at which something is forgotten, or is old."""
    ends = (HOUR_MS, DAY_MS, lead_ms, lead_ms + HOUR_MS, lead_ms + DAY_MS, 25 * HOUR_MS)
    around = (-3 * MINUTE_MS, -1_000, 1_000, 3 * MINUTE_MS, 7 * MINUTE_MS, 20 * MINUTE_MS)
    after = {end + offset for end in ends for offset in around}
    return sorted(NOW_MS + each for each in {2 * MINUTE_MS, 4 * MINUTE_MS, *after} if each > 0)


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize(
    "lead",
    [pytest.param(lead, marks=[] if lead in AT_ONCE else pytest.mark.slow) for lead in LEADS],
)
async def test_nothing_is_debited_twice(hours: Hours, lead: str, name: str) -> None:
    lead_ms = LEADS[lead]
    events = sent_with(lead_ms, name)
    cost = sum(map(cost_of, events))
    first = await hours.send(events)
    online = await hours.spent()
    is_kept = all(a.settled is False for a, e in zip(first, events, strict=True) if e.used_units)
    assert online == cost or (online == 0 and (is_kept or lead_ms in TOO_FAR or lead_ms < 0))
    for at_ms in instants(lead_ms):
        await hours.until(at_ms)
        for each in (events, [events[-1]], events[::-1]):
            await hours.send(each)
            assert await hours.spent() in (online, cost), at_ms - NOW_MS
    await hours.bench.check(ALICE)


@pytest.mark.parametrize("lead_ms", AHEAD)
async def test_a_client_whose_clock_is_ahead_is_served(hours: Hours, lead_ms: int) -> None:
    answers = await hours.send(sent_with(lead_ms, "a call"))
    assert [answer.code for answer in answers] == [ResultCode.OK] * 3
    assert answers[0].services[0].granted_units == 60
    (debit,) = await hours.send([event(lead_ms, "event", 0, asks=60, session_id="s2")])
    assert (debit.code, await hours.spent()) == (ResultCode.OK, 12 * CENT)


@pytest.mark.parametrize(
    ("kind", "fields", "is_parked"),
    [
        ("start", {"asks": 60}, False),
        ("start", {"used": 1, "asks": 60}, True),
        ("update", {"used": 1, "asks": 60}, True),
        ("release", {"used": 1}, True),
        ("event", {"asks": 1}, False),
        ("event", {"used": 1}, True),
        ("event", {"asks": 1, "action": Action.REFUND}, False),
        ("event", {"asks": 1, "action": Action.CHECK_BALANCE}, False),
        ("update", {"used": 1, "asks": 60, "dry_run": True}, False),
    ],
)
@pytest.mark.parametrize("is_known", [False, True])
async def test_what_is_more_than_23_hours_ahead_is_refused_by_its_field(
    hours: Hours, kind: str, fields: dict[str, Any], *, is_parked: bool, is_known: bool
) -> None:
    """Also in a session that is known; what was used is parked, once."""
    if is_known:
        opened = "release" if kind == "start" else "update"  # a second start is a conflict
        await hours.send([event(0, opened, 0, used=0)])
    ahead = event(23 * HOUR_MS + 1, kind, 1, **fields)
    (answer, _) = await hours.send([ahead, ahead])
    assert (answer.code, answer.field) == (ResultCode.INVALID_EVENT, "event_time")
    assert "at most 23 hours ahead" in answer.reason
    assert (answer.settled, "offline" in answer.reason) == (not is_parked, is_parked)
    assert await hours.parked("late") == is_parked
    assert await hours.spent() == 0


async def test_a_repeat_of_what_was_charged_is_answered_however_far_ahead(hours: Hours) -> None:
    """It says another time, as a client's clock has been put forward meanwhile."""
    (first,) = await hours.send([event(0, "update", 0, used=60, asks=0)])
    (again,) = await hours.send([event(40 * DAY_MS, "update", 0, used=60, asks=0)])
    assert (again.code, again.hit, again.transaction_id) == (
        ResultCode.OK,
        True,
        first.transaction_id,
    )


@pytest.mark.parametrize("ends", ["release", "expiry"])
async def test_a_clock_that_is_mended_in_mid_session(hours: Hours, ends: str) -> None:
    """What came before counts as long as it may come again."""
    early = event(2 * HOUR_MS, "update", 0, used=60, asks=60)
    await hours.send([early])
    if ends == "release":
        await hours.send([event(0, "release", 1, used=0)])
    for minutes in (59, 61, 70, 119, 121, 179, 181, 200, 300):
        await hours.until(NOW_MS + minutes * MINUTE_MS)
        await hours.send([early])
        assert await hours.spent() == 6 * CENT


async def test_a_message_is_known_for_a_day_whatever_its_session_does(hours: Hours) -> None:
    """It came after a refusal; then the session is opened, and released."""
    message = event(0, "event", 1, used=60, usage_type="sms")
    await hours.send([event(0, "start", 0, used=960, asks=60), message])
    await hours.desk.credit(2 * EUR)
    answers = await hours.send([event(0, "start", 2, asks=60), event(0, "release", 3)])
    assert [answer.code for answer in answers] == [ResultCode.OK] * 2
    spent = await hours.spent()
    for hour in (0.9, 1.1, 2, 12, 23.9, 24.1, 26):
        await hours.until(NOW_MS + int(hour * HOUR_MS))
        await hours.send([message])
        assert await hours.spent() == spent


async def test_a_mere_refusal_is_soon_forgotten(hours: Hours) -> None:
    """Also that of a client whose clock is ahead."""
    spending = event(0, "event", 0, used=960, session_id="s2")
    (_, refused) = await hours.send([spending, event(2 * HOUR_MS, "start", 0, asks=60)])
    assert refused.code is ResultCode.NO_CREDIT
    await hours.until(NOW_MS + 3 * MINUTE_MS)
    views = await hours.bench.ledger.sessions("demo", 9)
    assert [view.key.session_id for view in views] == ["s2"]


async def test_the_last_64_keys_are_known_beside_how_long(hours: Hours) -> None:
    """Of a client that does not number its requests, and whose clock is ahead."""

    async def sent(n: int) -> Answer:
        fields = event(2 * HOUR_MS, "update", 0, used=1, asks=0, request_key=f"k{n}")
        return await hours.desk.charge(replace(fields, request_number=None))

    assert [(await sent(n)).hit for n in range(64)] == [False] * 64
    assert (await sent(63)).hit
    assert (await sent(0)).code is ResultCode.REPEAT_EXPIRED
    assert not (await sent(64)).hit
    assert (await sent(1)).code is ResultCode.REPEAT_EXPIRED
    assert (await sent(0)).code is ResultCode.OK, "the oldest of 65 is forgotten"


@pytest.mark.parametrize("lead_ms", [0, 29_000, 2 * HOUR_MS, 2 * HOUR_MS + 29_000])
@pytest.mark.parametrize("kind", ["release", "event"])
async def test_clocks_of_workers_may_be_half_a_minute_off(
    hours: Hours, kind: str, lead_ms: int
) -> None:
    """One that is ahead charges; one that is behind gets the repeat, and its call takes a minute."""
    sent, store_ms = event(lead_ms, kind, 0, used=60), NOW_MS
    hours.desk.now_ms = NOW_MS + 30_000
    await hours.send([sent])
    kept_ms = (DAY_MS if kind == "event" else HOUR_MS) + lead_ms
    for late_s in range(-60, 301, 20):
        hours.desk.now_ms = store_ms
        store_ms = NOW_MS + kept_ms + 1_000 * late_s
        await hours.until(store_ms)
        hours.desk.now_ms = store_ms - 90_000
        await hours.send([sent])
        assert await hours.spent() == 6 * CENT, late_s

"""Metrics under their names, with closed labels, and money counted once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ocs.adapters import metrics as module
from ocs.adapters.measured import MeasuredCharger
from ocs.adapters.metrics import (
    EmergencyFigures,
    IntakeFigures,
    MemoryFigures,
    Metrics,
    RatesLoaded,
    Sources,
)
from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer, AnswerOfOne, ServiceAnswer
from ocs.usecases.journal import JournalStatus
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.shedding import StoreMemory


def event(kind: Kind = Kind.START, usage_type: str = "voice", asks: int | None = 60) -> Event:
    return Event(
        kind=kind,
        tenant="demo",
        session_id="s1",
        request_number=0,
        request_key="",
        subscriber="441632960166",
        usage_type=usage_type,
        rated_number="260955123456",
        event_ms=0,
        reported_ms=0,
        answer_ms=None,
        services=(ServiceUse("0", 0, asks),),
    )


def answer(
    code: ResultCode = ResultCode.OK, granted: int = 60, debited: int = 0, **others: object
) -> Answer:
    service = ServiceAnswer(
        rating_group="0",
        code=code,
        granted_units=granted,
        validity_s=300,
        quota_threshold_units=0,
        final_unit=False,
        settled_units=0,
        settled_amount=debited,
        total_amount=debited,
        rating=None,
    )
    fields = {"code": code, "services": (service,), "currency": "EUR"} | others
    return Answer(**fields)  # type: ignore[arg-type]


@dataclass
class Counted:
    commands: int = 0
    batches: int = 0
    refused: int = 0
    timeouts: int = 0
    reconnects: int = 0
    unconfirmed: int = 0
    batch_sizes: list[int] = field(default_factory=lambda: [0, 0, 0, 0])


def samples(metrics: Metrics) -> dict[str, float]:
    """Each sample of ours as `name{label=value}`."""
    found = {}
    for family in text_string_to_metric_families(metrics.render()[0].decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def requests(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["op"], sample.labels["result"]): sample.value
        for family in metrics.collect()
        if family.name == "ocs_requests"
        for sample in family.samples
    }


async def measured(metrics: Metrics, given: Event, said: Answer) -> None:
    async def charge(_: Event) -> Answer:
        return said

    async def charge_all(events: Sequence[Event]) -> list[Answer | Exception]:
        return [said for _ in events]

    charger = MeasuredCharger(charge, charge_all, (metrics.charged,))
    assert await charger.charge(given) is said


async def test_events_that_are_charged_together_are_told_with_their_answers() -> None:
    told: list[tuple[Sequence[Event], Sequence[Answer], float]] = []
    bug = KeyError()

    async def charge(_: Event) -> Answer:
        raise AssertionError

    async def charge_all(_: Sequence[Event]) -> list[Answer | Exception]:
        await asyncio.sleep(0.01)
        return [said[0], bug, said[1]]

    said = [answer(), answer(late_start=True)]
    events = [event(), event(Kind.UPDATE), event(Kind.RELEASE)]
    charger = MeasuredCharger(charge, charge_all, (lambda *each: told.append(each),))
    assert (await charger.charge_all(events))[1] is bug
    ((answered, answers, took_s),) = told
    assert (answered, answers) == ([events[0], events[2]], said)
    assert took_s >= 0.01


async def test_an_answer_to_come_is_told_when_it_is_there() -> None:
    told: list[tuple[Sequence[Event], float]] = []
    said = answer()

    async def charge(_: Event) -> Answer:
        raise AssertionError

    async def late() -> Answer:
        await asyncio.sleep(0.01)
        return said

    async def charge_all(_: Sequence[Event]) -> list[AnswerOfOne]:
        return [late(), answer()]

    events = [event(), event(Kind.UPDATE)]
    charger = MeasuredCharger(
        charge, charge_all, (lambda some, _, took_s: told.append((some, took_s)),)
    )
    waiting, _ = await charger.charge_all(events)
    assert [list(some) for some, _ in told] == [[events[1]]]
    assert not isinstance(waiting, Answer | Exception)
    assert await waiting is said
    assert told[1][0] == (events[0],)
    assert told[1][1] >= 0.01


async def test_a_granted_start() -> None:
    metrics = Metrics(version="0.1.0")
    await measured(metrics, event(), answer())

    found = samples(metrics)
    assert found["ocs_requests_total{op=start,result=granted,route=/realtime,service=voice}"] == 1
    assert found["ocs_granted_units_total{service=voice,unit=seconds}"] == 60
    assert found["ocs_request_duration_seconds_count{op=start,route=/realtime}"] == 1
    assert found["ocs_request_duration_seconds_bucket{le=+Inf,op=start,route=/realtime}"] == 1
    assert found["ocs_build_info{version=0.1.0}"] == 1


async def test_money_of_a_repeat_is_counted_once() -> None:
    metrics = Metrics(version="0")
    await measured(metrics, event(), answer(debited=60_000))
    await measured(metrics, event(), answer(debited=60_000, hit=True))

    found = samples(metrics)
    assert found["ocs_settled_amount_total{currency=EUR}"] == 0.06
    assert found["ocs_granted_units_total{service=voice,unit=seconds}"] == 60
    assert found["ocs_idempotency_hits_total{}"] == 1
    assert requests(metrics) == {("start", "granted"): 1, ("start", "duplicate"): 1}


@pytest.mark.parametrize(
    ("asks", "granted", "result"),
    [(60, 60, "granted"), (60, 59, "partial"), (None, 59, "granted"), (0, 0, "granted")],
)
async def test_partial_grants(asks: int | None, granted: int, result: str) -> None:
    metrics = Metrics(version="0")
    await measured(metrics, event(asks=asks), answer(granted=granted))

    assert {key: count for key, count in requests(metrics).items() if count} == {
        ("start", result): 1
    }


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (ResultCode.NO_CREDIT, "denied_credit"),
        (ResultCode.NO_RATE, "denied_rate"),
        (ResultCode.UNKNOWN_SUBSCRIBER, "denied_subscriber"),
        (ResultCode.LIMIT_REACHED, "limited"),
        (ResultCode.CONFLICT, "conflict"),
        (ResultCode.OUTCOME_UNKNOWN, "unknown"),
        (ResultCode.TOO_BUSY, "shed"),
        (ResultCode.RATING_FAILED, "error"),
    ],
)
async def test_refusals_of_charging(code: ResultCode, result: str) -> None:
    metrics = Metrics(version="0")
    await measured(metrics, event(Kind.UPDATE), Answer(code=code))

    assert requests(metrics) == {("update", result): 1}


@pytest.mark.parametrize("code", list(ResultCode))
def test_every_outcome_has_a_result(code: ResultCode) -> None:
    metrics = Metrics(version="0")
    metrics.refused("", Answer(code=code))

    assert list(requests(metrics).values()) == [1]


async def test_money_that_goes_back_is_counted_apart() -> None:
    """A counter that falls would be taken for a restart."""
    metrics = Metrics(version="0")
    await measured(metrics, event(), answer(debited=60_000))
    await measured(metrics, event(), answer(debited=-20_000))

    found = samples(metrics)
    assert found["ocs_settled_amount_total{currency=EUR}"] == 0.06
    assert found["ocs_paid_back_amount_total{currency=EUR}"] == 0.02


async def test_late_events_and_overshoot() -> None:
    metrics = Metrics(version="0")
    late = answer(late_start=True, settled=False, overrun_amount=10_000, currency="JPY")
    await measured(metrics, event(Kind.RELEASE, "data"), late)

    found = samples(metrics)
    assert found["ocs_late_events_total{kind=start}"] == 1
    assert found["ocs_late_events_total{kind=unsettled}"] == 1
    assert found["ocs_overshoot_amount_total{currency=JPY}"] == 1


def test_durations_fall_into_their_buckets() -> None:
    metrics = Metrics(version="0")
    for took_s in (0.0004, 0.0005, 0.0006, 3.0):
        metrics.charged([event()], [answer()], took_s)

    found = samples(metrics)
    buckets = {
        bound: found[f"ocs_request_duration_seconds_bucket{{le={bound},op=start,route=/realtime}}"]
        for bound in ("0.0005", "0.001", "2.5", "+Inf")
    }
    assert buckets == {"0.0005": 2, "0.001": 3, "2.5": 3, "+Inf": 4}


def test_what_others_count_is_read_at_the_scrape() -> None:
    metrics = Metrics(version="0")
    store = Counted(commands=9, batches=4, refused=1, reconnects=2, timeouts=3, unconfirmed=5)
    store.batch_sizes = [0, 2, 1, 1]
    loaded = RatesLoaded("abc", 1_795_166_545_000, {"a-z": 4_711})
    metrics.read_from(
        Sources(
            in_flight=lambda: 7,
            emergency=lambda: EmergencyFigures(answered=9, waiting=3, drained=5, dropped=1),
            intake=lambda: IntakeFigures(
                received={"ndjson": 8}, refused={"unreadable": 2}, waiting_bytes=77
            ),
            store=store,
            store_waiting=lambda: 6,
            store_memory=lambda: MemoryFigures(
                memory=StoreMemory(750, 1_000),
                shedding={Kind.START: True, Kind.EVENT: False},
                shed={Kind.START: 4, Kind.UPDATE: 0, Kind.EVENT: 2},
            ),
            rates=lambda: loaded,
        )
    )
    metrics.expired(2)
    metrics.expired(1)

    found = samples(metrics)
    assert {name: found[name] for name in EXPECTED} == EXPECTED


EXPECTED = {
    "ocs_requests_in_flight{}": 7,
    "ocs_emergency_events_total{outcome=answered}": 9,
    "ocs_emergency_events_total{outcome=drained}": 5,
    "ocs_emergency_events_total{outcome=dropped}": 1,
    "ocs_emergency_waiting{}": 3,
    "ocs_cdr_received_total{format=ndjson}": 8,
    "ocs_cdr_refused_total{reason=unreadable}": 2,
    "ocs_cdr_intake_bytes{}": 77,
    "ocs_reservations_expired_total{}": 3,
    "ocs_store_commands_total{outcome=sent}": 9,
    "ocs_store_commands_total{outcome=refused}": 1,
    "ocs_store_waiting{}": 6,
    "ocs_store_memory_used_bytes{}": 750,
    "ocs_store_memory_limit_bytes{}": 1_000,
    "ocs_store_memory_shedding{op=start}": 1,
    "ocs_store_memory_shedding{op=event}": 0,
    "ocs_store_memory_shed_events_total{op=start}": 4,
    "ocs_store_memory_shed_events_total{op=event}": 2,
    "ocs_store_reconnects_total{}": 2,
    "ocs_store_timeouts_total{}": 3,
    "ocs_store_unconfirmed_total{}": 5,
    "ocs_store_batch_size_bucket{le=1.0}": 2,
    "ocs_store_batch_size_bucket{le=3.0}": 3,
    "ocs_store_batch_size_bucket{le=+Inf}": 4,
    "ocs_store_batch_size_sum{}": 9,
    "ocs_rates_generation_info{id=abc}": 1,
    "ocs_rates_loaded_timestamp_seconds{}": 1_795_166_545,
    "ocs_rates_entries{deck=a-z}": 4_711,
}


def idle(memory: StoreMemory | None) -> Metrics:
    metrics = Metrics(version="0")
    metrics.read_from(
        Sources(
            in_flight=lambda: 0,
            emergency=lambda: EmergencyFigures(answered=0, waiting=0, drained=0, dropped=0),
            intake=lambda: None,
            store=Counted(),
            store_waiting=lambda: 0,
            store_memory=lambda: MemoryFigures(memory=memory, shedding={}, shed={}),
            rates=lambda: None,
        )
    )
    return metrics


def test_without_tariffs_and_without_intake_there_is_nothing_to_say_of_them() -> None:
    found = samples(idle(None))

    assert not any("rates" in name or "cdr" in name for name in found)


@pytest.mark.parametrize(
    ("memory", "shown"),
    [
        (None, set()),
        (StoreMemory(5, 0), {"ocs_store_memory_used_bytes{}"}),  # a share of 0 would be alarming
    ],
)
def test_memory_is_shown_as_far_as_it_is_known(memory: StoreMemory | None, shown: set[str]) -> None:
    found = samples(idle(memory))

    assert {name for name in found if "memory" in name and name.startswith("ocs")} == shown


def test_no_label_holds_a_number() -> None:
    metrics = Metrics(version="0")
    metrics.charged([event()], [answer()], 0.1)

    assert b"441632960166" not in metrics.render()[0]
    assert b"260955123456" not in metrics.render()[0]


async def test_open_sessions_are_told_while_the_store_tells_them() -> None:
    metrics = Metrics(version="1")
    assert "ocs_open_sessions" not in metrics.render()[0].decode()

    async def counted() -> int:
        return 7

    async def away() -> int:
        raise LedgerUnavailable("away")

    async def drained() -> JournalStatus | None:
        return JournalStatus("draining", "", 1_500, 2, 3, 4, 5_000, 6, 7, 0, 9)

    await metrics.look(counted, drained, parked)
    shown = metrics.render()[0].decode()
    assert "ocs_open_sessions 7.0" in shown
    assert "ocs_journal_draining 1.0" in shown
    assert "ocs_journal_last_pass_timestamp_seconds 1.5" in shown
    assert "ocs_journal_lag_seconds 5.0" in shown
    assert "ocs_journal_trimmed_total 3.0" in shown
    assert 'ocs_parked_events{stream="late"} 4.0' in shown
    await metrics.look(away, drained, parked)
    assert "ocs_open_sessions" not in metrics.render()[0].decode()
    assert "ocs_parked_events" not in metrics.render()[0].decode()
    await metrics.look(counted, no_drainer, parked)
    assert "ocs_journal" not in metrics.render()[0].decode()


async def parked() -> Mapping[str, int]:
    return {"unrated": 3, "late": 4, "emergency": 0}


async def no_drainer() -> JournalStatus | None:
    return None


async def test_the_lag_of_the_loop_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 0.25, 1.0])
    monkeypatch.setattr(module, "LAG_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "monotonic_s", lambda: next(moments))
    metrics = Metrics(version="0")

    async def two_rounds() -> None:
        with pytest.raises(RuntimeError):  # the clock has no more to say
            await metrics.watch_loop()

    await asyncio.wait_for(two_rounds(), 5)

    assert samples(metrics)["ocs_event_loop_lag_seconds{}"] == 0.25


async def test_a_scrape_does_not_hang_with_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    never: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def hangs() -> int:
        return await never

    monkeypatch.setattr(module, "LOOK_S", 0.01)
    metrics = Metrics(version="1")
    metrics.open_sessions = 7
    await asyncio.wait_for(metrics.look(hangs, no_drainer, parked), 10)
    assert metrics.open_sessions is None

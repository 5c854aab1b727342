"""Prometheus metrics, measured by wrapping the charging use case.

The hot path keeps plain integers: one dictionary look-up by (kind, usage type, outcome, repeat), a
few additions, a bisection for the histogram. They become Prometheus families when somebody scrapes,
in a collector. So an event costs a third of what cached client_python children cost, without locks,
which one event loop does not need.

No label holds an id or a number; every label has a closed set of values. What others count (the
store's connection, the sweeper, the tariffs) is read from them at the scrape through `Sources`.

`ocs_open_sessions` and `ocs_reserved_amount` are not here: they would need a scan of the store; the
ledger's own counters will carry them.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from ocs.adapters.clock import monotonic_s
from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.money import currency
from ocs.domain.results import ResultCode
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.draining import Standing
from ocs.usecases.journal import JournalStatus
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from ocs.usecases.shedding import StoreMemory

ROUTE: Final = "/realtime"
BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_INTERVAL_S: Final = 0.5
LOOK_S: Final = 0.5
"""What a scrape waits for the store: while it hangs, all the other figures matter most."""
_UNSEEN: Final = ""

_UNITS: Final = {"voice": "seconds", "data": "bytes"}
_RESULTS: Final = {
    ResultCode.UNAUTHORIZED: "unauthorized",
    ResultCode.FORBIDDEN: "unauthorized",
    ResultCode.TOO_LARGE: "invalid",
    ResultCode.INVALID_EVENT: "invalid",
    ResultCode.TOO_BUSY: "shed",
    ResultCode.OUTCOME_UNKNOWN: "unknown",
    ResultCode.UNKNOWN_SUBSCRIBER: "denied_subscriber",
    ResultCode.CONFLICT: "conflict",
    ResultCode.REPEAT_EXPIRED: "conflict",
    ResultCode.UNKNOWN_SESSION: "invalid",
    ResultCode.SESSION_CLOSED: "invalid",
    ResultCode.RATE_BLOCKED: "denied_rate",
    ResultCode.NO_RATE: "denied_rate",
    ResultCode.RATING_FAILED: "error",
    ResultCode.SUBSCRIBER_BLOCKED: "denied_subscriber",
    ResultCode.LIMIT_REACHED: "limited",
    ResultCode.NO_CREDIT: "denied_credit",
    ResultCode.NOT_CHARGED: "granted",
    ResultCode.OK: "granted",
}


class StoreCounters(Protocol):
    """What a store connection counts; entry n of `batch_sizes`: batches of 2^(n-1) to 2^n - 1."""

    commands: int
    batches: int
    refused: int
    timeouts: int
    reconnects: int
    unconfirmed: int
    batch_sizes: list[int]


class RatesLoaded(Struct, frozen=True):
    """The tariff generation in use; `entries` by tariff."""

    generation: str
    loaded_at_ms: int
    entries: dict[str, int]


class EmergencyFigures(Struct, frozen=True, kw_only=True):
    """Events of calls for help; what is `waiting` was answered and is not in the store yet."""

    answered: int
    waiting: int
    drained: int
    dropped: int


class IntakeFigures(Struct, frozen=True, kw_only=True):
    """CDRs that were posted: entries by format, bodies by why they were not taken."""

    received: Mapping[str, int]
    refused: Mapping[str, int]
    waiting_bytes: int


class MemoryFigures(Struct, frozen=True, kw_only=True):
    """The store's memory, if it is known; which kinds of events are shed for it, how many were."""

    memory: StoreMemory | None
    shedding: Mapping[Kind, bool]
    shed: Mapping[Kind, int]


class Sources(Struct, frozen=True, kw_only=True):
    """Where the collector reads, at each scrape, what it does not count itself."""

    in_flight: Callable[[], int]
    emergency: Callable[[], EmergencyFigures]
    intake: Callable[[], IntakeFigures | None]
    store: StoreCounters
    store_waiting: Callable[[], int]
    store_memory: Callable[[], MemoryFigures]
    rates: Callable[[], RatesLoaded | None]


class _Series:
    """What is counted of one (kind, usage type, code, repeat)."""

    __slots__ = (
        "events",
        "granted_units",
        "late_starts",
        "overrun",
        "paid_back",
        "parked",
        "partial",
        "settled",
    )

    def __init__(self) -> None:
        self.events = 0
        self.partial = 0
        self.granted_units = 0
        self.late_starts = 0
        self.parked = 0
        self.settled: dict[str, int] = {}
        self.paid_back: dict[str, int] = {}
        self.overrun: dict[str, int] = {}

    def count(self, event: Event, answer: Answer) -> None:
        """Count what an event moved."""
        uses, services = event.services, answer.services
        if len(services) == 1 == len(uses):  # as nearly always, and `zip` takes as long as the rest
            if self._count_service(uses[0], services[0], answer.currency):
                self.partial += 1
        else:
            partial = False
            for asked, service in zip(uses, services, strict=False):
                partial |= self._count_service(asked, service, answer.currency)
            self.partial += partial
        if answer.overrun_amount:
            _add(self.overrun, answer.currency, answer.overrun_amount)
        if answer.late_start:
            self.late_starts += 1
        if not answer.settled:
            self.parked += 1

    def _count_service(self, asked: ServiceUse, service: ServiceAnswer, code: str) -> bool:
        """Count one service; tell whether less was granted than asked for. `code`: a currency."""
        amount, granted_units = service.settled_amount, service.granted_units
        if amount > 0:
            _add(self.settled, code, amount)
        elif amount < 0:
            _add(self.paid_back, code, -amount)
        if not granted_units:
            return False
        self.granted_units += granted_units
        return granted_units < (asked.requested_units or 0)


class _Durations:
    """A histogram of one kind of event."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0


_Key = tuple[str, str, ResultCode, bool]
_Label = TypeVar("_Label", str, tuple[str, ...])
_Number = TypeVar("_Number", int, float)


class Metrics(Collector):
    """All metrics of one worker, and the registry that they are rendered from."""

    def __init__(self, *, version: str) -> None:
        self.sessions_expired = 0
        self.open_sessions: int | None = None
        self.journal: JournalStatus | None = None
        self.parked: Mapping[str, int] | None = None
        self._version = version
        self._sources: Sources | None = None
        self._series: dict[_Key, _Series] = {}
        self._durations = {kind: _Durations() for kind in Kind}
        self._lag_s = 0.0
        self.registry = CollectorRegistry(auto_describe=False)
        for collector in (self, PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)

    def read_from(self, sources: Sources) -> None:
        """Name the sources, once they exist."""
        self._sources = sources

    def expired(self, sessions: int) -> None:
        """Count sessions whose holds the sweeper gave back."""
        self.sessions_expired += sessions

    def refused(self, kind: str, answer: Answer) -> None:
        """Count an event that was answered without being charged."""
        self._of((kind, _UNSEEN, answer.code, False)).events += 1

    def charged(self, events: Sequence[Event], answers: Sequence[Answer], took_s: float) -> None:
        """Count events that were charged, or refused by the charging; each took `took_s`."""
        bucket = bisect_left(BUCKETS_S, took_s)
        for event, answer in zip(events, answers, strict=True):
            kind, hit = event.kind, answer.hit
            key = kind, event.usage_type, answer.code, hit
            series = self._series.get(key) or self._of(key)
            series.events += 1
            durations = self._durations[kind]
            durations.counts[bucket] += 1
            durations.total_s += took_s
            if not hit:  # else its money was counted with the first answer
                series.count(event, answer)

    def render(self) -> tuple[bytes, str]:
        """Return what a scrape is answered with, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    async def look(
        self,
        count_sessions: Callable[[], Awaitable[int]],
        read_journal: Callable[[], Awaitable[JournalStatus | None]],
        count_parked: Callable[[], Awaitable[Mapping[str, int]]],
    ) -> None:
        """Ask what only the store knows; where it does not answer, the scrape goes without."""
        self.open_sessions = self.journal = self.parked = None
        with contextlib.suppress(LedgerUnavailable, OutcomeUnknown, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                self.open_sessions = await count_sessions()
                self.journal = await read_journal()
                self.parked = await count_parked()

    async def watch_loop(self) -> None:
        """Measure, for ever, how late the event loop comes back to a task that is due."""
        while True:
            began_s = monotonic_s()
            await asyncio.sleep(LAG_INTERVAL_S)
            self._lag_s = max(0.0, monotonic_s() - began_s - LAG_INTERVAL_S)

    def collect(self) -> Iterable[Metric]:
        """Yield every family; called by the registry at a scrape."""
        yield InfoMetricFamily("ocs_build", "What is running.", {"version": self._version})
        yield from self._events()
        yield from self._money()
        yield self._histogram()
        yield _gauge("ocs_event_loop_lag_seconds", "How late the event loop was.", self._lag_s)
        yield _counter(
            "ocs_reservations_expired", "Sessions that ran out.", (), [((), self.sessions_expired)]
        )
        if self.open_sessions is not None:
            yield _gauge("ocs_open_sessions", "In the whole store.", self.open_sessions)
        if self.journal is not None:
            yield from _journal(self.journal)
        if self.parked is not None:
            yield _parked(self.parked)
        if self._sources is not None:
            yield _gauge("ocs_requests_in_flight", "Events in hand.", self._sources.in_flight())
            yield from _emergency(self._sources.emergency())
            yield from _intake(self._sources.intake())
            yield from _store(self._sources)
            yield from _memory(self._sources.store_memory())
            yield from _rates(self._sources.rates())

    def _of(self, key: _Key) -> _Series:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        return series

    def _events(self) -> Iterator[Metric]:
        requests: dict[tuple[str, ...], float] = {}
        hits = 0
        for (kind, usage_type, code, hit), series in self._series.items():
            labels = (ROUTE, kind, usage_type)
            result = "duplicate" if hit else _RESULTS[code]
            _add(requests, (*labels, result), series.events - series.partial)
            if series.partial:
                _add(requests, (*labels, "partial"), series.partial)
            hits += series.events * hit
        yield _counter(
            "ocs_requests",
            "Events answered.",
            ("route", "op", "service", "result"),
            requests.items(),
        )
        yield _counter("ocs_idempotency_hits", "Repeats answered again.", (), [((), hits)])

    def _money(self) -> Iterator[Metric]:
        granted: dict[tuple[str, ...], float] = {}
        late: dict[tuple[str, ...], float] = {("start",): 0, ("unsettled",): 0}
        settled: dict[tuple[str, ...], float] = {}
        paid_back: dict[tuple[str, ...], float] = {}
        overrun: dict[tuple[str, ...], float] = {}
        for (_, usage_type, _, _), series in self._series.items():
            if series.granted_units:
                unit = _UNITS.get(usage_type, "events")
                _add(granted, (usage_type, unit), series.granted_units)
            late["start",] += series.late_starts
            late["unsettled",] += series.parked
            for totals, amounts in (
                (settled, series.settled),
                (paid_back, series.paid_back),
                (overrun, series.overrun),
            ):
                for code, amount in amounts.items():
                    _add(totals, (code,), amount / 10 ** currency(code).scale)
        yield _counter("ocs_granted_units", "Units granted.", ("service", "unit"), granted.items())
        yield _counter("ocs_settled_amount", "Money debited.", ("currency",), settled.items())
        yield _counter(
            "ocs_paid_back_amount",
            "Money that went back: refunds, and costs that fell.",
            ("currency",),
            paid_back.items(),
        )
        yield _counter(
            "ocs_overshoot_amount", "Use beyond the balance.", ("currency",), overrun.items()
        )
        yield _counter(
            "ocs_late_events",
            "Updates that opened their session (start), and use left to be rated (unsettled).",
            ("kind",),
            late.items(),
        )

    def _histogram(self) -> Metric:
        family = HistogramMetricFamily(
            "ocs_request_duration_seconds",
            "From a decoded event to its answer.",
            labels=("route", "op"),
        )
        for kind, durations in self._durations.items():
            family.add_metric(
                (ROUTE, kind), _cumulated(BUCKETS_S, durations.counts), sum_value=durations.total_s
            )
        return family


def _emergency(figures: EmergencyFigures) -> Iterator[Metric]:
    yield _counter(
        "ocs_emergency_events",
        "Events of emergency calls: answered, put into the store since, or not kept.",
        ("outcome",),
        [
            (("answered",), figures.answered),
            (("drained",), figures.drained),
            (("dropped",), figures.dropped),
        ],
    )
    yield _gauge("ocs_emergency_waiting", "Those not in the store yet.", figures.waiting)


def _intake(figures: IntakeFigures | None) -> Iterator[Metric]:
    if figures is None:
        return
    received = [((form,), entries) for form, entries in figures.received.items()]
    refused = [((reason,), bodies) for reason, bodies in figures.refused.items()]
    yield _counter("ocs_cdr_received", "CDRs that were posted and kept.", ("format",), received)
    yield _counter(
        "ocs_cdr_refused", "Bodies that were posted and not taken.", ("reason",), refused
    )
    yield _gauge("ocs_cdr_intake_bytes", "Posted, not rated yet.", figures.waiting_bytes)


def _parked(waiting: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "ocs_parked_events", "Events that could not be charged, by stream.", labels=("stream",)
    )
    for stream, count in waiting.items():
        family.add_metric((stream,), count)
    return family


def _journal(status: JournalStatus) -> Iterator[Metric]:
    gauges = {
        "draining": ("Whether the drainer is at work.", status.standing == Standing.DRAINING),
        "keep_seconds": ("How long the store keeps entries at present.", status.keep_ms / 1_000),
        "last_pass_timestamp_seconds": ("When it was last well.", status.at_ms / 1_000),
        "lag_entries": ("Entries in the store that are not on disk.", status.lag_entries),
        "lag_seconds": ("How long an entry waited at most.", status.lag_ms / 1_000),
        "reels": ("Files.", status.reels),
        "bytes": ("Of all files.", status.reel_bytes),
        "stopped_partitions": ("Not drained until somebody looks.", status.stopped),
    }
    for name, (about, value) in gauges.items():
        yield _gauge(f"ocs_journal_{name}", about, value)
    counters = {
        "drained": ("Entries written.", status.drained),
        "trimmed": ("Entries removed from the store.", status.trimmed),
        "faults": ("Troubles of the drainer.", status.faults),
    }
    for name, (about, value) in counters.items():
        yield _counter(f"ocs_journal_{name}", about, (), [((), value)])


def _store(sources: Sources) -> Iterator[Metric]:
    store = sources.store
    yield _counter(
        "ocs_store_commands",
        "Commands given to the store's connection.",
        ("outcome",),
        [(("sent",), store.commands), (("refused",), store.refused)],
    )
    yield _gauge("ocs_store_waiting", "Commands without a reply.", sources.store_waiting())
    yield _counter("ocs_store_reconnects", "Links made anew.", (), [((), store.reconnects)])
    yield _counter("ocs_store_timeouts", "Links given up as hung.", (), [((), store.timeouts)])
    yield _counter(
        "ocs_store_unconfirmed", "Batches short of replicas.", (), [((), store.unconfirmed)]
    )
    sizes = store.batch_sizes
    bounds = [float(2**power - 1) for power in range(len(sizes) - 1)]
    family = HistogramMetricFamily("ocs_store_batch_size", "Commands of one write.")
    family.add_metric((), _cumulated(bounds, sizes), sum_value=store.commands)
    yield family


def _memory(figures: MemoryFigures) -> Iterator[Metric]:
    memory = figures.memory
    if memory is not None:
        about = "What of the store's memory counts towards its limit."
        yield _gauge("ocs_store_memory_used_bytes", about, memory.used_bytes)
    if memory is not None and memory.limit_bytes:
        about = "From which on it refuses what writes."
        yield _gauge("ocs_store_memory_limit_bytes", about, memory.limit_bytes)
    shedding = GaugeMetricFamily(
        "ocs_store_memory_shedding", "Whether events are shed for lack of it.", labels=("op",)
    )
    for kind, is_shed in figures.shedding.items():
        shedding.add_metric((kind,), is_shed)
    yield shedding
    shed = [((kind,), figures.shed[kind]) for kind in figures.shedding]
    yield _counter("ocs_store_memory_shed_events", "Events shed for lack of it.", ("op",), shed)


def _rates(loaded: RatesLoaded | None) -> Iterator[Metric]:
    if loaded is None:
        return
    yield InfoMetricFamily("ocs_rates_generation", "Tariffs in use.", {"id": loaded.generation})
    yield _gauge(
        "ocs_rates_loaded_timestamp_seconds",
        "When these tariffs were taken up.",
        loaded.loaded_at_ms / 1_000,
    )
    entries = GaugeMetricFamily("ocs_rates_entries", "Prices by tariff.", labels=("deck",))
    for tariff, count in loaded.entries.items():
        entries.add_metric((tariff,), count)
    yield entries


def _add(totals: dict[_Label, _Number], key: _Label, amount: _Number) -> None:
    totals[key] = totals[key] + amount if key in totals else amount


def _cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    buckets, total = [], 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        total += count
        buckets.append((_bound_text(bound), float(total)))
    return buckets


@cache
def _bound_text(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value)


def _counter(
    name: str,
    documentation: str,
    labels: Sequence[str],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family

"""What a replay saw, event by event, and the report that it adds up to.

An event counts once, however often it had to be sent until it was answered, and so does its money:
copies and retries get the first answer again, which the service marks as a hit.
"""

from array import array
from collections import Counter
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

GRANTED_CODES: Final = frozenset({"OK", "NOT_CHARGED"})


class Exchange(Struct, frozen=True, gc=False):
    """One answer as it came; `hit` is the header that marks a repeat."""

    status: int
    body: bytes
    hit: bool = False


class Latency(Struct, frozen=True, kw_only=True):
    """Milliseconds from the scheduled sending of an event to its answer."""

    p50_ms: float = 0.0
    p90_ms: float = 0.0
    p99_ms: float = 0.0
    p99_9_ms: float = 0.0
    max_ms: float = 0.0


class ReplayReport(Struct, frozen=True, kw_only=True):
    """`settled` is money by currency, as decimals. `unanswered` events were given up."""

    events: int
    answered: int
    unanswered: int
    duration_s: float
    events_per_s: float
    latency: Latency
    return_codes: dict[str, int]
    http_statuses: dict[str, int]
    grants: int
    refusals: int
    granted_units: int
    used_units: int
    settled: dict[str, str]
    idempotency_hits: int
    retries: int
    copies_that_differ: int

    @property
    def clean(self) -> bool:
        """Every event was answered (503 is no answer), and every copy like its original."""
        refused = self.http_statuses.get(str(int(HTTPStatus.SERVICE_UNAVAILABLE)), 0)
        return not self.unanswered and not self.copies_that_differ and not refused


class _Cost(Struct):
    settled: str = "0"
    currency: str = ""


class _Answer(Struct):
    return_name: str = ""
    granted_units: int = 0
    cost: _Cost | None = None


_decode: Final = msgspec.json.Decoder(_Answer).decode


class Tally:
    """Collects; `report` reads it out, at the end or on the way."""

    def __init__(self) -> None:
        self.done = 0
        self._unanswered = 0
        self._latencies_ms = array("d")
        self._codes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._grants = 0
        self._granted_units = 0
        self._used_units = 0
        self._settled: dict[str, Decimal] = {}
        self._hits = 0
        self._retries = 0
        self._differ = 0

    def retried(self) -> None:
        self._retries += 1

    def unanswered(self) -> None:
        self.done += 1
        self._unanswered += 1

    def answered(self, answers: list[Exchange], used_units: int, latency_ms: float) -> None:
        """Count one event; `answers` are those of all its copies."""
        self.done += 1
        self._latencies_ms.append(latency_ms)
        self._hits += sum(answer.hit for answer in answers)
        first = answers[0]
        self._differ += any(
            (copy.status, copy.body) != (first.status, first.body) for copy in answers[1:]
        )
        self._statuses[str(first.status)] += 1
        self._read(first, used_units)

    def _read(self, exchange: Exchange, used_units: int) -> None:
        try:
            answer = _decode(exchange.body)
            cost = answer.cost or _Cost()
            amount = Decimal(cost.settled)
        except (msgspec.DecodeError, InvalidOperation):
            # Something between us and the service has answered, or it is another service.
            self._codes["(not an answer)"] += 1
            return
        self._codes[answer.return_name or "(no return_name)"] += 1
        self._grants += answer.granted_units > 0
        self._granted_units += answer.granted_units
        self._used_units += used_units
        if cost.currency:
            self._settled[cost.currency] = self._settled.get(cost.currency, Decimal(0)) + amount

    def report(self, duration_s: float) -> ReplayReport:
        answered = len(self._latencies_ms)
        codes = dict(self._codes.most_common())
        return ReplayReport(
            events=self.done,
            answered=answered,
            unanswered=self._unanswered,
            duration_s=round(duration_s, 3),
            events_per_s=round(answered / duration_s, 1) if duration_s > 0 else 0.0,
            latency=_latency(self._latencies_ms),
            return_codes=codes,
            http_statuses=dict(self._statuses.most_common()),
            grants=self._grants,
            refusals=sum(count for code, count in codes.items() if code not in GRANTED_CODES),
            granted_units=self._granted_units,
            used_units=self._used_units,
            settled={code: f"{amount:f}" for code, amount in sorted(self._settled.items())},
            idempotency_hits=self._hits,
            retries=self._retries,
            copies_that_differ=self._differ,
        )


def _latency(latencies_ms: "array[float]") -> Latency:
    """Nearest-rank percentiles: each is a latency that an event really had."""
    if not latencies_ms:
        return Latency()
    ordered = sorted(latencies_ms)

    def rank(per_mille: int) -> float:
        return round(ordered[-(-len(ordered) * per_mille // 1000) - 1], 3)

    return Latency(
        p50_ms=rank(500),
        p90_ms=rank(900),
        p99_ms=rank(990),
        p99_9_ms=rank(999),
        max_ms=round(ordered[-1], 3),
    )

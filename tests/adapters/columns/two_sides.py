"""Two sides to reconcile: records of a journal and rated CDRs, as tables on disk, and a dumb judge.

The judge is what `usecases/reconciliation` says, in plain loops over plain values: nothing here
knows of columns, pieces or joins.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import polars as pl
from msgspec import Struct

from ocs.adapters.columns.journal_tables import CDRS
from ocs.adapters.columns.reconciling import Terms, reconcile
from ocs.adapters.columns.sides import RATED
from ocs.domain.zones import zone_named
from ocs.usecases.reconciliation import Period, Reconciled, Tolerance

NOON_MS: Final = 1_790_164_800_000  # 2026-09-23 12:00 in UTC
HOUR_MS: Final = 3_600_000
LONDON: Final = zone_named("Europe/London")
MINUTE_PRICE: Final = 60_000
FEE: Final = 5_000


def price(units: int, *, answered: bool = True) -> int:
    """What a call costs: a fee, and a price for each minute that is begun."""
    return FEE + MINUTE_PRICE * -(-units // 60) if units or answered else 0


def reprice(cdrs: pl.DataFrame) -> pl.Series:
    """As `price`; a plan that is not known has none."""
    rows = cdrs.select("plan", "units", "answered").iter_rows()
    amounts = [
        price(units, answered=answered) if plan == "standard" else None
        for plan, units, answered in rows
    ]
    return pl.Series("amount", amounts, pl.Int64)


class Charge(Struct, frozen=True, kw_only=True):
    """A record of the journal."""

    session: str = "s"
    account: str = "acme"
    tenant: str = "demo"
    usage_type: str = "voice"
    direction: str = "orig"
    begun_ms: int = NOON_MS
    units: int = 60
    amount: int = price(60)
    currency: str | None = "EUR"
    of_buckets: int = 0
    is_open: bool = False

    @property
    def ended_ms(self) -> int:
        return self.begun_ms + 1_000 * self.units if self.usage_type == "voice" else self.begun_ms

    @property
    def is_used(self) -> bool:
        return self.units != 0 or self.amount != 0

    def row(self, number: int) -> dict[str, Any]:
        moment = datetime.fromtimestamp(self.ended_ms / 1000, UTC)
        started = datetime.fromtimestamp(self.begun_ms / 1000, UTC)
        buckets = [{"bucket": "main", "debited": self.amount}]
        if self.of_buckets:
            buckets.append({"bucket": "minutes", "debited": self.of_buckets})
        return dict.fromkeys(CDRS) | {
            "transaction_id": f"017-{NOON_MS + number}-0",
            "tenant": self.tenant,
            "account": self.account,
            "session_id": self.session,
            "kind": "release",
            "usage_type": self.usage_type,
            "direction": self.direction,
            "started_ms": started,
            "released_ms": moment,
            "units": self.units,
            "amount": self.amount,
            "currency": self.currency,
            "buckets": buckets,
            "rated_number": "4930",
        }


class Cdr(Struct, frozen=True, kw_only=True):
    """A rated CDR."""

    session: str = "s"
    account: str | None = "acme"
    tenant: str = "demo"
    usage_type: str = "voice"
    direction: str = "orig"
    begun_ms: int = NOON_MS
    units: int = 60
    amount: int = price(60)
    currency: str | None = "EUR"
    cdr_id: str = ""
    settled: str = "reconciled"
    reason: str | None = None
    plan: str = "standard"
    answered: bool = True

    @property
    def ended_ms(self) -> int:
        return self.begun_ms + 1_000 * self.units if self.usage_type == "voice" else self.begun_ms

    @property
    def day(self) -> date:
        return day_of(self.begun_ms, self.tenant)

    @property
    def is_by_cdr(self) -> bool:
        return self.settled in ("debited", "duplicate", "rejected") or (
            self.settled == "recorded" and self.reason is not None
        )

    def row(self, number: int) -> dict[str, Any]:
        return dict.fromkeys(RATED) | {
            "tenant": self.tenant,
            "usage_type": self.usage_type,
            "session_id": self.session,
            "account": self.account,
            "direction": self.direction,
            "cdr_id": self.cdr_id or f"cdr-{self.session}",
            "day": self.day,
            "used_ms": self.begun_ms,
            "units": self.units,
            "amount": self.amount,
            "currency": self.currency,
            "code": "OK",
            "answered": self.answered,
            "settled": self.settled,
            "settled_amount": self.amount if self.settled == "debited" else 0,
            "settled_reason": self.reason,
            "plan": self.plan,
            "called_number": "4930",
            "file": "a.csv",
            "line": number + 2,
        }


def day_of(ms: int, tenant: str) -> date:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return (moment.astimezone(ZoneInfo(LONDON.name)) if tenant == "demo" else moment).date()


class Folder:
    """Where the tables of both sides lie, as `ocs` writes them."""

    def __init__(self, folder: Path) -> None:
        self.tables, self.rated = folder / "tables", folder / "rated"

    def write(self, charges: Sequence[Charge], cdrs: Sequence[Cdr]) -> "Folder":
        for name in ("chunks", "rejects"):
            (self.rated / name).mkdir(parents=True)
        for name, is_open in (("cdrs", False), ("open", True)):
            rows = [one.row(n) for n, one in enumerate(charges, 1) if one.is_open is is_open]
            if rows:
                frame = pl.DataFrame(rows, schema=CDRS, orient="row")
                self._put(self.tables / name / "partition=017" / "00000000.parquet", frame)
        by_day = defaultdict(list)
        for number, cdr in enumerate(cdrs):
            by_day[cdr.tenant, cdr.day].append(cdr.row(number))
        for (tenant, day), rows in by_day.items():
            path = self.rated / f"tenant={tenant}" / f"day={day}" / "c.parquet"
            self._put(path, pl.DataFrame(rows, schema=RATED, orient="row"))
        return self

    @staticmethod
    def _put(path: Path, frame: pl.DataFrame) -> None:
        path.parent.mkdir(parents=True)
        frame.write_parquet(path)

    def reconcile(self, out: Path | None = None, **given: Any) -> Reconciled:
        options: dict[str, Any] = {
            "period": Period(),
            "tolerance": Tolerance(),
            "zones": {"demo": LONDON},
            "most": 1_000,
        }
        terms = Terms(**(options | given))
        return reconcile(self.tables, self.rated, terms, reprice, out)


# --- The dumb judge -------------------------------------------------------------------------------

Record = Charge | Cdr
Side = list[Any]
Told = tuple[str, date, str, str]
"""Tenant, day, session, verdict."""


def judged(charges: Iterable[Charge], cdrs: Iterable[Cdr]) -> tuple[Counter[Told], int]:
    """Judge all calls; and count the CDRs that are there twice."""
    once: dict[tuple[object, ...], Cdr] = {}
    twice = 0
    for cdr in sorted(cdrs, key=lambda each: each.settled == "duplicate"):
        name = cdr.tenant, cdr.usage_type, cdr.session, cdr.account or "", cdr.direction
        key = (*name, cdr.cdr_id, cdr.begun_ms, cdr.units)
        twice += key in once
        once.setdefault(key, cdr)
    told: Counter[Told] = Counter()
    for call in _calls([*charges, *once.values()]):
        for left, right in _pairs(call):
            first = (right or left)[0]
            begun_ms = min(each.begun_ms for each in right or left)
            told[
                first.tenant, day_of(begun_ms, first.tenant), first.session, _verdict(left, right)
            ] += 1
    return told, twice


def _calls(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Gather what has one name and lies near."""
    names = defaultdict(list)
    for record in records:
        names[record.tenant, record.usage_type, record.session].append(record)
    for group in names.values():
        group.sort(key=lambda each: each.begun_ms)
        call: list[Record] = []
        for record in group:
            if call and record.begun_ms > max(each.ended_ms for each in call) + HOUR_MS:
                yield call
                call = []
            call.append(record)
        yield call


def _pairs(call: Sequence[Record]) -> Iterator[tuple[Side, Side]]:
    """Pair what is alike, then what is less alike, then what is left."""
    lefts, rights = _gathered(call, Charge), _gathered(call, Cdr)
    for alike in (2, 1, 0):
        for left in list(lefts):
            if alike == 0 and not any_used(left):
                continue
            for right in rights:
                if alike == 0 and not _owed(right):
                    continue
                if _key(left[0])[:alike] == _key(right[0])[:alike]:
                    yield left, right
                    lefts.remove(left)
                    rights.remove(right)
                    break
    yield from ((left, []) for left in lefts)
    yield from (([], right) for right in rights)


def _key(record: Record) -> tuple[str, str]:
    return record.account or "", record.direction


def _gathered(call: Sequence[Record], kind: type) -> list[Side]:
    sides = defaultdict(list)
    for record in call:
        if isinstance(record, kind):
            sides[_key(record)].append(record)
    return sorted(sides.values(), key=lambda side: (side[0].begun_ms, *_key(side[0])))


def any_used(left: Side) -> bool:
    return any((sum(each.units for each in left), sum(each.amount for each in left)))


def _owed(right: Side) -> bool:
    return sum(each.amount for each in right) > 0 and not any(each.is_by_cdr for each in right)


def _verdict(left: Side, right: Side) -> str:
    """As the order of `Verdict` says."""
    if any(each.is_open for each in left):
        return "open"
    used = any_used(left)
    if used and not right:
        return "no_cdr"
    if used and any(each.settled in ("debited", "duplicate") for each in right):
        return "double"
    if not used and any(each.is_by_cdr for each in right):
        return "by_cdr"
    if not left and _owed(right):
        return "no_charge"
    if not left or not right or not (used or any(each.units or each.amount for each in right)):
        return "nothing"
    return _compared(left, right)


def _compared(left: Side, right: Side) -> str:
    if (left[0].account or "") != (right[0].account or ""):
        return "account"
    moneys = [next((e.currency for e in side if e.currency), None) for side in (left, right)]
    if None not in moneys and moneys[0] != moneys[1]:
        return "currency"
    units = [sum(each.units for each in side) for side in (left, right)]
    amounts = [sum(each.amount for each in side) for side in (left, right)]
    allowed = len(right) if right[0].usage_type == "voice" else 0
    if abs(units[0] - units[1]) > allowed:
        return "units"
    if sum(each.of_buckets for each in left):
        return "units_only"
    if amounts[0] == amounts[1]:
        return "agreed"
    is_same_price = (
        len(right) == 1
        and units[0] != units[1]
        and right[0].plan == "standard"
        and price(units[1], answered=right[0].answered) == amounts[1]
        and price(units[0], answered=units[0] > 0 or amounts[0] > 0) == amounts[0]
    )
    return "agreed" if is_same_price else "amount"

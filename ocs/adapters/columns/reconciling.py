"""Reconciliation by columns: piece by piece both sides become calls, and calls become a summary.

What is in memory at a time is one piece, the summary, and the first differences. All differences go
into one Parquet file, if one is asked for, which is there when all of it is.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import polars as pl
from msgspec import Struct

from ocs.adapters.columns.matching import Reprice, calls_of, differing, judged
from ocs.adapters.columns.sides import online_side, piece_of, pieces_of, rated_side, single, timed
from ocs.domain.zones import Zone
from ocs.usecases.reconciliation import (
    Day,
    Difference,
    Money,
    Period,
    Reconciled,
    Tolerance,
    Verdict,
)

DIFFERENCES: Final[dict[str, Any]] = {
    "tenant": pl.String,
    "day": pl.Date,
    "verdict": pl.String,
    "session_id": pl.String,
    "usage_type": pl.String,
    "online_account": pl.String,
    "online_units": pl.Int64,
    "online_amount": pl.Int64,
    "online_currency": pl.String,
    "online_begun_ms": pl.Int64,
    "online_called": pl.String,
    "online_records": pl.Int64,
    "online_transaction": pl.String,
    "cdr_account": pl.String,
    "cdr_units": pl.Int64,
    "cdr_amount": pl.Int64,
    "cdr_currency": pl.String,
    "cdr_begun_ms": pl.Int64,
    "cdr_called": pl.String,
    "cdrs": pl.Int64,
    "cdr_id": pl.String,
    "cdr_file": pl.String,
    "cdr_line": pl.Int64,
    "cdr_settled": pl.String,
    "cdr_debited_amount": pl.Int64,
}
"""The columns of the file: those of `Difference`."""

_FIRST: Final = ("tenant", "day", "begun_ms", "session_id", "online_account", "cdr_account")
_RENAMED: Final = {"cdr_count": "cdrs", "cdr_cdr_id": "cdr_id"}
_ASIDE: Final = (Verdict.OPEN.value, Verdict.BY_CDR.value)
"""What is not compared is not added up."""


class Terms(Struct, frozen=True, kw_only=True):
    """How two sides are compared. `zones` are the tenants'; UTC for who is not named there.

    `tenant`: only this one's calls, or all. `most`: so many differences are told.
    """

    period: Period
    tolerance: Tolerance
    zones: Mapping[str, Zone]
    tenant: str = ""
    most: int = 20


def reconcile(
    tables: Path, rated: Path, terms: Terms, reprice: Reprice, out: Path | None
) -> Reconciled:
    """Compare the tables of a journal with rated CDRs. Raises `SideError` and `OSError`.

    `out`: the file for all differences.
    """
    sides = [
        online_side(tables, terms.period, terms.tenant),
        rated_side(rated, terms.period, terms.tenant),
    ]
    pieces, summary = pieces_of(sides), _Summary(terms.most)
    with ExitStack() as stack:
        file = None if out is None else stack.enter_context(_DifferencesFile(out))
        for number in range(pieces):
            online, cdrs = (piece_of(side, number, pieces) for side in sides)
            once, again = single(timed(cdrs))
            calls = judged(calls_of(online, once), terms.tolerance, reprice)
            calls = _within(_with_days(calls, terms.zones), terms.period)
            found = differing(calls).rename(_RENAMED).sort(_FIRST, nulls_last=True)
            summary.add(calls, found, _within(again, terms.period))
            if file is not None:
                file.add(found)
        if file is not None:
            file.finish()
    return summary.reconciled()


def _with_days(calls: pl.DataFrame, zones: Mapping[str, Zone]) -> pl.DataFrame:
    """Say on which day a call was: that of its CDR, else of the tenant's clocks when it began."""
    begun = pl.from_epoch("online_begun_ms", "ms").dt.replace_time_zone("UTC")
    days = [
        pl.when(pl.col("tenant") == name).then(begun.dt.convert_time_zone(zone.name).dt.date())
        for name, zone in zones.items()
    ]
    return calls.with_columns(
        day=pl.coalesce("cdr_day", *days, begun.dt.date()),
        begun_ms=pl.coalesce("cdr_begun_ms", "online_begun_ms"),
    )


def _within(rows: pl.DataFrame, period: Period) -> pl.DataFrame:
    if period.first is not None:
        rows = rows.filter(pl.col("day") >= period.first)
    if period.last is not None:
        rows = rows.filter(pl.col("day") <= period.last)
    return rows


class _Summary:
    """What the pieces come to."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._first = pl.DataFrame()
        self._found = Counter[tuple[str, date, str]]()
        self._duplicates = Counter[tuple[str, date]]()
        self._online = Counter[tuple[str, date, str]]()
        self._cdrs = Counter[tuple[str, date, str]]()

    def add(self, calls: pl.DataFrame, found: pl.DataFrame, again: pl.DataFrame) -> None:
        for *key, count in calls.group_by("tenant", "day", "verdict").len().iter_rows():
            self._found[tuple(key)] += count
        for *key, count in again.group_by("tenant", "day").len().iter_rows():
            self._duplicates[tuple(key)] += count
        compared = calls.filter(~pl.col("verdict").is_in(_ASIDE))
        for side, sums in (("online", self._online), ("cdr", self._cdrs)):
            amounts = (
                compared.drop_nulls(f"{side}_currency")
                .group_by("tenant", "day", f"{side}_currency")
                .agg(pl.col(f"{side}_amount").cast(pl.Int128).sum())
            )
            for *key, amount in amounts.iter_rows():
                sums[tuple(key)] += amount
        first = found.select(*DIFFERENCES, "begun_ms").head(self._most)
        so_far = [self._first, first] if len(self._first) else [first]
        self._first = pl.concat(so_far).sort(_FIRST, nulls_last=True).head(self._most)

    def reconciled(self) -> Reconciled:
        days = sorted({(tenant, day) for tenant, day, _ in self._found} | set(self._duplicates))
        rows = self._first.select(DIFFERENCES.keys()).iter_rows(named=True)
        first = tuple(msgspec.convert(row, Difference) for row in rows)
        return Reconciled(tuple(self._day(*each) for each in days), first)

    def _day(self, tenant: str, day: date) -> Day:
        counts = ((word.value, self._found[tenant, day, word.value]) for word in Verdict)
        money = {*self._online, *self._cdrs}
        named = sorted(each[2] for each in money if each[:2] == (tenant, day))
        return Day(
            tenant=tenant,
            day=day,
            found={word: count for word, count in counts if count},
            duplicates=self._duplicates[tenant, day],
            money=tuple(
                Money(code, self._online[tenant, day, code], self._cdrs[tenant, day, code])
                for code in named
            ),
        )


class _DifferencesFile:
    """A Parquet file that is written in parts beside its place, and moved there when it is whole.

    A file of that name stays until then, whatever happens.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[Path] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(
            prefix=f".{self._path.name}.", dir=self._path.parent
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def add(self, rows: pl.DataFrame) -> None:
        path = Path(self._folder.name, f"{len(self._parts):08d}.parquet")
        whole = rows.select(pl.col(name).cast(kind) for name, kind in DIFFERENCES.items())
        whole.write_parquet(path, compression="zstd")
        self._parts.append(path)

    def finish(self) -> None:
        whole = Path(self._folder.name, "whole")
        pl.scan_parquet(self._parts).sink_parquet(whole, compression="zstd")
        whole.replace(self._path)

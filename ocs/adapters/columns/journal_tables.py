"""The journal as Parquet, for whatever reads tables: its entries, and the CDRs that they come to.

    <folder>/entries/partition=017/00000000.parquet
    <folder>/cdrs/partition=017/00000000.parquet      what is over
    <folder>/open/partition=017/00000000.parquet      what is not, as far as it has come

Written in parts of a bounded number of rows, each under another name first, so that a file that is
there is whole. Amounts are integers of the currency's smallest step, as everywhere; times are UTC.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
from msgspec import Struct

from ocs.usecases.call_records import CallRecord, CallRecords, EntryRow, row_of
from ocs.usecases.journal import Posted

ROWS: Final = 100_000
"""Of one file: about 100 MB of memory while it is filled."""

CALLS: Final = "cdrs"
OPEN: Final = "open"

_MAY_BE_UNKNOWN: Final = (
    *("opened_ms", "started_ms", "released_ms", "event_ms", "answer_ms", "reported_ms"),
    "currency",
)
_USES: Final = pl.List(
    pl.Struct(
        {
            "rating_group": pl.String,
            "rated_number": pl.String,
            "tariff": pl.String,
            "prefix": pl.String,
            "destination": pl.String,
            "model": pl.String,
            "units": pl.Int64,
            "amount": pl.Int64,
        }
    )
)
_BUCKETS: Final = pl.List(pl.Struct({"bucket": pl.String, "debited": pl.Int64}))
_MOMENT: Final = pl.Datetime("ms", "UTC")
_EVENT: Final[dict[str, Any]] = {
    "subscriber": pl.String,
    "direction": pl.String,
    "usage_type": pl.String,
    "calling_number": pl.String,
    "called_number": pl.String,
    "rated_number": pl.String,
    "plan": pl.String,
    "generation": pl.String,
    "currency": pl.String,
    "answer_ms": _MOMENT,
    "reported_ms": _MOMENT,
    "time_flag": pl.Boolean,
    "attributes": pl.String,
}
_WHO: Final[dict[str, Any]] = {
    "transaction_id": pl.String,
    "tenant": pl.String,
    "wallet_group": pl.String,
    "account": pl.String,
    "session_id": pl.String,
    "kind": pl.String,
}
ENTRIES: Final[dict[str, Any]] = {
    **_WHO,
    "at_ms": _MOMENT,
    "request": pl.String,
    "state": pl.String,
    "event_ms": _MOMENT,
    "code": pl.String,
    "overrun_amount": pl.Int64,
    "available_amount": pl.Int64,
    **_EVENT,
    "uses": _USES,
    "buckets": _BUCKETS,
    "info": pl.String,
}
CDRS: Final[dict[str, Any]] = {
    **_WHO,
    "opened_ms": _MOMENT,
    "started_ms": _MOMENT,
    "closed_ms": _MOMENT,
    "released_ms": _MOMENT,
    "reports": pl.Int64,
    "units": pl.Int64,
    "amount": pl.Int64,
    "overrun_amount": pl.Int64,
    **_EVENT,
    "uses": _USES,
    "buckets": _BUCKETS,
}


class Exported(Struct, frozen=True):
    """What was written of one partition; `open_sessions` are not over, and in no CDR."""

    entries: int
    cdrs: int
    open_sessions: int


class _Table:
    """One table of one partition, part after part."""

    def __init__(self, folder: Path, partition: int, schema: dict[str, Any]) -> None:
        self.rows = 0
        self._folder = folder / f"partition={partition:03d}"
        self._schema = schema
        self._waiting: list[dict[str, Any]] = []
        self._parts = 0

    def add(self, row: EntryRow | CallRecord) -> None:
        self.rows += 1
        self._waiting.append(_flat(row))
        if len(self._waiting) >= ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._parts:08d}.parquet"
        new = path.with_name(path.name + ".new")
        frame = pl.DataFrame(self._waiting, schema=self._schema, orient="row")
        frame.write_parquet(new, compression="zstd")
        new.replace(path)
        self._parts += 1
        self._waiting.clear()


def export(folder: Path, partition: int, journal: Iterable[Posted]) -> Exported:
    """Write the tables of one partition. Raises `OSError`."""
    entries = _Table(folder / "entries", partition, ENTRIES)
    cdrs, still_open = export_calls(folder, partition, _copied(journal, entries))
    entries.flush()
    return Exported(entries.rows, cdrs, still_open)


def export_calls(folder: Path, partition: int, journal: Iterable[Posted]) -> tuple[int, int]:
    """Write what the entries of one partition come to; how many are over, and open. `OSError`."""
    cdrs, records = _Table(folder / CALLS, partition, CDRS), CallRecords()
    for posted in journal:
        record = records.add(posted)
        if record is not None:
            cdrs.add(record)
    cdrs.flush()
    still_open = _Table(folder / OPEN, partition, CDRS)
    for record in records.open_records():
        still_open.add(record)
    still_open.flush()
    return cdrs.rows, still_open.rows


def _copied(journal: Iterable[Posted], entries: _Table) -> Iterator[Posted]:
    for posted in journal:
        entries.add(row_of(posted))
        yield posted


def _flat(row: EntryRow | CallRecord) -> dict[str, Any]:
    """Make one line of a row; what is not known is null."""
    flat = msgspec.structs.asdict(row) | msgspec.structs.asdict(row.about)
    flat["attributes"] = bytes(row.about.attributes).decode()
    flat["uses"] = [msgspec.structs.asdict(use) for use in row.uses]
    flat["buckets"] = [msgspec.structs.asdict(use) for use in row.buckets]
    for name in _MAY_BE_UNKNOWN:
        if name in flat:
            flat[name] = flat[name] or None
    del flat["about"], flat["partition"], flat["rated_numbers"]
    return flat

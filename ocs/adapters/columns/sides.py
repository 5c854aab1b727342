"""The two sides of reconciliation, brought into one form: what was charged online, and CDRs.

Both are tables on disk that may be larger than memory, so they are looked at in *pieces*: the rows
whose session's name has a hash of this rest. All rows of a call are in one piece, whatever days and
files they lie in. A table is read once for each piece; to write the pieces apart first would read
it once, and needs as much disk again as the tables have.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from ocs.adapters.columns.journal_tables import CALLS, CDRS, OPEN
from ocs.domain.usage import VOICE
from ocs.usecases.offline_rating import RECORDED
from ocs.usecases.ports import DAY_MS
from ocs.usecases.reconciliation import Period
from ocs.usecases.settling_cdrs import Settled

ROWS: Final = 1_000_000
"""Of a piece, both sides together: about 1 GB of memory."""

NAME: Final = ("tenant", "usage_type", "session_id")
"""What both sides call a call."""
KEY: Final = ("call", "account", "direction")
"""What the records of one side of a pair have in common; `call` is its number (`matching`)."""

_DAYS_MS: Final = 2 * DAY_MS
"""Clocks of tenants differ from UTC by less than a day; so does the end of the last one."""
_PARTS: Final = "tenant=*/day=*/*.parquet"
_FOLDERS: Final = ("chunks", "rejects")

RATED: Final[dict[str, Any]] = {
    **dict.fromkeys(NAME, pl.String),
    "account": pl.String,
    "direction": pl.String,
    "cdr_id": pl.String,
    "day": pl.Date,
    "used_ms": pl.Int64,
    "end_ms": pl.Int64,
    "units": pl.Int64,
    "amount": pl.Int64,
    "currency": pl.String,
    "code": pl.String,
    "answered": pl.Boolean,
    "settled": pl.String,
    "settled_amount": pl.Int64,
    "settled_reason": pl.String,
    "plan": pl.String,
    "identity": pl.String,
    "called_number": pl.String,
    "calling_number": pl.String,
    "trunk_in": pl.String,
    "file": pl.String,
    "line": pl.Int64,
}
"""The columns of rated CDRs that are looked at."""

_SAME: Final = (*NAME, "account", "direction", "cdr_id", "used_ms", "units")
"""Rows that say all of this alike are one CDR."""

_TALKED_MS: Final = pl.when(pl.col("usage_type") == VOICE).then(pl.col("units") * 1_000)
_NOT_OWED_ONLINE: Final = pl.col("settled").is_in(
    [Settled.DEBITED.value, Settled.DUPLICATE.value, Settled.REJECTED.value]
) | ((pl.col("settled") == RECORDED) & pl.col("settled_reason").is_not_null())
_DEBITED: Final = pl.col("settled").is_in([Settled.DEBITED.value, Settled.DUPLICATE.value])


class SideError(Exception):
    """A table is not there, or is not what it should be; the text is for people."""


def online_side(folder: Path, period: Period, tenant: str) -> pl.LazyFrame:
    """Scan what was charged online: one row for each record of the journal. Raises `SideError`."""
    released, opened, started = (
        pl.col(name).cast(pl.Int64) for name in ("released_ms", "opened_ms", "started_ms")
    )
    answered = pl.col("answer_ms").cast(pl.Int64)
    begun = pl.coalesce(answered, started, released - _TALKED_MS, released, opened).fill_null(0)
    both = [_calls(folder / name, name == OPEN) for name in (CALLS, OPEN)]
    rows = (
        pl.concat(both)
        .with_columns(begun_ms=begun)
        .with_columns(
            ended_ms=pl.max_horizontal("begun_ms", released),
            of_buckets=pl.col("buckets").list.eval(pl.element().struct.field("debited")).list.sum()
            - pl.col("amount"),
        )
    )
    if tenant:
        rows = rows.filter(pl.col("tenant") == tenant)
    if period.first is not None:
        rows = rows.filter(pl.col("begun_ms") >= _ms(period.first, -period.reach_days) - _DAYS_MS)
    if period.last is not None:
        rows = rows.filter(pl.col("begun_ms") < _ms(period.last, period.reach_days) + _DAYS_MS)
    return rows.with_columns(pl.col("account", "usage_type", "direction").fill_null(""))


def rated_side(folder: Path, period: Period, tenant: str) -> pl.LazyFrame:
    """Scan rated CDRs, each row of them. Raises `SideError`."""
    if not all((folder / name).is_dir() for name in _FOLDERS):
        raise SideError(f"{folder} holds no rated CDRs: `ocs offline run` writes them")
    paths = [path for path in sorted(folder.glob(_PARTS)) if _is_wanted(path, period, tenant)]
    if not paths:
        return pl.LazyFrame(schema=RATED)
    rows = pl.scan_parquet(paths, hive_partitioning=False, missing_columns="raise")
    return rows.select(pl.col(name).cast(kind) for name, kind in RATED.items()).with_columns(
        pl.col("account", "direction").fill_null(""), session_id=pl.coalesce("session_id", "cdr_id")
    )


def pieces_of(sides: Sequence[pl.LazyFrame]) -> int:
    """Return into how many pieces two sides have to be cut."""
    counts = (side.select(pl.len()).collect(engine="streaming") for side in sides)
    rows: int = sum(count.item() for count in counts)
    return max(1, -(-rows // ROWS))


def piece_of(side: pl.LazyFrame, number: int, pieces: int) -> pl.DataFrame:
    """Read one piece of a side."""
    rows = side if pieces == 1 else side.filter(pl.col("session_id").hash(0) % pieces == number)
    return rows.collect(engine="streaming")


def single(rated: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part CDRs that are there twice: each of them once, and the others.

    Of two that are alike, the one counts of which the money was moved.
    """
    is_there_again = rated.select(pl.struct(_SAME).is_duplicated()).to_series()
    last = pl.col("settled") == Settled.DUPLICATE.value
    alike = rated.filter(is_there_again).sort(*_SAME, last, "file", "line")
    is_first = alike.select(pl.int_range(pl.len()).over(_SAME) == 0).to_series()
    once = pl.concat([rated.filter(~is_there_again), alike.filter(is_first)])
    return once, alike.filter(~is_first)


def online_calls(rows: pl.DataFrame) -> pl.DataFrame:
    """Add up the records of each call; the columns begin with `online_`."""
    gathered = rows.sort("begun_ms", "transaction_id").group_by(KEY, maintain_order=True)
    calls = gathered.agg(
        pl.col(NAME).first(),
        pl.col("units", "amount", "of_buckets").sum(),
        pl.col("currency").drop_nulls().first(),
        pl.col("called").drop_nulls().first(),
        pl.col("begun_ms").min(),
        pl.col("is_open").any(),
        pl.len().cast(pl.Int64).alias("records"),
        pl.col("transaction_id").last().alias("transaction"),
    )
    return _named(calls, "online")


def rated_calls(rows: pl.DataFrame) -> pl.DataFrame:
    """Add up the CDRs of each call; the columns begin with `cdr_`."""
    gathered = rows.sort("used_ms", "file", "line").group_by(KEY, maintain_order=True)
    firsts = ("cdr_id", "file", "line", "day", "settled", "plan", "identity", "calling_number")
    calls = gathered.agg(
        pl.col(NAME).first(),
        pl.col("units", "amount").sum(),
        pl.col("currency").drop_nulls().first(),
        pl.col("called_number").first().alias("called"),
        pl.col("begun_ms").min(),
        pl.col(*firsts, "trunk_in", "answered").first(),
        pl.col("settled_amount").sum().alias("debited_amount"),
        pl.len().cast(pl.Int64).alias("count"),
        _NOT_OWED_ONLINE.any().alias("is_by_cdr"),
        _DEBITED.any().alias("is_debited"),
    )
    return _named(calls, "cdr")


def timed(rated: pl.DataFrame) -> pl.DataFrame:
    """Say of CDRs when the use began and ended, by the columns of the other side."""
    ended = pl.coalesce("end_ms", pl.col("used_ms") + _TALKED_MS.fill_null(0), "used_ms")
    return rated.with_columns(begun_ms=pl.col("used_ms").fill_null(0)).with_columns(
        ended_ms=pl.max_horizontal("begun_ms", ended)
    )


def _named(calls: pl.DataFrame, side: str) -> pl.DataFrame:
    return calls.rename(
        {name: f"{side}_{name}" for name in calls.columns if name not in (*NAME, *KEY)}
    ).with_row_index(side)


def _calls(folder: Path, is_open: bool) -> pl.LazyFrame:
    """Scan one of the tables that `journal_tables` writes."""
    paths = sorted(folder.glob("partition=*/*.parquet"))
    if not paths:
        rows = pl.LazyFrame(schema=CDRS)
    else:
        rows = pl.scan_parquet(paths, hive_partitioning=False)
        missing = CDRS.keys() - set(rows.collect_schema())
        if missing:
            raise SideError(f"{folder} lacks {', '.join(sorted(missing))}: export it again")
    return rows.select(
        *NAME,
        *("account", "direction", "transaction_id", "units", "amount", "buckets", "currency"),
        *("opened_ms", "started_ms", "released_ms", "answer_ms"),
        pl.col("rated_number").alias("called"),
        pl.lit(is_open).alias("is_open"),
    )


def _is_wanted(path: Path, period: Period, tenant: str) -> bool:
    day = date.fromisoformat(path.parent.name.removeprefix("day="))
    if tenant and path.parent.parent.name != f"tenant={tenant}":
        return False
    reach = timedelta(days=period.reach_days)
    return (period.first is None or day >= period.first - reach) and (
        period.last is None or day <= period.last + reach
    )


def _ms(day: date, days: int) -> int:
    """Return the beginning of the day so many days later, in UTC."""
    return (day - date(1970, 1, 1)).days * DAY_MS + days * DAY_MS

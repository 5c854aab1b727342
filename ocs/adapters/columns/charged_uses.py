"""What was charged, use by use: what a use is, and those of rated CDRs.

A use is known by where it stands (`source`), by `use_id`, and by the `part` of that: a CDR by its
id and the day on which it ended, as the ledger knows it; what was charged online by its session,
the transaction that began it and the rating group (`journal_uses.py`).

Rows of CDRs that stand there twice (two outputs of one file, a row that was copied by hand) are one
use. Which these are is found out first, by a hash of each key of the period. If they do not agree
about it, the use is in doubt: `doubt` says why, and what is in doubt is told and left alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Any, Final

import polars as pl

from ocs.adapters.columns.bills import ENDED_MS
from ocs.usecases.ports import DAY_MS
from ocs.usecases.rerating_report import Selection
from ocs.usecases.settling_cdrs import Settled

USES: Final[dict[str, Any]] = {
    "source": pl.String,
    "tenant": pl.String,
    "account": pl.String,
    "wallet_group": pl.String,
    "use_id": pl.String,
    "part": pl.String,
    "plan": pl.String,
    "usage_type": pl.String,
    "called": pl.String,
    "caller": pl.String,
    "trunk": pl.String,
    "used_ms": pl.Int64,
    "until_ms": pl.Int64,
    "units": pl.Int64,
    "answered": pl.Boolean,
    "charged_amount": pl.Int64,
    "currency": pl.String,
    "tariff": pl.String,
    "prefix": pl.String,
    "destination": pl.String,
    "generation": pl.String,
    "settled": pl.String,
    "doubt": pl.String,
}
"""A use. `until_ms` is when what is not timed was used last; `settled` is DEBITED where money was
taken for it. Texts that are not known are empty."""

KEY: Final = ("source", "tenant", "account", "use_id", "part")
CDR: Final = "cdr"
ONLINE: Final = "online"

_DEBITED: Final = pl.col("settled") == Settled.DEBITED.value
_SAID: Final = (
    "plan", "usage_type", "called", "caller", "trunk", "used_ms", "units", "answered",
    "charged_amount", "currency", "wallet_group",
)  # fmt: skip
_TOLD_ELSEWHERE: Final = (Settled.DUPLICATE.value, Settled.RECONCILED.value)
_NOT_CHARGED: Final = "NOT_CHARGED"
_PARTS: Final = "tenant=*/day=*/*.parquet"
_NEAR_DAYS: Final = 2
"""So far off may a folder's day be from the one that clocks show by another zone, and one more."""

IN_DISAGREEMENT: Final = "two rows say different things of it"
PARKED: Final = "it was parked: what else paid for it stands in the journal"
_WAS_PARKED: Final = pl.col("line") == 0
"""It comes from no file, and may be the rest of a use of which the beginning was charged online."""

Uses = pl.DataFrame
"""Rows with the columns `USES`."""


def rated_uses(
    folders: Sequence[Path], selection: Selection, left_out: Counter[str]
) -> Iterator[Uses]:
    """Read the uses of rated CDRs, a file at a time; count what is told elsewhere. `OSError`.

    What is double is found before anything but the period is looked at: two rows of one use may be
    of different plans.
    """
    parts = [part for folder in folders for part in _parts(folder, selection)]
    if not parts:
        return
    keys = pl.concat([_of_rated(part, selection) for part in parts]).filter(~_IS_ELSEWHERE)
    counted = keys.select(hash=_HASH).group_by("hash").len().filter(pl.col("len") > 1)
    with told_as_fault(parts[0].parents[2]):
        twice = counted.select("hash").collect(engine="streaming")
    doubles = []
    for part in parts:
        with told_as_fault(part):
            rows = _of_rated(part, selection).with_columns(hash=_HASH).collect()
        uses = rows.filter(~_IS_ELSEWHERE)
        if not twice.is_empty():
            doubles.append(uses.join(twice, on="hash", how="semi"))
            uses = uses.join(twice, on="hash", how="anti")
        elsewhere = rows.filter(_IS_ELSEWHERE, wanted(selection))
        left_out.update(elsewhere["settled"].to_list())
        yield uses.filter(wanted(selection)).select(*USES)
    if doubles:
        yield _once(pl.concat(doubles)).filter(wanted(selection)).select(*USES)


@contextmanager
def told_as_fault(place: Path) -> Iterator[None]:
    """Turn what makes a file unreadable into an `OSError`."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise OSError(EINVAL, f"cannot be read: {reason}", str(place)) from error


_IS_ELSEWHERE: Final = pl.col("settled").is_in(_TOLD_ELSEWHERE)
_HASH: Final = pl.struct(KEY).hash()


def _parts(folder: Path, selection: Selection) -> Iterator[Path]:
    """Give the files that may hold uses of the selection."""
    parts = sorted(folder.glob(_PARTS))
    if not parts:
        raise FileNotFoundError(2, "holds no rated CDRs", str(folder))
    for part in parts:
        tenant, day = (part.parents[up].name.partition("=")[2] for up in (1, 0))
        period = selection.periods.get(tenant)
        if period is None:
            continue
        number = (pl.Series([day]).str.to_date().to_physical()).item()
        first, last = period.from_ms // DAY_MS, period.to_ms // DAY_MS
        if first - _NEAR_DAYS <= number <= last + _NEAR_DAYS:
            yield part


def _of_rated(part: Path, selection: Selection) -> pl.LazyFrame:
    rows = pl.scan_parquet(part, hive_partitioning=False).filter(
        pl.col("account").is_not_null(),
        pl.col("code") != _NOT_CHARGED,
    )
    texts = pl.col(pl.String).fill_null("")
    uses = rows.with_columns(texts).select(
        *(name for name in _ALIKE if name in USES),
        source=pl.lit(CDR),
        use_id="cdr_id",
        part=(ENDED_MS // DAY_MS).cast(pl.String),
        called="called_number",
        caller=_CALLER,
        trunk="trunk_in",
        until_ms="used_ms",
        charged_amount=pl.when(_DEBITED).then("settled_amount").otherwise("amount"),
        doubt=pl.when(_WAS_PARKED).then(pl.lit(PARKED)).otherwise(pl.lit("")),
    )
    return uses.filter(_in_period(selection)).select(pl.col(n).cast(k) for n, k in USES.items())


_ALIKE: Final = (
    "tenant", "account", "wallet_group", "plan", "usage_type", "used_ms", "units", "answered",
    "currency", "tariff", "prefix", "destination", "generation", "settled",
)  # fmt: skip
_CALLER: Final = (
    pl.when(pl.col("calling_number") != "")
    .then("calling_number")
    .when(pl.col("direction") != "term")
    .then("identity")
    .otherwise(pl.lit(""))
)
"""By which number rates tell callers apart: as it was when the CDR was rated."""


def _once(uses: pl.DataFrame) -> pl.DataFrame:
    """Make one use of rows of one key: what was debited counts, before what is only recorded."""
    debited = uses.filter(_DEBITED)
    others = uses.filter(~_DEBITED).join(debited, on=KEY, how="anti")
    said = pl.concat([debited, others]).unique([*KEY, *_SAID], keep="first", maintain_order=True)
    is_doubtful = pl.len().over(KEY) > 1
    told = said.with_columns(
        doubt=pl.when(is_doubtful).then(pl.lit(IN_DISAGREEMENT)).otherwise("doubt")
    )
    return told.unique(KEY, keep="first", maintain_order=True)


def _in_period(selection: Selection) -> pl.Expr:
    periods = [
        (pl.col("tenant") == tenant)
        & pl.col("used_ms").is_between(period.from_ms, period.to_ms, closed="left")
        for tenant, period in selection.periods.items()
    ]
    return pl.any_horizontal(periods)


def wanted(selection: Selection) -> pl.Expr:
    """Say whether a use is of a selection."""
    found = _in_period(selection)
    for name in ("account", "plan", "destination"):
        given = getattr(selection, f"{name}s")
        if given:
            found &= pl.col(name).is_in(given)
    if selection.prefixes:
        begins = [pl.col("called").str.starts_with(prefix) for prefix in selection.prefixes]
        found &= pl.any_horizontal(begins)
    return found

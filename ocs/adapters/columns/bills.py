"""The bills of a chunk: rated rows, gathered by who is to be debited and for which day.

Gathered with columns and handed on as plain values, for a call of the ledger is made of values.
What became of the rows stands in three columns beside them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from ocs.domain.usage import VOICE
from ocs.usecases.offline_rating import RECORDED
from ocs.usecases.ports import DAY_MS, CdrDebit, WalletKey
from ocs.usecases.settling_cdrs import Bill, Settlement

SETTLED: Final[dict[str, Any]] = {
    "settled": pl.String,
    "settled_amount": pl.Int64,
    "settled_reason": pl.String,
}
"""What is said of each row: a word of `settling_cdrs.Settled`, the money that was debited for it,
and why it was not."""

_SECOND_MS: Final = 1_000
_WHO: Final = ("tenant", "account", "wallet_group", "currency", "debit_day")
_TALKED_MS: Final = pl.when(pl.col("usage_type") == VOICE).then(
    pl.coalesce("duration_ms", pl.col("units") * _SECOND_MS)
)
ENDED_MS: Final = pl.coalesce("end_ms", pl.col("used_ms") + _TALKED_MS.fill_null(0), "used_ms")
"""When a use ended, of which each CDR that was rated says something."""


def bills_of(rated: pl.DataFrame) -> Iterator[Bill]:
    """Yield what a chunk has to be paid for, in the order in which it comes.

    Attempts and free calls are half of what switches write, and nobody has to remember them.
    """
    owed = (
        rated.with_row_index("row")
        .filter(pl.col("amount") > 0)
        .with_columns(debit_day=ENDED_MS // DAY_MS)
    )
    gathered = owed.group_by(_WHO, maintain_order=True).agg("row", "cdr_id", "session_id", "amount")
    for tenant, account, group, currency, day, rows, ids, sessions, amounts in gathered.iter_rows():
        yield Bill(
            wallet=WalletKey(tenant, group),
            account=account,
            currency=currency,
            day=day,
            rows=rows,
            cdrs=list(map(CdrDebit, ids, sessions, amounts)),
        )


def with_settlements(rated: pl.DataFrame, by_row: Mapping[int, Settlement]) -> pl.DataFrame:
    """Write what became of the rows; those that owe nothing are recorded."""
    found = pl.DataFrame(
        [(row, s.settled.value, s.amount, s.reason) for row, s in by_row.items()],
        schema={"row": pl.UInt32, **SETTLED},
        orient="row",
    )
    rows = rated.drop(*SETTLED, strict=False).with_row_index("row")
    return (
        rows.join(found, on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("settled").fill_null(RECORDED),
            pl.col("settled_amount").fill_null(0),
            pl.col("settled_reason").fill_null(""),
        )
        .select(*rated.columns, *(name for name in SETTLED if name not in rated.columns))
    )

"""Finished CDRs that come as Arrow batches from some other engine, checked like those of a file.

Whatever hands out Arrow's C stream will do (`__arrow_c_stream__`: a table or batch of PyArrow, a
frame of Polars, DuckDB, pandas 3 ...), without PyArrow and without a copy. Columns are ours
(docs/cdr.md), as in a file of our own: what is missing is worked out, what is foreign goes into
`attributes`.
"""

from typing import Final, NamedTuple, Protocol

import polars as pl

from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.own_columns import NEEDED, checked

WHO: Final = ("account", "wallet_group", "plan", "account_currency")
"""What a batch may say of who used; without `plan` it does not, the others may be left out."""


class ArrowStream(Protocol):
    """Columns that can be handed on."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """As Arrow's PyCapsule interface has it."""
        ...


class BadBatchError(ValueError):
    """The batch lacks a column without which no row is a CDR; the text names it."""


class ReadBatch(NamedTuple):
    """The CDRs of a batch; the rows that are none, with `column` and `reason`; who used, if told.

    All have `line`, which is the row of the batch, from 0.
    """

    sound: pl.DataFrame
    unread: pl.DataFrame
    who: pl.DataFrame | None


def read_batch(batch: ArrowStream, options: Options) -> ReadBatch:
    """Check a batch. BadBatchError."""
    given = pl.DataFrame(batch)
    missing = sorted(NEEDED - set(given.columns))
    if missing:
        raise BadBatchError(f"{missing[0]} is not among the columns of the batch")
    texts = pl.col(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
    placed = given.with_columns(pl.when(texts != "").then(texts)).with_columns(
        file=pl.lit(""), line=pl.int_range(pl.len(), dtype=pl.Int64)
    )
    who = [
        pl.col(name) if name in given.columns else pl.lit(None, pl.String).alias(name)
        for name in WHO
    ]
    sound, faults = checked(placed.drop(WHO, strict=False), options)
    schema = {"line": pl.Int64, "column": pl.String, "reason": pl.String}
    unread = pl.DataFrame(faults, schema=schema, orient="row")
    return ReadBatch(
        sound, unread, placed.select("line", *who) if "plan" in given.columns else None
    )

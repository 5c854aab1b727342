"""What goes in and what comes out: the columns of finished CDRs, and of their prices."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from ocs.domain.money import MAX_UNITS
from ocs.domain.usage import VOICE

CDRS: Final[dict[str, type[pl.DataType]]] = {
    "tenant": pl.String,
    "plan": pl.String,
    "usage_type": pl.String,
    "called": pl.String,
    "caller": pl.String,
    "trunk": pl.String,
    "answer_ms": pl.Int64,
    "units": pl.Int64,
    "answered": pl.Boolean,
}
"""The columns of a CDR; `caller`, `trunk` and `answered` may be missing.

`called` and `caller` are clean numbers (`domain/numbers.py`). `answer_ms` is when the use began: of
voice the answer, else the start. `answered`: the fee is due although nothing was used.
"""

PRICES: Final[dict[str, type[pl.DataType]]] = {
    "amount": pl.Int64,
    "currency": pl.String,
    "tariff": pl.String,
    "prefix": pl.String,
    "destination": pl.String,
    "model": pl.String,
    "code": pl.String,
    "generation": pl.String,
    "fee_amount": pl.Int64,
}
"""The columns of a price. `code` is OK, NO_RATE, RATE_BLOCKED or RATING_FAILED; `amount` is in
money units, null unless it is OK; what is not known is null. `fee_amount` is how much of the amount
is the fee that begins a use, rounded down; the rest is what was used, with rounding and bounds."""

INDEXED: Final = {"index": pl.UInt32} | {n: k for n, k in PRICES.items() if n != "generation"}
"""A price on its way back to its row."""

_END_OF_CALENDAR_MS: Final = 253_370_764_800_000  # the year 9999
_LONGEST_CALL_S: Final = 366 * 86_400  # a record of more is damaged, and may switch price for ever


def cdrs_of(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns of `CDRS` with the `index` of each row, and whether it `is_sound`.

    A row is not where it does not say when how much was used: such a use has no price.
    """
    absent = {"caller": pl.lit(""), "trunk": pl.lit(""), "answered": pl.lit(value=False)}
    given = frame.with_columns(
        **{name: value for name, value in absent.items() if name not in frame.columns}
    )
    cdrs = given.select(pl.col(name).cast(kind) for name, kind in CDRS.items())
    most = pl.when(pl.col("usage_type") == VOICE).then(_LONGEST_CALL_S).otherwise(MAX_UNITS)
    is_sound = pl.col("units").is_between(0, most) & pl.col("answer_ms").is_between(
        0, _END_OF_CALENDAR_MS, closed="left"
    )
    return cdrs.with_row_index("index").with_columns(
        pl.col(pl.String).fill_null(""),
        pl.col(pl.Boolean).fill_null(value=False),
        is_sound=is_sound.fill_null(value=False),
    )


def parted(frame: pl.DataFrame, *names: str) -> dict[tuple[Any, ...], pl.DataFrame]:
    """Cut a frame by the values of these columns; a frame with one value is not copied."""
    if frame.is_empty():
        return {}
    values = pl.col(names)
    if all(frame.select((values == values.first()).all()).row(0)):
        return {frame.select(names).row(0): frame}
    return frame.partition_by(names, as_dict=True)


def beside(*frames: pl.DataFrame) -> pl.DataFrame:
    """Put frames of as many rows beside each other.

    `DataFrame.hstack` would write out columns that Polars keeps as one value.
    """
    return pl.concat(frames, how="horizontal")


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put frames below each other; the columns of the first are those of all that have rows."""
    filled = [frame for frame in frames if len(frame)]
    if len(filled) == 1:
        return filled[0]
    return pl.concat(filled) if filled else frames[0]

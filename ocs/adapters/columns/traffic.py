"""Adding up rated CDRs, however many there are: by Polars' streaming engine, in bounded memory.

DuckDB would say it in SQL, and is another 20 MB and a second engine for the same files; Polars is
there, since it wrote them, and reads the few columns that a report is about.
"""

from pathlib import Path
from typing import Final

import polars as pl

from ocs.usecases.traffic import By, Traffic

_PARTS: Final = "tenant=*/day=*/*.parquet"
_KEYS: Final = {
    By.DESTINATION: pl.col("destination"),
    By.HOUR: pl.col("hour").cast(pl.String).str.zfill(2),
    By.DAY: pl.col("day").cast(pl.String),
    By.TRUNK: pl.col("trunk_in"),
    By.TRUNK_OUT: pl.col("trunk_out"),
}


def traffic(folder: Path, by: By) -> list[Traffic]:
    """Return the lines of a report: by time, or else the most money first. OSError: no such."""
    if not any(folder.glob(_PARTS)):
        raise FileNotFoundError(2, "holds no rated CDRs", str(folder))
    cdrs = pl.scan_parquet(folder / _PARTS, hive_partitioning=False)
    groups = ("tenant", "usage_type", "currency", "key")
    sums = (
        cdrs.with_columns(pl.col("currency").fill_null(""), key=_KEYS[by].fill_null(""))
        .group_by(groups)
        .agg(
            pl.len().alias("cdrs"),
            (pl.col("units") > 0).sum().alias("used"),
            pl.col("units").cast(pl.Int128).sum(),
            pl.col("amount").cast(pl.Int128).sum(),
        )
    )
    in_order = by in (By.HOUR, By.DAY)
    last = "key" if in_order else "amount"
    order = [*groups[:3], last, "key"]
    descending = [False, False, False, not in_order, False]
    found = sums.sort(order, descending=descending).collect(engine="streaming")
    return [Traffic(*row) for row in found.iter_rows()]

"""Writing rows into Parquet, where most columns of text say the same in every row.

Half of the texts of rated rows have one value in a whole file: the tariffs' generation, the
currency, what a switch does not tell. Polars finds that out by hashing every cell. Given as one
category and its number the column is written in a tenth of the time, and is the same column in the
file: a dictionary of texts. That it was a category here is Polars' own note (`ARROW:schema`), which
is replaced by the note that texts have, so that whoever reads the file finds texts.

Rejected: categories for texts with few values (finding their numbers costs what writing saves),
lz4 (a tenth of the time less, and twice the bytes), statistics (rows lie by day; least and
greatest values of each column would say little more).
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import polars as pl

_NOTE: Final = "ARROW:schema"


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Write rows, at least one. An empty text becomes null: that is how SQL asks for it."""
    texts = [name for name, kind in rows.schema.items() if kind == pl.String]
    alike = _alike(rows, texts)
    varied = [name for name in texts if name not in alike]
    written = rows.with_columns(
        *(pl.when(pl.col(name) != "").then(name).alias(name) for name in varied),
        *(_constant(value).alias(name) for name, value in alike.items()),
    )
    written.write_parquet(
        path,
        compression="zstd",
        compression_level=1,
        statistics=False,
        metadata={_NOTE: _note(tuple(rows.schema.items()))},
    )


def _alike(rows: pl.DataFrame, texts: list[str]) -> dict[str, str | None]:
    """Return the columns that say the same in every row; three rows tell most that do not."""
    first, middle, last = (rows.row(place, named=True) for place in (0, len(rows) // 2, -1))
    values = {name: first[name] for name in texts if first[name] == middle[name] == last[name]}
    is_alike = rows.select(
        pl.col(name).eq_missing(pl.lit(value, pl.String)).all() for name, value in values.items()
    )
    return {name: value for name, value in values.items() if is_alike[name][0]}


def _constant(value: str | None) -> pl.Expr:
    if not value:
        return pl.lit(None, pl.Enum([""]))
    return pl.lit(value, pl.Enum([value]))


@lru_cache(maxsize=8)
def _note(schema: tuple[tuple[str, Any], ...]) -> str:
    """Return what Polars notes in a file about columns of these types."""
    file = io.BytesIO()
    pl.DataFrame(schema=dict(schema)).write_parquet(file)
    return pl.read_parquet_metadata(file.getvalue())[_NOTE]

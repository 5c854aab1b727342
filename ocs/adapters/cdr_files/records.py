"""What every reader hands out: batches of CDRs in one set of columns, and what could not be read.

A batch is a Polars frame, because the readers of own CSV and Parquet are Polars' own and whoever
rates wants columns: lists of Python objects in between would cost more than reading and rating do
together. Arrow batches would need PyArrow (another 150 MB); a frame hands its columns on as Arrow
without a copy to whatever engine asks. So Polars may be imported here as it may in `columns`.

Every entry of a file (a line, or a record where there are no lines) is accounted for once:

    entries = used + skipped + rejects        over all batches of a file

Used are entries that a CDR came from: two for a call that was told by its INVITE and its BYE, one
for a call that went out twice. An entry gives all its CDRs or none, so that a reject can be mended
and read again without counting anything twice.
"""

from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from ocs.domain.usage import VOICE

ORIG: Final = "orig"
TERM: Final = "term"
FORWARD: Final = "forward"
DIRECTIONS: Final = (ORIG, TERM, FORWARD)

COLUMNS: Final[dict[str, type[pl.DataType]]] = {
    "cdr_id": pl.String,
    "file": pl.String,
    "line": pl.Int64,
    "tenant": pl.String,
    "session_id": pl.String,
    "subscriber": pl.String,
    "calling": pl.String,
    "called": pl.String,
    "trunk_in": pl.String,
    "trunk_out": pl.String,
    "start_ms": pl.Int64,
    "answer_ms": pl.Int64,
    "end_ms": pl.Int64,
    "duration_ms": pl.Int64,
    "units": pl.Int64,
    "usage_type": pl.String,
    "direction": pl.String,
    "answered": pl.Boolean,
    "cause": pl.String,
    "attributes": pl.String,
}
"""The columns of a batch; docs/cdr.md says what each means. Texts are never null, times may be."""

MOST_ROWS: Final = 100_000
"""Rows of a batch: enough that columns pay off, some tens of MB in memory."""


class Cdr(NamedTuple):
    """One finished use; the members are `COLUMNS`.

    Numbers and names stand as the switch wrote them: cleaning them takes the tenant's rules.
    """

    cdr_id: str
    file: str
    line: int
    tenant: str
    session_id: str
    subscriber: str
    calling: str
    called: str
    trunk_in: str
    trunk_out: str
    start_ms: int | None
    answer_ms: int | None
    end_ms: int | None
    duration_ms: int | None
    units: int
    usage_type: str = VOICE
    direction: str = ORIG
    answered: bool = False
    cause: str = ""
    attributes: str = "{}"


class Reject(msgspec.Struct, frozen=True):
    """An entry that is no CDR, with the first thing that is wrong with it.

    `column` is empty where the whole entry is meant. `text` is the entry as it stands in the file,
    so that it can be mended and read again; empty where there is none (a damaged file, Parquet).
    """

    file: str
    line: int
    column: str
    reason: str
    text: str = ""


class Batch(msgspec.Struct, frozen=True):
    """CDRs, and what became of all entries since the batch before.

    At most `MOST_ROWS`, but for own CSV: there a batch is what came as a block.
    """

    frame: pl.DataFrame
    rejects: tuple[Reject, ...]
    entries: int
    used: int
    skipped: int


class Used(NamedTuple):
    """CDRs, and how many entries they came from."""

    rows: tuple[Cdr, ...]
    entries: int = 1


class Skipped(msgspec.Struct, frozen=True):
    """An entry that is rightly no CDR: a header, a blank line, a leg that is not billed."""


SKIPPED: Final = Skipped()

Outcome = Used | Reject | Skipped
"""What becomes of an entry."""


def frame_of(rows: list[Cdr]) -> pl.DataFrame:
    """Turn rows into columns."""
    columns: Any = zip(*rows, strict=True) if rows else ((),) * len(COLUMNS)
    return pl.DataFrame(
        [
            pl.Series(name, values, kind)
            for (name, kind), values in zip(COLUMNS.items(), columns, strict=True)
        ]
    )

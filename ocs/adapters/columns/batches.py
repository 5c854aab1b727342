"""A batch of CDRs with its prices: every row that came in comes out, in the same order.

    batch ──► sound rows ──► a rater, once for each plan ──► rows with a price
          └─► others, with a reason ─────────────────────► rows without

A rater asks who used. Here the batch may say it by itself, in columns of its own; then all rows
of a plan and a currency are one caller to the rater, and whose they were is put back afterwards.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, TypeAlias

import polars as pl
from msgspec.structs import replace

from ocs.adapters.columns.call_rating import ADDED
from ocs.usecases.offline_rating import People, Rated
from ocs.usecases.ports import Subscriber
from ocs.usecases.rejects import UNREADABLE

RatedBatch: TypeAlias = pl.DataFrame
"""What comes out; it hands out Arrow's C stream."""

_SETTLED: Final = ("settled", "settled_amount", "settled_reason")
"""Nothing is settled here."""
_JUDGED: Final[dict[str, Any]] = {"code": pl.String, "column": pl.String, "reason": pl.String}


class BatchPeople:
    """Implements the port `People` with those of a batch, or else with others."""

    def __init__(self, others: People | None) -> None:
        self._others = others
        self._plan: tuple[str, str] | None = None

    def find(self, tenant: str, identities: Collection[str]) -> Mapping[str, Subscriber]:
        """As `People.find`."""
        if self._plan is None:
            return {} if self._others is None else self._others.find(tenant, identities)
        plan, currency = self._plan
        who = Subscriber(identity="", account="", wallet_group="", plan=plan, currency=currency)
        return {each: replace(who, identity=each) for each in identities if plan}

    def are(self, plan: str, currency: str) -> None:
        """Say that all are on this plan; on none: nobody is known."""
        self._plan = plan, currency


def priced_batch(
    sound: pl.DataFrame, who: pl.DataFrame | None, people: BatchPeople,
    rate: Callable[[pl.DataFrame], Rated],
) -> pl.DataFrame:  # fmt: skip
    """Return the rows of a batch with `ADDED`, `column` and `reason`, those without price too.

    `line` of both frames is the row of the batch.
    """
    groups = [] if who is None else [*_by_plan(sound, who, people, rate)]
    return pl.concat(groups or [_rated(rate(sound), sound)]).sort("line")


def _by_plan(
    sound: pl.DataFrame, who: pl.DataFrame, people: BatchPeople,
    rate: Callable[[pl.DataFrame], Rated],
) -> Iterator[pl.DataFrame]:  # fmt: skip
    told = sound.join(who, on="line", how="left", maintain_order="left")
    groups = told.group_by("plan", "account_currency", maintain_order=True)
    for (plan, currency), group in groups:
        people.are(str(plan or ""), str(currency or ""))
        cdrs = group.select(sound.columns)
        rows = _rated(rate(cdrs), cdrs).drop("account", "wallet_group")
        named = rows.join(who.select("line", "account", "wallet_group"), on="line", how="left")
        yield named.select(*_columns(cdrs))


def _rated(rated: Rated, cdrs: pl.DataFrame) -> pl.DataFrame:
    table = rated.table
    assert isinstance(table, pl.DataFrame)
    judged = pl.DataFrame(
        [(each.line, each.code, each.column, each.reason) for each in rated.rejects],
        schema={"line": pl.Int64, **_JUDGED},
        orient="row",
    )
    priced = table.with_columns(column=pl.lit(None, pl.String), reason=pl.lit(None, pl.String))
    unpriced = cdrs.join(judged, on="line")
    return pl.concat((priced, unpriced), how="diagonal").select(_columns(cdrs))


def _columns(cdrs: pl.DataFrame) -> list[str]:
    added = [name for name in ADDED if name not in _SETTLED]
    return [*cdrs.columns, *added, "column", "reason"]


def finished_batch(priced: pl.DataFrame, unread: pl.DataFrame) -> pl.DataFrame:
    """Put in what is no CDR, and make null of empty texts as in the output of a run."""
    judged = unread.with_columns(code=pl.lit(UNREADABLE))
    texts = pl.col(pl.String)
    return (
        pl.concat((priced, judged), how="diagonal")
        .sort("line")
        .drop("file", "line")
        .with_columns(pl.when(texts != "").then(texts))
    )


def as_record_batch(batch: RatedBatch) -> Any:  # noqa: ANN401 - PyArrow is not ours to have
    """Hand a batch over to PyArrow, with types that any engine knows. ImportError without it."""
    import pyarrow as pa  # noqa: PLC0415 - engines that want this have it

    table = batch.to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = [
        pa.field(each.name, pa.string() if pa.types.is_large_string(each.type) else each.type)
        for each in table.schema
    ]
    merged = table.cast(pa.schema(plain)).combine_chunks().to_batches()
    return merged[0] if merged else pa.RecordBatch.from_pylist([], schema=pa.schema(plain))

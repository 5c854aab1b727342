"""What was charged online, use by use, read out of an export of the journal.

    <export>/entries/partition=…/*.parquet    one row an entry

A use is what a session comes to in one rating group, or a one-shot event. A session is priced as
one use, which is what charging did: one fee, one rounding, whatever its reports were. Where that
cannot be known from its entries, the use is in doubt, and left alone:

    reversed         a transaction of it was given back: what is left of it is not told
    paid in units    what buckets paid is more than the money that was settled
    several          its reports name several numbers, callers or plans
    begun again      it was reported on after its end, or is another one of the same name

The entries are read and not the call records beside them: those tell of a session neither when its
use began nor what was reversed. A partition is read at once, which is a 256th of all.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from ocs.adapters.columns.charged_uses import ONLINE, USES, Uses, told_as_fault, wanted
from ocs.domain.usage import VOICE
from ocs.usecases.rerating_report import Selection
from ocs.usecases.settling_cdrs import Settled

OPEN: Final = "open"
"""In `settled`: it goes on."""
FREE: Final = "free"
"""In `settled`: it was charged online, and came to nothing."""
PAID_IN_UNITS: Final = "a bucket of units paid for it"
REVERSED: Final = "a transaction of it was reversed"
SEVERAL: Final = "it was rated by several numbers or plans"
BEGUN_AGAIN: Final = "it went on after it had ended"

_ENTRIES: Final = "entries/partition=*"
_SECOND_MS: Final = 1_000


def online_uses(folder: Path, selection: Selection, left_out: Counter[str]) -> Iterator[Uses]:
    """Read the uses of an export of the journal by partition; count what goes on. `OSError`."""
    partitions = sorted(folder.glob(_ENTRIES))
    if not partitions:
        raise FileNotFoundError(2, "holds no export of the journal", str(folder))
    for partition in partitions:
        entries = pl.scan_parquet(partition / "*.parquet", hive_partitioning=False)
        with told_as_fault(partition):
            uses = _of_entries(entries.select(_READ).collect()).filter(wanted(selection))
        is_over = pl.col("settled") != OPEN
        left_out.update(uses.filter(~is_over)["settled"].to_list())
        yield uses.filter(is_over)


def last_transactions(folder: Path) -> dict[str, str]:
    """Say up to which transaction an export knows each partition; by the partition's label."""
    last: dict[str, str] = {}
    for partition in sorted(folder.glob(_ENTRIES)):
        parts = sorted(partition.glob("*.parquet"))
        with told_as_fault(partition):
            ids = pl.scan_parquet(parts[-1], hive_partitioning=False).select("transaction_id")
            (found,) = ids.last().collect()["transaction_id"]
        last[found.partition("-")[0]] = found
    return last


_READ: Final = (
    "transaction_id", "tenant", "wallet_group", "account", "session_id", "kind", "state",
    "event_ms", "answer_ms", "subscriber", "direction", "usage_type", "calling_number",
    "rated_number", "plan", "generation", "currency", "uses", "buckets", "info",
)  # fmt: skip
_SESSION: Final = ("tenant", "wallet_group", "account", "session_id")
_RUN: Final = (*_SESSION, "begun_by")
_ENDED: Final = ("closed", "expired")
_EVENT: Final = "event"


def _of_entries(entries: pl.DataFrame) -> pl.DataFrame:
    reversed_ids = (
        entries.filter(pl.col("kind") == "reverse")["info"].str.json_path_match("$[0]").unique()
    )
    charges = (
        entries.filter(pl.col("kind").is_in(["start", "update", "release", _EVENT, "expire"]))
        .with_columns(is_event=pl.col("kind") == _EVENT)
        .with_columns(before=pl.col("state").shift(1).over(*_SESSION, "is_event"))
        .with_columns(begun_by=pl.when(_BEGINS).then("transaction_id"))
        .with_columns(pl.col("begun_by").forward_fill().over(*_SESSION, "is_event"))
    )
    if charges.is_empty():
        return pl.DataFrame(schema=USES)
    uses = _uses(charges)
    runs = charges.group_by(_RUN, maintain_order=True).agg(
        *_said_of_run(reversed_ids), _PAID.sum().alias("paid")
    )
    sums = uses.group_by(_RUN).agg(pl.col("amount").sum().alias("money"))
    told = _added_up(uses).join(runs, on=_RUN, how="left").join(sums, on=_RUN, how="left")
    return _shaped(told)


_BEGINS: Final = (
    pl.col("before").is_null()
    | pl.col("is_event")
    | ((pl.col("before") == "closed") & (pl.col("state") != "closed"))
)
"""A session of a name that was closed and forgotten is another one. An event is one by itself, and
what is around it goes on."""
_PAID: Final = pl.col("buckets").list.eval(pl.element().struct.field("debited")).list.sum()
_HAS_USE: Final = pl.col("uses").list.len() > 0


def _said_of_run(reversed_ids: pl.Series) -> tuple[pl.Expr, ...]:
    """Say of each run of entries, from a start to its end, what is the same in all of them.

    An event names what it has to: an update may leave to the start who calls whom.
    """
    # Behind an expiry it may be another call: nobody knows whether it was forgotten by then.
    does_more = _HAS_USE | ~pl.col("state").is_in(_ENDED)
    went_on = does_more & pl.col("before").is_in(_ENDED) & (pl.col("begun_by") != _ID)
    has_ended = pl.col("state").last().is_in(_ENDED) | (pl.col("kind").last() == _EVENT)
    same = ("plan", "subscriber", "calling_number")
    return (
        *(_told(name) for name in (*same, "rated_number", "generation", "currency")),
        *(pl.col(name).first() for name in ("usage_type", "direction")),
        pl.any_horizontal(_is_several(name) for name in same).alias("is_several"),
        has_ended.alias("has_ended"),
        pl.col("answer_ms").drop_nulls().first().dt.timestamp("ms").alias("told_answer_ms"),
        _ID.is_in(reversed_ids.implode()).any().alias("is_reversed"),
        went_on.any().alias("went_on"),
    )


def _told(name: str) -> pl.Expr:
    return pl.col(name).filter(pl.col(name) != "").first()


def _is_several(name: str) -> pl.Expr:
    return pl.col(name).filter(pl.col(name) != "").n_unique() > 1


_ID: Final = pl.col("transaction_id")


def _uses(charges: pl.DataFrame) -> pl.DataFrame:
    """Give what each entry settled, a row for each rating group of it."""
    of_use = ("rating_group", "rated_number", "tariff", "prefix", "destination", "units", "amount")
    return (
        charges.filter(_HAS_USE)
        .select(*_RUN, "uses", event_ms=pl.col("event_ms").dt.timestamp("ms"))
        .explode("uses")
        .with_columns(pl.col("uses").struct.field(name).alias(name) for name in of_use)
    )


def _added_up(uses: pl.DataFrame) -> pl.DataFrame:
    """Add up what a run settled in each rating group."""
    price = (pl.col(name).first() for name in ("tariff", "prefix", "destination"))
    return uses.group_by(*_RUN, "rating_group", maintain_order=True).agg(
        *price,
        _told("rated_number").alias("own_number"),
        _is_several("rated_number").alias("has_numbers"),
        pl.col("units").sum(),
        pl.col("amount").sum().alias("charged_amount"),
        pl.col("units").first().alias("first_units"),
        pl.col("event_ms").first().alias("first_ms"),
        pl.col("event_ms").max().alias("until_ms"),
    )


_IS_CALL: Final = pl.col("usage_type") == VOICE
_CALL_BEGUN_MS: Final = pl.coalesce(
    "told_answer_ms", pl.col("first_ms") - pl.col("first_units") * _SECOND_MS
)
_DOUBT: Final = (
    pl.when("is_reversed")
    .then(pl.lit(REVERSED))
    .when(pl.col("paid") != pl.col("money"))
    .then(pl.lit(PAID_IN_UNITS))
    .when(pl.col("is_several") | pl.col("has_numbers"))
    .then(pl.lit(SEVERAL))
    .when("went_on")
    .then(pl.lit(BEGUN_AGAIN))
    .otherwise(pl.lit(""))
)
"""What buckets paid is the money that was settled, and whatever they paid in units."""


_TOOK_MONEY: Final = pl.col("charged_amount") != 0
_SETTLED: Final = (
    pl.when(~pl.col("has_ended"))
    .then(pl.lit(OPEN))
    .when(_TOOK_MONEY)
    .then(pl.lit(Settled.DEBITED.value))
    .otherwise(pl.lit(FREE))
)


_ALIKE: Final = (
    "tenant", "account", "wallet_group", "plan", "usage_type", "units", "currency", "tariff",
    "prefix", "destination", "generation", "until_ms", "charged_amount",
)  # fmt: skip


def _shaped(told: pl.DataFrame) -> pl.DataFrame:
    caller = (
        pl.when(pl.col("calling_number") != "")
        .then("calling_number")
        .when(pl.col("direction") != "term")
        .then("subscriber")
        .otherwise(pl.lit(""))
    )
    texts = pl.col(pl.String).fill_null("")
    return (
        told.with_columns(texts)
        .select(
            *_ALIKE,
            source=pl.lit(ONLINE),
            use_id="session_id",
            part=pl.col("begun_by") + "/" + pl.col("rating_group"),
            called=pl.when(pl.col("own_number") != "").then("own_number").otherwise("rated_number"),
            caller=caller,
            trunk=pl.lit(""),
            used_ms=pl.when(_IS_CALL).then(_CALL_BEGUN_MS).otherwise("first_ms"),
            answered=_TOOK_MONEY & (pl.col("units") == 0),
            settled=_SETTLED,
            doubt=_DOUBT,
        )
        .select(pl.col(n).cast(k) for n, k in USES.items())
    )

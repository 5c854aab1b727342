"""Pairing the two sides of calls, and judging each; what it means is in `usecases/reconciliation`.

A call has a row with the columns of both sides, `online_…` and `cdr_…`; where a side is not there
they are null.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl

from ocs.adapters.columns.frames import CDRS
from ocs.adapters.columns.sides import KEY, NAME, online_calls, rated_calls
from ocs.domain.money import currency, parse_decimal
from ocs.domain.usage import VOICE
from ocs.usecases.reconciliation import DIFFERENCES, GAP_MS, Tolerance, Verdict

Reprice = Callable[[pl.DataFrame], pl.Series]
"""What uses cost by the tariffs: columns `frames.CDRS` in, amounts out; null has no price."""

_HAS_ONLINE: Final = pl.col("online").is_not_null()
_HAS_CDR: Final = pl.col("cdr").is_not_null()
_IS_CHARGED: Final = _HAS_ONLINE & ((pl.col("online_units") != 0) | (pl.col("online_amount") != 0))
_IS_OWED: Final = _HAS_CDR & (pl.col("cdr_amount") > 0) & ~pl.col("cdr_is_by_cdr")


def calls_of(online: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    """Gather the records of both sides into calls: one row for each pair, or one side alone."""
    online, rated = _numbered(online, rated)
    left, right = online_calls(online), rated_calls(rated)
    sides = left.join(_pairs(left, right), on="online", how="left")
    return sides.join(right, on="cdr", how="full", coalesce=True).select(
        *(pl.coalesce(name, f"{name}_right") for name in NAME),
        *(name for name in left.columns if name not in (*NAME, *KEY)),
        *(name for name in right.columns if name not in (*NAME, *KEY)),
        online_account=pl.when(_HAS_ONLINE).then("account"),
        cdr_account=pl.when(_HAS_CDR).then("account_right"),
        cdr_direction="direction_right",
    )


def _numbered(online: pl.DataFrame, rated: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number the calls, on both sides alike, as `call`.

    Of records of one name, in the order of their beginning, one begins another call if it is more
    than the gap after the last of those before has ended. Names become numbers first: texts are
    compared once.
    """
    both = pl.concat(
        [side.select(*NAME, "begun_ms", "ended_ms") for side in (online, rated)]
    ).with_row_index("row")
    named = both.select("row", "begun_ms", "ended_ms", name=pl.struct(NAME).rank("dense"))
    in_order = named.sort("name", "begun_ms", "row")
    ended = pl.col("ended_ms").cum_max().shift().over("name")
    is_first = (pl.col("begun_ms") > ended + GAP_MS).fill_null(value=True)
    calls = (
        in_order.select("row", call=is_first.cast(pl.Int64))
        .with_columns(pl.col("call").cum_sum())
        .sort("row")["call"]
    )
    return (
        online.with_columns(calls.head(len(online))),
        rated.with_columns(calls.tail(len(rated))),
    )


def _pairs(online: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    """Return which `online` belongs to which `cdr`; each is in one pair at most."""
    found = online.select(*KEY, "online").join(rated.select(*KEY, "cdr"), on=KEY, how="inner")
    pairs = [found.select("online", "cdr")]
    for key in (("call", "account"), ("call",)):
        online = online.join(pairs[-1], on="online", how="anti")
        rated = rated.join(pairs[-1], on="cdr", how="anti")
        if key == ("call",):  # of different accounts: only what has no other explanation
            online, rated = online.filter(_charged(online)), rated.filter(_owed(rated))
        left, right = _ranked(online, key, "online"), _ranked(rated, key, "cdr")
        found = left.join(right, on=[*key, "rank"], how="inner")
        pairs.append(found.select("online", "cdr"))
    return pl.concat(pairs)


def _ranked(calls: pl.DataFrame, key: Sequence[str], side: str) -> pl.DataFrame:
    """Number those that have the key in common."""
    in_order = calls.sort(*key, f"{side}_begun_ms", "account", "direction")
    return in_order.select(*key, side, rank=pl.int_range(pl.len()).over(key))


def _charged(online: pl.DataFrame) -> pl.Series:
    return online.select(_IS_CHARGED).to_series()


def _owed(rated: pl.DataFrame) -> pl.Series:
    return rated.select(_IS_OWED).to_series()


def judged(calls: pl.DataFrame, tolerance: Tolerance, reprice: Reprice) -> pl.DataFrame:
    """Say of each call its `verdict`."""
    told = calls.with_columns(_amounts_allowed(calls, tolerance), _units_allowed(tolerance))
    amounts_apart = (pl.col("cdr_amount") - pl.col("online_amount")).abs()
    units_apart = (pl.col("cdr_units") - pl.col("online_units")).abs()
    told = told.with_columns(
        is_near=units_apart <= pl.col("units_allowed"),
        is_alike=amounts_apart <= pl.col("amounts_allowed"),
    ).with_row_index("row")
    explained = _explained(told, reprice)
    rules = _rules(is_explained=pl.col("row").is_in(explained.implode()))
    words = [pl.when(is_it).then(pl.lit(word.value)) for is_it, word in rules]
    return told.with_columns(verdict=pl.coalesce(*words, pl.lit(Verdict.AGREED.value)))


def differing(calls: pl.DataFrame) -> pl.DataFrame:
    """Keep what is a difference."""
    return calls.filter(pl.col("verdict").is_in([each.value for each in DIFFERENCES]))


def _rules(is_explained: pl.Expr) -> Sequence[tuple[pl.Expr, Verdict]]:
    """Return what is asked of a call, one after the other."""
    is_by_cdr = pl.col("cdr_is_by_cdr").fill_null(value=False)
    is_debited = pl.col("cdr_is_debited").fill_null(value=False)
    is_used = _IS_CHARGED | (pl.col("cdr_units") != 0) | (pl.col("cdr_amount") != 0)
    is_foreign = (pl.col("online_currency") != pl.col("cdr_currency")).fill_null(value=False)
    return (
        (pl.col("online_is_open").fill_null(value=False), Verdict.OPEN),
        (is_debited & _IS_CHARGED, Verdict.DOUBLE),
        (~_HAS_CDR & _IS_CHARGED, Verdict.NO_CDR),
        (is_by_cdr & ~_IS_CHARGED, Verdict.BY_CDR),
        (~_HAS_ONLINE & _IS_OWED, Verdict.NO_CHARGE),
        (~_HAS_ONLINE | ~_HAS_CDR | ~is_used, Verdict.NOTHING),
        (pl.col("online_account") != pl.col("cdr_account"), Verdict.ACCOUNT),
        (is_foreign, Verdict.CURRENCY),
        (~pl.col("is_near"), Verdict.UNITS),
        (pl.col("online_of_buckets") != 0, Verdict.UNITS_ONLY),
        (~pl.col("is_alike") & ~is_explained, Verdict.AMOUNT),
    )


def _units_allowed(tolerance: Tolerance) -> pl.Expr:
    of_one = pl.when(pl.col("usage_type") == VOICE).then(tolerance.seconds)
    return (of_one.otherwise(tolerance.other_units) * pl.col("cdr_count")).alias("units_allowed")


def _amounts_allowed(calls: pl.DataFrame, tolerance: Tolerance) -> pl.Expr:
    """Bring the amount that is tolerated into the steps of each currency, rounded down."""
    whole = parse_decimal(tolerance.amount)
    named = calls["cdr_currency"].drop_nulls().unique().to_list()
    steps: Mapping[str, int] = {code: int(whole * currency(code).units_a_whole) for code in named}
    of_one = pl.lit(0)
    if steps:
        of_one = pl.col("cdr_currency").replace_strict(steps, default=0, return_dtype=pl.Int64)
    return (of_one * pl.col("cdr_count")).alias("amounts_allowed")


def _explained(calls: pl.DataFrame, reprice: Reprice) -> pl.Series:
    """Return the rows of those calls whose CDR would cost what was charged, had it its units.

    Only where the tariffs still say of the CDR what it was rated at: else they have changed since,
    and would explain nothing.
    """
    asked = calls.filter(
        pl.col("is_near")
        & ~pl.col("is_alike")
        & (pl.col("cdr_units") != pl.col("online_units"))
        & (pl.col("cdr_count") == 1)
        & pl.col("cdr_plan").is_not_null()
    )
    if asked.is_empty():
        return asked["row"]
    answered = (pl.col("online_units") > 0) | (pl.col("online_amount") > 0)
    as_rated = reprice(_as_cdrs(asked, pl.col("cdr_units"), pl.col("cdr_answered")))
    as_charged = reprice(_as_cdrs(asked, pl.col("online_units"), answered))
    is_same = (as_rated == asked["cdr_amount"]) & (as_charged == asked["online_amount"])
    return asked.filter(is_same.fill_null(value=False))["row"]


def _as_cdrs(calls: pl.DataFrame, units: pl.Expr, answered: pl.Expr) -> pl.DataFrame:
    """Make the CDRs that would have these units, as `call_rating` asks for their price."""
    caller = (
        pl.when(pl.col("cdr_calling_number") != "")
        .then("cdr_calling_number")
        .when(pl.col("cdr_direction") != "term")
        .then("cdr_identity")
    )
    return calls.select(
        "tenant",
        "usage_type",
        plan="cdr_plan",
        called="cdr_called",
        caller=caller,
        trunk="cdr_trunk_in",
        answer_ms="cdr_begun_ms",
        units=units,
        answered=answered,
    ).select(CDRS.keys())

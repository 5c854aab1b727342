"""Uses that were charged, priced again: what each would cost now, and what it was charged so far.

    old amount = what was charged + what earlier re-ratings have moved for it
    difference = new amount - old amount

A difference is null where there is no new price, or where it cannot be told; `reason` says why a
use is not put right, and is empty where it is.

What was charged online is priced by what the journal tells of it. It does not tell the trunk; and
of data and messages, which are priced by the time of each report, it is taken for one use. So where
the new tariffs ask for the trunk, or change their price while the use goes on, it is in doubt.

Earlier adjustments are looked up by 128 bits of a hash of what a use is known by: that is 24 bytes
for each use that was adjusted, and all of a period have to be in memory at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import polars as pl

from ocs.adapters.columns.charged_uses import KEY, ONLINE
from ocs.adapters.columns.flat import sections_of
from ocs.adapters.columns.frames import parted
from ocs.adapters.columns.rater import ColumnRater
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan, rates_until
from ocs.domain.results import ResultCode
from ocs.domain.tariff import ANY_CURRENCY, Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE, Zone
from ocs.usecases.settling_cdrs import Settled

DIFFERENCES: Final[dict[str, Any]] = {
    "source": pl.String,
    "tenant": pl.String,
    "account": pl.String,
    "wallet_group": pl.String,
    "use_id": pl.String,
    "part": pl.String,
    "day": pl.Date,
    "used_ms": pl.Int64,
    "usage_type": pl.String,
    "called_number": pl.String,
    "units": pl.Int64,
    "currency": pl.String,
    "charged_amount": pl.Int64,
    "adjusted_amount": pl.Int64,
    "old_amount": pl.Int64,
    "new_amount": pl.Int64,
    "difference": pl.Int64,
    "applies": pl.Boolean,
    "reason": pl.String,
    "code": pl.String,
    "plan": pl.String,
    "old_tariff": pl.String,
    "old_prefix": pl.String,
    "destination": pl.String,
    "old_generation": pl.String,
    "new_tariff": pl.String,
    "new_prefix": pl.String,
    "new_destination": pl.String,
    "new_generation": pl.String,
}
"""One use whose price differs. `day` is that of the tenant's clocks; `destination` the old one."""

ADJUSTED: Final[dict[str, Any]] = {
    "h1": pl.UInt64,
    "h2": pl.UInt64,
    "adjusted_amount": pl.Int64,
    "is_left_alone": pl.Boolean,
}
"""What was moved for a use, by the two hashes of its key; and whether nobody can tell of a part."""

NOT_TOLD_TRUNK: Final = "the price depends on the trunk, which the journal does not tell"
LEFT_ALONE: Final = "nobody can tell whether a page has adjusted it"
PRICE_CHANGES: Final = "the price changes while it goes on"
_OTHER_CURRENCY: Final = "the price is in another currency"
_OK: Final = ResultCode.OK.value
_FAILED: Final = ResultCode.RATING_FAILED.value


def key_hashes() -> tuple[pl.Expr, pl.Expr]:
    """Give the hashes of a use's key, `h1` and `h2`; they hold within one process."""
    key = pl.struct(KEY)
    return key.hash(seed=1).alias("h1"), key.hash(seed=2).alias("h2")


class Comparer:
    """Prices uses by other tariffs. `plans` go together with the generation (`check_plan`)."""

    def __init__(
        self,
        generation: Generation,
        plans: Mapping[str, Plan],
        zones: Mapping[str, Zone],
        adjusted: pl.DataFrame,
    ) -> None:
        self._generation = generation
        self._plans = dict(plans)
        self._zones = dict(zones)
        self._rater = ColumnRater(generation, plans, zones)
        self._adjusted = adjusted

    def compare(self, uses: pl.DataFrame) -> pl.DataFrame:
        """Return the uses whose price differs, or cannot be told although they were charged."""
        asked = uses.select(
            "tenant", "plan", "usage_type", "called", "caller", "trunk", "units", "answered",
            answer_ms="used_ms",
        )  # fmt: skip
        prices = self._rater.rate(asked).rename(lambda name: f"new_{name}")
        rows = self._doubted(uses).hstack(prices).with_columns(*key_hashes())
        known = rows.join(self._adjusted, on=["h1", "h2"], how="left", maintain_order="left")
        judged = (
            known.with_columns(
                pl.col("adjusted_amount").fill_null(0),
                doubt=pl.when("is_left_alone").then(pl.lit(LEFT_ALONE)).otherwise("doubt"),
            )
            .with_columns(
                code=pl.when(_IS_FOREIGN).then(pl.lit(_FAILED)).otherwise("new_code"),
                old_amount=pl.col("charged_amount") + pl.col("adjusted_amount"),
                reason=_REASON,
            )
            .with_columns(new_amount=pl.when(_IS_TOLD).then("new_amount"))
            .with_columns(difference=pl.col("new_amount") - pl.col("old_amount"))
            .filter(_IS_DIFFERENT)
        )
        return judged.select(
            *(pl.col(name).cast(kind) for name, kind in DIFFERENCES.items() if name in _AS_IT_IS),
            day=self._day(),
            called_number="called",
            currency=pl.when(pl.col("currency") != "").then("currency").otherwise("new_currency"),
            applies=pl.col("reason") == "",
            old_tariff="tariff",
            old_prefix="prefix",
            old_generation="generation",
        ).select(pl.col(name).cast(kind) for name, kind in DIFFERENCES.items())

    def _day(self) -> pl.Expr:
        moment = pl.from_epoch(pl.col("used_ms"), "ms").dt.replace_time_zone("UTC")
        days = [
            pl.when(pl.col("tenant") == tenant).then(
                moment.dt.convert_time_zone(zone.name).dt.date()
            )
            for tenant, zone in self._zones.items()
        ]
        return pl.coalesce(*days, moment.dt.date())

    def _doubted(self, uses: pl.DataFrame) -> pl.DataFrame:
        """Say of what was charged online where one price cannot stand for all of it."""
        rows = uses.with_row_index("row")
        online = rows.filter((pl.col("source") == ONLINE) & (pl.col("doubt") == ""))
        marks = [
            mark
            for (tenant, plan, usage_type), group in parted(
                online, "tenant", "plan", "usage_type"
            ).items()
            if plan in self._plans
            for mark in self._marks(group, self._plans[plan], usage_type, tenant)
        ]
        if not marks:
            return uses
        told = pl.DataFrame(marks, schema={"row": pl.UInt32, "mark": pl.String}, orient="row")
        marked = rows.join(told, on="row", how="left", maintain_order="left")
        return marked.with_columns(doubt=pl.coalesce("mark", "doubt")).select(uses.columns)

    def _marks(
        self, uses: pl.DataFrame, plan: Plan, usage_type: str, tenant: str
    ) -> Iterator[tuple[int, str]]:
        zone = self._zones.get(tenant, UTC_ZONE)
        if self._generation.is_plain(plan.tariffs, Used("", usage_type, 0, zone)):
            return
        sections = sections_of(self._generation, plan.tariffs, usage_type, zone)
        if any(section.deck.head.trunk for section in sections):
            yield from ((row, NOT_TOLD_TRUNK) for row in uses["row"])
        elif usage_type != VOICE:
            longer = uses.filter(pl.col("until_ms") > pl.col("used_ms"))
            for use in longer.iter_rows(named=True):
                used = Used(use["called"], usage_type, use["used_ms"], zone, use["caller"])
                if len(rates_until(self._generation, plan, used, use["until_ms"] + 1)) > 1:
                    yield use["row"], PRICE_CHANGES


_AS_IT_IS: Final = (
    "source", "tenant", "account", "wallet_group", "use_id", "part", "used_ms", "usage_type",
    "units", "charged_amount", "adjusted_amount", "old_amount", "new_amount", "difference",
    "reason", "code", "plan", "destination", "new_tariff", "new_prefix", "new_destination",
    "new_generation",
)  # fmt: skip
_IS_FOREIGN: Final = (
    (pl.col("new_code") == _OK)
    & (pl.col("currency") != "")
    & (pl.col("new_currency") != ANY_CURRENCY)
    & (pl.col("new_currency") != pl.col("currency"))
)
_REASON: Final = (
    pl.when(pl.col("doubt") != "")
    .then("doubt")
    .when(_IS_FOREIGN)
    .then(pl.lit(_OTHER_CURRENCY))
    .when(pl.col("new_code") != _OK)
    .then(pl.lit("no price by these tariffs: ") + pl.col("new_code"))
    .when(pl.col("settled") != Settled.DEBITED.value)
    .then(pl.lit("nothing was taken for it: ") + pl.col("settled"))
    .otherwise(pl.lit(""))
)
_IS_TOLD: Final = (pl.col("doubt") == "") & (pl.col("code") == _OK)
_IS_DIFFERENT: Final = (pl.col("difference") != 0).fill_null(pl.col("old_amount") != 0)

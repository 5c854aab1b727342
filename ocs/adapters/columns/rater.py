"""Rating a frame of CDRs: cut it by who pays by what, price the parts, put them back in order.

A part is priced by columns (`paths.py`); what they leave is priced call by call, with the same
`Generation.schedule` and `rate_use` that everybody else asks.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

import polars as pl

from ocs.adapters.columns.flat import sections_of
from ocs.adapters.columns.frames import INDEXED, PRICES, cdrs_of, joined, parted
from ocs.adapters.columns.paths import MOST_ROWS_KEPT, Path
from ocs.domain.explain import segments_of
from ocs.domain.generation import Generation
from ocs.domain.money import MAX_AMOUNT
from ocs.domain.plan import Plan
from ocs.domain.rating import Rated, rate_use
from ocs.domain.results import ResultCode
from ocs.domain.tariff import PlanTariff, Rate, Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE, Zone

_SECOND_MS: Final = 1_000


class ColumnRater:
    """Rates frames of CDRs by one generation; remembers what it made of the tariffs.

    `plans` go by name, and `check_plan` finds no fault in them; `zones` go by tenant, and who is
    not named there is in UTC.
    """

    def __init__(
        self, generation: Generation, plans: Mapping[str, Plan], zones: Mapping[str, Zone]
    ) -> None:
        self._generation = generation
        self._plans = dict(plans)
        self._zones = dict(zones)
        self._paths: dict[tuple[tuple[PlanTariff, ...], str, str], Path] = {}

    def rate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the prices of CDRs, row by row: columns `CDRS` in, columns `PRICES` out."""
        cdrs = cdrs_of(frame)
        rated = [pl.DataFrame(schema=INDEXED)]
        if not cdrs["is_sound"].all():
            rated.append(_failed(cdrs.filter(~pl.col("is_sound"))))
            cdrs = cdrs.filter("is_sound")
        for (tenant, name, usage_type), group in parted(
            cdrs, "tenant", "plan", "usage_type"
        ).items():
            plan, zone = self._plans.get(name), self._zones.get(tenant, UTC_ZONE)
            if plan is None:
                rated.append(_failed(group))
            else:
                rated += self._rate(group, plan, usage_type, zone)
        prices = joined(rated)
        if not prices["index"].is_sorted():
            prices = prices.sort("index")
        generation = pl.lit(self._generation.id).alias("generation")
        return prices.with_columns(generation).select(*PRICES)

    def _rate(
        self, cdrs: pl.DataFrame, plan: Plan, usage_type: str, zone: Zone
    ) -> Iterator[pl.DataFrame]:
        """Price the sound CDRs of one plan and usage type, in one zone."""
        for prefix in sorted(plan.blocked_prefixes + plan.free_prefixes, key=len, reverse=True):
            begins = pl.col("called").str.starts_with(prefix)
            rate = plan.exempt(prefix, usage_type)
            assert rate is not None, prefix
            yield _exempt(cdrs.filter(begins), rate)
            cdrs = cdrs.filter(~begins)
        if cdrs.is_empty():
            return
        prices = self._path(plan, usage_type, zone).rate(cdrs)
        if prices["is_told"].all():
            yield prices.select(*INDEXED)
            return
        yield prices.filter("is_told").select(*INDEXED)
        left = cdrs.join(prices.filter(~pl.col("is_told")), on="index", how="semi")
        yield self._one_by_one(left, plan, usage_type, zone)

    def _path(self, plan: Plan, usage_type: str, zone: Zone) -> Path:
        """Return what plans with the same tariffs and tenants with the same zone share."""
        key = plan.tariffs, usage_type, zone.name
        if key not in self._paths:
            if sum(map(len, self._paths.values())) > MOST_ROWS_KEPT:
                self._paths.clear()
            sections = sections_of(self._generation, plan.tariffs, usage_type, zone)
            self._paths[key] = Path(sections, timed=usage_type == VOICE)
        return self._paths[key]

    def _one_by_one(
        self, cdrs: pl.DataFrame, plan: Plan, usage_type: str, zone: Zone
    ) -> pl.DataFrame:
        """Price what columns could not, as it is priced online."""
        rows = []
        for cdr in cdrs.iter_rows(named=True):
            used = Used(
                cdr["called"], usage_type, cdr["answer_ms"], zone, cdr["caller"], cdr["trunk"]
            )
            priced = _price(self._generation, plan, used, cdr["units"], answered=cdr["answered"])
            rows.append((cdr["index"], *priced))
        return pl.DataFrame(rows, schema=INDEXED, orient="row")


_Priced = tuple[
    int | None, str | None, str | None, str | None, str | None, str | None, str, int | None
]
_UNKNOWN: Final = (None, None, None, None, None, None)


def _price(
    generation: Generation, plan: Plan, used: Used, units: int, *, answered: bool
) -> _Priced:
    """Price one use; the members are those of `INDEXED` behind the index."""
    timed = used.usage_type == VOICE
    until_ms = used.at_ms + units * _SECOND_MS if timed else used.at_ms
    schedule = generation.schedule(plan.tariffs, used, until_ms)
    if not schedule:
        return (*_UNKNOWN, ResultCode.NO_RATE, None)
    rate = schedule[0][1]
    if rate.blocked:
        return (None, *_about(rate), ResultCode.RATE_BLOCKED, None)
    rated = rate_use(segments_of(schedule), units, used.at_ms, timed=timed, answered=answered)
    if rated.total > MAX_AMOUNT:
        return (None, *_about(rate), ResultCode.RATING_FAILED, None)
    return (rated.total, *_about(rate), ResultCode.OK, _fee_of(rated))


def _fee_of(rated: Rated) -> int:
    """Return what of a price is the fee, rounded down."""
    fee = sum((step.amount for step in rated.parts[0].steps if step.what == "fee"), Fraction(0))
    return min(int(fee), rated.total)


def _about(rate: Rate) -> tuple[str, str, str, str, str]:
    return rate.currency, rate.tariff, rate.prefix, rate.destination, rate.model


def _exempt(cdrs: pl.DataFrame, rate: Rate) -> pl.DataFrame:
    """Price what a plan itself blocks or gives away."""
    code = ResultCode.RATE_BLOCKED if rate.blocked else ResultCode.OK
    free = None if rate.blocked else 0
    return _alike(cdrs, (free, *_about(rate), code, free))


def _failed(cdrs: pl.DataFrame) -> pl.DataFrame:
    return _alike(cdrs, (*_UNKNOWN, ResultCode.RATING_FAILED, None))


def _alike(cdrs: pl.DataFrame, priced: _Priced) -> pl.DataFrame:
    values = zip(list(INDEXED)[1:], priced, strict=True)
    return cdrs.select("index", *(pl.lit(each, INDEXED[name]).alias(name) for name, each in values))

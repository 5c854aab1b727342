"""CDRs as they were read: who pays for each, and what it costs; or why that cannot be said.

    numbers     cleaned by the tenant's rules, as those of an event are
    identity    who used: the subscriber, else the calling number, else the trunk it came in by
    directory   identity -> account and plan, each identity of a table once
    prices      `ColumnRater`

Two kinds of CDRs cost nothing, whoever made them and whatever the tariffs say, and are rows of the
output with the code NOT_CHARGED: calls and messages for help, which online are answered without
looking anything up; and what was neither answered nor used, if it has no price: a switch writes
down every attempt, and a wrong number is no debt.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl
from msgspec import Struct

from ocs.adapters.columns.bills import SETTLED
from ocs.adapters.columns.clocks import shown
from ocs.adapters.columns.frames import PRICES, beside, parted
from ocs.adapters.columns.numbers import cleaned, for_help
from ocs.adapters.columns.rater import ColumnRater
from ocs.domain.numbers import NumberRules
from ocs.domain.results import ResultCode
from ocs.domain.tariff import ANY_CURRENCY
from ocs.domain.usage import DATA, VOICE
from ocs.domain.zones import Zone
from ocs.usecases.offline_rating import RECORDED, Money, People, Rated, Table
from ocs.usecases.rejects import UNKNOWN_TENANT, Reject

_SECOND_MS: Final = 1_000
_PLACES: Final = ("file", "line")
_OK: Final = ResultCode.OK.value
_NOT_CHARGED: Final = ResultCode.NOT_CHARGED.value
_UNKNOWN: Final = ResultCode.UNKNOWN_SUBSCRIBER.value
_FAILED: Final = ResultCode.RATING_FAILED.value
_json: Final = msgspec.json.Encoder().encode

ADDED: Final[dict[str, Any]] = {
    "identity": pl.String,
    "account": pl.String,
    "wallet_group": pl.String,
    "plan": pl.String,
    "called_number": pl.String,
    "calling_number": pl.String,
    "used_ms": pl.Int64,
    "day": pl.Date,
    "hour": pl.Int8,
    **{name: PRICES[name] for name in ("amount", "fee_amount")},  # beside each other
    **PRICES,
    **SETTLED,
}
"""What a row of the output has beside the columns of its CDR; docs/offline.md says what each means.

What is not known is null: the price of what is not charged has no tariff.
"""

_JUDGED: Final[dict[str, Any]] = {"row": pl.UInt32, **ADDED}
_LOOKED_AT: Final = (
    "subscriber", "calling", "called", "trunk_in", "start_ms", "answer_ms", "end_ms", "units",
    "usage_type", "direction", "answered",
)  # fmt: skip


class TenantTerms(Struct, frozen=True):
    """What is a tenant's: how its numbers are written, and by which clocks it lives."""

    rules: NumberRules
    zone: Zone


class CallRater:
    """Implements the port `Rater`. `generation` is that of `rater`."""

    def __init__(
        self,
        rater: ColumnRater,
        tenants: Mapping[str, TenantTerms],
        people: People,
        generation: str,
    ) -> None:
        self._rater = rater
        self._tenants = dict(tenants)
        self._people = people
        self._generation = generation

    def rate(self, table: Table) -> Rated:
        """As `Rater.rate`; the table has the columns that the readers of CDRs give."""
        assert isinstance(table, pl.DataFrame)
        judged: list[pl.DataFrame] = []
        rejects: list[Reject] = []
        numbered = table.select("tenant", *_LOOKED_AT).with_row_index("row")
        for (tenant,), group in parted(numbered, "tenant").items():
            if tenant in self._tenants:
                judged.append(self._priced(self._prepared(group, tenant)))
            else:
                unknown = table.select(pl.all().gather(group["row"]))
                rejects += _rejected(unknown.with_columns(code=pl.lit(UNKNOWN_TENANT)), table)
        rated, unrated = _parted(table, _in_order(judged))
        rejects += _rejected(unrated, table)
        kept = rated.select(*table.columns, *ADDED)
        return Rated(
            table=kept,
            rejects=sorted(rejects, key=lambda reject: reject.line),
            money=_money(kept),
            newest_ms=_newest_ms(kept),
            generation=self._generation,
        )

    def _prepared(self, cdrs: pl.DataFrame, tenant: str) -> pl.DataFrame:
        """Say of CDRs of one tenant who pays and when the use began."""
        terms = self._tenants[tenant]
        called = cleaned(cdrs["called"], terms.rules)
        identity = pl.coalesce(
            pl.when(pl.col(name) != "").then(pl.col(name))
            for name in ("own", "calling_number", "trunk_in")
        )
        cdrs = cdrs.with_columns(
            called_number=called,
            calling_number=cleaned(cdrs["calling"], terms.rules),
            own=cleaned(cdrs["subscriber"], terms.rules),
            is_help=for_help(cdrs["called"], called, terms.rules) & (cdrs["usage_type"] != DATA),
            used_ms=_USED_MS,
        ).with_columns(identity=identity.fill_null(""))
        people = cdrs.select("identity").join(
            self._found(tenant, cdrs["identity"]), on="identity", how="left", maintain_order="left"
        )
        return beside(cdrs, people.drop("identity"), shown(cdrs["used_ms"], terms.zone))

    def _found(self, tenant: str, identities: pl.Series) -> pl.DataFrame:
        """Return what the directory knows of each identity that it knows."""
        found = self._people.find(tenant, identities.unique().to_list())
        rows = [
            (name, who.account, who.wallet_group, who.plan, who.currency)
            for name, who in found.items()
        ]
        return pl.DataFrame(rows, schema=_WHO, orient="row")

    def _priced(self, cdrs: pl.DataFrame) -> pl.DataFrame:
        """Give each CDR its price and its `code`."""
        called = pl.col("called_number")
        caller = (
            pl.when(pl.col("calling_number") != "")
            .then(pl.col("calling_number"))
            .when(pl.col("direction") != "term")
            .then(pl.col("identity"))
            .otherwise(pl.lit(""))
        )
        prices = self._rater.rate(
            cdrs.select(
                "tenant", "plan", "usage_type", "units", "answered",
                called=called,
                caller=caller,
                trunk="trunk_in",
                answer_ms="used_ms",
            )
        )  # fmt: skip
        priced = beside(cdrs, prices).with_columns(code=_CODE)
        is_owed = priced["code"] == _OK
        if not is_owed.all():
            about = [pl.when(is_owed).then(name) for name in prices.columns if name not in _ALWAYS]
            amounts = [pl.when(is_owed).then(n).otherwise(0) for n in ("amount", "fee_amount")]
            priced = priced.with_columns(*about, *amounts)
        return priced.with_columns(
            currency=_CURRENCY,
            settled=pl.lit(RECORDED),
            settled_amount=pl.lit(0),
            settled_reason=pl.lit(""),
        ).select(pl.col(name).cast(kind) for name, kind in _JUDGED.items())


_WHO: Final[dict[str, Any]] = {
    "identity": pl.String,
    "account": pl.String,
    "wallet_group": pl.String,
    "plan": pl.String,
    "account_currency": pl.String,
}
_TALKED: Final = (pl.col("usage_type") == VOICE) & (pl.col("units") > 0)
_USED_MS: Final = pl.coalesce(
    "answer_ms",
    pl.when(_TALKED).then(pl.col("end_ms") - pl.col("units") * _SECOND_MS),
    "start_ms",
    "end_ms",
)
"""When the use began, as online: of a call the answer, else its end without what was talked."""

_ALWAYS: Final = ("amount", "fee_amount", "code", "generation")
"""Of the columns of a price, those that are never null in the output."""

_IS_UNUSED: Final = ~pl.col("answered") & (pl.col("units") == 0)
_IS_FOREIGN: Final = (
    (pl.col("account_currency") != "")
    & (pl.col("currency") != ANY_CURRENCY)
    & (pl.col("currency") != pl.col("account_currency"))
)
_CODE: Final = (
    pl.when("is_help")
    .then(pl.lit(_NOT_CHARGED))
    .when(_IS_UNUSED & (pl.col("account").is_null() | (pl.col("code") != _OK)))
    .then(pl.lit(_NOT_CHARGED))
    .when(pl.col("account").is_null())
    .then(pl.lit(_UNKNOWN))
    .when((pl.col("code") == _OK) & _IS_FOREIGN.fill_null(value=False))
    .then(pl.lit(_FAILED))
    .otherwise("code")
)
_CURRENCY: Final = (
    pl.when(pl.col("currency") == ANY_CURRENCY)
    .then("account_currency")
    .otherwise("currency")
    .fill_null("")
)
"""What is free in any currency is so in the account's."""


def _in_order(judged: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Put what was found out of several tenants' CDRs into the order in which they were read."""
    if not judged:
        return pl.DataFrame(schema=_JUDGED)
    if len(judged) == 1:
        return judged[0]
    return pl.concat(judged).sort("row")


def _parted(table: pl.DataFrame, judged: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put CDRs and what was found out together: those that have a price, and those that have none.

    What nobody was asked about is in neither.
    """
    if len(judged) < len(table):
        table = table.select(pl.all().gather(judged["row"]))
    both = beside(table, judged.drop("row"))
    has_price = (both["code"] == _OK) | (both["code"] == _NOT_CHARGED)
    if has_price.all():
        return both, both.clear()
    return both.filter(has_price), both.select(pl.all().gather((~has_price).arg_true()))


def _rejected(cdrs: pl.DataFrame, table: pl.DataFrame) -> list[Reject]:
    """Turn CDRs of a table that have no price into rejects; their text is the CDR."""
    rejects = []
    own = [name for name in table.columns if name not in _PLACES]
    for row in cdrs.iter_rows(named=True):
        column, reason = _why(row)
        text = _json({name: row[name] for name in own if row[name] not in (None, "")}).decode()
        rejects.append(Reject(row["file"], row["line"], column, reason, row["code"], text))
    return rejects


def _why(row: Mapping[str, Any]) -> tuple[str, str]:
    """Say what is wrong with a CDR, and in which column."""
    code = row["code"]
    if code == UNKNOWN_TENANT:
        return "tenant", f"there is no tenant {row['tenant']!r}"
    if code == _UNKNOWN and not row["identity"]:
        return "subscriber", "is empty like calling and trunk_in: nobody is named"
    if code == _UNKNOWN:
        return "subscriber", f"there is no subscriber {row['identity']!r}"
    if code == ResultCode.NO_RATE:
        return "called", f"plan {row['plan']} has no price for {row['called_number']!r}"
    if code == ResultCode.RATE_BLOCKED:
        return "called", f"plan {row['plan']} blocks {row['called_number']!r}"
    if row["used_ms"] is None:
        return "start_ms", "it does not say when it was used"
    return "", f"has no price by plan {row['plan']}: plan, currency or units cannot be used"


def _money(rated: pl.DataFrame) -> tuple[Money, ...]:
    groups = parted(rated.select("tenant", "currency", "amount"), "tenant", "currency")
    sums = [
        Money(tenant, currency, len(group), int(group["amount"].cast(pl.Int128).sum()))
        for (tenant, currency), group in groups.items()
    ]
    return tuple(sorted(sums))


def _newest_ms(rated: pl.DataFrame) -> int:
    return 0 if rated.is_empty() else rated.select(pl.col("used_ms").max()).item()

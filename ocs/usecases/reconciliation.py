"""Reconciliation: what was charged online, held against what the CDRs of the switches come to.

    journal ──► call records ──┐
                               ├──► calls: both sides of each ──► a verdict ──► days, differences
    rated CDRs (Parquet) ──────┘

A *call* is what a tenant, a usage type and a session name, of one time: records of that name that
lie further apart than `gap_ms` are different calls, since names may come again. Within it the sides
are paired by account and direction, then by account, and then whatever is left: so each leg meets
its own, and a call of which the sides name different accounts is one difference and not two.
Several records of a side (reports after the release, partial CDRs, services) are added up; a CDR
that is there twice counts once.

The order of `Verdict` is that in which a call is judged: the first that holds is told, so a call is
in one line of the summary, and at most one difference.

How far two numbers may be apart is said by `Tolerance`. Where a number of units is within it and
the cost is not, the call is priced again for the units that were charged online: one second more
may begin an increment of a minute, and that is no difference, but only if it costs exactly this.

Rejected: to hold sessions day against day (a call over midnight would be two differences, and
clocks differ); to take what comes next in time for a session without CDR (a guess is no evidence).
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Verdict(StrEnum):
    """What is to be said of a call."""

    OPEN = "open"
    """It is not over online; its CDR may be there or not."""
    DOUBLE = "double"
    """Charged online, and debited from its CDR too."""
    NO_CDR = "no_cdr"
    """Charged online, and no CDR has it."""
    BY_CDR = "by_cdr"
    """Not charged online, and not to be: CDRs settle the account, or nobody does."""
    NO_CHARGE = "no_charge"
    """Its CDR costs something, and it was not charged online."""
    NOTHING = "nothing"
    """Nothing was charged, and nothing is owed: attempts, calls for help, free ones of one side."""
    ACCOUNT = "account"
    """The sides name different accounts."""
    CURRENCY = "currency"
    UNITS = "units"
    """What was used differs; what it costs may differ too."""
    UNITS_ONLY = "units_only"
    """Buckets of units paid, so costs cannot be compared; what was used agrees."""
    AMOUNT = "amount"
    """What was used agrees, and what it costs does not."""
    AGREED = "agreed"


DIFFERENCES: Final = (
    Verdict.DOUBLE,
    Verdict.NO_CDR,
    Verdict.NO_CHARGE,
    Verdict.ACCOUNT,
    Verdict.CURRENCY,
    Verdict.UNITS,
    Verdict.AMOUNT,
)

GAP_MS: Final = 3_600_000
"""For so long the ledger remembers a session that is over: until then its name is the same one."""


class Tolerance(Struct, frozen=True, kw_only=True):
    """How far the sides of a call may be apart, for each CDR that it has.

    `seconds` is 1 because two clocks of whole seconds, read at two instants, differ by so much when
    both are right. Bytes and messages are counted once, by one counter. `amount` is in the whole of
    any currency (0.01 is a cent of EUR); it is "0" because prices are integers on both sides.
    """

    seconds: int = 1
    other_units: int = 0
    amount: str = "0"


class Period(Struct, frozen=True, kw_only=True):
    """Days of the tenants' clocks, the last one included; `None`: all there are on that end.

    `reach_days`: records of so many days before and after are looked at too, since the sides of one
    call may lie on different days. A session that lasts longer than that may be told wrongly.
    """

    first: date | None = None
    last: date | None = None
    reach_days: int = 2


class Money(Struct, frozen=True, order=True):
    """What the calls of a day come to in one currency, without those open or settled by CDR."""

    currency: str
    online: int
    cdrs: int


class Day(Struct, frozen=True):
    """What was found of a tenant's calls of a day; `duplicates` are CDRs that are there twice."""

    tenant: str
    day: date
    found: Mapping[str, int]
    duplicates: int
    money: tuple[Money, ...]

    @property
    def calls(self) -> int:
        return sum(self.found.values())

    @property
    def differences(self) -> int:
        return sum(self.found.get(each, 0) for each in DIFFERENCES)


class Difference(Struct, frozen=True, kw_only=True):
    """A call of which the sides differ; what a side does not say, or is not there, is null.

    Times are milliseconds since 1970, of the clocks of the switch. `online_transaction` is the last
    entry of the journal. `cdr_file` and `cdr_line` are those of the first CDR, `cdr_debited_amount`
    is what was debited for all of them.
    """

    tenant: str
    day: date
    verdict: str
    session_id: str
    usage_type: str
    online_account: str | None
    online_units: int | None
    online_amount: int | None
    online_currency: str | None
    online_begun_ms: int | None
    online_called: str | None
    online_records: int | None
    online_transaction: str | None
    cdr_account: str | None
    cdr_units: int | None
    cdr_amount: int | None
    cdr_currency: str | None
    cdr_begun_ms: int | None
    cdr_called: str | None
    cdrs: int | None
    cdr_id: str | None
    cdr_file: str | None
    cdr_line: int | None
    cdr_settled: str | None
    cdr_debited_amount: int | None


class Reconciled(Struct, frozen=True):
    """What came of it; `first` are the first differences, in the order of days and times."""

    days: tuple[Day, ...]
    first: tuple[Difference, ...]

    @property
    def differences(self) -> int:
        return sum(day.differences for day in self.days)

    @property
    def calls(self) -> int:
        return sum(day.calls for day in self.days)

"""Accounts and sessions as commands show them: amounts are decimals, times are RFC 3339.

The same values go into the table and into --json, so that a script reads what its writer saw.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from rich.table import Table

from ocs.domain.money import currency as known_currency
from ocs.domain.money import format_money
from ocs.domain.session import State
from ocs.domain.wallet import FOREVER_MS, Bucket, BucketKind
from ocs.usecases.addresses import session_address
from ocs.usecases.ports import BucketBalance, SessionView, Settler, WalletDefinition
from ocs.usecases.provisioning import AccountView, PaymentKind

_WITH_DEADLINE: Final = frozenset({State.OPEN, State.IDLE})


class ShownBucket(Struct, frozen=True):
    """One bucket and its numbers, in the currency or in units."""

    bucket: str
    unit: str
    priority: int
    left: str
    held: str
    available: str
    credited: str
    debited: str
    valid_from: str
    valid_until: str
    usage_types: tuple[str, ...]
    zones: tuple[str, ...]
    blocker: bool


class ShownAccount(Struct, frozen=True):
    """An account; `status` is active, blocked, or incomplete (it has no wallet yet)."""

    account: str
    wallet_group: str
    currency: str
    kind: str
    floor: str
    status: str
    open_sessions: int
    version: int
    buckets: tuple[ShownBucket, ...]
    settled_by: str = ""


class ShownHold(Struct, frozen=True):
    """What one service of a session holds of one bucket."""

    rating_group: str
    bucket: str
    amount: str
    unit: str


class ShownSession(Struct, frozen=True):
    """A session; `session_ref` is what answers carry, `charged` in the account's currency."""

    session_ref: str
    account: str
    session_id: str
    state: str
    opened: str
    deadline: str
    answered: str
    elapsed_units: int
    granted_units: int
    charged: str
    currency: str
    repeats: int
    holds: tuple[ShownHold, ...]
    last_code: str
    transaction_id: str


def shown_time(time_ms: int) -> str:
    """Write a time in UTC; empty where there is none."""
    if not 0 < time_ms < FOREVER_MS:
        return ""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")


def shown_account(view: AccountView) -> ShownAccount:
    """Join an account and its wallet."""
    account, wallet = view.account, view.wallet
    money = known_currency(account.currency)
    if wallet is None:
        return ShownAccount(
            account.account, account.wallet_group, account.currency, "", "", "incomplete", 0, 0, ()
        )
    definition = wallet.definition
    numbers = {balance.bucket: balance for balance in wallet.balances}
    return ShownAccount(
        account=account.account,
        wallet_group=account.wallet_group,
        currency=account.currency,
        kind=_kind(definition),
        floor=format_money(definition.floor_amount, money),
        status="active" if definition.active else "blocked",
        open_sessions=wallet.open_sessions,
        version=definition.version,
        buckets=tuple(
            _shown_bucket(bucket, numbers[bucket.bucket], account.currency)
            for bucket in definition.buckets
        ),
        settled_by=definition.settled_by,
    )


def _kind(definition: WalletDefinition) -> PaymentKind:
    if definition.settled_by is Settler.NOBODY:
        return PaymentKind.OFFLINE
    return PaymentKind.POSTPAID if definition.floor_amount < 0 else PaymentKind.PREPAID


def _shown_bucket(bucket: Bucket, numbers: BucketBalance, currency: str) -> ShownBucket:
    is_money = bucket.kind is BucketKind.MONEY

    def written(amount: int) -> str:
        return format_money(amount, known_currency(currency)) if is_money else str(amount)

    return ShownBucket(
        bucket=bucket.bucket,
        unit=currency if is_money else "units",
        priority=bucket.priority,
        left=written(numbers.left),
        held=written(numbers.held),
        available=written(numbers.left - numbers.held),
        credited=written(numbers.credited),
        debited=written(numbers.debited),
        valid_from=shown_time(bucket.valid_from_ms),
        valid_until=shown_time(bucket.valid_until_ms),
        usage_types=bucket.usage_types,
        zones=bucket.zones,
        blocker=bucket.blocker,
    )


def shown_session(view: SessionView, currency: str, buckets: Iterable[Bucket] = ()) -> ShownSession:
    """Write a session of a wallet with these buckets.

    Without a currency (its account is gone) amounts stay integers.
    """
    of_units = {bucket.bucket for bucket in buckets if bucket.kind is BucketKind.UNITS}

    def money(amount: int) -> str:
        return format_money(amount, known_currency(currency)) if currency else str(amount)

    return ShownSession(
        session_ref=session_address(view.key),
        account=view.key.account,
        session_id=view.key.session_id,
        state=view.state,
        opened=shown_time(view.opened_ms),
        deadline=shown_time(view.deadline_ms) if view.state in _WITH_DEADLINE else "",
        answered=shown_time(view.answer_ms),
        elapsed_units=view.elapsed_units,
        granted_units=view.granted_units,
        charged=money(view.charged_amount),
        currency=currency,
        repeats=view.repeats,
        holds=tuple(
            ShownHold(hold.rating_group, hold.bucket, str(hold.amount), "units")
            if hold.bucket in of_units
            else ShownHold(hold.rating_group, hold.bucket, money(hold.amount), currency)
            for hold in view.holds
        ),
        last_code="" if view.last is None else view.last.code,
        transaction_id="" if view.last is None else view.last.transaction_id,
    )


def account_table(accounts: list[ShownAccount]) -> Table:
    """List accounts, a line for each bucket."""
    table = Table("account", "status", "kind", "bucket", box=None, pad_edge=False)
    for name in ("left", "held", "available"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("valid until")
    table.add_column("sessions", justify="right")
    for account in accounts:
        head = (account.account, account.status, account.kind)
        tail = str(account.open_sessions)
        for bucket in account.buckets:
            table.add_row(
                *head,
                bucket.bucket,
                bucket.left,
                bucket.held,
                bucket.available,
                bucket.unit,
                bucket.valid_until or "-",
                tail,
            )
            head, tail = ("", "", ""), ""
        if not account.buckets:
            table.add_row(*head, "-", "-", "-", "-", account.currency, "-", tail)
    return table


def session_table(sessions: list[ShownSession]) -> Table:
    """List sessions, one a line."""
    table = Table("session_ref", "state", "opened", "deadline", box=None, pad_edge=False)
    for name in ("used", "granted", "charged"):
        table.add_column(name, justify="right")
    table.add_column("last answer")
    for session in sessions:
        table.add_row(
            session.session_ref,
            session.state,
            session.opened,
            session.deadline or "-",
            str(session.elapsed_units),
            str(session.granted_units),
            f"{session.charged} {session.currency}".strip(),
            session.last_code,
        )
    return table

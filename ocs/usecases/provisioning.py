"""Accounts and subscribers: who pays, on what terms, and who uses at their expense.

An account is two records: the directory says that it exists and which wallet is its own, the ledger
holds the wallet. They are written in this order, the wallet last, and each write does nothing when
it is repeated: whoever is interrupted in between runs the same command again. That is the whole
recovery; a transaction over both would tie every account to one place in the store.

Nothing here moves money: terms come from `provisioning`, amounts from `crediting`. A changed wallet
is the former definition with the next version; when two people change one wallet at once, the
second one's version is no longer the next, and it reads and tries again.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.money import currency as known_currency
from ocs.domain.money import parse_money
from ocs.domain.wallet import MAIN, MAIN_BUCKET, Bucket
from ocs.usecases.ports import (
    Account,
    Directory,
    Ledger,
    Settler,
    Subscriber,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)

MAX_NAME: Final = 255
"""As long as every other identity on the wire."""
CHANGE_ATTEMPTS: Final = 5
"""More people than this do not change one wallet in the same moment."""

_NAME: Final = re.compile(rf"[^\s/{{}}\x00-\x1f\x7f]{{1,{MAX_NAME}}}")
_BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class Outcome(StrEnum):
    """What became of a command. `UNKNOWN`: the account that it names does not exist."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


class PaymentKind(StrEnum):
    """Prepaid stops at zero, postpaid at a floor below it; of an offline one no wallet is touched.

    Offline accounts are rated and recorded, from their CDRs; who bills them is not `ocs`.
    """

    PREPAID = "prepaid"
    POSTPAID = "postpaid"
    OFFLINE = "offline"


class TermsError(ValueError):
    """Terms that cannot be; `field` names the one to blame."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class AccountTerms(Struct, frozen=True, kw_only=True):
    """What an account is to be. `account_terms` checks and builds it."""

    account: str
    wallet_group: str
    currency: str
    floor_amount: int = 0
    buckets: tuple[Bucket, ...] = ()
    settled_by: Settler = Settler.EVENTS


class AccountView(Struct, frozen=True, kw_only=True):
    """An account with its wallet; `wallet` is None when creation was interrupted before it."""

    account: Account
    wallet: WalletBalance | None


def checked_name(field: str, name: str) -> str:
    """Return a name that keys, logs and file names can carry; TermsError if it is none."""
    if not _NAME.fullmatch(name):
        raise TermsError(
            field,
            f"{name[:40]!r} is no name: 1 to {MAX_NAME} characters, "
            "without blanks, slashes and braces",
        )
    return name


def account_terms(
    account: str,
    currency: str,
    *,
    kind: str = "prepaid",
    floor: str = "",
    wallet_group: str = "",
    settled_by: str = "",
) -> AccountTerms:
    """Check terms as people write them: `floor` is a decimal of the currency."""
    checked_name("account", account)
    checked_name("wallet_group", wallet_group or account)
    try:
        money = known_currency(currency)
    except ValueError as error:
        raise TermsError("currency", str(error)) from None
    try:
        floor_amount = parse_money(floor, money) if floor else 0
    except ValueError as error:
        raise TermsError("floor", str(error)) from None
    _check_floor(kind, floor_amount)
    return AccountTerms(
        account=account,
        wallet_group=wallet_group or account,
        currency=currency,
        floor_amount=floor_amount,
        settled_by=_settler(kind, settled_by),
    )


def _settler(kind: str, settled_by: str) -> Settler:
    if settled_by not in ("", Settler.EVENTS, Settler.CDR):
        raise TermsError("settled_by", f"{settled_by!r} is neither events nor cdr")
    if kind == PaymentKind.OFFLINE:
        if settled_by:
            raise TermsError("settled_by", "an offline account is settled by nobody here")
        return Settler.NOBODY
    if settled_by == Settler.CDR and kind != PaymentKind.POSTPAID:
        raise TermsError("settled_by", "cdr is for postpaid accounts: CDRs come when all is over")
    return Settler(settled_by or Settler.EVENTS)


def _check_floor(kind: str, floor_amount: int) -> None:
    if kind not in list(PaymentKind):
        raise TermsError("kind", f"{kind!r} is none of {', '.join(PaymentKind)}")
    if kind == PaymentKind.OFFLINE and floor_amount != 0:
        raise TermsError("floor", "an offline account has no balance that a floor could stop")
    if kind == PaymentKind.PREPAID and floor_amount != 0:
        raise TermsError("floor", "a prepaid account stops at 0; write postpaid for a floor")
    if kind == PaymentKind.POSTPAID and floor_amount >= 0:
        raise TermsError("floor", "a postpaid account needs a floor below 0, such as -100.00")


def checked_bucket(bucket: Bucket) -> Bucket:
    """Return a bucket that a wallet can have beside `main`; TermsError if it is none."""
    if not _BUCKET_NAME.fullmatch(bucket.bucket) or bucket.bucket == MAIN:
        raise TermsError(
            "bucket",
            f"{bucket.bucket[:40]!r} is no name for a further bucket: up to 64 small letters, "
            "digits, - and _",
        )
    if bucket.valid_until_ms <= bucket.valid_from_ms:
        raise TermsError("valid_until", "the bucket would end before it begins")
    if bucket.increment_units < 1 or bucket.factor < 1:
        raise TermsError("increment_units", "increment and factor are whole numbers from 1")
    return bucket


class Provisioning:
    """The commands; every one may be repeated without effect."""

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    async def create_account(self, tenant: str, terms: AccountTerms) -> Outcome:
        """CONFLICT: the account, or the wallet that it shares, exists on other terms."""
        account = Account(
            account=terms.account, wallet_group=terms.wallet_group, currency=terms.currency
        )
        if not await self._directory.put_account(tenant, account):
            return Outcome.CONFLICT
        wallet = WalletKey(tenant, terms.wallet_group)
        definition = WalletDefinition(
            version=1,
            currency=terms.currency,
            floor_amount=terms.floor_amount,
            buckets=(MAIN_BUCKET, *terms.buckets),
            settled_by=terms.settled_by,
        )
        if await self._ledger.define(wallet, definition):
            return Outcome.CREATED
        present = await self._ledger.balance(wallet)
        assert present is not None, "version 1 is refused only where a wallet is"
        return _compare(definition, present.definition)

    async def create_subscriber(
        self, tenant: str, identity: str, account: str, plan: str
    ) -> Outcome:
        """Point an identity to an account. CONFLICT: it is another account's already."""
        payer = await self._directory.account(tenant, account)
        if payer is None:
            return Outcome.UNKNOWN
        subscriber = Subscriber(
            identity=identity,
            account=account,
            wallet_group=payer.wallet_group,
            plan=plan,
            currency=payer.currency,
        )
        former = await self._directory.subscriber(tenant, identity)
        if former == subscriber:
            return Outcome.UNCHANGED
        if not await self._directory.put_subscriber(tenant, subscriber):
            return Outcome.CONFLICT
        return Outcome.CREATED if former is None else Outcome.CHANGED

    async def add_bucket(self, tenant: str, account: str, bucket: Bucket) -> Outcome:
        """Add a further, empty bucket. CONFLICT: the wallet has another one of this name.

        TermsError where events do not settle: a bucket there would promise what no CDR gets.
        """

        def with_bucket(former: WalletDefinition) -> WalletDefinition | None:
            if former.settled_by is not Settler.EVENTS:
                raise TermsError("bucket", "only accounts settled by events have further buckets")
            same_name = [known for known in former.buckets if known.bucket == bucket.bucket]
            if same_name:
                return former if same_name == [bucket] else None
            return msgspec.structs.replace(former, buckets=(*former.buckets, bucket))

        return await self._change(tenant, account, with_bucket)

    async def set_active(self, tenant: str, account: str, *, active: bool) -> Outcome:
        """Block or unblock: a blocked wallet grants nothing, and still settles all use."""
        return await self._change(
            tenant, account, lambda former: msgspec.structs.replace(former, active=active)
        )

    async def account(self, tenant: str, account: str) -> AccountView | None:
        """Read one account and its wallet."""
        found = await self._directory.account(tenant, account)
        if found is None:
            return None
        wallet = await self._ledger.balance(WalletKey(tenant, found.wallet_group))
        return AccountView(account=found, wallet=wallet)

    async def _change(
        self,
        tenant: str,
        account: str,
        change: Callable[[WalletDefinition], WalletDefinition | None],
    ) -> Outcome:
        """Write the next version. `change` gives None for a conflict, the same for no change."""
        for _ in range(CHANGE_ATTEMPTS):
            view = await self.account(tenant, account)
            if view is None or view.wallet is None:
                return Outcome.UNKNOWN
            former = view.wallet.definition
            changed = change(former)
            if changed is None:
                return Outcome.CONFLICT
            if changed == former:
                return Outcome.UNCHANGED
            key = WalletKey(tenant, view.account.wallet_group)
            definition = msgspec.structs.replace(changed, version=former.version + 1)
            if await self._ledger.define(key, definition):
                return Outcome.CHANGED
        return Outcome.CONFLICT


def _compare(wanted: WalletDefinition, present: WalletDefinition) -> Outcome:
    """Compare terms; the wallet may have been blocked, or have got more buckets, since."""
    agrees = (
        wanted.currency == present.currency
        and wanted.floor_amount == present.floor_amount
        and wanted.settled_by is present.settled_by
        and all(bucket in present.buckets for bucket in wanted.buckets)
    )
    return Outcome.UNCHANGED if agrees else Outcome.CONFLICT

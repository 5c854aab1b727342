"""Money and units that come in, or are taken back, by order of people.

Three verbs for one ledger call. A top-up and a refund add and must be above zero; an adjustment may
take away, down to the floor. Each carries a reference, and a reference moves money once: the same
order again answers what the first one did, the same reference for another amount is a conflict. So
an order whose outcome is unknown is simply given again.
"""

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct

from ocs.domain.money import MAX_UNITS, format_money, parse_money
from ocs.domain.money import currency as known_currency
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN, BucketKind
from ocs.usecases.ports import Account, CreditCall, Directory, Ledger, WalletKey

MAX_REFERENCE: Final = 300
"""Room for the longest name of an account with a word before it."""
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,16}", re.ASCII)


class CreditKind(StrEnum):
    """Why an amount moves; kept in the journal."""

    TOP_UP = "top-up"
    REFUND = "refund"
    ADJUST = "adjust"
    OPENING = "opening"


class CreditOrder(Struct, frozen=True, kw_only=True):
    """`amount` as people write it: a decimal of the account's currency, or whole units."""

    tenant: str
    account: str
    kind: CreditKind
    amount: str
    reference: str
    bucket: str = MAIN


class CreditAnswer(Struct, frozen=True, kw_only=True):
    """`left` and `amount` in the words of the order; `unit` is the currency, or `units`.

    INVALID_EVENT stands for an order that cannot be, `reason` says why.
    """

    code: ResultCode
    reference: str
    reason: str = ""
    transaction_id: str = ""
    amount: str = ""
    left: str = ""
    unit: str = ""
    hit: bool = False


class Crediting:
    """The one use case that changes what an account owns without any use."""

    def __init__(self, directory: Directory, ledger: Ledger) -> None:
        self._directory = directory
        self._ledger = ledger

    async def credit(self, order: CreditOrder) -> CreditAnswer:
        """Move the amount once for its reference."""
        account = await self._directory.account(order.tenant, order.account)
        if account is None:
            reason = f"there is no account {order.account}"
            return _refused(order, ResultCode.UNKNOWN_SUBSCRIBER, reason)
        kind = await self._bucket_kind(order, account)
        if kind is None:
            reason = f"account {order.account} has no bucket {order.bucket}"
            return _refused(order, ResultCode.UNKNOWN_SUBSCRIBER, reason)
        try:
            amount = _amount(order, account.currency, kind)
        except ValueError as error:
            return _refused(order, ResultCode.INVALID_EVENT, str(error))
        reply = await self._ledger.credit(
            CreditCall(
                wallet=WalletKey(order.tenant, account.wallet_group),
                bucket=order.bucket,
                amount=amount,
                reference=order.reference,
                reason=order.kind,
            )
        )
        return CreditAnswer(
            code=reply.code,
            reference=order.reference,
            reason=_REASONS.get(reply.code, ""),
            transaction_id=reply.transaction_id,
            amount=_written(amount, account.currency, kind),
            left=_written(reply.left, account.currency, kind),
            unit=account.currency if kind is BucketKind.MONEY else "units",
            hit=reply.hit,
        )

    async def _bucket_kind(self, order: CreditOrder, account: Account) -> BucketKind | None:
        if order.bucket == MAIN:
            return BucketKind.MONEY
        wallet = await self._ledger.balance(WalletKey(order.tenant, account.wallet_group))
        buckets = () if wallet is None else wallet.definition.buckets
        return next((known.kind for known in buckets if known.bucket == order.bucket), None)


_REASONS: Final = {
    ResultCode.NO_CREDIT: "this would take the balance below its floor",
    ResultCode.CONFLICT: "this reference was used for another amount, bucket or reason",
    ResultCode.UNKNOWN_SUBSCRIBER: "the account has no such wallet or bucket",
}


def _refused(order: CreditOrder, code: ResultCode, reason: str) -> CreditAnswer:
    return CreditAnswer(code=code, reference=order.reference, reason=reason)


def _amount(order: CreditOrder, currency: str, kind: BucketKind) -> int:
    """Read the amount of an order; ValueError says what is wrong with the order."""
    if not 1 <= len(order.reference) <= MAX_REFERENCE:
        raise ValueError(f"a reference has 1 to {MAX_REFERENCE} characters")
    if kind is BucketKind.MONEY:
        amount = parse_money(order.amount, known_currency(currency))
    else:
        amount = _whole_units(order.amount)
    if amount == 0:
        raise ValueError("the amount is 0: nothing would move")
    if amount < 0 and order.kind is not CreditKind.ADJUST:
        raise ValueError(f"a {order.kind} adds: its amount is above 0; an adjustment may take away")
    return amount


def _whole_units(text: str) -> int:
    if not _WHOLE.fullmatch(text) or abs(int(text)) > MAX_UNITS:
        raise ValueError(f"{text[:40]!r} is not a whole number of units up to 2^53")
    return int(text)


def _written(amount: int, currency: str, kind: BucketKind) -> str:
    return (
        str(amount) if kind is BucketKind.UNITS else format_money(amount, known_currency(currency))
    )

"""Debiting finished CDRs, each of them once: a chunk's bills in, the fate of each row out.

    rated rows ──► Bill (account, day of the end) ──► Ledger.debit ──► Settlement of a row

What may be debited is the account's own word (`settled_by`), and it is the ledger that looks at it,
in the step that moves the money. So a CDR comes to be

    debited      it was taken from `main`: now, or when this very chunk was begun before
    duplicate    a CDR of this id, account and day was debited before
    reconciled   the money is the affair of events: the account is settled by them, or this call was
    recorded     nothing is owed here: an offline account, or nothing that costs
    rejected     it should have been debited and could not be; the reason says why

A run that was killed settles the chunk again. All it needs for that is the chunk's name: CDRs that
this chunk has debited are told as debited, with the amount of then, whatever they cost by now.

Rejected: settling each CDR like a one-shot event, buckets and all. The ledger would remember 20
times as much for each CDR over 45 days and take ten times as long; and an invoice is made of money,
not of minutes that were left when the file came. So accounts that CDRs settle have `main` only.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from ocs.domain.results import ResultCode
from ocs.usecases.ports import (
    CDR_DAYS,
    MOST_CDRS_DEBITED,
    CdrDebit,
    CdrFate,
    DebitCall,
    DebitReply,
    LedgerUnavailable,
    OutcomeUnknown,
    Settler,
    WalletKey,
)

MOST_UNDER_WAY: Final = 500
"""CDRs that are on their way to the store at once: two to three milliseconds of its time."""
MOST_ACCOUNTS_KEPT: Final = 500_000
"""Of which it is remembered who settles them, about 100 MB; it never changes."""


class Settled(StrEnum):
    """What became of a CDR's money; the words of the column `settled`."""

    DEBITED = "debited"
    DUPLICATE = "duplicate"
    RECONCILED = "reconciled"
    RECORDED = "recorded"
    REJECTED = "rejected"


class Settlement(Struct, frozen=True, gc=False):
    """`amount` is what was debited for the row, now or before by the same chunk."""

    settled: Settled
    amount: int = 0
    reason: str = ""


class Bill(Struct, frozen=True, kw_only=True):
    """What one chunk has of an account, in one currency and with its end on one day.

    `rows` says where each of `cdrs` stands in the chunk; they are in the order of the chunk.
    """

    wallet: WalletKey
    account: str
    currency: str
    day: int
    rows: Sequence[int]
    cdrs: Sequence[CdrDebit]


class Settlements(Struct, frozen=True):
    """What became of all bills.

    `overruns`: by tenant and currency, what went below floors just now; a chunk that is settled
    again has none, and the journal has all.
    """

    by_row: dict[int, Settlement]
    overruns: Mapping[tuple[str, str], int] = {}


Settle = Callable[[str, Iterable[Bill]], Settlements]
"""`SettlingCdrs.settle`, for who has no loop of his own."""


class Debtor(Protocol):
    """The part of the ledger that debits CDRs."""

    async def debit(self, call: DebitCall) -> DebitReply:
        """As `Ledger.debit`."""
        ...


_NOT_OWED_HERE: Final = {
    Settler.EVENTS: Settlement(
        Settled.RECONCILED, reason="the account is settled by events, not by CDRs"
    ),
    Settler.NOBODY: Settlement(Settled.RECORDED, reason="it is an offline account"),
}
_TWICE: Final = Settlement(Settled.DUPLICATE, reason="a CDR of this id and day was there before")
_FATES: Final = {
    CdrFate.KNOWN: _TWICE,
    CdrFate.ONLINE: Settlement(Settled.RECONCILED, reason="its call was settled online"),
    CdrFate.TOO_OLD: Settlement(Settled.REJECTED, reason=f"it ended more than {CDR_DAYS} days ago"),
    CdrFate.AHEAD: Settlement(Settled.REJECTED, reason="it ends more than a day from now"),
}


class SettlingCdrs:
    """The use case. It may be asked for the same chunk as often as one likes."""

    def __init__(self, debtor: Debtor) -> None:
        self._debtor = debtor
        self._settlers: dict[tuple[WalletKey, str], Settlement] = {}

    async def settle(self, chunk: str, bills: Iterable[Bill]) -> Settlements:
        """Debit what is owed. LedgerUnavailable: do it again, from the beginning."""
        by_row: dict[int, Settlement] = {}
        overruns = Counter[tuple[str, str]]()
        for batch in _batches(bills):
            settled = await asyncio.gather(*(self._settle(chunk, bill) for bill in batch))
            for bill, (rows, overrun) in zip(batch, settled, strict=True):
                by_row.update(rows)
                overruns[bill.wallet.tenant, bill.currency] += overrun
        return Settlements(by_row, +overruns)

    async def _settle(self, chunk: str, bill: Bill) -> tuple[dict[int, Settlement], int]:
        known = self._settlers.get((bill.wallet, bill.account))
        if known is not None:
            return dict.fromkeys(bill.rows, known), 0
        once, again = _parted(bill)
        settled = dict.fromkeys(again, _TWICE)
        overrun = 0
        for begin in range(0, len(once), MOST_CDRS_DEBITED):
            piece = once[begin : begin + MOST_CDRS_DEBITED]
            reply = await self._debited(chunk, bill, tuple(cdr for _, cdr in piece))
            if reply.code is ResultCode.NOT_CHARGED:
                return dict.fromkeys(bill.rows, self._noted(bill, reply)), 0
            overrun += reply.overrun_amount
            rows = (row for row, _ in piece)
            settled.update(zip(rows, _settlements(reply, len(piece)), strict=True))
        return settled, overrun

    async def _debited(self, chunk: str, bill: Bill, cdrs: tuple[CdrDebit, ...]) -> DebitReply:
        call = DebitCall(
            wallet=bill.wallet,
            account=bill.account,
            currency=bill.currency,
            day=bill.day,
            chunk=chunk,
            cdrs=cdrs,
        )
        try:
            return await self._debtor.debit(call)
        except OutcomeUnknown as fault:
            # It may be debited or not: either way the same chunk again comes to the same.
            raise LedgerUnavailable(str(fault)) from fault

    def _noted(self, bill: Bill, reply: DebitReply) -> Settlement:
        if len(self._settlers) >= MOST_ACCOUNTS_KEPT:
            self._settlers.clear()
        settlement = _NOT_OWED_HERE[reply.settled_by]
        self._settlers[bill.wallet, bill.account] = settlement
        return settlement


def _settlements(reply: DebitReply, count: int) -> list[Settlement]:
    """Say of each CDR of a call what became of it."""
    if reply.code is not ResultCode.OK:
        return [Settlement(Settled.REJECTED, reason=reply.why)] * count
    return [
        Settlement(Settled.DEBITED, amount) if fate is CdrFate.DEBITED else _FATES[fate]
        for fate, amount in zip(reply.fates, reply.amounts, strict=True)
    ]


def _parted(bill: Bill) -> tuple[list[tuple[int, CdrDebit]], list[int]]:
    """Part the first CDR of each id from the rows that have it again.

    The ledger tells a chunk from others, not the pieces of one: it would take them for done.
    """
    seen: set[str] = set()
    once: list[tuple[int, CdrDebit]] = []
    again: list[int] = []
    for row, cdr in zip(bill.rows, bill.cdrs, strict=True):
        if cdr.cdr_id in seen:
            again.append(row)
        else:
            seen.add(cdr.cdr_id)
            once.append((row, cdr))
    return once, again


def _batches(bills: Iterable[Bill]) -> Iterator[list[Bill]]:
    """Take bills together up to so many CDRs; a larger one is sent piece by piece."""
    batch: list[Bill] = []
    count = 0
    for bill in bills:
        size = min(len(bill.cdrs), MOST_CDRS_DEBITED)
        if batch and count + size > MOST_UNDER_WAY:
            yield batch
            batch, count = [], 0
        batch.append(bill)
        count += size
    if batch:
        yield batch

"""Rating a period again by other tariffs: what would change, and putting accounts right by it.

    rated CDRs ──┐                                 ┌─► report: old, new, difference
                 ├─► uses ──► the column rater ──► differences
    the journal ─┘            (new tariffs)        └─► page ──► one adjustment for each account

What was charged is never edited. A *page* says of each use by how much its price differs from what
was charged for it so far, and applying it moves the sum of an account by one credit or charge to
`main`. The pages of one *book* add up: what a use was charged so far is what it was charged when it
was used, and what all pages have moved for it since. So the same tariffs a second time find nothing
to do, and the former ones give back what the others took, to the last unit.

A page is decided first and applied then. It is whole on disk before any money moves, its id is part
of every reference, and the ledger moves money once for a reference. So whoever comes after a kill
applies the same page, whatever tariffs and files say by then, and comes to the same. What was
refused (a charge below the floor, an account that is gone) has not moved: it is told, the others
go on, and the next page has it again.

Only what was taken from an account is put right: a CDR that was debited, and what was settled
online in money. Not what is only recorded, nor what a bucket of units paid: how many units of it a
price would have asked for cannot be told afterwards, and units are not money.

Rejected: an adjustment for each use (a million entries in the journal, each a round trip, for one
line of an invoice); recomputing a page after a kill (a file that was added in between would change
an amount under the same reference); the sums alone without the uses (no second page could tell
what the first one had moved for them).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from ocs.domain.money import MAX_AMOUNT, currency, format_money
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN
from ocs.usecases.crediting import MAX_REFERENCE
from ocs.usecases.ports import Account, Adjusts, CreditCall, CreditReply, Directory, WalletKey

MOST_TOLD: Final = 20
"""Accounts that a message names."""
AT_ONCE: Final = 100
"""Adjustments that are on their way to the store at once: a millisecond of its time."""
LOOKED_UP_AT_ONCE: Final = 2_000
"""Accounts whose uses are looked up together: all differences of the page are read for it."""
RESUMED_FOR_MS: Final = 29 * 86_400_000
"""How long a page is gone on with by the ledger's word: it remembers references for 30 days."""


class Due(Struct, frozen=True, order=True):
    """What an account is to be charged more, below zero to get back, for so many uses."""

    tenant: str
    account: str
    wallet_group: str
    currency: str
    amount: int
    uses: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of the adjustment of an account. OK: it has moved, now or before.

    `transaction_id` is empty where nothing was to be moved, because the differences cancel out.
    OUTCOME_UNKNOWN: nobody can tell, so its uses are left alone from now on.
    """

    tenant: str
    account: str
    wallet_group: str
    currency: str
    amount: int
    uses: int
    code: ResultCode
    transaction_id: str = ""
    reason: str = ""


Whose = tuple[str, str, str, str]
"""An account as a page names it: tenant, account, wallet group, currency."""


class Page(Protocol):
    """One decided re-rating, on disk. Raises `OSError`."""

    @property
    def name(self) -> str:
        """No other page is called so."""
        ...

    @property
    def decided_ms(self) -> int:
        """When it was decided."""
        ...

    def dues(self) -> Sequence[Due]:
        """Say what each account is due."""
        ...

    def adjusts(self, dues: Sequence[Due]) -> Mapping[Whose, Adjusts]:
        """Say for which uses that were charged online the amounts of some accounts are."""
        ...

    def outcomes(self) -> Sequence[Outcome]:
        """Say what has become of accounts so far."""
        ...

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of accounts, durably."""
        ...

    def close(self) -> None:
        """Every account has its outcome: from now on the page counts."""
        ...


class Bookmark(Protocol):
    """What the store knows of the book that its adjustments are written in.

    Raises `LedgerUnavailable` and `OutcomeUnknown`.
    """

    async def book(self) -> str:
        """Return which book it is; empty, if there is none."""
        ...

    async def begin(self, mine: str) -> str:
        """Return which book it is; `mine`, if there was none."""
        ...

    async def pages(self) -> frozenset[str]:
        """Return the names of all pages of which anything may have moved."""
        ...

    async def add(self, page: str) -> str:
        """Note a page, before anything of it moves; return the one that has its number."""
        ...


class Fates(Struct, frozen=True):
    """What is known of adjustments: those that have moved, by which transaction.

    Of `unknown` nobody can tell, and why; all others have not moved.
    """

    moved: Mapping[Whose, str]
    unknown: Mapping[Whose, str]


class Journal(Protocol):
    """What is known of adjustments that the ledger may have forgotten."""

    async def fates(self, page: str, decided_ms: int, dues: Sequence[Due]) -> Fates:
        """Look up adjustments of a page."""
        ...


class Adjuster(Protocol):
    """The part of the ledger that adjusts."""

    async def credit(self, call: CreditCall) -> CreditReply:
        """As `Ledger.credit`."""
        ...

    async def store_ms(self) -> int:
        """As `Ledger.store_ms`."""
        ...


class CannotApply(Exception):
    """Nothing may be applied; the message is for people."""


class Adjusting:
    """The use case. It may be asked to apply the same page as often as one likes."""

    def __init__(
        self, adjuster: Adjuster, directory: Directory, bookmark: Bookmark, journal: Journal
    ) -> None:
        self._adjuster = adjuster
        self._directory = directory
        self._bookmark = bookmark
        self._journal = journal

    async def check(self, book: str, pages: Mapping[str, bool]) -> None:
        """Hold a book against what the store knows: each must have what the other one says moved.

        `pages`: whether anything of each is noted as moved. Raises `CannotApply`: by another book,
        or one that lost a page, uses would be adjusted again; by one of another store, or in a
        store that was brought back from an older copy, they would be taken for adjusted.
        """
        known = await self._bookmark.pages()
        if pages and not await self._bookmark.book():
            raise CannotApply(
                "this store knows of no re-rating, and the folder holds some: they are of another"
                " store, or this one was made anew; name another folder"
            )
        found = await self._bookmark.begin(book)
        if found != book:
            raise CannotApply(
                f"adjustments of this store are written in another folder (book {found}): use that"
                " one, only there is what was adjusted already"
            )
        lost = sorted(known - pages.keys())
        if lost:
            raise CannotApply(
                f"the folder does not hold all that was adjusted: {', '.join(lost)} is missing;"
                " bring it back"
            )
        strange = sorted(name for name, is_begun in pages.items() if is_begun and name not in known)
        if strange:
            raise CannotApply(
                f"the store does not know of {', '.join(strange)}: it was brought back from an"
                " older copy. Take out of the folder's pages what its wallets have not seen"
            )

    async def now_ms(self) -> int:
        """Read the clock by which pages are decided."""
        return await self._adjuster.store_ms()

    async def apply(self, page: Page, *, leaves: bool = False) -> Sequence[Outcome]:
        """Move what is due and did not move yet; the outcomes of all accounts of the page.

        `leaves`: leave alone what nobody can tell of. Raises `CannotApply`, and what ledger and
        journal raise: do it again.
        """
        had = await self._bookmark.add(page.name)
        if had != page.name:
            raise CannotApply(
                f"a re-rating was applied meanwhile as {had}, from a copy of this folder: go on"
                " with that one"
            )
        since_ms = page.decided_ms
        if await self._is_forgotten(since_ms):
            since_ms = await self.now_ms()
            page.note(await self._looked_up(page, leaves=leaves))
        for portion in _parts(_left(page), LOOKED_UP_AT_ONCE):
            adjusts = page.adjusts(portion)
            for some in _parts(portion, AT_ONCE):
                if await self._is_forgotten(since_ms):
                    raise CannotApply(f"{page.name} has become too old meanwhile: begin again")
                moving = (self._moved(page.name, due, adjusts.get(whose(due))) for due in some)
                page.note(await asyncio.gather(*moving))
        page.close()
        return page.outcomes()

    async def _is_forgotten(self, since_ms: int) -> bool:
        """Tell whether the ledger may have forgotten something that was moved since."""
        return await self.now_ms() - since_ms > RESUMED_FOR_MS

    async def _looked_up(self, page: Page, *, leaves: bool) -> list[Outcome]:
        """Give the outcomes of all that is not simply to be moved. Raises `CannotApply`."""
        dues = _left(page)
        fates = await self._journal.fates(page.name, page.decided_ms, dues)
        noted = {each.transaction_id for each in page.outcomes()}
        moved = {who: entry for who, entry in fates.moved.items() if entry not in noted}
        unknown = {**dict.fromkeys(fates.moved.keys() - moved, _OF_ANOTHER), **fates.unknown}
        if unknown and not leaves:
            raise CannotApply(
                _untold(page, [due for due in dues if whose(due) in unknown], unknown)
            )
        return [
            *(
                _outcome(due, ResultCode.OK, transaction_id=moved[whose(due)])
                for due in dues
                if whose(due) in moved
            ),
            *(
                _outcome(due, ResultCode.OUTCOME_UNKNOWN, f"{_LEFT_ALONE}: {unknown[whose(due)]}")
                for due in dues
                if whose(due) in unknown
            ),
        ]

    async def _moved(self, page: str, due: Due, adjusts: Adjusts | None) -> Outcome:
        account = await self._directory.account(due.tenant, due.account)
        reference = reference_of(page, due)
        refusal = _refusal(account, due, reference)
        if refusal is not None:
            return _outcome(due, *refusal)
        if due.amount == 0 and adjusts is None:
            return _outcome(due, ResultCode.OK)
        reply = await self._adjuster.credit(
            CreditCall(
                wallet=WalletKey(due.tenant, due.wallet_group),
                bucket=MAIN,
                amount=-due.amount,
                reference=reference,
                reason=reference,
                adjusts=adjusts,
            )
        )
        reason = reply.why or _REASONS.get(reply.code, "")
        return _outcome(due, reply.code, reason, reply.transaction_id)


_LEFT_ALONE: Final = "nobody can tell whether it was adjusted"
_OF_ANOTHER: Final = "what it could have been is noted as another one's"
_REASONS: Final = {
    ResultCode.NO_CREDIT: "this would take the balance below its floor",
    ResultCode.CONFLICT: "its reference was used for another amount",
    ResultCode.UNKNOWN_SUBSCRIBER: "the account has no wallet",
}


def reference_of(page: str, due: Due) -> str:
    """Spell the reference of an adjustment; the journal has it as its reason."""
    return f"rerate {page} {due.account}"


def whose(each: Due | Outcome) -> Whose:
    """Say of which account it is."""
    return each.tenant, each.account, each.wallet_group, each.currency


def _left(page: Page) -> list[Due]:
    """Give what is due of a page and has no outcome yet."""
    known = {whose(each) for each in page.outcomes()}
    return [due for due in page.dues() if whose(due) not in known]


def _untold(page: Page, unknown: Sequence[Due], whys: Mapping[Whose, str]) -> str:
    """Say what stands in the way of a page, and what can be done."""
    named = ", ".join(
        f"{due.tenant} {due.account} {format_money(due.amount, currency(due.currency))}"
        f" {due.currency}"
        for due in unknown[:MOST_TOLD]
    )
    more = f" and {len(unknown) - MOST_TOLD:,} more" if len(unknown) > MOST_TOLD else ""
    why = "; ".join(sorted(set(whys.values()))[:MOST_TOLD])
    return (
        f"{page.name} was decided too long ago, and the journal does not tell of {len(unknown):,}"
        f" of its accounts whether they were adjusted: {named}{more} ({why}). Do it where"
        f" the files of the journal are (journal.folder), or give --leave {page.name}: these are"
        " left alone from then on, and the rest of it is done"
    )


def _refusal(account: Account | None, due: Due, reference: str) -> tuple[ResultCode, str] | None:
    """Say why nothing can be moved, before the ledger is asked."""
    if account is None or account.wallet_group != due.wallet_group:
        return ResultCode.UNKNOWN_SUBSCRIBER, "there is no such account any more"
    if account.currency != due.currency:
        return ResultCode.INVALID_EVENT, f"the account is in {account.currency} now"
    if abs(due.amount) > MAX_AMOUNT or len(reference) > MAX_REFERENCE:
        return ResultCode.RATING_FAILED, "no adjustment can be so large, or have so long a name"
    return None


def _outcome(due: Due, code: ResultCode, reason: str = "", transaction_id: str = "") -> Outcome:
    moved = code is ResultCode.OK
    return Outcome(
        tenant=due.tenant,
        account=due.account,
        wallet_group=due.wallet_group,
        currency=due.currency,
        amount=due.amount,
        uses=due.uses,
        code=code,
        transaction_id=transaction_id if moved else "",
        reason=reason,
    )


def _parts(dues: Sequence[Due], size: int) -> Iterator[Sequence[Due]]:
    for begin in range(0, len(dues), size):
        yield dues[begin : begin + size]

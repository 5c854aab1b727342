"""What the journal says of a page's adjustments, when the ledger may have forgotten them.

The ledger remembers a reference for 30 days; the journal has its entry for ever. An entry of an
adjustment says which page and which account it was for. So of a page that was left half applied for
longer than that, each account is looked up:

    moved      there is its entry: it is never moved again
    not moved  there is none, and the journal is known from before the page was decided
    unknown    the journal does not reach back so far here, or its files cannot be read; or somebody
               has moved the same amount to or from this wallet since, and the entry does not say
               what for (people's own adjustments do not, nor did those of pages that a former
               version has applied); or it says so, and does not tell which of two amounts it was

An account may be due in two currencies, if it was made anew within the period. The entries of both
are called the same and do not tell a currency, so it is the amount that tells them apart. An entry
that is of exactly one of them says nothing of the other one, as an amount moves in whole or not.

Whoever adjusts what has not moved need not fear another one who does the same meanwhile: that one
sets the reference, and it is remembered from then on.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ocs.usecases.addresses import wallet_address
from ocs.usecases.crediting import CreditKind
from ocs.usecases.journal import Posted, ReelFault
from ocs.usecases.parked_journal import JournalSource
from ocs.usecases.ports import DAY_MS, WalletKey
from ocs.usecases.rerating import Due, Fates, Whose, reference_of, whose

_CREDIT: Final = "credit"
_TOO_SHORT: Final = "the journal that is here does not reach back so far"
_NAMELESS: Final = "the same amount was adjusted without a word what for"
_AMBIGUOUS: Final = "an entry is called like it, and its amount does not tell whether it is the one"
_CLOCKS_MS: Final = DAY_MS
"""A store's clock may be set back between the decision and an entry, by less than that."""


class PageJournal:
    """Implements the port `Journal`."""

    def __init__(self, source: JournalSource, partition_of: Callable[[WalletKey], int]) -> None:
        self._source = source
        self._partition_of = partition_of

    async def fates(self, page: str, decided_ms: int, dues: Sequence[Due]) -> Fates:
        """As `Journal.fates`. LedgerUnavailable."""
        by_partition = defaultdict[int, list[Due]](list)
        for due in dues:
            by_partition[self._partition_of(_wallet_of(due))].append(due)
        moved: dict[Whose, str] = {}
        unknown: dict[Whose, str] = {}
        since_ms = decided_ms - _CLOCKS_MS
        for partition, some in sorted(by_partition.items()):
            found = _Found(page, some)
            unread = await self._unread(partition, found, since_ms)
            moved |= found.moved
            unknown |= dict.fromkeys(map(whose, some), unread) if unread else found.alike
        return Fates(moved, {who: why for who, why in unknown.items() if who not in moved})

    async def _unread(self, partition: int, found: "_Found", since_ms: int) -> str:
        """Read what a partition says; why that may not be everything, empty if it is."""
        try:
            known_ms = await self._source.read(partition, found.subjects, since_ms, found.add)
        except ReelFault as fault:
            return str(fault)
        return "" if known_ms <= since_ms else _TOO_SHORT


class _Found:
    """What the entries of a partition say of some dues; `alike`: of which it is unsure, and why."""

    def __init__(self, page: str, dues: Sequence[Due]) -> None:
        self.moved: dict[Whose, str] = {}
        self.alike: dict[Whose, str] = {}
        self._dues = defaultdict[str, list[tuple[Due, str]]](list)
        for due in dues:
            told = due, reference_of(page, due)
            self._dues[wallet_address(_wallet_of(due))].append(told)
        self.subjects = frozenset(self._dues)

    def add(self, posted: Posted) -> None:
        """Take an entry of one of these wallets."""
        if posted.entry.kind != _CREDIT:
            return
        _, amount, reason = msgspec.json.decode(posted.info, type=tuple[str, int, str])
        dues = self._dues[posted.entry.subject]
        if reason == CreditKind.ADJUST:
            alike = [whose(due) for due, _ in dues if amount == -due.amount]
            self.alike |= dict.fromkeys(alike, _NAMELESS)
            return
        named = [due for due, reference in dues if reason == reference]
        exact = [whose(due) for due in named if amount == -due.amount]
        if len(exact) == 1:
            self.moved[exact[0]] = posted.entry.transaction_id
        else:
            self.alike |= dict.fromkeys(map(whose, named), _AMBIGUOUS)


def _wallet_of(due: Due) -> WalletKey:
    return WalletKey(due.tenant, due.wallet_group)

"""Accounts and subscribers from CSV, as often as one likes.

    account,currency,kind,floor,balance,wallet_group,settled_by        identity,account,plan

A seed is read whole before anything is written: every bad line of both files is reported with file,
line, column and reason, and a seed with a bad line changes nothing. Then the lines are applied side
by side; each may be repeated without effect, so a second run, or the rest of an interrupted one,
only adds what is missing.

The opening balance goes to a wallet that was never credited, by the reference `opening:<account>`.
The reference alone would not do: the ledger forgets references after some weeks, and the same file
is read at every start for years. The wallet alone would not do either: two starts at once would
both find it empty. So the balance is given once, whatever was used since; another balance in the
file changes nothing (`ocs credit` does).

A line that meets other terms in the store (the account exists in another currency) is reported like
a bad one; the other lines are applied.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN
from ocs.usecases.crediting import Crediting, CreditKind, CreditOrder
from ocs.usecases.provisioning import Outcome, Provisioning
from ocs.usecases.seed_files import (
    AccountLine,
    BadSeedLine,
    SeedFile,
    SubscriberLine,
    read_accounts,
    read_subscribers,
)

CONCURRENCY: Final = 256
"""Lines under way at once: one write to the store carries them all, its queue holds many more."""

_LineT = TypeVar("_LineT")
_Effects = Sequence[str | BadSeedLine]
"""What a line did: names of counts in the report, or why it could not."""


class SeedReport(Struct, frozen=True, kw_only=True):
    """What a seed did. A line that changed nothing counts as `unchanged` only."""

    accounts_created: int = 0
    subscribers_created: int = 0
    subscribers_changed: int = 0
    credited: int = 0
    unchanged: int = 0
    bad: tuple[BadSeedLine, ...] = ()


class Seeding:
    """`clean` brings an identity into the form in which events will name it."""

    def __init__(
        self, provisioning: Provisioning, crediting: Crediting, clean: Callable[[str], str]
    ) -> None:
        self._provisioning = provisioning
        self._crediting = crediting
        self._clean = clean

    async def seed(
        self, tenant: str, accounts: SeedFile, subscribers: SeedFile, plans: Collection[str]
    ) -> SeedReport:
        """Apply both files, or report what is wrong with them."""
        account_lines, bad_accounts = read_accounts(accounts)
        subscriber_lines, bad_subscribers = read_subscribers(subscribers, plans, self._clean)
        bad = (*bad_accounts, *bad_subscribers)
        if bad:
            return SeedReport(bad=bad)
        # Accounts first: a subscriber's record names the wallet of the account.
        effects = await _side_by_side(
            lambda line: self._seed_account(tenant, accounts.name, line), account_lines
        )
        effects += await _side_by_side(
            lambda line: self._seed_subscriber(tenant, subscribers.name, line), subscriber_lines
        )
        counts = Counter(effect for effect in effects if isinstance(effect, str))
        return SeedReport(
            accounts_created=counts["accounts_created"],
            subscribers_created=counts["subscribers_created"],
            subscribers_changed=counts["subscribers_changed"],
            credited=counts["credited"],
            unchanged=counts["unchanged"],
            bad=tuple(effect for effect in effects if isinstance(effect, BadSeedLine)),
        )

    async def _seed_account(self, tenant: str, file: str, line: AccountLine) -> _Effects:
        account = line.terms.account
        outcome = await self._provisioning.create_account(tenant, line.terms)
        if outcome is Outcome.CONFLICT:
            reason = f"{account} exists on other terms (currency, wallet group, floor, settled_by)"
            return [BadSeedLine(file, line.line, "account", reason)]
        created = ["accounts_created"] if outcome is Outcome.CREATED else []
        if not line.balance or not (created or await self._never_credited(tenant, account)):
            return created or ["unchanged"]
        answer = await self._crediting.credit(
            CreditOrder(
                tenant=tenant,
                account=account,
                kind=CreditKind.OPENING,
                amount=line.balance,
                reference=f"opening:{account}",
            )
        )
        if answer.code is not ResultCode.OK:
            return [*created, BadSeedLine(file, line.line, "balance", answer.reason)]
        return [*created, "credited"]

    async def _never_credited(self, tenant: str, account: str) -> bool:
        view = await self._provisioning.account(tenant, account)
        balances = () if view is None or view.wallet is None else view.wallet.balances
        return all(numbers.credited == 0 for numbers in balances if numbers.bucket == MAIN)

    async def _seed_subscriber(self, tenant: str, file: str, line: SubscriberLine) -> _Effects:
        outcome = await self._provisioning.create_subscriber(
            tenant, line.identity, line.account, line.plan
        )
        if outcome is Outcome.UNKNOWN:
            reason = f"there is no account {line.account}"
            return [BadSeedLine(file, line.line, "account", reason)]
        if outcome is Outcome.CONFLICT:
            reason = f"{line.identity} is another account's already"
            return [BadSeedLine(file, line.line, "identity", reason)]
        return ["unchanged" if outcome is Outcome.UNCHANGED else f"subscribers_{outcome}"]


async def _side_by_side(
    apply: Callable[[_LineT], Awaitable[_Effects]], lines: Sequence[_LineT]
) -> list[str | BadSeedLine]:
    effects: list[str | BadSeedLine] = []
    for start in range(0, len(lines), CONCURRENCY):
        batch = lines[start : start + CONCURRENCY]
        for done in await asyncio.gather(*(apply(line) for line in batch)):
            effects.extend(done)
    return effects

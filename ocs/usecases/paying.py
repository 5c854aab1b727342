"""Who pays for an event, as far as it is known.

The subscriber comes from a memory of the worker (a directory look-up when it is not there), the
wallet's definitions from another; when those turn out old, the ledger says so with the new ones.
An event with a `session_ref` is paid by the account that the session began with, whoever it names.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

from ocs.domain.events import Event
from ocs.domain.plan import Plan
from ocs.domain.wallet import Wallet
from ocs.usecases.addresses import parse_session_address
from ocs.usecases.ports import Account, SessionKey, Subscriber

_MOST_WALLETS_KEPT: Final = 100_000


class Payment(Struct, frozen=True, gc=False):
    """Who pays for an event, as far as it is known.

    `plan` is None when only a `session_ref` names the payer, or when it is not configured.
    `wallet` is None when its definitions have not been seen yet; `main` is then assumed, and the
    ledger objects if there is more.
    """

    session: SessionKey
    plan: Plan | None
    currency: str
    wallet: Wallet | None


class SubscriberSource(Protocol):
    """A directory with a memory."""

    def peek(self, tenant: str, identity: str, now_ms: int) -> Subscriber | None:
        """Give what is remembered and fresh at `now_ms`, without waiting."""
        ...

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        """Find a subscriber."""
        ...

    async def account(self, tenant: str, account: str) -> Account | None:
        """Find an account."""
        ...


class BadReference(Exception):
    """A `session_ref` that cannot be the event's; says why."""


class Payers:
    """Finds who pays, and remembers wallets and currencies."""

    def __init__(self, directory: SubscriberSource, plans: Mapping[str, Plan]) -> None:
        self._directory = directory
        self._plans = plans
        self._wallets: dict[tuple[str, str], Wallet] = {}
        self._currencies: dict[tuple[str, str], str] = {}

    def remembered(self, event: Event, now_ms: int) -> Payment | None:
        """Return the payer that can be told without waiting."""
        if event.session_ref or not event.subscriber:
            return None
        subscriber = self._directory.peek(event.tenant, event.subscriber, now_ms)
        if subscriber is None:
            return None
        return self._payment(event, subscriber)

    async def find(self, event: Event) -> Payment | None:
        """Return the payer, None where no subscriber has the identity; raises BadReference."""
        subscriber = None
        if event.subscriber:
            subscriber = await self._directory.subscriber(event.tenant, event.subscriber)
        if event.session_ref:
            return await self._of_session(event, subscriber)
        return None if subscriber is None else self._payment(event, subscriber)

    def remember(self, session: SessionKey, wallet: Wallet) -> None:
        """Keep the definitions of a wallet."""
        if len(self._wallets) >= _MOST_WALLETS_KEPT:
            self._wallets.clear()
        self._wallets[session.tenant, session.wallet_group] = wallet

    def _payment(self, event: Event, subscriber: Subscriber) -> Payment:
        tenant, group = event.tenant, subscriber.wallet_group
        session = SessionKey(tenant, group, subscriber.account, event.session_id)
        wallet = self._wallets.get((tenant, group))
        return Payment(session, self._plans.get(subscriber.plan), subscriber.currency, wallet)

    async def _of_session(self, event: Event, subscriber: Subscriber | None) -> Payment:
        """The account is fixed at the start: the reference names it, whoever the event names."""
        try:
            session = parse_session_address(event.session_ref)
        except ValueError as error:
            raise BadReference(str(error)) from None
        if session.tenant != event.tenant:
            raise BadReference("the session belongs to somebody else")
        if session.session_id != event.session_id:
            raise BadReference("the reference is of another session than session_id")
        wallet = self._wallets.get((session.tenant, session.wallet_group))
        if subscriber is not None and subscriber.account == session.account:
            return Payment(session, self._plans.get(subscriber.plan), subscriber.currency, wallet)
        currency = await self._currency_of(session)
        if currency is None:
            raise BadReference("the reference names no account")
        return Payment(session, None, currency, wallet)

    async def _currency_of(self, session: SessionKey) -> str | None:
        at = session.tenant, session.account
        if at not in self._currencies:
            account = await self._directory.account(*at)
            if account is None or account.wallet_group != session.wallet_group:
                return None
            if len(self._currencies) >= _MOST_WALLETS_KEPT:
                self._currencies.clear()
            self._currencies[at] = account.currency
        return self._currencies[at]

"""Charging: one event in, one answer out, one step in the ledger between.

    prepare (preparing.py) ──► ledger.charge ──► finish (finishing.py)

The subscriber comes from a memory of the worker (a directory look-up when it is not there), the
wallet's definitions from another; when those turn out old, the ledger says so with the new ones and
moves nothing, and the call is made again.

Events that come together are charged together (`charge_all`): one wait for all of them, and none of
the objects that a wait for each would take. What is not plain sailing (a payer to be looked up, no
price, a reply that is no result) is dealt with by itself, on the way that a single event takes.

Reported use is never dropped. What cannot be charged now (no such subscriber, no price, or an event
so old that its session is forgotten) is parked in a stream, once, to be rated offline, and the
answer says `settled: false`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Wallet
from ocs.domain.zones import Zone
from ocs.usecases.addresses import parse_session_address
from ocs.usecases.answer import Answer
from ocs.usecases.explaining import explained
from ocs.usecases.finishing import fault_answer, finish, invalid, plain_result, refuse
from ocs.usecases.ports import (
    LATE,
    UNRATED,
    Account,
    ChargeCall,
    ChargeLimits,
    Ledger,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    SessionKey,
    Subscriber,
)
from ocs.usecases.preparing import Payment, Preparer, Priced, info_text, payment_of

_STALE_TRIES: Final = 3
"""A wallet whose definitions change three times within one request is being edited by a machine."""
_MOST_WALLETS_KEPT: Final = 100_000
_NOT_PRICED: Final = frozenset(
    {ResultCode.NO_RATE, ResultCode.RATE_BLOCKED, ResultCode.RATING_FAILED}
)
_REASONS: Final = {
    ResultCode.UNKNOWN_SUBSCRIBER: "no subscriber has this identity",
    ResultCode.NO_RATE: "no tariff of the plan has a rate for this number now",
    ResultCode.RATE_BLOCKED: "this destination is blocked",
    ResultCode.RATING_FAILED: (
        "the subscriber's plan is not configured, its rate is in another currency,"
        " or the use costs more than can be kept"
    ),
}
_TOO_OLD: Final = (
    "the event is older than sessions are remembered, so it may have been charged before; "
    "it is kept for offline rating (is the sender's clock right?)"
)


class ChargingSettings(Struct, frozen=True, kw_only=True):
    """`limits` as configured; the validity of a grant comes with the plan. `zones` by tenant."""

    limits: ChargeLimits = ChargeLimits()
    zones: Mapping[str, Zone] = {}


class SubscriberSource(Protocol):
    """A directory with a memory."""

    def peek(self, tenant: str, identity: str) -> Subscriber | None:
        """Give what is remembered, without waiting."""
        ...

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        """Find a subscriber."""
        ...

    async def account(self, tenant: str, account: str) -> Account | None:
        """Find an account."""
        ...


class Tariffs(Protocol):
    """The tariffs in force; a reload swaps the one reference."""

    current: Generation


class Charger:
    """Charges events. Faults of the store become answers: TOO_BUSY, OUTCOME_UNKNOWN."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        directory: SubscriberSource,
        tariffs: Tariffs,
        plans: Mapping[str, Plan],
        settings: ChargingSettings,
        clock_ms: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._directory = directory
        self._tariffs = tariffs
        self._plans = plans
        self._clock_ms = clock_ms
        limits = settings.limits
        self._keep_ms = {
            kind: 1000 * (limits.event_keep_s if kind is Kind.EVENT else limits.closed_keep_s)
            for kind in Kind
        }
        self._preparer = Preparer(settings.limits, plans, settings.zones)
        self._wallets: dict[tuple[str, str], Wallet] = {}
        self._currencies: dict[tuple[str, str], str] = {}

    def charge(self, event: Event) -> Awaitable[Answer]:
        """Charge one event; it is awaited once.

        Where everything is remembered, the call to the ledger leaves before this returns: of many
        events that are charged in one tick, all calls leave in one write.
        """
        prepared = self._prepare(event)
        if prepared is None:
            return self._begin_slowly(event)
        return _Charging(self, event, prepared, self._ledger.charge(prepared.call))

    async def charge_all(self, events: Sequence[Event]) -> list[Answer | Exception]:
        """Charge one event each of several sessions; of each its answer, or the bug that it met.

        What is remembered of costs one call to the ledger for all, and one wait.
        """
        begun = [self._begin(event) for event in events]
        calls = [one.call for one in begun if type(one) is _Prepared]
        replies = iter(await self._ledger.charge_all(calls) if calls else ())
        answers: list[Answer | Exception] = []
        for event, one in zip(events, begun, strict=True):
            try:
                if not isinstance(one, _Prepared):
                    answers.append(one if isinstance(one, Exception) else await one)
                    continue
                reply = next(replies)
                if isinstance(reply, Reply) and (result := plain_result(reply)) is not None:
                    answers.append(finish(event, one.payment, reply, result))
                else:
                    answers.append(await self._conclude(event, one, reply))
            except Exception as bug:  # noqa: BLE001 -- only this event is to suffer from it
                answers.append(bug)
        return answers

    def _begin(self, event: Event) -> "_Prepared | Awaitable[Answer] | Exception":
        """Prepare one of many events; where that cannot be done at once, begin it by itself."""
        try:
            return self._prepare(event) or self._begin_slowly(event)
        except Exception as bug:  # noqa: BLE001 -- only this event is to suffer from it
            return bug

    def _prepare(self, event: Event) -> "_Prepared | None":
        """Prepare an event of which everything is remembered, and that has a price."""
        payment = self._remembered_payer(event)
        if payment is None or event.explain:
            return None
        priced = self._preparer.price(event, payment, self._tariffs.current)
        if priced.code is not ResultCode.OK:
            return None
        return _Prepared(payment, priced, self._call(event, payment, priced))

    def _begin_slowly(self, event: Event) -> Awaitable[Answer]:
        # A task, so that of many events these too go on beside each other.
        return asyncio.get_running_loop().create_task(self._charge_slowly(event))

    async def _charge_slowly(self, event: Event) -> Answer:
        """Charge an event whose payer has to be looked up, or that has no price."""
        try:
            payment = await self._find_payer(event)
            if payment is None:
                return await self._refuse(event, ResultCode.UNKNOWN_SUBSCRIBER, _stranger(event))
            if isinstance(payment, Answer):
                return payment
            tariffs = self._tariffs.current  # of which a reload during the wait changes nothing
            priced = self._preparer.price(event, payment, tariffs)
            starts = event.kind in (Kind.START, Kind.EVENT)
            if priced.code is not ResultCode.OK and starts:
                return await self._refuse(event, priced.code, payment.session)
            reply = await self._ledger.charge(self._call(event, payment, priced))
            answer = await self.conclude(event, payment, priced, reply)
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)
        if not event.explain:
            return answer
        return explained(answer, event, payment.plan, self._preparer, tariffs)

    def _call(self, event: Event, payment: Payment, priced: Priced) -> ChargeCall:
        opens = not self._is_old(event)
        return self._preparer.call(
            event, payment, priced, opens=opens, generation=self._tariffs.current.id
        )

    async def _conclude(
        self, event: Event, prepared: "_Prepared", reply: Reply | Exception
    ) -> Answer:
        """Answer what the ledger replied to one of many events, if that is no plain result."""
        if isinstance(reply, LedgerUnavailable | OutcomeUnknown):
            return fault_answer(event, reply)
        if isinstance(reply, Exception):
            raise reply
        try:
            return await self.conclude(event, prepared.payment, prepared.priced, reply)
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)

    async def conclude(
        self, event: Event, payment: Payment, priced: Priced, reply: Reply
    ) -> Answer:
        """Make an answer of the ledger's reply; ask again where the wallet was another."""
        for _ in range(_STALE_TRIES):
            if reply.stale is None:
                break
            wallet = Wallet(reply.stale.version, reply.stale.buckets)
            self._remember(payment.session, wallet)
            payment = msgspec.structs.replace(payment, wallet=wallet)
            reply = await self._ledger.charge(self._call(event, payment, priced))
        else:
            raise LedgerUnavailable("the wallet's definitions keep changing")
        if reply.code in (ResultCode.UNKNOWN_SUBSCRIBER, ResultCode.RATING_FAILED):
            # No wallet, or more money than the ledger can count: nothing moved.
            return await self._refuse(event, reply.code, payment.session)
        if reply.code is ResultCode.UNKNOWN_SESSION and reply.result is None:
            return await self._unknown_session(event, payment, priced)
        if reply.result is None:
            return refuse(event, reply.code)
        not_priced = any(service.code in _NOT_PRICED for service in reply.result.services)
        if not_priced and event.used_units > 0:
            await self._park(UNRATED, event, payment.session)
            return msgspec.structs.replace(
                finish(event, payment, reply, reply.result), settled=False
            )
        return finish(event, payment, reply, reply.result)

    # --- Who pays --------------------------------------------------------------------------------

    def _remembered_payer(self, event: Event) -> Payment | None:
        if event.session_ref or not event.subscriber:
            return None
        subscriber = self._directory.peek(event.tenant, event.subscriber)
        if subscriber is None:
            return None
        return self._payment(event, subscriber)

    def _payment(self, event: Event, subscriber: Subscriber) -> Payment:
        wallet = self._wallets.get((event.tenant, subscriber.wallet_group))
        return payment_of(event, subscriber, self._plans.get(subscriber.plan), wallet)

    async def _find_payer(self, event: Event) -> Payment | Answer | None:
        subscriber = None
        if event.subscriber:
            subscriber = await self._directory.subscriber(event.tenant, event.subscriber)
        if event.session_ref:
            return await self._payer_of_session(event, subscriber)
        return None if subscriber is None else self._payment(event, subscriber)

    async def _payer_of_session(
        self, event: Event, subscriber: Subscriber | None
    ) -> Payment | Answer:
        """The account is fixed at the start: the reference names it, whoever the event names."""
        try:
            session = parse_session_address(event.session_ref)
        except ValueError as error:
            return invalid(event, str(error))
        if session.tenant != event.tenant:
            return invalid(event, "the session belongs to somebody else")
        if session.session_id != event.session_id:
            return invalid(event, "the reference is of another session than session_id")
        wallet = self._wallets.get((session.tenant, session.wallet_group))
        if subscriber is not None and subscriber.account == session.account:
            return Payment(session, self._plans.get(subscriber.plan), subscriber.currency, wallet)
        currency = await self._currency_of(session)
        if currency is None:
            return invalid(event, "the reference names no account")
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

    def _remember(self, session: SessionKey, wallet: Wallet) -> None:
        if len(self._wallets) >= _MOST_WALLETS_KEPT:
            self._wallets.clear()
        self._wallets[session.tenant, session.wallet_group] = wallet

    # --- What cannot be charged ------------------------------------------------------------------

    def _is_old(self, event: Event) -> bool:
        return self._clock_ms() - event.reported_ms > self._keep_ms[event.kind]

    async def _unknown_session(self, event: Event, payment: Payment, priced: Priced) -> Answer:
        session = payment.session
        if self._is_old(event):
            await self._park(LATE, event, session)
            return refuse(event, ResultCode.REPEAT_EXPIRED, reason=_TOO_OLD, settled=False)
        code = ResultCode.UNKNOWN_SESSION if priced.code is ResultCode.OK else priced.code
        if event.session_ref and payment.plan is None:
            code = ResultCode.UNKNOWN_SESSION
        return await self._refuse(event, code, session)

    async def _refuse(self, event: Event, code: ResultCode, session: SessionKey) -> Answer:
        """Refuse before the ledger; reported use is parked."""
        reason = _REASONS.get(code, "")
        if event.used_units == 0 or event.dry_run:
            return refuse(event, code, reason=reason)
        await self._park(UNRATED, event, session)
        return refuse(event, code, reason=reason, settled=False)

    async def _park(self, stream: str, event: Event, session: SessionKey) -> None:
        if event.dry_run:
            return
        about = info_text(event, "", self._tariffs.current.id)
        entry = msgspec.json.encode((event, msgspec.Raw(about.encode())))
        request = event.request_key or str(event.request_number)
        await self._ledger.park(stream, session, request, entry)


class _Prepared(Struct, frozen=True, gc=False):
    """An event's call, and what it was made of."""

    payment: Payment
    priced: Priced
    call: ChargeCall


class _Charging(Struct, frozen=True, gc=False):
    """A single event whose call is on its way.

    A Struct, as it is made in a third of the time that a class with a constructor takes.
    """

    charger: Charger
    event: Event
    prepared: _Prepared
    reply: Awaitable[Reply]

    def __await__(self) -> Generator[Any, None, Answer]:
        event, prepared = self.event, self.prepared
        try:
            reply = yield from self.reply.__await__()
            result = plain_result(reply)
            if result is not None:
                return finish(event, prepared.payment, reply, result)
            conclusion = self.charger.conclude(event, prepared.payment, prepared.priced, reply)
            return (yield from conclusion.__await__())
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)


def _stranger(event: Event) -> SessionKey:
    """Where use is parked that no account owns."""
    who = event.subscriber or "-"
    return SessionKey(event.tenant, who, who, event.session_id)

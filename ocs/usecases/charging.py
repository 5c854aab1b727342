"""Charging: one event in, one answer out, one step in the ledger between.

    prepare (preparing.py) ──► ledger.charge ──► finish (this file)

The subscriber comes from a memory of the worker (a directory look-up when it is not there), the
wallet's definitions from another; when those turn out old, the ledger says so with the new ones and
moves nothing, and the call is made again.

Reported use is never dropped. What cannot be charged now (no such subscriber, no price, or an event
so old that its session is forgotten) is parked in a stream, once, to be rated offline, and the
answer says `settled: false`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.plan import Generation, Plan
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Wallet
from ocs.usecases.addresses import parse_session_address, session_address
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.ports import (
    LATE,
    UNRATED,
    Account,
    ChargeLimits,
    ChargeResult,
    Ledger,
    LedgerUnavailable,
    OutcomeUnknown,
    RatingInfo,
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
_PLAIN: Final = frozenset({ResultCode.OK, ResultCode.NOT_CHARGED, ResultCode.NO_CREDIT})
"""Codes of a single service that need no second look."""
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
    """`limits` as configured; the validity of a grant comes with the plan."""

    limits: ChargeLimits = ChargeLimits()


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
        self._settings = settings
        self._clock_ms = clock_ms
        self._preparer = Preparer(settings.limits, plans)
        self._wallets: dict[tuple[str, str], Wallet] = {}
        self._currencies: dict[tuple[str, str], str] = {}

    def charge(self, event: Event) -> Awaitable[Answer]:
        """Charge one event; it is awaited once.

        Where everything is remembered, the call to the ledger leaves before this returns: of many
        events that are charged in one tick, all calls leave in one write.
        """
        payment = self._remembered_payer(event)
        if payment is None:
            return self._begin_slowly(event)
        priced = self._preparer.price(event, payment, self._tariffs.current)
        if priced.code is not ResultCode.OK:
            return self._begin_slowly(event)
        return _Charging(self, event, payment, priced, self._ask_ledger(event, payment, priced))

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
            priced = self._preparer.price(event, payment, self._tariffs.current)
            starts = event.kind in (Kind.START, Kind.EVENT)
            if priced.code is not ResultCode.OK and starts:
                return await self._refuse(event, priced.code, payment.session)
            reply = await self._ask_ledger(event, payment, priced)
            return await self.conclude(event, payment, priced, reply)
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)

    def _ask_ledger(self, event: Event, payment: Payment, priced: Priced) -> Awaitable[Reply]:
        opens = not self._is_old(event)
        generation = self._tariffs.current.id
        return self._ledger.charge(
            self._preparer.call(event, payment, priced, opens=opens, generation=generation)
        )

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
            reply = await self._ask_ledger(event, payment, priced)
        else:
            raise LedgerUnavailable("the wallet's definitions keep changing")
        if reply.code in (ResultCode.UNKNOWN_SUBSCRIBER, ResultCode.RATING_FAILED):
            # No wallet, or more money than the ledger can count: nothing moved.
            return await self._refuse(event, reply.code, payment.session)
        if reply.code is ResultCode.UNKNOWN_SESSION and reply.result is None:
            return await self._unknown_session(event, payment, priced)
        if reply.result is None:
            return _answer(event, reply.code)
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
            return _invalid(event, str(error))
        if session.tenant != event.tenant:
            return _invalid(event, "the session belongs to somebody else")
        if session.session_id != event.session_id:
            return _invalid(event, "the reference is of another session than session_id")
        wallet = self._wallets.get((session.tenant, session.wallet_group))
        if subscriber is not None and subscriber.account == session.account:
            return Payment(session, self._plans.get(subscriber.plan), subscriber.currency, wallet)
        currency = await self._currency_of(session)
        if currency is None:
            return _invalid(event, "the reference names no account")
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
        limits = self._settings.limits
        keep_s = limits.event_keep_s if event.kind is Kind.EVENT else limits.closed_keep_s
        return self._clock_ms() - event.reported_ms > keep_s * 1000

    async def _unknown_session(self, event: Event, payment: Payment, priced: Priced) -> Answer:
        session = payment.session
        if self._is_old(event):
            await self._park(LATE, event, session)
            return _answer(event, ResultCode.REPEAT_EXPIRED, reason=_TOO_OLD, settled=False)
        code = ResultCode.UNKNOWN_SESSION if priced.code is ResultCode.OK else priced.code
        if event.session_ref and payment.plan is None:
            code = ResultCode.UNKNOWN_SESSION
        return await self._refuse(event, code, session)

    async def _refuse(self, event: Event, code: ResultCode, session: SessionKey) -> Answer:
        """Refuse before the ledger; reported use is parked."""
        reason = _REASONS.get(code, "")
        if event.used_units == 0 or event.dry_run:
            return _answer(event, code, reason=reason)
        await self._park(UNRATED, event, session)
        return _answer(event, code, reason=reason, settled=False)

    async def _park(self, stream: str, event: Event, session: SessionKey) -> None:
        if event.dry_run:
            return
        about = info_text(event, "", self._tariffs.current.id)
        entry = msgspec.json.encode((event, msgspec.Raw(about.encode())))
        request = event.request_key or str(event.request_number)
        await self._ledger.park(stream, session, request, entry)


class _Charging:
    """An event whose call is on its way."""

    __slots__ = ("_charger", "_event", "_payment", "_priced", "_reply")

    def __init__(
        self,
        charger: Charger,
        event: Event,
        payment: Payment,
        priced: Priced,
        reply: Awaitable[Reply],
    ) -> None:
        self._charger = charger
        self._event = event
        self._payment = payment
        self._priced = priced
        self._reply = reply

    def __await__(self) -> Generator[Any, None, Answer]:
        event = self._event
        try:
            reply = yield from self._reply.__await__()
            result = reply.result
            if result is not None and reply.code in _PLAIN and len(result.services) == 1:
                return finish(event, self._payment, reply, result)
            conclusion = self._charger.conclude(event, self._payment, self._priced, reply)
            return (yield from conclusion.__await__())
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)


def finish(event: Event, payment: Payment, reply: Reply, result: ChargeResult) -> Answer:
    """Make the answer of a result: the second half of a charge."""
    return Answer(
        code=reply.code,
        session_id=event.session_id,
        request_number=event.request_number,
        transaction_id=result.transaction_id,
        session_ref=session_address(payment.session),
        services=_services(result, reply.ratings),
        currency=payment.currency,
        available_amount=result.available_amount,
        held_amount=result.held_amount,
        overrun_amount=result.overrun_amount,
        hit=reply.hit,
        late_start=result.late_start,
    )


def fault_answer(event: Event, fault: LedgerUnavailable | OutcomeUnknown) -> Answer:
    """Answer a fault of the store: the same request may be sent again."""
    unknown = isinstance(fault, OutcomeUnknown)
    code = ResultCode.OUTCOME_UNKNOWN if unknown else ResultCode.TOO_BUSY
    return _answer(event, code, reason=str(fault))


def _services(result: ChargeResult, ratings: tuple[str, ...]) -> tuple[ServiceAnswer, ...]:
    return tuple(
        ServiceAnswer(
            rating_group=service.rating_group,
            code=service.code,
            granted_units=service.granted_units,
            validity_s=service.validity_s,
            quota_threshold_units=0,
            final_unit=service.final_unit,
            settled_units=service.settled_units,
            settled_amount=service.settled_amount,
            total_amount=service.total_amount,
            rating=_rating(rating) if rating else None,
        )
        for service, rating in zip(result.services, ratings, strict=True)
    )


@lru_cache(maxsize=10_000)
def _rating(text: str) -> RatingInfo:
    return msgspec.json.decode(text, type=RatingInfo)


def _stranger(event: Event) -> SessionKey:
    """Where use is parked that no account owns."""
    who = event.subscriber or "-"
    return SessionKey(event.tenant, who, who, event.session_id)


def _answer(event: Event, code: ResultCode, *, reason: str = "", settled: bool = True) -> Answer:
    return Answer(
        code=code,
        session_id=event.session_id,
        request_number=event.request_number,
        reason=reason,
        settled=settled,
    )


def _invalid(event: Event, reason: str) -> Answer:
    return Answer(
        code=ResultCode.INVALID_EVENT,
        session_id=event.session_id,
        request_number=event.request_number,
        field="session_ref",
        reason=reason,
    )

"""Charging: one event in, one answer out, one step in the ledger between.

    prepare (preparing.py) ──► ledger.charge ──► finish (finishing.py)

Who pays is remembered (`paying`). When the wallet's definitions turn out old, the ledger says so
with the new ones and moves nothing, and the call is made again. One-shot events that debit nothing
take a way of their own (`one_shot`).

Events that come together are charged together (`charge_all`): one wait for all of them, and none of
the objects that a wait for each would take. What is not plain sailing (a payer to be looked up, no
price, a reply that is no result) goes on by itself, on the way that a single event takes, and keeps
the others from nothing: its answer is handed back as one to come.

Reported use is never dropped. What cannot be charged now (no such subscriber, no price, or an event
of a time at which nobody could tell that it is a repeat, `client_clocks`) is parked in a stream,
once, to be rated offline, and the answer says `settled: false`. Of an event with several services
it is those without a price.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Action, Event, Kind
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Wallet
from ocs.domain.zones import Zone
from ocs.usecases.answer import Answer, AnswerOfOne
from ocs.usecases.client_clocks import (
    KEPT_THOUGH_AHEAD,
    PUNCTUAL_MS,
    TOO_FAR_AHEAD,
    TOO_OLD,
    TOO_OLD_TO_REFUND,
    is_too_far_ahead,
    remembered,
    window_of,
    with_lead,
)
from ocs.usecases.explaining import explained
from ocs.usecases.finishing import (
    NOT_PRICED,
    REASONS,
    fault_answer,
    finish,
    invalid,
    plain_result,
    refuse,
)
from ocs.usecases.one_shot import OneShot, asks_for_units, checked
from ocs.usecases.paying import BadReference, Payers, Payment, SubscriberSource
from ocs.usecases.ports import (
    LATE,
    UNRATED,
    ChargeLimits,
    ChargeResult,
    Ledger,
    LedgerUnavailable,
    OutcomeUnknown,
    Reply,
    ReplyOfOne,
    SessionKey,
)
from ocs.usecases.preparing import Prepared, Preparer, info_json

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_OK: Final = ResultCode.OK
_UPDATE: Final = Kind.UPDATE
_DIRECT_DEBIT: Final = Action.DIRECT_DEBIT
_STALE_TRIES: Final = 3
"""A wallet whose definitions change three times within one request is being edited by a machine."""


class ChargingSettings(Struct, frozen=True, kw_only=True):
    """`limits` as configured; the validity of a grant comes with the plan. `zones` by tenant.

    `refunds_any`: what a refund gives back need not be what a transaction debited.
    """

    limits: ChargeLimits = ChargeLimits()
    zones: Mapping[str, Zone] = {}
    refunds_any: bool = False


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
        self._payers = Payers(directory, plans)
        self._tariffs = tariffs
        self._clock_ms = clock_ms
        self._window = window_of(settings.limits)
        self._preparer = Preparer(remembered(settings.limits), settings.zones)
        self._one_shot = OneShot(ledger, self._preparer, refunds_any=settings.refunds_any)

    def charge(self, event: Event) -> Awaitable[Answer]:
        """Charge one event; it is awaited once.

        Where everything is remembered, the call to the ledger leaves before this returns: of many
        events that are charged in one tick, all calls leave in one write.
        """
        prepared = self._prepare(event, self._clock_ms())
        if prepared is None:
            return self._begin_slowly(event)
        return _Charging(self, event, prepared, self._ledger.charge(prepared.call))

    async def charge_all(self, events: Sequence[Event]) -> list[AnswerOfOne]:
        """Charge several events; those of one session in their order, if all of it is remembered.

        What is remembered costs one call to the ledger for all, and one wait.
        """
        now_ms = self._clock_ms()
        begun = [self._begin(event, now_ms) for event in events]
        calls = [one.call for one in begun if type(one) is Prepared]
        replies = iter(await self._ledger.charge_all(calls) if calls else ())
        charged: list[AnswerOfOne] = []
        for event, one in zip(events, begun, strict=True):
            if isinstance(one, Prepared):
                charged.append(self._end(event, one, next(replies)))
            else:
                charged.append(one)
        return charged

    def _end(self, event: Event, prepared: Prepared, reply: ReplyOfOne) -> AnswerOfOne:
        """Answer what the ledger replied to one of many events, or begin to, by itself."""
        try:
            if type(reply) is Reply and (result := plain_result(reply)) is not None:
                return finish(event, prepared, reply, result)
        except Exception as bug:  # noqa: BLE001 -- only this event is to suffer from it
            return bug
        return asyncio.get_running_loop().create_task(self._conclude(event, prepared, reply))

    def _begin(self, event: Event, now_ms: int) -> Prepared | Awaitable[Answer] | Exception:
        """Prepare one of many events; where that cannot be done at once, begin it by itself."""
        try:
            return self._prepare(event, now_ms) or self._begin_slowly(event)
        except Exception as bug:  # noqa: BLE001 -- only this event is to suffer from it
            return bug

    def _prepare(self, event: Event, now_ms: int) -> Prepared | None:
        """Prepare an event of which everything is remembered, and that has a price."""
        payment = self._payers.remembered(event, now_ms)
        if payment is None or event.explain or event.action is not _DIRECT_DEBIT:
            return None
        prepared = self._prepared(event, payment, self._tariffs.current, now_ms)
        return prepared if prepared.code is _OK else None

    def _prepared(
        self, event: Event, payment: Payment, tariffs: Generation, now_ms: int
    ) -> Prepared:
        """Prepare an event. One that is old opens no session: it may have had one."""
        is_old = self._window.is_old(event, now_ms)
        opens = (event.may_open or event.kind is not _UPDATE) and not is_old
        prepared = self._preparer.prepare(event, payment, tariffs, opens=opens)
        if event.reported_ms - now_ms <= PUNCTUAL_MS:
            return prepared
        return replace(prepared, call=with_lead(prepared.call, event, now_ms))

    def _begin_slowly(self, event: Event) -> Awaitable[Answer]:
        # A task, so that of many events these too go on beside each other.
        return asyncio.get_running_loop().create_task(self._charge_slowly(event))

    async def _charge_slowly(self, event: Event) -> Answer:
        """Charge an event whose payer has to be looked up, or that has no price."""
        try:
            payment = await self._payers.find(event)
            if payment is None:
                return await self._refuse(event, ResultCode.UNKNOWN_SUBSCRIBER, _stranger(event))
            tariffs = self._tariffs.current  # of which a reload during the wait changes nothing
            answer = await self._act(event, payment, tariffs)
        except BadReference as problem:
            return invalid(event, "session_ref", str(problem))
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)
        if not event.explain:
            return answer
        return explained(answer, event, payment, self._preparer, tariffs)

    async def _act(self, event: Event, payment: Payment, tariffs: Generation) -> Answer:
        """Do what an event wants whose payer is known."""
        if event.action is _DIRECT_DEBIT:
            return await self._debit(event, payment, tariffs)
        if event.action is Action.PRICE_ENQUIRY:
            return self._one_shot.price(event, payment, tariffs)
        if event.action is Action.CHECK_BALANCE:
            if not asks_for_units(event):
                return await self._one_shot.balance(event, payment, self._clock_ms())
            return checked(await self._debit(replace(event, dry_run=True), payment, tariffs))
        if not event.reverses and self._is_old(event):
            return refuse(event, ResultCode.REPEAT_EXPIRED, reason=TOO_OLD_TO_REFUND)
        if not event.reverses and is_too_far_ahead(event, self._clock_ms()):
            return invalid(event, "event_time", TOO_FAR_AHEAD)
        return await self._one_shot.refund(event, payment, tariffs)

    async def _debit(self, event: Event, payment: Payment, tariffs: Generation) -> Answer:
        prepared = self._prepared(event, payment, tariffs, self._clock_ms())
        starts = event.kind in (Kind.START, Kind.EVENT)
        if prepared.code is not _OK and starts:
            return await self._refuse(event, prepared.code, payment.session)
        return await self.conclude(event, prepared, await self._ledger.charge(prepared.call))

    async def _conclude(self, event: Event, prepared: Prepared, reply: ReplyOfOne) -> Answer:
        """Answer what the ledger replied to one of many events, if that is no plain result."""
        try:
            if isinstance(reply, Exception):
                raise reply
            told = reply if isinstance(reply, Reply) else await reply
            return await self.conclude(event, prepared, told)
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)

    async def conclude(self, event: Event, prepared: Prepared, reply: Reply) -> Answer:
        """Make an answer of the ledger's reply; ask again where the wallet was another."""
        session = prepared.payment.session
        for _ in range(_STALE_TRIES):
            if reply.stale is None:
                break
            wallet = Wallet(reply.stale.version, reply.stale.buckets)
            self._payers.remember(session, wallet)
            prepared = self._preparer.for_wallet(event, prepared, wallet)
            reply = await self._ledger.charge(prepared.call)
        else:
            raise LedgerUnavailable("the wallet's definitions keep changing")
        if reply.code in (ResultCode.UNKNOWN_SUBSCRIBER, ResultCode.RATING_FAILED):
            # No wallet, or more money than the ledger can count: nothing moved.
            return await self._refuse(event, reply.code, session)
        if reply.code is ResultCode.UNKNOWN_SESSION and reply.result is None:
            return await self._unknown_session(event, prepared)
        if reply.result is None:
            return refuse(event, reply.code)
        answer = finish(event, prepared, reply, reply.result)
        unpriced = _unpriced(event, reply.result)
        if unpriced is None:
            return answer
        await self._park(UNRATED, unpriced, session)
        return replace(answer, settled=False)

    # --- What cannot be charged ------------------------------------------------------------------

    def _is_old(self, event: Event) -> bool:
        return self._window.is_old(event, self._clock_ms())

    async def _unknown_session(self, event: Event, prepared: Prepared) -> Answer:
        session, code = prepared.payment.session, prepared.code
        if self._is_old(event):
            await self._park(LATE, event, session)
            return refuse(event, ResultCode.REPEAT_EXPIRED, reason=TOO_OLD, settled=False)
        if prepared.call.only_repeats:
            return await self._too_far_ahead(event, session)
        by_reference = event.session_ref and prepared.payment.plan is None
        if code is _OK or by_reference:
            code = ResultCode.UNKNOWN_SESSION
        return await self._refuse(event, code, session)

    async def _too_far_ahead(self, event: Event, session: SessionKey) -> Answer:
        if event.used_units == 0 or event.dry_run:
            return invalid(event, "event_time", TOO_FAR_AHEAD)
        await self._park(LATE, event, session)
        refusal = invalid(event, "event_time", KEPT_THOUGH_AHEAD)
        return replace(refusal, settled=False)

    async def _refuse(self, event: Event, code: ResultCode, session: SessionKey) -> Answer:
        """Refuse before the ledger; reported use is parked."""
        reason = REASONS.get(code, "")
        if event.used_units == 0 or event.dry_run:
            return refuse(event, code, reason=reason)
        await self._park(UNRATED, event, session)
        return refuse(event, code, reason=reason, settled=False)

    async def _park(self, stream: str, event: Event, session: SessionKey) -> None:
        if event.dry_run:
            return
        about = info_json(event, "", self._tariffs.current.id)
        entry = msgspec.json.encode((event, msgspec.Raw(about)))
        request = event.request_key or str(event.request_number)
        await self._ledger.park(stream, session, request, entry)


class _Charging(Struct, frozen=True, gc=False):
    """A single event whose call is on its way.

    A Struct, as it is made in a third of the time that a class with a constructor takes.
    """

    charger: Charger
    event: Event
    prepared: Prepared
    reply: Awaitable[Reply]

    def __await__(self) -> Generator[Any, None, Answer]:
        event, prepared = self.event, self.prepared
        try:
            reply = yield from self.reply.__await__()
            result = plain_result(reply)
            if result is not None:
                return finish(event, prepared, reply, result)
            conclusion = self.charger.conclude(event, prepared, reply)
            return (yield from conclusion.__await__())
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            return fault_answer(event, fault)


def _stranger(event: Event) -> SessionKey:
    """Where use is parked that no account owns."""
    who = event.subscriber or "-"
    return SessionKey(event.tenant, who, who, event.session_id)


def _unpriced(event: Event, result: ChargeResult) -> Event | None:
    """Return the part of an event that reports use nobody has a price for, if there is one."""
    groups = {one.rating_group for one in result.services if one.code in NOT_PRICED}
    if not groups:
        return None
    uses = tuple(use for use in event.services if use.rating_group in groups and use.used_units)
    return replace(event, services=uses) if uses else None

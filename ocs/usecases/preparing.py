"""The first half of a charge: an event becomes one call to the ledger.

Everything is decided here that can be decided without the balance: who pays, at which price from
when, which buckets may pay in which order, how much may be granted at most. Synchronous and without
I/O: whoever calls has looked up the subscriber and the wallet's definitions.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw, Struct

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.plan import Generation, Plan, Rate
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_ONLY, Payer, Wallet
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    RatingInfo,
    Segment,
    ServiceCall,
    SessionKey,
    Subscriber,
)

VOICE: Final = "voice"
"""The one usage type whose units are seconds of elapsed time."""
_MOST_PRICES_KEPT: Final = 20_000
_FINGERPRINT_BYTES: Final = 8
_encode_json: Final = msgspec.json.Encoder().encode
_NO_ATTRIBUTES: Final = Raw(b"{}")


class Payment(Struct, frozen=True):
    """Who pays for an event, as far as it is known.

    `plan` is None when only a `session_ref` names the payer, or when it is not configured.
    `wallet` is None when its definitions have not been seen yet; `main` is then assumed, and the
    ledger objects if there is more.
    """

    session: SessionKey
    plan: Plan | None
    currency: str
    wallet: Wallet | None


class Info(Struct, frozen=True):
    """What the journal keeps of an event beside the money: the raw material of the CDR."""

    subscriber: str
    direction: str
    usage_type: str
    calling_number: str
    called_number: str
    rated_number: str
    plan: str
    generation: str
    reported_ms: int
    time_flag: bool
    attributes: Raw


class _Price(Struct, frozen=True):
    """A rate as the ledger takes it. Keeps the rate, so that its identity stays taken."""

    rate: Rate
    segment: Segment
    free: bool
    subject: str


class Priced(Struct, frozen=True):
    """The price of an event's service; `code` is OK, or why there is none."""

    code: ResultCode
    segments: tuple[Segment, ...] = ()
    free: bool = False
    subject: str = ""


class Preparer:
    """Turns events into calls. `limits` are the configured ones; validity comes with the plan."""

    def __init__(self, limits: ChargeLimits, plans: Mapping[str, Plan]) -> None:
        self._limits = limits
        self._default_plan = Plan(name="", tariffs=())
        self._limits_of = {
            name: msgspec.structs.replace(limits, validity_s=plan.validity_s)
            for name, plan in plans.items()
        }
        self._prices: dict[int, _Price] = {}

    def price(self, event: Event, payment: Payment, generation: Generation) -> Priced:
        """Find the price of an event, with the switches that are known now for timed use."""
        plan, number, usage = payment.plan, event.rated_number, event.usage_type
        if plan is None:
            return Priced(ResultCode.RATING_FAILED)
        timed = usage == VOICE
        until_ms = event.event_ms + self._limits.life_units * 1000 if timed else event.event_ms
        schedule = generation.schedule(plan.tariffs, number, usage, event.event_ms, until_ms)
        if not schedule:
            return Priced(ResultCode.NO_RATE)
        first = self._price(schedule[0][1])
        if first.rate.blocked:
            return Priced(ResultCode.RATE_BLOCKED)
        if first.rate.currency != payment.currency:
            return Priced(ResultCode.RATING_FAILED)
        subject = f"{number}|{plan.name}" if timed else f"{plan.name}|{first.subject}"
        if len(schedule) == 1:
            return Priced(ResultCode.OK, (first.segment,), first.free, subject)
        later = [(at_ms, self._price(rate)) for at_ms, rate in schedule[1:] if not rate.blocked]
        segments = [msgspec.structs.replace(p.segment, from_ms=at_ms) for at_ms, p in later]
        free = first.free and all(p.free for _, p in later)
        return Priced(ResultCode.OK, (first.segment, *segments), free, subject)

    def call(
        self, event: Event, payment: Payment, priced: Priced, *, opens: bool, generation: str
    ) -> ChargeCall:
        """Build the call. `opens`: the event may open a session that the store does not know."""
        plan = payment.plan or self._default_plan
        wallet = payment.wallet
        payers: tuple[Payer, ...] = MAIN_ONLY
        if wallet is not None and not priced.free:
            payers = _payers(wallet, event)
        services = tuple(self._service(event, plan, use, priced, payers) for use in event.services)
        return ChargeCall(
            session=payment.session,
            kind=event.kind,
            request_number=-1 if event.request_number is None else event.request_number,
            request_key=event.request_key,
            fingerprint=fingerprint(event, payment.session.account),
            wallet_version=0 if wallet is None else wallet.version,
            event_ms=event.event_ms,
            answer_ms=event.answer_ms or 0,
            answered=event.answered,
            dry_run=event.dry_run,
            can_open=opens and bool(priced.segments),
            limits=self._limits_of.get(plan.name, self._limits),
            services=services,
            info=info_text(event, plan.name, generation),
        )

    def _service(
        self,
        event: Event,
        plan: Plan,
        use: ServiceUse,
        priced: Priced,
        payers: tuple[Payer, ...],
    ) -> ServiceCall:
        usage = event.usage_type
        ask = asked_units(event, use, plan)
        most = ask if event.kind is Kind.EVENT else plan.maximum_units[usage]
        return ServiceCall(
            rating_group=use.rating_group,
            used_units=use.used_units,
            ask_units=ask,
            cap_units=min(ask, most),
            minimum_units=plan.minimum_units[usage],
            timed=int(usage == VOICE),
            free=int(priced.free),
            subject=priced.subject,
            payers=payers,
            segments=priced.segments,
        )

    def _price(self, rate: Rate) -> _Price:
        known = self._prices.get(id(rate))
        if known is not None:
            return known
        ladder = rate.ladder
        about = RatingInfo(rate.tariff, rate.prefix, rate.destination, rate.model)
        text = _encode_json(about).decode()
        price = _Price(
            rate=rate,
            segment=Segment(0, Raw(rate.packed), text),
            free=not (ladder.fee or ladder.minimum or any(row.price for row in ladder.rows)),
            subject=f"{text}|{_digest(rate.packed)}",
        )
        if len(self._prices) >= _MOST_PRICES_KEPT:
            self._prices.clear()
        self._prices[id(rate)] = price
        return price


def payment_of(
    event: Event, subscriber: Subscriber, plan: Plan | None, wallet: Wallet | None
) -> Payment:
    """Say who pays for the event of a known subscriber."""
    session = SessionKey(
        event.tenant, subscriber.wallet_group, subscriber.account, event.session_id
    )
    return Payment(session, plan, subscriber.currency, wallet)


def asked_units(event: Event, use: ServiceUse, plan: Plan) -> int:
    """Return what one service asks for; where the event leaves it open, the plan's quota.

    A release asks for nothing. A one-shot event asks for one unit, unless it reports use.
    """
    if event.kind is Kind.RELEASE:
        return 0
    if use.requested_units is not None:
        return use.requested_units
    if event.kind is Kind.EVENT:
        return 0 if use.used_units else 1
    return plan.quota_units[event.usage_type]


def fingerprint(event: Event, account: str) -> str:
    """Digest what makes two requests the same: never times, and never free fields."""
    parts = [event.kind, account, event.rated_number, event.usage_type]
    parts += [f"{u.rating_group}:{u.used_units}:{u.requested_units}" for u in event.services]
    return _digest("\x1f".join(parts).encode())


def info_text(event: Event, plan: str, generation: str) -> str:
    """Spell what the journal keeps of an event, as JSON."""
    about = Info(
        subscriber=event.subscriber,
        direction=event.direction,
        usage_type=event.usage_type,
        calling_number=event.calling_number,
        called_number=event.called_number,
        rated_number=event.rated_number,
        plan=plan,
        generation=generation,
        reported_ms=event.reported_ms,
        time_flag=event.time_flag,
        attributes=Raw(event.attributes) if event.attributes else _NO_ATTRIBUTES,
    )
    return _encode_json(about).decode()


def _payers(wallet: Wallet, event: Event) -> tuple[Payer, ...]:
    if wallet.is_plain:
        return MAIN_ONLY
    return wallet.payers(event.usage_type, event.rated_number)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=_FINGERPRINT_BYTES).hexdigest()

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
from ocs.domain.generation import Generation
from ocs.domain.ladder import Ladder
from ocs.domain.money import MAX_UNITS
from ocs.domain.plan import Plan, rates_of
from ocs.domain.results import ResultCode
from ocs.domain.tariff import ANY_CURRENCY, Rate, Used
from ocs.domain.usage import VOICE
from ocs.domain.wallet import MAIN_ONLY, Payer, Wallet
from ocs.domain.zones import UTC_ZONE, Zone
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    RatingInfo,
    Segment,
    ServiceCall,
    SessionKey,
    Subscriber,
)

_MOST_PRICES_KEPT: Final = 20_000
_MOST_NUMBERS_KEPT: Final = 20_000
"""Numbers whose price is remembered, about 10 MB."""
_LONGEST_FINGERPRINT: Final = 64
_DIGEST_BYTES: Final = 8
_DIVIDER: Final = "\x1f"
_encode_json: Final = msgspec.json.Encoder().encode
_NO_ATTRIBUTES: Final = Raw(b"{}")


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


class Info(Struct, frozen=True, gc=False):
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


class Priced(Struct, frozen=True, gc=False):
    """The price of an event's service; `code` is OK, or why there is none."""

    code: ResultCode
    segments: tuple[Segment, ...] = ()
    free: bool = False
    subject: str = ""


class Preparer:
    """Turns events into calls. `limits` are the configured ones; validity comes with the plan.

    `zones` go by tenant; one that is not named there is in UTC.
    """

    def __init__(
        self, limits: ChargeLimits, plans: Mapping[str, Plan], zones: Mapping[str, Zone]
    ) -> None:
        self.life_s = limits.life_units
        """The longest that a call may live: its price is looked up for no later time."""
        self._limits = limits
        self._zones = dict(zones)
        self._default_plan = Plan(name="", tariffs=())
        self._limits_of = {
            name: msgspec.structs.replace(limits, validity_s=plan.validity_s)
            for name, plan in plans.items()
        }
        self._prices: dict[int, _Price] = {}
        self._generation: Generation | None = None
        self._plain: dict[tuple[str, str, str, str], Priced] = {}

    def price(self, event: Event, payment: Payment, generation: Generation) -> Priced:
        """Find the price of an event, with the switches that are known now for timed use.

        Where neither time nor caller matter it is remembered: a call asks at least twice.
        """
        plan = payment.plan
        if plan is None:
            return Priced(ResultCode.RATING_FAILED)
        key = plan.name, event.rated_number, event.usage_type, payment.currency
        if generation is self._generation:
            known = self._plain.get(key)
            if known is not None:
                return known
        else:
            self._generation = generation
            self._plain.clear()
        used = self.used(event)
        priced = self._find_price(used, plan, payment.currency, generation)
        if generation.is_plain(plan.tariffs, used):
            if len(self._plain) >= _MOST_NUMBERS_KEPT:
                self._plain.clear()
            self._plain[key] = priced
        return priced

    def _find_price(self, used: Used, plan: Plan, currency: str, generation: Generation) -> Priced:
        schedule = rates_of(generation, plan, used, self._limits.life_units)
        if not schedule:
            return Priced(ResultCode.NO_RATE)
        first = self._price(schedule[0][1])
        if first.rate.blocked:
            return Priced(ResultCode.RATE_BLOCKED)
        if first.rate.currency not in (currency, ANY_CURRENCY):
            return Priced(ResultCode.RATING_FAILED)
        timed = used.usage_type == VOICE
        subject = f"{used.number}|{plan.name}" if timed else f"{plan.name}|{first.subject}"
        if len(schedule) == 1:
            return Priced(ResultCode.OK, (first.segment,), first.free, subject)
        later = [(at_ms, self._price(rate)) for at_ms, rate in schedule[1:]]
        segments = [msgspec.structs.replace(p.segment, from_ms=at_ms) for at_ms, p in later]
        free = first.free and all(p.free for _, p in later)
        return Priced(ResultCode.OK, (first.segment, *segments), free, subject)

    def used(self, event: Event) -> Used:
        """Say what a price is looked up for: a call from when its use began, else the event."""
        at_ms = event.event_ms
        if event.usage_type == VOICE:
            begun_ms = event.answer_ms or at_ms - 1000 * event.services[0].used_units
            at_ms = max(begun_ms, at_ms - 1000 * self._limits.life_units)
        zone = self._zones.get(event.tenant, UTC_ZONE)
        caller = event.calling_number or (event.subscriber if event.direction != "term" else "")
        return Used(event.rated_number, event.usage_type, at_ms, zone, caller, event.trunk_in)

    def call(
        self, event: Event, payment: Payment, priced: Priced, *, opens: bool, generation: str
    ) -> ChargeCall:
        """Build the call. `opens`: the event may open a session that the store does not know."""
        plan = payment.plan or self._default_plan
        wallet = payment.wallet
        payers: tuple[Payer, ...] = MAIN_ONLY
        if wallet is not None and not priced.free:
            payers = _payers(wallet, event)
        number = event.request_number
        services = tuple([_service(event, plan, use, priced, payers) for use in event.services])
        return ChargeCall(
            payment.session,
            event.kind,
            -1 if number is None else number,
            event.request_key,
            fingerprint(event),
            0 if wallet is None else wallet.version,
            event.event_ms,
            event.answer_ms or 0,
            event.answered,
            event.dry_run,
            opens and bool(priced.segments),
            self._limits_of.get(plan.name, self._limits),
            services,
            info_text(event, plan.name, generation),
        )

    def _price(self, rate: Rate) -> _Price:
        known = self._prices.get(id(rate))
        if known is not None:
            return known
        about = RatingInfo(rate.tariff, rate.prefix, rate.destination, rate.model)
        text = _encode_json(about).decode()
        price = _Price(
            rate=rate,
            segment=Segment(0, Raw(rate.packed), text),
            free=_is_free(rate.ladder),
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


def fingerprint(event: Event) -> str:
    """Tell what makes two requests of a session the same: never times, and never free fields.

    The payer is not in it: the session's address names it. A short text stands for itself, which
    costs the store a dozen bytes and spares every event a hash; a long one is digested.
    """
    text = event.kind + _DIVIDER + event.usage_type + _DIVIDER + event.rated_number
    for use in event.services:
        text += f"{_DIVIDER}{use.rating_group}:{use.used_units}:{use.requested_units}"
    return text if len(text) <= _LONGEST_FINGERPRINT else _digest(text.encode())


def info_text(event: Event, plan: str, generation: str) -> str:
    """Spell what the journal keeps of an event, as JSON."""
    about = Info(
        event.subscriber,
        event.direction,
        event.usage_type,
        event.calling_number,
        event.called_number,
        event.rated_number,
        plan,
        generation,
        event.reported_ms,
        event.time_flag,
        Raw(event.attributes) if event.attributes else _NO_ATTRIBUTES,
    )
    return _encode_json(about).decode()


def _is_free(ladder: Ladder) -> bool:
    """Whether nothing is ever owed, however much is used."""
    costs = ladder.fee or ladder.minimum or any(row.price for row in ladder.rows)
    return not costs and ladder.end == MAX_UNITS


def _service(
    event: Event, plan: Plan, use: ServiceUse, priced: Priced, payers: tuple[Payer, ...]
) -> ServiceCall:
    usage = event.usage_type
    ask = asked_units(event, use, plan)
    most = ask if event.kind is Kind.EVENT else plan.maximum_units[usage]
    return ServiceCall(
        use.rating_group,
        use.used_units,
        ask,
        min(ask, most),
        plan.minimum_units[usage],
        usage == VOICE,
        priced.free,
        priced.subject,
        payers,
        priced.segments,
    )


def _payers(wallet: Wallet, event: Event) -> tuple[Payer, ...]:
    if wallet.is_plain:
        return MAIN_ONLY
    return wallet.payers(event.usage_type, event.rated_number)


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()

"""The price of what an event uses, as the ledger takes it.

A call has its schedule: all prices of its life are known when it begins. Data, messages and events
have the price of their event's time, whatever comes; where time matters to it, three things more
are looked up:

    coming   the price that takes over while the grant is valid: the dearer of the two is held
    before   the price that a tariff change ended, for what a client used until then (RFC 8506 8.27)
    outlook  by what the answer tells the client when its price changes

The instant that a client is told is worked out when the answer is written, from when the ledger
wrote its result and not from the event: a repeat says another time, and must be told the same.
Rejected: keeping it with the session, as the ledger would have to know of it.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ocs.domain.events import Event, ServiceUse
from ocs.domain.generation import Generation, Schedule
from ocs.domain.ladder import Ladder
from ocs.domain.money import MAX_UNITS
from ocs.domain.plan import Plan, rates_of, rates_until
from ocs.domain.results import ResultCode
from ocs.domain.tariff import ANY_CURRENCY, Rate, Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE, Zone
from ocs.usecases.paying import Payment
from ocs.usecases.ports import RatingInfo, Segment

_MOST_PRICES_KEPT: Final = 20_000
_DIGEST_BYTES: Final = 8
_LOOK_BACK_MS: Final = 86_400_000
"""How long ago the change may be that a client tells use apart by: it was told it a grant ago."""
_CLOCKS_MS: Final = 60_000
"""A client's clock may be ahead: what it says has changed may change here only now."""
_encode_json: Final = msgspec.json.Encoder().encode


class Outlook(Struct, frozen=True, gc=False):
    """By what to look up when a price changes that is not a call's."""

    generation: Generation
    plan: Plan
    used: Used

    def change_ms(self, from_ms: int, until_ms: int) -> int:
        """Return the first instant between the two at which another price takes over; 0: none."""
        used = replace(self.used, at_ms=from_ms)
        later = rates_until(self.generation, self.plan, used, until_ms)[1:]
        return later[0][0] if later else 0


class Priced(Struct, frozen=True, gc=False):
    """The price of one service; `code` is OK, or why there is none."""

    code: ResultCode
    segments: tuple[Segment, ...] = ()
    free: bool = False
    subject: str = ""
    coming: tuple[Segment, ...] = ()
    before: tuple[Segment, ...] = ()
    before_subject: str = ""
    outlook: Outlook | None = None


class _Price(Struct, frozen=True):
    """A rate as the ledger takes it. Keeps the rate, so that its identity stays taken."""

    rate: Rate
    segment: Segment
    free: bool
    subject: str


class Pricer:
    """Finds prices. `life_s` is the longest that a call may live; `zones` go by tenant."""

    def __init__(self, life_s: int, zones: Mapping[str, Zone]) -> None:
        self.life_s = life_s
        self._zones = dict(zones)
        self._prices: dict[int, _Price] = {}

    def price(
        self,
        event: Event,
        use: ServiceUse,
        payment: Payment,
        generation: Generation,
        validity_s: int,
    ) -> Priced:
        """Find the price of a service by the payer's plan, with its changes that are known now."""
        plan, currency = payment.plan, payment.currency
        assert plan is not None
        used = self.used(event, use)
        if used.usage_type == VOICE or generation.is_plain(plan.tariffs, used):
            schedule = rates_of(generation, plan, used, self.life_s)
            return self._priced(schedule, used, plan, currency)
        outlook = Outlook(generation, plan, used)
        return self._changing(outlook, currency, use.before_units, validity_s)

    def is_plain(self, event: Event, use: ServiceUse, plan: Plan, generation: Generation) -> bool:
        """Whether a service has this price at any time, whoever uses it and over what."""
        return generation.is_plain(plan.tariffs, self.used(event, use))

    def used(self, event: Event, use: ServiceUse) -> Used:
        """Say what a price is looked up for: a call from when its use began, else the event."""
        at_ms = event.event_ms
        if event.usage_type == VOICE:
            begun_ms = event.answer_ms or at_ms - 1000 * use.used_units
            at_ms = max(begun_ms, at_ms - 1000 * self.life_s)
        zone = self._zones.get(event.tenant, UTC_ZONE)
        caller = event.calling_number or (event.subscriber if event.direction != "term" else "")
        number = use.rated_number or event.rated_number
        return Used(number, event.usage_type, at_ms, zone, caller, event.trunk_in)

    def _priced(self, schedule: Schedule, used: Used, plan: Plan, currency: str) -> Priced:
        if not schedule:
            return Priced(ResultCode.NO_RATE)
        first = self._price(schedule[0][1])
        if first.rate.blocked:
            return Priced(ResultCode.RATE_BLOCKED)
        if first.rate.currency not in (currency, ANY_CURRENCY):
            return Priced(ResultCode.RATING_FAILED)
        timed = used.usage_type == VOICE
        subject = f"{used.number}|{plan.name}" if timed else _subject(plan, first)
        if len(schedule) == 1:
            return Priced(ResultCode.OK, (first.segment,), first.free, subject)
        later = [(at_ms, self._price(rate)) for at_ms, rate in schedule[1:]]
        segments = [replace(price.segment, from_ms=at_ms) for at_ms, price in later]
        free = first.free and all(price.free for _, price in later)
        return Priced(ResultCode.OK, (first.segment, *segments), free, subject)

    def _changing(
        self, outlook: Outlook, currency: str, before_units: int, validity_s: int
    ) -> Priced:
        """Price what is not a call and may cost something else soon, or did so just now."""
        plan, used = outlook.plan, outlook.used
        around = _around(outlook) if before_units else ()
        if len(around) > 1:
            used = replace(used, at_ms=max(used.at_ms, around[-1][0]))
        until_ms = used.at_ms + 1000 * validity_s
        schedule = rates_until(outlook.generation, plan, used, until_ms)
        priced = self._priced(schedule[:1], used, plan, currency)
        if priced.code is not ResultCode.OK:
            return priced
        coming: tuple[Segment, ...] = ()
        free = priced.free
        if len(schedule) > 1:
            at_ms, rate = schedule[1]
            next_price = self._price(rate)
            coming = (replace(next_price.segment, from_ms=at_ms),)
            free = free and next_price.free
        if len(around) < 2:  # noqa: PLR2004 -- no change, and so nothing before it
            return replace(priced, coming=coming, free=free, outlook=outlook)
        former = self._price(around[-2][1])
        return replace(
            priced,
            coming=coming,
            free=free and former.free,
            outlook=outlook,
            before=(former.segment,),
            before_subject=_subject(plan, former),
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
            subject=f"{text}|{digest(rate.packed)}",
        )
        if len(self._prices) >= _MOST_PRICES_KEPT:
            self._prices.clear()
        self._prices[id(rate)] = price
        return price


def digest(data: bytes) -> str:
    """Shorten what is only compared."""
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def _subject(plan: Plan, price: _Price) -> str:
    return f"{plan.name}|{price.subject}"


def _around(outlook: Outlook) -> Schedule:
    """Return the rates up to now, of which the last but one was ended by the last change."""
    begun_ms, now_ms = outlook.used.at_ms - _LOOK_BACK_MS, outlook.used.at_ms + _CLOCKS_MS
    used = replace(outlook.used, at_ms=begun_ms)
    return rates_until(outlook.generation, outlook.plan, used, now_ms)


def _is_free(ladder: Ladder) -> bool:
    """Whether nothing is ever owed, however much is used."""
    costs = ladder.fee or ladder.minimum or any(row.price for row in ladder.rows)
    return not costs and ladder.end == MAX_UNITS

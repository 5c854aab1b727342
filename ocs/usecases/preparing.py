"""The first half of a charge: an event becomes one call to the ledger.

Everything is decided here that can be decided without the balance: at which price from when
(`pricing`), which buckets may pay in which order, how much may be granted at most. Synchronous and
without I/O: whoever calls has looked up the subscriber and the wallet's definitions (`paying`).

How much, and for how long, is said by the plan and by the event's source. Of the two maximums the
lower counts; of everything else the source's, where it says anything.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ocs.domain.events import Action, Event, Kind, ServiceUse, Terms
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.results import ResultCode
from ocs.domain.usage import VOICE
from ocs.domain.wallet import MAIN_ONLY, Payer, Wallet
from ocs.domain.zones import Zone
from ocs.usecases.answer import FinalUnit, FinalUnitAction
from ocs.usecases.paying import Payment
from ocs.usecases.ports import ChargeCall, ChargeLimits, ServiceCall
from ocs.usecases.pricing import Priced, Pricer, digest

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_OK: Final = ResultCode.OK
_RELEASE: Final = Kind.RELEASE
_EVENT: Final = Kind.EVENT
_DIRECT_DEBIT: Final = Action.DIRECT_DEBIT
_LONGEST_FINGERPRINT: Final = 64
_encode_json: Final = msgspec.json.Encoder().encode
_NO_ATTRIBUTES: Final = Raw(b"{}")
_MOST_NUMBERS_KEPT: Final = 20_000
"""Numbers whose price is remembered, about 10 MB."""
_ASKING: Final = frozenset({Kind.START, Kind.UPDATE})
_NO_TERMS: Final = Terms()


class Info(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the journal keeps of an event beside the money: the raw material of the CDR.

    `rated_numbers` are those of services that are rated by another number than the event's.
    `answer_ms` is 0 where the event does not say it, `currency` empty where the payer is not known.
    """

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
    rated_numbers: Mapping[str, str] | None = None
    answer_ms: int = 0
    currency: str = ""


class GrantRules(Struct, frozen=True, gc=False):
    """What plan and source say of grants of one usage type."""

    limits: ChargeLimits
    quota_units: int
    minimum_units: int
    maximum_units: int
    threshold_units: int
    final: FinalUnit
    failure_handling: str

    @property
    def acts_at_the_end(self) -> bool:
        """Whether a client without credit is to do something else than to end."""
        return self.final.action is not FinalUnitAction.TERMINATE


class Conditions(Struct, frozen=True, gc=False):
    """All that is decided of one service before its units are looked at."""

    priced: Priced
    rules: GrantRules


class Prepared(Struct, frozen=True, gc=False):
    """An event's call, and what it was made of; `prices` are of its services, in their order.

    `code` is OK when any service has a price, else why the first has none.
    """

    code: ResultCode
    payment: Payment
    rules: GrantRules
    prices: tuple[Priced, ...]
    call: ChargeCall


class Preparer:
    """Turns events into calls. `limits` are the configured ones; validity comes with the plan.

    `zones` go by tenant; one that is not named there is in UTC.
    """

    def __init__(self, limits: ChargeLimits, zones: Mapping[str, Zone]) -> None:
        self.pricer = Pricer(limits.life_units, zones)
        self._limits = limits
        self._default_plan = Plan(name="", tariffs=(), validity_s=limits.validity_s)
        self._rules: dict[tuple[str, str, Terms | None], GrantRules] = {}
        self._generation: Generation | None = None
        self._plain: dict[tuple[str, str, str, str, Terms | None], Conditions] = {}

    def prepare(
        self, event: Event, payment: Payment, generation: Generation, *, opens: bool
    ) -> Prepared:
        """Build the call. `opens`: the event may open a session that the store does not know."""
        uses = event.services
        prices: tuple[Priced, ...]
        if len(uses) == 1:
            conditions = self.conditions(event, uses[0], payment, generation)
            priced, rules = conditions.priced, conditions.rules
            code, prices, has_price = priced.code, (priced,), bool(priced.segments)
        else:
            prices, rules = self._conditions_of_all(event, payment, generation)
            codes = [priced.code for priced in prices]
            code = _OK if _OK in codes else codes[0]
            has_price = any(priced.segments for priced in prices)
        number, wallet, plan = event.request_number, payment.wallet, payment.plan
        call = ChargeCall(
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
            opens and has_price,
            rules.limits,
            _services(event, rules, prices, wallet),
            info_json(event, "" if plan is None else plan.name, generation.id, payment.currency),
        )
        return Prepared(code, payment, rules, prices, call)

    def conditions(
        self, event: Event, use: ServiceUse, payment: Payment, generation: Generation
    ) -> Conditions:
        """Return price and rules of a service.

        Where neither time nor caller matter they are remembered: a call asks at least twice.
        """
        plan = payment.plan
        if plan is None:
            return Conditions(Priced(ResultCode.RATING_FAILED), self.rules(event, None))
        number = use.rated_number or event.rated_number
        key = plan.name, number, event.usage_type, payment.currency, event.terms
        if generation is self._generation:
            known = self._plain.get(key)
            if known is not None:
                return known
        else:
            self._generation = generation
            self._plain.clear()
        rules = self.rules(event, plan)
        validity_s = rules.limits.validity_s
        conditions = Conditions(
            self.pricer.price(event, use, payment, generation, validity_s), rules
        )
        if self.pricer.is_plain(event, use, plan, generation):
            if len(self._plain) >= _MOST_NUMBERS_KEPT:
                self._plain.clear()
            self._plain[key] = conditions
        return conditions

    def _conditions_of_all(
        self, event: Event, payment: Payment, generation: Generation
    ) -> tuple[tuple[Priced, ...], GrantRules]:
        """Return the prices of several services, of which many may have one price."""
        first, *others = event.services
        conditions = self.conditions(event, first, payment, generation)
        prices = [conditions.priced]
        for use in others:
            told_apart = use.before_units or first.before_units
            if use.rated_number == first.rated_number and not told_apart:
                prices.append(conditions.priced)
            else:
                prices.append(self.conditions(event, use, payment, generation).priced)
        return tuple(prices), conditions.rules

    def for_wallet(self, event: Event, prepared: Prepared, wallet: Wallet) -> Prepared:
        """Build the call anew, at the same prices, for what the wallet turned out to be."""
        payers = _payers(event, prepared.prices, wallet)
        services = [
            replace(service, payers=each)
            for service, each in zip(prepared.call.services, payers, strict=True)
        ]
        call = replace(prepared.call, wallet_version=wallet.version, services=tuple(services))
        return replace(prepared, payment=replace(prepared.payment, wallet=wallet), call=call)

    def rules(self, event: Event, plan: Plan | None) -> GrantRules:
        """Return the sizes and times of grants; made once for each plan, usage type and terms."""
        if plan is None:
            plan = self._default_plan
        key = plan.name, event.usage_type, event.terms
        known = self._rules.get(key)
        if known is None:
            known = self._rules[key] = _rules(plan, event, self._limits)
        return known


def asked_units(event: Event, use: ServiceUse, quota_units: int) -> int:
    """Return what one service asks for; where the event leaves it open, the quota.

    A release asks for nothing. A one-shot event asks for one unit, unless it reports use.
    """
    if event.kind is _RELEASE:
        return 0
    if use.requested_units is not None:
        return use.requested_units
    if event.kind is _EVENT:
        return 0 if use.used_units else 1
    return quota_units


def fingerprint(event: Event) -> str:
    """Tell what makes two requests of a session the same: never times, and never free fields.

    The payer is not in it: the session's address names it. A short text stands for itself, which
    costs the store a dozen bytes and spares every event a hash; a long one is digested.
    """
    text = event.kind + f"\x1f{event.usage_type}\x1f{event.rated_number}"
    for use in event.services:
        text += f"\x1f{use.rating_group}:{use.used_units}:{use.requested_units}"
        if use.rated_number or use.before_units:
            text += f":{use.before_units}:{use.rated_number}"
    if event.action is not _DIRECT_DEBIT:
        text += f"\x1f{event.action}\x1f{event.reverses}\x1f{event.amount}"
    return text if len(text) <= _LONGEST_FINGERPRINT else digest(text.encode())


def info_json(event: Event, plan: str, generation: str, currency: str = "") -> bytes:
    """Spell what the journal keeps of an event, as JSON."""
    rated = None
    if event.services[0].rated_number or len(event.services) > 1:
        rated = {use.rating_group: use.rated_number for use in event.services if use.rated_number}
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
        rated or None,
        event.answer_ms or 0,
        currency,
    )
    return _encode_json(about)


def _rules(plan: Plan, event: Event, limits: ChargeLimits) -> GrantRules:
    usage, terms = event.usage_type, event.terms or _NO_TERMS
    most = plan.maximum_units[usage]
    most = min(most, terms.maximum_units or most)
    least = terms.minimum_units or plan.minimum_units[usage]
    return GrantRules(
        limits=replace(limits, validity_s=terms.validity_s or plan.validity_s),
        quota_units=terms.quota_units or plan.quota_units[usage],
        minimum_units=min(least, most),
        maximum_units=most,
        threshold_units=terms.threshold_units or plan.threshold_units[usage],
        final=FinalUnit(
            FinalUnitAction(plan.final_unit_action.upper()), plan.redirect_address, plan.filter_id
        ),
        failure_handling=plan.failure_handling,
    )


def _services(
    event: Event, rules: GrantRules, prices: tuple[Priced, ...], wallet: Wallet | None
) -> tuple[ServiceCall, ...]:
    uses = event.services
    if len(uses) == 1 and (wallet is None or wallet.is_plain):
        return (_service(event, rules, uses[0], prices[0], MAIN_ONLY),)
    payers = _payers(event, prices, wallet)
    return tuple(
        [
            _service(event, rules, use, priced, each)
            for use, priced, each in zip(uses, prices, payers, strict=True)
        ]
    )


def _payers(
    event: Event, prices: tuple[Priced, ...], wallet: Wallet | None
) -> list[tuple[Payer, ...]]:
    """Return who may pay for each service; what is free of charge touches nobody but `main`."""
    if wallet is None or wallet.is_plain:
        return [MAIN_ONLY] * len(prices)
    by_number: dict[str, tuple[Payer, ...]] = {}
    found = []
    for use, priced in zip(event.services, prices, strict=True):
        number = use.rated_number or event.rated_number
        if not priced.free and number not in by_number:
            by_number[number] = wallet.payers(event.usage_type, number)
        found.append(MAIN_ONLY if priced.free else by_number[number])
    return found


def _service(
    event: Event, rules: GrantRules, use: ServiceUse, priced: Priced, payers: tuple[Payer, ...]
) -> ServiceCall:
    ask = asked_units(event, use, rules.quota_units)
    timed = event.usage_type == VOICE
    is_one_shot = event.kind is _EVENT
    most = ask if is_one_shot else rules.maximum_units
    call = ServiceCall(
        use.rating_group,
        use.used_units,
        ask,
        min(ask, most),
        rules.minimum_units,
        timed,
        priced.free,
        priced.subject,
        payers,
        priced.segments,
    )
    if is_one_shot or (priced.outlook is None and not event.reporting):
        return call
    return replace(
        call,
        reporting=event.reporting,
        before_units=use.before_units if priced.before else 0,
        before=priced.before,
        before_subject=priced.before_subject if priced.before else "",
        coming=priced.coming if event.kind in _ASKING else (),
    )

"""One charge of the reference ledger: settle every service, then hold for every service.

Works on copies of the wallet and the session; `reference_ledger.py` decides whether they are kept.
Settling and holding are the same walk (`reference_price.py`) over different purses:

    settle   what this service held | the list, valid at the time of use | `main` without a bottom
    hold     the list, valid at the event's time
    go back  what a total says was not used after all
    pay back what was paid above the cost so far, to who paid it, the last one first

A held money pool is debited, not given back and debited again: only what is left of it goes back.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from math import inf

from ocs.domain.events import Kind, Reporting
from ocs.domain.results import ResultCode
from ocs.domain.session import Row, State
from ocs.domain.wallet import MAIN, MAIN_ONLY, BucketKind
from ocs.usecases.ports import ChargeCall, ServiceCall, ServiceResult
from tests.adapters.reference_price import SECOND_MS, Meter, Payment, Purse, Timeline, Walk, merged
from tests.adapters.reference_records import Service, Session, Wallet

BOTTOMLESS = 2**80


def give_back(wallet: Wallet, service: Service) -> None:
    for hold in service.held:
        wallet.buckets[hold.bucket].held -= hold.amount
    service.held, service.granted = [], 0


@dataclass
class Charge:
    call: ChargeCall
    wallet: Wallet
    session: Session
    overrun: int = 0
    answer_ms: int = 0
    services: list[Service | None] = field(default_factory=list)
    """Those that the call names, in its order; None where no price is known."""

    def run(self, line: Row) -> list[ServiceResult]:
        self.answer_ms = self._answer()
        if self.call.kind is not Kind.EVENT:
            self.session.answer_ms = self.answer_ms
        self.services = [self._service(named) for named in self.call.services]
        before = [
            (service.meter.elapsed, service.meter.charged) if service else (0, 0)
            for service in self.services
        ]
        for service, named in zip(self.services, self.call.services, strict=True):
            if service:
                self._settle_named(service, named)
        if self.call.kind is Kind.RELEASE:
            for service in self.session.services.values():
                give_back(self.wallet, service)
        code = line.code
        if self._release_of_nothing():
            code = ResultCode.UNKNOWN_SESSION
        return [
            self._finish(service, named, holds=line.holds, code=code, before=counters)
            for service, named, counters in zip(
                self.services, self.call.services, before, strict=True
            )
        ]

    def ratings(self) -> tuple[str, ...]:
        """What the answer says of the price of each service."""
        return tuple(
            s.meter.segments[s.meter.current].rating if s and s.meter.segments else ""
            for s in self.services
        )

    def _release_of_nothing(self) -> bool:
        return (
            self.call.kind is Kind.RELEASE
            and self.session.state is State.NONE
            and not any(named.used_units for named in self.call.services)
            and not any(service and service.meter.charged for service in self.services)
        )

    # Time ---------------------------------------------------------------------------------------

    def _answer(self) -> int:
        """The answer is set once: told, or reckoned back from the first use (2.5)."""
        if self.session.answer_ms:
            return self.session.answer_ms
        if self.call.answer_ms > 0:
            return self.call.answer_ms
        told = [named for named in self.call.services if not self._waits(named)]
        timed = [named.used_units for named in told if named.timed]
        used = next((units for units in timed if units), 0)
        return self.call.event_ms - used * SECOND_MS if used else 0

    def _timeline(self, meter: Meter) -> Timeline:
        if not meter.timed or self.call.kind is Kind.EVENT:
            return Timeline(self.call.event_ms, 0)
        return Timeline(self.answer_ms or self.call.event_ms, SECOND_MS)

    # Settle -------------------------------------------------------------------------------------

    def _service(self, named: ServiceCall) -> Service | None:
        """The service that is meant; a one-shot event's starts at 0 and is not remembered."""
        known = self.session.services.get(named.rating_group)
        if known and self.call.kind is not Kind.EVENT:
            return known
        if not named.segments:
            return None
        one_shot = self.call.kind is Kind.EVENT
        meter = Meter(bool(named.timed), named.subject, named.segments, one_shot=one_shot)
        service = Service(meter)
        if self.call.kind is not Kind.EVENT:
            self.session.services[named.rating_group] = service
        return service

    def _waits(self, named: ServiceCall) -> bool:
        """Whether nothing of this service is settled before its release."""
        waiting = self.call.kind in (Kind.START, Kind.UPDATE)
        return waiting and named.reporting == Reporting.AT_RELEASE

    def _units(self, meter: Meter, named: ServiceCall) -> int:
        """What a report settles: what it says, or what its total is above what was used."""
        if self.call.kind is Kind.EVENT or named.reporting == Reporting.DELTA:
            return named.used_units
        units = named.used_units - meter.elapsed
        sets = self.call.kind is Kind.RELEASE and self.session.state is not State.CLOSED
        return units if sets else max(0, units)

    def _settle_named(self, service: Service, named: ServiceCall) -> None:
        """Timed services settle by the old subject and then switch; the others switch first."""
        meter = service.meter
        waits, units = self._waits(named), self._units(meter, named)
        meter.totals = named.reporting == Reporting.TOTAL and not meter.one_shot
        first = max(0, min(named.before_units, units)) if named.before and named.segments else 0
        if first and not waits:
            if meter.subject != named.before_subject:
                meter.change_subject(named.before_subject, named.before)
            self._settle(service, named, first, more=True)
            units -= first
        changes = meter.subject != named.subject and bool(named.segments)
        if changes and not meter.timed:
            self._change_subject(meter, named)
        if not waits:
            self._settle(service, named, units)
        if changes and meter.timed:
            self._change_subject(meter, named)

    @staticmethod
    def _change_subject(meter: Meter, named: ServiceCall) -> None:
        meter.change_subject(named.subject, named.segments)

    def _settle(
        self, service: Service, named: ServiceCall, units: int, *, more: bool = False
    ) -> None:
        """`more`: of the same report; what is held is kept for it."""
        meter, used = service.meter, max(0, units)
        if units < 0:
            payers = MAIN_ONLY if named.free else named.payers
            known = [payer for payer in payers if self.wallet.bucket(payer.bucket)]
            self._debit(meter.take_back(-units, known))
        if self.call.answered and not used and not meter.elapsed:
            meter.fee_due = meter.fee_due or self._money_pays_first(service, named)
        timeline = self._timeline(meter)
        from_holds = Walk(meter, timeline, of_hold=True)
        held = self._held(service)
        rest = used - from_holds.use(used, held)
        self._debit(from_holds.payments)
        self._keep(service, held)
        if not more:
            give_back(self.wallet, service)
        from_list = Walk(meter, timeline)
        rest -= from_list.use(rest, self._list(named))
        self._debit(from_list.payments)
        self._overrun(meter, named, rest)
        if units:
            self._pay_back(meter)

    def _keep(self, service: Service, purses: list[Purse]) -> None:
        """Hold no more than what the purses of a hold still have."""
        for hold, purse in zip(service.held, purses, strict=True):
            self.wallet.buckets[hold.bucket].held -= hold.amount - purse.amount
        service.held = [
            hold._replace(amount=purse.amount)
            for hold, purse in zip(service.held, purses, strict=True)
        ]

    def _overrun(self, meter: Meter, named: ServiceCall, units: int) -> None:
        """What nobody paid for is `main`'s, but for what a grace had put off until then."""
        main = [Purse(MAIN, BOTTOMLESS, 0, 1)]
        timeline = self._timeline(meter)
        put_off = 0 if meter.cost_so_far() else meter.cost(meter.priced)
        Walk(meter, timeline, prices_only=True).use(units, main)
        by_list, by_main = Walk(meter, timeline), Walk(meter, timeline)
        by_list.collect(self._list(named), up_to=put_off)
        self._debit(by_list.payments)
        by_main.collect(main)
        due = sum(payment.amount for payment in by_main.payments)
        self.overrun += max(0, due - self.wallet.available(MAIN))
        self._debit(by_main.payments)

    def _pay_back(self, meter: Meter) -> None:
        """A price that fell with use: what was paid too much goes back at once."""
        excess = max(0, meter.charged - meter.cost_so_far())
        for bucket, paid in reversed(list(meter.paid.items())):
            part = min(excess, paid)
            meter.paid[bucket] -= part
            meter.charged -= part
            excess -= part
            known = self.wallet.bucket(bucket)
            money = known is not None and known.kind is BucketKind.MONEY
            self._debit([Payment(bucket if money else MAIN, -part, 0, 1)])

    def _money_pays_first(self, service: Service, named: ServiceCall) -> bool:
        """Whether the first payer that has something to give is money: then the fee is due."""
        purses = self._held(service) or self._list(named)
        for purse in purses:
            if purse.valid(self.call.event_ms) and purse.amount >= max(
                1, purse.increment * purse.factor
            ):
                return purse.increment == 0
        return True

    def _debit(self, payments: list[Payment]) -> None:
        for payment in payments:
            self.wallet.buckets[payment.bucket].left -= payment.amount
            self.wallet.buckets[payment.bucket].debited += payment.amount

    @staticmethod
    def _held(service: Service) -> list[Purse]:
        return [Purse(*hold) for hold in service.held]

    def _list(self, named: ServiceCall, *, elsewhere: bool = False) -> list[Purse]:
        """The payers of the call, with what nobody holds (or what only other sessions hold)."""
        purses = []
        # What is free of charge touches no units bucket.
        for payer in MAIN_ONLY if named.free else named.payers:
            bucket = self.wallet.bucket(payer.bucket)
            if bucket is None:
                continue
            amount = self.wallet.available(payer.bucket)
            if elsewhere:
                numbers = self.wallet.buckets[payer.bucket]
                own = sum(h.amount for h in self.session.holds() if h.bucket == payer.bucket)
                amount = max(0, numbers.left - own - self.wallet.floor(payer.bucket))
            purse = Purse(payer.bucket, amount, payer.increment_units, payer.factor)
            purse.valid_from_ms, purse.valid_until_ms = bucket.valid_from_ms, bucket.valid_until_ms
            purses.append(purse)
        return purses

    # Hold ---------------------------------------------------------------------------------------

    def _finish(
        self,
        service: Service | None,
        named: ServiceCall,
        *,
        holds: bool,
        code: ResultCode | None,
        before: tuple[int, int],
    ) -> ServiceResult:
        """`before`: elapsed and charged, before this charge."""
        granted, validity_s, final = 0, 0, False
        if service is None:
            code = ResultCode.NO_RATE
        elif holds and (named.ask_units > 0 or self.call.kind is Kind.START):
            code, granted, validity_s, final = self._ask(service, named)
        elif holds and self.call.kind is Kind.UPDATE:
            validity_s = self.call.limits.validity_s
        elapsed = service.meter.elapsed if service else 0
        charged = service.meter.charged if service else 0
        return ServiceResult(
            rating_group=named.rating_group,
            code=code or ResultCode.OK,
            granted_units=granted,
            validity_s=validity_s,
            final_unit=final,
            settled_units=elapsed - before[0],
            settled_amount=charged - before[1],
            total_amount=charged,
        )

    def _ask(self, service: Service, named: ServiceCall) -> tuple[ResultCode, int, int, bool]:
        """Return code, granted units, validity in seconds, and whether this is the final unit."""
        limits, meter = self.call.limits, service.meter
        cap = min(named.ask_units, named.cap_units)
        if meter.timed:
            cap = min(cap, limits.life_units - meter.elapsed - service.granted)
        if refusal := self._refusal():
            return refusal, 0, 0, False
        if self.call.kind is Kind.EVENT:
            return self._deliver(service, named)
        if named.ask_units <= 0:
            return ResultCode.OK, 0, limits.validity_s, False
        if cap <= 0:
            return ResultCode.LIMIT_REACHED, 0, 0, False
        if named.free:
            service.granted += cap
            return ResultCode.NOT_CHARGED, cap, limits.validity_s, False
        return self._grant(service, named, cap)

    def _refusal(self) -> ResultCode | None:
        if not self.wallet.definition.active:
            return ResultCode.SUBSCRIBER_BLOCKED
        opens = self.call.kind is not Kind.EVENT and not self.session.live
        if opens and len(self.wallet.open_sessions) >= self.call.limits.max_sessions:
            return ResultCode.LIMIT_REACHED
        return None

    def _grant(
        self, service: Service, named: ServiceCall, cap: int
    ) -> tuple[ResultCode, int, int, bool]:
        """What is granted comes on top of what was granted and not settled; all is held anew."""
        former, held = service.granted, service.held
        give_back(self.wallet, service)
        total, hold = self._reserve(service.meter, named, former + cap)
        granted = total - former
        least = min(named.minimum_units, named.ask_units)
        if granted < least:
            self._hold(service, former, held)
            return self._why_not(hold, least - granted), 0, 0, False
        self._hold(service, total, merged(hold.payments))
        self._check_floors(service)
        validity_s = self.call.limits.validity_s
        if self._could_buy(hold, named):
            return ResultCode.OK, granted, validity_s, False
        if self._could_buy(hold, named, elsewhere=True):
            soon_s = min(validity_s, self.call.limits.held_elsewhere_validity_s)
            return ResultCode.OK, granted, soon_s, False
        return ResultCode.OK, granted, validity_s, True

    def _could_buy(self, hold: Walk, named: ServiceCall, *, elsewhere: bool = False) -> bool:
        """Whether the plan's minimum could be had after this hold."""
        further = Walk(deepcopy(hold.meter), hold.timeline, holding=True)
        purses = self._list_now(named, elsewhere=elsewhere)
        return further.use(named.minimum_units, purses) == named.minimum_units

    @staticmethod
    def _why_not(hold: Walk, missing: int) -> ResultCode:
        """What `main` without a bottom could not buy either is beyond limit or end."""
        further = Walk(deepcopy(hold.meter), hold.timeline, holding=True, dearest=hold.dearest)
        bought = further.use(missing, [Purse(MAIN, BOTTOMLESS, 0, 1)])
        return ResultCode.NO_CREDIT if bought == missing else ResultCode.LIMIT_REACHED

    def _deliver(self, service: Service, named: ServiceCall) -> tuple[ResultCode, int, int, bool]:
        """One-shot: the units asked for are debited at once, all or nothing."""
        granted, hold = self._reserve(service.meter, named, named.ask_units)
        if granted < named.ask_units:
            return self._why_not(hold, named.ask_units - granted), 0, 0, False
        self._hold(service, granted, merged(hold.payments))
        self._check_floors(service)
        self._settle(service, named, named.ask_units)
        code = ResultCode.NOT_CHARGED if named.free else ResultCode.OK
        return code, named.ask_units, 0, False

    def _reserve(self, meter: Meter, named: ServiceCall, cap: int) -> tuple[int, Walk]:
        """The units that can be granted, and the walk to them from the dearest anchor."""
        event_ms, ring_ms = self.call.event_ms, self.call.limits.max_ring_s * SECOND_MS
        timelines, meters = [self._timeline(meter)], [meter]
        if named.coming and not meter.one_shot:
            meters.append(deepcopy(meter))
            meters[-1].change_subject(named.subject, named.coming)
        if meter.timed and not self.answer_ms and not meter.one_shot:
            switches = [s.from_ms for s in meter.segments]
            soon = [s for s in switches if event_ms < s <= event_ms + ring_ms]
            timelines += [Timeline(switch, SECOND_MS) for switch in soon]

        def walked(start: Meter, timeline: Timeline, units: int) -> tuple[int, Walk]:
            trial = Walk(deepcopy(start), timeline, holding=True)
            return trial.use(units, self._list_now(named)), trial

        ways = list(product(meters, timelines))
        granted = min(walked(*way, cap)[0] for way in ways)
        trials = [walked(*way, granted)[1] for way in ways]
        return granted, max(
            trials, key=lambda trial: sum(h.amount for h in trial.payments if not h.increment)
        )

    def _list_now(self, named: ServiceCall, *, elsewhere: bool = False) -> list[Purse]:
        """The list, with what is valid at the event's time, for however long."""
        purses = self._list(named, elsewhere=elsewhere)
        for purse in purses:
            purse.valid_from_ms = -inf if purse.valid(self.call.event_ms) else inf
            purse.valid_until_ms = inf
        return purses

    def _hold(self, service: Service, granted: int, holds: list[Payment]) -> None:
        service.held, service.granted = holds, granted
        for hold in holds:
            numbers = self.wallet.buckets[hold.bucket]
            numbers.held += hold.amount

    def _check_floors(self, service: Service) -> None:
        for hold in service.held:
            numbers = self.wallet.buckets[hold.bucket]
            assert numbers.left - numbers.held >= self.wallet.floor(hold.bucket), hold

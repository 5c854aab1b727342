"""One charge of the reference ledger: settle every service, then hold for every service.

Works on copies of the wallet and the session; `reference_ledger.py` decides whether they are kept.
Settling and holding are the same walk (`reference_price.py`) over different purses:

    settle   what this service held | the list, valid at the time of use | `main` without a bottom
    hold     the list, valid at the event's time

A held money pool is debited, not given back and debited again: only what is left of it goes back.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from math import inf

from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.domain.session import Row, State
from ocs.domain.wallet import MAIN
from ocs.usecases.ports import ChargeCall, ServiceCall, ServiceResult
from tests.adapters.reference_price import (
    SECOND_MS,
    Meter,
    Payment,
    Purse,
    Timeline,
    in_force,
    pools,
    take,
    walk,
)
from tests.adapters.reference_records import Service, Session, Wallet

BOTTOMLESS = 2**80


def give_back(wallet: Wallet, service: Service) -> None:
    for hold in service.held:
        wallet.buckets[hold.bucket].held -= hold.amount
    service.held, service.granted = [], False


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
        charged = [service.meter.charged if service else 0 for service in self.services]
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
            self._finish(service, named, holds=line.holds, code=code, charged_before=before)
            for service, named, before in zip(
                self.services, self.call.services, charged, strict=True
            )
        ]

    def ratings(self) -> tuple[bytes, ...]:
        """What the answer says of the price of each service."""
        return tuple(
            s.meter.segments[s.meter.current].rating if s and s.meter.segments else b""
            for s in self.services
        )

    def _release_of_nothing(self) -> bool:
        return (
            self.call.kind is Kind.RELEASE
            and self.session.state is State.NONE
            and not any(named.used_units for named in self.call.services)
        )

    # Time ---------------------------------------------------------------------------------------

    def _answer(self) -> int:
        """The answer is set once: told, or reckoned back from the first use (2.5)."""
        if self.session.answer_ms and self.call.kind is not Kind.EVENT:
            return self.session.answer_ms
        if self.call.answer_ms > 0:
            return self.call.answer_ms
        timed = [named.used_units for named in self.call.services if named.timed]
        used = next((units for units in timed if units), 0)
        return self.call.event_ms - used * SECOND_MS if used else 0

    def _timeline(self, meter: Meter) -> Timeline:
        if not meter.timed:
            return Timeline(self.call.event_ms, 0)
        return Timeline(self.answer_ms or self.call.event_ms, SECOND_MS)

    # Settle -------------------------------------------------------------------------------------

    def _service(self, named: ServiceCall) -> Service | None:
        """The service that is meant; a one-shot event's starts at 0 and is not remembered."""
        known = self.session.services.get(named.rating_group)
        if known and self.call.kind is not Kind.EVENT:
            return known
        if not named.segments and not named.free:
            return None
        meter = Meter(bool(named.timed), bool(named.free), named.subject, named.segments)
        meter.current = in_force(meter.segments, self._timeline(meter).time_ms(0))
        service = Service(meter)
        if self.call.kind is not Kind.EVENT:
            self.session.services[named.rating_group] = service
        return service

    def _settle_named(self, service: Service, named: ServiceCall) -> None:
        """Timed services settle by the old subject and then switch; the others switch first."""
        meter = service.meter
        changes = meter.subject != named.subject and bool(named.segments or named.free)
        if changes and not meter.timed:
            self._change_subject(meter, named)
        self._settle(service, named, named.used_units)
        if changes and meter.timed:
            self._change_subject(meter, named)

    def _change_subject(self, meter: Meter, named: ServiceCall) -> None:
        instant_ms = self._timeline(meter).time_ms(meter.elapsed)
        meter.change_subject(named.subject, named.segments, instant_ms)
        meter.free = bool(named.free)

    def _settle(self, service: Service, named: ServiceCall, used: int) -> None:
        meter = service.meter
        if meter.free:
            give_back(self.wallet, service)
            meter.elapsed += used
            return
        charged, overrun = meter.charged, self.overrun
        delivers = self.call.kind is Kind.EVENT and named.ask_units > 0
        if used or meter.elapsed or delivers or not self.call.answered:
            payments = self._pay_for_use(service, named, used)
        else:
            payments = self._pay_for_answer(service, named)
        if meter.within_grace():
            self._debit([p._replace(amount=-p.amount) for p in payments if not p.increment])
            meter.charged, self.overrun = charged, overrun

    def _pay_for_use(self, service: Service, named: ServiceCall, used: int) -> list[Payment]:
        meter, timeline = service.meter, self._timeline(service.meter)
        paid, payments = walk(meter, used, self._held(service), timeline)
        self._debit(payments)
        give_back(self.wallet, service)
        more, listed = walk(meter, used - paid, self._list(named), timeline)
        self._debit(listed)
        bottomless = [Purse(MAIN, BOTTOMLESS, 0, 1)]
        _, over = walk(meter, used - paid - more, bottomless, timeline)
        self._debit_overrun(over)
        return payments + listed + over

    def _pay_for_answer(self, service: Service, named: ServiceCall) -> list[Payment]:
        """The fee of an answered call that used nothing, unless a units bucket would pay first."""
        meter, timeline = service.meter, self._timeline(service.meter)
        meter.follow_switch(timeline)
        due = max(0, meter.fee_when_answered() - meter.charged)
        held = self._held(service)
        give_back(self.wallet, service)
        for pool in pools(held) + pools(self._list(named)):
            valid = [purse for purse in pool if purse.valid(timeline.time_ms(0))]
            if valid and valid[0].increment:
                if valid[0].amount >= valid[0].increment * valid[0].factor:
                    return []
            elif sum(purse.amount for purse in valid) >= due:
                payments = take(valid, due)
                self._debit(payments)
                break
        else:
            payments = take([Purse(MAIN, BOTTOMLESS, 0, 1)], due)
            self._debit_overrun(payments)
        meter.charged += due
        return payments

    def _debit(self, payments: list[Payment]) -> None:
        for payment in payments:
            self.wallet.buckets[payment.bucket].left -= payment.amount
            self.wallet.buckets[payment.bucket].debited += payment.amount

    def _debit_overrun(self, payments: list[Payment]) -> None:
        due = sum(payment.amount for payment in payments)
        self.overrun += max(0, due - self.wallet.available(MAIN))
        self._debit(payments)

    @staticmethod
    def _held(service: Service) -> list[Purse]:
        return [Purse(*hold) for hold in service.held]

    def _list(self, named: ServiceCall, *, elsewhere: bool = False) -> list[Purse]:
        """The payers of the call, with what nobody holds (or what only other sessions hold)."""
        purses = []
        for payer in named.payers:
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
        charged_before: int,
    ) -> ServiceResult:
        granted, validity_s, final = 0, 0, False
        settled = named.used_units if service else 0
        if service is None:
            code = code or (ResultCode.NO_RATE if named.used_units or named.ask_units > 0 else None)
        elif holds and named.ask_units > 0:
            code, granted, validity_s, final = self._ask(service, named)
            settled += granted if self.call.kind is Kind.EVENT else 0
        elif service.meter.free:
            code = code or ResultCode.NOT_CHARGED
        charged = service.meter.charged if service else 0
        return ServiceResult(
            rating_group=named.rating_group,
            code=code or ResultCode.OK,
            granted_units=granted,
            validity_s=validity_s,
            final_unit=final,
            settled_units=settled,
            settled_amount=charged - charged_before,
            total_amount=charged,
        )

    def _ask(self, service: Service, named: ServiceCall) -> tuple[ResultCode, int, int, bool]:
        """Return code, granted units, validity in seconds, and whether this is the final unit."""
        limits, meter = self.call.limits, service.meter
        cap = min(named.ask_units, named.cap_units)
        if meter.timed:
            cap = min(cap, limits.life_units - meter.elapsed)
        if not self.wallet.definition.active:
            return ResultCode.SUBSCRIBER_BLOCKED, 0, 0, False
        if self._too_many_sessions() or (meter.timed and meter.elapsed >= limits.life_units):
            return ResultCode.LIMIT_REACHED, 0, 0, False
        if self.call.kind is Kind.EVENT:
            return self._deliver(service, named, cap)
        if meter.free:
            service.granted = True
            return ResultCode.NOT_CHARGED, cap, limits.validity_s, False
        granted, holds = self._reserve(meter, named, cap)
        if granted < min(named.minimum_units, named.ask_units):
            return ResultCode.NO_CREDIT, 0, 0, False
        more = granted + named.minimum_units
        enough = self._reserve(meter, named, more)[0] == more
        elsewhere = not enough and self._reserve(meter, named, more, elsewhere=True)[0] == more
        self._hold(service, holds)
        validity_s = limits.validity_s
        if elsewhere:
            validity_s = min(validity_s, limits.held_elsewhere_validity_s)
        return ResultCode.OK, granted, validity_s, not enough and not elsewhere

    def _too_many_sessions(self) -> bool:
        opens = self.call.kind is not Kind.EVENT and not self.session.live
        return opens and len(self.wallet.open_sessions) >= self.call.limits.max_sessions

    def _deliver(
        self, service: Service, named: ServiceCall, cap: int
    ) -> tuple[ResultCode, int, int, bool]:
        """One-shot: the units asked for are debited at once, all or nothing."""
        if service.meter.free:
            service.meter.elapsed += cap
            return ResultCode.NOT_CHARGED, cap, 0, False
        if self._reserve(service.meter, named, cap)[0] < cap:
            return ResultCode.NO_CREDIT, 0, 0, False
        self._settle(service, named, cap)
        return ResultCode.OK, cap, 0, False

    def _reserve(
        self, meter: Meter, named: ServiceCall, cap: int, *, elsewhere: bool = False
    ) -> tuple[int, list[Payment]]:
        """The units that can be granted, and what must be held for them, at the dearest anchor."""
        event_ms, ring_ms = self.call.event_ms, self.call.limits.max_ring_s * SECOND_MS
        timelines = [self._timeline(meter)]
        if meter.timed and not self.answer_ms:
            switches = [s.from_ms for s in meter.segments]
            soon = [s for s in switches if event_ms < s <= event_ms + ring_ms]
            timelines += [Timeline(switch, SECOND_MS) for switch in soon]

        def walked(timeline: Timeline, units: int) -> tuple[int, list[Payment]]:
            purses = self._list(named, elsewhere=elsewhere)
            for purse in purses:
                purse.valid_from_ms = -inf if purse.valid(event_ms) else inf
                purse.valid_until_ms = inf
            return walk(deepcopy(meter), units, purses, timeline)

        granted = min(walked(timeline, cap)[0] for timeline in timelines)
        holds = [walked(timeline, granted)[1] for timeline in timelines]
        return granted, max(holds, key=lambda held: sum(h.amount for h in held if not h.increment))

    def _hold(self, service: Service, holds: list[Payment]) -> None:
        service.held, service.granted = holds, True
        for hold in holds:
            numbers = self.wallet.buckets[hold.bucket]
            numbers.held += hold.amount
            assert numbers.left - numbers.held >= self.wallet.floor(hold.bucket), hold

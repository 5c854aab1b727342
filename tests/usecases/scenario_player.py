"""Plays a scenario on a ledger, line by line, and compares what is told with what happens.

Nothing of the ledger is known here: a line becomes a call of the port, an expectation is compared
with the reply and with the balance. A line that does not come true fails with its own text.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ocs.domain.events import Kind
from ocs.domain.ladder import FREE, Ladder, compile_ladder, packed
from ocs.domain.money import exact_decimal, parse_money, quantum_of
from ocs.domain.rates.interval import Interval
from ocs.domain.results import ResultCode
from ocs.domain.wallet import FOREVER_MS, Bucket, BucketKind, Wallet
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    CreditCall,
    Reply,
    ReverseCall,
    Segment,
    ServiceCall,
    SessionKey,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.ledgers import Bench
from tests.usecases.scenario_language import (
    DAY_MS,
    EUR,
    VERBS,
    BucketLine,
    Charging,
    Expected,
    Price,
    RateLine,
    Scenario,
    Step,
    Use,
    WalletLine,
    charging,
)

TENANT = "demo"


@dataclass
class Told:
    """What a session's lines have said so far."""

    wallet: str = ""
    rates: dict[str, str] = field(default_factory=dict)
    last_number: int = -1
    start_number: int = -1
    replies: dict[int | str, Reply] = field(default_factory=dict)


class Player:
    def __init__(self, scenario: Scenario, bench: Bench) -> None:
        self.scenario, self.bench = scenario, bench
        self.sessions: dict[str, Told] = defaultdict(Told)
        self.credits = 0

    async def play(self) -> None:
        await self.bench.set_now(DAY_MS)
        for wallet in self.scenario.wallets:
            await self._open(wallet)
        for step in self.scenario.steps:
            await self.bench.set_now(step.at_ms)
            try:
                await self._play(step)
            except AssertionError as broken:
                raise AssertionError(f"{step.source}\n{broken}") from broken

    async def _play(self, step: Step) -> None:
        name = self.sessions[step.subject].wallet or step.subject
        if step.verb in VERBS:
            told = self._told(step)
            name = told.wallet
        key = WalletKey(TENANT, name)
        before = await self._balance(key)
        if step.verb in VERBS:
            await self._charge(step)
        else:
            await self._other(step, key)
        after = await self._balance(key)
        if step.nothing_moves:
            agree("balances", after.balances, before.balances)
        seen = {b.bucket: (b.left, b.held) for b in after.balances if b.bucket in step.balances}
        agree("left and held", seen, step.balances)
        await self.bench.check(key)

    # Charging -----------------------------------------------------------------------------------

    def _told(self, step: Step) -> Told:
        told, words = self.sessions[step.subject], charging(step.words)
        told.wallet = words.wallet or told.wallet
        for use in words.uses:
            told.rates[use.group] = use.rate or told.rates.get(use.group, "")
        return told

    async def _charge(self, step: Step) -> None:
        told, words = self.sessions[step.subject], charging(step.words)
        number = self._number(step, told, words)
        call = await self._call(step, words, -1 if words.key else number)
        request = words.key or number
        reply = await self.bench.ledger.charge(call)
        if step.same_answer:
            first = told.replies.get(request) or told.replies[told.start_number]
            agree("an earlier answer", reply.hit, told=True)
            agree("the answer", (reply.result, reply.ratings), (first.result, first.ratings))
            return
        told.last_number = number
        if not words.dry_run:
            told.replies.setdefault(request, reply)
        if step.verb == "start" and told.start_number < 0:
            told.start_number = number
        compare(step, reply)

    @staticmethod
    def _number(step: Step, told: Told, words: Charging) -> int:
        if words.number is not None:
            return words.number
        return told.last_number if step.same_answer else told.last_number + 1

    async def _call(self, step: Step, words: Charging, number: int) -> ChargeCall:
        told = self.sessions[step.subject]
        definition = (await self._balance(WalletKey(TENANT, told.wallet))).definition
        wallet = Wallet(definition.version, definition.buckets)
        plan = self.scenario.plan
        services = tuple(self._service(use, told, wallet) for use in words.uses)
        asked = [(s.rating_group, s.used_units, s.ask_units, s.subject) for s in services]
        return ChargeCall(
            session=SessionKey(TENANT, told.wallet, told.wallet, step.subject),
            kind=Kind(step.verb),
            request_number=number,
            request_key=words.key,
            fingerprint=f"{step.verb} {told.wallet} {asked}",
            wallet_version=definition.version,
            event_ms=words.dated_ms or step.at_ms,
            answer_ms=words.answer_ms,
            answered=words.answered,
            dry_run=words.dry_run,
            can_open=all(service.segments or service.free for service in services),
            limits=ChargeLimits(
                validity_s=plan.get("validity", 300),
                max_ring_s=plan.get("ring", 180),
                life_units=plan.get("life", 86_400),
                max_sessions=plan.get("sessions", 1_000),
            ),
            services=services,
        )

    def _service(self, use: Use, told: Told, wallet: Wallet) -> ServiceCall:
        rate = self.scenario.rates.get(told.rates[use.group], RateLine(""))
        timed = not rate.prices or rate.prices[0][1].a_minute
        return ServiceCall(
            rating_group=use.group,
            used_units=use.used,
            ask_units=use.asks,
            cap_units=min(use.asks, self.scenario.plan.get("maximum", 3_600)),
            minimum_units=self.scenario.plan.get("minimum", 1),
            timed=int(timed),
            free=int(bool(rate.name) and not rate.prices),
            subject=rate.name,
            payers=wallet.payers("voice", rate.name),
            segments=_segments(rate),
            reporting=self.scenario.reporting,
            before_units=use.before,
            before=_segments(self.scenario.rates[use.by]) if use.by else (),
            before_subject=use.by,
            coming=_segments(self.scenario.rates[use.coming]) if use.coming else (),
        )

    # The rest -----------------------------------------------------------------------------------

    async def _open(self, line: WalletLine) -> None:
        buckets = [_bucket(bucket, place) for place, bucket in enumerate(reversed(line.buckets))]
        key = WalletKey(TENANT, line.name)
        assert await self.bench.ledger.define(
            key,
            WalletDefinition(
                version=1, currency="EUR", floor_amount=line.floor, buckets=tuple(buckets)
            ),
        )
        for bucket in line.buckets:
            await self._credit(key, bucket.name, bucket.amount)

    async def _other(self, step: Step, key: WalletKey) -> None:
        match step.verb:
            case "credit":
                bucket, amount = step.words[0], step.words[1]
                reference = step.words[3] if len(step.words) > 3 else ""
                hit = await self._credit(key, bucket, parse_money(amount, EUR), reference)
                agree("an earlier credit", hit, step.same_answer)
            case "reverse":
                await self._reverse(step, key)
            case "expire":
                session = SessionKey(TENANT, key.wallet_group, key.wallet_group, step.subject)
                expired = await self.bench.ledger.expire(session)
                agree("expired", expired, step.services[0].code == "expired")
            case "block" | "unblock":
                old = (await self._balance(key)).definition
                new = msgspec.structs.replace(
                    old, version=old.version + 1, active=step.verb == "unblock"
                )
                assert await self.bench.ledger.define(key, new)
            case _:
                raise AssertionError(f"no step is called {step.verb!r}")

    async def _reverse(self, step: Step, key: WalletKey) -> None:
        result = self.sessions[step.subject].replies[int(step.words[0][1:])].result
        assert result
        reply = await self.bench.ledger.reverse(
            ReverseCall(wallet=key, transaction_id=result.transaction_id)
        )
        agree("an earlier reversal", reply.hit, step.same_answer)
        if not step.same_answer:
            seen = Expected(code=str(reply.code), debited=-reply.amount)
            agree("reversal", seen, step.services[0])

    async def _credit(self, key: WalletKey, bucket: str, amount: int, reference: str = "") -> bool:
        self.credits += 1
        reply = await self.bench.ledger.credit(
            CreditCall(
                wallet=key, bucket=bucket, amount=amount, reference=reference or str(self.credits)
            )
        )
        assert reply.code is ResultCode.OK, reply
        return reply.hit

    async def _balance(self, key: WalletKey) -> WalletBalance:
        found = await self.bench.ledger.balance(key)
        assert found, f"no wallet {key.wallet_group!r}"
        return found


def compare(step: Step, reply: Reply) -> None:
    """Compare one reply with what the line says of each service."""
    agree("an earlier answer", reply.hit, told=False)
    agree("stale", reply.stale, None)
    told = {expected.group: expected for expected in step.services}
    if reply.code in (ResultCode.CONFLICT, ResultCode.REPEAT_EXPIRED) or reply.result is None:
        agree("code", str(reply.code), step.services[0].code)
        return
    seen = {
        service.rating_group: Expected(
            group=service.rating_group,
            code=str(service.code),
            granted=service.granted_units,
            debited=service.settled_amount,
            final=service.final_unit,
            validity=service.validity_s,
        )
        for service in reply.result.services
    }
    first = next(iter(seen.values()))
    first.overrun, first.late_start = reply.result.overrun_amount, reply.result.late_start
    for group, expected in told.items():
        if expected.validity is None and group in seen:
            seen[group].validity = None
    agree("answer", seen, told)


def agree(what: str, seen: object, told: object) -> None:
    assert seen == told, f"{what}\n   told: {told}\n   seen: {seen}"


def _segments(rate: RateLine) -> tuple[Segment, ...]:
    ladders = [(from_ms, _ladder(price)) for from_ms, price in rate.prices]
    if rate.name and not rate.prices:
        ladders = [(0, FREE)]
    rating = msgspec.json.encode((rate.name, "", rate.name, "scenario")).decode()
    return tuple(
        Segment(from_ms, msgspec.Raw(msgspec.msgpack.encode(packed(ladder))), rating)
        for from_ms, ladder in ladders
    )


def _ladder(price: Price) -> Ladder:
    terms: dict[str, Any] = {
        "minimum": price.least,
        "maximum": price.most,
        "quantum": quantum_of(price.decimals, EUR),
        "limit": price.limit,
        "end": price.end,
    }
    if price.a_minute:
        interval = Interval(
            price_1=price.text,
            price_n=price.text,
            interval_1=price.increments[0],
            interval_n=price.increments[1],
            connect_fee=price.fee,
            free_seconds=price.free,
            grace_period=price.grace,
        )
        return msgspec.structs.replace(interval.compile(EUR), **terms)
    rows = [(0, price.increments[0], price.text), *price.above]
    return compile_ladder(
        exact_decimal(price.fee) * EUR.units_a_whole,
        [(start, each, exact_decimal(text) * EUR.units_a_whole) for start, each, text in rows],
        grace=price.grace,
        by_total=price.volume,
        **terms,
    )


def _bucket(line: BucketLine, priority: int) -> Bucket:
    return Bucket(
        bucket=line.name,
        kind=BucketKind.MONEY if line.money else BucketKind.UNITS,
        priority=priority,
        valid_from_ms=line.from_ms,
        valid_until_ms=line.until_ms or FOREVER_MS,
        usage_types=() if line.money else ("voice",),
        zones=(line.zone,) if line.zone else (),
        increment_units=line.increment,
        factor=line.factor,
    )

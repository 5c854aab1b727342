"""One-shot events that are no debit: a balance check, a price enquiry, a refund (RFC 8506 6).

    check_balance   would the units be granted? A dry run of the debit, and the balance beside it;
                    without units: is anything left
    price_enquiry   what the units cost by the tariff, whatever the balance and its buckets
    refund          of a transaction: the ledger takes back what it debited, once; of units (at the
                    tariff's price) or of an amount: a credit to `main`, where that is permitted

The first two move nothing, leave nothing behind, and are answered by the state of their time, also
when they come twice. A refund is known by its transaction, or by session and request like any other
request: a repeat has the answer of the first. So it tells no balance, which nobody keeps for it and
which is another one by then.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from ocs.domain.events import Event, ServiceUse
from ocs.domain.explain import segments_of
from ocs.domain.generation import Generation
from ocs.domain.money import MAX_AMOUNT, currency, parse_money
from ocs.domain.plan import rates_of
from ocs.domain.rating import rate_use
from ocs.domain.results import ResultCode
from ocs.domain.usage import VOICE
from ocs.domain.wallet import MAIN, Bucket, BucketKind
from ocs.usecases.addresses import session_address
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.crediting import MAX_REFERENCE, CreditKind
from ocs.usecases.finishing import REASONS, invalid, rating_of, refuse
from ocs.usecases.paying import Payment
from ocs.usecases.ports import (
    BucketBalance,
    CreditCall,
    Ledger,
    ReverseCall,
    WalletBalance,
    WalletKey,
)
from ocs.usecases.preparing import Preparer, asked_units, fingerprint
from ocs.usecases.pricing import Priced, digest

GRANTING: Final = (ResultCode.OK, ResultCode.NOT_CHARGED)
_OTHER_REFUND: Final = "the request was used for another refund"


def asks_for_units(event: Event) -> bool:
    """Whether a balance check is about units, or only about the balance."""
    return any(use.requested_units for use in event.services)


def checked(answer: Answer) -> Answer:
    """Turn the answer to a dry run of the debit into that to a balance check."""
    codes = [service.code for service in answer.services]
    if not codes or not {answer.code, *codes} <= {*GRANTING, ResultCode.NO_CREDIT}:
        return answer
    is_enough = ResultCode.NO_CREDIT not in codes
    moved = sum(service.settled_amount for service in answer.services)
    return replace(
        answer,
        code=answer.code if is_enough else ResultCode.OK,
        services=tuple(_unmoved(service) for service in answer.services),
        session_ref="",
        available_amount=answer.available_amount + moved,
        enough_credit=is_enough,
    )


class OneShot:
    """Answers what needs no charge. `refunds_any`: also without a transaction.

    Raises what the ledger raises.
    """

    def __init__(self, ledger: Ledger, preparer: Preparer, *, refunds_any: bool) -> None:
        self._ledger = ledger
        self._preparer = preparer
        self._refunds_any = refunds_any

    async def balance(self, event: Event, payment: Payment, now_ms: int) -> Answer:
        """Answer a balance check that names no units."""
        wallet = await self._ledger.balance(_wallet_of(payment))
        if wallet is None:
            return _refused(event, ResultCode.UNKNOWN_SUBSCRIBER)
        valid = [
            (bucket, balance)
            for bucket, balance in _buckets(wallet)
            if bucket.valid_from_ms <= now_ms < bucket.valid_until_ms
        ]
        money = [balance for bucket, balance in valid if bucket.kind is BucketKind.MONEY]
        floor = wallet.definition.floor_amount
        answer = Answer(
            code=ResultCode.OK,
            session_id=event.session_id,
            request_number=event.request_number,
            currency=wallet.definition.currency,
            available_amount=sum(balance.left - balance.held for balance in money),
            held_amount=sum(balance.held for balance in money),
        )
        if not wallet.definition.active:
            return replace(answer, code=ResultCode.SUBSCRIBER_BLOCKED)
        is_enough = any(_is_left(bucket, balance, event, floor) for bucket, balance in valid)
        return replace(answer, enough_credit=is_enough)

    def price(self, event: Event, payment: Payment, generation: Generation) -> Answer:
        """Answer a price enquiry; nothing outside is asked."""
        services = tuple(self._quote(event, use, payment, generation) for use in event.services)
        codes = [service.code for service in services]
        code = next((each for each in GRANTING if each in codes), codes[0])
        if code not in GRANTING:
            return _refused(event, code)
        return Answer(
            code=code,
            session_id=event.session_id,
            request_number=event.request_number,
            services=services,
            currency=payment.currency,
            balance_told=False,
        )

    async def refund(self, event: Event, payment: Payment, generation: Generation) -> Answer:
        """Give back, once."""
        if event.dry_run:
            return invalid(event, "dry_run", "expected without a refund, which cannot be tried")
        if event.reverses:
            return await self._reverse(event, payment)
        if not self._refunds_any:
            reason = "expected the transaction to refund: others are not permitted here"
            return invalid(event, "reverses", reason)
        if len(event.services) > 1:
            return invalid(event, "services", "expected one of them in a refund")
        amount = self._amount(event, payment, generation)
        return amount if isinstance(amount, Answer) else await self._credit(event, payment, amount)

    async def _reverse(self, event: Event, payment: Payment) -> Answer:
        call = ReverseCall(
            wallet=_wallet_of(payment), transaction_id=event.reverses, reason=CreditKind.REFUND
        )
        reply = await self._ledger.reverse(call)
        if reply.code is not ResultCode.OK:
            return refuse(event, reply.code, reason=reply.why)
        answer = _given_back(event, payment, reply.amount, reply.units)
        return replace(answer, transaction_id=reply.transaction_id, hit=reply.hit)

    async def _credit(self, event: Event, payment: Payment, amount: int) -> Answer:
        request = event.request_key or str(event.request_number)
        reference = f"refund {session_address(payment.session)} {request}"
        if len(reference) > MAX_REFERENCE:
            reference = f"refund {digest(reference.encode())}"
        reply = await self._ledger.credit(
            CreditCall(
                wallet=_wallet_of(payment),
                bucket=MAIN,
                amount=amount,
                reference=reference,
                reason=CreditKind.REFUND,
                fingerprint=fingerprint(event),
            )
        )
        if reply.code is ResultCode.UNKNOWN_SUBSCRIBER:
            return _refused(event, reply.code)
        units = 0 if event.amount else asked_units(event, event.services[0], 0)
        answer = _given_back(event, payment, reply.amount, units)
        reason = _OTHER_REFUND if reply.code is ResultCode.CONFLICT else ""
        return replace(
            answer,
            code=reply.code,
            reason=reason,
            transaction_id=reply.transaction_id,
            hit=reply.hit,
        )

    def _amount(self, event: Event, payment: Payment, generation: Generation) -> int | Answer:
        """Return the money to credit, or why there is none."""
        if not event.amount:
            service = self._quote(event, event.services[0], payment, generation)
            if service.code is not ResultCode.OK:
                return _refused(event, service.code)
            amount, field = service.total_amount, "requested_units"
        else:
            try:
                amount, field = _money(event.amount, payment.currency), "amount"
            except ValueError as error:
                return invalid(event, "amount", str(error))
        return amount if amount > 0 else invalid(event, field, "expected a cost above 0 to refund")

    def _quote(
        self, event: Event, use: ServiceUse, payment: Payment, generation: Generation
    ) -> ServiceAnswer:
        """Price what is asked for as a use of its own, from the first unit on."""
        pricer, plan = self._preparer.pricer, payment.plan
        priced = self._preparer.conditions(event, use, payment, generation).priced
        if plan is None or priced.code is not ResultCode.OK:
            return _priced_at(use, priced.code, 0, priced)
        used = pricer.used(event, use)
        total = rate_use(
            segments_of(rates_of(generation, plan, used, pricer.life_s)),
            asked_units(event, use, 0),
            used.at_ms,
            timed=used.usage_type == VOICE,
        ).total
        if total > MAX_AMOUNT:
            return _priced_at(use, ResultCode.RATING_FAILED, 0, priced)
        code = ResultCode.NOT_CHARGED if priced.free else ResultCode.OK
        return _priced_at(use, code, total, priced)


def _refused(event: Event, code: ResultCode) -> Answer:
    return refuse(event, code, reason=REASONS.get(code, ""))


def _money(text: str, account_currency: str) -> int:
    """Read an amount, which may name its currency: "0.05", "0.05 EUR"."""
    amount, _, code = text.partition(" ")
    if code not in ("", account_currency):
        raise ValueError(f"{code} is not the account's currency, {account_currency}")
    return parse_money(amount, currency(account_currency))


def _wallet_of(payment: Payment) -> WalletKey:
    return WalletKey(payment.session.tenant, payment.session.wallet_group)


def _buckets(wallet: WalletBalance) -> Iterator[tuple[Bucket, BucketBalance]]:
    definitions = {bucket.bucket: bucket for bucket in wallet.definition.buckets}
    for balance in wallet.balances:
        yield definitions[balance.bucket], balance


def _is_left(bucket: Bucket, balance: BucketBalance, event: Event, floor: int) -> bool:
    """Whether a bucket has anything for such use."""
    bottom = floor if bucket.bucket == MAIN else 0
    has_any = balance.left - balance.held > bottom
    return has_any and bucket.pays(event.usage_type, event.rated_number)


def _unmoved(service: ServiceAnswer) -> ServiceAnswer:
    return replace(service, granted_units=0, settled_units=0, settled_amount=0, total_amount=0)


def _given_back(event: Event, payment: Payment, amount: int, units: int) -> Answer:
    service = ServiceAnswer(
        rating_group=event.services[0].rating_group,
        code=ResultCode.OK,
        granted_units=0,
        validity_s=0,
        quota_threshold_units=0,
        final_unit=False,
        settled_units=-units,
        settled_amount=-amount,
        total_amount=-amount,
        rating=None,
    )
    return Answer(
        code=ResultCode.OK,
        session_id=event.session_id,
        request_number=event.request_number,
        services=(service,),
        currency=payment.currency,
        balance_told=False,
    )


def _priced_at(use: ServiceUse, code: ResultCode, total: int, priced: Priced) -> ServiceAnswer:
    return ServiceAnswer(
        rating_group=use.rating_group,
        code=code,
        granted_units=0,
        validity_s=0,
        quota_threshold_units=0,
        final_unit=False,
        settled_units=0,
        settled_amount=0,
        total_amount=total,
        rating=rating_of(priced.segments[0].rating) if priced.segments else None,
    )

"""The second half of a charge: what the ledger replied becomes an answer.

Synchronous and without I/O, like the first half (`preparing`). Which replies need a second look
(new definitions, no wallet, nothing priced) is decided in `charging`.

Both halves name the fields of what they make by position: msgspec compares the names one by one,
which costs an event 2 µs.
"""

from functools import lru_cache
from typing import Final

import msgspec

from ocs.domain.events import Event
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import session_address
from ocs.usecases.answer import Answer, FinalUnit, ServiceAnswer
from ocs.usecases.ports import (
    ChargeResult,
    LedgerUnavailable,
    OutcomeUnknown,
    RatingInfo,
    Reply,
    ServiceResult,
)
from ocs.usecases.preparing import GrantRules, Prepared

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_NO_CREDIT: Final = ResultCode.NO_CREDIT
_PLAIN: Final = frozenset({ResultCode.OK, ResultCode.NOT_CHARGED, ResultCode.NO_CREDIT})
"""Codes of a whole answer that need no second look, if none of its services does."""
NOT_PRICED: Final = frozenset(
    {ResultCode.NO_RATE, ResultCode.RATE_BLOCKED, ResultCode.RATING_FAILED}
)
"""Codes of a service whose use was not settled."""
REASONS: Final = {
    ResultCode.UNKNOWN_SUBSCRIBER: "no subscriber has this identity",
    ResultCode.NO_RATE: "no tariff of the plan has a rate for this number now",
    ResultCode.RATE_BLOCKED: "this destination is blocked",
    ResultCode.RATING_FAILED: (
        "the subscriber's plan is not configured, its rate is in another currency,"
        " or the use costs more than can be kept"
    ),
}
"""What more there is to say of an event that is refused without the ledger."""


def plain_result(reply: Reply) -> ChargeResult | None:
    """Return the result of a reply that needs no second look, as nearly all are."""
    result = reply.result
    if result is None or reply.code not in _PLAIN:
        return None
    services = result.services
    if len(services) == 1 or not any(service.code in NOT_PRICED for service in services):
        return result
    return None


def finish(event: Event, prepared: Prepared, reply: Reply, result: ChargeResult) -> Answer:
    """Make the answer of a result."""
    payment, rules, prices = prepared.payment, prepared.rules, prepared.prices
    code = reply.code
    if len(prices) == 1 and prices[0].outlook is None and code in _PLAIN:
        service = result.services[0]
        services: tuple[ServiceAnswer, ...] = (
            _service(service, service.code, reply.ratings[0], rules, 0),
        )
    else:
        services = _services(event, prepared, reply, result)
        if code is ResultCode.NO_RATE:  # of all; the first says why
            code = services[0].code
    return Answer(
        code,
        event.session_id,
        event.request_number,
        result.transaction_id,
        session_address(payment.session),
        "",  # nothing to add for people
        "",  # no bad field
        services,
        payment.currency,
        result.available_amount,
        result.held_amount,
        result.overrun_amount,
        True,  # noqa: FBT003 -- settled
        reply.hit,
        result.late_start,
        (),  # no explanations
        None,  # nobody asked whether there is enough credit
        rules.failure_handling,
    )


def fault_answer(event: Event, fault: LedgerUnavailable | OutcomeUnknown) -> Answer:
    """Answer a fault of the store: the same request may be sent again."""
    unknown = isinstance(fault, OutcomeUnknown)
    code = ResultCode.OUTCOME_UNKNOWN if unknown else ResultCode.TOO_BUSY
    return refuse(event, code, reason=str(fault))


def refuse(event: Event, code: ResultCode, *, reason: str = "", settled: bool = True) -> Answer:
    """Answer an event of which the ledger has no result."""
    return Answer(
        code=code,
        session_id=event.session_id,
        request_number=event.request_number,
        reason=reason,
        settled=settled,
    )


def invalid(event: Event, field: str, reason: str) -> Answer:
    """Answer an event that can be read, and cannot be meant."""
    return Answer(
        code=ResultCode.INVALID_EVENT,
        session_id=event.session_id,
        request_number=event.request_number,
        field=field,
        reason=reason,
    )


def _services(
    event: Event, prepared: Prepared, reply: Reply, result: ChargeResult
) -> tuple[ServiceAnswer, ...]:
    """Answer services of which more is to be said than the ledger knows."""
    # A conflict is answered with services of another request.
    known = reply.code is not ResultCode.CONFLICT
    prices = dict(
        zip((use.rating_group for use in event.services if known), prepared.prices, strict=False)
    )
    begin_ms = _written_ms(result.transaction_id) or event.event_ms
    services = []
    for service, rating in zip(result.services, reply.ratings, strict=True):
        code, change_ms = service.code, 0
        priced = prices.get(service.rating_group)
        if priced is not None:
            if code is ResultCode.NO_RATE and priced.code is not ResultCode.OK:
                code = priced.code
            if priced.outlook is not None and service.granted_units:
                until_ms = begin_ms + 1000 * service.validity_s
                change_ms = priced.outlook.change_ms(begin_ms, until_ms)
        services.append(_service(service, code, rating, prepared.rules, change_ms))
    return tuple(services)


def _service(
    service: ServiceResult, code: ResultCode, rating: str, rules: GrantRules, change_ms: int
) -> ServiceAnswer:
    granted_units, is_final = service.granted_units, service.final_unit
    threshold_units = rules.threshold_units
    if threshold_units and (is_final or granted_units <= threshold_units):
        threshold_units = 0
    final: FinalUnit | None = None
    if is_final or (code is _NO_CREDIT and rules.acts_at_the_end):
        final = rules.final
    return ServiceAnswer(
        service.rating_group,
        code,
        granted_units,
        service.validity_s,
        threshold_units,
        is_final,
        service.settled_units,
        service.settled_amount,
        service.total_amount,
        rating_of(rating) if rating else None,
        final,
        change_ms,
    )


def _written_ms(transaction_id: str) -> int:
    """Return when the ledger wrote a result, which its id tells; 0 for a dry run."""
    parts = transaction_id.split("-")
    return int(parts[1]) if len(parts) > 1 else 0


@lru_cache(maxsize=10_000)
def rating_of(text: str) -> RatingInfo:
    """Read what a segment says of its price."""
    return msgspec.json.decode(text, type=RatingInfo)

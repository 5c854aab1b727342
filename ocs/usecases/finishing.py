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
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.ports import (
    ChargeResult,
    LedgerUnavailable,
    OutcomeUnknown,
    RatingInfo,
    Reply,
    ServiceResult,
)
from ocs.usecases.preparing import Payment

_PLAIN: Final = frozenset({ResultCode.OK, ResultCode.NOT_CHARGED, ResultCode.NO_CREDIT})
"""Codes of a single service that need no second look."""


def plain_result(reply: Reply) -> ChargeResult | None:
    """Return the result of a reply that needs no second look, as nearly all are."""
    result = reply.result
    if result is not None and reply.code in _PLAIN and len(result.services) == 1:
        return result
    return None


def finish(event: Event, payment: Payment, reply: Reply, result: ChargeResult) -> Answer:
    """Make the answer of a result."""
    return Answer(
        reply.code,
        event.session_id,
        event.request_number,
        result.transaction_id,
        session_address(payment.session),
        "",  # nothing to add for people
        "",  # no bad field
        tuple(map(_service, result.services, reply.ratings)),
        payment.currency,
        result.available_amount,
        result.held_amount,
        result.overrun_amount,
        True,  # noqa: FBT003 -- settled
        reply.hit,
        result.late_start,
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


def invalid(event: Event, reason: str) -> Answer:
    """Answer an event whose `session_ref` cannot be."""
    return Answer(
        code=ResultCode.INVALID_EVENT,
        session_id=event.session_id,
        request_number=event.request_number,
        field="session_ref",
        reason=reason,
    )


def _service(service: ServiceResult, rating: str) -> ServiceAnswer:
    return ServiceAnswer(
        service.rating_group,
        service.code,
        service.granted_units,
        service.validity_s,
        0,  # no quota threshold
        service.final_unit,
        service.settled_units,
        service.settled_amount,
        service.total_amount,
        _rating(rating) if rating else None,
    )


@lru_cache(maxsize=10_000)
def _rating(text: str) -> RatingInfo:
    return msgspec.json.decode(text, type=RatingInfo)

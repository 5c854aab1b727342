"""Answers as JSON: the canonical names of docs/protocol.md.

The body is a pure function of the answer, the form the event was in, and `return_codes.ini`, so a
repeat has the same body; only the header `Idempotency-Hit` tells. `granted_units` is always there
in the scalar form, 0 when nothing is granted: a client that reads nothing else does the right
thing.

Structs rather than dictionaries: msgspec writes them in their order, leaves defaults out and costs
a third.
"""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

from ocs.domain.events import MAIN_SERVICE
from ocs.domain.explain import Explanation
from ocs.domain.money import currency, format_money
from ocs.entrypoints.return_codes import ReturnCodes
from ocs.usecases.answer import Answer, ServiceAnswer

TERMINATE: Final = "TERMINATE"
"""What a client does when the final units are used (Final-Unit-Action, RFC 8506 8.35)."""


class CostBody(Struct, omit_defaults=True, gc=False):
    """Decimal amounts: of this request, and since the session began.

    `overrun` is the part of `settled` that the account could not cover.
    """

    settled: str
    total: str
    currency: str
    overrun: str = ""


class BalanceBody(Struct, gc=False):
    available: str
    held: str
    currency: str


class RatingBody(Struct, gc=False):
    tariff: str
    prefix: str
    destination: str
    model: str


class ServiceBody(Struct, omit_defaults=True, gc=False):
    rating_group: str
    return_code: int
    return_name: str
    granted_units: int
    validity_time: int = 0
    quota_threshold: int = 0
    final_unit: bool | None = None
    final_unit_action: str = ""
    settled_units: int = 0
    cost: CostBody | None = None
    rating: RatingBody | None = None
    explanation: Explanation | None = None


class AnswerBody(Struct, omit_defaults=True, gc=False):
    return_code: int
    return_name: str
    desc: str
    transaction_id: str = ""
    session_id: str = ""
    session_ref: str = ""
    request_number: int | None = None
    field: str = ""
    granted_units: int | None = None
    validity_time: int = 0
    quota_threshold: int = 0
    final_unit: bool | None = None
    final_unit_action: str = ""
    settled: bool = True
    cost: CostBody | None = None
    balance: BalanceBody | None = None
    rating: RatingBody | None = None
    services: tuple[ServiceBody, ...] = ()
    explanation: Explanation | None = None


class _Named(Struct, frozen=True, gc=False):
    number: int
    name: str
    text: str
    http_status: int


_MOST_AMOUNTS: Final = 10_000
"""Amounts whose spelling is remembered: most are one of few prices times one of few uses."""

_encode: Final = msgspec.json.Encoder().encode


class AnswerWriter:
    """Writes answers in the numbers and texts of one table of return codes."""

    def __init__(self, codes: ReturnCodes) -> None:
        self._codes = {
            code: _Named(entry.number, str(code), entry.text, entry.http_status)
            for code, entry in codes.items()
        }

    def write(self, answer: Answer, *, itemised: bool) -> tuple[int, bytes]:
        """Return the HTTP status and the body of a single answer."""
        return self._codes[answer.code].http_status, _encode(self._body(answer, itemised))

    def write_array(self, answers: Iterable[tuple[Answer, bool]]) -> bytes:
        return _encode([self._body(answer, itemised) for answer, itemised in answers])

    def _body(self, answer: Answer, itemised: bool) -> AnswerBody:
        named = self._codes[answer.code]
        body = AnswerBody(  # by position: by name, so many cost 0.4 µs more
            named.number,
            named.name,
            _desc(named.text, answer) if answer.reason else named.text,
            answer.transaction_id,
            answer.session_id,
            answer.session_ref,
            answer.request_number,
            answer.field,
        )
        body.settled = answer.settled
        if answer.currency:
            self._add_money(body, answer)
        if itemised or _is_itemised(answer):
            body.services = tuple(self._service(item, answer.currency) for item in answer.services)
            for service, explanation in zip(body.services, answer.explanations, strict=False):
                service.explanation = explanation
            return body
        body.granted_units = 0
        if answer.services:
            _add_grant(body, answer.services[0])
        if answer.explanations:
            body.explanation = answer.explanations[0]
        return body

    def _add_money(self, body: AnswerBody, answer: Answer) -> None:
        code = answer.currency
        settled = total = 0
        for service in answer.services:
            settled += service.settled_amount
            total += service.total_amount
        body.cost = CostBody(_money(settled, code), _money(total, code), code)
        if answer.overrun_amount:
            body.cost.overrun = _money(answer.overrun_amount, code)
        body.balance = BalanceBody(
            _money(answer.available_amount, code), _money(answer.held_amount, code), code
        )

    def _service(self, service: ServiceAnswer, currency_code: str) -> ServiceBody:
        named = self._codes[service.code]
        body = ServiceBody(
            rating_group=service.rating_group,
            return_code=named.number,
            return_name=named.name,
            granted_units=0,
            settled_units=service.settled_units,
        )
        _add_grant(body, service)
        if currency_code:
            body.cost = CostBody(
                _money(service.settled_amount, currency_code),
                _money(service.total_amount, currency_code),
                currency_code,
            )
        return body


def problem_body(status: HTTPStatus) -> bytes:
    """Write the answer to a request that is no event: a wrong path, a wrong method, a bug."""
    return _encode({"status": int(status), "desc": status.phrase})


@lru_cache(maxsize=_MOST_AMOUNTS)
def _money(amount: int, currency_code: str) -> str:
    return format_money(amount, currency(currency_code))


def _is_itemised(answer: Answer) -> bool:
    services = answer.services
    return len(services) > 1 or (len(services) == 1 and services[0].rating_group != MAIN_SERVICE)


def _desc(text: str, answer: Answer) -> str:
    return (
        f"{text}: {answer.field}: {answer.reason}" if answer.field else f"{text}: {answer.reason}"
    )


def _add_grant(body: AnswerBody | ServiceBody, service: ServiceAnswer) -> None:
    rating = service.rating
    if rating is not None:
        body.rating = RatingBody(rating.tariff, rating.prefix, rating.destination, rating.model)
    granted_units = service.granted_units
    body.granted_units = granted_units
    if granted_units:
        body.validity_time = service.validity_s
        body.quota_threshold = service.quota_threshold_units
        body.final_unit = service.final_unit
        if service.final_unit:
            body.final_unit_action = TERMINATE

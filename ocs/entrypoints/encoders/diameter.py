"""Credit-Control-Answers as JSON (RFC 8506, TS 32.299), in the way that the request was written.

*Result-Code* stands at both levels. Services of one request may differ, so the command says success
as soon as one service goes on, or where they were refused for different reasons; it has a reason of
its own only when all have that one, for an error of the command overrides whatever its services say
(RFC 8506 5.1.2). Units are not granted beside it.

*Free of charge* is what the table of return codes says, shipped as 2001: granted as asked, and the
use is reported and kept. With 4011 in the table the client stops reporting a service (in all of
them, the session).

*No credit, but a way on.* Where the plan redirects or restricts, a refusal for credit is written as
success without units and with Final-Unit-Indication, which the client follows at once (5.6.2); 4012
would make it drop the call instead. A plan that terminates says 4012.

*Money* is digits and an exponent. Cost-Information is what the named services have cost since the
session began, without what is held; of a refund, what went back.

Origin-Host, Origin-Realm and hop-by-hop things are the gateway's to add.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import msgspec

from ocs.domain.events import MAIN_SERVICE, Action, Event
from ocs.domain.money import currency
from ocs.domain.results import ResultCode
from ocs.entrypoints.currency_numbers import NUMBER_OF
from ocs.entrypoints.decoders.diameter import EVENT, split_session
from ocs.entrypoints.decoders.diameter_units import (
    EVENTS,
    MSCC,
    OCTETS,
    TIME,
    UNIT_OF,
    split_service,
)
from ocs.entrypoints.dialects import Decoded, Written
from ocs.entrypoints.encoders.failed_avps import failed_avp, is_missing
from ocs.entrypoints.encoders.texts import description
from ocs.entrypoints.encoders.values import GOING_ON
from ocs.entrypoints.return_codes import ReturnCodes
from ocs.entrypoints.sources.source import Answering
from ocs.usecases.answer import Answer, FinalUnit, FinalUnitAction, ServiceAnswer

Avps = dict[str, object]

MISSING_AVP: Final = 5005
"""DIAMETER_MISSING_AVP (RFC 6733 7.1.5); `return_codes.ini` knows one number for bad events."""

_CREDIT_CONTROL: Final = 4  # Auth-Application-Id, RFC 8506 1.3
_THRESHOLDS: Final = {
    TIME: "Time-Quota-Threshold",
    OCTETS: "Volume-Quota-Threshold",
    EVENTS: "Unit-Quota-Threshold",
}
_ACTIONS: Final = {
    FinalUnitAction.TERMINATE: 0,
    FinalUnitAction.REDIRECT: 1,
    FinalUnitAction.RESTRICT: 2,
}
_IPV4, _IPV6, _URL, _SIP = 0, 1, 2, 3  # Redirect-Address-Type, RFC 8506 8.38
_ADDRESS_TYPES: Final = (
    (re.compile(r"sips?:.*", re.IGNORECASE | re.DOTALL), _SIP),
    (re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}"), _IPV4),
    (re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"), _IPV6),
)
_FAILURE_HANDLINGS: Final = {"terminate": 0, "continue": 1, "retry_and_terminate": 2}
_DEBITING_FAILURE_HANDLINGS: Final = {"terminate": 0, "continue": 1, "retry_and_terminate": 0}

_encode: Final = msgspec.json.Encoder().encode


class DiameterEncoder:
    """Writes the answers of one source."""

    def __init__(self, codes: ReturnCodes, answering: Answering) -> None:
        self._always_200 = answering.http_status == "200"
        self._codes = codes
        self._failure_handling = answering.failure_handling
        self._success = codes[ResultCode.OK].diameter

    def write(self, answer: Answer, decoded: Decoded) -> Written:
        """Write the answer to one event."""
        status = HTTPStatus.OK if self._always_200 else self._codes[answer.code].http_status
        return Written(status, _encode(self._command(answer, decoded)))

    def write_array(self, answers: Iterable[tuple[Answer, Decoded]]) -> Written:
        """Write the answers to an array."""
        commands = [self._command(answer, decoded) for answer, decoded in answers]
        return Written(HTTPStatus.OK, _encode(commands))

    def _command(self, answer: Answer, decoded: Decoded) -> Avps:
        services = _counting(answer)
        result = self._result_code(answer, services)
        avps = _head(answer, decoded, result)
        event = decoded.outcome
        if type(event) is Event:
            unit = UNIT_OF.get(event.usage_type, EVENTS) if result == self._success else ""
            avps |= self._services(services, unit)
            if answer.currency:
                avps |= _money(answer, event)
        if answer.enough_credit is not None:
            avps["Check-Balance-Result"] = 0 if answer.enough_credit else 1
        avps |= self._orders(answer, decoded)
        if answer.code not in GOING_ON and result != self._success:
            avps["Error-Message"] = description(self._codes[answer.code].text, answer)
            if answer.code is ResultCode.INVALID_EVENT and (failed := failed_avp(answer.field)):
                avps["Failed-AVP"] = failed
        return avps

    def _result_code(self, answer: Answer, services: tuple[ServiceAnswer, ...]) -> int:
        """Return the code of the command."""
        if answer.code is ResultCode.INVALID_EVENT and is_missing(answer.field, answer.reason):
            return MISSING_AVP
        codes = {self._service_code(service) for service in services}
        if len(codes) == 1:
            return codes.pop()
        return self._success if codes else self._codes[answer.code].diameter

    def _service_code(self, service: ServiceAnswer) -> int:
        final = service.final
        goes_on = final is not None and final.action is not FinalUnitAction.TERMINATE
        code = ResultCode.OK if service.code is ResultCode.NO_CREDIT and goes_on else service.code
        return self._codes[code].diameter

    def _services(self, services: tuple[ServiceAnswer, ...], unit: str) -> Avps:
        """Return what is granted, at the command or in one MSCC a service; no unit: nothing is."""
        avps: Avps = {}
        listed = []
        for service in services:
            grant = dict(_grant(service, unit)) if unit else {}
            if service.rating_group == MAIN_SERVICE:
                avps = grant
            else:
                code = {"Result-Code": self._service_code(service)}
                listed.append(_named(service.rating_group) | code | grant)
        return avps | {MSCC: listed} if listed else avps

    def _orders(self, answer: Answer, decoded: Decoded) -> Iterator[tuple[str, object]]:
        """Say what the client is to do when it cannot ask, and how it takes a debit back."""
        if not answer.transaction_id:
            return
        handling = self._failure_handling or answer.failure_handling
        if decoded.request_type != EVENT:
            if handling:
                yield "Credit-Control-Failure-Handling", _FAILURE_HANDLINGS[handling]
            return
        if handling:
            yield "Direct-Debiting-Failure-Handling", _DEBITING_FAILURE_HANDLINGS[handling]
        event = decoded.outcome
        if type(event) is Event and event.action is Action.DIRECT_DEBIT:
            yield "Refund-Information", answer.transaction_id


def _counting(answer: Answer) -> tuple[ServiceAnswer, ...]:
    """Return the services that the outcome comes from: not those of another request's answer."""
    services = answer.services
    if answer.code in GOING_ON or any(service.code is answer.code for service in services):
        return services
    return ()


def _head(answer: Answer, decoded: Decoded, result: int) -> Avps:
    avps: Avps = {}
    session_id, sub_session = split_session(answer.session_id)
    if session_id:
        avps["Session-Id"] = session_id
    avps["Result-Code"] = result
    avps["Auth-Application-Id"] = _CREDIT_CONTROL
    if decoded.request_type:
        avps["CC-Request-Type"] = decoded.request_type
    if answer.request_number is not None:
        avps["CC-Request-Number"] = answer.request_number
    if sub_session is not None:
        avps["CC-Sub-Session-Id"] = sub_session
    return avps


def _named(rating_group: str) -> Avps:
    """Name a service as the request named it."""
    group, identifiers = split_service(rating_group)
    avps: Avps = {}
    if group is not None:
        avps["Rating-Group"] = group
    if identifiers:
        avps["Service-Identifier"] = identifiers[0] if len(identifiers) == 1 else identifiers
    return avps


def _grant(service: ServiceAnswer, unit: str) -> Iterator[tuple[str, object]]:
    units = service.granted_units
    if units:
        granted: Avps = {unit: units}
        if service.tariff_change_ms:
            granted["Tariff-Time-Change"] = service.tariff_change_ms // 1_000
        yield "Granted-Service-Unit", granted
        if service.validity_s:
            yield "Validity-Time", service.validity_s
        if service.quota_threshold_units:
            yield _THRESHOLDS[unit], service.quota_threshold_units
    if service.final is not None:
        yield "Final-Unit-Indication", _final_unit(service.final)


@lru_cache(maxsize=1_000)
def _final_unit(final: FinalUnit) -> Avps:
    """Return the group; with TERMINATE nothing else may stand in it (RFC 8506 8.34)."""
    avps: Avps = {"Final-Unit-Action": _ACTIONS[final.action]}
    if final.action is FinalUnitAction.REDIRECT:
        kinds = (kind for form, kind in _ADDRESS_TYPES if form.fullmatch(final.address))
        avps["Redirect-Server"] = {
            "Redirect-Address-Type": next(kinds, _URL),
            "Redirect-Server-Address": final.address,
        }
    elif final.action is FinalUnitAction.RESTRICT and final.filter_id:
        avps["Filter-Id"] = [final.filter_id]
    return avps


def _money(answer: Answer, event: Event) -> Iterator[tuple[str, object]]:
    if event.action is not Action.CHECK_BALANCE:
        cost = sum(service.total_amount for service in answer.services)
        if event.action is Action.REFUND:
            cost = sum(service.settled_amount for service in answer.services)
        yield "Cost-Information", _amount(cost, answer.currency)
    if answer.balance_told:
        yield "Remaining-Balance", _amount(answer.available_amount, answer.currency)


def _amount(amount: int, currency_code: str) -> Avps:
    """Write an amount as digits and exponent, the shortest of those that are equal."""
    exponent = -currency(currency_code).scale
    while amount and amount % 10 == 0 and exponent < 0:
        amount //= 10
        exponent += 1
    if not amount:
        exponent = 0
    value = {"Value-Digits": amount, "Exponent": exponent}
    return {"Unit-Value": value, "Currency-Code": NUMBER_OF[currency_code]}

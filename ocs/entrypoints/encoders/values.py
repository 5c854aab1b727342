"""The values that an answer may tell, by the names that a source's `answer.fields` uses.

Each is read from what is *told*: the answer, one service of it, and the event it answers. A value
that is not there (no grant, no account, a refused event) is None, and is left out unless the source
says what stands for it. All are functions of the stored result and of the event's own bytes, so a
repeat is answered with the same body; that is why there is no time of the answer among them.

    return_code return_name desc        the outcome; which number `return_code` is, says `code`
    status                              1 for OK and NOT_CHARGED, 0 for everything else
    number diameter_code sip_code http_status result_3gpp     each number of the outcome
    error_code error_message error_context      `return_code`, `desc` and `field` of a refusal
    field retry_after settled           what to mend; seconds; false: kept to be rated offline
    transaction_id session_id session_ref request_number request_type record_type
    granted_units validity_time quota_threshold tariff_time_change (seconds since 1970)
    final_unit final_unit_action redirect_address filter_id failure_handling enough_credit
    cost.settled cost.total cost.overrun balance.available balance.held    exact decimals as texts
    cost.settled_number ... balance.held_number       the same as JSON numbers, with all decimals
    cost.currency balance.currency
    rating.tariff rating.prefix rating.destination rating.model
    rating_group rating_group_number    as a text; as a number, where it is one
    settled_units
    line_units                          the grant; of a one-shot event that only reports, its use
    usage_type subscriber called_number calling_number direction      of the event, as understood
    services                            a list: all values of a service in their canonical names

Values of a service (grant, rating, units) are those of the only one where the answer has one. Where
it has several they are told by `services`, or by fields such as `msccData[].grantedUnits`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw, Struct

from ocs.domain.events import Event
from ocs.domain.results import TRANSIENT, ResultCode
from ocs.entrypoints.dialects import Decoded
from ocs.entrypoints.encoders.texts import money_text
from ocs.entrypoints.return_codes import ReturnCode
from ocs.usecases.answer import Answer, ServiceAnswer

GOING_ON: Final = frozenset({ResultCode.OK, ResultCode.NOT_CHARGED})
"""Outcomes after which the client goes on."""

_EVENT: Final = 4
_RECORD_TYPES: Final = {
    1: "start_request",
    2: "update_request",
    3: "release_request",
    _EVENT: "event_request",
}


class Told(Struct, frozen=True, gc=False):
    """What values are read from.

    `code` is the outcome's, of the service where one is told by itself; `numbers` its entry in the
    table, `desc` what it says to people. `service` is None where the answer has none or several.
    `retry_after_s` and `failure_handling` are the configuration's.
    """

    answer: Answer
    decoded: Decoded
    code: ResultCode
    numbers: ReturnCode
    desc: str
    service: ServiceAnswer | None
    retry_after_s: int = 1
    failure_handling: str = ""


Value = Callable[[Told], object]


def _desc(told: Told) -> str:
    return told.desc


def _refused(value: Value) -> Value:
    return lambda told: None if told.code in GOING_ON else value(told)


def _of_answer(name: str) -> Value:
    """Tell a member of the answer; an empty one is not there."""

    def value(told: Told) -> object:
        found = getattr(told.answer, name)
        return None if found == "" else found

    return value


def _of_grant(name: str) -> Value:
    """Tell a member of the service that goes with a grant; 0 is not there."""

    def value(told: Told) -> object:
        service = told.service
        if service is None or not service.granted_units:
            return None
        found = getattr(service, name)
        return None if type(found) is int and found == 0 else found

    return value


def _of_final(name: str) -> Value:
    def value(told: Told) -> object:
        final = told.service.final if told.service else None
        return (str(getattr(final, name)) or None) if final else None

    return value


def _of_rating(name: str) -> Value:
    def value(told: Told) -> object:
        rating = told.service.rating if told.service else None
        return getattr(rating, name) if rating else None

    return value


def _of_event(name: str) -> Value:
    def value(told: Told) -> object:
        event = told.decoded.outcome
        return (getattr(event, name) or None) if type(event) is Event else None

    return value


def _granted_units(told: Told) -> int | None:
    """Tell the grant; 0 where there is none, so that a client which reads nothing else is right."""
    if told.service is not None:
        return told.service.granted_units
    return None if told.answer.services else 0


def _settled_units(told: Told) -> int | None:
    return told.service.settled_units if told.service else None


def _line_units(told: Told) -> int | None:
    """Tell the volume that BillRun has on its line, and answers with."""
    if told.service is None or told.decoded.request_type != _EVENT:
        return _granted_units(told)
    return told.service.granted_units or told.service.settled_units


def _rating_group(told: Told) -> str | None:
    return told.service.rating_group if told.service else None


def _tariff_time_change(told: Told) -> int | None:
    service = told.service
    if service is None or not service.granted_units:
        return None
    return service.tariff_change_ms // 1_000 or None


def _rating_group_number(told: Told) -> int | None:
    group = told.service.rating_group if told.service else ""
    return int(group) if group.isascii() and group.isdecimal() else None


def _retry_after(told: Told) -> int | None:
    return told.retry_after_s if told.code in TRANSIENT else None


def _failure_handling(told: Told) -> str | None:
    if not told.answer.transaction_id:
        return None
    return (told.failure_handling or told.answer.failure_handling).upper() or None


def _unsettled(told: Told) -> bool | None:
    return None if told.answer.settled else False


def _request_type(told: Told) -> int | None:
    return told.decoded.request_type or None


def _record_type(told: Told) -> str | None:
    return _RECORD_TYPES.get(told.decoded.request_type)


Amount = Callable[[Told], int | None]


def _of_services(name: str) -> Amount:
    """Tell an amount of the service that is told, or of all of them together."""

    def amount(told: Told) -> int:
        services = (told.service,) if told.service else told.answer.services
        return sum(getattr(service, name) for service in services)

    return amount


def _of_balance(name: str) -> Amount:
    def amount(told: Told) -> int | None:
        return getattr(told.answer, name) if told.answer.balance_told else None

    return amount


def _overrun(told: Told) -> int | None:
    return told.answer.overrun_amount or None


def _money(amount: Amount, *, number: bool) -> Value:
    def value(told: Told) -> object:
        code = told.answer.currency
        found = amount(told) if code else None
        if found is None:
            return None
        text = money_text(found, code)
        return Raw(text.encode()) if number else text

    return value


def _currency(told: Told) -> str | None:
    return told.answer.currency or None


def _balance_currency(told: Told) -> str | None:
    return (told.answer.currency or None) if told.answer.balance_told else None


_AMOUNTS: Final[Mapping[str, Amount]] = {
    "cost.settled": _of_services("settled_amount"),
    "cost.total": _of_services("total_amount"),
    "cost.overrun": _overrun,
    "balance.available": _of_balance("available_amount"),
    "balance.held": _of_balance("held_amount"),
}

NUMBERS: Final[Mapping[str, Value]] = {
    "number": lambda told: told.numbers.number,
    "diameter": lambda told: told.numbers.diameter,
    "sip": lambda told: told.numbers.sip,
    "http_status": lambda told: told.numbers.http_status,
    "3gpp": lambda told: told.numbers.result_3gpp,
}
"""What `return_code` may be, by the words of `Answering.code`."""

VALUES: Final[Mapping[str, Value]] = {
    "return_name": lambda told: str(told.code),
    "desc": _desc,
    "status": lambda told: int(told.code in GOING_ON),
    "number": NUMBERS["number"],
    "diameter_code": NUMBERS["diameter"],
    "sip_code": NUMBERS["sip"],
    "http_status": NUMBERS["http_status"],
    "result_3gpp": NUMBERS["3gpp"],
    "error_message": _refused(_desc),
    "error_context": _refused(lambda told: told.answer.field),
    "field": _of_answer("field"),
    "retry_after": _retry_after,
    "settled": _unsettled,
    "transaction_id": _of_answer("transaction_id"),
    "session_id": _of_answer("session_id"),
    "session_ref": _of_answer("session_ref"),
    "request_number": _of_answer("request_number"),
    "request_type": _request_type,
    "record_type": _record_type,
    "rating_group": _rating_group,
    "rating_group_number": _rating_group_number,
    "granted_units": _granted_units,
    "validity_time": _of_grant("validity_s"),
    "quota_threshold": _of_grant("quota_threshold_units"),
    "tariff_time_change": _tariff_time_change,
    "final_unit": _of_grant("final_unit"),
    "final_unit_action": _of_final("action"),
    "redirect_address": _of_final("address"),
    "filter_id": _of_final("filter_id"),
    "failure_handling": _failure_handling,
    "enough_credit": _of_answer("enough_credit"),
    "settled_units": _settled_units,
    "line_units": _line_units,
    **{name: _money(amount, number=False) for name, amount in _AMOUNTS.items()},
    **{f"{name}_number": _money(amount, number=True) for name, amount in _AMOUNTS.items()},
    "cost.currency": _currency,
    "balance.currency": _balance_currency,
    **{f"rating.{name}": _of_rating(name) for name in ("tariff", "prefix", "destination", "model")},
    **{
        name: _of_event(name)
        for name in ("usage_type", "subscriber", "called_number", "calling_number", "direction")
    },
}
"""All values but `return_code` and `error_code`, which depend on the source, and `services`."""

NAMES: Final = frozenset({*VALUES, "return_code", "error_code", "services"})
"""Every name that a source's `answer.fields` may have a value for."""

OF_SERVICE: Final = (
    "rating_group",
    "return_code",
    "return_name",
    "granted_units",
    "validity_time",
    "quota_threshold",
    "tariff_time_change",
    "final_unit",
    "final_unit_action",
    "redirect_address",
    "filter_id",
    "settled_units",
    "cost.settled",
    "cost.total",
    "cost.currency",
    "rating.tariff",
    "rating.prefix",
    "rating.destination",
    "rating.model",
)
"""What `services` tells of each."""

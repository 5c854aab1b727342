"""A Diameter Credit-Control-Request as JSON into a canonical event (RFC 8506, TS 32.299).

    {"Session-Id": "ggsn;1;2", "CC-Request-Type": 1, "CC-Request-Number": 0,
     "Service-Context-Id": "32251@3gpp.org",
     "Subscription-Id": [{"Subscription-Id-Type": 0, "Subscription-Id-Data": "441632960001"}],
     "Multiple-Services-Credit-Control": [{"Rating-Group": 100, "Requested-Service-Unit": {}}]}

The body is the command, or has it under `CCR` or `event`. A gateway in front speaks the protocol:
what is its own (Origin-Host, Auth-Application-Id, the T flag) is not asked for and only kept. A
repeat is known by Session-Id and CC-Request-Number, with T or without it, and also where the copy
with T comes first (RFC 6733, appendix C).

*What is charged* follows from the end of Service-Context-Id; where that is not a known one, from
the unit that is counted. `diameter_units` reads how much, `diameter_services` who calls whom.

Names in errors are those of AVPs. A mandatory one that is missing has the reason `MISSING`.
"""

import re
from functools import lru_cache
from typing import Any, Final

from ocs.entrypoints.decoders.avps import MISSING, Group, is_object
from ocs.entrypoints.decoders.diameter_money import read_amount
from ocs.entrypoints.decoders.diameter_services import read_services
from ocs.entrypoints.decoders.diameter_units import read_units, unit_named
from ocs.entrypoints.decoders.wire import Unreadable

INITIAL: Final = 1
UPDATE: Final = 2
TERMINATION: Final = 3
EVENT: Final = 4

REQUEST_TYPES: Final = {
    "INITIAL_REQUEST": INITIAL,
    "UPDATE_REQUEST": UPDATE,
    "TERMINATION_REQUEST": TERMINATION,
    "EVENT_REQUEST": EVENT,
}
REFUND: Final = 1
ACTIONS: Final = {
    "DIRECT_DEBITING": 0,
    "REFUND_ACCOUNT": REFUND,
    "CHECK_BALANCE": 2,
    "PRICE_ENQUIRY": 3,
}
_CONTEXTS: Final = {
    "32251": "data",
    "32260": "voice",
    "32270": "mms",
    "32274": "sms",
    "32275": "voice",  # multimedia telephony
    "32276": "voice",  # voice call service
}
_BY_UNIT: Final = {
    "CC-Time": "voice",
    "CC-Total-Octets": "data",
    "CC-Service-Specific-Units": "event",
}
IDENTITIES: Final = {0: "msisdn", 1: "imsi", 2: "sip_user", 3: "nai", 4: "private_id"}
IDENTITY_TYPES: Final = {
    "END_USER_E164": 0,
    "END_USER_IMSI": 1,
    "END_USER_SIP_URI": 2,
    "END_USER_NAI": 3,
    "END_USER_PRIVATE": 4,
}
SUBSCRIPTION: Final = "Subscription-Id"
_PAIR: Final = 2
_WRAPPERS: Final = ("CCR", "event")
GREATEST_NUMBER: Final = 2**32 - 1

_SUB_SESSION: Final = ";cc-sub-session-id="
_SUB_SESSION_ENDING: Final = re.compile(rf"(.*){_SUB_SESSION}([0-9]+)", re.DOTALL)


def canonical_of(avps: dict[str, Any]) -> dict[str, object]:
    """Return the canonical fields of a command and what was not read of it; raises Unreadable."""
    command = Group(unwrapped(avps))
    try:
        return _canonical(command)
    except Unreadable as problem:
        raise Unreadable(problem.field, problem.reason, _echo(unwrapped(avps))) from None


def split_session(session_id: str) -> tuple[str, int | None]:
    """Part a canonical session again into Session-Id and CC-Sub-Session-Id."""
    if _SUB_SESSION not in session_id:
        return session_id, None
    match = _SUB_SESSION_ENDING.fullmatch(session_id)
    return (match[1], int(match[2])) if match else (session_id, None)


def unwrapped(avps: dict[str, Any]) -> dict[str, Any]:
    for name in _WRAPPERS:
        if name in avps and is_object(inner := avps[name]):
            return {key: value for key, value in avps.items() if key != name} | inner
    return avps


def _echo(avps: dict[str, Any]) -> dict[str, Any]:
    """Return what a refusal echoes, as it stands there."""
    return {
        "session_id": avps.get("Session-Id"),
        "request_number": avps.get("CC-Request-Number"),
        "request_type": avps.get("CC-Request-Type"),
    }


def _canonical(command: Group) -> dict[str, object]:
    request_type = command.one_of("CC-Request-Type", REQUEST_TYPES)
    number = command.whole("CC-Request-Number", GREATEST_NUMBER)
    fields: dict[str, object] = {
        "session_id": _session_id(command),
        "request_type": _mandatory("CC-Request-Type", request_type),
        "request_number": _mandatory("CC-Request-Number", number),
    }
    assert request_type is not None
    context = command.text("Service-Context-Id")
    usage_type = _usage_type(_mandatory("Service-Context-Id", context), command)
    fields["Service-Context-Id"] = context
    if usage_type:
        fields["usage_type"] = usage_type
    if request_type == EVENT:
        _read_action(command, fields)
    for name, avp in (("event_time", "Event-Timestamp"), ("release_cause", "Termination-Cause")):
        if (value := command.take(avp)) is not None:
            fields[name] = value
    if fields.get("requested_action") == REFUND and (amount := read_amount(command)):
        fields["amount"] = amount
    else:
        fields |= read_units(command, usage_type, request_type)
    information = command.group("Service-Information")
    if information is not None:
        fields |= read_services(information, ended=request_type == TERMINATION)
    fields |= _identities(command, information)
    return fields | command.rest()


def _mandatory(name: str, value: object) -> Any:  # noqa: ANN401 -- what it was given
    if value is None or value == "":
        raise Unreadable(name, MISSING)
    return value


def _session_id(command: Group) -> str:
    session_id: str = _mandatory("Session-Id", command.text("Session-Id"))
    sub_session = command.whole("CC-Sub-Session-Id", 2**64 - 1)
    return session_id if sub_session is None else f"{session_id}{_SUB_SESSION}{sub_session}"


def _usage_type(context: str, command: Group) -> str:
    """Tell what is charged; empty when neither the context nor a unit does."""
    return usage_of(context) or _BY_UNIT.get(unit_named(command), "")


@lru_cache(maxsize=1_000)
def usage_of(context: str) -> str:
    return _CONTEXTS.get(context.partition("@")[0].rpartition(".")[2], "")


def _read_action(command: Group, fields: dict[str, object]) -> None:
    action = command.one_of("Requested-Action", ACTIONS)
    fields["requested_action"] = _mandatory("Requested-Action", action)
    if action == REFUND and (transaction_id := command.text("Refund-Information")):
        fields["reverses"] = transaction_id


def _read_identities(subscriptions: object, found: dict[str, object]) -> bool:
    """Read identities that are a number and a text each, as nearly all are; else read nothing."""
    read: dict[str, object] = {}
    for one in subscriptions if type(subscriptions) is list else (subscriptions,):
        if type(one) is not dict or len(one) != _PAIR:
            return False
        kind, data = one.get("Subscription-Id-Type"), one.get("Subscription-Id-Data")
        if type(kind) is not int or type(data) is not str or not data or kind not in IDENTITIES:
            return False
        read.setdefault(IDENTITIES[kind], data)
    for name, identity in read.items():
        found.setdefault(name, identity)
    return True


def _identities(command: Group, information: Group | None) -> dict[str, object]:
    """Return who uses, by kind of identity; of one kind the first counts."""
    found: dict[str, object] = {}
    for group in (command, information) if information else (command,):
        if _read_identities(group.look(SUBSCRIPTION), found):
            group.take(SUBSCRIPTION)
            continue
        for one in group.groups(SUBSCRIPTION):
            kind = one.one_of("Subscription-Id-Type", IDENTITY_TYPES)
            data = one.text("Subscription-Id-Data")
            if kind is None:
                raise Unreadable(one.at("Subscription-Id-Type"), MISSING)
            if not data:
                raise Unreadable(one.at("Subscription-Id-Data"), MISSING)
            found.setdefault(IDENTITIES[kind], data)
    if "sip_user" not in found and (user := command.look("User-Name")):
        found["sip_user"] = user
    return found

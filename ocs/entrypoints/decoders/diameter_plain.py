"""A Credit-Control-Request as nearly all gateways write it, read at half the cost.

`diameter` reads all that may be written: enumerations by name, integers as texts, arrays of one,
refunds of money; and it says what is wrong. Here only the plain case is read: every integer is one,
what is there once is no array but where the standards let it be repeated, and the context tells
what is charged. Anything else is None, and `diameter` reads it as if nobody had. So nothing is
decided here, and nothing refused; test_diameter_plain holds the two equal.

Not looked at are the kinds of texts: what is none does not become a `WireEvent`, and is then read
by `diameter`, too. The rest of a command is a copy of which is taken what is read, because which
AVPs there are beside those is nobody's to list.
"""

from typing import Any, Final

from ocs.domain.money import MAX_UNITS
from ocs.entrypoints.decoders.conversions import time, time_or_never
from ocs.entrypoints.decoders.diameter import (
    ACTIONS,
    EVENT,
    GREATEST_NUMBER,
    INITIAL,
    REFUND,
    REQUEST_TYPES,
    SUBSCRIPTION,
    TERMINATION,
    read_identities,
    unwrapped,
    usage_of,
)
from ocs.entrypoints.decoders.diameter_services import (
    SENDERS,
    direction_of,
    first,
    is_answer,
    put,
    read_message,
)
from ocs.entrypoints.decoders.diameter_units import (
    EVENTS,
    GREATEST_KEY,
    INDICATOR,
    INPUT,
    MONEY,
    MSCC,
    OCTETS,
    OUTPUT,
    REQUESTED,
    TARIFF_CHANGE,
    UNIT_OF,
    USED,
    expects_services,
    service_key,
)
from ocs.entrypoints.decoders.levels import TENANT_KEY
from ocs.entrypoints.decoders.wire import Extras, WireEvent

_CONTEXT: Final = "Service-Context-Id"
_INFORMATION: Final = "Service-Information"
_CALLS: Final = "IMS-Information"
_PACKETS: Final = "PS-Information"
_TRUNKS: Final = "Trunk-Group-ID"
_STAMPS: Final = "Time-Stamps"
_RESPONSE: Final = "SIP-Response-Timestamp"
_PORTED: Final = "Number-Portability-Routing-Information"
_ROLE: Final = "Role-Of-Node"
_GROUP: Final = "Rating-Group"
_IDENTIFIER: Final = "Service-Identifier"

_TYPES: Final = frozenset(REQUEST_TYPES.values())
_PLAIN_ACTIONS: Final = frozenset(ACTIONS.values())
_NOT_COUNTED: Final = (MONEY, TARIFF_CHANGE)
_NOT_CANONICAL: Final = ("nai", "private_id")
_OURS: Final = frozenset({*WireEvent.__struct_fields__, TENANT_KEY, *_NOT_CANONICAL})
"""What a gateway that sends canonical fields among the AVPs means by them is not plain."""


class _Otherwise(Exception):
    """The command is written in another way."""


def read_plainly(command: Extras) -> tuple[Extras, Extras] | None:
    """Return the canonical fields of a command, and its rest; None where it is not plain."""
    rest = {_CONTEXT: None, **unwrapped(command)}  # first in the rest, wherever it was
    found: Extras = {}
    try:
        fields = _read_head(rest)
        _read_units(rest, fields)
        information = rest.pop(_INFORMATION, None)
        _read_identities(rest, found)
        if information is not None:
            _keep(rest, _INFORMATION, _read_information(information, fields, found))
    except _Otherwise:
        return None
    if "sip_user" not in found and (user := rest.get("User-Name")):
        found["sip_user"] = user
    fields.update(found)
    return (fields, rest) if _OURS.isdisjoint(rest) and None not in rest.values() else None


def _read_head(rest: Extras) -> Extras:
    """Read which request of which session it is, and what is charged."""
    take = rest.pop
    session_id, context = take("Session-Id", None), rest[_CONTEXT]
    number, request_type = take("CC-Request-Number", None), take("CC-Request-Type", None)
    if type(request_type) is not int or request_type not in _TYPES:
        raise _Otherwise
    if type(number) is not int or not 0 <= number <= GREATEST_NUMBER:
        raise _Otherwise
    if not session_id or type(context) is not str or "CC-Sub-Session-Id" in rest:
        raise _Otherwise
    fields = {
        "session_id": session_id,
        "request_type": request_type,
        "request_number": number,
        "usage_type": usage_of(context),
    }
    if request_type == EVENT:
        _read_action(rest, fields)
    if (event_time := take("Event-Timestamp", "")) != "":
        fields["event_time"] = event_time if type(event_time) is str else time(event_time)
    if (cause := take("Termination-Cause", "")) != "":
        fields["release_cause"] = cause
    return fields


def _read_action(rest: Extras, fields: Extras) -> None:
    fields["requested_action"] = action = rest.pop("Requested-Action", None)
    if type(action) is not int or action not in _PLAIN_ACTIONS:
        raise _Otherwise
    if action == REFUND and (transaction_id := rest.pop("Refund-Information", None)):
        fields["reverses"] = transaction_id


def _read_units(rest: Extras, fields: Extras) -> None:
    """Read the MSCCs as services, or the units beside them as those of the one that there is."""
    usage_type, request_type = fields["usage_type"], fields["request_type"]
    if not usage_type:
        raise _Otherwise
    unit = UNIT_OF.get(usage_type, EVENTS)
    groups = rest.pop(MSCC, None)
    if groups is None:
        asks = request_type == INITIAL and not expects_services(rest.get(INDICATOR))
        _read_level(rest, fields, unit, EVENT if asks else request_type)
        return
    if type(groups) is not list:
        groups = [groups]
    if not groups or REQUESTED in rest or USED in rest:
        raise _Otherwise
    kept: list[Extras] = []
    fields["services"] = [_read_service(group, unit, request_type, kept) for group in groups]
    if kept:
        rest[MSCC] = kept if len(groups) > 1 else kept[0]


def _read_service(group: object, unit: str, request_type: int, kept: list[Extras]) -> Extras:
    rest = _copy(group)
    rating_group, identifier = rest.pop(_GROUP, None), rest.pop(_IDENTIFIER, None)
    service: Extras
    if identifier is None and type(rating_group) is int and 0 < rating_group <= GREATEST_KEY:
        service = {"rating_group": str(rating_group)}
    else:
        service = _named(rating_group, identifier)
    _read_level(rest, service, unit, request_type)
    if rest:
        named: Extras = {} if rating_group is None else {_GROUP: rating_group}
        if identifier is not None:
            named[_IDENTIFIER] = [identifier]
        kept.append(named | rest)
    return service


def _named(rating_group: int | None, identifier: int | None) -> Extras:
    """Return a service that has its name yet, and nothing else."""
    for key in (rating_group, identifier):
        if key is not None and (type(key) is not int or not 0 <= key <= GREATEST_KEY):
            raise _Otherwise
    if identifier is None:
        return {"rating_group": service_key(rating_group, [])}
    name = service_key(rating_group, [identifier])
    return {"rating_group": name, "service_id": str(identifier)}


def _read_level(rest: Extras, fields: Extras, unit: str, request_type: int) -> None:
    """Read what is reported and asked for at a level, which asks for nothing if it names nothing.

    Only an event does not: that, and what else asks when it says nothing, is `request_type` EVENT.
    """
    used = rest.pop(USED, None)
    if used is not None:
        fields["used_units"] = _units(used, unit, rest, USED)
    asked = rest.pop(REQUESTED, None)
    if asked is None:
        if request_type not in (EVENT, TERMINATION):
            fields["requested_units"] = 0
    elif asked != {}:
        units = _units(asked, unit, rest, REQUESTED)
        if request_type != TERMINATION:
            fields["requested_units"] = units


def _units(group: Any, unit: str, rest: Extras, name: str) -> int:  # noqa: ANN401 -- of any kind
    """Return the units of a group; what it says beside them is kept."""
    if type(group) is dict and len(group) == 1:
        units = group.get(unit)
        if type(units) is int and 0 <= units <= MAX_UNITS:
            return units
    kept = _copy(group[0] if type(group) is list and len(group) == 1 else group)
    units = kept.pop(unit, None)
    if units is None and unit == OCTETS and (INPUT in kept or OUTPUT in kept):
        units = _whole(kept.pop(INPUT, 0)) + _whole(kept.pop(OUTPUT, 0))
    if kept:
        if not kept.keys().isdisjoint(_NOT_COUNTED):
            raise _Otherwise
        rest[name] = kept
    return _whole(units)


def _whole(units: object) -> int:
    if type(units) is not int or not 0 <= units <= MAX_UNITS:
        raise _Otherwise
    return units


def _read_identities(rest: Extras, found: Extras) -> None:
    subscriptions = rest.pop(SUBSCRIPTION, None)
    if subscriptions is not None and not read_identities(subscriptions, found):
        raise _Otherwise
    if not found.keys().isdisjoint(_NOT_CANONICAL):
        raise _Otherwise


def _read_information(information: object, fields: Extras, found: Extras) -> Extras:
    """Read who calls whom, and return what is left of it."""
    rest = _copy(information)
    _read_identities(rest, found)
    if (calls := rest.pop(_CALLS, None)) is not None:
        _keep(rest, _CALLS, _read_calls(calls, fields))
    if (packets := rest.pop(_PACKETS, None)) is not None:
        left = _copy(packets)
        put(fields, "called_number", left.pop("Called-Station-Id", None))
        _keep(rest, _PACKETS, left)
    for name in SENDERS:
        if name in rest:
            _keep(rest, name, messages := _copy(rest.pop(name)))
            read_message(messages, name, fields)
    return rest


def _read_calls(calls: object, fields: Extras) -> Extras:
    rest = _copy(calls)
    take = rest.pop
    put(fields, "calling_number", first(take("Calling-Party-Address", None)))
    put(fields, "called_number", first(take("Called-Party-Address", None)))
    if _PORTED in rest:
        fields["routing_number"] = take(_PORTED)
    if _ROLE in rest:
        put(fields, "direction", direction_of(rest))
    if _TRUNKS in rest:
        left = _copy(take(_TRUNKS))
        fields["trunk_in"] = left.pop("Incoming-Trunk-Group-ID", "")
        fields["trunk_out"] = left.pop("Outgoing-Trunk-Group-ID", "")
        _keep(rest, _TRUNKS, left)
    if _STAMPS in rest:
        left = _copy(take(_STAMPS))
        if _RESPONSE in left and is_answer(rest, ended=fields["request_type"] == TERMINATION):
            put(fields, "answer_time", time_or_never(left.pop(_RESPONSE)))
        _keep(rest, _STAMPS, left)
    return rest


def _copy(group: object) -> Extras:
    """Return what a group has, to be taken from."""
    if type(group) is not dict or None in group.values():
        raise _Otherwise
    return group.copy()


def _keep(rest: Extras, name: str, left: Extras) -> None:
    if left:
        rest[name] = left

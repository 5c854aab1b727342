"""A Credit-Control-Request as nearly all gateways write it, read at a third of the cost.

`diameter` reads all that may be written: enumerations by name, integers as texts, arrays of one,
refunds of money; and it says what is wrong. Here only the plain case is read: a body that decodes
into the structs of `diameter_structs`, whose context tells what is charged. Anything else is None,
and `diameter` reads it as if nobody had. So nothing is decided here, and nothing refused;
test_diameter_plain holds the two equal, but for the order of the AVPs that are kept: here it is
that of the structs, there that of the body.
"""

from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from ocs.domain.money import MAX_UNITS
from ocs.entrypoints.decoders.conversions import time, time_or_never
from ocs.entrypoints.decoders.diameter import (
    EVENT,
    IDENTITIES,
    IDENTITY_TYPES,
    INITIAL,
    REFUND,
    TERMINATION,
    usage_of,
)
from ocs.entrypoints.decoders.diameter_services import DIRECTIONS, is_answer, read_message
from ocs.entrypoints.decoders.diameter_structs import (
    NO_CALLS,
    NO_INFORMATION,
    NO_SERVICE,
    NO_STAMPS,
    NO_UNITS,
    Calls,
    Command,
    Identities,
    Information,
    Level,
    Service,
    Units,
    convert,
    decode,
)
from ocs.entrypoints.decoders.diameter_units import expects_services, service_key
from ocs.entrypoints.decoders.wire import LONGEST_TEXT, NOT_READ, Extras, WireService

_OCTETS: Final = "octets"
_EVENTS: Final = "events"
_UNIT_OF: Final = {"voice": "time", "data": _OCTETS}
_KINDS: Final[dict[object, str]] = {
    kind: IDENTITIES[number] for word, number in IDENTITY_TYPES.items() for kind in (word, number)
}
_STATION: Final = "Called-Station-Id"


class _Otherwise(Exception):
    """The command is written in another way."""


def read_plainly(event: bytes | Extras) -> tuple[Extras, Command] | None:
    """Return the fields of a `WireEvent`, and what of a command is kept; None: it is not plain."""
    try:
        command = decode(event) if isinstance(event, bytes) else convert(event)
        fields = _read(command)
    except (*NOT_READ, _Otherwise):
        return None
    return fields, command


def _read(command: Command) -> Extras:
    """Take the fields off a command; raises _Otherwise."""
    usage_type, request_type = usage_of(command.context), command.request_type
    if not usage_type:
        raise _Otherwise
    fields: Extras = {
        "session_id": command.session_id,
        "request_type": request_type,
        "request_number": command.number,
        "usage_type": usage_type,
    }
    command.session_id = command.request_type = command.number = UNSET
    if request_type == EVENT:
        _read_action(command, fields)
    if (event_time := command.event_time) is not UNSET:
        fields["event_time"] = event_time if type(event_time) is datetime else time(event_time)
        command.event_time = UNSET
    if command.cause is not UNSET:
        fields["release_cause"] = command.cause
        command.release_cause, command.cause = command.cause, UNSET
    if command.services is UNSET:
        _read_units(command, fields)
    else:
        _read_services(command, command.services, fields)
    _read_who(command, fields)
    return fields


def _read_action(command: Command, fields: Extras) -> None:
    if command.action is UNSET:
        raise _Otherwise
    fields["requested_action"] = command.action
    if command.action == REFUND and command.reverses is not UNSET:
        fields["reverses"] = command.reverses
        command.reverses = UNSET
    command.action = UNSET


def _read_units(command: Command, fields: Extras) -> None:
    """Read the units beside MSCC as those of the one service that there is."""
    request_type = fields["request_type"]
    asks = request_type == INITIAL and not expects_services(command.indicator)
    unit = _UNIT_OF.get(fields["usage_type"], _EVENTS)
    used, requested = _read_level(command, unit, EVENT if asks else request_type)
    if used is not None:
        fields["used_units"] = used
    if requested is not None:
        fields["requested_units"] = requested


def _read_services(command: Command, services: Service | list[Service], fields: Extras) -> None:
    if command.requested is not UNSET or command.used is not UNSET:
        raise _Otherwise
    if not isinstance(services, list):
        services = [services]
    unit, request_type = _UNIT_OF.get(fields["usage_type"], _EVENTS), fields["request_type"]
    fields["services"] = [_read_service(service, unit, request_type) for service in services]
    command.services = [service for service in services if service != NO_SERVICE] or UNSET
    if len(services) == 1 and command.services is not UNSET:
        command.services = services[0]


def _read_service(service: Service, unit: str, request_type: int) -> WireService:
    used, requested = _read_level(service, unit, request_type)
    group, identifiers = service.rating_group, service.identifiers
    if group and identifiers is UNSET:  # as nearly all are
        service.rating_group = UNSET
        if service != NO_SERVICE:
            service.rating_group = group
        return WireService(str(group), None, requested, used)
    if identifiers is UNSET:
        identifiers = []
    elif not isinstance(identifiers, list):
        identifiers = [identifiers]
    name = service_key(None if group is UNSET else group, identifiers)
    service.rating_group = service.identifiers = UNSET
    if service != NO_SERVICE:  # what is kept tells which one it is of
        service.rating_group, service.identifiers = group, identifiers or UNSET
    return WireService(name, str(identifiers[0]) if identifiers else None, requested, used)


def _read_level(level: Level, unit: str, request_type: int) -> tuple[int | None, int | None]:
    """Read what is reported and asked for at a level, which asks for nothing if it names nothing.

    Only an event does not: that, and what else asks when it says nothing, is `request_type` EVENT.
    """
    used, requested = None, level.requested
    if level.used is not UNSET:
        used, level.used = _units(level.used, unit)
    if requested is UNSET:
        return used, None if request_type in (EVENT, TERMINATION) else 0
    if requested == NO_UNITS:
        level.requested = UNSET
        return used, None
    asked, level.requested = _units(requested, unit)
    return used, None if request_type == TERMINATION else asked


def _units(group: Units | list[Units], unit: str) -> tuple[int, Units | UnsetType]:
    """Return the units of a group, and what it says beside them; raises _Otherwise."""
    if isinstance(group, list):
        if len(group) != 1:
            raise _Otherwise
        group = group[0]
    units: int | UnsetType = getattr(group, unit)
    setattr(group, unit, UNSET)
    if unit == _OCTETS and not units and group != NO_UNITS:
        units = _both_ways(group, units)
    if units is UNSET or units > MAX_UNITS:
        raise _Otherwise
    return units, UNSET if group == NO_UNITS else group


def _both_ways(group: Units, total: int | UnsetType) -> int | UnsetType:
    """Return the octets of both directions, or the total where none is told."""
    if group.inward is UNSET and group.outward is UNSET:
        return total
    octets = (group.inward or 0) + (group.outward or 0)
    group.inward = group.outward = UNSET
    return octets


def _read_who(command: Command, fields: Extras) -> None:
    """Take off who uses, and who calls whom."""
    if command.identities is not UNSET:
        _identify(command.identities, fields, command)
        command.identities = UNSET
    if command.information is not UNSET:
        _read_information(command.information, fields, command)
        if command.information == NO_INFORMATION:
            command.information = UNSET
    if command.user is not UNSET and "sip_user" not in fields:
        fields["sip_user"] = command.sip_user = command.user


def _identify(identities: Identities, fields: Extras, command: Command) -> None:
    for one in identities if isinstance(identities, list) else (identities,):
        name = _KINDS[one.kind]
        if name not in fields:
            fields[name] = one.data
            setattr(command, name, one.data)


def _read_information(information: Information, fields: Extras, command: Command) -> None:
    if information.identities is not UNSET:
        _identify(information.identities, fields, command)
        information.identities = UNSET
    if (calls := information.calls) is not UNSET:
        _read_numbers(calls, fields)
        _read_call(calls, fields, command)
        if calls == NO_CALLS:
            information.calls = UNSET
    if information.packets is not UNSET:
        information.packets = _read_packets(information.packets, fields)
    if information.sms is not UNSET:
        information.sms = _read_messages(information.sms, "SMS-Information", fields)
    if information.mms is not UNSET:
        information.mms = _read_messages(information.mms, "MMS-Information", fields)


def _read_packets(packets: Extras, fields: Extras) -> Extras | UnsetType:
    if _STATION in packets:
        _put_text("called_number", packets.pop(_STATION), fields)
    return packets or UNSET


def _read_messages(messages: Extras, name: str, fields: Extras) -> Extras | UnsetType:
    read: Extras = {}
    read_message(messages, name, read)
    for number, text in read.items():
        _put_text(number, text, fields)
    return messages or UNSET


def _put_text(name: str, text: object, fields: Extras) -> None:
    if type(text) is not str or not 0 < len(text) <= LONGEST_TEXT:
        raise _Otherwise
    fields.setdefault(name, text)


def _read_numbers(calls: Calls, fields: Extras) -> None:
    if (calling := calls.calling) is not UNSET:
        fields["calling_number"] = calling[0] if isinstance(calling, list) else calling
        calls.calling = UNSET
    if (called := calls.called) is not UNSET:
        fields["called_number"] = called[0] if isinstance(called, list) else called
        calls.called = UNSET
    if calls.ported is not UNSET:
        fields["routing_number"] = calls.ported
        calls.ported = UNSET
    if calls.role is not UNSET:
        fields["direction"] = DIRECTIONS[calls.role]


def _read_call(calls: Calls, fields: Extras, command: Command) -> None:
    """Take off the trunks and the answer of a call."""
    if (trunks := calls.trunks) is not UNSET:
        if trunks.inward is not UNSET:
            fields["trunk_in"] = command.trunk_in = trunks.inward
        if trunks.outward is not UNSET:
            fields["trunk_out"] = command.trunk_out = trunks.outward
        calls.trunks = UNSET
    if (stamps := calls.stamps) is not UNSET:
        if stamps.response is not UNSET and _is_answer(calls, fields):
            response = stamps.response
            answer = response if isinstance(response, datetime) else time_or_never(response)
            if answer is not None:
                fields["answer_time"] = answer
            stamps.response = UNSET
        if stamps == NO_STAMPS:
            calls.stamps = UNSET


def _is_answer(calls: Calls, fields: Extras) -> bool:
    cause = None if calls.cause is UNSET else calls.cause
    method = None if calls.event is UNSET or calls.event.method is UNSET else calls.event.method
    return is_answer(cause, method, ended=fields["request_type"] == TERMINATION)

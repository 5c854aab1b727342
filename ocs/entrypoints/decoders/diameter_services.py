"""Service-Information of TS 32.299 into canonical fields: who calls whom, by which way, since when.

Numbers are the texts that the AVPs hold (`tel:+44…`, `sip:…`); the judge of canonical events cleans
them. What is read and is more than a number (the recipients of a message) stays in the rest, too.

*Since when.* SIP-Response-Timestamp is the time of the answer when it answers the INVITE. With the
BYE of a termination it is the end of the call, and with a Cause-Code above 0 a refusal: taken for
the answer, either would move the whole call into another price. So then it is only kept.
"""

from typing import Any, Final

from ocs.entrypoints.decoders.avps import Group, is_object

_INVITE: Final = "INVITE"
_ROLES: Final = {0: "orig", 1: "term", 2: "forward"}
_ROLE_NAMES: Final = {"ORIGINATING_ROLE": 0, "TERMINATING_ROLE": 1, "FORWARDING_ROLE": 2}


def read_services(information: Group, *, ended: bool) -> dict[str, object]:
    """Return the canonical fields; `ended`: the command ends the session. Raises Unreadable."""
    fields: dict[str, object] = {}
    if (calls := information.group("IMS-Information")) is not None:
        fields |= _read_calls(calls, ended=ended)
    if (packets := information.group("PS-Information")) is not None:
        _put(fields, "called_number", packets.take("Called-Station-Id"))
    for name, sender in (
        ("SMS-Information", "Originator-Received-Address"),
        ("MMS-Information", "Originator-Address"),
    ):
        if (messages := information.group(name)) is not None:
            _put(fields, "called_number", _recipient(messages))
            _put(fields, "calling_number", _address(messages.look(sender)))
    return fields


def _put(fields: dict[str, object], name: str, value: object) -> None:
    if value is not None and value != "":
        fields.setdefault(name, value)


def _read_calls(calls: Group, *, ended: bool) -> dict[str, object]:
    fields: dict[str, object] = {}
    _put(fields, "calling_number", _first(calls.take("Calling-Party-Address")))
    _put(fields, "called_number", _first(calls.take("Called-Party-Address")))
    _put(fields, "routing_number", calls.take("Number-Portability-Routing-Information"))
    role = calls.look("Role-Of-Node")
    _put(fields, "direction", _ROLES.get(_ROLE_NAMES.get(role, -1) if type(role) is str else role))
    if (trunks := calls.group("Trunk-Group-ID")) is not None:
        _put(fields, "trunk_in", trunks.take("Incoming-Trunk-Group-ID"))
        _put(fields, "trunk_out", trunks.take("Outgoing-Trunk-Group-ID"))
    if (stamps := calls.group("Time-Stamps")) is not None and _is_answer(calls, ended=ended):
        _put(fields, "answer_time", stamps.take("SIP-Response-Timestamp"))
    return fields


def _is_answer(calls: Group, *, ended: bool) -> bool:
    cause = calls.look("Cause-Code")
    if type(cause) is int and cause > 0:
        return False
    event = calls.look("Event-Type")
    method = event.get("SIP-Method") if is_object(event) else None
    return method == _INVITE or (method is None and not ended)


def _recipient(messages: Group) -> object:
    """Return the first recipient of a message, wherever its address stands."""
    for holder in _all(messages.look("Recipient-Info")):
        if is_object(holder) and (found := _address(holder.get("Recipient-Address"))):
            return found
    return _address(messages.look("Recipient-Address"))


def _address(value: object) -> object:
    """Return an address: a text, or the Address-Data of the group that it may be."""
    first = _first(value)
    return first.get("Address-Data") if is_object(first) else first


def _first(value: Any) -> Any:  # noqa: ANN401 -- a JSON value of any kind
    return value[0] if isinstance(value, list) and value else value


def _all(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]

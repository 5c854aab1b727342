"""Service-Information of TS 32.299 into canonical fields: who calls whom, by which way, since when.

Numbers are the texts that the AVPs hold (`tel:+44…`, `sip:…`); the judge of canonical events cleans
them. What is read and is more than a number (the recipients of a message) stays in the rest, too.

*Since when.* SIP-Response-Timestamp is the time of the answer when it answers the INVITE. With the
BYE of a termination it is the end of the call, and with a Cause-Code above 0 a refusal: taken for
the answer, either would move the whole call into another price. So then it is only kept.
"""

from collections.abc import Mapping
from typing import Any, Final

from ocs.entrypoints.decoders.avps import Group, is_object, look

SENDERS: Final = {
    "SMS-Information": "Originator-Received-Address",
    "MMS-Information": "Originator-Address",
}
"""The AVP that names the sender, by the group of messages that it is in."""

_INVITE: Final = "INVITE"
DIRECTIONS: Final[Mapping[object, str]] = {
    0: "orig",
    1: "term",
    2: "forward",
    "ORIGINATING_ROLE": "orig",
    "TERMINATING_ROLE": "term",
    "FORWARDING_ROLE": "forward",
}
"""The direction that a Role-Of-Node tells."""


def read_services(information: Group, *, ended: bool) -> dict[str, object]:
    """Return the canonical fields; `ended`: the command ends the session. Raises Unreadable."""
    fields: dict[str, object] = {}
    if (calls := information.group("IMS-Information")) is not None:
        fields |= _read_calls(calls, ended=ended)
    if (packets := information.group("PS-Information")) is not None:
        put(fields, "called_number", packets.take("Called-Station-Id"))
    for name in SENDERS:
        if (messages := information.group(name)) is not None:
            read_message(messages.left, name, fields)
    return fields


def read_message(messages: Mapping[str, Any], name: str, fields: dict[str, object]) -> None:
    """Put into `fields` who sends to whom; `name` is that of the group of `messages`."""
    put(fields, "called_number", _recipient(messages))
    put(fields, "calling_number", _address(look(messages, SENDERS[name])))


def put(fields: dict[str, object], name: str, value: object) -> None:
    if value is not None and value != "":
        fields.setdefault(name, value)


def _read_calls(calls: Group, *, ended: bool) -> dict[str, object]:
    fields: dict[str, object] = {}
    put(fields, "calling_number", first(calls.take("Calling-Party-Address")))
    put(fields, "called_number", first(calls.take("Called-Party-Address")))
    put(fields, "routing_number", calls.take("Number-Portability-Routing-Information"))
    role = calls.look("Role-Of-Node")
    put(fields, "direction", None if isinstance(role, dict | list) else DIRECTIONS.get(role))
    if (trunks := calls.group("Trunk-Group-ID")) is not None:
        put(fields, "trunk_in", trunks.take("Incoming-Trunk-Group-ID"))
        put(fields, "trunk_out", trunks.take("Outgoing-Trunk-Group-ID"))
    if (stamps := calls.group("Time-Stamps")) is not None and _is_answer(calls, ended=ended):
        put(fields, "answer_time", stamps.take("SIP-Response-Timestamp"))
    return fields


def _is_answer(calls: Group, *, ended: bool) -> bool:
    cause, event = calls.look("Cause-Code"), calls.look("Event-Type")
    if type(cause) is not int:
        cause = None
    return is_answer(cause, event.get("SIP-Method") if is_object(event) else None, ended=ended)


def is_answer(cause: int | None, method: object, *, ended: bool) -> bool:
    """Tell whether SIP-Response-Timestamp is the time of the answer, see above."""
    if cause is not None and cause > 0:
        return False
    return method == _INVITE or (method is None and not ended)


def _recipient(messages: Mapping[str, Any]) -> object:
    """Return the first recipient of a message, wherever its address stands."""
    for holder in _all(look(messages, "Recipient-Info")):
        if is_object(holder) and (found := _address(holder.get("Recipient-Address"))):
            return found
    return _address(look(messages, "Recipient-Address"))


def _address(value: object) -> object:
    """Return an address: a text, or the Address-Data of the group that it may be."""
    found = first(value)
    return found.get("Address-Data") if is_object(found) else found


def first(value: Any) -> Any:  # noqa: ANN401 -- a JSON value of any kind
    return value[0] if isinstance(value, list) and value else value


def _all(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]

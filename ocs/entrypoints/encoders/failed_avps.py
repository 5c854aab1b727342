"""Which AVP a refusal is about: Failed-AVP (RFC 6733 7.5), of a path or of a canonical field.

A decoder names an AVP by its path; the judge of canonical events knows canonical names only. The
group says where, not what: the value that was refused may be a person's number.

    Multiple-Services-Credit-Control[0].Used-Service-Unit.CC-Time
        ->  {"Multiple-Services-Credit-Control": {"Used-Service-Unit": {"CC-Time": null}}}
"""

import re
from typing import Final

from ocs.entrypoints.decoders.avps import MISSING

_POSITION: Final = re.compile(r"\[[0-9]*\]")
_MSCC: Final = "Multiple-Services-Credit-Control"
_IMS: Final = "Service-Information.IMS-Information"
_AVP_OF: Final = {
    "action": "Requested-Action",
    "amount": "Requested-Service-Unit.CC-Money",
    "answer_time": f"{_IMS}.Time-Stamps.SIP-Response-Timestamp",
    "called_number": f"{_IMS}.Called-Party-Address",
    "calling_number": f"{_IMS}.Calling-Party-Address",
    "direction": f"{_IMS}.Role-Of-Node",
    "event_time": "Event-Timestamp",
    "imsi": "Subscription-Id",
    "msisdn": "Subscription-Id",
    "nai": "Subscription-Id",
    "private_id": "Subscription-Id",
    "record_type": "CC-Request-Type",
    "release_cause": "Termination-Cause",
    "request_number": "CC-Request-Number",
    "request_type": "CC-Request-Type",
    "requested_action": "Requested-Action",
    "requested_units": "Requested-Service-Unit",
    "reverses": "Refund-Information",
    "routing_number": f"{_IMS}.Number-Portability-Routing-Information",
    "services": _MSCC,
    "services.rating_group": f"{_MSCC}.Rating-Group",
    "services.requested_units": f"{_MSCC}.Requested-Service-Unit",
    "services.service_id": f"{_MSCC}.Service-Identifier",
    "services.used": f"{_MSCC}.Used-Service-Unit",
    "services.used_units": f"{_MSCC}.Used-Service-Unit",
    "session_id": "Session-Id",
    "sip_user": "Subscription-Id",
    "subscriber": "Subscription-Id",
    "trunk_in": f"{_IMS}.Trunk-Group-ID.Incoming-Trunk-Group-ID",
    "trunk_out": f"{_IMS}.Trunk-Group-ID.Outgoing-Trunk-Group-ID",
    "usage_type": "Service-Context-Id",
    "used_units": "Used-Service-Unit",
}
_ABSENT: Final = frozenset({"requested_units", "services.requested_units", "subscriber"})
"""What the judge refuses for its absence alone: the decoder has seen to the rest."""


def is_missing(field: str, reason: str) -> bool:
    """Tell an AVP that is missing from one that is wrong."""
    return reason == MISSING or _POSITION.sub("", field) in _ABSENT


def failed_avp(field: str) -> dict[str, object]:
    """Return the group that names a field; empty where it is no AVP's."""
    path = _POSITION.sub("", field)
    path = _AVP_OF.get(path, path)
    if not path[:1].isupper():
        return {}
    group: object = None
    for name in reversed(path.split(".")):
        group = {name: group}
    assert isinstance(group, dict)
    return group

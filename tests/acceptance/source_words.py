"""What clients of every shipped source say of the same things: calls, data sessions, messages.

A story is known use, without any words. Each source tells it in its own: its names and nesting, its
way to count (since the last report, or since the call began), JSON or a form. `variant` chooses
among the ways that one client has.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct

Body = dict[str, Any] | str
"""An event in a client's words: JSON, or the text of a form or of lines."""

IN_MILLISECONDS: Final = frozenset({"opensips", "freeswitch"})
BY_TOTALS: Final = IN_MILLISECONDS | {"asterisk"}
WITHOUT_ARRAYS: Final = frozenset({"asterisk", "kv"})

_TYPES: Final = {"start": 1, "update": 2, "release": 3, "event": 4}
_SECOND_MS: Final = 1_000
_FREESWITCH: Final = {
    "start": "CHANNEL_CREATE",
    "update": "SESSION_HEARTBEAT",
    "release": "CHANNEL_HANGUP_COMPLETE",
}
_KAMAILIO: Final = {"start": "INVITE", "update": "update", "release": "BYE"}


class Step(Struct, frozen=True, kw_only=True):
    """One report. `used` since the last one, by rating group; `total_ms` of a call so far."""

    kind: str
    number: int
    at_s: int
    used: Mapping[str, int]
    total_ms: int = 0

    @property
    def units(self) -> int:
        return sum(self.used.values())

    @property
    def asks(self) -> bool:
        return self.kind != "release"


class Story(Struct, frozen=True, kw_only=True):
    """One session, or one message. `usage`: voice, data, or sms."""

    source: str
    session: str
    who: str
    usage: str
    dialled: str
    variant: int
    steps: tuple[Step, ...]


def tells_delivered(story: Story) -> bool:
    """Tell whether a message is told of when it was delivered, not before."""
    if story.source in ("default", "kv"):
        return bool(story.variant)
    return story.source in ("billrun-doc", "classic")


def _default(story: Story, step: Step) -> Body:
    event: dict[str, Any] = {
        "record_type": f"{step.kind}_request",
        "session_id": story.session,
        "request_number": step.number,
        "subscriber": story.who,
        "event_time": step.at_s,
        "usage_type": story.usage,
    }
    if story.usage == "data":
        return event | {"services": [_service(story, step, group) for group in step.used]}
    return event | {"called_number": story.dialled} | _scalar(story, step)


def _service(story: Story, step: Step, group: str) -> dict[str, Any]:
    used = step.used[group]
    service: dict[str, Any] = {"rating_group": int(group), "called_number": group}
    if step.asks:
        service["requested_units"] = 1_048_576
    if story.variant:
        parts = (
            {"units": used // 2, "kind": "volume_in"},
            {"units": used - used // 2, "kind": "volume_out"},
        )
        return service | {"used": list(parts)}
    return service | {"used_units": used}


def _scalar(story: Story, step: Step) -> dict[str, Any]:
    """Say in canonical names what was used, and what is asked for."""
    if story.usage == "sms":
        return {("used_units" if tells_delivered(story) else "requested_units"): step.units}
    asked = {"requested_units": 1_048_576 if story.usage == "data" else 60}
    used = {"used_units": step.units} if step.units else {}
    return used | (asked if step.asks else {})


def _kv(story: Story, step: Step) -> Body:
    event = {
        "record_type": f"{step.kind}_request",
        "session_id": story.session,
        "request_number": step.number,
        "subscriber": f"+{story.who}",
        "called_number": story.dialled,
        "event_time": step.at_s,
        "usage_type": story.usage,
        "note": "a=b & c",
    } | _scalar(story, step)
    if story.variant:
        return urlencode(event)
    return "".join(f"{name}={value}\n" for name, value in event.items())


def _classic(story: Story, step: Step) -> Body:
    event = {
        "session_id": story.session,
        "request_num": step.number,
        "msisdn": story.who,
        "dst": story.dialled,
        "usaget": {"voice": "call"}.get(story.usage, story.usage),
        "time": step.at_s,
    }
    if story.usage == "sms":
        return event | {"request_type": 4, "usagev": step.units}
    asked = {"usagev": 1_048_576 if story.usage == "data" else 60} if step.asks else {}
    event |= {"request_type": _TYPES[step.kind], "used_usagev": step.units} | asked
    if story.variant:
        texts = {name: str(value) for name, value in event.items()}
        return urlencode({"file_type": "classic", "request": json.dumps(texts)})
    return event


def _billrun_data(story: Story, step: Step) -> Body:
    asked = {"requestedUnits": 1_048_576} if step.asks else {}
    return {
        "requestType": _TYPES[step.kind],
        "requestNum": step.number,
        "sessionId": story.session,
        "msisdn": story.who,
        "eventTimeStamp": step.at_s,
        "msccData": [
            {"ratingGroup": int(group), "usedUnits": used} | asked
            for group, used in step.used.items()
        ],
    }


def _billrun_doc(story: Story, step: Step) -> Body:
    name = {"voice": "call"}.get(story.usage, story.usage)
    event = {
        "record_type": f"{step.kind}_request",
        "session_id": story.session,
        "request_num": step.number,
        "msisdn": story.who,
        "usaget": name,
        "usagev": step.units,
        ("apn" if name == "data" else "called_number"): story.dialled,
        "event_time": step.at_s,
    }
    if step.asks and name != "sms":
        event["reserved_units"] = 1_048_576 if name == "data" else 60
    return {"file_type": f"{name}s", "request": event} if story.variant else event


def _kamailio(story: Story, step: Step) -> Body:
    event = _default(story, step)
    if not story.variant:
        return event
    return {
        "method": _KAMAILIO[step.kind],
        "callid": story.session,
        "number": str(step.number),
        "from_user": story.who,
        "ruri_user": f"+{story.dialled}",
        "src_ip": "192.0.2.7",
        "time": step.at_s,
        "used": step.units,
    } | ({"requested": 60} if step.asks else {})


def _opensips(story: Story, step: Step) -> Body:
    event = {
        "record_type": step.kind,
        "callid": story.session,
        "ms_duration": step.total_ms,
        "sip_code": "200",
    }
    if story.variant:
        who = {"from_user": story.who, "ruri_user": f"+{story.dialled}", "time": step.at_s}
        return event | who
    who = {"account": story.who, "caller": story.who, "callee": story.dialled}
    return event | who | {"number": step.number, "event_time": step.at_s}


def _freeswitch(story: Story, step: Step) -> Body:
    if story.variant and step.kind == "release":
        return _json_cdr(story, step)
    event = {
        "Unique-ID": story.session,
        "Caller-Caller-ID-Number": story.who,
        "Caller-Destination-Number": story.dialled,
    }
    if story.variant:
        header = {"Event-Name": _FREESWITCH[step.kind], "variable_accountcode": story.who}
        event |= header | {"Event-Date-Timestamp": f"{step.at_s}000000"}
        return event | {"variable_billmsec": str(step.total_ms)}
    event |= {"accountcode": story.who, "record_type": f"{step.kind}_request"}
    event |= {"request_number": str(step.number), "event_time": f"{step.at_s}.000"}
    return event | ({"billmsec": str(step.total_ms)} if step.total_ms else {})


def _json_cdr(story: Story, step: Step) -> Body:
    variables = {
        "uuid": story.session,
        "accountcode": story.who,
        "sip_from_user": story.who,
        "sip_req_user": story.dialled,
        "end_uepoch": f"{step.at_s}000000",
        "billsec": str(step.total_ms // _SECOND_MS),
        "billmsec": str(step.total_ms),
    }
    return {"core-uuid": "2dc7cc50", "variables": variables, "callflow": [{"profile_index": "1"}]}


def _asterisk(story: Story, step: Step) -> Body:
    event = {
        "record_type": step.kind,
        "uniqueid": story.session,
        "linkedid": story.session,
        "src": story.who,
        "dst": story.dialled,
        "billsec": step.total_ms // _SECOND_MS,
    }
    if story.variant:
        event |= {"accountcode": story.who, "number": step.number, "event_time": f"{step.at_s}.5"}
    return urlencode(event)


def _diameter(story: Story, step: Step) -> Body:
    context = {"voice": "32260", "data": "32251", "sms": "32274"}[story.usage]
    command = {
        "Session-Id": story.session,
        "Origin-Host": "gw.example.com",
        "Origin-Realm": "example.com",
        "Service-Context-Id": f"{context}@3gpp.org",
        "CC-Request-Type": _TYPES[step.kind],
        "CC-Request-Number": step.number,
        "Subscription-Id": [{"Subscription-Id-Type": 0, "Subscription-Id-Data": story.who}],
        "Event-Timestamp": step.at_s,
    } | _DIAMETER[story.usage](story, step)
    return {"CCR": command} if story.variant else command


def _ccr_of_call(story: Story, step: Step) -> dict[str, Any]:
    ims = {"Role-Of-Node": 0, "Called-Party-Address": f"tel:+{story.dialled}"}
    asked = {"Requested-Service-Unit": {"CC-Time": 60}} if step.asks else {}
    used = {"Used-Service-Unit": {"CC-Time": step.units}} if step.kind != "start" else {}
    return {"Service-Information": {"IMS-Information": ims}} | asked | used


def _ccr_of_data(_: Story, step: Step) -> dict[str, Any]:
    asked = {"Requested-Service-Unit": {"CC-Total-Octets": 1_048_576}} if step.asks else {}
    services = []
    for group, used in step.used.items():
        octets = {"CC-Input-Octets": used // 2, "CC-Output-Octets": used - used // 2}
        report = [{"CC-Total-Octets": used, "Reporting-Reason": 3}] if used % 2 else octets
        services.append({"Rating-Group": int(group), "Used-Service-Unit": report} | asked)
    return {"Multiple-Services-Credit-Control": services}


def _ccr_of_message(story: Story, step: Step) -> dict[str, Any]:
    address = {"Address-Type": 1, "Address-Data": story.dialled}
    sms = {"Recipient-Info": [{"Recipient-Address": [address]}]}
    return {
        "Requested-Action": 0,
        "Service-Information": {"SMS-Information": sms},
        "Requested-Service-Unit": {"CC-Service-Specific-Units": step.units},
    }


_DIAMETER: Final = {"voice": _ccr_of_call, "data": _ccr_of_data, "sms": _ccr_of_message}

WORDS: Final[Mapping[str, Callable[[Story, Step], Body]]] = {
    "asterisk": _asterisk,
    "billrun-data": _billrun_data,
    "billrun-doc": _billrun_doc,
    "classic": _classic,
    "default": _default,
    "diameter": _diameter,
    "freeswitch": _freeswitch,
    "kamailio": _kamailio,
    "kv": _kv,
    "opensips": _opensips,
}
TELLS: Final[Mapping[str, tuple[str, ...]]] = {
    "asterisk": ("voice",),
    "billrun-data": ("data",),
    "billrun-doc": ("voice", "data", "sms"),
    "classic": ("voice", "data", "sms"),
    "default": ("voice", "data", "sms"),
    "diameter": ("voice", "data", "sms"),
    "freeswitch": ("voice",),
    "kamailio": ("voice",),
    "kv": ("voice", "data", "sms"),
    "opensips": ("voice",),
}
"""Of what each source's clients tell."""

BY_GROUPS: Final = frozenset({"billrun-data", "default", "diameter"})
"""Who tells data by rating groups; for the others a session is one service."""

"""How much an event reports and asks for, over its services.

The scalar form (`used_units`, `requested_units` beside the rest) is shorthand for one service. A
field that reports use and is not understood is refused, never ignored: it would be use that nobody
pays for.

    absent on start and update   the plan's quota (None); a source may want nothing for updates
    0, or report_only            settle, grant nothing
    release                      nothing is asked, whatever the field says
    event                        what was delivered (used) or is to be debited (requested); a
                                 message that says neither is one message
    postpay_charge_request       what was delivered, whichever field says it

Units are rounded here, once, half up.
"""

from typing import Final

from ocs.domain.events import MAIN_SERVICE, Kind, Reporting, ServiceUse
from ocs.domain.numbers import NumberRules, clean_number
from ocs.entrypoints.decoders.manner import Manner
from ocs.entrypoints.decoders.used import used_of
from ocs.entrypoints.decoders.wire import PlainEvent, Unreadable, WireEvent, WireService
from ocs.entrypoints.decoders.words import POSTPAY

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_START: Final = Kind.START
_RELEASE: Final = Kind.RELEASE
_EVENT: Final = Kind.EVENT

COUNTED: Final = frozenset({"sms", "mms", "event"})
"""Usage types of which an event means one, when it does not say how many."""


def services_of(
    wire: PlainEvent, kind: Kind, usage_type: str, manner: Manner, rules: NumberRules
) -> tuple[ServiceUse, ...]:
    """Return the services of an event; raises Unreadable."""
    if wire.services is None:
        asked = _asked(wire, wire, kind, usage_type, manner)
        used = wire.used_units
        if wire.record_type == POSTPAY:
            used, asked = _delivered(used, asked), 0
        return (ServiceUse(MAIN_SERVICE, used if type(used) is int else _whole(used), asked),)
    if wire.used_units is not None or wire.requested_units is not None:
        name = "requested_units" if wire.used_units is None else "used_units"
        raise Unreadable(name, "expected inside of services, where services are given")
    if not wire.services:
        if kind is _RELEASE:  # releases all that the session has
            return (ServiceUse(MAIN_SERVICE, 0, 0),)
        raise Unreadable("services", "expected at least one")
    services = _service_uses(wire, kind, usage_type, manner, rules)
    if len(services) > 1 and len({each.rating_group for each in services}) < len(services):
        raise Unreadable("services", "expected each rating_group once")
    return tuple(services)


def reporting_of(wire: WireEvent, kind: Kind, manner: Manner) -> Reporting:
    """Tell what `used_units` counts, of a source that reports totals; raises Unreadable.

    A one-shot event has no earlier reports. A release sets the total, so one that says nothing of
    use must not be read as 0: all that was charged would be paid back. Where earlier reports were
    settled, nothing more was used; where the release is the only report, it is refused.
    """
    reporting = manner.reporting
    if kind is _EVENT:
        return Reporting.DELTA
    if kind is not _RELEASE:
        return reporting
    if not wire.services and wire.used_units is not None:
        return reporting
    reports = [
        service.used_units is not None or bool(service.used) for service in wire.services or ()
    ] or [wire.used_units is not None]
    if all(reports):
        return reporting
    if reporting is Reporting.TOTAL and not any(reports):
        return Reporting.DELTA
    place = f"services[{reports.index(False)}].used_units" if wire.services else "used_units"
    raise Unreadable(place, "expected the total of the session")


def _service_uses(
    wire: PlainEvent, kind: Kind, usage_type: str, manner: Manner, rules: NumberRules
) -> list[ServiceUse]:
    rated = manner.rated.get(usage_type, ())
    uses: list[ServiceUse] = []
    for service in wire.services or ():
        used, before, group = service.used_units, 0.0, service.rating_group
        try:
            asked = _asked(service, wire, kind, usage_type, manner)
            if service.used is not None:
                used, before = used_of(service.used, used, usage_type)
        except Unreadable as problem:
            place = f"services[{len(uses)}].{problem.field}"
            raise Unreadable(place, problem.reason) from None
        if wire.record_type == POSTPAY:
            used, asked = _delivered(used, asked), 0
        uses.append(
            ServiceUse(
                group if type(group) is str else _group_name(group),
                used if type(used) is int else _whole(used),
                asked,
                _own_number(service, wire, rated, rules) if rated or service.called_number else "",
                _whole(before) if before else 0,
            )
        )
    return uses


def _group_name(group: int | str | None) -> str:
    return MAIN_SERVICE if group is None else str(group)


def _own_number(
    service: WireService, wire: PlainEvent, rated: tuple[str, ...], rules: NumberRules
) -> str:
    """Return what a service is rated by, where that is not what its event is rated by."""
    if service.called_number:
        return clean_number(service.called_number, rules)
    for name in rated:
        own = getattr(service, name, None)
        if own is not None and own != "":
            return str(own)
        if getattr(wire, name, ""):
            return ""
    return ""


def _asked(
    units: PlainEvent | WireService, wire: PlainEvent, kind: Kind, usage_type: str, manner: Manner
) -> int | None:
    """Return what is asked for: None leaves the size to the plan's quota, 0 only reports."""
    if kind is _RELEASE or wire.report_only:
        return 0
    wanted = units.requested_units
    if wanted is not None:
        return wanted if type(wanted) is int else _whole(wanted)
    if kind is not _EVENT:
        return None if manner.unasked_quota or kind is _START else 0
    if units.used_units is not None or (units is not wire and getattr(units, "used", None)):
        return 0
    if usage_type in COUNTED:
        return 1
    raise Unreadable("requested_units", "expected requested_units or used_units")


def _delivered(used: float | None, asked: int | None) -> float | None:
    return asked if used is None else used


def _whole(units: float | None) -> int:
    """Round half up, exactly (adding 0.5 to a double may round before it truncates)."""
    if units is None:
        return 0
    whole = int(units)
    return whole + (units - whole >= 0.5)  # noqa: PLR2004 -- one half

"""How much an event reports and asks for, over its services.

The scalar form (`used_units`, `requested_units` beside the rest) is shorthand for one service. A
field that reports use and is not understood is refused, never ignored: it would be use that nobody
pays for.

    absent on start and update   the plan's quota (None)
    0, or report_only            settle, grant nothing
    release                      nothing is asked, whatever the field says
    event                        what was delivered (used) or is to be debited (requested); a
                                 message that says neither is one message

Units are rounded here, once, half up.
"""

from collections.abc import Iterator
from typing import Final

from ocs.domain.events import MAIN_SERVICE, Kind, ServiceUse
from ocs.entrypoints.decoders.wire import Unreadable, WireEvent, WireService

_COUNTED: Final = frozenset({"sms", "mms", "event"})
"""Usage types of which an event means one, when it does not say how many."""


def services_of(wire: WireEvent, kind: Kind, usage_type: str) -> tuple[ServiceUse, ...]:
    """Return the services of an event; raises Unreadable."""
    if wire.services is None:
        asked = _asked(wire, wire, kind, usage_type)
        return (ServiceUse(MAIN_SERVICE, _whole(wire.used_units), asked),)
    for name in ("used_units", "requested_units"):
        if getattr(wire, name) is not None:
            raise Unreadable(name, "expected inside of services, where services are given")
    if not wire.services:
        if kind is Kind.RELEASE:  # releases all that the session has
            return (ServiceUse(MAIN_SERVICE, 0, 0),)
        raise Unreadable("services", "expected at least one")
    services = tuple(_service_uses(wire, kind, usage_type))
    if len({service.rating_group for service in services}) < len(services):
        raise Unreadable("services", "expected each rating_group once")
    return services


def _service_uses(wire: WireEvent, kind: Kind, usage_type: str) -> Iterator[ServiceUse]:
    for position, service in enumerate(wire.services or ()):
        if service.used is not None:
            # Left unread it would be use that nobody pays.
            raise Unreadable(f"services[{position}].used", "expected used_units")
        try:
            asked = _asked(service, wire, kind, usage_type)
        except Unreadable as problem:
            raise Unreadable(f"services[{position}].{problem.field}", problem.reason) from None
        group = MAIN_SERVICE if service.rating_group is None else str(service.rating_group)
        yield ServiceUse(group, _whole(service.used_units), asked)


def _asked(
    units: WireEvent | WireService, wire: WireEvent, kind: Kind, usage_type: str
) -> int | None:
    """Return what is asked for: None leaves the size to the plan's quota, 0 only reports."""
    if kind is Kind.RELEASE or wire.report_only:
        return 0
    if units.requested_units is not None:
        return _whole(units.requested_units)
    if kind is not Kind.EVENT:
        return None
    if units.used_units is not None:
        return 0
    if usage_type in _COUNTED:
        return 1
    raise Unreadable("requested_units", "expected requested_units or used_units")


def _whole(units: float | None) -> int:
    """Round half up, exactly (adding 0.5 to a double may round before it truncates)."""
    if type(units) is int:
        return units
    if units is None:
        return 0
    whole = int(units)
    return whole + (units - whole >= 0.5)  # noqa: PLR2004 -- one half

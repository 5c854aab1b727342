"""How much a Credit-Control-Request reports and asks for, at either level.

Multiple-Services-Credit-Control is read as services; units beside it, as an old client sends them,
as the one service of a session. A service is named by its Rating-Group and its Service-Identifier
together, spelled `100`, `100/1000`, `/1000`, and `/` where an MSCC has neither; `split_service`
parts them again for the answer. Rating-Group 0 is `0/`, because `0` is what units beside MSCC have.

    Requested-Service-Unit   absent      report only: nothing is granted (RFC 8506 8.16)
                             empty       the plan's quota
                             a unit      so much
    Used-Service-Unit        repeated    added up; before and after a tariff change apart (8.27)

Counted is one unit: seconds of voice, octets of data, events of the rest. Others beside it are kept
(a gateway reports the seconds of a data session, too), in the same Used-Service-Unit or in one of
their own (8.19 has any of them in any number). A service of which nothing is reported in its own
unit, but something in another one, is refused: that would be use that nobody pays. So is CC-Money,
which only a refund may have (`diameter_money`).

Octets are the total, or both directions where there is no total, or one of 0: a total is of both
directions (8.23), so 0 beside octets that went one way is what a gateway writes that does not add
up. A total above 0 counts, whatever stands beside it.
"""

from typing import Any, Final

from ocs.domain.events import MAIN_SERVICE
from ocs.entrypoints.decoders.avps import Group, is_object
from ocs.entrypoints.decoders.wire import Unreadable

MSCC: Final = "Multiple-Services-Credit-Control"
REQUESTED: Final = "Requested-Service-Unit"
USED: Final = "Used-Service-Unit"

TIME: Final = "CC-Time"
OCTETS: Final = "CC-Total-Octets"
EVENTS: Final = "CC-Service-Specific-Units"
UNIT_OF: Final = {"voice": TIME, "data": OCTETS}
"""The AVP that counts a usage type; EVENTS for the others."""

INPUT: Final = "CC-Input-Octets"
OUTPUT: Final = "CC-Output-Octets"
_UNITS: Final = (OCTETS, INPUT, OUTPUT, TIME, EVENTS)
MONEY: Final = "CC-Money"
INDICATOR: Final = "Multiple-Services-Indicator"
TARIFF_CHANGE: Final = "Tariff-Change-Usage"
_SUPPORTED: Final = (1, "1", "MULTIPLE_SERVICES_SUPPORTED")
GREATEST_KEY: Final = 2**32 - 1
_BEFORE: Final = 0
_CHANGES: Final = {
    "UNIT_BEFORE_TARIFF_CHANGE": _BEFORE,
    "UNIT_AFTER_TARIFF_CHANGE": 1,
    "UNIT_INDETERMINATE": 2,
}
_WHEN: Final = {_BEFORE: "before", 1: "after"}
INITIAL: Final = 1
TERMINATION: Final = 3
EVENT: Final = 4


def unit_named(command: Group) -> str:
    """Return the first unit that a command names anywhere; empty when it names none."""
    levels = _objects(command.look(MSCC)) or [
        {name: command.look(name) for name in (REQUESTED, USED)}
    ]
    named = {
        name
        for level in levels
        for units in (REQUESTED, USED)
        for group in _objects(level.get(units))
        for name in group
    }
    for name in _UNITS:
        if name in named:
            return OCTETS if name in (INPUT, OUTPUT) else name
    return ""


def split_service(rating_group: str) -> tuple[int | None, list[int]]:
    """Part a service's name into Rating-Group and Service-Identifiers, where it is made of them."""
    group, _, identifiers = rating_group.partition("/")
    numbers = [int(one) for one in identifiers.split("+") if one.isdecimal()]
    return (int(group) if group.isdecimal() else None), numbers


def read_units(command: Group, usage_type: str, request_type: int) -> dict[str, object]:
    """Return the canonical fields of all units of a command."""
    groups = command.groups(MSCC)
    if groups:
        for name in (REQUESTED, USED):
            if command.look(name):
                raise Unreadable(name, f"expected inside of {MSCC}, where that is given")
        return {"services": [_read_service(group, usage_type, request_type) for group in groups]}
    expected = expects_services(command.look(INDICATOR))
    own = _read_level(command, usage_type, request_type, may_ask_nothing=expected)
    return {"services": [{"rating_group": MAIN_SERVICE} | own]} if "used" in own else own


def _read_service(group: Group, usage_type: str, request_type: int) -> dict[str, object]:
    rating_group = group.whole("Rating-Group", GREATEST_KEY)
    identifiers = _identifiers(group)
    group.label = {} if rating_group is None else {"Rating-Group": rating_group}
    service: dict[str, object] = {"rating_group": service_key(rating_group, identifiers)}
    if identifiers:
        group.label["Service-Identifier"] = identifiers
        service["service_id"] = str(identifiers[0])
    return service | _read_level(group, usage_type, request_type, may_ask_nothing=True)


def service_key(rating_group: int | None, identifiers: list[int]) -> str:
    """Name a service by its Rating-Group and its Service-Identifiers."""
    if rating_group and not identifiers:
        return str(rating_group)
    group = "" if rating_group is None else rating_group
    return f"{group}/{'+'.join(map(str, identifiers))}"


def expects_services(indicator: object) -> bool:
    """Tell of a Multiple-Services-Indicator whether its client would send an MSCC to ask."""
    return indicator in _SUPPORTED


def _identifiers(group: Group) -> list[int]:
    """Take the Service-Identifiers: one, or several that share what is granted."""
    name = "Service-Identifier"
    value = group.take(name)
    if value is None:
        return []
    found = value if isinstance(value, list) else [value]
    return [group.as_whole(one, name, GREATEST_KEY) for one in found]


def _read_level(
    group: Group, usage_type: str, request_type: int, *, may_ask_nothing: bool
) -> dict[str, object]:
    """Read what one MSCC, or the command itself, asks for and reports."""
    unit = UNIT_OF.get(usage_type, EVENTS)
    used = group.only_whole(USED, unit)
    fields: dict[str, object] = {"used_units": used}
    if used is None:
        fields = _read_used(group.groups(USED), unit)
    asked = group.only_whole(REQUESTED, unit)
    if asked is None:
        requested = group.group(REQUESTED)
        if requested is not None:
            asked = _counted(requested, unit)
        elif request_type != EVENT and (may_ask_nothing or request_type != INITIAL):
            asked = 0
    if asked is not None and request_type != TERMINATION:
        fields["requested_units"] = asked
    return fields


def _read_used(used: list[Group], unit: str) -> dict[str, object]:
    if not used:
        return {}
    parts: list[dict[str, object]] = []
    total = 0
    counted = [_own_units(group, unit) for group in used]
    if not any(units is not None for units in counted):
        for group in used:
            _refuse_others(group, unit)
    for group, own in zip(used, counted, strict=True):
        change = group.one_of(TARIFF_CHANGE, _CHANGES)
        units = own or 0
        total += units
        parts.append({"units": units} | ({"when": _WHEN[change]} if change in _WHEN else {}))
    return {"used": parts} if any("when" in part for part in parts) else {"used_units": total}


def _counted(group: Group, unit: str) -> int | None:
    """Return the units that count; None when there are none of any kind."""
    units = _own_units(group, unit)
    if units is None:
        _refuse_others(group, unit)
    return units


def _own_units(group: Group, unit: str) -> int | None:
    """Return the units that count; None when there are none of that kind."""
    if group.look(MONEY) is not None:
        raise Unreadable(
            group.at(MONEY), "expected units: an amount of money is neither granted nor debited"
        )
    units = group.whole(unit)
    if unit != OCTETS or units:
        return units
    inward, outward = group.whole(INPUT), group.whole(OUTPUT)
    return units if inward is None and outward is None else (inward or 0) + (outward or 0)


def _refuse_others(group: Group, unit: str) -> None:
    for other in _UNITS:
        if group.look(other) is not None:
            raise Unreadable(group.at(other), f"expected {unit}, in which this service is counted")


def _objects(value: object) -> list[dict[str, Any]]:
    """Return the groups in a value that is not judged yet."""
    found = value if isinstance(value, list) else [value]
    return [one for one in found if is_object(one)]

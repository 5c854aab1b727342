"""Whether an event is of a call for help: decided by what was dialled, whoever dialled it.

What was dialled counts, also where a switch has put the number of a control room in its place
(`routing_number`); that one is looked at where nothing else is there. Calls and messages have
somebody whom they are for; data and other events have not, whatever stands in such a field.
"""

from typing import Final

from ocs.domain.events import Action, Event
from ocs.domain.numbers import NumberRules, clean_number, emergency_number
from ocs.entrypoints.decoders.wire import WireEvent
from ocs.usecases.emergency import number_of

ADDRESSED: Final = frozenset({"voice", "sms", "mms"})


def emergency_of(event: Event, wire: WireEvent, rules: NumberRules) -> str:
    """Return the emergency number that was dialled, empty if none was.

    Worth calling only where the called number is short, see `EmergencyNumbers.longest`.
    """
    if event.usage_type not in ADDRESSED or event.action is not Action.DIRECT_DEBIT:
        return ""
    if wire.called_number:
        return emergency_number(wire.called_number, event.called_number, rules)
    if wire.routing_number:
        cleaned = clean_number(wire.routing_number, rules)
        return emergency_number(wire.routing_number, cleaned, rules)
    return number_of(event.session_ref, event.tenant, event.session_id)

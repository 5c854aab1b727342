"""What a one-shot event wants done (Requested-Action, RFC 8506 8.41), and what must go with it.

    direct_debit    units, as any one-shot event
    refund          `reverses`, the transaction to take back, all of it; or units or an `amount` of
                    money to give back
    check_balance   units, to ask whether they can be paid; or none
    price_enquiry   units, to ask what they would cost

An event that an action does not fit is refused: half understood, it would move money the wrong way.
"""

import re
from typing import Final

from ocs.domain.events import MAIN_SERVICE, Action, Kind, ServiceUse
from ocs.domain.numbers import NumberRules
from ocs.entrypoints.decoders.manner import Manner
from ocs.entrypoints.decoders.services import COUNTED, services_of
from ocs.entrypoints.decoders.wire import Unreadable, WireEvent, WireService
from ocs.entrypoints.decoders.words import ACTIONS, POSTPAY

_ONLY_REFUND: Final = "expected only with the action refund"
_NUMBERED: Final = dict(enumerate(Action))
_DECIMAL: Final = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(?: [A-Z]{3})?", re.ASCII)


def action_of(wire: WireEvent, kind: Kind) -> Action:
    """Return what an event wants done; raises Unreadable where that cannot be."""
    action = _named_action(wire)
    if action is not None and (kind is not Kind.EVENT or wire.record_type == POSTPAY):
        field = "action" if wire.action else "requested_action"
        raise Unreadable(field, "expected only with an event_request")
    if wire.reverses and action is not Action.REFUND:
        raise Unreadable("reverses", _ONLY_REFUND)
    return action or Action.DIRECT_DEBIT


def _named_action(wire: WireEvent) -> Action | None:
    named = ACTIONS.get(wire.action) if wire.action else None
    if wire.action and named is None:
        raise Unreadable("action", f"expected one of {', '.join(Action)}")
    numbered = None
    if wire.requested_action is not None:
        numbered = _NUMBERED.get(wire.requested_action)
        if numbered is None:
            raise Unreadable("requested_action", "expected 0 to 3")
        if named not in (None, numbered):
            raise Unreadable("requested_action", "expected the same as action")
    return named or numbered


def services_of_action(
    wire: WireEvent, action: Action, usage_type: str, manner: Manner, rules: NumberRules
) -> tuple[ServiceUse, ...]:
    """Return the services of a one-shot event that is no direct debit; raises Unreadable."""
    sources = wire.services or (wire,)
    uses = any(_uses(each) for each in sources)
    asks = any(each.requested_units for each in sources)
    if action is Action.REFUND:
        if _gives_back_money(wire, units=uses or asks):
            return (ServiceUse(MAIN_SERVICE, 0, 0),)
    elif uses:
        raise Unreadable("used_units", "expected requested_units: nothing is settled")
    elif action is Action.CHECK_BALANCE and not asks and usage_type not in COUNTED:
        return (ServiceUse(MAIN_SERVICE, 0, None),)
    return services_of(wire, Kind.EVENT, usage_type, manner, rules)


def amount_of(wire: WireEvent, action: Action) -> str:
    """Return the money to give back, a decimal, maybe with its currency; raises Unreadable."""
    if action is not Action.REFUND:
        raise Unreadable("amount", _ONLY_REFUND)
    amount = wire.amount
    text = amount if isinstance(amount, str) else str(amount)
    match = _DECIMAL.fullmatch(text)
    if match is None or not match[1].strip("0."):
        raise Unreadable("amount", "expected a decimal above 0")
    return text


def _gives_back_money(wire: WireEvent, *, units: bool) -> bool:
    """Tell whether a refund is that of a transaction or an amount; if not, it is of units."""
    given = [name for name in ("reverses", "amount") if getattr(wire, name) != ""]
    if len(given) + units > 1:
        raise Unreadable(given[0], "expected without units, and one of reverses and amount")
    if not given and not units:
        raise Unreadable("reverses", "expected reverses, or the units or the amount to give back")
    return bool(given)


def _uses(each: WireEvent | WireService) -> bool:
    return bool(each.used_units or (isinstance(each, WireService) and each.used))

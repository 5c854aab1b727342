"""CC-Money of a refund (RFC 8506 8.22) into an exact decimal text, with its currency if it has one.

    {"Unit-Value": {"Value-Digits": 5, "Exponent": -2}, "Currency-Code": 978}   ->   0.05 EUR

Whether that is the account's currency is seen where the account is known.
"""

from typing import Final

from ocs.entrypoints.currency_numbers import CODE_OF
from ocs.entrypoints.decoders.avps import MISSING, Group, is_object
from ocs.entrypoints.decoders.diameter_units import MONEY, MSCC, REQUESTED
from ocs.entrypoints.decoders.wire import Unreadable

_FARTHEST_EXPONENT: Final = 12
"""Decimals either way: the finest money unit is 10^-8."""
_GREATEST_CURRENCY: Final = 999


def read_amount(command: Group) -> str:
    """Take the money that is to go back, of the command or its one MSCC; empty: there is none."""
    service = command.look(MSCC)
    asked = service.get(REQUESTED) if is_object(service) else command.look(REQUESTED)
    if not (is_object(asked) and is_object(asked.get(MONEY))):
        return ""
    level = command.group(MSCC) if is_object(service) else command
    requested = level.group(REQUESTED) if level else None
    money = requested.group(MONEY) if requested else None
    assert money is not None, "it was there"
    return _decimal(money) + _currency(money)


def _decimal(money: Group) -> str:
    value = money.group("Unit-Value")
    digits = value.whole("Value-Digits") if value else None
    if value is None or digits is None:
        raise Unreadable(money.at("Unit-Value.Value-Digits"), MISSING)
    exponent = value.take("Exponent") or 0
    if type(exponent) is not int or abs(exponent) > _FARTHEST_EXPONENT:
        limit = _FARTHEST_EXPONENT
        raise Unreadable(value.at("Exponent"), f"expected an integer of {-limit} to {limit}")
    if exponent >= 0:
        return str(digits * 10**exponent)
    text = str(digits).rjust(1 - exponent, "0")
    return f"{text[:exponent]}.{text[exponent:]}"


def _currency(money: Group) -> str:
    number = money.whole("Currency-Code", _GREATEST_CURRENCY)
    if number is None:
        return ""
    if number not in CODE_OF:
        raise Unreadable(money.at("Currency-Code"), "expected a number of ISO 4217")
    return f" {CODE_OF[number]}"

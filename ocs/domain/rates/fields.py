"""Checks that the rate models share: what a field of a rate may hold, and who says so when not.

A wrong field is reported by name, because whoever reads the report looks at one cell of a price
list with thousands of rows.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Final

from ocs.domain.money import MAX_UNITS, Currency, exact_decimal
from ocs.domain.usage import DATA, VOICE

SECONDS_A_MINUTE: Final = 60


class RateFieldError(ValueError):
    """A field of a rate holds what no price can be made of; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def money_of(field: str, value: Decimal, currency: Currency) -> Fraction:
    """Return a price, written in the currency, in money units; it must not be negative."""
    return _not_negative(field, value) * currency.units_a_whole


def fraction_of(field: str, value: Decimal) -> Fraction:
    """Return a share such as 0.10 for ten per cent; above 1 it is taken for a mistake."""
    share = _not_negative(field, value)
    if share > 1:
        raise RateFieldError(field, f"{value} is not a fraction: write 0.10 for ten per cent")
    return share


def count_of(field: str, value: int, *, least: int) -> int:
    """Return a number of seconds (or other units) of at least `least`."""
    if not least <= value <= MAX_UNITS:
        raise RateFieldError(field, f"{value} is not within {least} .. {MAX_UNITS}")
    return value


def per_of(value: int | None, usage_type: str) -> int:
    """Return how many units a price is for: of calls a minute, of messages and events one.

    Data has no such habit: a price per byte taken for one per MiB is wrong by a million.
    """
    if value is not None:
        return count_of("per", value, least=1)
    if usage_type == DATA:
        raise RateFieldError("per", "must be set for data: what a price is for, such as 1MiB")
    return SECONDS_A_MINUTE if usage_type == VOICE else 1


def _not_negative(field: str, value: Decimal) -> Fraction:
    try:
        exact = exact_decimal(value)
    except ValueError as error:
        raise RateFieldError(field, str(error)) from error
    if exact < 0:
        raise RateFieldError(field, f"{value} is negative")
    return exact

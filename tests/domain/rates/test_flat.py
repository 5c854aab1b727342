"""One price for an event, or for a whole call; free and blocked cost nothing."""

from decimal import Decimal

import pytest

from ocs.domain.ladder import FREE, cost
from ocs.domain.money import currency
from ocs.domain.rates.flat import Blocked, Flat, Free

EUR = currency("EUR")


@pytest.mark.parametrize(
    ("usage_type", "units", "amount"),
    [
        ("sms", 1, 90_000),
        ("sms", 3, 270_000),
        ("event", 2, 180_000),
        ("voice", 0, 0),
        ("voice", 1, 90_000),
        ("voice", 7_200, 90_000),
        ("data", 10**9, 90_000),
    ],
)
def test_a_flat_price(usage_type: str, units: int, amount: int) -> None:
    assert cost(Flat(price=Decimal("0.09")).compile(EUR, usage_type), units) == amount


def test_a_flat_price_of_a_call_is_due_when_it_was_answered() -> None:
    assert cost(Flat(price=Decimal("0.09")).compile(EUR), 0, answered=True) == 90_000


def test_free_and_blocked_have_the_ladder_that_costs_nothing() -> None:
    assert Free().compile(EUR) is Blocked().compile(EUR, "data") is FREE

"""The per_minute model: a price and a billing increment."""

from decimal import Decimal

import pytest

from ocs.domain.ladder import cost
from ocs.domain.money import Rounding, currency
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.per_minute import PerMinute
from ocs.domain.rates.terms import Terms

EUR = currency("EUR")


@pytest.mark.parametrize(
    ("increment", "seconds", "amount"),
    [(60, 1, 35_000), (60, 61, 70_000), (1, 1, 583), (1, 8_722, 5_087_833), (6, 7, 7_000)],
)
def test_whole_increments_at_the_price_of_a_minute(
    increment: int, seconds: int, amount: int
) -> None:
    rate = PerMinute(cost_per_minute=Decimal("0.035"), billing_increment=increment)
    assert cost(rate.compile(EUR), seconds) == amount


def test_a_minute_is_the_increment_unless_said_otherwise() -> None:
    assert PerMinute(cost_per_minute=Decimal(1)).compile(EUR).rows[0].increment == 60


def test_rounding_is_the_tariffs() -> None:
    terms = Terms(rounding=Rounding.UP)
    rate = PerMinute(cost_per_minute=Decimal("0.035"), billing_increment=1, terms=terms)
    assert cost(rate.compile(EUR), 1) == 584


@pytest.mark.parametrize(
    ("field", "rate"),
    [
        ("cost_per_minute", PerMinute(cost_per_minute=Decimal(-1))),
        ("billing_increment", PerMinute(cost_per_minute=Decimal(1), billing_increment=0)),
    ],
)
def test_a_field_that_cannot_be_priced_is_named(field: str, rate: PerMinute) -> None:
    with pytest.raises(RateFieldError) as caught:
        rate.compile(EUR)
    assert caught.value.field == field


def test_only_calls_have_minutes() -> None:
    with pytest.raises(RateFieldError, match="data has no minutes"):
        PerMinute(cost_per_minute=Decimal(1)).compile(EUR, "data")

"""The timed model: Elevate's initial charge and period, CGRateS's rate units and increments."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import cost
from ocs.domain.money import MAX_UNITS, currency
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.terms import Terms
from ocs.domain.rates.timed import Timed

EUR = currency("EUR")
CGRATES = (
    PriceStep(0, 60, Decimal("0.2"), 60, 60),
    PriceStep(60, None, Decimal("0.1"), 60, 1),
)


def test_elevates_example_of_an_initial_charge() -> None:
    """Value 5 p a minute, by the second, the first 30 s for 50 p: 90 s are 55 p."""
    rate = Timed(
        price=Decimal("0.05"),
        per=60,
        increment=1,
        initial_charge=Decimal("0.50"),
        initial_period=30,
    )
    ladder = rate.compile(EUR)
    assert [cost(ladder, seconds) for seconds in (1, 30, 90)] == [500_000, 500_000, 550_000]


def test_cgratess_example_of_a_first_minute_and_a_connect_fee() -> None:
    """0.4, then 0.2 for the first minute and 0.1 a minute by the second: 75 s are 0.625 exactly."""
    ladder = Timed(connect_fee=Decimal("0.4"), steps=CGRATES).compile(EUR)
    assert [cost(ladder, seconds) for seconds in (1, 60, 75)] == [600_000, 600_000, 625_000]


def test_an_initial_charge_without_a_period_is_owed_once() -> None:
    rate = Timed(price=Decimal("0.06"), connect_fee=Decimal("0.01"), initial_charge=Decimal("0.02"))
    assert [cost(rate.compile(EUR), seconds) for seconds in (0, 1, 61)] == [0, 90_000, 150_000]


def test_the_maximum_of_a_call() -> None:
    terms = Terms(maximum_charge=Decimal("0.62"))
    ladder = Timed(connect_fee=Decimal("0.4"), steps=CGRATES, terms=terms).compile(EUR)
    assert [cost(ladder, seconds) for seconds in (72, 600)] == [620_000, 620_000]


@given(
    st.decimals(0, 2, places=4),
    st.integers(1, 90),
    st.integers(1, 90),
    st.decimals(0, 2, places=4),
    st.integers(0, 90),
    st.integers(1, 2_000),
)
def test_the_ladder_is_elevates_formula(
    price: Decimal, per: int, increment: int, initial: Decimal, period: int, seconds: int
) -> None:
    further = -(-max(0, seconds - period) // increment) * increment
    exact = (Fraction(initial) + Fraction(price) * further / per) * 10**6
    rate = Timed(
        price=price, per=per, increment=increment, initial_charge=initial, initial_period=period
    )
    assert abs(cost(rate.compile(EUR), seconds) - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(("usage_type", "per"), [("voice", 60), ("sms", 1), ("event", 1)])
def test_what_a_price_is_for_where_it_does_not_say(usage_type: str, per: int) -> None:
    ladder = Timed(price=Decimal("0.06")).compile(EUR, usage_type)
    assert ladder.rows[0].increment == per
    assert cost(ladder, 1) == 60_000


@pytest.mark.parametrize(
    ("rate", "usage_type", "field", "reason"),
    [
        (Timed(), "voice", "price", "is empty, and so are the steps"),
        (Timed(price=Decimal(-1)), "voice", "price", "is negative"),
        (Timed(price=Decimal(1)), "data", "per", "must be set for data"),
        (Timed(price=Decimal(1), per=0), "voice", "per", "is not within 1"),
        (Timed(price=Decimal(1), increment=0), "voice", "increment", "is not within 1"),
        (Timed(price=Decimal(1), connect_fee=Decimal(-1)), "voice", "connect_fee", "negative"),
        (
            Timed(price=Decimal(1), initial_charge=Decimal(-1)),
            "voice",
            "initial_charge",
            "negative",
        ),
        (Timed(price=Decimal(1), initial_period=-1), "voice", "initial_period", "is not within 0"),
        (Timed(price=Decimal(1), initial_period=MAX_UNITS), "voice", "initial_period", "less than"),
        (Timed(steps=CGRATES, price=Decimal(1)), "voice", "price", "must be empty"),
        (Timed(steps=CGRATES, increment=60), "voice", "increment", "must be empty"),
        (
            Timed(
                steps=(PriceStep(0, 50, Decimal(1), 60, 60), PriceStep(50, None, Decimal(1), 1, 1))
            ),
            "voice",
            "steps",
            "0-50 is not a whole number of 60",
        ),
    ],
)
def test_a_field_that_cannot_be_priced_is_named(
    rate: Timed, usage_type: str, field: str, reason: str
) -> None:
    with pytest.raises(RateFieldError, match=reason) as caught:
        rate.compile(EUR, usage_type)
    assert caught.value.field == field

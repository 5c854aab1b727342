"""The interval model against its formula, in fractions."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import cost, segment
from ocs.domain.money import currency
from ocs.domain.rates import MODELS
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.interval import Interval

EUR = currency("EUR")
GUIDE = Interval(
    price_1=Decimal("0.06"),
    price_n=Decimal("0.03"),
    interval_1=30,
    interval_n=6,
    connect_fee=Decimal("0.01"),
    free_seconds=10,
    grace_period=5,
    postcall_surcharge=Decimal("0.10"),
)


def formula(rate: Interval, seconds: int) -> Fraction:
    """The guide's own words, in the currency."""
    if seconds < rate.grace_period:
        return Fraction(0)
    beyond = max(0, seconds - rate.interval_1 - rate.free_seconds)
    further = -(-beyond // rate.interval_n)
    return (
        Fraction(rate.connect_fee)
        + rate.interval_1 * Fraction(rate.price_1) / 60
        + further * rate.interval_n * Fraction(rate.price_n) / 60
    ) * (1 + Fraction(rate.postcall_surcharge))


decimals = st.decimals(min_value=0, max_value=5, places=5)
rates = st.builds(
    Interval,
    price_1=decimals,
    price_n=decimals,
    interval_1=st.integers(1, 90),
    interval_n=st.integers(1, 90),
    connect_fee=decimals,
    free_seconds=st.integers(0, 30),
    grace_period=st.integers(0, 10),
    postcall_surcharge=st.decimals(min_value=0, max_value=1, places=2),
)


@given(rates, st.integers(1, 4_000))
def test_the_ladder_is_the_formula(rate: Interval, seconds: int) -> None:
    ladder = rate.compile(EUR)
    exact = formula(rate, seconds) * 10**EUR.scale
    if seconds >= rate.grace_period:
        assert Fraction(ladder.fee + segment(ladder, 0, seconds), ladder.den) == exact
    assert abs(cost(ladder, seconds) - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [(4, 0), (5, 44_000), (40, 44_000), (41, 47_300), (46, 47_300), (47, 50_600), (600, 354_200)],
)
def test_the_guides_worked_example(seconds: int, amount: int) -> None:
    assert cost(GUIDE.compile(EUR), seconds) == amount


def test_equal_intervals_are_one_row() -> None:
    price = Decimal("0.05")
    rate = Interval(price_1=price, price_n=price, interval_1=60, interval_n=60)
    assert len(rate.compile(EUR).rows) == 1
    assert len(msgspec.structs.replace(rate, interval_1=30).compile(EUR).rows) == 2
    assert len(msgspec.structs.replace(rate, free_seconds=10).compile(EUR).rows) == 3


def test_prices_of_data_are_for_what_the_rate_says() -> None:
    rate = msgspec.structs.replace(
        GUIDE, per=2**20, interval_1=2**20, interval_n=1_024, free_seconds=0, grace_period=0
    )
    ladder = rate.compile(EUR, "data")
    assert cost(ladder, 1) == 77_000  # (0.01 + 0.06) * 1.1
    assert cost(ladder, 2 * 2**20) == 110_000  # and 0.03 * 1.1


def test_a_price_of_data_for_nothing_in_particular_is_refused() -> None:
    with pytest.raises(RateFieldError, match="must be set for data") as caught:
        GUIDE.compile(EUR, "data")
    assert caught.value.field == "per"


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("per", 0, "is not within 1"),
        ("postcall_surcharge", Decimal(10), "write 0.10 for ten per cent"),
        ("postcall_surcharge", Decimal("-0.1"), "is negative"),
        ("price_1", Decimal("-0.01"), "is negative"),
        ("price_n", Decimal("NaN"), "not a usable decimal"),
        ("connect_fee", Decimal(-1), "is negative"),
        ("interval_1", 0, "is not within 1"),
        ("interval_n", 0, "is not within 1"),
        ("free_seconds", -1, "is not within 0"),
        ("grace_period", -1, "is not within 0"),
    ],
)
def test_a_field_that_cannot_be_priced_is_named(field: str, value: object, reason: str) -> None:
    with pytest.raises(RateFieldError, match=reason) as caught:
        msgspec.structs.replace(GUIDE, **{field: value}).compile(EUR)
    assert caught.value.field == field


def test_models_go_by_the_name_that_files_give_them() -> None:
    assert MODELS["interval"] is Interval

"""Terms: tax before rounding, one rounding, then minimum and maximum, rounded like the total."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import affordable, cost
from ocs.domain.money import Rounding, currency, round_fraction
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.flat import Flat
from ocs.domain.rates.interval import Interval
from ocs.domain.rates.terms import Terms

EUR = currency("EUR")


def by_the_second(price: str, **terms: object) -> Interval:
    amount = Decimal(price)
    return Interval(
        price_1=amount, price_n=amount, interval_1=1, interval_n=1, terms=Terms(**terms)  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "amount"),
    [
        ({}, 100_000),
        ({"tax": Decimal("0.19")}, 119_000),
        ({"tax": Decimal("0.19"), "tax_included": True}, 100_000),
        ({"tax": Decimal("0.19"), "decimals": 2}, 120_000),
        ({"tax": Decimal("0.19"), "decimals": 2, "rounding": Rounding.DOWN}, 110_000),
        ({"tax": Decimal("0.1999995"), "rounding": Rounding.NONE}, 120_000),
        ({"minimum_charge": Decimal("0.5")}, 500_000),
        ({"minimum_charge": Decimal("0.5"), "tax": Decimal("0.2")}, 600_000),
        ({"minimum_charge": Decimal("0.5"), "tax": Decimal("0.2"), "tax_included": True}, 500_000),
        ({"minimum_charge": Decimal("0.555"), "decimals": 2}, 560_000),
        ({"maximum_charge": Decimal("0.05")}, 50_000),
        ({"maximum_charge": Decimal("0.05"), "tax": Decimal("0.2")}, 60_000),
        ({"maximum_charge": Decimal("0.05"), "maximum_strategy": "disconnect"}, 100_000),
        ({"decimals": 20}, 100_000),
    ],
)
def test_a_minute_at_ten_cents(terms: dict[str, object], amount: int) -> None:
    assert cost(by_the_second("0.1", **terms).compile(EUR), 60) == amount


def test_the_two_strategies_of_a_maximum() -> None:
    free = by_the_second("0.6", maximum_charge=Decimal(1)).compile(EUR)
    ended = by_the_second(
        "0.6", maximum_charge=Decimal(1), maximum_strategy="disconnect", tax=Decimal("0.25")
    ).compile(EUR)
    assert (free.maximum, free.limit) == (1_000_000, -1)
    assert (ended.maximum, ended.limit) == (-1, 1_250_000)
    assert cost(free, 200) == 1_000_000
    assert affordable(ended, 10**9) == 100
    assert cost(ended, 101) == 1_262_500


def test_a_tenth_a_minute_by_the_second_is_six_an_hour() -> None:
    assert cost(by_the_second("0.1").compile(EUR), 3_600) == 6_000_000


@given(
    st.decimals(0, 5, places=5),
    st.decimals(0, 1, places=4),
    st.sampled_from([None, 0, 2, 4, 6]),
    st.sampled_from([mode for mode in Rounding if mode is not Rounding.NONE]),
    st.integers(1, 5_000),
)
def test_tax_is_added_before_the_one_rounding(
    price: Decimal, tax: Decimal, decimals: int | None, rounding: Rounding, seconds: int
) -> None:
    ladder = by_the_second(str(price), tax=tax, decimals=decimals, rounding=rounding).compile(EUR)
    step = 1 if decimals is None else 10 ** (6 - decimals)
    exact = Fraction(price) * 10**6 * seconds / 60 * (1 + Fraction(tax)) / step
    assert cost(ladder, seconds) == step * round_fraction(
        exact.numerator, exact.denominator, rounding
    )


@pytest.mark.parametrize(
    ("terms", "field", "reason"),
    [
        ({"tax": Decimal(19)}, "tax", "not a fraction: write 0.10"),
        ({"tax": Decimal("-0.1")}, "tax", "is negative"),
        ({"decimals": -1}, "decimals", "is not within 0 .. 20"),
        ({"decimals": 21}, "decimals", "is not within 0 .. 20"),
        ({"decimals": 2, "rounding": Rounding.NONE}, "decimals", "must be empty"),
        ({"minimum_charge": Decimal(-1)}, "minimum_charge", "is negative"),
        ({"minimum_charge": Decimal(10**10)}, "minimum_charge", "is too large"),
        ({"maximum_charge": Decimal(0)}, "maximum_charge", "comes to 0"),
        ({"maximum_charge": Decimal("0.004"), "decimals": 2}, "maximum_charge", "comes to 0"),
        ({"maximum_charge": Decimal(10**10)}, "maximum_charge", "is too large"),
        (
            {"maximum_charge": Decimal(1), "minimum_charge": Decimal(2)},
            "maximum_charge",
            "less than the minimum",
        ),
    ],
)
def test_terms_that_cannot_hold_are_refused(
    terms: dict[str, object], field: str, reason: str
) -> None:
    with pytest.raises(RateFieldError, match=reason) as caught:
        Flat(price=Decimal(1), terms=Terms(**terms)).compile(EUR)  # type: ignore[arg-type]
    assert caught.value.field == field

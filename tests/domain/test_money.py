"""Amounts: read strictly, written exactly, rounded in one place."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.money import (
    MAX_AMOUNT,
    MAX_QUANTUM,
    Currency,
    Rounding,
    currency,
    exact_decimal,
    format_fraction,
    format_money,
    parse_decimal,
    parse_money,
    quantum_of,
    round_fraction,
)

EUR, JPY, KWD, CLF = (currency(code) for code in ("EUR", "JPY", "KWD", "CLF"))


@pytest.mark.parametrize(
    ("code", "scale"), [("EUR", 6), ("JPY", 4), ("KWD", 7), ("CLF", 8), ("USD", 6)]
)
def test_a_money_unit_is_four_digits_below_the_minor_unit(code: str, scale: int) -> None:
    assert currency(code).scale == scale
    assert parse_money("1", currency(code)) == 10**scale


@pytest.mark.parametrize("code", ["eur", "EURO", "", "EUR "])
def test_an_unknown_currency_is_named(code: str) -> None:
    with pytest.raises(ValueError, match="unknown currency") as caught:
        currency(code)
    assert repr(code) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("10.00", 10_000_000),
        ("0.000001", 1),
        (" -0.05 ", -50_000),
        ("+.5", 500_000),
        ("7.", 7_000_000),
        ("9007199254.740991", MAX_AMOUNT),
    ],
)
def test_amounts_are_read_exactly(text: str, amount: int) -> None:
    assert parse_money(text, EUR) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("0.0000001", "more than the 6 decimals"),
        ("9007199254.740992", "too large"),
        ("-9007199254.740992", "too large"),
        ("1e3", "not a decimal"),
        ("NaN", "not a decimal"),
        ("1,000.00", "not a decimal"),
        ("1_000", "not a decimal"),
        ("0x10", "not a decimal"),
        ("1/3", "not a decimal"),
        ("--1", "not a decimal"),
        ("\u0661", "not a decimal"),
        ("1" * 41, "not a decimal"),
    ],
)
def test_what_is_no_exact_amount_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_money(text, EUR)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    ("amount", "money", "text"),
    [
        (10_000_000, EUR, "10.00"),
        (9_940_000, EUR, "9.94"),
        (583, EUR, "0.000583"),
        (500, EUR, "0.0005"),
        (-50_000, EUR, "-0.05"),
        (0, EUR, "0.00"),
        (10_000, JPY, "1"),
        (10_001, JPY, "1.0001"),
        (10_000_000, KWD, "1.000"),
        (MAX_AMOUNT, EUR, "9007199254.740991"),
    ],
)
def test_amounts_are_written_exactly(amount: int, money: Currency, text: str) -> None:
    assert format_money(amount, money) == text


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.sampled_from([EUR, JPY, KWD, CLF]))
def test_what_is_written_reads_back(amount: int, money: Currency) -> None:
    assert parse_money(format_money(amount, money), money) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Fraction(5), "0.000005"),
        (Fraction(60_000), "0.06"),
        (Fraction(1, 2), "0.0000005"),
        (Fraction(-1, 8), "-0.000000125"),
        (Fraction(1, 5), "0.0000002"),
        (Fraction(1_000_001, 2), "0.5000005"),
        (Fraction(1750, 3), "7/12000"),
    ],
)
def test_an_exact_price_is_a_decimal_where_there_is_one(amount: Fraction, text: str) -> None:
    assert format_fraction(amount, EUR) == text


def test_decimals_are_exact_fractions() -> None:
    assert parse_decimal("0.035") == Fraction(35, 1000)
    assert exact_decimal(Decimal("0.035")) == Fraction(35, 1000)
    assert exact_decimal(0) == 0


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e50", "1e-50", "1e999999"])
def test_a_decimal_that_is_no_price_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="not a usable decimal"):
        exact_decimal(Decimal(value))


@pytest.mark.parametrize(
    ("halves", "half_up", "half_even", "up", "down", "none"),
    [
        (0, 0, 0, 0, 0, 0),
        (1, 1, 0, 1, 0, 1),
        (2, 1, 1, 1, 1, 1),
        (3, 2, 2, 2, 1, 2),
        (5, 3, 2, 3, 2, 3),
        (-1, -1, 0, -1, 0, -1),
        (-3, -2, -2, -2, -1, -2),
    ],
)
def test_each_rounding_of_halves(
    halves: int, half_up: int, half_even: int, up: int, down: int, none: int
) -> None:
    rounded = [round_fraction(halves, 2, rounding) for rounding in Rounding]
    assert rounded == [half_up, half_even, up, down, none]


@pytest.mark.parametrize(
    ("code", "decimals", "quantum"),
    [("EUR", None, 1), ("EUR", 6, 1), ("EUR", 7, 1), ("EUR", 2, 10_000), ("EUR", 0, 1_000_000),
     ("JPY", 0, 10_000), ("CLF", 0, MAX_QUANTUM)],
)  # fmt: skip
def test_decimals_become_what_is_rounded_to(code: str, decimals: int | None, quantum: int) -> None:
    assert quantum_of(decimals, currency(code)) == quantum


@given(st.integers(-(10**20), 10**20), st.integers(1, 2**26))
def test_no_rounding_is_further_off_than_it_may_be(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    for rounding in (Rounding.HALF_UP, Rounding.HALF_EVEN):
        assert abs(round_fraction(numerator, denominator, rounding) - exact) <= Fraction(1, 2)
    assert round_fraction(numerator, denominator, Rounding.HALF_EVEN) == round(exact)
    up = round_fraction(numerator, denominator, Rounding.UP)
    down = round_fraction(numerator, denominator, Rounding.DOWN)
    assert abs(down) <= abs(exact) <= abs(up)
    assert abs(up) - abs(down) == (exact.denominator != 1)

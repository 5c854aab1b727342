"""The worked examples of the PortSIP and Sippy rate formula, forwards and backwards."""

from fractions import Fraction

import msgspec
import pytest

from ocs.domain.ladder import Ladder, affordable, cost, steps
from ocs.domain.money import currency, parse_money, round_fraction
from ocs.domain.rates.interval import Interval
from tests.conformance.cases import Case, cases

EUR = currency("EUR")
FILE = "interval_rates.json"


def compiled(case: Case) -> Ladder:
    return msgspec.convert(case["rate"], Interval, strict=False).compile(EUR)


@pytest.mark.parametrize("case", cases(FILE, "interval_cost"))
def test_cost(case: Case) -> None:
    ladder, seconds = compiled(case), case["seconds"]
    expected = Fraction(case["expect_cost"]) * EUR.units_a_whole
    exact = sum(step.amount for step in steps(ladder, seconds) if step.what != "rounding")
    assert exact == expected
    assert cost(ladder, seconds) == round_fraction(
        expected.numerator, expected.denominator, ladder.rounding
    )


@pytest.mark.parametrize("case", cases(FILE, "interval_affordable"))
def test_affordable(case: Case) -> None:
    assert affordable(compiled(case), parse_money(case["money"], EUR)) == case["expect_seconds"]

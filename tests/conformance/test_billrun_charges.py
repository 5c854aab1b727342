"""BillRun's charge rule: access and steps, their widths in the order of the list.

Volumes and intervals of the cases are decimals (0.5 of something); units here are whole. So each
case is priced in a unit that is small enough for all its numbers, which changes no price.
"""

from decimal import Decimal
from fractions import Fraction
from math import lcm

import pytest

from ocs.adapters.tariff_import.billrun_steps import read_price
from ocs.domain.ladder import cost
from ocs.domain.money import Rounding, currency
from ocs.domain.rates.terms import Terms
from tests.conformance.cases import Case, cases

EUR = currency("EUR")
TOLERANCE = Fraction(1, 1_000_000)
_BOUNDS = ("from", "to", "interval")


def charge(inputs: Case, volume: Decimal) -> Fraction:
    """Price a volume; a negative one costs minus the charge of its absolute value."""
    given = [Fraction(Decimal(str(volume)))]
    for step in inputs["steps"]:
        given += [Fraction(str(step[name])) for name in _BOUNDS if _is_number(step.get(name))]
    fine = lcm(*(number.denominator for number in given))
    steps = [_in_fine_units(step, fine) for step in inputs["steps"]]
    faults: list[object] = []
    priced = read_price(
        {"access": Decimal(str(inputs.get("access", 0))), "rate": steps},
        "case",
        (Terms(rounding=Rounding.NONE), inputs.get("pricing_method", "tiered")),
        lambda *fault: faults.append(fault),
    )
    assert priced is not None, faults
    units = int(abs(Fraction(str(volume))) * fine)
    amount = Fraction(cost(priced.price.compile(EUR), units, answered=True), EUR.units_a_whole)
    return -amount if volume < 0 else amount


def _in_fine_units(step: Case, fine: int) -> Case:
    bounds = {
        name: int(Fraction(str(step[name])) * fine)
        for name in _BOUNDS
        if _is_number(step.get(name))
    }
    return step | bounds | {"price": Decimal(str(step["price"]))}


def _is_number(value: object) -> bool:
    return value is not None and value != "UNLIMITED"


@pytest.mark.parametrize("case", cases("billrun.json", "tariff_charge"))
def test_charge(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    volume = Decimal(str(inputs["volume"]))
    assert abs(charge(inputs, volume) - Fraction(str(expected["charge"]))) <= TOLERANCE
    if "charge_for_negated_volume" in expected:
        negated = Fraction(str(expected["charge_for_negated_volume"]))
        assert abs(charge(inputs, -volume) - negated) <= TOLERANCE

"""Steps follow each other without gap or overlap, and one reason says where they do not."""

from decimal import Decimal
from fractions import Fraction

import pytest

from ocs.domain.money import MAX_UNITS, currency
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.steps import MOST_STEPS, PriceStep, end_of, rows_of

EUR = currency("EUR")


def step(
    start: int, end: int | None, price: str = "0.10", per: int = 60, by: int = 60
) -> PriceStep:
    return PriceStep(start, end, Decimal(price), per, by)


def test_a_price_is_for_so_many_units_and_paid_in_increments() -> None:
    rows = rows_of([step(0, 60), step(60, None, "0.05", 60, 1)], EUR)
    assert rows == ((0, 60, Fraction(100_000)), (60, 1, Fraction(50_000, 60)))


@pytest.mark.parametrize(("end", "last"), [(None, MAX_UNITS), (120, 120)])
def test_the_last_step_may_have_an_end(end: int | None, last: int) -> None:
    assert end_of([step(0, 60), step(60, end)]) == last


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "1 to 32 steps, not 0"),
        ([step(i, i + 1, by=1) for i in range(MOST_STEPS + 1)], "not 33"),
        ([step(1, None)], "begins at 1 where 0 is reached: a gap"),
        ([step(0, 60), step(61, None)], "begins at 61 where 60 is reached: a gap"),
        ([step(0, 60), step(50, None)], "begins at 50 where 60 is reached: an overlap"),
        ([step(0, 60), step(0, 60)], "begins at 0 where 60 is reached: an overlap"),
        ([step(0, None), step(60, None)], "only the last step may be open"),
        ([step(0, 0)], "from 0 cannot end at 0"),
        ([step(0, 60), step(60, 30)], "from 60 cannot end at 30"),
        ([step(0, MAX_UNITS + 1)], "cannot end at"),
        ([step(0, None, "-0.10")], "is negative"),
        ([step(0, None, "NaN")], "not a usable decimal"),
        ([step(0, None, per=0)], "is not within 1"),
        ([step(0, None, by=0)], "is not within 1"),
    ],
)
def test_steps_that_cannot_be_used_are_refused(steps: list[PriceStep], reason: str) -> None:
    with pytest.raises(RateFieldError, match=reason) as caught:
        rows_of(steps, EUR)
    assert caught.value.field == "steps"

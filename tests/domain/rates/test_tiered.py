"""Tiered and volume prices against their formulas, in fractions."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.ladder import affordable, cost
from ocs.domain.money import currency
from ocs.domain.rates.fields import RateFieldError
from ocs.domain.rates.steps import PriceStep
from ocs.domain.rates.tiered import Tiered, Volume

EUR = currency("EUR")


def steps_of(*steps: tuple[int, int | None, str, int, int]) -> tuple[PriceStep, ...]:
    return tuple(
        PriceStep(start, end, Decimal(price), per, by) for start, end, price, per, by in steps
    )


def increments(step: PriceStep, units: int) -> Fraction:
    return -(-units // step.by) * Fraction(step.price) * step.by / step.per


def tiered_formula(steps: Sequence[PriceStep], units: int) -> Fraction:
    """Each step prices what lies in it; what lies above the last one is the last one's."""
    total = Fraction(0)
    for step in steps:
        end = units if step is steps[-1] or step.end is None else min(units, step.end)
        total += increments(step, max(0, end - step.start))
    return total


def volume_formula(steps: Sequence[PriceStep], units: int) -> Fraction:
    """The step that the units reach prices all of them."""
    reached = next((step for step in steps if step.end is None or units <= step.end), steps[-1])
    return increments(reached, units)


@st.composite
def many_steps(draw: st.DrawFn) -> tuple[PriceStep, ...]:
    widths = draw(st.lists(st.integers(1, 100), min_size=1, max_size=5))
    bounded = draw(st.booleans())
    start, steps = 0, []
    for index, width in enumerate(widths):
        end = None if index == len(widths) - 1 and not bounded else start + width
        price = draw(st.decimals(0, 3, places=4))
        steps.append(
            PriceStep(
                start, end, price, draw(st.sampled_from([1, 7, 60])), draw(st.integers(1, 30))
            )
        )
        start += width
    return tuple(steps)


@given(many_steps(), st.decimals(0, 2, places=3), st.integers(1, 600))
def test_the_ladders_are_the_formulas(
    steps: tuple[PriceStep, ...], access: Decimal, units: int
) -> None:
    for model, formula in ((Tiered, tiered_formula), (Volume, volume_formula)):
        exact = (Fraction(access) + formula(steps, units)) * 10**EUR.scale
        ladder = model(steps=steps, access=access).compile(EUR)
        assert abs(cost(ladder, units) - exact) <= Fraction(1, 2)


STEPS = steps_of((0, 60, "0.10", 60, 60), (60, 600, "0.06", 60, 1), (600, None, "0.02", 60, 30))


@pytest.mark.parametrize(
    ("units", "tiered", "volume"),
    [
        (1, 100_000, 100_000),
        (60, 100_000, 100_000),
        (61, 101_000, 61_000),
        (600, 640_000, 600_000),
        (601, 650_000, 210_000),  # 601 s are 21 half minutes
        (630, 650_000, 210_000),
        (631, 660_000, 220_000),
    ],
)
def test_three_steps(units: int, tiered: int, volume: int) -> None:
    assert cost(Tiered(steps=STEPS).compile(EUR), units) == tiered
    assert cost(Volume(steps=STEPS).compile(EUR), units) == volume


def test_an_increment_that_a_step_cuts_costs_all_of_its_price() -> None:
    rate = Tiered(steps=steps_of((0, 50, "1", 60, 60), (50, None, "2", 60, 60)))
    assert [cost(rate.compile(EUR), units) for units in (50, 51)] == [1_000_000, 3_000_000]


def test_nothing_is_granted_above_a_last_step_with_an_end() -> None:
    rate = Tiered(steps=steps_of((0, 60, "0.10", 60, 60), (60, 120, "0.05", 60, 60)))
    ladder = rate.compile(EUR)
    assert affordable(ladder, 10**9) == 120
    assert cost(ladder, 180) == 200_000


def test_a_millionth_a_byte_for_half_a_million_bytes_is_a_half() -> None:
    rate = Tiered(steps=steps_of((0, None, "0.000001", 1, 1)))
    assert cost(rate.compile(EUR, "data"), 500_000) == 500_000


def test_a_price_of_a_gibibyte_by_the_byte_is_exact() -> None:
    rate = Tiered(steps=steps_of((0, None, "5", 2**30, 1)))
    assert cost(rate.compile(EUR, "data"), 2**30) == 5_000_000


@pytest.mark.parametrize("model", [Tiered, Volume])
def test_access_and_grace(model: type[Tiered] | type[Volume]) -> None:
    ladder = model(steps=STEPS, access=Decimal("0.5"), grace_period=5).compile(EUR)
    assert [cost(ladder, units) for units in (0, 4, 5)] == [0, 0, 600_000]
    assert ladder.by_total == (model is Volume)


@pytest.mark.parametrize(
    ("field", "value"), [("access", Decimal(-1)), ("grace_period", -1), ("steps", ())]
)
def test_a_field_that_cannot_be_priced_is_named(field: str, value: object) -> None:
    fields = {"steps": STEPS, field: value}
    with pytest.raises(RateFieldError) as caught:
        Tiered(**fields).compile(EUR)  # type: ignore[arg-type]
    assert caught.value.field == field

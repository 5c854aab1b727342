"""What is wrong with a plan in a generation, and what is probably not meant."""

from fractions import Fraction

import pytest

from ocs.domain.plan import Plan
from ocs.domain.plan_check import check_plan, plan_warnings
from ocs.domain.tariff import PlanTariff, plan_tariffs
from ocs.domain.timing import Timing
from tests.domain.decks import BLOCKED, deck, generation

GENERATION = generation(
    deck("world", [("49", 10), ("4917", 20), ("44", 30), ("1", BLOCKED)]),
    deck("dollars", [("1", 1)], code="USD"),
    deck("uneven", [("7", 7)]),
    deck("germany", [("49", 5)]),
    deck("mobile", [("4917", 5)]),
    deck("everything", [("", 99)]),
    deck("evenings", [("", ((Timing(start_s=64_800), 5), (None, 9)))]),
    deck("ending", [("", 9, 0, 100)]),
    deck("for 44", [("", 9)], from_prefix="44"),
    deck("over t1", [("", 9)], trunk="t1"),
    deck("texts", [("", 9)], usage_type="sms"),
    deck("american", [("12", 1), ("1", 2)]),
)


@pytest.mark.parametrize(
    ("tariffs", "fault"),
    [
        (plan_tariffs("wrold"), "there is no tariff 'wrold'"),
        ((PlanTariff("wrold", Fraction(90)),), "there is no tariff 'wrold'"),
        (plan_tariffs("world", "dollars"), "different currencies: ['EUR', 'USD']"),
        (
            (PlanTariff("uneven", Fraction(100, 2**26 + 1)),),
            "tariff uneven at 1.49012e-06 per cent: ",
        ),
    ],
)
def test_a_fault_is_what_could_not_be_charged(tariffs: tuple[PlanTariff, ...], fault: str) -> None:
    (found,) = check_plan(Plan("p", tariffs), GENERATION)
    assert found.startswith("plan p: ")
    assert fault in found


def test_all_faults_are_told() -> None:
    plan = Plan("p", plan_tariffs("world", "a", "dollars", "b"))
    assert len(check_plan(plan, GENERATION)) == 3


def test_a_good_plan_has_no_faults() -> None:
    plan = Plan("p", (PlanTariff("world", Fraction("92.5")), PlanTariff("everything")))
    assert check_plan(plan, GENERATION) == ()


NEVER_USED = "plan p: tariff {} is never used: {}, before it, has a price for all its prefixes"


@pytest.mark.parametrize(
    ("names", "warning"),
    [
        (("everything", "world"), NEVER_USED.format("world", "everything")),
        (("world", "american"), NEVER_USED.format("american", "world")),
        (("germany", "world", "germany"), NEVER_USED.format("germany", "germany, world")),
        (("everything", "over t1"), NEVER_USED.format("over t1", "everything")),
        (
            ("germany", "world"),
            (
                "plan p: 1 of 4 prefixes of tariff world are never used, as a shorter one before "
                "them decides, such as 4917: germany has 49"
            ),
        ),
    ],
)
def test_a_tariff_that_an_earlier_one_hides_is_told(names: tuple[str, ...], warning: str) -> None:
    assert warning in plan_warnings(Plan("p", plan_tariffs(*names)), GENERATION)


@pytest.mark.parametrize(
    "names",
    [
        ("world", "everything"),
        ("mobile", "world", "everything"),
        ("germany",),
        ("evenings", "world"),
        ("ending", "world"),
        ("for 44", "world"),
        ("over t1", "world"),
        ("texts", "world"),
        ("no such tariff", "world"),
    ],
)
def test_nothing_is_told_where_each_tariff_has_its_use(names: tuple[str, ...]) -> None:
    assert plan_warnings(Plan("p", plan_tariffs(*names)), GENERATION) == ()

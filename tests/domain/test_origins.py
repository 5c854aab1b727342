"""Rows for some callers or some trunks only: worked cases, and the obvious search beside ours."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.generation import TariffMeta
from ocs.domain.tariff import Used, plan_tariffs
from ocs.domain.timing import Timing
from tests.domain.decks import BLOCKED, deck, generation

WEEKEND: Final = Timing(week_days=(6, 7))
SATURDAY_MS: Final = 2 * 86_400_000  # 1970-01-03
ROAMING: Final = generation(
    deck("roaming", [("49", 50), ("4917", 60), ("", 99)]),
    deck("roaming", [("49", 10), ("33", BLOCKED)], from_prefix="49"),
    deck("roaming", [("49", 5)], from_prefix="4917"),
    deck("roaming", [("49", 1)], from_prefix="4917", trunk="t1"),
    deck("roaming", [("49", 2), ("44", ((WEEKEND, 3),))], trunk="t1"),
    deck("base", [("", 7)]),
)


@pytest.mark.parametrize(
    ("called", "caller", "trunk", "price"),
    [
        ("4930", "441632", "", 50),
        ("4930", "4930", "", 10),
        ("4930", "49171", "", 5),
        ("4930", "49171", "t1", 1),
        ("4930", "441632", "t1", 2),
        ("4930", "4930", "t1", 10),  # the caller tells more than the trunk
        ("49171", "49171", "t1", 60),  # the longest called prefix comes first
        ("4930", "", "", 50),
        ("4930", "4", "t2", 50),
        ("4930", "alice", "", 50),
        ("33", "4930", "", None),
        ("33", "441632", "", 99),
        ("44", "441632", "t1", 99),  # 1970-01-01 was no week-end
        ("alice", "4930", "t1", 99),
    ],
)
def test_the_most_particular_row_of_the_longest_prefix_wins(
    called: str, caller: str, trunk: str, price: int | None
) -> None:
    used = Used(called, "voice", 0, caller=caller, trunk=trunk)
    rate = ROAMING.find(plan_tariffs("roaming", "base"), used)
    assert rate is not None
    assert rate.blocked == (price is None)
    assert rate.blocked or rate.ladder.rows[0].price == price
    assert caller.startswith(rate.from_prefix)
    assert rate.trunk in ("", trunk)


def test_hours_of_such_rows_take_over_in_a_call() -> None:
    used = Used("441632", "voice", SATURDAY_MS - 3_600_000, trunk="t1")
    schedule = ROAMING.schedule(plan_tariffs("roaming"), used, SATURDAY_MS + 3_600_000)
    assert [(at - SATURDAY_MS, rate.ladder.rows[0].price) for at, rate in schedule] == [
        (-3_600_000, 99),
        (0, 3),
    ]


def test_a_tariff_for_some_callers_only_leaves_others_to_the_next() -> None:
    where = generation(deck("own", [("49", 1)], from_prefix="49"), deck("base", [("", 7)]))
    tariffs = plan_tariffs("own", "base")
    for caller, tariff in (("4930", "own"), ("33", "base")):
        used = Used("49", "voice", 0, caller=caller)
        rate = where.find(tariffs, used)
        assert rate is not None
        assert rate.tariff == tariff
        assert [each.tariff for _, each in where.schedule(tariffs, used, 1)] == [tariff]


def test_a_tariff_is_one_whatever_its_decks() -> None:
    assert ROAMING.tariffs == (
        TariffMeta("roaming", "EUR", "voice", 9),
        TariffMeta("base", "EUR", "voice", 1),
    )


prefixes = st.text("49", max_size=3)
trunks = st.sampled_from(["", "t1", "t2"])
Row = tuple[str, str, str]
rows = st.lists(st.tuples(prefixes, prefixes, trunks), unique=True, min_size=1, max_size=15)


def obvious(lines: list[Row], called: str, caller: str, trunk: str) -> Row | None:
    """(from_prefix, trunk, prefix): the row that the rules name, by trying them all."""
    there = [
        (len(prefix), len(origin), bool(over), (origin, over, prefix))
        for origin, prefix, over in lines
        if called.startswith(prefix) and caller.startswith(origin) and over in ("", trunk)
    ]
    return max(there)[3] if there else None


@given(rows, st.text("49", max_size=5), st.text("49", max_size=5), trunks)
def test_the_row_found_is_the_one_that_the_rules_name(
    lines: list[Row], called: str, caller: str, trunk: str
) -> None:
    origins = sorted({(origin, over) for origin, _, over in lines})
    where = generation(
        *(
            deck(
                "all",
                [(prefix, 1) for o, prefix, t in lines if (o, t) == (origin, over)],
                from_prefix=origin,
                trunk=over,
            )
            for origin, over in origins
        )
    )
    used = Used(called, "voice", 0, caller=caller, trunk=trunk)
    rate = where.find(plan_tariffs("all"), used)
    expected = obvious(lines, called, caller, trunk)
    assert (rate and (rate.from_prefix, rate.trunk, rate.prefix.strip("*"))) == expected

"""What a new deck changes is told by what calls would cost."""

from fractions import Fraction

import pytest

from ocs.domain.ladder import FREE, compile_ladder
from ocs.domain.tariff import CATCH_ALL
from ocs.domain.timing import Timing
from ocs.usecases.tariff_diff import (
    CannotCompareError,
    Change,
    Origin,
    Question,
    Side,
    TariffDiff,
    compare,
)
from tests.domain.decks import BLOCKED, Line, deck, generation

ASKED = Question(units=(60, 180), at_ms=0, top=10)


def side(*lines: Line, name: str = "deck", usage_type: str = "voice", code: str = "EUR") -> Side:
    made = deck(name, lines, usage_type=usage_type, code=code)
    origins = tuple(Origin(line[0]) for line in lines)
    return Side(generation(made), name, usage_type, code, origins)


def changes(found: TariffDiff) -> dict[str, str]:
    return {line.prefix: line.change.value for line in found.lines}


def test_a_deck_is_like_itself() -> None:
    same = side(("49", 60_000), ("4917", BLOCKED), ("", 10_000))
    found = compare(same, same, ASKED)
    assert not found.is_different
    assert found.counts["same"] == 3
    assert (found.rows_only_in_old, found.rows_only_in_new) == (0, 0)


def test_prices_are_told_before_and_after_with_the_change_in_per_cent() -> None:
    found = compare(side(("49", 60_000)), side(("49", 75_000)), ASKED)
    (line,) = found.lines
    assert (line.destination, line.change) == ("to 49", Change.DEARER)
    assert line.old == ("0.06", "0.18")
    assert line.new == ("0.075", "0.225")
    assert line.percent == ("+25.0", "+25.0")
    assert found.is_different


def test_every_kind_of_change_is_named() -> None:
    old = side(
        ("1", 60), ("2", 60), ("3", 60), ("4", BLOCKED), ("5", 60), ("7", 60), ("8", BLOCKED)
    )
    new = side(
        ("1", 61), ("2", 59), ("3", BLOCKED), ("4", 60), ("6", 60), ("7", 60), ("8", BLOCKED)
    )
    found = compare(old, new, ASKED)
    assert changes(found) == {
        "1": "dearer",
        "2": "cheaper",
        "3": "blocked",
        "4": "unblocked",
        "5": "removed",
        "6": "new",
        "7": "same",
        "8": "same",
    }
    assert found.counts == {
        "blocked": 1, "removed": 1, "dearer": 1, "cheaper": 1, "mixed": 0, "elsewhere": 0,
        "unblocked": 1, "new": 1, "same": 2,
    }  # fmt: skip
    assert (found.rows_only_in_old, found.rows_only_in_new) == (1, 1)


def test_a_prefix_that_is_new_and_costs_the_same_is_no_change() -> None:
    found = compare(side(("49", 60)), side(("49", 60), ("4917", 60)), ASKED)
    assert not found.is_different
    assert found.rows_only_in_new == 1


def test_a_prefix_that_is_gone_is_priced_by_a_shorter_one() -> None:
    found = compare(side(("49", 60), ("4917", 90)), side(("49", 60)), ASKED)
    assert changes(found)["4917"] == "cheaper"


@pytest.mark.parametrize(
    ("rows", "units", "change"),
    [
        ([(0, 60, 60), (60, 120, 120)], (60, 180), "elsewhere"),
        ([(0, 60, 60), (60, 1, 1)], (60, 61), "cheaper"),
        ([(0, 1, 100), (1, 59, 0), (60, 60, 10)], (1, 600), "mixed"),
    ],
)
def test_what_depends_on_the_units_is_told_so(
    rows: list[tuple[int, int, int]], units: tuple[int, ...], change: str
) -> None:
    ladder = compile_ladder(
        Fraction(0), [(start, by, Fraction(price)) for start, by, price in rows]
    )
    found = compare(side(("49", 60)), side(("49", ladder)), Question(units, 0, 10))
    assert changes(found) == {"49": change}
    assert found.is_different


def test_free_has_no_per_cent() -> None:
    found = compare(side(("49", FREE), ("44", 3)), side(("49", 60), ("44", 2)), ASKED)
    assert {line.prefix: line.percent for line in found.lines} == {
        "49": (None, None),
        "44": ("-33.3", "-33.3"),
    }


def test_a_change_is_told_before_whatever_stays() -> None:
    many = [(f"44{digit}", 60) for digit in range(10)]
    found = compare(side(*many, ("49", 60)), side(*many, ("49", 61)), Question((60,), 0, 1))
    assert changes(found) == {"49": "dearer"}


def test_a_sample_of_numbers_says_what_matters() -> None:
    old, new = side(("49", 60), ("4917", 90), ("", 5)), side(("49", 61), ("4917", 90), ("7", 8))
    sample = ("491711", "491712", "4930", "33", "71", "77")
    found = compare(old, new, Question((60,), 0, 10, numbers=sample))
    assert [(line.prefix, line.weight, line.change) for line in found.lines] == [
        (CATCH_ALL, 3, Change.REMOVED),
        ("49", 1, Change.DEARER),
        ("4917", 2, Change.SAME),
    ]
    only_new = compare(
        side(("1", 1)), side(("1", 1), ("7", 8)), Question((60,), 0, 10, numbers=("79", "8"))
    )
    assert changes(only_new) == {"7": "new"}


def test_prices_are_those_of_the_instant() -> None:
    peak = Timing(start_s=0, end_s=100)
    old = side(("49", ((peak, 100), (Timing(weight=-1.0), 10))))
    new = side(("49", 10))
    by_instant = {
        at_ms: compare(old, new, Question((60, 180), at_ms, 10)).lines[0] for at_ms in (0, 100_000)
    }
    assert by_instant[0].old == ("0.0001", "0.00021")  # two minutes begun at peak, one after it
    assert by_instant[0].change is Change.CHEAPER
    assert by_instant[100_000].change is Change.SAME


def test_data_is_compared_by_volume() -> None:
    old, new = side(("", 60), usage_type="data"), side(("", 61), usage_type="data")
    assert compare(old, new, ASKED).lines[0].new == ("0.000061", "0.000183")


@pytest.mark.parametrize("other", [{"usage_type": "sms"}, {"code": "USD"}])
def test_decks_of_different_kinds_cannot_be_compared(other: dict[str, str]) -> None:
    with pytest.raises(CannotCompareError, match="deck is voice in EUR, deck is"):
        compare(side(("49", 1)), side(("49", 1), **other), ASKED)

"""A plan's tariffs laid flat find the row that a look-up finds, at every instant."""

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.tariff import Deck, Used, plan_tariffs
from ocs.domain.zones import UTC_ZONE, zone_named
from tests.domain.decks import Line, deck, generation

pytest.importorskip("polars", reason="the extra `offline` is not installed")
flat = pytest.importorskip("ocs.adapters.columns.flat")

NEST = ["", "1", "11", "111", "1111", "11111", "10", "110", "1110"]
NUMBERS = ["111119", "111109", "11109", "1109", "109", "19", "9"]
INSTANTS = range(6)
PLAN = plan_tariffs("nest")


def dated(prefix: str, from_ms: int, lasts_ms: int) -> Line:
    return (prefix, 60, from_ms, from_ms + lasts_ms)


rows = st.lists(
    st.builds(dated, st.sampled_from(NEST), st.integers(0, 5), st.integers(1, 3)), max_size=14
)


@pytest.mark.slow
@given(rows)
def test_a_prefix_without_a_row_in_force_leaves_its_place_to_the_next_shorter(
    lines: list[Line],
) -> None:
    nest = deck("nest", lines)
    book, trie = generation(nest), nest.trie
    section = flat.Section(0, nest, Fraction(100), UTC_ZONE, 1_000)
    for at_ms in INSTANTS:
        ranges = flat.flatten([section], at_ms)
        starts = ranges["start"].to_list()
        for number in [*NUMBERS, "alice"]:
            point = int(number.ljust(18, "0")) if number != "alice" else -1
            digits, row = ranges.row(bisect_right(starts, point) - 1)[1:]
            rate = book.find(PLAN, Used(number, "voice", at_ms))
            if rate is None:
                assert (digits, row) == (-1, None)
            else:
                assert digits == len(rate.prefix.strip("*"))
                assert trie.length(row - 1_000) == digits
                dates = trie.valid_from_ms[row - 1_000], trie.valid_to_ms[row - 1_000]
                assert dates == (rate.valid_from_ms, rate.valid_to_ms)


def found(decks: Sequence[Deck], zone: str = "UTC") -> list[tuple[int, int | None]]:
    """(digits, row) of each range of the decks' one tariff or several, at instant 0."""
    names = tuple(dict.fromkeys(each.head.tariff for each in decks))
    sections = flat.sections_of(generation(*decks), plan_tariffs(*names), "voice", zone_named(zone))
    return [row[1:] for row in flat.flatten(sections, 0).rows()]


def test_of_equal_prefixes_the_more_particular_deck_wins() -> None:
    heads = [("", ""), ("4", ""), ("", "north"), ("4", "north"), ("44", "")]
    decks = [
        deck("near", [("1", 60)], from_prefix=from_prefix, trunk=trunk)
        for from_prefix, trunk in heads
    ]
    sections = flat.sections_of(generation(*decks), plan_tariffs("near"), "voice", UTC_ZONE)
    order = [(each.deck.head.from_prefix, each.deck.head.trunk) for each in sections]
    assert order == [("44", ""), ("4", "north"), ("4", ""), ("", "north"), ("", "")]
    assert {row for digits, row in found(decks) if digits == 1} == {0}


def test_within_a_tariff_the_longest_prefix_wins_between_tariffs_the_first() -> None:
    near = [deck("near", [("1", 60)]), deck("near", [("11", 60)], trunk="north")]
    far = [deck("far", [("111", 60), ("", 60)])]
    # The named trunk comes first, so its row is 0 and the other's 1; those of `far` are 2 and 3.
    assert set(found(near)) == {(-1, None), (1, 1), (2, 0)}
    assert set(found([*near, *far])) == {(0, 2), (1, 1), (2, 0)}
    assert set(found([*far, *near])) == {(0, 0), (3, 1)}


def test_without_a_deck_there_is_one_range_of_nothing() -> None:
    assert found([]) == [(-1, None)]
    assert found([deck("texts", [("", 60)], usage_type="sms")]) == [(-1, None)]


@pytest.mark.parametrize(
    ("head", "instants"),
    [
        ({}, {7 * 3_600_000}),
        ({"wall_dates": True}, {12 * 3_600_000}),
        ({"zone": UTC_ZONE}, {7 * 3_600_000}),
    ],
    ids=str,
)
def test_dates_of_wall_times_are_instants_of_the_tenants_zone(
    head: dict[str, Any], instants: set[int]
) -> None:
    lines: list[Line] = [("1", 60, 0, 7 * 3_600_000), ("1", 30, 7 * 3_600_000, 2**53 - 1)]
    decks = generation(deck("near", lines, **head))
    sections = flat.sections_of(
        decks, plan_tariffs("near"), "voice", zone_named("America/New_York")
    )
    assert [each.instants() for each in sections] == [instants]
    used = Used("1", "voice", max(instants) - 1, zone_named("America/New_York"))
    rate = decks.find(plan_tariffs("near"), used)
    assert rate is not None
    assert rate.valid_to_ms == max(instants)

"""Longest prefix match against the obvious way: try every prefix of the number."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.prefix_trie import NO_PREFIX, compile_trie

digits = st.text("0149", max_size=6)


def obvious(prefixes: list[str], number: str) -> int:
    return next(
        (prefixes.index(number[:n]) for n in range(len(number), -1, -1) if number[:n] in prefixes),
        NO_PREFIX,
    )


@given(st.sets(digits, max_size=12), st.lists(digits, max_size=8))
def test_every_number_finds_its_longest_prefix(prefixes: set[str], numbers: list[str]) -> None:
    ordered = sorted(prefixes)
    trie = compile_trie(ordered)
    for number in [*numbers, *ordered, *(prefix + "7" for prefix in ordered)]:
        assert trie.longest(number) == obvious(ordered, number), number


def test_a_large_deck_is_searched_by_its_leading_digits() -> None:
    prefixes = sorted(str(number) for number in range(1, 4_000))
    trie = compile_trie(prefixes)
    assert len(trie.index) == 1_001
    for number in ("1", "19999999", "3999", "39990", "40001", "999", "0", "5", "000", "4"):
        assert trie.longest(number) == obvious(prefixes, number), number


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        ("491711234567", "49171"),
        ("4917", "49"),
        ("490", "49"),
        ("4", ""),
        ("", ""),
        ("alice", ""),
        ("+49171", ""),
        (" 49", ""),
        ("4_9", ""),
        ("\u0664\u0669", ""),
        ("999999999999999999", "999999999999999999"),
        ("9999999999999999991234", "999999999999999999"),
        ("99999999999999999", ""),
        ("000000000000000000", "0"),
    ],
)
def test_numbers_at_the_ends_of_the_line(number: str, prefix: str) -> None:
    prefixes = ["", "0", "49", "49171", "999999999999999999"]
    assert compile_trie(prefixes).longest(number) == prefixes.index(prefix)


def test_without_a_catch_all_what_is_no_number_finds_nothing() -> None:
    trie = compile_trie(["0", "49"])
    assert [trie.longest(text) for text in ("alice", "", "5", "4")] == [NO_PREFIX] * 4


def test_the_rows_of_a_number_go_from_its_longest_prefix_to_shorter_ones() -> None:
    # 49 with one row; 4917 with two
    trie = compile_trie(
        ["49", "4917"], array("i", [0, 1, 3]), array("q", [0, 10, 30]), array("q", [99, 20, 40])
    )
    assert list(trie.rows(trie.longest("49171"))) == [1, 2, 0]
    assert list(trie.rows(trie.longest("495"))) == [0]
    assert list(trie.rows(trie.longest("5"))) == []
    assert [trie.length(row) for row in range(3)] == [2, 4, 4]


def test_without_dates_prefixes_are_rows() -> None:
    trie = compile_trie(["", "49"])
    assert list(trie.rows(trie.longest("49171"))) == [1, 0]
    assert trie.length(1) == 2


def test_prefixes_are_spelled_from_the_ranges() -> None:
    prefixes = ["", "0", "49", *(f"49{digit}" for digit in range(9)), "490000000000000001"]
    assert sorted(compile_trie(sorted(prefixes)).spelled()) == sorted(prefixes)
    whole = ["49", *(f"49{digit}" for digit in range(10))]
    assert list(compile_trie(whole).spelled()) == whole[1:]

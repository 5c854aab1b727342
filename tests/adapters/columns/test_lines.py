"""Points on the line of numbers, and the ranges that they fall into."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
lines = pytest.importorskip("ocs.adapters.columns.lines")


@pytest.mark.parametrize(
    ("number", "point"),
    [
        ("49", 49 * 10**16),
        ("049", 49 * 10**15),
        ("9" * 18, 10**18 - 1),
        ("1" * 19, None),
        ("alice in the wonderland", None),
        ("alice", -1),
        ("", -1),
        ("+49", -1),
        ("-0", -1),
        ("4 9", -1),
        ("\u0664\u0669", -1),
    ],
)
def test_a_number_is_a_point_and_all_else_stands_before_the_line(
    number: str, point: int | None
) -> None:
    assert lines.points(pl.Series([number])).to_list() == [point]


@given(
    st.sets(st.integers(-(2**60), 2**60), min_size=1, max_size=9),
    st.lists(st.integers(0, 2**61), max_size=20),
)
def test_a_value_falls_into_the_last_range_that_has_begun(
    starts: set[int], offsets: list[int]
) -> None:
    begins = sorted(starts)
    values = [begins[0] + offset for offset in offsets] + begins
    found = lines.reached(pl.Series(begins), pl.Series(values))
    assert found.to_list() == [bisect_right(begins, value) - 1 for value in values]

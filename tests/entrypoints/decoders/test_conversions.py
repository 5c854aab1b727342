"""Texts as numbers: which are some, however they are found out to be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.entrypoints.decoders.conversions import number, time

DECIMAL = re.compile(r"-?(\d{1,19}(\.\d*)?|\.\d+)", re.ASCII)


@given(text=st.text(alphabet="0123456789.-+e_ \u0663", max_size=24))
def test_a_text_is_a_number_if_it_is_a_decimal(text: str) -> None:
    stripped = text.strip()
    expected: object = text
    if DECIMAL.fullmatch(stripped):
        expected = float(stripped) if "." in stripped else int(stripped)
    found = number(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1795166545.764", 1_795_166_545.764),
        ("1795166545764", 1_795_166_545.764),
        ("1795166545000000", 1_795_166_545.0),
        ("2026-11-20T09:22:25Z ", "2026-11-20T09:22:25Z"),
    ],
)
def test_times_are_told_apart_by_their_size(text: str, expected: object) -> None:
    assert time(text) == expected

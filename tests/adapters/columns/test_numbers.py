"""Columns of numbers are cleaned as the domain cleans one by one."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocs.domain.numbers import EmergencyNumbers, NumberRules, clean_number, emergency_number

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
numbers = pytest.importorskip("ocs.adapters.columns.numbers")

BRITAIN = NumberRules(
    country_code="44",
    national_prefix="0",
    tech_prefix="9123#",
    national_digits=(10,),
    short_codes=("112", "118xxx"),
    emergency=EmergencyNumbers.below("44", ("112", "999", "0x")),
)
RULES = [
    NumberRules(),
    BRITAIN,
    NumberRules(tech_prefix="99", international_prefix="", national_prefix="0"),
    NumberRules(tech_prefix="+9", international_prefix="011", country_code="1"),
]
WRITTEN = [
    "", "0", "00", "0044", "+44", "+", "++4", "112", "118500", "9123#112", "9123#+4", "99112", "+9112",
    "sip:112@host;user=phone", "tel:+441632960001", "Alice", "sip:Alice@example.com", "urn:service:sos",
    "URN:service:sos.fire", "٤٤", "44 1632", "1632960001", "01632960001", "0112233445", "4٤", "a\n",
    "44\n", "999", "44999", "05",
]  # fmt: skip
texts = st.sampled_from(WRITTEN) | st.text("0149+# ", max_size=13) | st.text(max_size=4)


@given(st.lists(texts, max_size=12), st.sampled_from(RULES))
@example(WRITTEN, BRITAIN)
@example(["441632960001"] * 3, BRITAIN)
def test_a_column_is_cleaned_like_its_cells(raw: list[str], rules: NumberRules) -> None:
    column = pl.Series(raw, dtype=pl.String)
    clean = [clean_number(each, rules) if each else "" for each in raw]
    found = numbers.cleaned(column, rules)
    assert found.to_list() == clean
    for_help = numbers.for_help(column, found, rules).to_list()
    pairs = zip(raw, clean, strict=True)
    assert for_help == [bool(each and emergency_number(each, done, rules)) for each, done in pairs]

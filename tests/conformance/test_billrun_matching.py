"""BillRun's choice of a rate: filters by category and priority over the fields of an event."""

import pytest

from ocs.adapters.tariff_import.billrun_matching import match_rates, rates_by_category
from ocs.adapters.tariff_import.json_source import date_ms
from tests.conformance.cases import Case, cases


@pytest.mark.parametrize("case", cases("billrun.json", "rate_match"))
def test_match(case: Case) -> None:
    inputs = case["inputs"]
    at_ms = date_ms(inputs["time"])
    assert at_ms is not None
    matches = match_rates(
        inputs["candidate_rates"],
        inputs["filters_by_category"],
        inputs["event_fields"],
        at_ms,
        inputs["usage_type"],
    )
    assert rates_by_category(matches) == case["expected"]["matched"]

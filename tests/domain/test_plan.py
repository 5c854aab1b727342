"""What a plan may be, and which numbers it blocks and frees by itself."""

from typing import Any

import pytest

from ocs.domain.ladder import cost
from ocs.domain.plan import Plan
from ocs.domain.tariff import plan_tariffs
from ocs.domain.usage import USAGE_TYPES


def test_a_plan_has_a_default_for_whatever_it_leaves_out() -> None:
    plan = Plan("basic", plan_tariffs("world"), quota_units={"voice": 60})
    assert (plan.minimum_units["voice"], plan.maximum_units["voice"]) == (1, 3_600)
    assert plan.quota_units["voice"] == 60
    assert plan.quota_units["sms"] == 1
    assert set(plan.quota_units) == set(USAGE_TYPES)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"quota_units": {"fax": 1}}, "'fax' is not one of"),
        ({"minimum_units": {"fax": 1}}, "'fax' is not one of"),
        ({"quota_units": {"voice": 4_000}}, "voice units must satisfy"),
        ({"minimum_units": {"voice": 0}}, "voice units must satisfy"),
        ({"validity_s": 0}, "validity_s"),
        ({"blocked_prefixes": ("90", "91"), "free_prefixes": ("91",)}, "91 is both blocked and"),
        ({"threshold_units": {"fax": 1}}, "'fax' is not one of"),
        ({"threshold_units": {"voice": 3_600}}, "voice threshold 3600 must be below maximum 3600"),
        ({"threshold_units": {"voice": -1}}, "voice threshold -1 must be"),
        ({"final_unit_action": "redirect"}, "redirect_address goes with .* redirect, .* redirect"),
        ({"final_unit_action": "restrict"}, "filter_id goes with .* restrict, .* restrict"),
        ({"redirect_address": "sip:pay"}, "redirect_address goes with .* redirect, .* terminate"),
        ({"filter_id": "portal"}, "filter_id goes with .* restrict, .* terminate"),
        (
            {"final_unit_action": "redirect", "redirect_address": "sip:pay", "filter_id": "x"},
            "filter_id goes with .* restrict, .* redirect",
        ),
    ],
)
def test_a_plan_that_cannot_hold_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Plan("basic", plan_tariffs("world"), **fields)


@pytest.mark.parametrize(
    ("number", "model", "prefix"),
    [
        ("900233", "blocked", "900"),
        ("9001", "free", "9001"),
        ("900155", "blocked", "90015"),
        ("800", "free", "800"),
    ],
)
def test_a_plan_blocks_and_frees_numbers_by_the_longest_prefix(
    number: str, model: str, prefix: str
) -> None:
    plan = Plan("p", (), blocked_prefixes=("900", "90015"), free_prefixes=("800", "9001"))
    rate = plan.exempt(number, "sms")
    assert rate is not None
    assert (rate.tariff, rate.model, rate.prefix) == ("plan p", model, prefix)
    assert (rate.blocked, rate.usage_type) == (model == "blocked", "sms")
    assert cost(rate.ladder, 10_000) == 0
    assert plan.exempt(number, "sms") is rate


@pytest.mark.parametrize("number", ["80", "90", "4980012", "", "alice"])
def test_other_numbers_are_the_tariffs_affair(number: str) -> None:
    assert (
        Plan("p", (), free_prefixes=("800",), blocked_prefixes=("900",)).exempt(number, "voice")
        is None
    )
    assert Plan("p", ()).exempt(number, "voice") is None

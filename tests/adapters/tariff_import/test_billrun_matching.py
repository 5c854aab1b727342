"""BillRun's rate matching, filter by filter; its own cases are in tests/conformance."""

from typing import Any

import pytest

from ocs.adapters.tariff_import.billrun_matching import (
    BadFilterError,
    Match,
    match_rates,
    rates_by_category,
)

AT_MS = 1_767_225_600_000  # 2026-01-01
Document = dict[str, Any]


def rate(key: str, **params: Any) -> Document:
    return {"key": key, "tariff_category": "retail", "params": params}


def filter_(kind: str, rate_key: str, line_key: str = "x", **more: Any) -> Document:
    return {"type": kind, "rate_key": rate_key, "line_key": line_key} | more


def condition(operator: str, first: str = "a", second: str = "b", **more: Any) -> Document:
    computed = {
        "type": "condition",
        "operator": operator,
        "line_keys": [{"key": first}, {"key": second}],
        "projection": {
            "on_true": {"key": "condition_result"},
            "on_false": {"key": "condition_result"},
        },
    }
    return filter_("match", "params.yes", "computed", computed=computed | more)


def matched(filters: list[Document], event: Document, *rates: Document) -> str | None:
    (match,) = match_rates(rates, {"retail": [filters]}, event, AT_MS)
    return match.rate


def holds(filters: Document, event: Document) -> bool:
    """Whether a condition is met: a rate says so by a field that is true."""
    found = matched([filters], event, rate("YES", yes=True), rate("NO", yes=False))
    return found == "YES"


@pytest.mark.parametrize(
    ("filters", "value", "expected"),
    [
        (filter_("match", "key"), "B", "B"),
        (filter_("match", "key"), "C", None),
        (filter_("match", "params.code"), "2", "B"),  # a list holds its members
        (filter_("match", "params.one"), 1, None),  # 1 is not true
        (filter_("match", "params.one"), True, "A"),
        (filter_("match", "params.none"), "", None),
        (filter_("equalFalse", "key"), "A", "B"),
        (filter_("equalFalse", "params.code"), "2", "A"),
        (filter_("longestPrefix", "params.prefix"), "4479", "B"),
        (filter_("longestPrefix", "params.prefix"), "4412", "A"),
        (filter_("longestPrefix", "params.prefix"), ["4479", "1"], "B"),
        (filter_("longestPrefix", "params.prefix"), "33", None),
        (filter_("range", "params.hours"), 9, "A"),
        (filter_("range", "params.hours"), 12, "B"),
        (filter_("range", "params.hours"), "9", None),  # text is in no range of numbers
        (filter_("range", "params.days"), "tue", "B"),
        (filter_("range", "params.hours"), True, None),
        (filter_("range", "key"), 9, None),
        (filter_("regex", "key"), "^b", "B"),
        (filter_("regex", "params.code"), "3", "B"),
        (filter_("regex", "params.one"), "1", None),
        (filter_("match", "usaget"), "anything", "A"),  # told by the usage type already
    ],
)
def test_a_filter_compares_a_field_of_the_rate_with_one_of_the_event(
    filters: Document, value: object, expected: str | None
) -> None:
    a = rate("A", prefix=["44", "49"], code=["1"], one=True, hours=[{"from": 8, "to": 11}])
    b = rate("B", prefix=["447"], code=["2", "3"], hours=[{"from": 11.5, "to": 12}, 7], days=[{"from": "mon", "to": "wed"}])  # fmt: skip
    assert matched([filters], {"x": value}, a, b) == expected


def test_filters_of_a_priority_must_all_hold_and_the_first_prefix_weighs_most() -> None:
    rates = [rate("A", number=["44"], vlr=["682"]), rate("B", number=["447"], vlr=["6"]), rate("C", number=["447"], vlr=["68"])]  # fmt: skip
    filters = [
        filter_("longestPrefix", "params.number", "n"),
        filter_("longestPrefix", "params.vlr", "v"),
    ]
    assert matched(filters, {"n": "4479", "v": "6829"}, *rates) == "C"
    assert matched(filters[::-1], {"n": "4479", "v": "6829"}, *rates) == "A"
    assert (
        matched([*filters, filter_("match", "key")], {"n": "4479", "v": "6829", "x": "B"}, *rates)
        == "B"
    )


def test_priorities_are_tried_in_order_and_categories_apart() -> None:
    rates = [rate("A", code="1"), rate("B"), rate("W") | {"tariff_category": "wholesale"}]
    filters = {
        "retail": {"priorities": [{"filters": [filter_("match", "params.code")]}, {"filters": [filter_("match", "key")]}]},
        "wholesale": [[filter_("match", "key", "w")]],
    }  # fmt: skip
    assert match_rates(rates, filters, {"x": "B", "w": "W"}, AT_MS) == (
        Match("retail", "B", 2),
        Match("wholesale", "W", 1),
    )
    found = match_rates(rates, filters, {"x": "1", "w": "V"}, AT_MS)
    assert found == (Match("retail", "A", 1), Match("wholesale", None))
    assert rates_by_category(found) is None


def test_a_rate_counts_in_its_time_for_its_usage_type_and_unless_it_is_unrated() -> None:
    rates = [
        rate("OLD") | {"to": "2026-01-01T00:00:00Z"},
        rate("NEW") | {"from": {"sec": 1_767_225_601}},
        rate("SMS") | {"rates": {"sms": {}}},
        rate("NOW") | {"from": AT_MS, "to": "2026-01-01T00:00:01Z", "rates": {"call": {}}},
        rate("UNRATED"),
    ]
    filters = {"retail": [[filter_("match", "key")]]}
    found = {
        each["key"]: match_rates(rates, filters, {"x": each["key"]}, AT_MS, "call")[0].rate
        for each in rates
    }
    assert found == {"OLD": None, "NEW": None, "SMS": None, "NOW": "NOW", "UNRATED": None}
    assert rates_by_category(match_rates(rates, {}, {}, AT_MS)) is None


@pytest.mark.parametrize(
    ("operator", "first", "second", "met"),
    [
        ("$eq", 1, "1", True),
        ("$eq", "01", "1", True),
        ("$eq", "x", "X", False),
        ("$eq", True, "yes", True),
        ("$ne", 1, 2, True),
        ("$gt", "10", 9, True),
        ("$gt", "b", "a", True),
        ("$gte", 1, 1, True),
        ("$lt", 1, 1, False),
        ("$lte", 1.5, "1.5", True),
        ("$in", 2, [1, "2"], True),
        ("$in", [3], [1, 2], False),
        ("$nin", 3, [1, 2], True),
        ("$like", 1, 1, False),
    ],
)
def test_conditions_compare_loosely(
    operator: str, first: object, second: object, met: bool
) -> None:
    assert holds(condition(operator), {"a": first, "b": second}) is met


@pytest.mark.parametrize(
    ("operator", "event", "met"),
    [
        ("$exists", {"a": 0}, True),
        ("$exists", {}, False),
        ("$existsFalse", {}, True),
        ("$existsFalse", {"uf": {"a": 1}}, False),
        ("$isTrue", {"a": "1"}, True),
        ("$isTrue", {"a": "0"}, False),
        ("$isFalse", {"foreign": {"a": False}}, True),
        ("$isFalse", {}, False),
    ],
)
def test_conditions_ask_whether_a_field_is_there(operator: str, event: Document, met: bool) -> None:
    assert holds(condition(operator), event) is met


@pytest.mark.parametrize(
    ("pattern", "value", "met"),
    [
        ("/^49/", "4917", True),
        ("^49", "4917", True),
        ("/^B/i", "berlin", True),
        ("/^B/", "berlin", False),
        ("/x/", ["a", "x"], True),
        ("/(/", "(", False),
    ],
)
def test_a_condition_can_hold_a_pattern(pattern: str, value: object, met: bool) -> None:
    assert holds(condition("$regex", "a", pattern), {"a": value}) is met


def test_a_condition_goes_on_with_another_value() -> None:
    projection = {
        "on_true": {"key": "rate", "regex": "/_OLD$/"},
        "on_false": {"key": "hard_coded", "value": "B"},
    }
    filters = condition("$eq", projection=projection) | {"rate_key": "key"}
    rates = [rate("A"), rate("B")]
    assert matched([filters], {"a": 1, "b": 1, "rate": "A_OLD"}, *rates) == "A"
    assert matched([filters], {"a": 1, "b": 2, "rate": "A_OLD"}, *rates) == "B"


def test_a_condition_that_must_be_met_ends_the_priority() -> None:
    must = condition("$eq", must_met=True)
    filters = {"retail": [[must], [filter_("match", "key")]]}
    rates = [rate("NO", yes=False), rate("B")]
    assert match_rates(rates, filters, {"a": 1, "b": 2, "x": "B"}, AT_MS) == (
        Match("retail", "B", 2),
    )


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        ("minute_of_hour", "2026-03-09T08:05:00+01:00", "05"),
        ("hour_of_day", "2026-03-09T08:05:00+01:00", "08"),
        ("time_of_day", "2026-03-09T08:05:00", "0805"),
        ("day_of_week", "2026-03-09T08:05:00", "1"),
        ("day_of_month", "2026-03-09T08:05:00", "09"),
        ("month_of_year", "2026-03-09T08:05:00", "03"),
        ("month_and_day", "1767225600", "0101"),
        ("hour_of_day", "soon", "soon"),
        ("fortnight", "2026-03-09T08:05:00", "2026-03-09T08:05:00"),
    ],
)
def test_functions_of_a_time(function: str, value: str, expected: str) -> None:
    plain = filter_("match", "params.is", "at", preFunction=function)
    computed = {"type": "regex", "line_keys": [{"key": "at", "preFunction": function}]}
    by_computed = filter_("match", "params.is", "computed", computed=computed)
    for filters in (plain, by_computed):
        assert matched([filters], {"at": value}, rate("A", **{"is": expected})) == "A"


def test_patterns_take_out_of_a_field_what_they_match() -> None:
    computed = {"line_keys": [{"key": "rate", "regex": "/^00/"}]}
    filters = filter_("match", "key", "computed", computed=computed)
    assert matched([filters], {"rate": "0049"}, rate("49")) == "49"
    broken = filter_(
        "match", "key", "computed", computed={"line_keys": [{"key": "rate", "regex": "/(/"}]}
    )
    assert matched([broken], {"rate": "49"}, rate("49")) == "49"
    assert matched([filter_("match", "key", "computed")], {}, rate("49")) is None


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([[filter_("fuzzy", "key")]], "'fuzzy' is not one of match, equalFalse, range, regex"),
        ([[filter_("regex", "key", "bad")]], "is not a pattern"),
        ({"priorities": 3}, "a list of priorities"),
        ([3], "a list of filters"),
    ],
)
def test_a_filter_that_is_none_is_refused(filters: object, reason: str) -> None:
    with pytest.raises(BadFilterError, match=reason):
        match_rates([rate("A")], {"retail": filters}, {"bad": "("}, AT_MS)

"""BillRun's rates cost here what its own test tables say, by way of a file of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.tariff_files.writing import text_of
from ocs.adapters.tariff_import.billrun import import_rates
from ocs.usecases.price_lists import Imported
from tests.adapters.tariff_import.tables import cost_of

AT = "2026-01-07T10:00:00Z"
Steps = list[dict[str, Any]]


def step(
    end: object, interval: object, price: object, start: object = 0, **more: Any
) -> dict[str, Any]:
    return {"from": start, "to": end, "interval": interval, "price": price, **more}


def rate(
    key: str, prefixes: list[str], *steps: dict[str, Any], access: object = 0, **more: Any
) -> dict[str, Any]:
    base = {"access": access, "rate": list(steps)}
    document = {"key": key, "params": {"prefix": prefixes}, "rates": {"call": {"BASE": base}}}
    return document | more


def imported(
    folder: Path, *rates: dict[str, Any], plans: Steps | None = None, **options: Any
) -> Imported:
    path = folder / "rates.json"
    path.write_text(json.dumps({"rates": list(rates), "plans": plans or []}), encoding="utf-8")
    return import_rates(path, "EUR", **options)


def tariffs_of(found: Imported, plan: str = "base") -> tuple[str, ...]:
    (chosen,) = [each for each in found.plans if each.name == plan]
    return tuple(tariff.name for tariff in chosen.tariffs)


def cost(
    found: Imported, number: str, units: int, plan: str = "base", usage: str = "voice"
) -> str | None:
    return cost_of(found, tariffs_of(found, plan), number, AT, units, usage)


OPEN = "UNLIMITED"


@pytest.mark.parametrize(
    ("steps", "units", "amount"),
    [
        ([step(9, 1, 1), step(1, 1, 100)], 10, "109"),  # widths in list order, whatever `from`
        ([step(1, 1, 0.5), step(4, 1, 0.5, 1), step(9, 1, 1.2, 4)], 10, "8"),
        ([step(2, 0.5, 1)], 5, "4"),  # free above the last step
        ([step(2, 0.5, 1.5), step(8, 2, 1.25, 2), step(10, 0.1, 0.1, 8)], 10, "11.75"),
        ([step(10, 1, 1, 5)], 10, "5"),
        ([step(10, 10, 1, ceil=False)], 1, "0.1"),
        ([step(OPEN, 2.5, 1, ceil=False)], 4, "1.6"),
        ([step(2, 4, 1), step(OPEN, 1, 2, 2)], 3, "3"),
        ([step(0, 1, 9), step(OPEN, 60, 0.1)], 61, "0.2"),  # a step without width is none
        ([step(None, 60, "0.1")], 60, "0.1"),
    ],
)
def test_tiered_steps(tmp_path: Path, steps: Steps, units: int, amount: str) -> None:
    found = imported(tmp_path, rate("R", ["49"], *steps))
    assert cost(found, "49", units) == amount
    assert bool(found.warnings) == (steps[-1]["to"] not in (OPEN, None))


def test_access_is_owed_once(tmp_path: Path) -> None:
    found = imported(tmp_path, rate("R", ["49"], step(OPEN, 60, 0.1), access=0.05))
    assert cost(found, "49", 121) == "0.35"


def test_by_volume_the_step_that_is_reached_prices_all(tmp_path: Path) -> None:
    steps = step(100, 1, 0.3), step(OPEN, 1, 0.1, 100)
    found = imported(tmp_path, rate("R", ["49"], *steps, pricing_method="volume"))
    assert (cost(found, "49", 100), cost(found, "49", 101)) == ("30", "10.1")


def test_rounding_rules_are_kept(tmp_path: Path) -> None:
    rules = {"rounding_type": "up", "rounding_decimals": 2}
    found = imported(tmp_path, rate("R", ["49"], step(OPEN, 1, 0.001), rounding_rules=rules))
    assert cost(found, "49", 11) == "0.02"


def test_a_price_of_too_many_steps_is_refused(tmp_path: Path) -> None:
    steps = [step(1, 1, number) for number in range(40)]
    (fault,) = imported(tmp_path, rate("R", ["49"], *steps)).faults
    assert (fault.column, "1 to 32 steps" in fault.reason) == ("steps", True)


@pytest.mark.parametrize("rules", [{"rounding_type": "none"}, {}, None])
def test_without_rounding_rules_nothing_is_rounded(tmp_path: Path, rules: object) -> None:
    found = imported(tmp_path, rate("R", ["49"], step(OPEN, 1, 0.000001), rounding_rules=rules))
    assert cost(found, "49", 1) == "0.000001"


@pytest.mark.parametrize(
    ("document", "path", "column", "reason"),
    [
        (rate("R", ["49"], step(OPEN, 2.5, 1)), ".rate[0]", "interval", "2.5 does not come out in whole units"),
        (rate("R", ["49"], step(0.5, 1, 1)), ".rate[0]", "to", "0.5 units is not a whole number"),
        (rate("R", ["49"], step(1, 1, 1, 2)), ".rate[0]", "to", "-1 units is not a whole number"),
        (rate("R", ["49"], step(1, 0, 1)), ".rate[0]", "interval", "0 is not an interval"),
        (rate("R", ["49"], step(OPEN, 1, 1), step(2, 1, 1)), ".rate[1]", "from", "never reached"),
        (rate("R", ["49"], step(1, 1, -1)), ".rate[0]", "price", "-1 is negative"),
        (rate("R", ["49"], step(1, 1, "inf")), ".rate[0]", "price", "'inf' is not a number"),
        (rate("R", ["49"], step(1, 1, "1e9999999")), ".rate[0]", "price", "not a usable decimal"),
        (rate("R", ["49"], step("1e9999999", 1, 1)), ".rate[0]", "to", "not a usable decimal"),
        (rate("R", ["49"], step(1, 1, None)), ".rate[0]", "price", "'None' is not a number"),
        (rate("R", ["49"], step(OPEN, 1, 1), access="x"), "", "access", "'x' is not a number"),
        (rate("R", ["49"], step(OPEN, 1, 10**12)), "", "", "is not within"),
        (rate("R", ["49"]), ".rate", "", "has no steps"),
        (rate("R", ["49"], 7), ".rate[0]", "", "is not a step"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_has_no_form_here_is_refused_with_its_place(
    tmp_path: Path, document: dict[str, Any], path: str, column: str, reason: str
) -> None:
    found = imported(tmp_path, document)
    (fault,) = found.faults
    assert (fault.file, fault.column) == ("rates.json", column)
    assert fault.path == f"$.rates[0].rates.call.BASE{path}"
    assert reason in fault.reason


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        {"params": {}},
        rate("A", ["4x", "49"], step(OPEN, 1, 1), **{"from": "soon"}),
        rate("B", ["49"], step(OPEN, 1, 1)),
        rate("C", ["1"], step(OPEN, 1, 1), rounding_rules={"rounding_type": "sideways"}),
        rate("D", ["2"], step(OPEN, 1, 1), rounding_rules={"rounding_type": "up", "rounding_decimals": "x"}),
        rate("E", ["3"], step(OPEN, 1, 1), **{"from": "2026-01-02", "to": "2026-01-01"}),
        {"key": "F", "params": {"prefix": ["5"]}, "rates": {"call": {"BASE": {"rate": 1}}}},
        plans=[{}, {"name": "P", "rates": {"A": {"call": {"percentage": 0.9}}}}, {"name": "Q", "rates": {"A": {"call": {"percentage": -9}}, "B": {"call": {"percentage": "x"}}}}],
    )  # fmt: skip
    assert [(fault.path, fault.column) for fault in found.faults] == [
        ("$.plans[0]", "name"),
        ("$.plans[1].rates.A.call", "percentage"),
        ("$.plans[2].rates.A.call", "percentage"),
        ("$.plans[2].rates.B.call", "percentage"),
        ("$.rates[0]", "key"),
        ("$.rates[1]", "from"),
        ("$.rates[1].params", "prefix"),
        ("$.rates[2].rates.call", "prefix"),
        ("$.rates[3].rounding_rules", "rounding_type"),
        ("$.rates[4].rounding_rules", "rounding_decimals"),
        ("$.rates[5]", "to"),
        ("$.rates[6].rates.call.BASE", "rate"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "path", "reason"),
    [
        ("{", 0, "", "is not JSON"),
        ("[1]", 0, "$[0]", "is not an object"),
        ("7", 0, "$", "is neither a list of rates"),
        ('{"rates": [], "plans": 3}', 0, "$.plans", "is not a list"),
        ('{"key": "A"}\n{"key"', 2, "", "is not JSON"),
        ("[]", 0, "$", "has no rates"),
    ],
)
def test_a_file_that_is_no_list_of_rates_is_refused(
    tmp_path: Path, content: str, line: int, path: str, reason: str
) -> None:
    file = tmp_path / "rates.json"
    file.write_text(content, encoding="utf-8")
    (fault,) = import_rates(file, "EUR").faults
    assert (fault.line, fault.path) == (line, path)
    assert reason in fault.reason


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (fault,) = import_rates(tmp_path / "none.json", "EUR").faults
    assert "cannot be read" in fault.reason


def test_one_object_a_line_and_extended_json_are_read(tmp_path: Path) -> None:
    first = rate("A", ["49"], step(OPEN, {"$numberInt": "60"}, {"$numberDouble": "0.1"}))
    second = rate(
        "B", ["44"], step(OPEN, 60, 0.2), **{"from": {"$date": {"$numberLong": "1767225600000"}}}
    )
    file = tmp_path / "rates.json"
    file.write_text(f"{json.dumps(first)}\n\n{json.dumps(second)}\n", encoding="utf-8")
    found = import_rates(file, "EUR")
    assert (cost(found, "49", 60), cost(found, "44", 60)) == ("0.1", "0.2")
    assert [row.valid_from_ms for row in found.lists[0].rows] == [None, 1_767_225_600_000]


class TestPlans:
    """Which rate is the number's is BillRun's first question, what the plan pays the second."""

    base = (
        rate("UK", ["44"], step(OPEN, 60, 0.10)),
        rate("UK_MOBILE", ["4477", "4479"], step(OPEN, 60, 0.30)),
        rate("DE", ["49"], step(OPEN, 60, 0.05)),
    )

    def test_steps_of_a_plan_in_the_rate(self, tmp_path: Path) -> None:
        uk = rate("UK", ["44"], step(OPEN, 60, 0.10))
        uk["rates"]["call"]["GOLD"] = {"rate": [step(OPEN, 60, 0.08)]}
        found = imported(tmp_path, uk, *self.base[1:])
        costs = {
            plan: [cost(found, n, 60, plan) for n in ("441", "4479", "49")]
            for plan in ("base", "gold")
        }
        assert costs == {"base": ["0.1", "0.3", "0.05"], "gold": ["0.08", "0.3", "0.05"]}
        assert tariffs_of(found, "gold") == ("gold-call", "retail-call")

    def test_steps_and_percentages_of_the_plan_itself(self, tmp_path: Path) -> None:
        overrides = {
            "UK_MOBILE": {"call": {"percentage": 90}},
            "DE": {"call": {"access": 0.01, "rate": [step(OPEN, 1, 0.001)]}},
        }
        found = imported(
            tmp_path, *self.base, plans=[{"name": "GOLD", "rates": overrides}, {"name": "IRON"}]
        )
        assert [cost(found, n, 60, "gold") for n in ("441", "4479", "49")] == [
            "0.1",
            "0.27",
            "0.07",
        ]
        assert tariffs_of(found, "iron") == ("retail-call",)

    def test_one_percentage_of_everything_is_the_plans(self, tmp_path: Path) -> None:
        overrides = {each["key"]: {"call": {"percentage": 87.5}} for each in self.base}
        found = imported(tmp_path, *self.base, plans=[{"name": "GOLD", "rates": overrides}])
        (plan,) = [each for each in found.plans if each.name == "gold"]
        assert [(each.name, each.percent) for each in plan.tariffs] == [("retail-call", "87.5")]

    def test_a_plan_that_stands_twice_is_told(self, tmp_path: Path) -> None:
        found = imported(tmp_path, *self.base, plans=[{"name": "A"}, {"name": "A"}])
        assert "the later one is taken" in found.warnings[0].reason

    def test_a_rate_without_a_price_is_blocked(self, tmp_path: Path) -> None:
        premium = {"key": "PREMIUM", "params": {"prefix": ["449"]}, "rates": {"call": {}}}
        found = imported(tmp_path, *self.base, premium)
        rows = {row.prefix: type(row.price).__name__ for row in found.lists[0].rows}
        assert rows == {
            "44": "Tiered",
            "4477": "Tiered",
            "4479": "Tiered",
            "49": "Tiered",
            "449": "Blocked",
        }

    def test_other_categories_have_lists_and_no_plan(self, tmp_path: Path) -> None:
        wholesale = rate("W", ["44"], step(OPEN, 1, 0.001), tariff_category="wholesale")
        found = imported(tmp_path, *self.base, wholesale)
        assert [each.name for each in found.lists] == ["retail-call", "wholesale-call"]
        assert tariffs_of(found) == ("retail-call",)


class TestBothMethods:
    by_volume = (step(100, 1, 0.3), step(OPEN, 1, 0.1, 100))
    tiered = (step(60, 60, 0.1), step(OPEN, 1, 0.001, 60))

    def test_each_has_its_file_and_the_longest_prefix_still_wins(self, tmp_path: Path) -> None:
        found = imported(
            tmp_path,
            rate("A", ["4"], *self.tiered),
            rate("B", ["44"], *self.by_volume, pricing_method="volume"),
            rate("C", ["447"], step(OPEN, 60, 0.2)),
        )
        assert tariffs_of(found) == ("retail-call-volume", "retail-call")
        assert [cost(found, n, 200) for n in ("41", "441", "447")] == ["0.24", "20", "0.8"]

    def test_what_cannot_be_told_apart_is_refused(self, tmp_path: Path) -> None:
        found = imported(
            tmp_path,
            rate("B", ["44"], *self.by_volume, pricing_method="volume"),
            rate("C", ["447"], *self.tiered),
        )
        assert "tiered below a prefix that is priced by volume" in found.faults[0].reason

    def test_only_by_volume_is_one_file(self, tmp_path: Path) -> None:
        found = imported(
            tmp_path,
            rate("B", ["44"], *self.by_volume, pricing_method="volume"),
            rate("C", ["447"], step(OPEN, 60, 0.2)),
        )
        assert tariffs_of(found) == ("retail-call-volume",)
        assert cost(found, "447", 61) == "0.4"


class TestUsageTypesAndPrefixes:
    def priced(self, usage: str, prefixes: list[str] | None = None) -> dict[str, Any]:
        base = {"rate": [step(OPEN, 1, 0.01)]}
        params = {"prefix": prefixes} if prefixes else None
        return {"key": usage.upper(), "params": params, "rates": {usage: {"BASE": base}}}

    def test_names_say_what_is_used(self, tmp_path: Path) -> None:
        names = ["call_usa", "roaming_data", "sms_out", "mms", "parking", "fax"]
        found = imported(
            tmp_path, *(self.priced(name) for name in names), usage_types={"fax": "voice"}
        )
        assert {each.name: each.usage_type for each in found.lists} == {
            "retail-call_usa": "voice", "retail-roaming_data": "data", "retail-sms_out": "sms",
            "retail-mms": "mms", "retail-parking": "event", "retail-fax": "voice",
        }  # fmt: skip
        assert [warning.reason for warning in found.warnings] == [
            "usage type parking is taken for events"
        ]

    def test_a_rate_without_prefix_is_for_everything_if_it_is_alone(self, tmp_path: Path) -> None:
        found = imported(tmp_path, self.priced("data"))
        assert cost(found, "web", 5, usage="data") == "0.05"
        others = [self.priced("data") | {"key": key} for key in "AB"]
        found = imported(tmp_path, *others, self.priced("data", ["49"]))
        assert [row.prefix for row in found.lists[0].rows] == ["49"]
        assert len(found.warnings) == 2

    def test_other_fields_that_a_rate_asks_for_are_told(self, tmp_path: Path) -> None:
        document = rate("A", ["49"], step(OPEN, 1, 1))
        document["params"] |= {"vlr": ["1"], "empty": []}
        (warning,) = imported(tmp_path, document).warnings
        assert warning.reason == "A also asks for vlr: only its prefixes are used"

    def test_a_rate_of_one_price_needs_no_base(self, tmp_path: Path) -> None:
        document = {
            "key": "A",
            "params": {"prefix": "49"},
            "rates": {"call": {"rate": [step(OPEN, 1, 1)]}},
        }
        assert cost(imported(tmp_path, document), "49", 2) == "2"


class TestRevisions:
    first = rate(
        "A", ["49"], step(OPEN, 1, 1), **{"from": "2025-01-01", "to": "2026-01-07T09:00:00Z"}
    )
    second = rate(
        "A", ["49"], step(OPEN, 1, 2), **{"from": "2026-01-07T09:00:00Z", "to": "2166-01-01"}
    )

    def test_each_is_in_force_in_its_time(self, tmp_path: Path) -> None:
        found = imported(tmp_path, self.second, {"key": "UNRATED"}, self.first)
        costs = [
            cost_of(found, ("retail-call",), "49", f"2026-01-07T{hour}:00:00Z", 1)
            for hour in ("08", "09")
        ]
        assert costs == ["1", "2"]
        assert cost_of(found, ("retail-call",), "49", "2024-01-01T00:00:00Z", 1) is None

    def test_the_past_can_be_left_out(self, tmp_path: Path) -> None:
        found = imported(tmp_path, self.second, self.first, at_ms=1_790_000_000_000)
        assert [(row.valid_from_ms, row.valid_to_ms) for row in found.lists[0].rows] == [
            (None, None)
        ]

    @pytest.mark.parametrize("far", [{"$numberLong": str(2**63 - 1)}, {"sec": 10**18}])
    def test_a_date_beyond_the_calendar_is_its_end(self, tmp_path: Path, far: object) -> None:
        unending = rate("A", ["49"], step(OPEN, 1, 1), to={"$date": far})
        assert imported(tmp_path, unending).lists[0].rows[0].valid_to_ms is None
        never = rate("A", ["49"], step(OPEN, 1, 1), **{"from": {"$date": far}})
        assert text_of(imported(tmp_path, never).lists[0]).endswith(",9999-01-01T00:00:00Z\n")

    def test_an_endless_date_is_none(self, tmp_path: Path) -> None:
        wrong = {"from": {"$numberDouble": "Infinity"}}
        (fault,) = imported(tmp_path, rate("A", ["49"], step(OPEN, 1, 1), **wrong)).faults
        assert (fault.column, fault.reason) == ("from", "Infinity is not a date")

    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        found = imported(tmp_path, self.first, rate("B", ["49"], step(OPEN, 1, 3)))
        assert found.faults[0].reason in {"49 of B is A's, too", "49 of A is B's, too"}

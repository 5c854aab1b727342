"""Whatever a source holds, an importer makes lists that load, or tells faults; it never crashes."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocs.adapters.tariff_files.reading import read_tariff
from ocs.adapters.tariff_files.writing import text_of
from ocs.adapters.tariff_import import billrun, portsip
from ocs.adapters.tariff_import.billrun_matching import BadFilterError, match_rates
from ocs.adapters.tariff_import.cgrates import compile_plan
from ocs.adapters.tariff_import.cgrates_files import read_folder
from ocs.usecases.price_lists import Imported
from tests.adapters.tariff_files.test_fuzz import mutated
from tests.adapters.tariff_import.tables import TABLES, written

BILLRUN = json.dumps(
    {
        "rates": [
            {
                "key": "UK",
                "from": {"$date": "2026-01-01T00:00:00Z"},
                "to": None,
                "params": {"prefix": ["44", "4479"], "vlr": []},
                "rounding_rules": {"rounding_type": "up", "rounding_decimals": 2},
                "rates": {
                    "call": {
                        "BASE": {
                            "access": 0.05,
                            "rate": [
                                {"from": 0, "to": 60, "interval": 60, "price": 0.1},
                                {"from": 60, "to": "UNLIMITED", "interval": 0.5, "price": 1, "ceil": False},
                            ],
                        }
                    }
                },
            }
        ],
        "plans": [{"name": "GOLD", "rates": {"UK": {"call": {"percentage": 90}}}}],
    }
).encode()  # fmt: skip
PORTSIP = json.dumps(
    [{"prefix": "49", "interval_1": 60, "interval_n": 6, "price_1": 0.1, "price_n": 0.2, "type": "LOCAL"}]
).encode()  # fmt: skip
CSV = b"prefix,interval_1,interval_n,price_1,price_n,description\n49,60,60,0.05,0.05,Germany\n"
FILTERS = json.dumps(
    {
        "retail": [
            [
                {
                    "type": "match",
                    "rate_key": "params.x",
                    "line_key": "computed",
                    "computed": {
                        "type": "condition",
                        "operator": "$gte",
                        "must_met": False,
                        "line_keys": [{"key": "a", "preFunction": "hour_of_day"}, {"key": "b", "regex": "/1/"}],
                        "projection": {"on_true": {"key": "hard_coded", "value": 1}, "on_false": {"key": "a"}},
                    },
                },
                {"type": "longestPrefix", "rate_key": "params.prefix", "line_key": "a"},
                {"type": "range", "rate_key": "params.r", "line_key": "b"},
            ]
        ]
    }
).encode()  # fmt: skip

anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_whole(imported: Imported) -> bool:
    """Whether there are lists that all load, or faults that say why there are none."""
    if imported.faults:
        return all(fault.reason and fault.file for fault in imported.faults)
    return all(
        isinstance(read_tariff(f"{each.name}.csv", text_of(each).encode()), tuple)
        for each in imported.lists
    )


@pytest.mark.slow
@anywhere
@given(st.sampled_from(sorted(TABLES)), st.data())
def test_tables_of_cgrates(tmp_path: Path, file: str, data: st.DataObject) -> None:
    folder = written(tmp_path / "plan")
    (folder / file).write_bytes(data.draw(mutated(TABLES[file].encode())))
    plan, faults = read_folder(folder)
    imported = compile_plan(plan, "EUR")
    assert is_whole(Imported(imported.lists, faults=(*faults, *imported.faults)))


@anywhere
@given(mutated(BILLRUN))
def test_rates_of_billrun(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rates.json").write_bytes(content)
    assert is_whole(billrun.import_rates(tmp_path / "rates.json", "EUR"))


@anywhere
@pytest.mark.parametrize(("file", "content"), [("rates.json", PORTSIP), ("rates.csv", CSV)])
@given(data=st.data())
def test_call_rates_of_portsip(
    tmp_path: Path, file: str, content: bytes, data: st.DataObject
) -> None:
    (tmp_path / file).write_bytes(data.draw(mutated(content)))
    assert is_whole(portsip.import_rates(tmp_path / file, "EUR"))


@given(mutated(FILTERS), st.sampled_from(["12", "soon", 1, True, None, ["1"], {"from": 1}]))
def test_filters_of_billrun(content: bytes, value: object) -> None:
    try:
        filters = json.loads(content)
    except ValueError:
        return
    rates = [{"key": "A", "params": {"x": 1, "prefix": ["1", 2], "r": [{"from": 0, "to": 9}, 3]}}]
    if isinstance(filters, dict):
        with suppress(BadFilterError):
            match_rates(rates, filters, {"a": value, "b": value}, 0)


strange = st.sampled_from(
    [None, True, -1, 0, 0.5, 10**30, 1e300, "", "x", "1e99999999", "9" * 400, [], [1], {}]
    + [{name: "NaN"} for name in ("$date", "$numberDouble", "sec")]
    + [{"$date": {"$numberLong": str(2**63 - 1)}}, {"$numberDouble": "-Infinity"}, {"sec": -(10**18)}]
)  # fmt: skip


@st.composite
def with_strange_values(draw: st.DrawFn, document: object) -> object:
    """A document with a value or two that are another than they should be, somewhere in it."""
    if draw(st.integers(0, 12)) == 0:
        return draw(strange)
    if isinstance(document, dict):
        return {key: draw(with_strange_values(value)) for key, value in document.items()}
    if isinstance(document, list):
        return [draw(with_strange_values(value)) for value in document]
    return document


@pytest.mark.slow
@anywhere
@given(with_strange_values(json.loads(BILLRUN)), st.sampled_from([None, 1_790_000_000_000]))
def test_strange_values_in_rates_of_billrun(
    tmp_path: Path, document: object, at_ms: int | None
) -> None:
    (tmp_path / "rates.json").write_text(json.dumps(document))
    assert is_whole(billrun.import_rates(tmp_path / "rates.json", "EUR", at_ms=at_ms))


@anywhere
@given(with_strange_values(json.loads(PORTSIP)))
def test_strange_values_in_call_rates_of_portsip(tmp_path: Path, document: object) -> None:
    (tmp_path / "rates.json").write_text(json.dumps(document))
    assert is_whole(portsip.import_rates(tmp_path / "rates.json", "EUR"))

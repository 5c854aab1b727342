"""PortSIP's call rates are our interval model, from JSON or CSV."""

import json
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.tariff_import.portsip import import_rates
from ocs.domain.ladder import cost
from ocs.domain.money import currency
from ocs.usecases.price_lists import Imported

RATE = {
    "id": "837482",
    "prefix": "+49",
    "type": "INTERNATIONAL",
    "free_seconds": 10,
    "grace_period": 5,
    "interval_1": 30,
    "interval_n": 6,
    "connect_fee": 0.01,
    "postcall_surcharge": 0.10,
    "price_1": 0.06,
    "price_n": 0.03,
    "description": "Germany",
}
CSV = "prefix,interval_1,interval_n,price_1,price_n,description\n49,60,60,0.05,0.05,Germany\n\n44,1,1,0.01,0.01,\n"


def imported(folder: Path, document: object, name: str = "rates.json") -> Imported:
    path = folder / name
    path.write_text(
        document if isinstance(document, str) else json.dumps(document), encoding="utf-8"
    )
    return import_rates(path, "EUR")


def changed(**fields: Any) -> list[dict[str, Any]]:
    return [RATE | fields]


@pytest.mark.parametrize("document", [[RATE], {"count": 1, "call_rates": [RATE]}])
def test_a_rate_costs_what_the_guide_says(tmp_path: Path, document: object) -> None:
    found = imported(tmp_path, document)
    (row,) = found.lists[0].rows
    assert (row.prefix, row.destination) == ("49", "Germany")
    ladder = row.price.compile(currency("EUR"))
    costs = {seconds: cost(ladder, seconds) for seconds in (4, 5, 40, 41, 64, 600)}
    assert costs == {4: 0, 5: 44_000, 40: 44_000, 41: 47_300, 64: 57_200, 600: 354_200}
    assert [(plan.name, [each.name for each in plan.tariffs]) for plan in found.plans] == [
        ("rates", ["rates"])
    ]


def test_csv_with_the_same_columns(tmp_path: Path) -> None:
    found = imported(tmp_path, CSV, "A-Z list.csv")
    assert found.lists[0].name == "a-z-list"
    assert [(row.prefix, row.destination) for row in found.lists[0].rows] == [
        ("49", "Germany"),
        ("44", "unnamed"),
    ]


def test_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    document = [
        changed(prefix="4x", price_1="cheap", interval_1=None)[0],
        changed(interval_n=0.5)[0],
        changed(postcall_surcharge=10)[0],
        changed(price_1=10**13)[0],
        RATE,
        RATE,
    ]
    found = imported(tmp_path, document)
    assert [(fault.path, fault.column, fault.reason) for fault in found.faults] == [
        ("$[0]", "interval_1", "is missing"),
        ("$[0]", "prefix", "'4x' is not a prefix of 1 to 18 digits"),
        ("$[0]", "price_1", "'cheap' is not a number"),
        ("$[1]", "interval_n", "0.5 is not a whole number of seconds"),
        ("$[2]", "postcall_surcharge", "10 is not a fraction: write 0.10 for ten per cent"),
        ("$[3]", "", found.faults[5].reason),
        ("$[3]", "prefix", "49 has a rate already: prefixes are unique"),
        ("$[4]", "prefix", "49 has a rate already: prefixes are unique"),
        ("$[5]", "prefix", "49 has a rate already: prefixes are unique"),
    ]
    assert "is not within" in found.faults[5].reason
    assert found.lists == ()


@pytest.mark.parametrize(
    ("document", "name", "line", "path", "reason"),
    [
        ("[]", "rates.json", 0, "", "has no call rates"),
        ("{}", "rates.json", 0, "$", "is not a list of call rates"),
        ("[1]", "rates.json", 0, "$[0]", "is not a call rate"),
        ("nonsense", "rates.json", 0, "", "is not JSON"),
        ("prefix,price_1\n", "rates.csv", 1, "", "missing column"),
        (f"{CSV}1,2\n", "rates.csv", 5, "", "has 2 cells where the header has 6"),
        (f'{CSV}"1,2\n', "rates.csv", 5, "", "is not CSV"),
        (CSV.replace(",60,60,", ",60,x,"), "rates.csv", 2, "", "'x' is not a number"),
    ],
)
def test_a_file_that_is_no_list_is_refused(
    tmp_path: Path, document: str, name: str, line: int, path: str, reason: str
) -> None:
    (fault,) = imported(tmp_path, document, name).faults
    assert (fault.line, fault.path) == (line, path)
    assert reason in fault.reason


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name in ("none.json", "none.csv"):
        (fault,) = import_rates(tmp_path / name, "EUR").faults
        assert "cannot be read" in fault.reason

"""The tables of a CGRateS tariff plan, as files: all that is wrong in them is told, with its place."""

from pathlib import Path

import pytest

from ocs.adapters.tariff_import.cgrates import compile_plan
from ocs.adapters.tariff_import.cgrates_files import read_folder
from ocs.adapters.tariff_import.cgrates_plan import raw_units
from tests.adapters.tariff_import.tables import TABLES, written


def faults(folder: Path, **changed: str) -> list[tuple[str, int, str]]:
    """Return file, line, and column with reason."""
    plan, found = read_folder(written(folder / "plan", **changed))
    return [
        (fault.file, fault.line, f"{fault.column}: {fault.reason}")
        for fault in (*found, *compile_plan(plan, "EUR").faults)
    ]


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        Destinations="DE,49\nDE_MOBILE,4915,x\nUK,12345678901234567890\nEMERGENCY,110\n,1\n",
        Timings=TABLES["Timings.csv"].replace("25,*any", "25th,*any").replace(",08:00:00", ",8am"),
        DestinationRates=TABLES["DestinationRates.csv"].replace("UK,CHEAP", "UK,CHEEP"),
        RatingPlans=TABLES["RatingPlans.csv"].replace("DR_DATA,*any,10", "DR_DATA,*any,heavy"),
        RatingProfiles=TABLES["RatingProfiles.csv"]
        .replace("RP_WORLD,", "RP_MARS,")
        .replace("2026-01-01T00:00:00Z", "soon"),
    )
    expected = [
        ("DestinationRates.csv", 3, "DestinationId: there is no destination 'DE_MOBILE'"),
        ("DestinationRates.csv", 6, "RatesTag: there is no rate 'CHEEP'"),
        ("Destinations.csv", 2, ": has 3 columns instead of 2: Id, Prefix"),
        ("Destinations.csv", 0, "Prefix: UK: '12345678901234567890' is longer than 18"),
        ("Destinations.csv", 5, "Id: is empty"),
        ("RatingPlans.csv", 9, "Weight: 'heavy' is not a number"),
        ("RatingProfiles.csv", 2, "ActivationTime: 'soon' is not a time"),
        ("RatingProfiles.csv", 3, "RatingPlanId: there is no rating plan 'RP_MARS'"),
        ("Timings.csv", 3, "Time: '8am' is not a time such as 18:00:00"),
        ("Timings.csv", 6, "MonthDays: '25th' is not a whole number"),
    ]
    for file, line, text in expected:
        assert any(each[:2] == (file, line) and each[2].startswith(text) for each in found), text


@pytest.mark.parametrize("weight", ["nan", "inf", "1e400", "1_0"])
def test_a_weight_that_orders_nothing_is_told(tmp_path: Path, weight: str) -> None:
    tables = TABLES["RatingPlans.csv"].replace("DR_DATA,*any,10", f"DR_DATA,*any,{weight}")
    expected = ("RatingPlans.csv", 9, f"Weight: {weight!r} is not a number")
    assert expected in faults(tmp_path, RatingPlans=tables)


def test_a_missing_or_unreadable_file_is_told(tmp_path: Path) -> None:
    folder = written(tmp_path / "plan")
    (folder / "Rates.csv").unlink()
    (folder / "Destinations.csv").write_bytes(b"\xff\xfe")
    (folder / "RatingPlans.csv").write_text('RP,"DR', encoding="utf-8")
    (folder / "Timings.csv").unlink()
    _, found = read_folder(folder)
    assert {(fault.file, fault.reason[:12]) for fault in found} == {
        ("Rates.csv", "there is no "),
        ("Destinations.csv", "cannot be re"),
        ("RatingPlans.csv", "is not CSV: "),
    }


@pytest.mark.parametrize(
    ("table", "old", "new", "place"),
    [
        ("Timings", "XMAS,", "PEAK,", (6, "Tag: 'PEAK' is already defined in line 3")),
        ("Timings", "08:00:00", "24:00:00", (3, "Time: '24:00:00' is not a time of a day")),
        ("Timings", "12,25", "13,25", (6, ": months may not hold 13")),
        ("Timings", "12:59:59", "11:00:00", (7, ": 43200 to 39601 is not a span")),
        (
            "DestinationRates",
            "*up,4,0",
            "*up,many,0",
            (2, "RoundingDecimals: 'many' is not a whole"),
        ),
    ],
)
def test_a_table_that_cannot_be(
    tmp_path: Path, table: str, old: str, new: str, place: tuple[int, str]
) -> None:
    plans = TABLES["RatingPlans.csv"].replace("WEEKEND,10", "WEEKEND,10\nRP_DE,DR_CHEAP,LUNCH,30")
    text = TABLES[f"{table}.csv"].replace(old, new, 1)
    found = faults(tmp_path, **{table: text, "RatingPlans": plans})
    assert any((line, text.startswith(place[1])) == (place[0], True) for _, line, text in found), (
        found
    )


@pytest.mark.parametrize(
    ("text", "units"),
    [("60s", 60 * 10**9), ("1h0m21s", 3_621 * 10**9), ("1.5s", 1_500_000_000), ("7", 7), ("0", 0)],
)
def test_durations_are_read_as_go_writes_them(text: str, units: int) -> None:
    assert raw_units(text) == units

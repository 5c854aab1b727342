"""An import is there whole, and loads, or it is not there at all."""

import tomllib
from pathlib import Path

import pytest

from ocs.adapters.tariff_files import check_folder
from ocs.bootstrap import importing
from ocs.bootstrap.importing import PLANS_FILE, CannotImport, Order, import_tariffs, plans_text
from ocs.usecases.price_lists import ImportedPlan, PlanTariffName, PriceList
from tests.adapters.tariff_import.tables import TABLES, written

PORTSIP = "prefix,interval_1,interval_n,price_1,price_n,description\n49,60,60,0.05,0.05,Germany\n"


def order(folder: Path, **more: object) -> Order:
    return Order(folder / "plan", folder / "made", "EUR", **more)  # type: ignore[arg-type]


def test_a_folder_of_cgrates_becomes_one_of_ours(tmp_path: Path) -> None:
    written(tmp_path / "plan")
    report = import_tariffs("cgrates", order(tmp_path, zone="Europe/Berlin"))
    assert report.is_written
    checked = check_folder(tmp_path / "made")
    assert checked.is_good
    assert {tariff.name for tariff in checked.tariffs} == {each.name for each in report.tariffs}
    plans = tomllib.loads((tmp_path / "made" / PLANS_FILE).read_text(encoding="utf-8"))["plans"]
    assert [plan["name"] for plan in plans] == [plan.name for plan in report.plans]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755
    assert sorted(each.name for each in tmp_path.iterdir()) == ["made", "plan"]


def test_only_one_tenant_and_only_what_is_in_force(tmp_path: Path) -> None:
    profiles = TABLES["RatingProfiles.csv"] + "zeta,call,*any,,RP_WORLD,\n"
    written(tmp_path / "plan", RatingProfiles=profiles)
    report = import_tariffs("cgrates", order(tmp_path, tenant="zeta", at_ms=1_790_000_000_000))
    assert [plan.name for plan in report.plans] == ["any"]
    assert [tariff.name for tariff in report.tariffs] == ["rp_world"]


@pytest.mark.parametrize(
    ("system", "source", "content"),
    [
        ("billrun", "rates.json", '[{"key": "A", "rates": {"call": {"BASE": {"rate": [{"to": "UNLIMITED", "interval": 1, "price": 1}]}}}}]'),
        ("portsip", "rates.csv", PORTSIP),
    ],
)  # fmt: skip
def test_a_file_becomes_a_folder(tmp_path: Path, system: str, source: str, content: str) -> None:
    (tmp_path / source).write_text(content, encoding="utf-8")
    report = import_tariffs(system, Order(tmp_path / source, tmp_path / "made", "EUR"))
    assert report.is_written
    assert check_folder(tmp_path / "made").is_good


def test_with_a_fault_nothing_is_written(tmp_path: Path) -> None:
    written(tmp_path / "plan", Rates=TABLES["Rates.csv"].replace("0.06", "cheap"))
    report = import_tariffs("cgrates", order(tmp_path))
    assert not report.is_written
    assert [(fault.file, fault.line, fault.column) for fault in report.faults] == [
        ("Rates.csv", 2, "Rate")
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["plan"]


def test_no_profile_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path / "plan")
    (fault,) = import_tariffs("cgrates", order(tmp_path, tenant="nobody")).faults
    assert fault.reason == "has no profile of tenant nobody"


def test_what_the_loader_refuses_is_not_moved_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(price_list: PriceList) -> str:
        return f"# currency = EUR\nprefix,destination,price\n49,{price_list.name},1\n"

    monkeypatch.setattr(importing, "text_of", spoiled)
    written(tmp_path / "plan")
    report = import_tariffs("cgrates", order(tmp_path))
    assert not report.is_written
    assert {fault.file for fault in report.faults} >= {"rp_de.csv"}
    assert [each.name for each in tmp_path.iterdir()] == ["plan"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_price_list: PriceList) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "text_of", full)
    written(tmp_path / "plan")
    with pytest.raises(CannotImport, match="cannot be written: No space left"):
        import_tariffs("cgrates", order(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["plan"]


def test_an_empty_folder_is_filled_and_a_full_one_is_kept(tmp_path: Path) -> None:
    written(tmp_path / "plan")
    (tmp_path / "made").mkdir()
    assert import_tariffs("cgrates", order(tmp_path)).is_written
    with pytest.raises(CannotImport, match="is there already"):
        import_tariffs("cgrates", order(tmp_path))


def test_what_cannot_even_begin_says_why(tmp_path: Path) -> None:
    with pytest.raises(CannotImport, match="unknown currency"):
        import_tariffs("cgrates", Order(tmp_path, tmp_path / "made", "XXQ"))
    with pytest.raises(CannotImport, match="not a folder of CGRateS"):
        import_tariffs("cgrates", Order(tmp_path / "none", tmp_path / "made", "EUR"))
    written(tmp_path / "plan")
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "made", tmp_path / "file"):
        with pytest.raises(CannotImport, match=r"cannot be written|is there already"):
            import_tariffs("cgrates", Order(tmp_path / "plan", out, "EUR"))


def test_plans_are_spelled_as_the_configuration_reads_them() -> None:
    plans = [
        ImportedPlan(
            "gold", (PlanTariffName("a"), PlanTariffName("b", "87.5")), tenant="acme\nx = 1"
        ),
        ImportedPlan("iron", (PlanTariffName("a"),)),
    ]
    assert tomllib.loads(plans_text(plans)) == {
        "plans": [
            {"name": "gold", "tariffs": ["a", {"name": "b", "percent": 87.5}]},
            {"name": "iron", "tariffs": ["a"]},
        ]
    }

"""What `ocs check` tells beside faults: tariffs that nobody will ever be charged by."""

from pathlib import Path

from ocs.bootstrap.checking import check_all

ROOT = Path(__file__).parents[2]
HEADER = "# currency = EUR\nprefix,destination,cost_per_minute\n"


def configured(folder: Path, *, tariffs: str) -> Path:
    (folder / "tariffs").mkdir()
    (folder / "tariffs" / "all.csv").write_text(f"{HEADER}*,World,0.10\n", encoding="utf-8")
    (folder / "tariffs" / "mobile.csv").write_text(f"{HEADER}4917,Mobile,0.20\n", encoding="utf-8")
    path = folder / "ocs.toml"
    tenant = '[[tenants]]\nname = "demo"\n'
    plan = f'[[plans]]\nname = "standard"\ntariffs = {tariffs}\n'
    path.write_text(tenant + plan, encoding="utf-8")
    return path


def test_a_hidden_tariff_is_a_warning_and_no_fault(tmp_path: Path) -> None:
    report = check_all(configured(tmp_path, tariffs='["all", "mobile"]'))
    assert report.good
    (warning,) = report.warnings
    assert warning.area == "plans"
    assert warning.reason.startswith("plan standard: tariff mobile is never used: all, before it,")


def test_there_is_nothing_to_warn_of_in_a_good_order(tmp_path: Path) -> None:
    assert check_all(configured(tmp_path, tariffs='["mobile", "all"]')).warnings == ()


def test_a_percentage_of_no_tariff_is_a_fault(tmp_path: Path) -> None:
    report = check_all(configured(tmp_path, tariffs='["all", { name = "moble", percent = 90 }]'))
    assert [finding.reason for finding in report.findings] == [
        "plan standard: there is no tariff 'moble'"
    ]


def test_the_sample_has_neither_faults_nor_warnings() -> None:
    report = check_all(ROOT / "config/ocs.toml")
    assert (report.findings, report.warnings) == ((), ())

"""`ocs check` finds everything at once, and tells people and machines."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ocs.cli.app import app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of the sample configuration, to be spoiled."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config" / "ocs.toml"


def checked(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(
        app, ["check", "--config", str(config), *options]
    )
    return result.exit_code, result.output


def findings(config: Path, *options: str) -> list[tuple[str, str, int, str, str]]:
    code, output = checked(config, "--json", *options)
    report = json.loads(output)
    assert code == (1 if report["findings"] else 0)
    assert report["good"] is (not report["findings"])
    return [tuple(finding.values()) for finding in report["findings"]]


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_sample_is_good(config: Path) -> None:
    assert findings(config) == []
    code, output = checked(config)
    assert code == 0
    assert "wrong" not in output
    assert "tariff a-z:" in output


def test_an_unusable_configuration_is_told_whole(config: Path) -> None:
    replaced(config, "port = 8080", 'prot = 1\nport = "x"')
    found = findings(config)
    assert [(area, key) for area, _, _, key, _ in found] == [
        ("configuration", "server.prot"),
        ("configuration", "server.port"),
    ]
    assert all(line > 1 for _, _, line, _, _ in found)
    code, output = checked(config)
    assert code == 1
    assert "did you mean port?" in output
    assert "not checked" in output


def test_everything_else_is_found_in_one_go(config: Path) -> None:
    folder = config.parent
    codes = folder / "return_codes.ini"
    shutil.copy(ROOT / "return_codes.ini", codes)
    replaced(codes, "[NO_CREDIT]", "[NO_CREDITS]")
    replaced(config, 'return_codes = ""', 'return_codes = "return_codes.ini"')
    replaced(folder / "accounts.csv", "441632960002,EUR", "441632960002,XXQ")
    replaced(folder / "subscribers.csv", "441632960003,standard", "441632960003,gold")
    header = "prefix,destination,price_1,price_n,interval_1,interval_n"
    tariff = f"# currency = EUR\n{header}\n44,London,cheap,0.01,1,1\n"
    (folder / "tariffs" / "bad.csv").write_text(tariff, encoding="utf-8")
    found = findings(config)
    assert {area for area, *_ in found} == {"return codes", "provisioning", "tariffs"}
    places = [(file, line, column) for _, file, line, column, _ in found]
    assert ("accounts.csv", 3, "currency") in places
    assert ("subscribers.csv", 4, "plan") in places
    assert ("bad.csv", 3, "price_1") in places
    reasons = [reason for area, _, _, _, reason in found if area == "return codes"]
    assert any("NO_CREDIT" in reason for reason in reasons)
    code, output = checked(config)
    assert code == 1
    for file, _, column in places:
        assert file in output
        assert column in output


def test_a_plan_needs_its_tariffs(config: Path) -> None:
    replaced(config, 'tariffs = ["a-z"]', 'tariffs = ["a-z", "premium"]')
    (found,) = findings(config)
    assert found[0] == "plans"
    assert "there is no tariff 'premium'" in found[4]


def test_what_is_probably_not_meant_is_told_but_is_no_fault(config: Path) -> None:
    everything = "# currency = EUR\nprefix,destination,cost_per_minute\n*,World,1\n"
    (config.parent / "tariffs/everything.csv").write_text(everything, encoding="utf-8")
    replaced(config, 'tariffs = ["a-z"]', 'tariffs = ["everything", "a-z"]')
    assert findings(config) == []
    code, output = checked(config)
    assert code == 0
    assert "probably not meant" in output
    (warning,) = json.loads(checked(config, "--json")[1])["warnings"]
    assert warning["area"] == "plans"
    assert "a-z" in warning["reason"]


def test_a_tariff_in_another_currency_than_the_account_is_told(config: Path) -> None:
    replaced(config.parent / "accounts.csv", "441632960002,EUR", "441632960002,USD")
    (found,) = findings(config)
    assert found[:4] == ("plans", "subscribers.csv", 3, "plan")
    assert found[4] == "plan standard has tariff a-z in EUR, the account is USD"


def test_a_file_that_is_not_there_is_told(config: Path) -> None:
    (config.parent / "accounts.csv").unlink()
    (found,) = findings(config)
    assert found[0] == "provisioning"
    assert "accounts.csv cannot be read" in found[4]


def test_another_folder_of_tariffs_can_be_checked_first(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "tariffs"
    other.mkdir()
    (found,) = findings(config, "--tariffs", str(other))
    assert found[0] == "tariffs"
    shutil.copy(config.parent / "tariffs" / "a-z.csv", other)
    assert findings(config, "--tariffs", str(other)) == []

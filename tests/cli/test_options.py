"""What all commands have in common."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import ocs
from ocs.cli import main, options
from ocs.cli.app import app
from ocs.cli.options import settings_of
from ocs.config import location
from ocs.config.location import shipped_configuration

SAMPLE = Path(ocs.__file__).parents[1] / "config/ocs.toml"


def test_it_tells_its_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"ocs {ocs.__version__}\n")


def test_the_command_is_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["ocs", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0


def test_without_a_name_the_sample_is_the_configuration() -> None:
    assert shipped_configuration() == SAMPLE
    settings = settings_of(None, None)
    assert settings.file == str(SAMPLE)
    assert settings.store.directory == str(SAMPLE.parents[1] / "var")


def test_a_named_directory_is_taken_as_it_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_of(SAMPLE, Path("data")).store.directory == str(tmp_path / "data")


def test_an_installed_sample_keeps_its_data_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel has the sample inside the package, whose folder is no place for data."""
    package = tmp_path / "site-packages" / "ocs"
    inside = package / "_data" / "config" / "ocs.toml"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(SAMPLE.read_bytes())
    monkeypatch.setattr(location, "_PACKAGE", package)
    monkeypatch.chdir(tmp_path)
    assert shipped_configuration() == inside
    assert settings_of(None, None).store.directory == str(tmp_path / "var")


def test_an_unusable_configuration_ends_a_command_with_every_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as end:
        settings_of(tmp_path / "none.toml", None)
    assert end.value.exit_code == options.ASKED_WRONGLY
    assert "none.toml: cannot be read" in capsys.readouterr().err

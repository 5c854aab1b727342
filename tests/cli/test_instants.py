"""The instant that an option names."""

import pytest
import typer

from ocs.cli.instants import instant_ms
from ocs.domain.zones import UTC_ZONE, zone_named

BERLIN = zone_named("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1767225600", 1_767_225_600_000),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00", 1_767_225_600_000),
        ("2026-01-01", 1_767_222_000_000),
    ],
)
def test_text_names_an_instant(text: str, expected: int) -> None:
    assert instant_ms("--at", text, BERLIN) == expected


def test_without_text_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocs.cli.instants.wall_ms", lambda: 5)
    assert instant_ms("--at", "", UTC_ZONE) == 5


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "1969-12-31", "9" * 30])
def test_what_is_no_instant_is_told(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        instant_ms("--at", text, UTC_ZONE)
    assert f"--at: {text!r} is neither" in capsys.readouterr().err

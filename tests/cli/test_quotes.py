"""Five quotes that were worked by hand (docs/tariffs.md), as `ocs rate` tells them."""

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal

ROOT = Path(__file__).parents[2]
QUOTES = sorted((ROOT / "tests/data/quotes").glob("*.txt"))


@pytest.mark.parametrize("quote", QUOTES, ids=lambda path: path.stem)
def test_a_quote_is_explained_as_worked_by_hand(
    quote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(quote.with_suffix(".csv"), tmp_path / "a-z.csv")
    monkeypatch.setenv("OCS_RATING_TARIFFS", str(tmp_path))
    command, *expected = quote.read_text("utf-8").splitlines()
    told = Terminal().run(*command.removeprefix("$ ocs ").split())
    assert [line.rstrip() for line in told.splitlines()] == expected


@pytest.mark.parametrize("quote", QUOTES, ids=lambda path: path.stem)
def test_a_quote_and_its_tariff_are_shown_in_the_documents(quote: Path) -> None:
    page = (ROOT / "docs/tariffs.md").read_text("utf-8")
    assert f"```\n{quote.read_text('utf-8')}```\n" in page
    assert f"tests/data/quotes/{quote.stem}.csv" in page


def test_the_readme_shows_what_is_told() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    shown = re.findall(r"^\$ ocs (rate .*)\n((?:.+\n)+)```", page, re.MULTILINE)
    assert shown
    for command, expected in shown:
        told = Terminal().run(*command.split())
        assert [line.rstrip() for line in told.splitlines()] == expected.splitlines()


def test_there_are_five() -> None:
    assert len(QUOTES) == 5

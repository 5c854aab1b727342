"""Every scenario comes true, on the reference ledger and on the real one."""

from pathlib import Path

import pytest

from tests.adapters.ledgers import Bench
from tests.usecases.scenario_language import parse
from tests.usecases.scenario_player import Player

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
SCENARIOS = {path.stem: path.read_text(encoding="utf-8") for path in FILES}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario(name: str, bench: Bench) -> None:
    await Player(parse(SCENARIOS[name]), bench).play()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("dance", "no line begins with 'dance'"),
        ("rate r 0.06 a minute by 60/60 tip 1", "'tip' is no term of a price"),
        ("wallet a main 1.00 shiny", "'shiny' is no term of a bucket"),
        ("at 0 start s a -> OK, everything moves", "everything moves"),
    ],
)
def test_a_line_that_is_not_understood_is_named(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as failure:
        parse(f"# a comment\n{line}")
    assert "line 2" in str(failure.value)

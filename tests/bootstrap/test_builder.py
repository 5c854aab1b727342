"""The tariff builder: what it reports, whatever becomes of it."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ocs.bootstrap import builder
from ocs.bootstrap.builder import MOST_PROBLEMS, TariffBuilder, build_tariffs
from ocs.config.reader import read_settings
from ocs.config.settings import Settings
from ocs.entrypoints.supervisor import Rebuilt

ROOT = Path(__file__).parents[2]
HEADER = "# currency = EUR\nprefix,destination,price_1,price_n,interval_1,interval_n\n"
GOOD = HEADER + "44,London,0.01,0.01,1,1\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "tariffs").mkdir()
    sample = read_settings(ROOT / "config/ocs.toml", {})
    return replace(
        sample,
        store=replace(sample.store, directory=str(tmp_path / "var")),
        rating=replace(sample.rating, tariffs=str(tmp_path / "tariffs")),
    )


def write(settings: Settings, text: str, name: str = "a-z") -> None:
    Path(settings.rating.tariffs, f"{name}.csv").write_text(text, encoding="utf-8")


def current(settings: Settings) -> str:
    return Path(settings.store.directory, "tariffs", "current").read_text(encoding="utf-8")


def test_good_tariffs_are_compiled_and_summed_up(settings: Settings) -> None:
    write(settings, GOOD)
    rebuilt = build_tariffs(settings)
    assert rebuilt.problems == ()
    assert Path(rebuilt.path).name == current(settings).strip()
    assert rebuilt.summary.endswith(": a-z (1 voice rates, EUR)")
    # The same files again are the same generation.
    assert build_tariffs(settings) == rebuilt


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (HEADER + "44,London,cheap,0.01,1,1\n", "a-z", "a-z.csv:3: price_1: "),
        (GOOD, "b", "plan standard: there is no tariff 'a-z'"),
    ],
)
def test_what_is_refused_leaves_the_former_generation_current(
    settings: Settings, text: str, name: str, problem: str
) -> None:
    write(settings, GOOD)
    former = build_tariffs(settings)
    Path(settings.rating.tariffs, "a-z.csv").unlink()
    write(settings, text, name)
    rebuilt = build_tariffs(settings)
    assert rebuilt.path == ""
    assert rebuilt.problems[0].startswith(problem)
    assert Path(former.path).exists()
    assert current(settings).strip() == Path(former.path).name


def test_the_first_start_is_refused_in_the_same_way(settings: Settings) -> None:
    write(settings, GOOD, "b")
    assert build_tariffs(settings).problems == ("plan standard: there is no tariff 'a-z'",)
    write(settings, HEADER + "44,London,cheap,0.01,1,1\n", "b")
    assert build_tariffs(settings).problems[0].startswith("b.csv:3: price_1: ")


def test_a_file_that_is_wrong_in_every_line_is_not_told_without_end(settings: Settings) -> None:
    write(settings, HEADER + "44,London,cheap,0.01,1,1\n" * (MOST_PROBLEMS + 5))
    problems = build_tariffs(settings).problems
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1] == "... and 5 more"


def test_a_folder_that_cannot_be_written_is_told(settings: Settings) -> None:
    write(settings, GOOD)
    Path(settings.store.directory).write_text("a file", encoding="utf-8")
    (problem,) = build_tariffs(settings).problems
    assert "Not a directory" in problem or "File exists" in problem


@pytest.mark.slow
def test_it_works_in_a_process_of_its_own(settings: Settings) -> None:
    write(settings, GOOD)
    rebuilt = TariffBuilder(settings).wait()
    assert rebuilt == build_tariffs(settings)


def of_code(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(builder, "python_command", lambda _: [sys.executable, "-S", "-c", code])


def test_a_builder_that_crashes_is_a_refusal(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_code(monkeypatch, "import sys; sys.stdin.read(); print('half a rep'); sys.exit(3)")
    assert TariffBuilder(settings).wait() == Rebuilt("", "", ("the tariff builder ended with 3",))


def test_a_builder_can_be_stopped_in_the_middle(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_code(monkeypatch, "import sys, signal; sys.stdin.read(); signal.pause()")
    working = TariffBuilder(settings)
    assert working.result() is None
    working.stop()
    working.stop()

"""A generation is published whole or not at all, and a damaged one is not served."""

import os
from pathlib import Path

import pytest

from ocs.adapters.tariff_files import (
    BadTariffsError,
    GenerationFileError,
    build,
    check_folder,
    generation_file,
    open_current,
    open_generation,
)
from ocs.domain.generation import TariffMeta
from ocs.domain.plan import Plan
from ocs.domain.tariff import Used, plan_tariffs

DECK = "# currency = EUR\nprefix,destination,cost_per_minute\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tariffs"
    folder.mkdir()
    return folder


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    return tmp_path / "compiled"


def write(folder: Path, rows: str, name: str = "deck") -> None:
    (folder / f"{name}.csv").write_text(DECK + rows)


def destination(compiled: Path, number: str = "49") -> str:
    rate = open_current(compiled).find(plan_tariffs("deck"), Used(number, "voice", 0))
    assert rate is not None
    return rate.destination


def test_the_generation_built_last_is_current(folder: Path, compiled: Path) -> None:
    write(folder, "49,Germany,1\n")
    first = build(folder, compiled)
    assert destination(compiled) == "Germany"
    write(folder, "49,Deutschland,1\n")
    second = build(folder, compiled)
    assert destination(compiled) == "Deutschland"
    assert open_current(compiled).id in second.name
    assert sorted(compiled.iterdir()) == sorted([first, second, compiled / "current"])


def test_a_mapped_generation_outlives_its_file(folder: Path, compiled: Path) -> None:
    paths, generations = [], []
    for name in ("one", "two", "three"):
        write(folder, f"49,{name},1\n")
        paths.append(build(folder, compiled))
        generations.append(open_current(compiled))
    assert [path.exists() for path in paths] == [False, True, True]
    rate = generations[0].find(plan_tariffs("deck"), Used("49", "voice", 0))
    assert rate is not None
    assert rate.destination == "one"


def test_a_bad_line_leaves_the_old_generation_in_force(folder: Path, compiled: Path) -> None:
    write(folder, "49,Germany,1\n")
    build(folder, compiled)
    before = sorted(compiled.iterdir())
    write(folder, "49,Deutschland,1\n44,,x\n")
    with pytest.raises(
        BadTariffsError, match=r"2 bad tariff lines; the first: deck\.csv, line 4"
    ) as bad:
        build(folder, compiled)
    assert [line.column for line in bad.value.bad_lines] == ["cost_per_minute", "destination"]
    assert destination(compiled) == "Germany"
    assert sorted(compiled.iterdir()) == before


def test_a_file_that_cannot_be_named_spoils_a_build(folder: Path, compiled: Path) -> None:
    write(folder, "49,Germany,1\n", name="a b")
    with pytest.raises(BadTariffsError, match="the name of a tariff file"):
        build(folder, compiled)


def test_unchanged_files_are_not_compiled_again(
    folder: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "49,Germany,1\n")
    path = build(folder, compiled)
    monkeypatch.setattr(generation_file, "encode", None)
    assert build(folder, compiled) == path
    assert destination(compiled) == "Germany"


def test_a_damaged_generation_is_compiled_again(folder: Path, compiled: Path) -> None:
    write(folder, "49,Germany,1\n")
    path = build(folder, compiled)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GenerationFileError, match="checksum"):
        open_current(compiled)
    assert build(folder, compiled) == path
    assert destination(compiled) == "Germany"


def test_no_damage_to_a_generation_goes_unnoticed(folder: Path, compiled: Path) -> None:
    write(folder, "49,Germany,1\n4917,Mobile,2\n")
    path = build(folder, compiled)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 1
        for damaged in (bytes(changed), whole[:position]):
            path.write_bytes(damaged)
            with pytest.raises(GenerationFileError, match=path.name):
                open_generation(path)


def test_what_is_not_there_cannot_be_opened(compiled: Path) -> None:
    with pytest.raises(GenerationFileError, match="no tariff generation has been built"):
        open_current(compiled)
    with pytest.raises(GenerationFileError, match=r"gen-0\.tariffs: cannot be read"):
        open_generation(compiled / "gen-0.tariffs")
    compiled.mkdir()
    (compiled / "current").write_bytes(b"\xff")
    with pytest.raises(GenerationFileError, match="no tariff generation has been built"):
        open_current(compiled)


def test_a_failed_write_leaves_nothing_behind(
    folder: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    write(folder, "49,Germany,1\n")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        build(folder, compiled)
    assert list(compiled.iterdir()) == []


def test_a_check_holds_plans_against_the_folder(folder: Path) -> None:
    write(folder, "49,Germany,1\n")
    good = check_folder(folder, [Plan("basic", plan_tariffs("deck"))])
    assert good.is_good
    assert good.tariffs == (TariffMeta("deck", "EUR", "voice", 1),)
    assert check_folder(folder, [Plan("basic", plan_tariffs("dekc"))]).plan_faults == (
        "plan basic: there is no tariff 'dekc'",
    )
    write(folder, "49,Germany,x\n")
    assert not check_folder(folder).is_good

"""Files and folders of tariffs, loaded to be compared or written anew."""

from pathlib import Path

import pytest

from ocs.adapters.tariff_files.exporting import NotWritableError
from ocs.bootstrap import comparing
from ocs.bootstrap.comparing import CannotCompareError, CannotLoad, diff, exported
from ocs.usecases.tariff_diff import Question

HEAD = "# currency = EUR\nprefix,destination,cost_per_minute\n"
OLD = f"{HEAD}491,Mobile,0.1\n492,Mobile,0.1\n493,Fixed,0.1\n"


def asked(usage_type: str) -> Question:
    return Question((60,) if usage_type == "voice" else (1,), 0, 10)


def file(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_two_files_are_compared_whatever_they_are_called(tmp_path: Path) -> None:
    old = file(tmp_path / "2025.csv", OLD)
    new = file(tmp_path / "2026.csv", OLD.replace("493,Fixed,0.1", "493,Fixed,0.2"))
    found = diff(old, new, asked)
    assert found.is_different
    (tariff,) = found.tariffs
    assert [
        (line.prefix, line.destination, line.weight, line.percent) for line in tariff.lines
    ] == [
        ("493", "Fixed", 1, ("+100.0",)),
        ("491", "Mobile", 2, ("0.0",)),
    ]
    assert not diff(old, old, asked).is_different


def test_folders_are_compared_name_by_name(tmp_path: Path) -> None:
    sms = "# currency = EUR\n# model = flat\n# usage_type = sms\nprefix,destination,price\n49,Germany,0.07\n"
    for name in ("both", "gone"):
        file(tmp_path / "old" / f"{name}.csv", OLD)
    file(tmp_path / "new" / "both.csv", OLD)
    file(tmp_path / "new" / "more.csv", sms)
    found = diff(tmp_path / "old", tmp_path / "new", asked)
    assert [tariff.name for tariff in found.tariffs] == ["both"]
    assert (found.only_in_old, found.only_in_new) == (("gone",), ("more",))
    assert found.is_different


def test_rows_for_some_callers_are_compared_as_those_callers(tmp_path: Path) -> None:
    head = "# currency = EUR\nprefix,destination,cost_per_minute,from_prefix,trunk\n"
    old = file(tmp_path / "old.csv", f"{head}49,Germany,0.1,,\n49,Germany,0.05,44,gw-1\n")
    new = file(tmp_path / "new.csv", f"{head}49,Germany,0.1,,\n49,Germany,0.06,44,gw-1\n")
    (tariff,) = diff(old, new, asked).tariffs
    assert {(line.from_prefix, line.trunk): line.new for line in tariff.lines} == {
        ("", ""): ("0.10",),
        ("44", "gw-1"): ("0.06",),
    }


def test_a_tariff_is_written_anew(tmp_path: Path) -> None:
    file(tmp_path / "deck" / "a.csv", OLD)
    assert exported(tmp_path / "deck", "a").splitlines()[-1] == "493,Fixed,0-: 0.1 per 60 by 60"
    with pytest.raises(CannotLoad, match="there is no tariff 'b'") as caught:
        exported(tmp_path / "deck", "b")
    assert str(caught.value).endswith("known: a")


def test_a_tariff_that_no_file_can_say_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritable(_sections: object) -> None:
        raise NotWritableError("a price without decimals")

    monkeypatch.setattr(comparing, "price_list_of", unwritable)
    file(tmp_path / "deck" / "a.csv", OLD)
    with pytest.raises(CannotLoad, match="a cannot be written: a price without decimals"):
        exported(tmp_path / "deck", "a")


def test_what_cannot_be_loaded_is_told_with_its_lines(tmp_path: Path) -> None:
    with pytest.raises(CannotLoad, match="is not there"):
        diff(tmp_path / "none", tmp_path, asked)
    bad = file(tmp_path / "bad.csv", OLD.replace("0.1", "cheap"))
    with pytest.raises(CannotLoad, match="cannot be loaded") as caught:
        diff(bad, bad, asked)
    assert {line.line for line in caught.value.bad_lines} == {3, 4, 5}


def test_decks_of_different_currencies_cannot_be_compared(tmp_path: Path) -> None:
    old = file(tmp_path / "old.csv", OLD)
    new = file(tmp_path / "new.csv", OLD.replace("EUR", "USD"))
    with pytest.raises(CannotCompareError, match="old is voice in EUR, new is voice in USD"):
        diff(old, new, asked)

"""`ocs tariff`: what comes from elsewhere, and what a new deck changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ocs.cli.app import app
from tests.adapters.tariff_import.tables import TABLES, written

DECK = (
    "# currency = EUR\nprefix,destination,cost_per_minute\n49,Germany,0.1\n44,United Kingdom,0.2\n"
)


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["tariff", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def as_json(*words: object) -> tuple[int, Any]:
    code, output, _ = run(*words, "--json")
    return code, json.loads(output)


def deck(path: Path, text: str = DECK) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestImport:
    def test_it_tells_what_it_wrote(self, tmp_path: Path) -> None:
        source, out = written(tmp_path / "plan"), tmp_path / "made"
        code, output, _ = run(
            "import", source, "--from", "cgrates", "--out", out, "--currency", "EUR"
        )
        assert code == 0
        assert "rp_de" in output
        assert f"written to {out}" in output
        assert 'tariffs = ["rp_de", "rp_world", "rp_data"]' in output
        assert run("check", out)[0] == 0

    def test_history_keeps_the_past(self, tmp_path: Path) -> None:
        source = written(tmp_path / "plan")
        words = "import", source, "--from", "cgrates", "--currency", "EUR", "--history"
        code, report = as_json(*words, "--out", tmp_path / "made")
        assert code == 0
        assert {tariff["name"] for tariff in report["tariffs"]} == {
            "rp_de", "rp_world-20200101", "rp_world-20260101", "rp_data",
        }  # fmt: skip

    def test_it_tells_every_fault_and_writes_nothing(self, tmp_path: Path) -> None:
        source = written(
            tmp_path / "plan", Rates=TABLES["Rates.csv"].replace("0.06", "x").replace("0.3", "y")
        )
        words = (
            "import",
            source,
            "--from",
            "cgrates",
            "--out",
            tmp_path / "made",
            "--currency",
            "EUR",
        )
        code, output, _ = run(*words)
        assert code == 1
        assert "2 faults: nothing was written" in output
        assert "'x' is not a decimal number" in output
        code, report = as_json(*words)
        assert code == 1
        assert [fault["line"] for fault in report["faults"]] == [2, 4]
        assert not (tmp_path / "made").exists()

    def test_usage_types_and_zone_are_options(self, tmp_path: Path) -> None:
        profiles = TABLES["RatingProfiles.csv"].replace(",data,", ",internet,")
        source = written(tmp_path / "plan", RatingProfiles=profiles)
        words = (
            "import",
            source,
            "--from",
            "cgrates",
            "--currency",
            "EUR",
            "--usage",
            "internet=data",
        )
        code, report = as_json(*words, "--zone", "Europe/Berlin", "--out", tmp_path / "made")
        assert code == 0
        assert {tariff["name"]: tariff["usage_type"] for tariff in report["tariffs"]}[
            "rp_data"
        ] == "data"
        assert "# zone = Europe/Berlin\n" in (tmp_path / "made" / "rp_de.csv").read_text("utf-8")

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (("--from", "asterisk"), "none of cgrates, billrun, portsip"),
            (
                ("--from", "cgrates", "--zone", "Mars/North"),
                "--zone: 'Mars/North' is not a time zone",
            ),
            (("--from", "cgrates", "--usage", "x=fax"), "--usage: 'x=fax' is not a name"),
            (("--from", "cgrates", "--currency", "XXQ"), "unknown currency"),
        ],
    )
    def test_what_is_asked_wrongly_is_told(
        self, tmp_path: Path, words: tuple[str, ...], reason: str
    ) -> None:
        code, _, error = run(
            "import", tmp_path, "--out", tmp_path / "made", "--currency", "EUR", *words
        )
        assert code == 2
        assert reason in error


class TestExport:
    def test_a_tariff_is_written_in_one_form(self, tmp_path: Path) -> None:
        deck(tmp_path / "tariffs" / "a.csv")
        code, output, _ = run("export", "a", "--tariffs", tmp_path / "tariffs")
        assert code == 0
        assert output.endswith(
            "44,United Kingdom,0-: 0.2 per 60 by 60\n49,Germany,0-: 0.1 per 60 by 60\n"
        )

    def test_the_configured_folder_is_meant_unless_another_is_named(self) -> None:
        code, output, _ = run("export", "a-z")
        assert code == 0
        assert output.startswith("# currency = EUR\n")
        code, _, error = run("export", "b")
        assert code == 1
        assert "there is no tariff 'b'" in error


class TestDiff:
    def test_nothing_changes(self, tmp_path: Path) -> None:
        old = deck(tmp_path / "old.csv")
        code, output, _ = run("diff", old, old)
        assert (code, "no call costs another amount" in output) == (0, True)
        assert run("diff", old, old, "--quiet") == (0, "", "")

    def test_what_changes_is_told(self, tmp_path: Path) -> None:
        old = deck(tmp_path / "old.csv")
        new = deck(tmp_path / "new.csv", DECK.replace("0.2", "0.25"))
        code, output, _ = run("diff", old, new)
        assert code == 1
        row = next(line.split() for line in output.splitlines() if line.startswith("44"))
        assert row == ["44", "United", "Kingdom", "dearer", "1", "0.20", "0.25", "+25.0", "0.60", "0.75", "+25.0", "2.00", "2.50", "+25.0"]  # fmt: skip
        assert run("diff", old, new, "-q") == (1, "", "")

    def test_machines_get_the_same(self, tmp_path: Path) -> None:
        old = deck(tmp_path / "old.csv")
        new = deck(tmp_path / "new.csv", f"{DECK}1,Canada,0.1\n")
        sample = deck(tmp_path / "numbers.txt", "+4930123\n\n4940123\n")
        code, found = as_json("diff", old, new, "--numbers", sample, "--units", 30, "--units", 90)
        assert code == 1
        (tariff,) = found["tariffs"]
        assert tariff["units"] == [30, 90]
        assert tariff["counts"]["new"] == 1
        assert [(line["prefix"], line["weight"], line["old"]) for line in tariff["lines"]] == [
            ("49", 2, ["0.10", "0.20"])
        ]

    def test_tariffs_that_come_and_go_are_told(self, tmp_path: Path) -> None:
        deck(tmp_path / "old" / "a.csv")
        deck(tmp_path / "new" / "b.csv")
        code, output, _ = run(
            "diff", tmp_path / "old", tmp_path / "new", "--at", "2026-01-07T10:00"
        )
        assert code == 1
        assert "gone tariff a" in output
        assert "new tariff b" in output

    @pytest.mark.parametrize(
        ("text", "words", "reason"),
        [
            (DECK.replace("EUR", "USD"), (), "cannot be compared|is voice in USD"),
            (DECK.replace("0.1", "x"), (), "new.csv, line 3: cost_per_minute: 'x' is not"),
            (DECK, ("--at", "soon"), "--at: 'soon' is neither"),
            (DECK, ("--zone", "Mars"), "--zone"),
            (DECK, ("--numbers", "none.txt"), "--numbers: none.txt cannot be read"),
        ],
    )
    def test_what_cannot_be_compared_is_told(
        self, tmp_path: Path, text: str, words: tuple[str, ...], reason: str
    ) -> None:
        old, new = deck(tmp_path / "old.csv"), deck(tmp_path / "new.csv", text)
        code, _, error = run("diff", old, new, *words)
        assert code == 2
        assert any(each in error for each in reason.split("|"))


class TestCheck:
    def test_every_bad_line_is_told(self, tmp_path: Path) -> None:
        deck(tmp_path / "tariffs" / "good.csv")
        assert run("check", tmp_path / "tariffs")[:2] == (
            0,
            "good  tariff good: 2 rates, voice, EUR\n",
        )
        deck(tmp_path / "tariffs" / "bad.csv", DECK.replace("0.1", "x").replace("44,", "4x,"))
        code, output, _ = run("check", tmp_path / "tariffs")
        assert code == 1
        assert "2 bad lines" in output
        code, report = as_json("check", tmp_path / "tariffs")
        assert code == 1
        assert [(line["file"], line["line"], line["column"]) for line in report["bad_lines"]] == [
            ("bad.csv", 3, "cost_per_minute"),
            ("bad.csv", 4, "prefix"),
        ]

    def test_a_folder_is_needed(self, tmp_path: Path) -> None:
        code, _, error = run("check", tmp_path / "none")
        assert (code, "is not a folder" in error) == (2, True)


class TestMatch:
    rates = '{"rates": [{"key": "UK", "params": {"prefix": ["44"]}, "rates": {"call": {}}}]}'
    filters = '{"retail": [[{"type": "longestPrefix", "rate_key": "params.prefix", "line_key": "number"}]]}'
    event = '{"time": "2026-01-07T10:00:00Z", "usaget": "call", "number": "4479"}'

    def test_each_category_tells_its_rate(self, tmp_path: Path) -> None:
        words = (
            "match",
            deck(tmp_path / "r.json", self.rates),
            "--filters",
            deck(tmp_path / "f.json", self.filters),
        )
        code, output, _ = run(*words, "--event", self.event)
        assert (code, output.splitlines()[1].split()) == (0, ["retail", "UK", "1"])
        code, report = as_json(
            *words, "--event", deck(tmp_path / "e.json", self.event.replace("4479", "33"))
        )
        assert code == 1
        assert report["matches"] == [{"category": "retail", "rate": None, "priority": None}]
        assert "not rated" in run(*words, "--event", tmp_path / "e.json")[1]

    @pytest.mark.parametrize(
        ("rates", "filters", "event", "reason"),
        [
            ("{", filters, event, "r.json: is not JSON"),
            ("{}", filters, event, "r.json: is not a list of rates"),
            (rates, "[]", event, "f.json: is not an object of filters"),
            (rates, '{"retail": [[{}]]}', event, "is not one of match"),
            (rates, filters, "{", "the event: is not JSON"),
            (rates, filters, "none.json", "none.json: cannot be read"),
            (rates, filters, '{"time": "soon"}', "'soon' is not a date"),
            (rates, filters, "{}", "the event has no time"),
        ],
    )
    def test_what_cannot_be_used_is_told(
        self, tmp_path: Path, rates: str, filters: str, event: str, reason: str
    ) -> None:
        words = (
            "match",
            deck(tmp_path / "r.json", rates),
            "--filters",
            deck(tmp_path / "f.json", filters),
        )
        code, _, error = run(*words, "--event", event)
        assert code == 2
        assert reason in error

    def test_an_event_is_an_object(self, tmp_path: Path) -> None:
        words = (
            "match",
            deck(tmp_path / "r.json", self.rates),
            "--filters",
            deck(tmp_path / "f.json", self.filters),
        )
        code, _, error = run(*words, "--event", deck(tmp_path / "e.json", "[]"))
        assert (code, "is not an object" in error) == (2, True)

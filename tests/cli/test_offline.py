"""`ocs offline`: what people type, and what they are told."""

import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ocs.cli.charts import Bar, bar_chart
from tests.bootstrap.offline_scene import Scene, write_cdrs
from tests.cli.terminal import Terminal

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def options(scene: Scene, path: Path, *more: str) -> tuple[str, ...]:
    where = ("--in", str(path), "--out", str(scene.out), "--config", str(scene.config))
    return ("offline", "run", *where, "--subscribers", str(scene.subscribers), *more)


def rate(scene: Scene, path: Path, *more: str, expect: int = 0) -> Terminal:
    terminal = Terminal()
    terminal.run(*options(scene, path, *more), expect=expect)
    return terminal


def good(scene: Scene) -> Path:
    """Three calls that have a price: 60, 90 and 0 seconds to Germany."""
    lines = ["cdr_id,subscriber,called,trunk_in,answer_ms,units"]
    calls = [
        (1_789_772_400_000, 60, "north"),
        (1_789_776_000_000, 90, ""),
        (1_789_776_000_000, 0, ""),
    ]
    lines += [
        f"c{number},441632960001,4917112345678,{trunk},{at_ms},{units}"
        for number, (at_ms, units, trunk) in enumerate(calls)
    ]
    path = scene.folder / "cdrs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_run_tells_what_it_did_and_keeps_it(scene: Scene) -> None:
    told = rate(scene, good(scene)).stdout
    assert "3 CDRs rated in" in told
    assert "4 entries: 3 used, 1 skipped" in told
    (kept,) = (scene.out / "runs").iterdir()
    assert f"kept in {kept}" in told
    summary = json.loads(kept.read_bytes())
    assert (summary["rated"], summary["rejected"]) == (3, {})
    (money,) = summary["money"]
    assert re.search(rf"demo +EUR +3 +{money['amount'] / 1e6:g}", told)
    again = rate(scene, good(scene)).stdout
    assert "0 CDRs rated in" in again
    assert "3 were done before" in again
    assert len(list((scene.out / "runs").iterdir())) == 2


def test_rejects_are_told_and_end_with_1(scene: Scene) -> None:
    path = write_cdrs(scene.folder / "cdrs.csv", 5)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("bad\n")
    told = rate(scene, path, expect=1).stdout
    assert re.search(r"UNREADABLE +1\b", told)
    (scene.folder / "some").mkdir()
    (scene.folder / "some" / "notes").write_text("none", encoding="utf-8")
    terminal = rate(scene, scene.folder / "some", expect=1)
    assert "not read: " in terminal.stderr
    assert "does not tell in which format it is" in terminal.stderr


def test_a_summary_for_machines(scene: Scene) -> None:
    told = Terminal().json(*options(scene, good(scene)))
    (kept,) = (scene.out / "runs").iterdir()
    assert told == json.loads(kept.read_bytes())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--tenant", "mars"), "there is no 'mars'; known: demo, acme"),
        (("--format", "morse"), "'morse' is none of csv, ndjson"),
        (("--zone", "Mars/Olympus"), "is not a time zone"),
        (("--seconds", "sideways"), "seconds"),
        (("--field", "called"), "expected name=column, not 'called'"),
        (("--field", "colour=x"), "is none of"),
        (("--subscribers", "nowhere.csv"), "nowhere.csv cannot be read"),
    ],
)
def test_what_was_asked_wrongly(scene: Scene, more: tuple[str, ...], reason: str) -> None:
    terminal = rate(scene, good(scene), *more, expect=2)
    assert reason in terminal.stderr
    assert not (scene.out / "chunks").exists()


def test_subscribers_with_a_bad_line(scene: Scene) -> None:
    scene.subscribers.write_text("identity,account,plan\n1,a,none\n", encoding="utf-8")
    assert ":2: plan: there is no plan 'none'" in rate(scene, good(scene), expect=2).stderr


def test_options_of_the_readers_arrive(scene: Scene) -> None:
    line = (
        '"","441632960001","4917112345678","in","","PJSIP/a-1","","Dial","","2026-09-19 00:00:00",'
        '"2026-09-19 00:00:00","2026-09-19 00:01:00","60","60","ANSWERED","3","u1"\n'
    )
    path = scene.folder / "Master.csv"
    path.write_text(line, encoding="utf-8")
    given = ("--format", "asterisk", "--extra-column", "uniqueid", "--switch", "pbx")
    rate(scene, path, *given, "--field", "trunk_out=dcontext")
    (row,) = pl.read_parquet(scene.parts()[0], hive_partitioning=False).to_dicts()
    assert row["cdr_id"].startswith("pbx/u1")
    assert (row["trunk_out"], row["day"].isoformat(), row["hour"]) == ("in", "2026-09-19", 0)
    assert row["used_ms"] == 1_789_772_400_000, "the zone is the tenant's"


def test_figures_for_a_collector(scene: Scene) -> None:
    path = good(scene)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\nbad\n")
    figures = scene.folder / "ocs.prom"
    rate(scene, path, "--metrics-file", str(figures), expect=1)
    lines = figures.read_text(encoding="utf-8").splitlines()
    assert "# TYPE ocs_cdr_rated_total counter" in lines
    assert "ocs_cdr_rated_total 3" in lines
    assert 'ocs_cdr_rejected_total{code="UNREADABLE"} 1' in lines
    assert "ocs_cdr_left_bytes 0" in lines
    (lag,) = (line for line in lines if line.startswith("ocs_cdr_lag_seconds "))
    assert float(lag.split()[1]) > 0
    assert not list(scene.folder.glob("*.new"))


def test_subscribers_of_the_store(scene: Scene, terminal: Terminal) -> None:
    terminal.run("account", "create", "alpha", "--currency", "EUR")
    terminal.run("account", "create", "omega", "--currency", "USD")
    terminal.run("subscriber", "create", "441632960001", "--account", "alpha", "--plan", "standard")
    terminal.run("subscriber", "create", "441632960002", "--account", "omega", "--plan", "standard")
    path = good(scene)
    text = path.read_text(encoding="utf-8").replace("c1,441632960001", "c1,441632960002")
    path.write_text(text.replace("c2,441632960001", "c2,441632960009"), encoding="utf-8")
    given = options(scene, path)[:-2]
    told = terminal.json(*given, expect=1)
    assert told["rejected"] == {"RATING_FAILED": 1, "UNKNOWN_SUBSCRIBER": 1}
    (row,) = pl.read_parquet(scene.parts()[0], hive_partitioning=False).to_dicts()
    assert (row["cdr_id"], row["account"], row["plan"]) == ("c0", "alpha", "standard")


@pytest.mark.slow
def test_a_store_that_is_away(scene: Scene) -> None:
    given = options(scene, good(scene))[:-2]
    terminal = Terminal()
    terminal.run(*given, "--dir", str(scene.folder / "nowhere"), expect=1)
    assert "the same command goes on" in terminal.stderr


def test_without_the_extra_it_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ocs.bootstrap.offline_columns", None)
    assert "pip install 'ocs[offline]'" in rate(scene, good(scene), expect=1).stderr
    monkeypatch.setitem(sys.modules, "ocs.adapters.columns.traffic", None)
    terminal = Terminal()
    terminal.run("offline", "report", "--of", str(scene.out), expect=1)
    assert "pip install 'ocs[offline]'" in terminal.stderr


def reported(scene: Scene, by: str) -> list[tuple[Any, ...]]:
    lines = Terminal().json("offline", "report", "--of", str(scene.out), "--by", by)
    return [tuple(line[name] for name in ("key", "cdrs", "used", "units")) for line in lines]


def test_a_report_tells_traffic_apart(scene: Scene) -> None:
    rate(scene, good(scene))
    assert reported(scene, "hour") == [("00", 1, 1, 60), ("01", 2, 1, 90)]
    assert reported(scene, "day") == [("2026-09-19", 3, 2, 150)]
    assert reported(scene, "trunk") == [("", 2, 1, 90), ("north", 1, 1, 60)]
    assert reported(scene, "trunk-out") == [("", 3, 2, 150)]
    ((name, *counts),) = reported(scene, "destination")
    assert (name, counts) == ("Germany Mobile T-Mobile", [3, 2, 150])
    (row,) = Terminal().rows("offline", "report", "--of", str(scene.out), "--by", "day")
    assert row[:6] == ["demo", "voice", "2026-09-19", "3", "2", "150"]


def test_a_report_is_drawn(scene: Scene) -> None:
    rate(scene, good(scene))
    svg = scene.folder / "report.svg"
    of = ("offline", "report", "--of", str(scene.out), "--by", "hour", "--svg", str(svg))
    Terminal().run(*of)
    texts = [each.text for each in ET.parse(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert texts[:2] == ["Money by hour", "00"]
    terminal = Terminal()
    terminal.run(*of[:-1], str(scene.folder / "no" / "report.svg"), expect=1)
    assert "No such file" in terminal.stderr


def test_a_report_on_nothing(tmp_path: Path) -> None:
    terminal = Terminal()
    terminal.run("offline", "report", "--of", str(tmp_path), expect=1)
    assert "holds no rated CDRs" in terminal.stderr


def test_bars_are_as_long_as_their_values() -> None:
    bars = [Bar("a <b>", 400, "4"), Bar("x" * 99, 100, "1"), Bar("back", -5, "-5")]
    drawing = ET.fromstring(bar_chart("Money & more", bars))  # noqa: S314
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(each.get("width", 0)) for each in drawing.iter(f"{space}rect")]
    assert widths[1:] == [480.0, 120.0, 0.0]
    texts = [each.text or "" for each in drawing.iter(f"{space}text")]
    assert texts[:3] == ["Money & more", "a <b>", "4"]
    assert len(texts[3]) == 32
    assert ET.fromstring(bar_chart("none", [])) is not None  # noqa: S314

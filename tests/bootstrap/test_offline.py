"""CDRs from files into rated files: each at its online price, none lost, none twice."""

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ocs.usecases.offline_rating import Fate
from ocs.usecases.rejects import Reject, read
from tests.bootstrap.offline_scene import Scene, online_prices, write_cdrs

pytestmark = pytest.mark.slow

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
golden = pytest.importorskip("tests.adapters.cdr_files.golden")
chunks = pytest.importorskip("ocs.adapters.cdr_files.chunks")
opening = pytest.importorskip("ocs.adapters.cdr_files.opening")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some ten lines instead of some 200,000."""
    monkeypatch.setattr(opening, "BLOCK", 1_000)
    monkeypatch.setattr(chunks, "CHUNK_ENTRIES", 30)


def rated(scene: Scene) -> list[dict[str, Any]]:
    """All rows of the output, by id."""
    rows = pl.concat(pl.read_parquet(path, hive_partitioning=False) for path in scene.parts())
    found: list[dict[str, Any]] = rows.sort("cdr_id").to_dicts()
    return found


def rejected(scene: Scene) -> list[Reject]:
    lines = [read(line) for path in scene.rejects() for line in path.read_bytes().splitlines()]
    return [line for line in lines if isinstance(line, Reject)]


def every_row_costs_what_it_costs_online(scene: Scene, count: int) -> None:
    path = write_cdrs(scene.folder / "cdrs.csv", count)
    summary = scene.run(path)
    rows = {row["cdr_id"]: row for row in rated(scene)}
    codes = {reject.line: reject.code for reject in rejected(scene)}
    total = 0
    for line, (cdr, (code, amount, tariff, prefix)) in enumerate(online_prices(scene, path), 2):
        row = rows.get(cdr["cdr_id"])
        if code == "OK":
            assert row is not None, cdr
            told = row["code"], row["amount"], row["tariff"], row["prefix"]
            assert told == (code, amount, tariff, prefix), cdr
            total += amount
        elif cdr["units"] == "0":
            assert row is not None, cdr
            assert (row["code"], row["amount"], row["tariff"]) == ("NOT_CHARGED", 0, None)
        else:
            assert codes[line] == code
    assert (summary.rated, summary.cdrs) == (len(rows), count)
    assert sum(summary.rejected.values()) == len(codes) == count - len(rows)
    assert sum(money.amount for money in summary.money) == total


def test_every_row_costs_what_it_costs_online(scene: Scene) -> None:
    every_row_costs_what_it_costs_online(scene, 20_000)


@pytest.mark.nightly
def test_a_million_rows_cost_what_they_cost_online(scene: Scene) -> None:
    every_row_costs_what_it_costs_online(scene, 1_000_000)


@pytest.mark.usefixtures("small_chunks")
def test_what_is_done_is_not_done_again(scene: Scene) -> None:
    path = write_cdrs(scene.folder / "cdrs.csv", 200)
    first = scene.run(path)
    assert first.chunks["rated"] > 3
    rows, times = rated(scene), [part.stat().st_mtime_ns for part in scene.parts()]
    again = scene.run(path)
    assert again.chunks == {"rated": 0, "found": first.chunks["rated"], "elsewhere": 0}
    assert (again.rated, again.rated_now, again.money) == (first.rated, 0, first.money)
    assert (rated(scene), times) == (rows, [part.stat().st_mtime_ns for part in scene.parts()])


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_is_known_by_what_is_in_it(scene: Scene) -> None:
    path = write_cdrs(scene.folder / "cdrs.csv", 200)
    first = scene.run(path)
    packed = scene.folder / "elsewhere" / "copy.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    copied = scene.run(path, packed)
    assert copied.rated_now == 0
    assert (copied.rated, copied.money) == (first.rated, first.money), "a copy counts once"
    path.write_bytes(path.read_bytes().replace(b"c150,", b"x150,"))
    changed = scene.run(path)
    assert 0 < changed.chunks["found"] < first.chunks["rated"], "what stands before is the same"
    assert changed.chunks["rated"] + changed.chunks["found"] == first.chunks["rated"]


def test_rows_lie_by_tenant_and_by_the_day_of_its_clocks(scene: Scene) -> None:
    lines = [
        "cdr_id,tenant,subscriber,called,answer_ms,units",
        "a,,441632960001,4917112345678,1789772400000,60",  # 2026-09-19 00:00 in London
        "b,,441632960001,4917112345678,1789772399000,60",
        "c,mars,441632960001,4917112345678,1789772399000,60",
    ]
    path = scene.folder / "cdrs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    summary = scene.run(path)
    days = [f"{part.parent.parent.name}/{part.parent.name}" for part in scene.parts()]
    assert days == ["tenant=demo/day=2026-09-18", "tenant=demo/day=2026-09-19"]
    assert summary.rejected == {"UNKNOWN_TENANT": 1}
    (reject,) = rejected(scene)
    assert (reject.file, reject.line, reject.column) == (str(path), 4, "tenant")
    (row,) = (row for row in rated(scene) if row["cdr_id"] == "a")
    assert (row["account"], row["plan"], row["hour"]) == ("alpha", "standard", 0)
    assert (row["settled"], row["called_number"]) == ("recorded", "4917112345678")


def test_rejects_can_be_given_in_again(scene: Scene) -> None:
    lines = [
        "cdr_id,subscriber,called,answer_ms,units",
        "good,441632960001,4917112345678,1789772400000,60",
        "new,441632969999,4917112345678,1789772400000,60",
        "bad,441632960001,4917112345678,1789772400000,sixty",
        "broken,441632960001",
    ]
    path = scene.folder / "cdrs.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    first = scene.run(path)
    assert first.rejected == {"UNKNOWN_SUBSCRIBER": 1, "UNREADABLE": 2}
    (rejects,) = scene.rejects()

    unchanged = scene.run(rejects)
    assert (unchanged.rated, unchanged.rejected) == (0, first.rejected)
    places = {(reject.file, reject.line) for reject in rejected(scene)}
    assert places == {(str(path), 3), (str(path), 4), (str(path), 5)}, "where they stood at first"

    later = max(set(scene.rejects()) - {rejects}, key=lambda each: each.stat().st_mtime_ns)
    mended = [*scene.rejects()]
    for each in mended:
        if each != rejects:
            text = each.read_text(encoding="utf-8").replace(",sixty", ",60")
            each.write_text(text, encoding="utf-8")
    with scene.subscribers.open("a", encoding="utf-8") as stream:
        stream.write("441632969999,delta,standard\n")
    assert later in mended
    last = scene.run(scene.out / "rejects")
    assert last.rated_now == 2
    assert [row["cdr_id"] for row in rated(scene)] == ["bad", "good", "new"]
    assert {row["line"] for row in rated(scene)} == {2, 3, 4}
    assert last.chunks["found"] == 2, "the first round is done"


@pytest.mark.parametrize("path", golden.FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_format_is_rated_and_its_counts_add_up(scene: Scene, path: Path) -> None:
    expected = golden.expected(path)
    options = {name: value for name, value in expected["options"].items() if name != "tenant"}
    scene.subscribers.write_text(people_of(expected["rows"]), encoding="utf-8")
    tenant = next((row["tenant"] for row in expected["rows"] if "tenant" in row), "demo")
    reading = {"zone": "UTC"} | options
    summary = scene.run(path, tenant=tenant, format_name=path.parent.name, reading=reading)
    assert summary.unread == ()
    assert (summary.entries, summary.used, summary.skipped) == tuple(
        expected[name] for name in ("entries", "used", "skipped")
    )
    assert summary.cdrs == len(expected["rows"]) == summary.rated + unpriced(summary.rejected)
    assert summary.rejected.get("UNREADABLE", 0) == len(expected["rejects"])
    unknown = [
        row for row in expected["rows"] if not who(row) or row.get("tenant", tenant) != tenant
    ]
    assert summary.rejected.get("UNKNOWN_SUBSCRIBER", 0) <= len(unknown)


def people_of(rows: list[dict[str, Any]]) -> str:
    """A file in which all of them are subscribers."""
    names = Counter(Scene.clean(who(row)) for row in rows if who(row))
    return "\n".join(["identity,account,plan", *(f'"{name}",a,standard' for name in names)])


def who(row: dict[str, Any]) -> str:
    found: str = row.get("subscriber") or row.get("calling") or row.get("trunk_in") or ""
    return found


def unpriced(by_code: Any) -> int:
    return sum(count for code, count in by_code.items() if code != "UNREADABLE")


def test_what_cannot_be_read_is_told_and_the_rest_is_rated(scene: Scene) -> None:
    folder = scene.folder / "in"
    folder.mkdir()
    write_cdrs(folder / "b.csv", 10)
    write_cdrs(folder / ".c.csv", 10, first=100)
    (folder / "a.txt").write_text("what is this\n", encoding="utf-8")
    summary = scene.run(folder)
    assert (summary.files, summary.cdrs) == (1, 10)
    (unread,) = summary.unread
    assert unread.file == str(folder / "a.txt")
    assert "does not tell in which format it is" in unread.reason


def test_the_output_is_no_input(scene: Scene) -> None:
    write_cdrs(scene.folder / "cdrs.csv", 10)
    scene.subscribers.rename(scene.folder / ".people")
    first = scene.run(scene.folder / "cdrs.csv", subscribers=scene.folder / ".people")
    everything = scene.run(scene.folder, subscribers=scene.folder / ".people")
    assert everything.cdrs == first.cdrs
    assert {Path(each.file).name for each in everything.unread} == {"ocs.toml"}


RUN = """
import sys
from pathlib import Path
from ocs.adapters.cdr_files import chunks, opening
from tests.bootstrap.offline_scene import Scene
opening.BLOCK, chunks.CHUNK_ENTRIES = 20_000, 500
print("begun", flush=True)
Scene(Path(sys.argv[1])).run(Path(sys.argv[1]) / "cdrs.csv")
print("done", flush=True)
"""


def killed_after(scene: Scene, seconds: float) -> bool:
    """Run in a process of its own and kill it; whether it had come to its end."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", RUN, str(scene.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.stdout.readline() == "done\n"


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_is_not(tmp_path: Path) -> None:
    """Kill -9 at random points, without and within the writing of a chunk."""
    undisturbed, disturbed = Scene(tmp_path / "a"), Scene(tmp_path / "b")
    for scene in (undisturbed, disturbed):
        write_cdrs(scene.folder / "cdrs.csv", 20_000)
    began_s = time.monotonic()
    assert killed_after(undisturbed, 300.0)
    whole_s = time.monotonic() - began_s
    chance = Random(1)
    kills = 0
    while not killed_after(disturbed, chance.uniform(0.2, 1.0) * whole_s / 2):
        kills += 1
        assert kills < 50
    assert kills > 0
    names = [path.relative_to(undisturbed.out) for path in undisturbed.parts()]
    assert names == [path.relative_to(disturbed.out) for path in disturbed.parts()]
    for left, right in ((undisturbed, disturbed),):
        assert [without_file(row) for row in rated(left)] == [
            without_file(row) for row in rated(right)
        ]
        assert Counter(map(told, rejected(left))) == Counter(map(told, rejected(right)))
    assert [*(disturbed.out / ".new").iterdir()] == []


def without_file(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "file"}


def told(reject: Reject) -> tuple[int, str, str, str]:
    return reject.line, reject.code, reject.reason, reject.text


def test_a_chunk_that_another_run_is_at_is_left_to_it(scene: Scene) -> None:
    path = write_cdrs(scene.folder / "cdrs.csv", 10)
    first = scene.run(path)
    (mark,) = (scene.out / "chunks").iterdir()
    name = json.loads(mark.read_bytes())["name"]
    mark.unlink()
    with scene.output().claimed(name) as is_ours:
        assert is_ours
        other = scene.run(path)
    assert other.chunks[Fate.ELSEWHERE] == 1
    assert other.rated == 0
    assert scene.run(path).rated_now == first.rated

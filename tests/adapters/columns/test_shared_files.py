"""Several write one chunk into one folder without a lock: one's rows count, all of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocs.usecases.offline_rating import ChunkReport
from tests.adapters.columns.test_rated_files import Died, chunk, content, rated

shared_files = pytest.importorskip(
    "ocs.adapters.columns.shared_files", reason="the extra `offline` is not installed"
)

MARK = ".decided/n1"


def put(folder: Path, worker: str, amount: int = 7) -> ChunkReport:
    """What a worker does with a chunk that has no report."""
    output = shared_files.SharedFiles(folder, worker)
    with output.claimed("n1") as is_ours:
        assert is_ours
        found: ChunkReport = output.report("n1") or output.put(chunk(), rated(amount))
    return found


def seen(folder: Path) -> dict[str, Any]:
    """All that a reader of the folder sees, but for who wrote it."""
    found = content(folder)
    assert found.pop(MARK)
    return found


def test_it_is_written_as_by_one(tmp_path: Path) -> None:
    report = put(tmp_path, "w1")
    found = content(tmp_path)
    assert set(found) == {*report.parts, "chunks/n1.json", MARK}
    assert len(report.parts) == 4
    assert found["tenant=demo/day=2026-09-19/n1.parquet"][0]["amount"] == 7
    assert not list((tmp_path / ".new").iterdir())


def test_of_two_at_a_chunk_one_counts(tmp_path: Path) -> None:
    """Both looked before either had written; prices changed in between."""
    one, other = (shared_files.SharedFiles(tmp_path, name) for name in ("w1", "w2"))
    with one.claimed("n1"), other.claimed("n1"):
        assert one.report("n1") is other.report("n1") is None
        first = one.put(chunk(), rated(7))
        before = content(tmp_path)
        assert other.put(chunk(), rated(8)) == first
    assert content(tmp_path) == before
    assert not list((tmp_path / ".new").iterdir())


def dying(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """After so many renames and links within the output the process is gone."""
    left = iter(range(steps))

    def until(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(path: Any, target: Any) -> Any:
            if next(left, None) is None:
                raise Died
            return work(path, target)

        return step

    monkeypatch.setattr(Path, "replace", until(Path.replace))
    monkeypatch.setattr(os, "link", until(os.link))


@pytest.mark.parametrize("steps", range(13))
def test_another_finishes_it_wherever_one_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Its own folder takes six renames; the seventh step is the link that decides."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    put(undisturbed, "w1", 7 if steps > 6 else 8)
    dying(monkeypatch, steps)
    if steps < 12:
        with pytest.raises(Died):
            put(folder, "w1", 7)
    else:
        put(folder, "w1", 7)
    monkeypatch.undo()
    put(folder, "w2", 8)
    assert seen(folder) == seen(undisturbed)
    assert not list((folder / ".new").iterdir())


@pytest.mark.parametrize("steps", range(7, 13))
def test_two_may_finish_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """One dies with a part of the files moved; another is stopped at it while a third ends it."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    put(undisturbed, "w1")
    dying(monkeypatch, 7)
    with pytest.raises(Died):
        put(folder, "w1")
    monkeypatch.undo()
    move, count = Path.replace, iter(range(steps - 7))

    def interrupted(path: Path, target: Path) -> Path:
        if next(count, None) is None:
            monkeypatch.undo()
            put(folder, "w3", 8)
        return move(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    put(folder, "w2", 8)
    assert seen(folder) == seen(undisturbed)


def test_one_who_was_stopped_for_long_decides_nothing(tmp_path: Path) -> None:
    late = shared_files.SharedFiles(tmp_path, "late")
    with late.claimed("n1"):
        put(tmp_path, "w1", 7)
        before = content(tmp_path)
        late.put(chunk(), rated(8))
    assert content(tmp_path) == before


def test_what_was_taken_away_is_not_taken_for_done(tmp_path: Path) -> None:
    """Half of what says that it is done: nothing is written, and that is told."""
    put(tmp_path, "w1")
    (tmp_path / "chunks" / "n1.json").unlink()
    with pytest.raises(OSError, match=r"n1 says that it was written, and it is not there"):
        put(tmp_path, "w2", 8)
    (tmp_path / MARK).unlink()
    assert put(tmp_path, "w2", 8).rated == 3


def test_a_folder_has_one_id(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    found = shared_files.output_id(one)
    assert shared_files.output_id(one) == found != shared_files.output_id(other)
    assert [path.name for path in one.iterdir()] == [".id"]


def test_what_a_run_has_written_since_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker dies when its rows are decided for; a run then writes the chunk in its own way."""
    output = shared_files.SharedFiles(tmp_path, "w1")
    with monkeypatch.context() as patch:
        patch.setattr(output, "_finish", lambda _: None)
        with pytest.raises(OSError, match="it is not there"):
            output.put(chunk(), rated(7))
    files = shared_files.RatedFiles(tmp_path)
    with files.claimed("n1"):
        files.put(chunk(), rated(8))
    before = {name: found for name, found in content(tmp_path).items() if name[0] != "."}
    put(tmp_path, "w2", 9)
    assert seen(tmp_path) == before


def test_what_is_decided_for_is_on_the_disk_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk, sync, link = set[Path](), shared_files.synced, os.link

    def linked(mark: Path, place: Path) -> None:
        assert {mark, mark.parent / "chunks", mark.parent, mark.parent.parent} <= on_disk
        link(mark, place)

    def synced(path: Path) -> None:
        sync(path)
        on_disk.add(path)

    monkeypatch.setattr(shared_files, "synced", synced)
    monkeypatch.setattr(os, "link", linked)
    put(tmp_path, "w1")

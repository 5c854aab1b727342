"""`ocs offline share`, `work` and `shares` on a real store, and the thread that renews."""

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap import sharing
from ocs.bootstrap.offline import opened_work
from ocs.bootstrap.sharing import Queue, WorkJob, opened_worker
from ocs.bootstrap.stores import CannotStart, open_stores
from ocs.cli import offline_share
from ocs.config.settings import Settings
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.sharing_work import Share, Way
from tests.adapters.store import ask
from tests.bootstrap.offline_scene import Scene, write_cdrs

pytestmark = pytest.mark.slow

pl = pytest.importorskip("polars", reason="the extra `offline` is not installed")
pytest.importorskip("ocs.bootstrap.offline_columns")
app = pytest.importorskip("ocs.cli.app").app

LEASE_MS = 100
WHOLE = Share(name="n", file="a.csv", size=9, format="csv", options={}, piece=None)


@pytest.fixture
def scene(tmp_path: Path, store_server: EmbeddedStore) -> Scene:
    """A scene with an empty store."""
    scene = Scene(tmp_path / "scene")
    asyncio.run(_emptied(store_server, scene.settings))
    return scene


async def _emptied(server: EmbeddedStore, settings: Settings) -> None:
    await ask(server, "FLUSHALL")
    async with open_stores(at(settings, server), first_start=True):
        pass


def at(settings: Settings, server: EmbeddedStore) -> Settings:
    return replace(settings, store=replace(settings.store, url=server.url))


@pytest.fixture
def queue(scene: Scene, store_server: EmbeddedStore) -> Iterator[Queue]:
    opened = Queue(at(scene.settings, store_server), "cdr", lease_ms=LEASE_MS)
    with opened.opened():
        opened.join("here", Way.DEBIT)
        yield opened


class Shell:
    """Commands in the scene."""

    def __init__(self, scene: Scene, server: EmbeddedStore) -> None:
        self._place = ("--config", str(scene.config), "--store", server.url)
        self._scene = scene

    def __call__(self, *words: object) -> Result:
        arguments = ["offline", *map(str, words), *self._place]
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)

    def told(self, *words: object) -> Any:
        answer = self(*words, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    def work(self, *options: object) -> Result:
        who = ("--subscribers", self._scene.subscribers)
        return self("work", "--out", self._scene.out, *who, *options)


@pytest.fixture
def shell(scene: Scene, store_server: EmbeddedStore) -> Shell:
    return Shell(scene, store_server)


def test_what_is_shared_and_worked_is_what_a_run_writes(
    scene: Scene, shell: Shell, tmp_path: Path
) -> None:
    path = write_cdrs(scene.folder / "a.csv", 300)
    said = shell("share", "--in", path)
    assert said.stdout == "1 files, 1 shares, 1 of them new\n"
    copy = scene.folder / "copy.csv"
    copy.write_bytes(path.read_bytes())
    again = shell.told("share", "--in", path, "--in", copy)
    assert again == {"files": 2, "shares": 2, "added": 0, "unread": []}
    figures = tmp_path / "figures.prom"
    done = shell.work("--metrics-file", figures)
    assert done.exit_code == 0, done.output
    assert "300 CDRs rated in" in done.stdout
    assert 'ocs_cdr_shares{state="waiting"} 0' in figures.read_text(encoding="utf-8")
    assert "ocs_cdr_rated_total 300" in figures.read_text(encoding="utf-8")
    elsewhere = shell("work", "--out", tmp_path / "elsewhere")
    assert elsewhere.exit_code == 1
    assert "go into another output than this one" in elsewhere.stderr
    shared = [pl.read_parquet(part) for part in scene.parts()]
    names = [part.name for part in scene.parts()]
    scene.out = scene.folder / "run"
    scene.run(path)
    assert [part.name for part in scene.parts()] == names
    for part, found in zip(scene.parts(), shared, strict=True):
        assert pl.read_parquet(part).equals(found)


def test_all_workers_of_a_queue_do_the_same_about_money(scene: Scene, shell: Shell) -> None:
    path = write_cdrs(scene.folder / "a.csv", 30)
    shell("share", "--in", path)
    bad_list = scene.folder / "nobody.csv"
    refused = shell("work", "--out", scene.out, "--subscribers", bad_list)
    assert refused.exit_code == 2
    assert shell.told("shares")["way"] == "", "who cannot start binds nothing"
    assert "queue is worked" not in shell("shares").stdout
    assert shell("work", "--out", scene.out, "--no-debit").exit_code == 1, "nobody is known"
    assert "the queue is worked with --no-debit" in shell("shares").stdout
    for options, named in (
        ((), "--debit"),
        (("--subscribers", scene.subscribers), "--subscribers"),
    ):
        refused = shell("work", "--out", scene.out, *options)
        assert refused.exit_code == 1
        assert f"the queue cdr is worked with --no-debit, and not with {named}" in refused.stderr
    assert shell("work", "--out", scene.out, "--no-debit").exit_code == 0


def test_what_was_rated_without_debiting_is_set_aside(
    scene: Scene, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a run into the same folder, say, or by the workers of another queue."""
    monkeypatch.setattr(offline_share, "LOOK_EVERY_S", 0.02)
    path = write_cdrs(scene.folder / "a.csv", 30)
    shell("share", "--in", path)
    scene.run(path)
    assert shell("work", "--out", scene.out, "--lease", 0.1).exit_code == 1
    assert "was rated into this output without debiting" in shell("shares").stdout


def test_runs_and_workers_are_not_at_one_output(
    scene: Scene, shell: Shell, store_server: EmbeddedStore
) -> None:
    path = write_cdrs(scene.folder / "a.csv", 30)
    shell("share", "--in", path)
    run = ("run", "--in", path, "--out", scene.out, "--subscribers", scene.subscribers)
    with opened_work(scene.settings, scene.job(path)) as work:
        refused = shell.work()
        assert shell(*run).exit_code == 0, "runs share it"
        assert len(work.files) == 1
    assert refused.exit_code == 1
    assert f"{scene.out} is in use by a run (ocs offline run)" in refused.stderr
    assert shell.told("shares")["way"] == ""
    job = WorkJob(out=scene.out, subscribers=scene.subscribers)
    with opened_worker(at(scene.settings, store_server), job, lambda: True):
        refused = shell(*run)
        assert shell.work().exit_code == 0, "workers share it"
    assert refused.exit_code == 1
    assert f"{scene.out} is in use by a worker (ocs offline work, " in refused.stderr
    assert shell(*run).exit_code == 0


def test_a_worker_without_anything_to_do_ends(shell: Shell) -> None:
    assert shell.work().exit_code == 0
    assert shell.told("shares") == {
        "way": "subscribers",
        "backlog": {"waiting": 0, "under_way": 0, "aside": 0},
        "under_way": [],
        "aside": [],
    }


def test_files_that_cannot_be_read_are_told(scene: Scene, shell: Shell) -> None:
    write_cdrs(scene.folder / "a.csv", 5)
    unknown = scene.folder / "unknown"
    unknown.write_text("what\n", encoding="utf-8")
    answer = shell("share", "--in", unknown, "--in", scene.folder / "a.csv")
    assert answer.exit_code == 1
    assert "1 files, 1 shares, 1 of them new" in answer.stdout
    assert f"not read: {unknown}: format: " in answer.stderr
    assert shell("share", "--in", unknown, "--tenant", "nobody").exit_code == 2


def test_what_is_set_aside_is_shown_and_given_out_again(
    scene: Scene, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline_share, "LOOK_EVERY_S", 0.02)
    path = write_cdrs(scene.folder / "a.csv", 20)
    shell("share", "--in", path)
    sound = path.read_bytes()
    path.write_bytes(sound[:-9])
    ended = shell.work("--lease", 0.1)
    assert ended.exit_code == 1
    assert "1 shares are set aside: ocs offline shares" in ended.stderr
    shown = shell("shares").stdout
    assert "0 waiting, 0 under way, 1 set aside" in shown
    assert "is not what it was when it was shared" in shown
    assert f"{path}:1" in shown
    assert "0 shares are forgotten" in shell("shares", "--queue", "other", "--drop").stdout
    path.write_bytes(sound)
    assert "1 shares are given out again" in shell("shares", "--again").stdout
    assert shell.work().exit_code == 0


def test_rejects_make_the_exit_code_1(scene: Scene, shell: Shell) -> None:
    path = scene.folder / "a.csv"
    path.write_text("cdr_id,called,answer_ms,units\nc1,4420,1,60\n", encoding="utf-8")
    shell("share", "--in", path)
    assert shell.work().exit_code == 1


def test_a_store_that_is_not_there_is_told(scene: Scene) -> None:
    nowhere = CliRunner().invoke(
        app, ["offline", "shares", "--config", str(scene.config), "--store", "unix:///nowhere"]
    )
    assert nowhere.exit_code == 1
    assert "the same command goes on from it" in nowhere.stderr


def quiet_ms(queue: Queue) -> int:
    (under_way,) = queue.under_way()
    return under_way.quiet_ms


def test_a_share_in_hand_is_renewed(queue: Queue) -> None:
    queue.add([WHOLE])
    held = queue.take()
    assert held is not None
    with queue.holding(held):
        seen = []
        for _ in range(40):
            time.sleep(0.01)
            seen.append(quiet_ms(queue))
        assert any(later < before for before, later in pairwise(seen))
    queue.give_back(held)
    assert queue.take() == held


def test_who_hangs_loses_what_he_has(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "PATIENCE_S", 0.0)
    queue.add([WHOLE])
    held = queue.take()
    assert held is not None
    with queue.holding(held):
        time.sleep(LEASE_MS / 1_000 * 1.5)
        again = queue.take()
    assert again is not None
    assert again.attempt == 2


def test_another_output_is_refused(queue: Queue) -> None:
    with pytest.raises(CannotStart, match="go into another output than this one"):
        queue.join("there", Way.DEBIT)


def test_a_store_that_goes_is_told(scene: Scene, own_server: EmbeddedStore) -> None:
    asyncio.run(_emptied(own_server, scene.settings))
    queue = Queue(at(scene.settings, own_server), "cdr", lease_ms=LEASE_MS)
    with queue.opened():
        queue.add([WHOLE])
        queue.join("here", Way.DEBIT)
        held = queue.take()
        assert held is not None
        own_server.stop()
        with queue.holding(held):
            time.sleep(LEASE_MS / 1_000)  # a renewal that fails is no end
        with pytest.raises(LedgerUnavailable):
            queue.done(held)
        with pytest.raises(CannotStart):
            queue.join("here", Way.DEBIT)

"""`ocs offline run --engine ray` on a cluster of this machine: real processes, the rows of a run.

Needs the extra `ray`, which a development install has not: CI brings it (.ci/run).
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from tests.acceptance.test_offline_kills import Sidecar
from tests.bootstrap.offline_scene import Scene, write_cdrs

PATIENCE_S: Final = 180
FATES: Final = ("settled", "settled_amount", "settled_reason")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]

DYING: Final = """
import os, sys
from functools import partial
from pathlib import Path
from ocs.adapters.engines import on_ray
from ocs.adapters.engines.on_ray import EngineFault, ray_cluster, spread

on_ray.RESTARTS = 1

def make(folder):
    def do(item):
        with (folder / f"{item}").open("a") as log:
            log.write(f"{os.getpid()}\\n")
        tries = len((folder / f"{item}").read_text().splitlines())
        if item == 3 and tries == 1 or item == sys.maxsize:
            os._exit(9)
        if item == -1:
            raise ValueError("wrong item")
        return item, os.getpid()
    return do

def done(*items):
    return list(spread(partial(make, Path(sys.argv[1])), items, actors))

with ray_cluster() as processors:
    actors = 2
    found = done(*range(20))
    assert sorted(item for item, _ in found) == list(range(20)), found
    pids = {pid for _, pid in found}
    assert len(pids) >= 2 and os.getpid() not in pids, pids
    assert len((Path(sys.argv[1]) / "3").read_text().splitlines()) > 1
    assert done() == []
    try:
        done(1, -1)
    except ValueError as error:
        assert str(error) == "wrong item"
    try:
        done(sys.maxsize)
    except EngineFault as fault:
        print("EngineFault", " ".join(str(fault).split()))
    else:
        raise SystemExit("a process that always dies is told")
"""


def run(*words: object, code: str = "") -> subprocess.CompletedProcess[str]:
    program = ["-c", code] if code else ["-m", "ocs", "offline", "run"]
    return subprocess.run(
        [sys.executable, *program, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_rows_are_those_of_a_run_here(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene")
    inputs = scene.folder / "in"
    inputs.mkdir()
    for number in range(4):
        write_cdrs(inputs / f"{number}.csv", 300, seed=number, first=300 * number)
    (inputs / "broken.csv").write_text(
        "cdr_id,called,answer_ms,units\nc1,4420,1,sixty\n", encoding="utf-8"
    )
    place = ("--config", scene.config, "--subscribers", scene.subscribers, "--in", inputs)
    ended = run(*place, "--out", scene.out, "--engine", "ray")
    assert ended.returncode == 1, ended.stdout + ended.stderr  # there is a reject
    found = {part.name: pl.read_parquet(part) for part in scene.parts()}
    rejects = [part.read_bytes() for part in scene.rejects()]
    again = run(*place, "--out", scene.out, "--engine", "ray", "--json")
    assert '"rated_now":0' in again.stdout.replace(" ", "")
    scene.out = scene.folder / "here"
    scene.run(inputs)
    here = {part.name: pl.read_parquet(part) for part in scene.parts()}
    assert found.keys() == here.keys()
    assert len(here) >= 4
    assert all(found[name].equals(rows) for name, rows in here.items())
    assert rejects == [part.read_bytes() for part in scene.rejects()]


def test_debits_are_those_of_a_run_here(folder: Path, own_server: EmbeddedStore) -> None:
    sidecar = Sidecar(folder, own_server)
    sidecar.reset()
    sidecar.finish("here")
    rows, wallets = sidecar.outcome("here")
    sidecar.reset()
    place = ("--config", sidecar.config, "--store", own_server.url)
    ended = run("--in", sidecar.inputs, "--out", folder / "ray", "--engine", "ray", *place)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found, left = sidecar.outcome("ray")
    assert left == wallets
    assert found.drop(*FATES).equals(rows.drop(*FATES))
    debited = found.filter(pl.col("settled") == "debited")
    assert debited["cdr_id"].is_unique().all()
    assert len(debited) == rows["settled"].value_counts().filter(settled="debited")["count"].item()


def test_an_item_outlives_the_process_that_it_kills(tmp_path: Path) -> None:
    ended = run(tmp_path, code=DYING)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "EngineFault Ray: " in ended.stdout

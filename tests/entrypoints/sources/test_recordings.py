"""Recorded requests of every source are understood and answered as their recordings say."""

from copy import deepcopy
from pathlib import Path

import pytest

from ocs.domain.results import ResultCode
from tests.entrypoints.sources.recordings import FOLDER, read, recordings, request_of, told
from tests.entrypoints.sources.stage import Stage, shipped_sources

SOURCES = shipped_sources()
REFUSED = {str(code) for code in ResultCode} - {"OK", "NOT_CHARGED", "INVALID_EVENT"}
# Every source has a recording of each; who sends no messages needs none of an event.
KINDS = {"start", "update", "release", "refused", "repeated", "bad"}
MESSAGES = {"classic", "billrun-doc", "default", "diameter", "kv"}


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in recordings()]
)
async def test_a_recording(path: Path) -> None:
    stage = await Stage.open(SOURCES)
    for number, step in enumerate(read(path)["steps"]):
        reply = told(await stage.post(request_of(step, path)))
        expected = {name: value for name, value in step.items() if name != "request"}
        assert reply == expected, f"step {number}"
    stage.ledger.check_invariants()


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in recordings()]
)
async def test_all_of_a_recording_again_moves_nothing(path: Path) -> None:
    """A session that is over has its last answer only; the others are known, and not told again."""
    stage = await Stage.open(SOURCES)
    requests = [request_of(step, path) for step in read(path)["steps"]]
    first = [await stage.post(request) for request in requests]
    wallets = deepcopy(stage.ledger.books.wallets)
    again = [await stage.post(request) for request in requests]
    assert stage.ledger.books.wallets == wallets
    for before, after in zip(first, again, strict=True):
        assert after.hit or after.outcome in (before.outcome, "CONFLICT", "REPEAT_EXPIRED")


@pytest.mark.parametrize("folder", sorted(path.name for path in FOLDER.iterdir()))
def test_a_source_has_a_recording_of_every_kind(folder: str) -> None:
    steps = [
        step for path in recordings() if path.parent.name == folder for step in read(path)["steps"]
    ]
    shown = {step["event"]["kind"] for step in steps if "event" in step}
    shown |= {"refused" for step in steps if step["outcome"] in REFUSED}
    shown |= {"repeated" for step in steps if "hit" in step}
    shown |= {"bad" for step in steps if step["outcome"] == "INVALID_EVENT"}
    assert shown >= KINDS | ({"event"} if folder in MESSAGES else set())


def test_every_folder_is_of_a_source() -> None:
    names = {source.name for source in SOURCES}
    assert {path.name for path in FOLDER.iterdir()} <= names

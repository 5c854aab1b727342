"""What the embedded store does to its log gives way to charges, and nobody's file is cut."""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ocs.adapters.valkey import log_keeper
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.folder_watch import FolderWatch
from ocs.adapters.valkey.log_keeper import (
    LEAST_STEP_BYTES,
    LOOKS_TO_FREE,
    NICENESS,
    ROUNDS_OF_PATIENCE,
    LogKeeper,
)
from tests.adapters.store import ask, running

NOBODY = 0
"""No process: only files are looked at."""
SIZE = 3 * LEAST_STEP_BYTES - 1
LOOKS = 4
"""Of a round: enough to free a file of that size."""
PATIENCE_S = 60.0
"""A child that is idle to the kernel may take long where other tests keep all processors busy."""


def _look(keeper: LogKeeper, rounds: int = 1) -> None:
    for _ in range(rounds):
        keeper.look_around(NOBODY)
        for _ in range(LOOKS):
            keeper.look(NOBODY)


def _written(folder: Path) -> Path:
    path = folder / "appendonly.aof.1.incr.aof"
    path.write_bytes(b"*" * SIZE)
    return path


def _held() -> dict[str, int]:
    """Names and sizes of the logs that this process holds, seen without opening them."""
    held = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor that lists the folder
            held[str(link.readlink())] = link.stat().st_size
    return {name: size for name, size in held.items() if ".aof" in name}


def _held_sizes() -> list[int]:
    """Sizes of those that have no name any more."""
    return [size for name, size in _held().items() if name.endswith("(deleted)")]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    return folder


@pytest.fixture
def keeper(logs: Path) -> Iterator[LogKeeper]:
    keeper = LogKeeper(logs)
    yield keeper
    keeper.close()


# --- Files ---------------------------------------------------------------------------------------


def test_a_removed_file_is_freed_step_by_step(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper)
    path.unlink()
    assert _held_sizes() == [SIZE], "the removal frees nothing"
    keeper.look_around(NOBODY)
    sizes = []
    while held := _held_sizes():
        assert keeper.is_freeing
        sizes += held
        keeper.look(NOBODY)
    assert sorted(set(sizes), reverse=True) == [
        SIZE,
        SIZE - LEAST_STEP_BYTES,
        SIZE - 2 * LEAST_STEP_BYTES,
    ]


def test_much_is_freed_in_larger_steps(logs: Path, keeper: LogKeeper) -> None:
    """So that a log that is often written anew does not fill the disk with what is removed."""
    path = _written(logs)
    size = 2 * LOOKS_TO_FREE * LEAST_STEP_BYTES
    os.truncate(path, size)  # with holes
    _look(keeper)
    path.unlink()
    keeper.look_around(NOBODY)
    keeper.look(NOBODY)
    assert _held_sizes() == [size - 2 * LEAST_STEP_BYTES]


def test_a_file_with_a_name_is_left_alone(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper, 3)
    assert path.stat().st_size == SIZE


def test_a_file_that_was_linked_or_moved_away_is_left_alone(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper)
    (logs.parent / "backup").hardlink_to(path)
    path.unlink()
    _look(keeper, 3)
    assert (logs.parent / "backup").stat().st_size == SIZE


def test_whoever_reads_a_removed_file_reads_all_of_it(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper)
    with path.open("rb") as backup:
        path.unlink()
        _look(keeper, 3)
        assert len(backup.read()) == SIZE
    _look(keeper, 3)
    assert _held_sizes() == [], "and then it is freed"


def test_a_file_that_somebody_keeps_open_is_let_go_at_last(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper)
    with path.open("rb") as backup:
        path.unlink()
        _look(keeper, ROUNDS_OF_PATIENCE + 2)
        assert len(_held_sizes()) == 1, "the reader's own"
        assert len(backup.read()) == SIZE


def test_at_the_end_nothing_is_held(logs: Path, keeper: LogKeeper) -> None:
    path = _written(logs)
    _look(keeper)
    path.unlink()
    keeper.close()
    assert _held_sizes() == []


def test_without_a_folder_there_is_nothing_to_do(logs: Path, keeper: LogKeeper) -> None:
    logs.rmdir()
    _look(keeper, 2)


# --- A real store --------------------------------------------------------------------------------


def _niceness(task: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, task)


def _children(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _eventually(is_so: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.005)


async def _child_of(store: EmbeddedStore) -> int:
    """Let the store write its log anew, which takes it two seconds."""
    for number in range(100):
        await ask(store, "SET", f"key{number}", "value")
    await ask(store, "CONFIG", "SET", "rdb-key-save-delay", 20_000)  # µs a key
    await ask(store, "BGREWRITEAOF")
    pid = store.pid
    assert pid is not None
    _eventually(lambda: len(_children(pid)) == 1)
    return _children(pid)[0]


async def test_a_child_that_rewrites_the_log_gives_way(directory: Path) -> None:
    with running(EmbeddedStore(directory)) as store:
        child = await _child_of(store)
        _eventually(lambda: os.sched_getscheduler(child) == os.SCHED_IDLE)
        assert _niceness(child) == NICENESS
        assert _niceness(store.pid or 0) == 0
        assert os.sched_getscheduler(store.pid or 0) == os.SCHED_OTHER


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, or RLIMIT_NICE, to put it forward again")
async def test_a_child_that_becomes_old_gets_its_share(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_keeper, "IDLE_FOR_S", 0.5)
    with running(EmbeddedStore(directory)) as store:
        child = await _child_of(store)
        _eventually(lambda: os.sched_getscheduler(child) == os.SCHED_IDLE)
        _eventually(lambda: os.sched_getscheduler(child) == os.SCHED_OTHER)
        assert _niceness(child) == NICENESS


def test_threads_that_close_files_give_way(directory: Path) -> None:
    with running(EmbeddedStore(directory)) as store:
        tasks = [*Path(f"/proc/{store.pid}/task").iterdir()]
        names = {int(task.name): (task / "comm").read_text().strip() for task in tasks}
        behind = [task for task, name in names.items() if name in {"bio_aof", "bio_close_file"}]
        assert len(behind) == 2, names
        _eventually(lambda: all(_niceness(task) == NICENESS for task in behind))
        assert _niceness(store.pid or 0) == 0


async def test_the_former_log_is_gone_when_it_was_written_anew(directory: Path) -> None:
    with running(EmbeddedStore(directory)) as store:
        for number in range(100):
            await ask(store, "SET", f"key{number}", "v" * 100_000)
        (former,) = (directory / "appendonlydir").glob("*.incr.aof")
        _eventually(lambda: str(former) in _held())
        await ask(store, "BGREWRITEAOF")
        _eventually(lambda: not former.exists())
        _eventually(lambda: _held_sizes() == [])
    with running(EmbeddedStore(directory)) as again:
        assert await ask(again, "DBSIZE") == 100


def test_a_store_serves_where_the_kernel_tells_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more() -> FolderWatch:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(log_keeper, "FolderWatch", no_more)
    with running(EmbeddedStore(directory)) as store:
        assert store.poll()
    assert "nothing gives way to the store: Too many open files" in caplog.text

"""A folder's changes are told by the kernel; contents are not names."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ocs.adapters.valkey.folder_watch import FolderWatch

LONG_S = 10.0


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[FolderWatch]:
    watch = FolderWatch()
    watch.add(tmp_path)
    yield watch
    watch.close()


def test_names_that_come_go_and_change_are_told(watch: FolderWatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert watch.wait(LONG_S)
    path = path.rename(tmp_path / "log.old")
    assert watch.wait(LONG_S)
    path.unlink()
    assert watch.wait(LONG_S)
    assert not watch.wait(0), "and each once"


def test_what_is_written_is_not_told(watch: FolderWatch, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert watch.wait(LONG_S)
    path.write_bytes(b"more")
    assert not watch.wait(0)


def test_a_folder_may_be_added_again(watch: FolderWatch, tmp_path: Path) -> None:
    watch.add(tmp_path)
    (tmp_path / "log").touch()
    assert watch.wait(LONG_S)
    assert not watch.wait(0)


def test_without_the_folder_it_says_so(watch: FolderWatch, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        watch.add(tmp_path / "none")


def test_another_thread_ends_the_wait(watch: FolderWatch) -> None:
    began_s = time.monotonic()
    threading.Timer(0.01, watch.wake).start()
    assert not watch.wait(LONG_S)
    assert not watch.wait(LONG_S), "and every later one"
    assert time.monotonic() < began_s + LONG_S

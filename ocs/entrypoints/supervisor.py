"""The parent process: it starts workers, watches them, and touches no request.

    ocs serve ──┬── store            (embedded; watched by its own adapter)
                ├── worker, slot 0   exec'd, with its sockets and one end of a control socket
                ├── worker, slot 1
                ├── journal drainer  (watched by its own keeper, too)
                └── tariff builder   at a start and at SIGHUP, for a moment

It is synchronous, one loop around `select`: a parent with an event loop and threads of its own
could not be relied on to be there when everything else is in trouble. Workers are exec'd, never
forked: a fork of a process with connections and locks in it inherits their state, half of it.

Everything between parent and worker goes through the control socket, a line a message:

    parent → worker   the specification (first line), then `tariffs <path>` after a reload
    worker → parent   `ready` when it serves, `tariffs <id>` when it has swapped

and when the parent is killed, the worker reads the end of file, finishes what it has in hand, and
goes. Signals: SIGTERM and SIGINT drain, the second one ends now; SIGHUP rebuilds the tariffs.

Rejected: pre-fork servers (gunicorn and its like) replace the worker, not the slot, so that a
restarted worker starts with an empty queue; and they do not know the store.
"""

import logging
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from ocs.entrypoints.listening import Slot
from ocs.entrypoints.restarts import Restarts

if TYPE_CHECKING:
    import subprocess

TICK_S: Final = 0.25
"""How often everything is looked at; signals and deaths wake the loop at once."""
AFTER_DRAIN_S: Final = 5.0
"""A worker that has not ended so long after its drain time does not end by itself."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LONGEST_READ: Final = 4_096

_log = logging.getLogger(__name__)


class Rebuilt(Struct, frozen=True):
    """What became of building tariffs: a generation to load, or the reasons why there is none."""

    path: str
    summary: str
    problems: tuple[str, ...] = ()


class Builder(Protocol):
    """A tariff builder at work."""

    def result(self) -> Rebuilt | None:
        """Return what it made, None while it works."""
        ...

    def stop(self) -> None:
        """End it, whatever it does."""
        ...


class Work(Protocol):
    """What the supervisor is given to do it with."""

    def start_worker(self, slot: Slot, control: socket.socket) -> "subprocess.Popen[bytes]":
        """Start a process that has inherited the slot's sockets and `control`."""
        ...

    def specification(self, slot: Slot) -> bytes:
        """Return the first line for a worker, with the generation that is in force."""
        ...

    def start_builder(self) -> Builder:
        """Start to build the tariffs as they are now."""
        ...

    def use_tariffs(self, path: str) -> None:
        """Make this generation the one that workers start with."""
        ...

    def store_trouble(self) -> str:
        """Watch the store; return why it is given up, empty while it is not."""
        ...

    def watch_journal(self) -> None:
        """Keep the journal's drainer at work."""
        ...

    def ready(self) -> None:
        """Tell that all workers serve; called once."""
        ...


class _Worker:
    """A process in a slot, and its end of the control socket."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", control: socket.socket, now_s: float
    ) -> None:
        self.process = process
        self.control = control
        self.started_s = now_s
        self.ready = False
        self.hung_up = False
        self._heard = b""

    def tell(self, line: bytes) -> None:
        try:
            self.control.sendall(line + b"\n")
        except OSError as error:
            # A worker that does not listen is dying or hung; its death is noticed elsewhere.
            _log.warning("worker %d does not listen: %s", self.process.pid, error)

    def hear(self) -> list[bytes]:
        """Return the whole lines that have come since."""
        try:
            data = self.control.recv(_LONGEST_READ)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        # It has closed its end and will be gone in a moment: no longer worth waking up for.
        self.hung_up = not data
        *lines, self._heard = (self._heard + data).split(b"\n")
        return lines


class _Post:
    """A slot that has, had or will have a worker."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.worker: _Worker | None = None
        self.restarts = Restarts()
        self.start_at_s = 0.0
        self.given_up = False


class Supervisor:
    """`run` until a signal or until nothing is left to supervise."""

    def __init__(
        self,
        slots: Sequence[Slot],
        work: Work,
        *,
        monotonic_s: Callable[[], float],
        drain_s: float,
    ) -> None:
        self._posts = [_Post(slot) for slot in slots]
        self._work = work
        self._monotonic_s = monotonic_s
        self._drain_s = drain_s
        self._announced = False
        self._builder: Builder | None = None
        self._rebuild_again = False
        self._kill_at_s: float | None = None
        self._failed = False

    def run(self) -> int:
        """Return the exit code: 0 after a drain that was asked for and in which all ended well."""
        with _signals() as wake:
            while not self._draining or any(self._workers()):
                self._start_due()
                self._wait(wake)
                for number in _received(wake):
                    self._signalled(number)
                self._listen()
                self._bury()
                self._watch_store()
                self._watch_journal()
                self._watch_builder()
                self._enforce_end()
        if self._builder is not None:
            self._builder.stop()
        return 1 if self._failed else 0

    @property
    def _draining(self) -> bool:
        return self._kill_at_s is not None

    def _workers(self) -> Iterator[_Worker]:
        return (post.worker for post in self._posts if post.worker is not None)

    # --- Workers --------------------------------------------------------------------------------

    def _start_due(self) -> None:
        now_s = self._monotonic_s()
        for post in self._posts:
            due = post.worker is None and not post.given_up and now_s >= post.start_at_s
            if due and not self._draining:
                self._start(post)

    def _start(self, post: _Post) -> None:
        ours, theirs = socket.socketpair()
        # The specification is larger than a pipe may take at once; a worker reads it first thing.
        ours.settimeout(AFTER_DRAIN_S)
        with theirs:
            process = self._work.start_worker(post.slot, theirs)
        post.worker = _Worker(process, ours, self._monotonic_s())
        post.worker.tell(self._work.specification(post.slot))
        # All else is a short line that is sent or not: this loop waits for nobody.
        ours.settimeout(0)

    def _listen(self) -> None:
        for worker in self._workers():
            for line in worker.hear():
                verb, _, rest = line.decode(errors="replace").partition(" ")
                if verb == "ready":
                    worker.ready = True
                elif verb == "tariffs":
                    _log.info("worker %d serves tariffs %s", worker.process.pid, rest)
        all_ready = all(post.worker and post.worker.ready for post in self._posts)
        if all_ready and not self._announced:
            self._announced = True
            self._work.ready()

    def _bury(self) -> None:
        for post in self._posts:
            if post.worker is not None and post.worker.process.poll() is not None:
                self._died(post, post.worker)
        if not self._draining and all(post.given_up for post in self._posts):
            self._fail("no worker is left")

    def _died(self, post: _Post, worker: _Worker) -> None:
        post.worker = None
        worker.control.close()
        code = worker.process.returncode
        if self._draining:
            # One that was still starting has not learnt yet to end on SIGTERM in good order.
            self._failed = self._failed or (code != 0 and worker.ready)
            return
        now_s = self._monotonic_s()
        pause_s = post.restarts.pause_after(now_s - worker.started_s)
        if pause_s is None:
            post.given_up = True
            # Nobody accepts here any more: what the kernel would queue must be refused instead.
            post.slot.close()
            deaths = post.restarts.quick_deaths
            _log.error("slot %d: %d quick deaths, not again", post.slot.number, deaths)
            return
        post.start_at_s = now_s + pause_s
        _log.error(
            "worker %d of slot %d ended with %d, again in %.1f s",
            worker.process.pid,
            post.slot.number,
            code,
            pause_s,
        )

    # --- Store and tariffs ----------------------------------------------------------------------

    def _watch_journal(self) -> None:
        if not self._draining:
            self._work.watch_journal()

    def _watch_store(self) -> None:
        trouble = self._work.store_trouble()
        if trouble and not self._draining:
            self._fail(trouble)

    def _fail(self, reason: str) -> None:
        _log.critical("%s", reason)
        self._failed = True
        self._drain()

    def _reload(self) -> None:
        if self._draining:
            return
        if self._builder is not None:
            # The files may have changed after the builder read them.
            self._rebuild_again = True
            return
        _log.info("building the tariffs anew")
        self._builder = self._work.start_builder()

    def _watch_builder(self) -> None:
        result = None if self._builder is None else self._builder.result()
        if result is None:
            return
        self._builder = None
        for problem in result.problems:
            _log.error("tariffs: %s", problem)
        if result.problems:
            _log.error("the tariffs are not loaded; the former ones go on serving")
        else:
            _log.info("tariffs built: %s", result.summary)
            self._work.use_tariffs(result.path)
            for worker in self._workers():
                worker.tell(f"tariffs {result.path}".encode())
        if self._rebuild_again:
            self._rebuild_again = False
            self._reload()

    # --- Ending ---------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        elif number in {signal.SIGTERM, signal.SIGINT}:
            if self._draining:
                self._kill_at_s = self._monotonic_s()
            else:
                self._drain()

    def _drain(self) -> None:
        _log.info("draining: what is in hand has %.0f s", self._drain_s)
        self._kill_at_s = self._monotonic_s() + self._drain_s + AFTER_DRAIN_S
        for post in self._posts:
            # Connections that no worker accepts any more must be refused, not queued for nobody.
            post.slot.close()
            if post.worker is not None:
                post.worker.process.send_signal(signal.SIGTERM)

    def _enforce_end(self) -> None:
        if self._kill_at_s is None or self._monotonic_s() < self._kill_at_s:
            return
        for worker in self._workers():
            _log.error("worker %d is killed", worker.process.pid)
            worker.process.kill()
            worker.process.wait()

    def _wait(self, wake: socket.socket) -> None:
        controls = [worker.control for worker in self._workers() if not worker.hung_up]
        now_s = self._monotonic_s()
        dues = [post.start_at_s for post in self._posts if not post.worker and not post.given_up]
        timeout_s = max(0.0, min([TICK_S, *(due - now_s for due in dues)]))
        select.select([wake, *controls], [], [], timeout_s)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Turn signals into bytes of a socket, until the end."""
    wake, waker = socket.socketpair()
    wake.settimeout(0)
    waker.settimeout(0)
    # `_note` alone would lose what comes: so the socket is there before it, and after it.
    former_waker = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    former = {number: signal.signal(number, _note) for number in _SIGNALS}
    try:
        yield wake
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former_waker)
        wake.close()
        waker.close()


def _note(number: int, frame: FrameType | None) -> None:
    """Be there, so that the interpreter writes the signal's number to the wake-up socket."""


def _received(wake: socket.socket) -> bytes:
    try:
        return os.read(wake.fileno(), _LONGEST_READ)
    except BlockingIOError:
        return b""

"""Beside the embedded store: what it does to write its log anew, put behind its charges.

The server lets a child write the log anew, and removes the former files, while it serves. Of a log
of 128 MB three things kept charges waiting, 60 to 170 ms each time:

    the child has the server's right to a processor      it gives way from its birth on: it only
                                                         gets what nobody else wants
    threads of the server sync, and drop from memory,    they give way, always
    the file that is left
    the file system frees 128 MB at once (ext4: 40 to    the files are held open here, so that their
    70 ms), and no sync of a charge ends before          removal frees nothing, and then shrunk step
                                                         by step

Only a file that has no name any more, and that nobody else has open, is shrunk: a backup that reads
it, or has linked it, gets all of it. Whatever cannot be done here (a kernel that does not tell of
children, a file system without leases) is left to the server, and takes as long as it takes.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ocs.adapters.clock import monotonic_s
from ocs.adapters.valkey.folder_watch import FolderWatch

ROUND_S: Final = 0.5
"""Everything is looked at so often, and whenever a name comes or goes in the log's folder."""
ALERT_S: Final = 0.2
BIRTH_S: Final = 0.001
"""A new file of the log is soon followed by the child: so often it is looked for, for `ALERT_S`."""
FREEING_S: Final = 0.02
NICENESS: Final = 10
"""Of the threads, and of a child that has become old: a tenth of the server's share."""
IDLE_FOR_S: Final = 10.0
"""So long a child is idle to the kernel (SCHED_IDLE: a charge takes its processor at once, which it
would otherwise keep for some ms). Where all processors are always busy, it gets a 300th of one; so
later its niceness counts, if this process may change it (root, or RLIMIT_NICE)."""
LEAST_STEP_BYTES: Final = 256 << 10
"""Freed in one look: 13 MB a second. Steps of 4 MB kept a sync waiting for up to 100 ms where the
file system tells the disk of every block that it frees."""
LOOKS_TO_FREE: Final = 500
"""Steps are at least this part of what there is to free: the more it is, the faster it goes."""
ROUNDS_OF_PATIENCE: Final = 120
"""So long, a minute, may somebody else have a removed file open; then it is theirs to free."""
_THREADS: Final = frozenset({"bio_aof", "bio_close_file", "bio_lazy_free"})


class LogKeeper:
    """`look_around` in every round, `look` in between, with the server's process; then `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, _Held] = {}
        self._born_s: dict[int, float] = {}

    @property
    def is_freeing(self) -> bool:
        return any(held.is_free for held in self._held.values())

    def look_around(self, pid: int) -> None:
        """See which files have come and gone, and which threads there are."""
        _put_threads_behind(pid)
        self._hold()

    def look(self, pid: int) -> bool:
        """Put children behind, and free a step; whether there is a child."""
        has_child = self._put_children_behind(pid)
        free = [inode for inode, held in self._held.items() if held.is_free]
        if free:
            left = sum(self._held[inode].size() for inode in free)
            if not self._held[free[0]].shrink(max(LEAST_STEP_BYTES, left // LOOKS_TO_FREE)):
                self._let_go(free[0])
        return has_child

    def close(self) -> None:
        """Let all files go; what of them has no name any more is freed now."""
        for inode in list(self._held):
            self._let_go(inode)

    def _put_children_behind(self, pid: int) -> bool:
        now_s = monotonic_s()
        self._born_s = {child: self._born_s.get(child, now_s) for child in _children(pid)}
        for child, born_s in self._born_s.items():
            with contextlib.suppress(OSError):  # it has ended, or may not be put forward again
                _put_behind(child)
                _set_policy(child, os.SCHED_IDLE if now_s - born_s < IDLE_FOR_S else os.SCHED_OTHER)
        return bool(self._born_s)

    def _hold(self) -> None:
        """Take what is new, and see what has been removed."""
        named = set()
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                named.add(entry.inode())
                if entry.inode() not in self._held:
                    self._held[entry.inode()] = _Held(entry.path)
        for inode in self._held.keys() - named:
            if not self._held[inode].may_be_freed():
                self._let_go(inode)

    def _let_go(self, inode: int) -> None:
        os.close(self._held.pop(inode).descriptor)


class _Held:
    """A file that is held open. Raises `OSError` when it cannot be."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.is_free = False
        self._patience = ROUNDS_OF_PATIENCE

    def may_be_freed(self) -> bool:
        """Look at it when its name is gone; false: it is not for us to free."""
        if not self.is_free:
            if os.fstat(self.descriptor).st_nlink or not self._patience:
                return False
            self._patience -= 1
            self.is_free = self._is_ours_alone()
        return True

    def _is_ours_alone(self) -> bool:
        # A write lease is given to the only one who has a file open. It is given back at once, for
        # with a lease the kernel would signal this process if somebody opened the file after all.
        try:
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return False
        fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True

    def size(self) -> int:
        return os.fstat(self.descriptor).st_size

    def shrink(self, step_bytes: int) -> bool:
        """Free so much of it; whether something is left to be freed."""
        left = max(0, self.size() - step_bytes)
        try:
            os.ftruncate(self.descriptor, left)
        except OSError:
            return False
        return left > 0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]
    return []


def _set_policy(task: int, policy: int) -> None:
    if os.sched_getscheduler(task) != policy:
        os.sched_setscheduler(task, policy, os.sched_param(0))


def _put_threads_behind(pid: int) -> None:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() in _THREADS:
                _put_behind(int(task.name))


def _put_behind(task: int) -> None:
    if os.getpriority(os.PRIO_PROCESS, task) < NICENESS:
        os.setpriority(os.PRIO_PROCESS, task, NICENESS)


class KeeperThread:
    """Keeps the log of a server until it is stopped. It sleeps but for rounds and changes."""

    def __init__(self, folder: Path, pid: Callable[[], int | None]) -> None:
        """`pid` tells the server's process, None while there is none. Raises `OSError`."""
        self._keeper = LogKeeper(folder)
        self._folder = folder
        self._pid = pid
        self._watch = FolderWatch()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="log keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_ending = True
        self._watch.wake()
        self._thread.join()
        self._watch.close()
        self._keeper.close()

    def _run(self) -> None:
        alert_until_s = round_due_s = 0.0
        while not self._is_ending:
            pause_s = FREEING_S if self._keeper.is_freeing else ROUND_S
            changed = self._watch.wait(BIRTH_S if monotonic_s() < alert_until_s else pause_s)
            pid, now_s = self._pid(), monotonic_s()
            if pid is None:
                continue
            if changed:
                alert_until_s = now_s + ALERT_S
            if changed or now_s >= round_due_s:
                round_due_s = now_s + ROUND_S
                with contextlib.suppress(OSError):  # the server makes it at its first start
                    self._watch.add(self._folder)
                self._keeper.look_around(pid)
            if self._keeper.look(pid):
                alert_until_s = 0.0

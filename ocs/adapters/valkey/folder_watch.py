"""Being told by the kernel that names come and go in a folder (Linux, inotify(7)).

Two calls of the C library, by ctypes: the standard library has no door to them, and packages that
have one (inotify-simple, watchdog) bring events, threads and trees that nobody needs here.
"""

import contextlib
import ctypes
import errno
import os
import select
from pathlib import Path
from typing import Final

_MASK: Final = 0x0000_03C0
"""IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE."""
_EVENTS_BYTES: Final = 65_536


class FolderWatch:
    """Waits for changes of one folder. May be woken up by another thread."""

    def __init__(self) -> None:
        """Raises `OSError` where there is no inotify, or no more of it for this user."""
        self._library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(self._library, "inotify_init1"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._events = self._checked(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def add(self, folder: Path) -> None:
        """Watch a folder, if that is not done yet. Raises `OSError`, as when there is none."""
        name = os.fsencode(folder)
        self._checked(self._library.inotify_add_watch(self._events, name, _MASK))

    def wait(self, timeout_s: float) -> bool:
        """Wait at most so long; whether names have come or gone."""
        readable, _, _ = select.select([self._events, self._bell], [], [], timeout_s)
        if self._events not in readable:
            return False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._events, _EVENTS_BYTES):
                pass  # what it was does not matter: the folder itself is looked at
        return True

    def wake(self) -> None:
        """End the present wait, and every later one."""
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        os.close(self._events)
        os.close(self._bell)

    def _checked(self, result: int) -> int:
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result

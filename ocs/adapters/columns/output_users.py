"""Who writes into an output: runs or workers, any number of the one kind, never both.

    .users     one letter, the kind; locked, shared, by all of that kind who are there

A run keeps others from a chunk by a lock, a worker asks nobody and lets a link decide. So if both
kinds were at one chunk, each would move its own rows to the same places, and some of a chunk could
be of one rating and some of another. Each kind alone is guarded by its own means.

The lock goes with the process, however that ends. Who comes while nobody is there has it for
himself, writes his kind, and shares it. The letter is read under the shared lock, and is written
only by who is alone: so it cannot change while anybody relies on it.

It holds as far as locks do: on one machine always; on a network file system among all machines, if
its locks are the server's. Workers do without it where there are none: then it is as it was before,
and for people to heed. Rejected: a lock for each kind, which the other kind tries to get and gives
back (two who come at once are refused by each other's trying); a file with the process's number
(whose is it, when that was given to another one?).
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

_FILE: Final = ".users"
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class Users(Enum):
    """A kind of processes that write into an output."""

    RUNS = b"r"
    WORKERS = b"w"


class OutputInUse(Exception):
    """The other kind is at the folder."""


_ABOUT: Final = {
    Users.RUNS: "a run (ocs offline run)",
    Users.WORKERS: "a worker (ocs offline work, or run --engine)",
}


@contextmanager
def using(folder: Path, users: Users) -> Iterator[None]:
    """Be one of those who write into a folder. Raises `OutputInUse`, and `OSError`."""
    lock = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        found = _shared(lock, users)
        if found is not users:
            raise OutputInUse(
                f"{folder} is in use by {_ABOUT[found]}; it would mix its rows with those of"
                f" {_ABOUT[users]}: wait until it ends, or name another folder"
            )
        yield
    finally:
        os.close(lock)


def _shared(lock: int, users: Users) -> Users:
    """Share the lock; return the kind of all who do."""
    letter = b""
    while not letter:  # who has it alone may die before he has said of which kind he is
        try:
            if _is_alone(lock):
                os.pwrite(lock, users.value, 0)
            # Whoever is alone is so for one letter. Another may have come in between.
            fcntl.flock(lock, fcntl.LOCK_SH)
        except OSError as error:
            if users is Users.WORKERS and error.errno in _NO_LOCKS:
                return users
            raise
        letter = os.pread(lock, 1, 0)
    return Users(letter)


def _is_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

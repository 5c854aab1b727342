"""At an output are runs or workers, never both, and whoever dies is not there any more."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
output_users = pytest.importorskip("ocs.adapters.columns.output_users")
Users, using, OutputInUse = output_users.Users, output_users.using, output_users.OutputInUse

ROUNDS = 20


@pytest.mark.parametrize(
    ("first", "other", "named"),
    [
        (Users.RUNS, Users.WORKERS, r"is in use by a run \(ocs offline run\)"),
        (Users.WORKERS, Users.RUNS, r"is in use by a worker \(ocs offline work"),
    ],
)
def test_only_one_kind_is_there(tmp_path: Path, first: object, other: object, named: str) -> None:
    with using(tmp_path, other):
        pass
    with using(tmp_path, first):
        with using(tmp_path, first), pytest.raises(OutputInUse, match=named):
            using(tmp_path, other).__enter__()
        with pytest.raises(OutputInUse, match=named):
            using(tmp_path, other).__enter__()
    with using(tmp_path, other):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from ocs.adapters.columns.output_users import Users, using
with using(Path(sys.argv[1]), Users.WORKERS):
    print("there", flush=True)
    time.sleep(600)
"""


def test_who_was_killed_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "there\n"
        with pytest.raises(OutputInUse):
            using(tmp_path, Users.RUNS).__enter__()
        holder.kill()
        holder.wait()
        with using(tmp_path, Users.RUNS):
            pass


def at_once(folder: Path, kinds: Sequence[object]) -> list[object]:
    """Come all at once, stay until all have come; who got in."""
    there: list[object] = []
    barrier = threading.Barrier(len(kinds))

    def come(kind: object) -> None:
        barrier.wait()
        with ExitStack() as stack:
            try:
                stack.enter_context(using(folder, kind))
                there.append(kind)
            except OutputInUse:
                pass
            barrier.wait()

    team = [threading.Thread(target=come, args=(kind,)) for kind in kinds]
    for each in team:
        each.start()
    for each in team:
        each.join()
    return there


def test_of_all_who_come_at_once_one_kind_gets_in(tmp_path: Path) -> None:
    for _ in range(ROUNDS):
        assert len(set(at_once(tmp_path, (Users.RUNS, Users.WORKERS) * 6))) == 1


def test_of_one_kind_all_get_in_whoever_was_there_before(tmp_path: Path) -> None:
    for _ in range(ROUNDS):
        for kind in Users:
            assert at_once(tmp_path, (kind,) * 12) == [kind] * 12


def test_one_may_come_while_another_says_his_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To share a lock that one has for oneself is to give it back and take it again."""
    share = fcntl.flock
    other = ExitStack()

    def interrupted(lock: int, how: int) -> None:
        if how == fcntl.LOCK_SH:
            share(lock, fcntl.LOCK_UN)
            monkeypatch.undo()
            other.enter_context(using(tmp_path, Users.WORKERS))
        share(lock, how)

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with other, pytest.raises(OutputInUse):
        using(tmp_path, Users.RUNS).__enter__()


def test_workers_do_without_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with using(tmp_path, Users.WORKERS):
        pass
    with pytest.raises(OSError, match="No locks"):
        using(tmp_path, Users.RUNS).__enter__()


def test_who_dies_before_he_has_said_his_kind_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another has waited for him meanwhile, and finds an empty file."""
    tries = iter((False, True))
    alone = output_users._is_alone
    monkeypatch.setattr(output_users, "_is_alone", lambda lock: next(tries) and alone(lock))
    with using(tmp_path, Users.WORKERS):
        monkeypatch.undo()
        with pytest.raises(OutputInUse):
            using(tmp_path, Users.RUNS).__enter__()

"""CDRs that were posted are on the disk when that is answered, whatever happens then."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters import cdr_intake
from ocs.adapters.cdr_intake import CDRS, MOST_OPEN, REJECTS, IntakeFolder, IntakeLimits
from ocs.usecases.posted_cdrs import Posted
from ocs.usecases.rejects import Reading, Reject, read
from ocs.usecases.taking_cdrs import Kept, NoRoom, Unreadable

ROOMY = IntakeLimits(folder_bytes=1_000_000, spare_bytes=0, file_bytes=100_000, file_s=60.0)
KEPT = Kept(1, 0)


def cdr(number: int) -> bytes:
    return b'{"cdr_id":"%d"}' % number


def posted(body: bytes, form: str = "ndjson", switch: str = "", tenant: str = "demo") -> Posted:
    return Posted(tenant=tenant, format=form, switch=switch, body=body)


def finished(folder: Path, place: str = "*/*/*") -> list[bytes]:
    paths = sorted(folder.glob(f"{CDRS}/{place}/[!.]*"))
    return [path.read_bytes() for path in paths]


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def abandon(intake: IntakeFolder) -> None:
    """Let go of its files as the death of its process would."""
    for file in intake._open.values():
        os.close(file._stream)
    intake._open.clear()


def test_each_kind_of_cdr_has_a_place_of_its_own(tmp_path: Path) -> None:
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    batch = [
        posted(cdr(1)),
        posted(cdr(2)),
        posted(cdr(3), tenant="acme"),
        posted(cdr(4), switch="pbx1"),
        posted(b"cdr_id,called\n5,1", "csv"),
        posted(b"cdr_id,called\n6,1", "csv"),
    ]
    assert intake.keep(batch) == [KEPT] * 6
    assert finished(tmp_path) == [b"cdr_id,called\n5,1", b"cdr_id,called\n6,1"]
    intake.close()
    assert finished(tmp_path, "demo/ndjson/_") == [cdr(1) + b"\n" + cdr(2) + b"\n"]
    assert finished(tmp_path, "acme/ndjson/_") == [cdr(3) + b"\n"]
    assert finished(tmp_path, "demo/ndjson/pbx1") == [cdr(4) + b"\n"]
    assert len(finished(tmp_path, "demo/csv/_")) == 2
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("changed", [{"file_bytes": 20}, {"file_s": 0.0}])
def test_a_file_is_finished_when_it_is_large_or_old(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    limits = {name: getattr(ROOMY, name) for name in ROOMY.__struct_fields__} | changed
    intake = IntakeFolder(tmp_path, "0", IntakeLimits(**limits))
    intake.keep([posted(cdr(1)), posted(cdr(2))])
    intake.tend()
    intake.keep([posted(cdr(3))])
    assert finished(tmp_path) == [cdr(1) + b"\n" + cdr(2) + b"\n"]
    intake.close()
    assert len(finished(tmp_path)) == 2


def test_what_the_dead_left_is_finished_by_others(tmp_path: Path) -> None:
    dead, other = (IntakeFolder(tmp_path, name, ROOMY) for name in "01")
    dead.keep([posted(cdr(1)), posted(cdr(2))])
    other.tend()
    assert finished(tmp_path) == []  # it is alive
    (path,) = hidden(tmp_path)
    with path.open("ab") as stream:
        stream.write(b'{"cdr_id":"hal')
    part = path.with_name(".1-0-a.part")
    part.write_bytes(b"half a bo")
    nothing = path.with_name(".1-0-b.open")
    nothing.write_bytes(b"no line")
    abandon(dead)
    IntakeFolder(tmp_path, "2", ROOMY).tend()
    assert finished(tmp_path) == [cdr(1) + b"\n" + cdr(2) + b"\n"]
    assert hidden(tmp_path) == []


def test_what_can_never_be_read_is_kept_beside(tmp_path: Path) -> None:
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    nothing, broken, partly = intake.keep(
        [posted(b" "), posted(b"broken", switch="pbx1"), posted(b"broken\n" + cdr(1))]
    )
    assert isinstance(nothing, Unreadable)
    assert isinstance(broken, Unreadable)
    assert partly == Kept(2, 1)
    (path,) = (tmp_path / REJECTS).iterdir()
    reading, reject = map(read, path.read_bytes().splitlines())
    assert isinstance(reading, Reading)
    assert isinstance(reject, Reject)
    assert (reading.options["switch"], reject.text) == ("pbx1", "broken")
    intake.close()
    assert finished(tmp_path) == [b"broken\n" + cdr(1) + b"\n"]


@pytest.mark.parametrize("changed", [{"folder_bytes": 10}, {"spare_bytes": 1 << 60}])
def test_without_room_nothing_is_taken(
    tmp_path: Path, changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    limits = {name: getattr(ROOMY, name) for name in ROOMY.__struct_fields__} | changed
    intake = IntakeFolder(tmp_path, "0", IntakeLimits(**limits))
    for body in (cdr(1), cdr(2), b"broken"):
        (outcome,) = intake.keep([posted(body)])
        assert isinstance(outcome, NoRoom)
    assert len(caplog.records) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_others_keep_takes_room_too(tmp_path: Path) -> None:
    limits = IntakeLimits(folder_bytes=20, spare_bytes=0, file_bytes=100, file_s=60.0)
    first, second = (IntakeFolder(tmp_path, name, limits) for name in "01")
    assert first.keep([posted(cdr(1))]) == [KEPT]
    second.tend()
    assert second.waiting_bytes == len(cdr(1)) + 1
    (outcome,) = second.keep([posted(cdr(2))])
    assert isinstance(outcome, NoRoom)
    first.close()
    for path in (tmp_path / CDRS).glob("*/*/*/[!.]*"):
        path.unlink()
    second._look_s = 0.0
    second.tend()
    assert second.keep([posted(cdr(2))]) == [KEPT]
    second.close()


def failing(number: int, after: int = 0) -> Callable[..., Any]:
    """Make a call of the system that fails from some time on."""
    calls = 0

    def call(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(number, os.strerror(number))

    return call


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    assert intake.keep([posted(cdr(1))]) == [KEPT]
    write, written = os.write, list[int]()

    def half(stream: int, text: bytes) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(write(stream, bytes(text)[:5]))
        return 5

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        lines, whole = intake.keep([posted(cdr(2)), posted(b"a\n1", "csv")])
    assert isinstance(lines, NoRoom)
    assert isinstance(whole, NoRoom)
    assert "No space left" in lines.reason
    assert intake.keep([posted(cdr(2))]) == [KEPT]
    intake.close()
    assert finished(tmp_path) == [cdr(1) + b"\n" + cdr(2) + b"\n"]
    assert hidden(tmp_path) == []


def test_nothing_follows_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes neither the rest of a line nor what stands of it away."""
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    assert intake.keep([posted(cdr(1))]) == [KEPT]
    write, written = os.write, list[int]()

    def half(stream: int, text: bytes) -> int:
        if len(written) == 1:
            written.append(0)
            raise OSError(errno.EIO, "Input/output error")
        written.append(write(stream, bytes(text)[:5] if not written else text))
        return written[-1]

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        patch.setattr(os, "ftruncate", failing(errno.EIO))
        outcomes = intake.keep([posted(cdr(2)), posted(cdr(3))])
    assert [type(outcome) for outcome in outcomes] == [NoRoom] * 2
    assert intake.keep([posted(cdr(3))]) == [KEPT]
    intake.close()
    lines = sorted(line for text in finished(tmp_path) for line in text.splitlines())
    assert lines == sorted([cdr(1), cdr(2)[:5], cdr(3)])


def test_a_sync_that_fails_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    assert intake.keep([posted(cdr(1))]) == [KEPT]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        outcomes = intake.keep([posted(cdr(2)), posted(cdr(3)), posted(b"broken")])
    assert [type(outcome) for outcome in outcomes] == [NoRoom] * 3
    assert finished(tmp_path) == [cdr(1) + b"\n"]
    assert intake.keep([posted(cdr(2)), posted(cdr(3))]) == [KEPT] * 2
    intake.close()
    assert len(finished(tmp_path)) == 2


def test_a_name_that_cannot_be_given_is_given_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    intake.keep([posted(cdr(1))])
    with monkeypatch.context() as patch:
        patch.setattr(cdr_intake, "_give", failing(errno.EIO))
        intake.close()
    assert finished(tmp_path) == []
    IntakeFolder(tmp_path, "1", ROOMY).tend()
    assert finished(tmp_path) == [cdr(1) + b"\n"]


def test_all_is_synced_before_it_is_answered_and_only_so_many_files_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda stream: synced.add(os.fstat(stream).st_ino))
    intake = IntakeFolder(tmp_path, "0", ROOMY)
    batch = [posted(cdr(number), switch=f"s{number}") for number in range(MOST_OPEN + 3)]
    batch += [posted(b"a\n1", "csv"), posted(b"broken")]
    outcomes = intake.keep(batch)
    assert [type(outcome) for outcome in outcomes] == [Kept] * (MOST_OPEN + 4) + [Unreadable]
    assert len(hidden(tmp_path)) == MOST_OPEN
    assert {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))} <= synced
    intake.close()
    assert len(finished(tmp_path)) == MOST_OPEN + 4


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    intake = IntakeFolder(tmp_path / "intake", "0", ROOMY)
    intake.keep([posted(cdr(1)), posted(b"broken")])
    intake.close()
    for path in (tmp_path / "intake", *(tmp_path / "intake").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path

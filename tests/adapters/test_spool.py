"""The queue in files: what was written is there for whoever comes, whole, and nothing twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from msgspec import Raw

from ocs.adapters.spool import FileSpool
from ocs.usecases.emergency import Spooled
from ocs.usecases.ports import SessionKey

MEBIBYTE = 2**20


def record(number: int, entry: bytes = b"{}") -> Spooled:
    return Spooled(SessionKey("demo", "sos", "112", "s1"), str(number), Raw(entry))


def drained(spool: FileSpool, most: int = 100) -> list[int]:
    """Drain all; the numbers of what came out."""
    found: list[int] = []
    while batch := spool.batch(most):
        found += [int(each.request) for each in batch]
        spool.drained()
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.glob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "emergency"


@pytest.fixture
def spool(folder: Path) -> Iterator[FileSpool]:
    one = FileSpool(folder, "0", MEBIBYTE)
    yield one
    one.close()


def successor(folder: Path, most_bytes: int = MEBIBYTE) -> FileSpool:
    return FileSpool(folder, "0", most_bytes)


def test_an_empty_one_makes_no_files(spool: FileSpool, folder: Path) -> None:
    assert drained(spool) == []
    assert not folder.exists()


def test_it_comes_out_as_it_went_in(spool: FileSpool) -> None:
    spool.append(record(7, b'{"a":\n"\\n"}'))
    (out,) = spool.batch(10)
    assert (out.key, out.request) == (record(7).key, "7")
    assert bytes(out.entry) == b'{"a": "\\n"}'


@pytest.mark.parametrize("most", [1, 3, 10, 100])
def test_all_of_it_comes_out_once_in_order(spool: FileSpool, folder: Path, most: int) -> None:
    for number in range(10):
        spool.append(record(number))
    assert spool.waiting == 10
    assert drained(spool, most) == list(range(10))
    assert (spool.waiting, spool.dropped, files(folder)) == (0, 0, [])


def test_a_batch_is_given_until_it_is_drained(spool: FileSpool) -> None:
    for number in range(4):
        spool.append(record(number))
    assert spool.batch(3) == spool.batch(3)
    assert spool.waiting == 4
    spool.append(record(4))
    spool.drained()
    assert spool.waiting == 2
    assert drained(spool) == [3, 4]


def test_what_comes_while_it_is_drained_lies_elsewhere(spool: FileSpool, folder: Path) -> None:
    for number in range(100):
        spool.append(record(2 * number))
        spool.batch(1)
        spool.append(record(2 * number + 1))
        spool.drained()
        assert len(files(folder)) <= 2
    assert drained(spool)[-1] == 199
    assert files(folder) == []


def test_only_its_owner_can_read_it(spool: FileSpool, folder: Path) -> None:
    spool.append(record(0))
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


# --- Whoever comes next ---------------------------------------------------------------------------


def test_a_living_process_keeps_its_own(spool: FileSpool, folder: Path) -> None:
    spool.append(record(0))
    assert drained(successor(folder)) == []
    spool.batch(1)
    spool.append(record(1))
    assert drained(successor(folder)) == []
    assert drained(spool) == [0, 1]


def test_what_a_process_leaves_is_taken_by_another(spool: FileSpool, folder: Path) -> None:
    for number in range(5):
        spool.append(record(number))
    spool.batch(2)
    spool.append(record(5))
    spool.close()
    other = successor(folder)
    other.append(record(6))
    assert sorted(drained(other, 2)) == [0, 1, 2, 3, 4, 5, 6]
    assert (other.waiting, files(folder)) == (0, [])


def test_it_is_taken_by_one_only(spool: FileSpool, folder: Path) -> None:
    spool.append(record(0))
    spool.close()
    first, second = successor(folder), successor(folder)
    assert len(first.batch(1)) == 1
    assert first.waiting == 1
    assert drained(second) == []
    assert drained(first) == [0]


def test_kill_9_leaves_every_line(folder: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from tests.adapters.test_spool import FileSpool, record
spool = FileSpool(Path(sys.argv[1]), "0", 2**20)
for number in range(50):
    spool.append(record(number))
    if number == 20:
        spool.batch(5)
        spool.drained()
        spool.batch(5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    folder.parent.mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert done.returncode == -9
    assert sorted(drained(successor(folder))) == list(range(50))


# --- What can go wrong ----------------------------------------------------------------------------


def test_a_full_one_counts_what_it_drops(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = successor(folder, most_bytes=1000)
    for number in range(20):
        spool.append(record(number))
    kept = spool.waiting
    assert 0 < kept < 20
    assert spool.dropped == 20 - kept
    assert len(caplog.records) == 1
    assert drained(spool) == list(range(kept))
    spool.append(record(20))
    assert drained(spool) == [20]


def test_what_a_former_process_left_counts_for_the_size(spool: FileSpool, folder: Path) -> None:
    for number in range(9):
        spool.append(record(number))
    spool.close()
    other = successor(folder, most_bytes=500)
    other.batch(1)
    other.append(record(9))
    assert other.dropped == 1
    assert drained(other) == list(range(9))
    other.append(record(10))
    assert drained(other) == [10]


def test_a_disk_that_is_full_is_counted_and_leaves_whole_lines(
    spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append(record(0))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: real(fd, line[:10]))
    spool.append(record(1))
    monkeypatch.setattr(os, "write", real)
    spool.append(record(2))
    assert (spool.waiting, spool.dropped) == (2, 1)
    assert drained(spool) == [0, 2]


def test_a_folder_that_cannot_be_written_is_no_fault(folder: Path) -> None:
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("not a folder")
    spool = successor(folder)
    spool.append(record(0))
    assert (spool.waiting, spool.dropped) == (0, 1)


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_torn_line_is_kept_for_people_and_the_others_come_out(
    spool: FileSpool, folder: Path, cut: int
) -> None:
    for number in range(3):
        spool.append(record(number))
    spool.close()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    other = successor(folder)
    assert drained(other) == [0, 1]
    assert (other.waiting, files(folder)) == (0, [".damaged"])


def test_a_record_of_another_form_is_kept_for_people(spool: FileSpool, folder: Path) -> None:
    spool.append(record(0))
    spool.close()
    (file,) = folder.iterdir()
    file.write_bytes(b"%08x %b\n" % (crc32(b'{"of":"old"}'), b'{"of":"old"}'))
    assert drained(successor(folder)) == []
    assert files(folder) == [".damaged"]


def test_a_line_that_is_no_record_is_kept_for_people(spool: FileSpool, folder: Path) -> None:
    for number in range(3):
        spool.append(record(number))
    spool.close()
    (file,) = folder.iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1].replace(b"demo", b"dome") + b"\n" + lines[2])
    other = successor(folder)
    assert other.batch(1) == [record(0)]
    assert other.waiting == 4
    assert drained(other) == [0, 2]
    assert (other.waiting, files(folder)) == (0, [".damaged"])

"""Whatever is not what was written is found, and the place is told."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.blocks import BLOCK_HEAD_BYTES, REEL_HEAD_BYTES
from ocs.usecases.journal import Damage
from tests.adapters.reels.files import SMALL, entries, opened, reel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal of two partitions, one of three reels."""
    path = tmp_path / "journal"
    reels = opened(path, SMALL)
    for first in range(1, 25, 3):
        reels.append(17, entries(first, first + 2), 0)
    reels.append(3, entries(1, 5), 0)
    reels.commit()
    reels.advance(17, 100)
    reels.close()
    assert len(list((path / "017").glob("0*"))) == 3
    return path


def test_a_sound_journal(folder: Path) -> None:
    found = audit(folder)
    assert found.damages == ()
    assert (found.partitions, found.reels, found.entries) == (2, 4, 29)
    assert found.reel_bytes == sum(path.stat().st_size for path in folder.glob("0*/0*"))
    assert len(found.digest) == 64


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_byte_of_a_reel_is_under_the_chain(folder: Path, number: int) -> None:
    """Flip one bit of each byte: it is told once or twice, in this reel, not behind the byte."""
    path = reel(folder, number)
    sound = path.read_bytes()
    for at in range(len(sound)):
        flipped = bytearray(sound)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        damages = audit(folder).damages
        assert damages, at
        assert {(d.partition, d.reel) for d in damages} == {(17, number)}, (at, damages)
        assert damages[0].position <= at
        assert len(damages) == 1, (at, damages)
    path.write_bytes(sound)
    assert audit(folder).damages == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_reel(folder: Path, number: int) -> None:
    reel(folder, number).unlink()
    assert audit(folder).damages == (Damage(17, number, 0, "the reel is missing"),)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cut_reel(folder: Path, number: int) -> None:
    """Also where the cut is between two blocks, after which all that is left is sound."""
    path = reel(folder, number)
    sound = path.read_bytes()
    for size in range(len(sound)):
        path.write_bytes(sound[:size])
        damages = audit(folder).damages
        assert {(d.partition, d.reel) for d in damages} == {(17, number)}, (size, damages)
        assert len(damages) == 1, (size, damages)
        assert damages[0].position <= size
    path.write_bytes(sound)


def test_two_reels_that_changed_places(folder: Path) -> None:
    one, two = reel(folder, 1).read_bytes(), reel(folder, 2).read_bytes()
    reel(folder, 1).write_bytes(two)
    reel(folder, 2).write_bytes(one)
    assert {d.reel for d in audit(folder).damages} >= {1, 2}


def test_a_partition_that_is_gone(folder: Path) -> None:
    shutil.rmtree(folder / "003")
    assert [(d.partition, d.reel) for d in audit(folder).damages] == [(3, 1)]


def test_a_reel_of_another_journal(folder: Path, tmp_path: Path) -> None:
    """Numbers and entries are right, and it does not fit all the same."""
    other = opened(tmp_path / "other", SMALL)
    other.append(3, entries(1, 5), 0)
    other.commit()
    shutil.copy(reel(tmp_path / "other", partition=3), reel(folder, partition=3))
    assert {d.partition for d in audit(folder).damages} == {3}


def test_a_block_that_is_there_twice(folder: Path) -> None:
    path = reel(folder, 1)
    sound = path.read_bytes()
    packed = int.from_bytes(sound[REEL_HEAD_BYTES : REEL_HEAD_BYTES + 4], "little")
    end = REEL_HEAD_BYTES + BLOCK_HEAD_BYTES + packed
    path.write_bytes(sound[:end] + sound[REEL_HEAD_BYTES:end] + sound[end:])
    first = audit(folder).damages[0]
    assert (first.reel, first.position) == (1, end)


def _old_heads(folder: Path) -> None:
    heads = (folder / "heads").read_text(encoding="ascii")
    (folder / "heads").write_text(heads.replace('"17":', '"18":'), encoding="ascii")


def _other_chain(folder: Path) -> None:
    heads = (folder / "heads").read_text(encoding="ascii")
    place = heads.rindex('"chain":"') + 9
    other = "0" if heads[place] != "0" else "1"
    (folder / "heads").write_text(heads[:place] + other + heads[place + 1 :], encoding="ascii")


@pytest.mark.parametrize("change", [_old_heads, _other_chain])
def test_heads_that_were_changed(folder: Path, change: Callable[[Path], None]) -> None:
    change(folder)
    assert audit(folder).damages != ()


def test_what_does_not_count_is_not_audited(folder: Path) -> None:
    with reel(folder, 3).open("ab") as file:
        file.write(b"the beginning of a block")
    reel(folder, 4).write_bytes(b"a reel that was just begun")
    assert audit(folder).damages == ()
    os.truncate(reel(folder, 4), 0)
    assert audit(folder).damages == ()

"""What counts is there again whatever happened behind it; what does not count is written anew."""

import os
import shutil
from pathlib import Path

import pytest

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.blocks import MOST_ENTRIES, REEL_HEAD_BYTES
from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.reels.heads import HEADS
from ocs.adapters.reels.reading import open_journal
from ocs.usecases.journal import DamagedReel, FolderInUse, Position, ReelFault, parse_id
from tests.adapters.reels.files import LARGE, SMALL, entries, entry, moves_of, opened, reel, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def begun(folder: Path, limits: ReelLimits = LARGE) -> ReelFolder:
    """Ten entries that count, in two commits."""
    reels = opened(folder, limits)
    for first in (1, 6):
        reels.append(17, entries(first, first + 4), 0)
        reels.commit()
    return reels


def test_what_was_committed_is_read_back(folder: Path) -> None:
    begun(folder).close()
    assert written(folder) == entries(1, 10)
    again = opened(folder)
    assert again.position(17) == Position(10, (1_010, 1))
    assert again.position(18) == Position()


def test_what_was_not_committed_does_not_count(folder: Path) -> None:
    reels = begun(folder)
    reels.append(17, entries(11, 20), 0)
    reels.append(18, entries(1, 3), 0)
    assert reels.position(17).entries == 20
    assert written(folder) == entries(1, 10)
    reels.reset()
    assert reels.position(17).entries == 10
    reels.append(17, entries(11, 12), 0)
    reels.append(18, entries(1, 1), 0)
    reels.commit()
    assert written(folder) == entries(1, 12)
    assert written(folder, 18) == entries(1, 1)
    assert audit(folder).damages == ()


@pytest.mark.slow
@pytest.mark.parametrize("limits", [LARGE, SMALL], ids=["one reel", "several reels"])
def test_a_kill_may_leave_any_byte(tmp_path: Path, limits: ReelLimits) -> None:
    """Cut behind the head at every byte, as a kill or a full disk does."""
    folder = tmp_path / "journal"
    reels = begun(folder, limits)
    head = open_journal(folder)
    assert head is not None
    counts = head.heads.of(17)
    reels.append(17, entries(11, 15), 0)
    reels.append(17, entries(16, 17), 0)
    reels.close()
    last = max((folder / "017").iterdir())
    begin = counts.length if last == reel(folder, counts.reel) else 0
    for size in range(begin, last.stat().st_size + 1):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        os.truncate(reel(copy, int(last.name)), size)
        assert written(copy) == entries(1, 10)
        again = opened(copy, limits)
        assert again.position(17).entries == 10
        again.append(17, entries(11, 17), 0)
        again.commit()
        again.close()
        assert written(copy) == entries(1, 17)
        assert audit(copy).damages == ()
        shutil.rmtree(copy)


def test_what_counts_and_is_cut_is_never_written_over(tmp_path: Path) -> None:
    begun(tmp_path / "journal").close()
    size = reel(tmp_path / "journal").stat().st_size
    for left in range(size):
        copy = tmp_path / "copy"
        shutil.copytree(tmp_path / "journal", copy)
        os.truncate(reel(copy), left)
        again = opened(copy)
        with pytest.raises(DamagedReel, match="is cut"):
            again.append(17, entries(11, 12), 0)
        assert reel(copy).stat().st_size == left
        with pytest.raises(DamagedReel):
            written(copy)
        again.close()
        shutil.rmtree(copy)


def test_a_reel_that_grew_by_another_hand_is_left_alone(folder: Path) -> None:
    reels = begun(folder)
    with reel(folder).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DamagedReel, match="somebody else"):
        reels.append(17, entries(11, 12), 0)


def test_the_next_reel_is_begun_by_size_and_by_age(folder: Path) -> None:
    reels = opened(folder, SMALL)
    for number in range(1, 21):
        reels.append(17, [entry(number)], 0)
    reels.append(18, [entry(1)], 0)
    reels.append(18, [entry(2)], 999_999)
    reels.append(18, [entry(3)], 1_000_000)
    reels.commit()
    sizes = [path.stat().st_size for path in sorted((folder / "017").iterdir())]
    assert len(sizes) > 3
    assert all(400 <= size < 600 for size in sizes[:-1])
    assert len(list((folder / "018").iterdir())) == 2
    assert reels.extent() == (len(sizes) + 2, sum(sizes) + 2 * REEL_HEAD_BYTES + _blocks(folder))
    assert written(folder) == entries(1, 20)
    assert written(folder, 18) == entries(1, 3)


def _blocks(folder: Path) -> int:
    return sum(path.stat().st_size - REEL_HEAD_BYTES for path in (folder / "018").iterdir())


def test_many_entries_make_several_blocks(folder: Path) -> None:
    reels = opened(folder)
    many = entries(1, 2 * MOST_ENTRIES + 1)
    reels.append(17, many, 0)
    reels.commit()
    assert written(folder) == many


def test_one_drainer_a_folder(folder: Path) -> None:
    reels = opened(folder)
    other = ReelFolder(folder, LARGE, moves_of)
    with pytest.raises(FolderInUse):
        other.open()
    reels.close()
    reels.close()
    other.open()


def test_a_full_disk_leaves_what_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reels = begun(folder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("fdatasync", "write"):
        with monkeypatch.context() as context:
            context.setattr(os, call, full)
            with pytest.raises(ReelFault, match="No space left"):
                reels.append(17, entries(11, 15), 0)
        reels.open()
    with monkeypatch.context() as context:
        reels.append(17, entries(11, 15), 0)
        context.setattr(os, "fsync", full)
        with pytest.raises(ReelFault, match="No space left"):
            reels.commit()
    reels.open()
    assert reels.position(17).entries == 10
    reels.append(17, entries(11, 15), 0)
    reels.commit()
    assert written(folder) == entries(1, 15)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(ReelFault, match="file"):
        opened(tmp_path / "file" / "journal")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "is missing"),
        (b"{", "is damaged"),
        (b'{"id":"x","form":2}', "form 2"),
    ],
)
def test_without_its_heads_a_folder_is_not_touched(
    folder: Path, data: bytes | None, says: str
) -> None:
    begun(folder).close()
    heads = folder / HEADS
    heads.unlink() if data is None else heads.write_bytes(data)
    with pytest.raises(ReelFault, match=says):
        opened(folder)
    with pytest.raises(ReelFault, match=says):
        open_journal(folder)
    assert reel(folder).exists()


def test_heads_that_cannot_be_read(folder: Path) -> None:
    (folder / HEADS).mkdir(parents=True)
    with pytest.raises(ReelFault, match="cannot be read"):
        open_journal(folder)


def test_an_entry_is_found_by_its_id(folder: Path) -> None:
    reels = opened(folder, SMALL)
    for number in range(1, 40):
        reels.append(17, [entry(2 * number)], 0)
    reels.commit()
    journal = open_journal(folder)
    assert journal is not None
    for number in range(1, 40):
        wanted = entry(2 * number)
        assert journal.find(17, parse_id(wanted[0].decode())) == wanted
        assert journal.find(17, (1_001 + 2 * number, 0)) is None
    assert journal.find(17, (1, 0)) is None
    assert journal.find(18, (1_002, 0)) is None


def test_a_history_may_begin_with_the_reel_of_an_entry(folder: Path) -> None:
    reels = opened(folder, SMALL)
    for number in range(1, 41):
        reels.append(17, [entry(number)], 0)
    reels.commit()
    journal = open_journal(folder)
    assert journal is not None
    assert journal.end(17).entries == 40
    whole = entries(1, 40)
    assert list(journal.history(17)) == whole
    lengths = []
    for number, wanted in enumerate(whole):
        read = list(journal.history(17, parse_id(wanted[0].decode())))
        assert wanted in read
        assert read == whole[-len(read) :]
        lengths.append(len(read) - (len(whole) - number))
    assert 0 < max(lengths) < 20
    assert list(journal.history(17, (10**9, 0))) == list(journal.history(17, (1_040, 1)))
    assert list(journal.history(18, (10**9, 0))) == []


def test_a_history_does_not_begin_with_a_reel_that_is_damaged_or_gone(folder: Path) -> None:
    reels = opened(folder)
    reels.append(17, entries(1, 9), 0)
    reels.commit()
    journal = open_journal(folder)
    assert journal is not None
    reel(folder).write_bytes(b"no reel")
    with pytest.raises(DamagedReel, match="is no reel"):
        journal.history(17, (1, 0))
    reel(folder).unlink()
    with pytest.raises(ReelFault, match="cannot be read"):
        journal.history(17, (1, 0))


def test_a_reel_that_is_damaged_or_gone_is_not_searched(folder: Path) -> None:
    reels = opened(folder, SMALL)
    for number in range(1, 40):
        reels.append(17, [entry(number)], 0)
    reels.commit()
    journal = open_journal(folder)
    assert journal is not None
    wanted = parse_id(entry(20)[0].decode())
    damages = (b"", b"x" * REEL_HEAD_BYTES, reel(folder, 2).read_bytes()[: REEL_HEAD_BYTES + 9])
    for data in damages:
        for number in range(1, 40):
            if reel(folder, number).exists():
                reel(folder, number).write_bytes(data)
        with pytest.raises(DamagedReel):
            journal.find(17, wanted)
    for path in (folder / "017").iterdir():
        path.unlink()
    with pytest.raises(ReelFault, match="cannot be read"):
        journal.find(17, wanted)
    with pytest.raises(ReelFault, match="cannot be read"):
        list(journal.history(17))


def test_no_journal_was_ever_written(tmp_path: Path) -> None:
    assert open_journal(tmp_path) is None
    with pytest.raises(ReelFault, match="no journal"):
        audit(tmp_path)


# --- Checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_is_what_the_entries_come_to(folder: Path) -> None:
    reels = opened(folder, SMALL)
    assert reels.checkpoint(17) == Position()
    for number in range(1, 31):
        reels.append(17, [entry(number, f"demo/{'abc'[number % 3]}")], 0)
    reels.append(17, [entry(31, "demo/a", left=0)], 0)
    assert reels.advance(17, 100) == Position()  # nothing counts yet
    reels.commit()
    positions = [reels.advance(17, 10) for _ in range(4)]
    assert [p.entries for p in positions] == [10, 20, 30, 31]
    assert reels.checkpoint(17) == positions[-1]
    journal = open_journal(folder)
    assert journal is not None
    assert journal.checkpoint(17).wallets == {
        "demo/b": {"main": (28, 0)},
        "demo/c": {"main": (29, 0)},
    }
    assert journal.end(17) == journal.checkpoint(17).place.position
    reels.close()
    again = opened(folder)
    assert again.checkpoint(17).entries == 31
    again.append(17, [entry(32, "demo/b")], 0)
    again.commit()
    assert again.advance(17, 10).entries == 32


def test_a_damaged_reel_makes_no_checkpoint(folder: Path) -> None:
    reels = begun(folder)
    data = bytearray(reel(folder).read_bytes())
    data[-1] ^= 1
    reel(folder).write_bytes(data)
    with pytest.raises(DamagedReel, match="chain"):
        reels.advance(17, 100)
    assert reels.checkpoint(17) == Position()


def test_a_checkpoint_that_cannot_be_read(folder: Path) -> None:
    reels = begun(folder)
    (folder / "017" / "checkpoint").write_bytes(b"{")
    with pytest.raises(DamagedReel, match="checkpoint"):
        reels.checkpoint(17)
    (folder / "017" / "checkpoint").unlink()
    (folder / "017" / "checkpoint").mkdir()
    with pytest.raises(ReelFault, match="checkpoint"):
        reels.checkpoint(17)


def test_a_copy_of_a_running_journal_is_whole(folder: Path) -> None:
    """Its heads first: then reels and checkpoints may be further than those."""
    reels = begun(folder)
    heads = (folder / HEADS).read_bytes()
    reels.append(17, entries(11, 15), 0)
    reels.commit()
    assert reels.advance(17, 100).entries == 15
    reels.close()
    (folder / HEADS).write_bytes(heads)
    again = opened(folder)
    assert (again.position(17).entries, again.checkpoint(17).entries) == (10, 0)
    assert again.advance(17, 100).entries == 10
    assert written(folder) == entries(1, 10)

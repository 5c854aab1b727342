"""Journals of made-up entries, in a folder that is made for one test."""

import json
from pathlib import Path

from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.reels.reading import open_journal
from ocs.usecases.journal import Moved, RawEntry

SMALL = ReelLimits(reel_bytes=400, reel_age_ms=1_000_000)
LARGE = ReelLimits()


def entry(number: int, wallet: str = "demo/alice", left: int | None = None) -> RawEntry:
    """Make the n-th entry of a partition: it puts the wallet's `main` to its number."""
    moves = [["main", number if left is None else left, 0]]
    return f"{1_000 + number}-{number % 3}".encode(), json.dumps([wallet, moves]).encode()


def entries(first: int, last: int) -> list[RawEntry]:
    return [entry(number) for number in range(first, last + 1)]


def moves_of(record: bytes) -> Moved:
    wallet, moves = json.loads(record)
    return wallet, tuple((bucket, left, held) for bucket, left, held in moves)


def opened(folder: Path, limits: ReelLimits = LARGE) -> ReelFolder:
    reels = ReelFolder(folder, limits, moves_of)
    reels.open()
    return reels


def written(folder: Path, partition: int = 17) -> list[RawEntry]:
    journal = open_journal(folder)
    assert journal is not None
    return list(journal.history(partition))


def reel(folder: Path, number: int = 1, partition: int = 17) -> Path:
    return folder / f"{partition:03d}" / f"{number:08d}"

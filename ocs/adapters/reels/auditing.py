"""Whether the reels are what was written: every byte is under a chain, and every chain has a head.

A damage is told once, at the place where it begins, and the audit goes on behind it as soon as the
chain does: with the next block that continues what the damaged one says of itself, else with the
next reel, whose head says with which chain it begins.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from ocs.adapters.reels.blocks import (
    REEL_HEAD_BYTES,
    DamagedBlock,
    ReelHead,
    first_chain,
    read_block,
    read_reel_head,
)
from ocs.adapters.reels.heads import Head, Heads, partition_folder, reel_path
from ocs.adapters.reels.reading import CHECKPOINT, open_journal
from ocs.usecases.journal import NOWHERE, Audited, Damage, EntryId, ReelFault


def audit(folder: Path) -> Audited:
    """Check every chain. Raises `ReelFault` when there is no journal, or none that can be read."""
    journal = open_journal(folder)
    if journal is None:
        raise ReelFault(f"there is no journal in {folder}")
    heads = journal.heads
    damages = [
        damage
        for partition in _partitions(folder, heads)
        for damage in _Audit(folder, heads, partition).run()
    ]
    covered = heads.partitions
    paths = [reel_path(folder, n, r + 1) for n, head in covered.items() for r in range(head.reel)]
    return Audited(
        folder=str(folder),
        partitions=len(covered),
        reels=len(paths),
        entries=sum(head.entries for head in covered.values()),
        reel_bytes=sum(path.stat().st_size for path in paths if path.exists()),
        digest=heads.digest(),
        damages=tuple(damages),
    )


def _partitions(folder: Path, heads: Heads) -> list[int]:
    found = {int(path.name) for path in folder.glob("[0-9][0-9][0-9]")}
    return sorted(found | heads.partitions.keys())


class _End(Struct, frozen=True):
    """Where the audit came to. `chains` may go on here; none: that is not known, nor the rest."""

    at: int = 0
    chains: tuple[bytes, ...] = ()
    entries: int | None = None
    last: EntryId = NOWHERE


class _Audit:
    """The audit of one partition, reel after reel."""

    def __init__(self, folder: Path, heads: Heads, partition: int) -> None:
        self._folder = folder
        self._partition = partition
        self._head: Head = heads.of(partition)
        self._end = _End(0, (first_chain(heads.id, partition),), 0)

    def run(self) -> Iterator[Damage]:
        for number in range(1, self._head.reel + 1):
            try:
                with reel_path(self._folder, self._partition, number).open("rb") as file:
                    yield from self._reel(file, number)
            except FileNotFoundError:
                self._end = _End()
                yield self._damage(number, 0, "the reel is missing")
        if self._head.reel:
            yield from self._last()
        elif (partition_folder(self._folder, self._partition) / CHECKPOINT).exists():
            yield self._damage(0, 0, "there is a checkpoint, and no head")

    def _last(self) -> Iterator[Damage]:
        """Hold the end of the last reel against the head."""
        head, end = self._head, self._end
        if not end.chains:
            return
        counted = end.entries in (None, head.entries)
        if not counted or bytes.fromhex(head.chain) not in end.chains:
            yield self._damage(head.reel, end.at, "the reel does not end as its head says")

    def _reel(self, file: BinaryIO, number: int) -> Iterator[Damage]:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size < REEL_HEAD_BYTES:
            self._end = _End()
            yield self._damage(number, size, "the reel is cut: not even its head is left")
            return
        yield from self._reel_head(read_reel_head(file), number)
        until = size
        if number == self._head.reel:
            until = min(size, self._head.length)
        yield from self._blocks(file, number, until)
        if number == self._head.reel and size < self._head.length:
            missing = f"{self._head.length} bytes were written, {size} are left"
            yield self._damage(number, size, f"the reel is cut: {missing}")
            self._end = _End()

    def _reel_head(self, reel: ReelHead | None, number: int) -> Iterator[Damage]:
        """Hold what a reel says of itself against the end of the former one, and go on from it."""
        before = self._end
        if reel is None or (reel.partition, reel.number) != (self._partition, number):
            yield self._damage(number, 0, "the reel's head is damaged")
            self._end = msgspec.structs.replace(before, at=REEL_HEAD_BYTES)
            return
        known = before.entries if before.entries is not None else reel.entries
        fits, missing = reel.chain in before.chains, reel.entries - known
        if before.chains and not fits and missing > 0:
            cut = f"the reel is cut: {missing} entries are missing at its end"
            yield self._damage(number - 1, before.at, cut)
            before = _End()
        elif before.chains and (not fits or missing):
            yield self._damage(number, 0, "the reel does not continue the former one")
        if before.chains:
            self._end = _End(REEL_HEAD_BYTES, before.chains, known, before.last)
        else:
            self._end = _End(REEL_HEAD_BYTES, (reel.chain,), reel.entries)

    def _blocks(self, file: BinaryIO, number: int, until: int) -> Iterator[Damage]:
        is_cut = number == self._head.reel and until < self._head.length
        while self._end.chains and self._end.at < until:
            end = self._end
            try:
                block = read_block(file, end.at, until, *end.chains)
            except DamagedBlock as damage:
                if damage.chains or not is_cut:  # that it is cut is told once
                    yield self._damage(number, end.at, str(damage))
                self._end = _behind(file, until, damage)
                continue
            if block.first <= end.last:
                yield self._damage(number, end.at, "entries are not in their order")
            entries = None if end.entries is None else end.entries + block.entries
            self._end = _End(block.end, (block.chain,), entries, block.last)

    def _damage(self, reel: int, position: int, what: str) -> Damage:
        return Damage(self._partition, reel, position, what)


def _behind(file: BinaryIO, until: int, damage: DamagedBlock) -> _End:
    """Go behind a damaged block, if the chain goes on there."""
    behind = _End(damage.end, damage.chains)
    if damage.chains and damage.end < until:
        try:
            read_block(file, damage.end, until, *damage.chains)
        except DamagedBlock:
            return _End()
    return behind if damage.chains else _End()

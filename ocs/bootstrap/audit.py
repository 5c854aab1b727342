"""The books of the store and the journal's files, for `ocs verify` and `ocs audit`.

Both are read beside a running service, or without one. The files on this machine are used when they
are those that this store's journal is written into; elsewhere they are another store's.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ocs.adapters.reels.auditing import audit
from ocs.adapters.reels.reading import Journal, open_journal, open_journal_of
from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.journal import find_entry, journal_folder_id, posted
from ocs.bootstrap.stores import Stores, journal_directory
from ocs.config.settings import Settings
from ocs.usecases.addresses import parse_wallet_address
from ocs.usecases.journal import Audited, Posted, ReelFault, entries_of, parse_id, spell_id
from ocs.usecases.verification import BEGINNING, Base, Books, Entry

__all__ = ["Audited", "ReelFault", "audited", "books_of", "entry_in_files", "entry_in_store"]


async def books_of(connection: Connection, folder: Path, *, from_start: bool = False) -> Books:
    """Open the books of all partitions. They raise `ReelFault` for files that are damaged.

    `folder` is that of the journal. From the start: the entries on disk are added up too, instead
    of the checkpoints believed.
    """
    ours = await journal_folder_id(connection)

    def base_of(partition: int) -> Base:
        journal = open_journal_of(folder, ours)
        if journal is None:
            return BEGINNING
        return _whole(journal, partition) if from_start else _checkpoint(journal, partition)

    return ValkeyBooks(connection, base_of)


def _checkpoint(journal: Journal, partition: int) -> Base:
    checkpoint = journal.checkpoint(partition)
    place = checkpoint.place
    numbers = {
        (parse_wallet_address(wallet), bucket): left_and_held
        for wallet, buckets in checkpoint.wallets.items()
        for bucket, left_and_held in buckets.items()
    }
    return Base(spell_id(place.last), place.entries, numbers)


def _whole(journal: Journal, partition: int) -> Base:
    end = journal.end(partition)
    history = partial(_entries, journal, partition)
    return Base(spell_id(end.last), end.entries, {}, history, end.entries)


def _entries(journal: Journal, partition: int) -> Iterator[Entry]:
    return entries_of(partition, journal.history(partition), posted)


def audited(settings: Settings) -> Audited:
    """Check the chains of the files. Raises `ReelFault`."""
    return audit(journal_directory(settings))


def entry_in_files(settings: Settings, transaction_id: str) -> Posted | None:
    """Find an entry on disk. Raises `ReelFault`; ValueError for what is no transaction id."""
    partition, entry_id = _parsed(transaction_id)
    journal = open_journal(journal_directory(settings))
    raw = None if journal is None else journal.find(partition, entry_id)
    return None if raw is None else posted(partition, raw)


async def entry_in_store(stores: Stores, transaction_id: str) -> Posted | None:
    """Find an entry that is in the store still; ValueError for what is no transaction id."""
    partition, entry_id = _parsed(transaction_id)
    raw = await find_entry(stores.connection, partition, entry_id)
    return None if raw is None else posted(partition, raw)


def _parsed(transaction_id: str) -> tuple[int, tuple[int, int]]:
    partition, _, entry_id = transaction_id.partition("-")
    return int(partition), parse_id(entry_id)

"""The journal's files as tables, for `ocs audit export`."""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from ocs.adapters.reels.reading import Journal, open_journal
from ocs.adapters.valkey.journal import posted
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.stores import CannotStart, journal_directory
from ocs.config.settings import Settings
from ocs.usecases.journal import Posted


class PartitionExported(Struct, frozen=True):
    """What was written of one partition; `open_sessions` are not over, and in no CDR."""

    partition: int
    entries: int
    cdrs: int
    open_sessions: int


def exported(settings: Settings, folder: Path) -> Iterator[PartitionExported]:
    """Write the tables, partition by partition. Raises `CannotStart` and `ReelFault`."""
    with offline_extra():
        from ocs.adapters.columns.journal_tables import export  # noqa: PLC0415
    journal = open_journal(journal_directory(settings))
    if journal is None:
        raise CannotStart(f"there is no journal in {journal_directory(settings)}")
    if folder.exists() and any(folder.iterdir()):
        raise CannotStart(f"{folder} is not empty: tables of two days would be mixed up")
    for partition in sorted(journal.heads.partitions):
        try:
            done = export(folder, partition, _posted(journal, partition))
        except OSError as error:
            raise CannotStart(f"{error.filename or folder}: {error.strerror}") from None
        yield PartitionExported(partition, done.entries, done.cdrs, done.open_sessions)


def _posted(journal: Journal, partition: int) -> Iterator[Posted]:
    return (posted(partition, raw) for raw in journal.history(partition))

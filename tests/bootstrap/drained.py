"""What a test's store has is written into files, and leaves it."""

from pathlib import Path

from ocs.adapters.clock import monotonic_s
from ocs.adapters.reels.folder import ReelFolder, ReelLimits
from ocs.adapters.reels.reading import Journal, open_journal
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.journal import ValkeyStream, moves_of
from ocs.usecases.draining import Drainer, DrainRules, Standing


async def drain(connection: Connection, partitions: int, folder: Path) -> Journal:
    """Write what the store has into files."""
    reels = ReelFolder(folder, ReelLimits(), moves_of)
    rules = DrainRules(partitions=partitions, keep_ms=10**9, checkpoint_ms=1)
    stream = ValkeyStream(connection, partitions, f"drainer of {folder.name}")
    drainer = Drainer(stream, reels, rules, monotonic_s)
    assert await drainer.begin() is Standing.DRAINING
    for partition in range(partitions):
        assert not await drainer.drain(partition)
    await drainer.conclude()
    await drainer.end()
    reels.close()
    journal = open_journal(folder)
    assert journal is not None
    return journal


async def trim(connection: Connection, partitions: int, keeps: int = 0) -> None:
    """Remove all entries but the last few of each partition."""
    for partition in range(partitions):
        await connection.execute("XTRIM", f"{{p{partition:03d}}}j", "MAXLEN", keeps)

"""An output before which every chunk is paid for: what is put into it has been debited.

Debits come first and rows second, because debits may be repeated: a chunk whose run died between
the two is rated and debited again, to the same fates, and then written. The other way round rows
would say `debited` of what nobody will debit any more.

A chunk that is there and was not debited (a run that does not debit has written it) is a fault of
its file: taken for done it would never be debited, and nobody would be told.
"""

from contextlib import AbstractContextManager
from typing import Final

import msgspec
import polars as pl

from ocs.adapters.columns.bills import bills_of, with_settlements
from ocs.usecases.offline_rating import Chunk, ChunkReport, FileFault, Money, Output, Rated
from ocs.usecases.settling_cdrs import Settle, Settled

_DEBITED: Final = pl.col("settled") == Settled.DEBITED.value


class DebitedOutput:
    """Implements the port `Output` before another one."""

    def __init__(self, output: Output, settle: Settle) -> None:
        self._output = output
        self._settle = settle

    def report(self, name: str) -> ChunkReport | None:
        """As `Output.report`. FileFault: it was not debited."""
        report = self._output.report(name)
        return report and _debited(report)

    def claimed(self, name: str) -> AbstractContextManager[bool]:
        """As `Output.claimed`."""
        return self._output.claimed(name)

    def put(self, chunk: Chunk, rated: Rated) -> ChunkReport:
        """As `Output.put`, when all that is owed was debited. LedgerUnavailable, FileFault."""
        rows = rated.table
        assert isinstance(rows, pl.DataFrame)
        settlements = self._settle(chunk.name, bills_of(rows))
        told = with_settlements(rows, settlements.by_row)
        debited = (
            told.filter(_DEBITED)
            .group_by("tenant", "currency")
            .agg(pl.len(), pl.col("settled_amount").cast(pl.Int128).sum())
            .sort("tenant", "currency")
        )
        settled = dict(told.group_by("settled").len().iter_rows())
        report = self._output.put(
            chunk,
            msgspec.structs.replace(
                rated,
                table=told,
                settled=settled,
                debited=tuple(Money(*row) for row in debited.iter_rows()),
                overrun=tuple(Money(*at, 0, n) for at, n in sorted(settlements.overruns.items())),
            ),
        )
        return _debited(report)


def _debited(report: ChunkReport) -> ChunkReport:
    """Give a report of which every row says what became of its money. FileFault: none does."""
    if sum(report.settled.values()) != report.rated:
        raise FileFault("it was rated into this output without debiting; name another one")
    return report

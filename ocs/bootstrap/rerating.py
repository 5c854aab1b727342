"""What `ocs offline rerate` works with: CDRs, the journal's export, tariffs, store and book."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from ocs.adapters.valkey.keys import partition_of
from ocs.adapters.valkey.rerating import ValkeyBookmark
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.parked_journal import store_journal
from ocs.bootstrap.stores import Stores, open_stores
from ocs.config.settings import PlanSettings, Settings
from ocs.usecases.addresses import wallet_address
from ocs.usecases.rerating import Adjusting, CannotApply, Outcome, Page
from ocs.usecases.rerating_journal import PageJournal
from ocs.usecases.rerating_report import By, Compared, Selection


class RerateJob(Struct, frozen=True, kw_only=True):
    """What is to be rated again, by what, and where it is written down.

    `rated` are outputs of `ocs offline run`, `export` is one of `ocs audit export`. `most` is how
    many of the biggest differences are told. `leaves` names a page of which is left alone what
    nobody can tell of.
    """

    rated: tuple[Path, ...]
    export: Path | None
    out: Path
    selection: Selection
    plans: tuple[PlanSettings, ...]
    by: By = By.DESTINATION
    most: int = 10
    applies: bool = False
    leaves: str = ""


class Rerated(Struct, frozen=True, kw_only=True):
    """What came of it. `folder` holds the differences.

    `page` is empty where nothing was decided: without `--apply`, or with nothing to adjust.
    `finished` are the outcomes of pages that an earlier run had left half applied.
    """

    generation: str
    old_generations: Sequence[str]
    compared: Compared
    folder: str
    page: str = ""
    outcomes: Sequence[Outcome] = ()
    finished: Sequence[Outcome] = ()


class Told(Struct, frozen=True, kw_only=True):
    """What is kept beside the differences. `decided_ms` is 0 for what is only reported.

    `seen` is of each partition the last transaction in the export of the journal.
    """

    decided_ms: int
    seen: Mapping[str, str]
    generation: str
    old_generations: Sequence[str]
    selection: Selection
    compared: Compared


class Adjustments:
    """`Adjusting`, for who has no loop of his own. Raises `LedgerUnavailable`, `CannotApply`."""

    def __init__(self, adjusting: Adjusting, runner: asyncio.Runner) -> None:
        self._adjusting = adjusting
        self._runner = runner

    def apply(self, page: Page, *, leaves: bool = False) -> Sequence[Outcome]:
        """As `Adjusting.apply`."""
        return self._runner.run(self._adjusting.apply(page, leaves=leaves))

    def now_ms(self) -> int:
        """As `Adjusting.now_ms`."""
        return self._runner.run(self._adjusting.now_ms())


@contextmanager
def opened_adjustments(
    settings: Settings, book: str, pages: Mapping[str, bool]
) -> Iterator[Adjustments]:
    """Give what adjusts; the loop runs only meanwhile. Raises `CannotStart` and `CannotApply`.

    `pages`: those of the book, and whether anything of each was noted as moved.
    """
    with asyncio.Runner() as runner:
        kept_open = AsyncExitStack()
        stores = runner.run(kept_open.enter_async_context(open_stores(settings)))
        try:
            adjusting = runner.run(_adjusting(settings, stores))
            runner.run(adjusting.check(book, pages))
            yield Adjustments(adjusting, runner)
        finally:
            runner.run(kept_open.aclose())


async def _adjusting(settings: Settings, stores: Stores) -> Adjusting:
    partitions = settings.ledger.partitions
    source = await store_journal(settings, stores.connection, "rerating")
    journal = PageJournal(source, lambda key: partition_of(wallet_address(key), partitions))
    bookmark = ValkeyBookmark(stores.connection)
    return Adjusting(stores.ledger, stores.directory, bookmark, journal)


def rerated(settings: Settings, job: RerateJob) -> Rerated:
    """Do the job. Raises `CannotStart`, `CannotApply` and `LedgerUnavailable`."""
    with offline_extra():
        from ocs.bootstrap.rerating_columns import done  # noqa: PLC0415
    return done(settings, job)


__all__ = [
    "Adjustments",
    "CannotApply",
    "RerateJob",
    "Rerated",
    "Told",
    "opened_adjustments",
    "rerated",
]

"""What `ocs offline rerate` works with: CDRs, the journal's export, tariffs, store and book."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from ocs.adapters.valkey.rerating import ValkeyBookmark
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.stores import open_stores
from ocs.config.settings import PlanSettings, Settings
from ocs.usecases.rerating import Adjusting, By, CannotApply, Compared, Outcome, Page, Selection


class RerateJob(Struct, frozen=True, kw_only=True):
    """What is to be rated again, by what, and where it is written down.

    `rated` are outputs of `ocs offline run`, `export` is one of `ocs audit export`. `most` is how
    many of the biggest differences are told.
    """

    rated: tuple[Path, ...]
    export: Path | None
    out: Path
    selection: Selection
    plans: tuple[PlanSettings, ...]
    by: By = By.DESTINATION
    most: int = 10
    applies: bool = False


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
    """What is kept beside the differences. `decided_ms` is 0 for what is only reported."""

    decided_ms: int
    generation: str
    old_generations: Sequence[str]
    selection: Selection
    compared: Compared


Apply = Callable[[Page], Sequence[Outcome]]


class Adjustments(Struct, frozen=True):
    """`Adjusting`, for who has no loop of his own. Raises `LedgerUnavailable`, `CannotApply`."""

    apply: Apply
    now_ms: Callable[[], int]


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
            bookmark = ValkeyBookmark(stores.connection)
            adjusting = Adjusting(stores.ledger, stores.directory, bookmark)
            runner.run(adjusting.check(book, pages))
            yield Adjustments(
                apply=lambda page: runner.run(adjusting.apply(page)),
                now_ms=lambda: runner.run(adjusting.now_ms()),
            )
        finally:
            runner.run(kept_open.aclose())


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

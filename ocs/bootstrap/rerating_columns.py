"""The parts of a re-rating that need the extra `offline`: uses, prices and the book.

Imported only by who is about to use them: a server does without what the extra brings.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from typing import Final

import msgspec

from ocs.adapters.columns.charged_uses import Uses, rated_uses
from ocs.adapters.columns.journal_uses import last_transactions, online_uses
from ocs.adapters.columns.rerating import Comparer
from ocs.adapters.columns.rerating_book import Book, BookInUse, Differences
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.rerating import Adjustments, Rerated, RerateJob, Told, opened_adjustments
from ocs.bootstrap.stores import CannotStart
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.domain.plan_check import check_plan
from ocs.domain.zones import zone_named
from ocs.usecases.rerating import Outcome
from ocs.usecases.rerating_report import Compared

_ID_BYTES: Final = 8


def done(settings: Settings, job: RerateJob) -> Rerated:
    """As `rerating.rerated`."""
    with ExitStack() as stack:
        try:
            book = stack.enter_context(Book(job.out))
            return _done(settings, job, book, stack)
        except BookInUse as error:
            raise CannotStart(str(error)) from None
        except OSError as error:
            place = error.filename or job.out
            raise CannotStart(f"{place}: {error.strerror or error}") from None


def _done(settings: Settings, job: RerateJob, book: Book, stack: ExitStack) -> Rerated:
    """Finish what was begun, find the differences, and report or apply them."""
    adjustments = _adjustments(settings, job, book, stack)
    finished = _finished(job, book, adjustments)
    generation = stack.enter_context(opened_tariffs(settings))
    zones = {each.name: zone_named(each.zone) for each in settings.tenants}
    comparer = Comparer(generation, _plans(job, generation), zones, book.adjusted(job.selection))
    found, compared = _compared(job, book, comparer)
    told = Told(
        decided_ms=adjustments.now_ms() if adjustments else 0,
        seen=last_transactions(job.export) if job.export else {},
        generation=generation.id,
        old_generations=found.old_generations(),
        selection=job.selection,
        compared=compared,
    )
    name = _name(job, book, told)
    page, outcomes = "", tuple[Outcome, ...]()
    if adjustments is None or not found.dues():
        folder = book.report(name, told)
    else:
        decided = book.decide(name, told)
        folder, page = decided.folder, decided.name
        outcomes = tuple(adjustments.apply(decided))
    return Rerated(
        generation=generation.id,
        old_generations=told.old_generations,
        compared=compared,
        folder=str(folder),
        page=page,
        outcomes=outcomes,
        finished=finished,
    )


def _adjustments(
    settings: Settings, job: RerateJob, book: Book, stack: ExitStack
) -> Adjustments | None:
    if not job.applies:
        return None
    pages = {page.name: page.is_begun for page in book.pages()}
    return stack.enter_context(opened_adjustments(settings, book.id, pages))


def _finished(job: RerateJob, book: Book, adjustments: Adjustments | None) -> tuple[Outcome, ...]:
    """Apply what an earlier run has decided and not ended."""
    outcomes: list[Outcome] = []
    begun = [page for page in book.pages() if not page.is_closed]
    if job.leaves and job.leaves not in {page.name for page in begun}:
        raise CannotStart(f"--leave: {job.leaves} is no page that is applied in part only")
    for page in begun:
        if adjustments is None:
            raise CannotStart(
                f"{page.name} is applied in part only, so what was charged is not known: give the"
                " command that was interrupted again, with --apply"
            )
        outcomes += adjustments.apply(page, leaves=page.name == job.leaves)
    return tuple(outcomes)


def _plans(job: RerateJob, generation: Generation) -> dict[str, Plan]:
    plans = {each.name: each.plan() for each in job.plans}
    faults = [fault for plan in plans.values() for fault in check_plan(plan, generation)]
    if faults:
        raise CannotStart("\n".join(faults))
    return plans


def _compared(job: RerateJob, book: Book, comparer: Comparer) -> tuple[Differences, Compared]:
    left_out, count = Counter[str](), 0
    found = book.begin()
    for uses in _uses(job, left_out):
        count += len(uses)
        differences = comparer.compare(uses)
        if len(differences):
            found.add(differences)
    return found, Compared(
        uses=count,
        changed=found.changed(),
        left_out=dict(sorted(left_out.items())),
        not_applied=found.not_applied(),
        lines=found.lines(job.by),
        biggest=found.biggest(job.most),
    )


def _uses(job: RerateJob, left_out: Counter[str]) -> Iterator[Uses]:
    if job.rated:
        yield from rated_uses(job.rated, job.selection, left_out)
    if job.export is not None:
        yield from online_uses(job.export, job.selection, left_out)


def _name(job: RerateJob, book: Book, told: Told) -> str:
    """Name a re-rating by what it was made of, and by all pages before it."""
    inputs = [
        (str(path), path.stat().st_size)
        for folder in (*job.rated, job.export)
        if folder is not None
        for path in sorted(folder.rglob("*.parquet"))
    ]
    pages = [page.name for page in book.pages()]
    made_of = (
        book.id, pages, inputs, job.selection, told.old_generations, told.generation,
        job.plans,
    )  # fmt: skip
    return blake2b(msgspec.json.encode(made_of), digest_size=_ID_BYTES).hexdigest()

"""What `ocs offline share` and `work` are put together from: files, the store's queue, the output.

Rating has no event loop and may be busy for seconds, so the queue has a thread with a loop of its
own: there a share is renewed while the worker is at it. Not longer than `PATIENCE_S` after the
worker last got on, though: one that hangs must not keep its share for ever.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec import Struct

from ocs.adapters.clock import monotonic_s
from ocs.adapters.textfile import Figure
from ocs.adapters.valkey.work_stream import LEASE_MS, ValkeyWorkStream
from ocs.bootstrap.debiting import opened_settling
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.offline import OfflineJob, people_of
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import CannotStart, open_stores
from ocs.config.settings import Settings
from ocs.usecases.offline_rating import Output, Rater, RememberedPeople
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.sharing_work import (
    Backlog,
    Held,
    OpenShare,
    SetAside,
    Share,
    ShareableFile,
    UnderWay,
    Way,
    Worker,
)

QUEUE: Final = "cdr"
"""The queue unless another is named."""
PATIENCE_S: Final = 900.0
"""A chunk takes seconds. One that takes a quarter of an hour is on a disk that hangs."""
_RENEWALS: Final = 4
_MS: Final = 1_000
_TOKEN_BYTES: Final = 6

_T = TypeVar("_T")


class Queue:
    """Implements the port `WorkQueue` for who has no loop. `worker` tells it from all others."""

    def __init__(self, settings: Settings, name: str, *, lease_ms: int = LEASE_MS) -> None:
        token = secrets.token_hex(_TOKEN_BYTES)
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{token}"
        self.token = token
        self._settings = settings
        self._name = name
        self._lease_ms = lease_ms
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ocs-queue", daemon=True
        )

    @contextmanager
    def opened(self) -> Iterator["Queue"]:
        """Connect, as long as this lasts. Raises `CannotStart`."""
        self._thread.start()
        try:
            stack = contextlib.AsyncExitStack()
            self._stream = self._run(stack.enter_async_context(self._opened()))
            try:
                yield self
            finally:
                self._run(stack.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[ValkeyWorkStream]:
        async with open_stores(self._settings) as stores:
            yield ValkeyWorkStream(
                stores.connection, self._name, self.worker, lease_ms=self._lease_ms
            )

    def join(self, output: str, way: Way) -> None:
        """Begin to take what goes into this output, this way. Raises `CannotStart` if it is not."""
        try:
            found = self._run(self._stream.join(output, way))
        except LedgerUnavailable as fault:
            raise CannotStart(str(fault)) from None
        if found.output != output:
            raise CannotStart(
                f"the shares of the queue {self._name} go into another output than this one; all"
                " workers of a queue name one folder"
            )
        if found.way != way:
            raise CannotStart(
                f"the queue {self._name} is worked with --{found.way}, and not with --{way}: all"
                " its workers go one way, or some CDRs were debited and others not. To go another,"
                " share into another --queue, for another folder"
            )

    def add(self, shares: Iterable[Share]) -> int:
        """As `WorkQueue.add`."""
        return self._run(self._stream.add(shares))

    def take(self) -> Held | None:
        """As `WorkQueue.take`."""
        return self._run(self._stream.take())

    @contextmanager
    def holding(self, held: Held) -> Iterator[Callable[[], None]]:
        """As `WorkQueue.holding`."""
        got_on_s = monotonic_s()

        def gets_on() -> None:
            nonlocal got_on_s
            got_on_s = monotonic_s()

        async def renew() -> None:
            while monotonic_s() - got_on_s < PATIENCE_S:
                await asyncio.sleep(self._lease_ms / _RENEWALS / _MS)
                with contextlib.suppress(LedgerUnavailable):
                    await self._stream.renew(held)

        renewing = asyncio.run_coroutine_threadsafe(renew(), self._loop)
        try:
            yield gets_on
        finally:
            renewing.cancel()

    def done(self, held: Held) -> None:
        """As `WorkQueue.done`."""
        self._run(self._stream.done(held))

    def failed(self, held: Held, reason: str) -> None:
        """As `WorkQueue.failed`."""
        self._run(self._stream.failed(held, reason))

    def give_back(self, held: Held) -> None:
        """As `WorkQueue.give_back`."""
        self._run(self._stream.give_back(held))

    def way(self) -> str:
        """Tell which `Way` it is worked; empty, if nobody has worked yet."""
        return self._run(self._stream.bound()).way

    def backlog(self) -> Backlog:
        """As `WorkQueue.backlog`."""
        return self._run(self._stream.backlog())

    def under_way(self) -> list[UnderWay]:
        """List who has what."""
        return self._run(self._stream.under_way())

    def aside(self) -> list[SetAside]:
        """List what is given to nobody any more."""
        return self._run(self._stream.aside())

    def again(self) -> int:
        """Put back what was set aside; return how many that were."""
        return self._run(self._stream.again())

    def drop(self) -> int:
        """Forget what was set aside; return how many that were."""
        return self._run(self._stream.drop())

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class WorkJob(Struct, frozen=True, kw_only=True):
    """How shares are to be rated; as in `OfflineJob`."""

    out: Path
    queue: str = QUEUE
    subscribers: Path | None = None
    debit: bool = True
    lease_ms: int = LEASE_MS

    @property
    def way(self) -> Way:
        """What it is to do about money."""
        return Way.of(has_subscribers=self.subscribers is not None, debit=self.debit)


def shareable_files(
    settings: Settings, job: OfflineJob, add_unread: Callable[[str, str], None]
) -> Iterator[ShareableFile]:
    """Give all files of a job; `add_unread` is told of others. BadOptionError, CannotStart."""
    with offline_extra():
        from ocs.bootstrap.offline_columns import shareable_files_of  # noqa: PLC0415
    return shareable_files_of(settings, job, add_unread)


@contextmanager
def opened_worker(
    settings: Settings, job: WorkJob, is_ending: Callable[[], bool]
) -> Iterator[tuple[Worker, Queue]]:
    """Put a worker together. Raises `BadOptionError` and `CannotStart`."""
    queue = Queue(settings, job.queue, lease_ms=job.lease_ms)
    with ExitStack() as stack:
        stack.enter_context(queue.opened())
        open_share, rater, output = opened_rating(settings, job, queue.token, stack)
        # Last, so that who cannot start at all binds the queue to nothing.
        queue.join(shared_folder_id(job.out), job.way)
        yield Worker(queue, open_share, rater, output, is_ending=is_ending), queue


def shared_folder_id(folder: Path) -> str:
    """Return what tells an output from others. Raises `CannotStart`."""
    with offline_extra():
        from ocs.bootstrap.offline_columns import shared_output  # noqa: PLC0415
    return shared_output(folder, "")[1]


def opened_rating(
    settings: Settings, job: WorkJob, worker: str, stack: ExitStack
) -> tuple[OpenShare, Rater, Output]:
    """Open all that rates shares, as long as the stack. Raises `BadOptionError`, `CannotStart`."""
    with offline_extra():
        from ocs.adapters.cdr_files.shares import open_share  # noqa: PLC0415
        from ocs.bootstrap.offline_columns import debited_output, rater_of, shared_output, worker_at  # noqa: PLC0415
    people = RememberedPeople(people_of(settings, offline_job(settings, job), stack), monotonic_s)
    generation = stack.enter_context(opened_tariffs(settings))
    rater = rater_of(settings, generation, people)
    output, _ = shared_output(job.out, worker)
    stack.enter_context(worker_at(job.out))
    if job.way is Way.DEBIT:
        settle = stack.enter_context(opened_settling(settings))
        output = debited_output(output, settle)
    return open_share, rater, output


def offline_job(settings: Settings, job: WorkJob) -> OfflineJob:
    """Say the same of a job as of a run: whose subscribers are asked."""
    return OfflineJob(
        inputs=(),
        out=job.out,
        tenant=settings.charging.default_tenant,
        subscribers=job.subscribers,
        debit=job.debit,
    )


def backlog_figures(backlog: Backlog) -> list[Figure]:
    """Tell how much is left to do."""
    hands = (
        ("waiting", backlog.waiting),
        ("under_way", backlog.under_way),
        ("aside", backlog.aside),
    )
    samples = [({"state": state}, float(count)) for state, count in hands]
    about = "Shares of the queue: nobody has them, a worker has them, they were set aside."
    return [Figure("ocs_cdr_shares", "gauge", about, samples)]

"""Rating as one function, RecordBatch → RecordBatch, for engines that are not `ocs`.

    rate = BatchRater("ocs.toml", subscribers="people.csv") # or the batch says who has which plan
    rated = rate(batch)                                     # anything with Arrow's C stream

It needs no store: nothing is looked up, debited or remembered, so engines may repeat it, and cut
batches as they like. It can be pickled, being no more than the names of files, and loads tariffs
once in each process, when it is first called there. docs/offline-scale.md has it under Ray, Daft
and Spark.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ocs.adapters.cdr_files.arrow_batches import ArrowStream, read_batch
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.columns.batches import (
    BatchPeople,
    RatedBatch,
    as_record_batch,
    finished_batch,
    priced_batch,
)
from ocs.bootstrap.offline import OfflineJob, people_of
from ocs.bootstrap.offline_columns import rater_of
from ocs.bootstrap.pricing import opened_tariffs
from ocs.config.reader import read_settings
from ocs.usecases.offline_rating import Rater

_MOST_LOADED: Final = 4
"""Different raters in one process; each keeps its tariffs."""


class BatchRater:
    """Call it with a batch of finished CDRs.

    In: the columns of a CDR (docs/cdr.md); `cdr_id`, `called`, a time and `units` at the least. Who
    used is found in the file `subscribers` (identity,account,plan), or said by the batch, in the
    columns `plan` and, if wanted, `account`, `wallet_group`, `account_currency`.

    Out: the same rows in the same order, with the columns of docs/offline.md but what is settled.
    Rows without a price have the `code` of the reject, its `column` and its `reason`.

    `tenant` is whose the rows are that do not say; the configured one unless named. The first call
    in a process raises `ConfigurationError`, `BadOptionError` or `CannotStart`.
    """

    def __init__(
        self, config: str | Path, subscribers: str | Path | None = None, tenant: str = ""
    ) -> None:
        self._config = str(config)
        self._subscribers = None if subscribers is None else str(subscribers)
        self._tenant = tenant

    def __call__(self, batch: ArrowStream) -> RatedBatch:
        """Rate a batch. BadBatchError: it lacks a column."""
        options, people, rater = _loaded(self._config, self._subscribers, self._tenant)
        read = read_batch(batch, options)
        return finished_batch(priced_batch(read.sound, read.who, people, rater.rate), read.unread)

    def record_batches(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Rate PyArrow's batches one by one, into PyArrow's batches: for Spark's `mapInArrow`."""
        for batch in batches:
            yield as_record_batch(self(batch))


@lru_cache(maxsize=_MOST_LOADED)
def _loaded(
    config: str, subscribers: str | None, tenant: str
) -> tuple[Options, BatchPeople, Rater]:
    """Read settings, people and tariffs; what was read of files is in memory then, or mapped."""
    settings = read_settings(Path(config), os.environ)
    tenant = tenant or settings.charging.default_tenant
    others = None
    if subscribers is not None:
        job = OfflineJob(inputs=(), out=Path(), tenant=tenant, subscribers=Path(subscribers))
        others = people_of(settings, job, ExitStack())
    people = BatchPeople(others)
    with opened_tariffs(settings) as generation:
        return Options(tenant=tenant), people, rater_of(settings, generation, people)

"""Settling parked events, put together: the store, the tariffs, the journal's files, the output.

One output has all that was settled, so a row that a run left unwritten is written where the others
are. So an output has an id (`parked-output`), the store remembers it, and the folder is locked by
the run that writes into it. Whoever moves on to another folder says so.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ocs.adapters.clock import monotonic_s, wall_ms
from ocs.adapters.textfile import Figure, write_figures
from ocs.adapters.valkey.directory import CachedDirectory
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.parked import ValkeyParked
from ocs.bootstrap.extras import offline_extra
from ocs.bootstrap.parked_journal import store_journal
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import CannotStart, Stores, open_stores
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.zones import Zone, zone_named
from ocs.usecases.client_clocks import MARGIN_S
from ocs.usecases.parked import ParkedOutput
from ocs.usecases.parked_groups import Gatherer
from ocs.usecases.parked_judging import Judge, Quiet
from ocs.usecases.parked_settling import Dropping, ParkedRun
from ocs.usecases.parked_summary import ParkedSummary, ParkedTally
from ocs.usecases.paying import Payers
from ocs.usecases.ports import ChargeLimits
from ocs.usecases.preparing import Preparer

OUTPUT: Final = "parked-output"
_RUNS: Final = "runs"
_DAY_MS: Final = 86_400_000
_MS: Final = 1_000

Moved = Callable[[ParkedTally], None]


class ParkedJob(Struct, frozen=True, kw_only=True):
    """What is asked. `moves`: into another output than before. `drop`: reasons to give up for.

    `quiet_s`: instead of what the configuration says of sessions and events.
    """

    out: Path
    quiet_s: int | None = None
    moves: bool = False
    drop: tuple[str, ...] = ()
    drop_after_days: int = 30


async def settle_parked(settings: Settings, job: ParkedJob, moved: Moved) -> ParkedSummary:
    """Settle what is parked. Raises `CannotStart`, `TakenOver`, OSError and `ReelFault`.

    And LedgerUnavailable or OutcomeUnknown; after all of them the next run goes on.
    """
    began_s = monotonic_s()
    with ExitStack() as kept_open:
        folder = kept_open.enter_context(_locked(job.out))
        output = _output(settings, job.out)
        generation = kept_open.enter_context(opened_tariffs(settings))
        async with open_stores(settings) as stores:
            run = await _run(settings, stores, generation, job, output, moved)
            if not await run.run(folder, moves=job.moves):
                raise CannotStart(
                    f"this store's parked events are settled into another folder than {job.out};"
                    " --new-output moves on to this one"
                )
    summary = run.tally.summary(monotonic_s() - began_s)
    _keep(job.out, summary)
    return summary


async def _run(
    settings: Settings,
    stores: Stores,
    generation: Generation,
    job: ParkedJob,
    output: ParkedOutput,
    moved: Moved,
) -> ParkedRun:
    partitions = settings.ledger.partitions
    store = ValkeyParked(stores.connection, partitions, assemble())
    directory = CachedDirectory(
        stores.directory, wall_ms, seconds=settings.charging.subscriber_cache_s
    )
    judge = Judge(
        store=store,
        gatherer=Gatherer(Payers(directory, {p.name: p.plan() for p in settings.plans})),
        preparer=Preparer(ChargeLimits(life_units=settings.ledger.voice_life_s), _zones(settings)),
        generation=generation,
        quiet=_quiet(settings, job),
    )
    until_ms = wall_ms() - job.drop_after_days * _DAY_MS
    return ParkedRun(
        store=store,
        journal=await store_journal(settings, stores.connection, "parked"),
        judge=judge,
        output=output,
        dropping=Dropping(frozenset(job.drop), until_ms),
        moved=moved,
    )


def _quiet(settings: Settings, job: ParkedJob) -> Quiet:
    if job.quiet_s is not None:
        return Quiet(job.quiet_s, job.quiet_s)
    kept = settings.ledger
    return Quiet(kept.closed_keep_s + MARGIN_S, kept.event_keep_s + MARGIN_S)


def _zones(settings: Settings) -> Mapping[str, Zone]:
    return {tenant.name: zone_named(tenant.zone) for tenant in settings.tenants}


def _output(settings: Settings, folder: Path) -> ParkedOutput:
    with offline_extra():
        from ocs.adapters.cdr_files.records import COLUMNS  # noqa: PLC0415
        from ocs.adapters.columns.parked_files import ParkedFiles  # noqa: PLC0415
    return ParkedFiles(folder, COLUMNS, _zones(settings))


@contextmanager
def _locked(folder: Path) -> Iterator[str]:
    """Keep other runs out of an output, and give its id."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / OUTPUT, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder_id = os.read(descriptor, 100).decode().strip()
        if not folder_id:
            folder_id = secrets.token_hex(16)
            os.write(descriptor, f"{folder_id}\n".encode())
            os.fsync(descriptor)
        yield folder_id
    except BlockingIOError:
        raise CannotStart(f"another run settles parked events into {folder}") from None
    finally:
        os.close(descriptor)


def _keep(folder: Path, summary: ParkedSummary) -> None:
    """Keep the summary of a run beside its output. Raises `OSError`."""
    runs = folder / _RUNS
    runs.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2)
    (runs / f"parked-{wall_ms()}.json").write_bytes(text + b"\n")


def write_parked_metrics(path: Path, summary: ParkedSummary) -> None:
    """Tell what a run came to. Raises `OSError`."""
    now_ms = wall_ms()
    waiting = summary.waiting
    figures = [
        Figure(
            "ocs_parked_settled_total",
            "counter",
            "Parked events that this run settled, by what became of them.",
            [({"fate": fate}, float(count)) for fate, count in summary.events.items()],
        ),
        Figure(
            "ocs_parked_waiting",
            "gauge",
            "Events that stay parked, and why.",
            [({"stream": w.stream, "reason": w.reason}, float(w.events)) for w in waiting],
        ),
        Figure(
            "ocs_parked_oldest_seconds",
            "gauge",
            "For how long the oldest of them has been parked.",
            [
                ({"stream": w.stream, "reason": w.reason}, (now_ms - w.since_ms) / _MS)
                for w in waiting
            ],
        ),
    ]
    write_figures(path, figures)

"""A worker, put together: what it charges with, what it answers on, and what runs beside.

python -m ocs.bootstrap.worker <control> <service> <operations>     (inherited descriptors)
"""

import logging
import random
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from ocs import __version__
from ocs.adapters import clock
from ocs.adapters.measured import MeasuredCharger
from ocs.adapters.metrics import Metrics, RatesLoaded, Sources
from ocs.adapters.tariff_files import open_generation
from ocs.adapters.valkey.connection import Connection, StoreUnavailable, StoreUnusable
from ocs.adapters.valkey.directory import CachedDirectory, ValkeyDirectory
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.journal import journal_status
from ocs.adapters.valkey.lanes import Lanes
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.adapters.valkey.parked import waiting
from ocs.bootstrap.emergency import Emergency
from ocs.bootstrap.intake import WorkerIntake
from ocs.bootstrap.shedding import Shedding
from ocs.bootstrap.sources import dialects_of
from ocs.bootstrap.specification import WorkerSpecification
from ocs.bootstrap.stores import make_connection, make_ledger
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.zones import zone_named
from ocs.entrypoints.http.app import HttpServer, operations_routes, service_routes
from ocs.entrypoints.http.auth import Authenticator, Credential, Role
from ocs.entrypoints.http.front import ConnectionLimits
from ocs.entrypoints.http.operations import Check, Operations, Readiness
from ocs.entrypoints.http.realtime import Realtime, RealtimeLimits
from ocs.entrypoints.logs import EventLog, Pseudonyms, configure_logs
from ocs.entrypoints.sweeper import Sweeper, SweepRhythm
from ocs.entrypoints.worker import WorkerParts, receive_specification, work
from ocs.usecases.charging import Charger, ChargingSettings
from ocs.usecases.emergency import EmergencyCalls
from ocs.usecases.expiry import Expiry, ExpiryLimits
from ocs.usecases.ports import ChargeLimits, Ledger

CONNECT_PATIENCE_S: Final = 2.0
"""How long a worker that starts waits for the store before it serves without."""

_log = logging.getLogger(__name__)


class Tariffs:
    """The generation in force: one reference, which a reload replaces."""

    def __init__(self, generation: Generation) -> None:
        self.current = generation
        self.loaded_at_ms = clock.wall_ms()

    def use(self, path: str) -> str:
        """Swap in a compiled generation; ValueError, and the former one stays, if it is unusable.

        Requests in hand go on with the one that they began with.
        """
        self.current = open_generation(Path(path))
        self.loaded_at_ms = clock.wall_ms()
        return self.current.id

    def loaded(self) -> RatesLoaded:
        entries = {tariff.name: tariff.rates for tariff in self.current.tariffs}
        return RatesLoaded(self.current.id, self.loaded_at_ms, entries)


class _Sockets(msgspec.Struct, frozen=True):
    control: socket.socket
    service: socket.socket
    operations: socket.socket


def make_worker(specification: WorkerSpecification, sockets: _Sockets) -> WorkerParts:
    """Put a worker together; called inside its event loop."""
    settings = specification.settings
    connection, lanes = _connections(specification)
    ledger = make_ledger(settings, connection, lanes)
    tariffs = Tariffs(open_generation(Path(specification.tariffs)))
    metrics = Metrics(version=__version__)
    readiness = Readiness(_checks(connection, tariffs))
    authenticator = _authenticator(settings)
    charger = _charger(settings, connection, ledger, tariffs)
    emergency = Emergency(settings, ledger, charger, specification.slot)
    realtime = _realtime(specification, emergency.calls, metrics, authenticator)
    shedding = Shedding(settings, connection, realtime)
    intake = WorkerIntake(settings, specification.slot)
    operations = Operations(
        readiness,
        metrics.render,
        authenticator,
        look=partial(_look, metrics, ledger, connection),
    )
    metrics.read_from(
        Sources(
            in_flight=lambda: realtime.in_flight,
            emergency=emergency.figures,
            intake=intake.figures,
            store=connection.counters,
            store_waiting=lambda: lanes.waiting,
            store_memory=shedding.figures,
            rates=tariffs.loaded,
        )
    )
    sweeper = _sweeper(specification, ledger, connection, metrics)
    routes = service_routes(realtime, operations, intake.cdrs(authenticator))
    limits = _connection_limits(settings)

    def set_draining() -> None:
        readiness.draining = True

    return WorkerParts(
        control=sockets.control,
        operations=HttpServer(operations_routes(operations), sockets.operations, limits),
        service=HttpServer(routes, sockets.service, limits, events=realtime),
        connect=partial(_connect, connection),
        disconnect=partial(_disconnect, emergency, intake, lanes, connection),
        use_tariffs=tariffs.use,
        background=(sweeper.run, metrics.watch_loop, emergency.run, intake.run, shedding.run),
        set_draining=set_draining,
        drain_delay_s=settings.server.drain_delay_s,
        drain_s=settings.server.drain_s,
    )


def _connections(specification: WorkerSpecification) -> tuple[Connection, Lanes]:
    """Make the main connection to the store, and the lanes that begin with it."""
    settings, url = specification.settings, specification.store_url
    name = f"ocs-worker-{specification.slot}"
    main = make_connection(settings, url, name)
    return main, Lanes(main, partial(make_connection, settings, url, f"{name}-side", beside=main))


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        header_timeout_s=settings.server.header_timeout_s,
        keepalive_timeout_s=settings.server.keepalive_timeout_s,
    )


async def _look(metrics: Metrics, ledger: ValkeyLedger, connection: Connection) -> None:
    """Ask for a scrape what only the store knows."""
    await metrics.look(
        ledger.open_sessions,
        partial(journal_status, connection),
        partial(waiting, connection, ledger.partitions),
    )


def _realtime(
    specification: WorkerSpecification,
    calls: EmergencyCalls,
    metrics: Metrics,
    authenticator: Authenticator,
) -> Realtime:
    settings = specification.settings
    log = EventLog(
        Pseudonyms(settings.logs.pseudonym_key),
        clock.monotonic_s,
        slow_s=settings.logs.slow_ms / 1000,
    )
    measured = MeasuredCharger(calls.charge, calls.charge_all, (metrics.charged, log.charged))
    server = settings.server
    return Realtime(
        charge=measured.charge,
        charge_all=measured.charge_all,
        dialects=dialects_of(settings, specification.sources),
        authenticator=authenticator,
        limits=RealtimeLimits(
            body_bytes=server.max_body_bytes,
            array_bytes=server.max_array_bytes,
            body_timeout_s=server.body_timeout_s,
            max_in_flight=server.max_in_flight,
            retry_after_s=server.retry_after_s,
        ),
        wall_ms=clock.wall_ms,
        observers=(metrics.refused, log.refused),
    )


def _charger(
    settings: Settings, connection: Connection, ledger: Ledger, tariffs: Tariffs
) -> Charger:
    kept = settings.ledger
    limits = ChargeLimits(
        max_ring_s=kept.max_ring_s,
        life_units=kept.voice_life_s,
        come_back_s=kept.come_back_s,
        closed_keep_s=kept.closed_keep_s,
        event_keep_s=kept.event_keep_s,
        refused_keep_s=kept.refused_keep_s,
        max_sessions=kept.max_sessions,
        held_elsewhere_validity_s=kept.held_elsewhere_validity_s,
    )
    directory = CachedDirectory(
        ValkeyDirectory(connection),
        clock.wall_ms,
        seconds=settings.charging.subscriber_cache_s,
        max_entries=settings.charging.subscriber_cache_entries,
    )
    return Charger(
        ledger=ledger,
        directory=directory,
        tariffs=tariffs,
        plans={plan.name: plan.plan() for plan in settings.plans},
        settings=ChargingSettings(
            limits=limits,
            zones={tenant.name: zone_named(tenant.zone) for tenant in settings.tenants},
            refunds_any=settings.charging.refunds == "any",
        ),
        clock_ms=clock.wall_ms,
    )


def _authenticator(settings: Settings) -> Authenticator:
    return Authenticator(
        [
            Credential(
                name=credential.name,
                token_sha256=credential.token_sha256,
                roles=frozenset(Role(role) for role in credential.roles),
                tenants=credential.tenants,
                networks=credential.networks,
            )
            for credential in settings.credentials
        ],
        tenants=[tenant.name for tenant in settings.tenants],
        default_tenant=settings.charging.default_tenant,
    )


def _sweeper(
    specification: WorkerSpecification,
    ledger: Ledger,
    connection: Connection,
    metrics: Metrics,
) -> Sweeper:
    settings = specification.settings
    limits = ExpiryLimits(
        validity_s=max(plan.validity_s for plan in settings.plans),
        batch=settings.ledger.sweep_batch,
        max_clock_difference_ms=settings.ledger.max_clock_difference_s * 1000,
    )
    rhythm = SweepRhythm(
        partitions=settings.ledger.partitions,
        period_s=settings.ledger.sweep_period_s,
        workers=specification.slots,
    )
    return Sweeper(
        Expiry(ledger, limits, lambda: connection.reconnects),
        rhythm,
        wall_ms=clock.wall_ms,
        monotonic_s=clock.monotonic_s,
        chance=random.Random(),
        expired=metrics.expired,
    )


def _checks(connection: Connection, tariffs: Tariffs) -> Mapping[str, Check]:
    library = assemble()

    async def store() -> str:
        await connection.execute("PING")
        return ""

    async def functions() -> str:
        found = await connection.execute("FUNCTION", "LIST", "LIBRARYNAME", library.name)
        return "" if found else f"the store has no function library {library.name}"

    async def rates() -> str:
        return "" if tariffs.current.tariffs else "no tariff is loaded"

    return {"store": store, "functions": functions, "tariffs": rates}


async def _connect(connection: Connection) -> None:
    """Wait for the store, though not for ever: emergency calls are answered without it.

    StoreUnusable when waiting cannot help. A certificate that is no longer trusted may be renewed.
    """
    connection.start()
    try:
        await connection.wait_connected(CONNECT_PATIENCE_S)
    except StoreUnusable:
        raise
    except StoreUnavailable as error:
        _log.error("there is no store, and nothing but emergency calls is granted: %s", error)


async def _disconnect(
    emergency: Emergency, intake: WorkerIntake, lanes: Lanes, connection: Connection
) -> None:
    await emergency.finish()
    intake.close()
    await lanes.close()
    await connection.close()


def _main() -> None:
    control, service, operations = (
        socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:4]
    )
    specification = msgspec.json.decode(receive_specification(control), type=WorkerSpecification)
    configure_logs(specification.settings.logs.level)

    async def live() -> None:
        await work(make_worker(specification, _Sockets(control, service, operations)))

    uvloop.run(live())


if __name__ == "__main__":
    _main()

"""Every option of `ocs`, with its default and its bounds.

The structs are the configuration: a section of `ocs.toml` is a struct, a key is a field, and the
type is what is accepted. What an option means to an operator stands in `config/ocs.toml`, where
each is set to its default beside its comment; a test holds the two together. So there is no third
list of options anywhere.

Settings are read once, are never changed, and are handed down as plain arguments. They also travel
to the workers as JSON, so they hold nothing but text, numbers and lists: a worker never reads the
file itself, which somebody may be editing.
"""

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ocs.domain.numbers import EmergencyNumbers, NumberRules
from ocs.domain.plan import FailureHandling, FinalUnitPolicy, Plan
from ocs.domain.tariff import PlanTariff

FilePath = Annotated[str, Meta(extra={"is_path": True})]
"""Relative to the configuration file in the file, absolute in the struct; may be empty."""
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Prefix = Annotated[str, Meta(pattern=r"^[0-9]{1,18}$")]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int, Meta(ge=1, le=31_536_000)]
"""A year at most: whoever writes more has mistaken the unit."""
Percent = Annotated[int, Meta(ge=1, le=100)]
SecondsOrNone = Annotated[int, Meta(ge=0, le=31_536_000)]
Address = Annotated[str, Meta(max_length=255)]


class Durability(StrEnum):
    """What an answer promises: on this disk, on a replica as well, or on disk within a second."""

    LOCAL = "local"
    REPLICATED = "replicated"
    RELAXED = "relaxed"


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, Meta(ge=0, le=256)] = 1
    operations_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    operations_port: Port = 0
    return_codes: FilePath = ""
    max_in_flight: Count = 512
    retry_after_s: Seconds = 1
    max_body_bytes: Annotated[int, Meta(ge=1_024)] = 65_536
    max_array_bytes: Annotated[int, Meta(ge=1_024)] = 1_048_576
    max_array_events: Count = 1_000
    header_timeout_s: Seconds = 10
    body_timeout_s: Seconds = 10
    keepalive_timeout_s: Seconds = 75
    drain_delay_s: SecondsOrNone = 0
    drain_s: Seconds = 10


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    directory: FilePath = "../var"
    url: str = ""
    binary: FilePath = ""
    durability: Durability = Durability.LOCAL
    maxmemory_mb: Annotated[int, Meta(ge=16)] = 1_024
    shed_starts_percent: Percent = 70
    shed_percent: Percent = 85
    timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1_000
    connect_timeout_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2_000
    max_waiting: Count = 10_000
    spool_mb: Annotated[int, Meta(ge=1, le=65_536)] = 64
    replicas: Count = 1
    replica_timeout_ms: Annotated[int, Meta(ge=1, le=60_000)] = 50


class Ledger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    partitions: Annotated[int, Meta(ge=1, le=1_000)] = 256
    max_sessions: Count = 1_000
    voice_life_s: Annotated[int, Meta(ge=1, le=604_800)] = 86_400
    max_ring_s: SecondsOrNone = 180
    come_back_s: Seconds = 120
    held_elsewhere_validity_s: Seconds = 30
    closed_keep_s: Seconds = 3_600
    event_keep_s: Seconds = 86_400
    refused_keep_s: Seconds = 120
    sweep_period_s: Seconds = 10
    sweep_batch: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_clock_difference_s: Seconds = 30


class Charging(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    default_tenant: Name = "demo"
    skew_s: Seconds = 300
    time_limit_ms: Annotated[int, Meta(ge=10, le=60_000)] = 2_000
    refunds: Literal["by_transaction", "any"] = "by_transaction"
    subscriber_cache_s: SecondsOrNone = 10
    subscriber_cache_entries: Count = 100_000


class Rating(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tariffs: FilePath = "tariffs"


class Sources(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    folder: FilePath = "sources"


class Journal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    drain: bool = True
    folder: FilePath = ""
    keep_s: SecondsOrNone = 300
    period_s: Seconds = 5
    checkpoint_s: Seconds = 300
    reel_mb: Annotated[int, Meta(ge=1, le=65_536)] = 64
    reel_hours: Annotated[int, Meta(ge=1, le=8_760)] = 24


class Offline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    intake: bool = True
    intake_folder: FilePath = ""
    intake_mb: Annotated[int, Meta(ge=1, le=1_048_576)] = 1_024
    intake_spare_mb: Annotated[int, Meta(ge=0, le=1_048_576)] = 512
    intake_body_bytes: Annotated[int, Meta(ge=1_024, le=4_194_304)] = 1_048_576
    intake_file_mb: Annotated[int, Meta(ge=1, le=1_024)] = 16
    intake_file_s: Seconds = 60
    intake_keep_s: SecondsOrNone = 604_800


class Provision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: Name = "demo"
    accounts: FilePath = ""
    subscribers: FilePath = ""


class Logs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    pseudonym_key: str = ""
    slow_ms: Count = 100


class Tenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    zone: Annotated[str, Meta(min_length=1)] = "UTC"
    country_code: Annotated[str, Meta(pattern=r"^\d{0,3}$")] = ""
    national_prefix: Annotated[str, Meta(pattern=r"^\d{0,4}$")] = ""
    international_prefix: Annotated[str, Meta(pattern=r"^\d{0,6}$")] = "00"
    tech_prefix: Annotated[str, Meta(max_length=16)] = ""
    national_digits: tuple[Annotated[int, Meta(ge=1, le=18)], ...] = ()
    short_codes: tuple[Annotated[str, Meta(pattern=r"^[0-9x]{2,8}$")], ...] = ()
    emergency_numbers: tuple[Annotated[str, Meta(pattern=r"^[0-9][0-9x]{1,7}$")], ...] = (
        "112",
        "911",
    )

    def rules(self) -> NumberRules:
        return NumberRules(
            country_code=self.country_code,
            national_prefix=self.national_prefix,
            international_prefix=self.international_prefix,
            tech_prefix=self.tech_prefix,
            national_digits=self.national_digits,
            short_codes=self.short_codes,
            emergency=EmergencyNumbers.below(self.country_code, self.emergency_numbers),
        )


class TariffShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tariff of a plan at a percentage of its prices: `{name = "intl", percent = 90}`."""

    name: Name
    percent: Annotated[int, Meta(ge=0, le=1_000)] | Annotated[float, Meta(ge=0, le=1_000)]

    def plan_tariff(self) -> PlanTariff:
        """ValueError for what is probably a fraction: a hundredth of the prices is not meant."""
        if 0 < self.percent < 1:
            raise ValueError(
                f"tariff {self.name} at {self.percent} per cent: write 90 for 90 per cent"
            )
        return PlanTariff(self.name, Fraction(str(self.percent)))  # as written, not as a double


class PlanSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`domain.plan.Plan` as it is written; what a usage type leaves out has the plan's default."""

    name: Name
    tariffs: Annotated[tuple[Name | TariffShare, ...], Meta(min_length=1)]
    validity_s: Seconds = 600
    blocked_prefixes: tuple[Prefix, ...] = ()
    free_prefixes: tuple[Prefix, ...] = ()
    quota_units: Mapping[str, Count] = {}
    minimum_units: Mapping[str, Count] = {}
    maximum_units: Mapping[str, Count] = {}
    threshold_units: Mapping[str, Count] = {}
    final_unit_action: FinalUnitPolicy = "terminate"
    redirect_address: Address = ""
    filter_id: Address = ""
    failure_handling: FailureHandling = ""

    def plan(self) -> Plan:
        """ValueError tells what does not fit together."""
        return Plan(
            name=self.name,
            tariffs=self.plan_tariffs(),
            quota_units=self.quota_units,
            minimum_units=self.minimum_units,
            maximum_units=self.maximum_units,
            validity_s=self.validity_s,
            blocked_prefixes=self.blocked_prefixes,
            free_prefixes=self.free_prefixes,
            threshold_units=self.threshold_units,
            final_unit_action=self.final_unit_action,
            redirect_address=self.redirect_address,
            filter_id=self.filter_id,
            failure_handling=self.failure_handling,
        )

    def plan_tariffs(self) -> tuple[PlanTariff, ...]:
        return tuple(
            PlanTariff(each) if isinstance(each, str) else each.plan_tariff()
            for each in self.tariffs
        )


class CredentialSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Name
    token_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    roles: Annotated[tuple[Literal["charge", "operate"], ...], Meta(min_length=1)] = ("charge",)
    tenants: Annotated[tuple[Name, ...], Meta(min_length=1)]
    networks: tuple[str, ...] = ()


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of `ocs.toml`; `file` is where it was read from, for messages."""

    file: str = ""
    server: Server = Server()
    store: Store = Store()
    ledger: Ledger = Ledger()
    charging: Charging = Charging()
    rating: Rating = Rating()
    sources: Sources = Sources()
    journal: Journal = Journal()
    offline: Offline = Offline()
    provision: Provision = Provision()
    logs: Logs = Logs()
    tenants: tuple[Tenant, ...]
    plans: tuple[PlanSettings, ...]
    credentials: tuple[CredentialSettings, ...] = ()

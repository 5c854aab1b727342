"""A charging event, as every decoder hands it on.

Sources write the same thing in many ways; this is the one way that the rest of the system reads.
Identities and numbers are already cleaned, times are milliseconds since the epoch and already
clamped to the permitted skew, and units are whole (seconds, bytes or events).
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

MAIN_SERVICE: Final = "0"
"""The rating group of the one service that a voice session has."""


class Kind(StrEnum):
    """What an event asks for (the charging verbs of the glossary)."""

    START = "start"
    UPDATE = "update"
    RELEASE = "release"
    EVENT = "event"


class ServiceUse(Struct, frozen=True, gc=False):
    """One service of an event: what was used, and what is asked for.

    `requested_units` is None where the client leaves the size to the plan's quota, and 0 where it
    reports only (RFC 8506 8.16: debit, grant nothing).
    """

    rating_group: str
    used_units: int
    requested_units: int | None


class Event(Struct, frozen=True, gc=False):
    """One start, update, release or one-shot event.

    Decoders name its fields by position: by name, so many cost 0.7 µs more for each event.

    `request_number` is None where the client sends none; `request_key` then tells two requests of
    a session apart. `attributes` is the JSON text of every field that charging does not read, kept
    for the CDR. `time_flag` is set when `event_ms` was outside the permitted skew and was clamped;
    `reported_ms` is what the client said. `explain` asks a dry run for the steps of the price.
    """

    kind: Kind
    tenant: str
    session_id: str
    request_number: int | None
    request_key: str
    subscriber: str
    usage_type: str
    rated_number: str
    event_ms: int
    reported_ms: int
    answer_ms: int | None
    services: tuple[ServiceUse, ...]
    session_ref: str = ""
    direction: str = "orig"
    calling_number: str = ""
    called_number: str = ""
    trunk_in: str = ""
    answered: bool = False
    dry_run: bool = False
    time_flag: bool = False
    attributes: bytes = b""
    explain: bool = False

    @property
    def used_units(self) -> int:
        """All units that the event reports, over its services."""
        return sum(service.used_units for service in self.services)

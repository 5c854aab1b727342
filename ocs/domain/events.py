"""A charging event, as every decoder hands it on.

Sources write the same thing in many ways; this is the one way that the rest of the system reads.
Identities and numbers are already cleaned, times are milliseconds since the epoch and already
clamped to the permitted skew, and units are whole (seconds, bytes or events).
"""

from enum import IntEnum, StrEnum
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


class Action(StrEnum):
    """What a one-shot event wants (Requested-Action, RFC 8506 8.41)."""

    DIRECT_DEBIT = "direct_debit"
    REFUND = "refund"
    CHECK_BALANCE = "check_balance"
    PRICE_ENQUIRY = "price_enquiry"


class Reporting(IntEnum):
    """What `used_units` of a report counts."""

    DELTA = 0
    """What was used since the last report."""
    TOTAL = 1
    """What was used since the session began. An update never lowers it, a release sets it."""
    AT_RELEASE = 2
    """Only the release reports, the total of the session; until then grants add up."""


class Terms(Struct, frozen=True, gc=False):
    """What a source sets for one usage type; 0 leaves it to the plan.

    Of the two maximums the lower counts; of the others the source's, where it is set.
    `threshold_units`: the client is to come back when so many units are left.
    """

    quota_units: int = 0
    minimum_units: int = 0
    maximum_units: int = 0
    validity_s: int = 0
    threshold_units: int = 0


class ServiceUse(Struct, frozen=True, gc=False):
    """One service of an event: what was used, and what is asked for.

    `requested_units` is None where the client leaves the size to the plan's quota, and 0 where it
    reports only (RFC 8506 8.16: debit, grant nothing). `rated_number` is what this service is rated
    by; empty: by the event's. `before_units` is the part of `used_units` from before the tariff
    change that the last answer told (Tariff-Change-Usage, RFC 8506 8.27).
    """

    rating_group: str
    used_units: int
    requested_units: int | None
    rated_number: str = ""
    before_units: int = 0


class Event(Struct, frozen=True, gc=False):
    """One start, update, release or one-shot event.

    Decoders name its fields by position: by name, so many cost 0.7 µs more for each event.

    `request_number` is None where the client sends none; `request_key` then tells two requests of
    a session apart. `attributes` is the JSON text of every field that charging does not read, kept
    for the CDR. `time_flag` is set when `event_ms` was outside the permitted skew and was clamped;
    `reported_ms` is what the client said. `explain` asks a dry run for the steps of the price.
    `action` is that of a one-shot event. `reverses` is the transaction that a refund takes back.
    `may_open` is false where the source does not want an unknown session opened by an update.
    `emergency`: the call is answered whatever the account is. `amount` is the money to refund, a
    decimal of the account's currency, where it is not that of a transaction or of units.
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
    action: Action = Action.DIRECT_DEBIT
    reverses: str = ""
    reporting: Reporting = Reporting.DELTA
    may_open: bool = True
    terms: Terms | None = None
    emergency: bool = False
    amount: str = ""

    @property
    def used_units(self) -> int:
        """All units that the event reports, over its services."""
        return sum(service.used_units for service in self.services)

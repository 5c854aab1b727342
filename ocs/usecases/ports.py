"""What the use cases need from outside: the ledger and the directory, and what travels to them.

A charge is one call and one answer. Everything that has to be decided with the balance in hand is
in the call as data (ordered payers, priced ladders, limits), so that one server-side step can
settle and hold without coming back.
"""

from collections.abc import Awaitable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.domain.session import State
from ocs.domain.wallet import Bucket, Payer


class LedgerUnavailable(Exception):
    """The store did not execute the call and could not be brought to within the time limit."""


class OutcomeUnknown(Exception):
    """The call may or may not have been executed; the same call again will tell."""


class Segment(Struct, frozen=True, array_like=True, gc=False):
    """A ladder and the instant from which it applies (0: from the beginning)."""

    from_ms: int
    ladder: Raw
    """`Ladder.packed()` as msgpack: den, fee, fee rest, grace, minimum, maximum, rounding, rows."""
    rating: str
    """What the answer says of the price: JSON text of `RatingInfo`, opaque to the ledger."""


class RatingInfo(Struct, frozen=True, array_like=True, gc=False):
    """Where a price comes from; kept with the session so that a repeat tells the same."""

    tariff: str
    prefix: str
    destination: str
    model: str


class ServiceCall(Struct, frozen=True, array_like=True, gc=False):
    """One service of a charge.

    `ask_units`: -1 nothing is asked, else what the client asked for (or the quota).
    `cap_units`: the most that may be granted now, already min(ask, source, plan).
    `minimum_units`: a smaller grant than min(this, ask) is refused.
    `timed`: 1 when units are seconds of elapsed time, so that a tariff switch falls inside.
    `free`: 1 when the price is zero whatever is used: granted as asked, NOT_CHARGED.
    `subject`: what the price depends on; when it differs from the session's, a segment opens.
    `segments`: the ladder in force and the switches known now; empty when there is no price.
    `reporting`: `domain.events.Reporting`; with TOTAL and AT_RELEASE `used_units` is a total.
    `before_units`: so many of `used_units` are from before a tariff change that the client told
    apart; they are settled first, by `before`, whose subject is `before_subject`.
    `coming`: of an untimed service, the price that takes over within the validity of the grant: the
    dearer of the two is held.
    """

    rating_group: str
    used_units: int
    ask_units: int
    cap_units: int
    minimum_units: int
    timed: int
    free: int
    subject: str
    payers: tuple[Payer, ...]
    segments: tuple[Segment, ...]
    reporting: int = 0
    before_units: int = 0
    before: tuple[Segment, ...] = ()
    before_subject: str = ""
    coming: tuple[Segment, ...] = ()


class ChargeLimits(Struct, frozen=True, array_like=True, gc=False):
    """Times and bounds of a charge, from the plan and the configuration."""

    validity_s: int = 300
    max_ring_s: int = 180
    life_units: int = 86_400
    """The most units of a timed service in one session (voice: 24 h)."""
    come_back_s: int = 120
    """How long a session without a grant stays open."""
    closed_keep_s: int = 3_600
    event_keep_s: int = 86_400
    refused_keep_s: int = 120
    max_sessions: int = 1_000
    """Open sessions of one wallet."""
    held_elsewhere_validity_s: int = 30
    """Validity when money is merely held by other sessions."""
    lead_s: int = 0
    """By how much the client's clock is ahead: for so much longer the request is remembered."""


class WalletKey(Struct, frozen=True, gc=False):
    """The address of a wallet: an account belongs to one wallet group of one tenant."""

    tenant: str
    wallet_group: str


class SessionKey(Struct, frozen=True, gc=False):
    """The address of a session; `session_ref` spells it for the client."""

    tenant: str
    wallet_group: str
    account: str
    session_id: str


class ChargeCall(Struct, frozen=True, gc=False):
    """Settle what was used, then hold for what is asked: the one charging call.

    `request_number` is -1 where `request_key` identifies the request instead.
    `wallet_version` is 0 when the caller knows only of the money bucket `main`.
    `can_open` is false when the event lacks what a start needs. `only_repeats`: what is not known
    already is not charged, as if there were no such session.
    `info` is opaque and is kept in the journal entry (JSON text; who called whom, and the rest).
    """

    session: SessionKey
    kind: Kind
    request_number: int
    request_key: str
    fingerprint: str
    wallet_version: int
    event_ms: int
    answer_ms: int
    answered: bool
    dry_run: bool
    can_open: bool
    limits: ChargeLimits
    services: tuple[ServiceCall, ...]
    info: bytes = b""
    only_repeats: bool = False


class ServiceResult(Struct, frozen=True, array_like=True, gc=False):
    """What became of one service. Amounts are integers of 10^-scale of the currency."""

    rating_group: str
    code: ResultCode
    granted_units: int
    validity_s: int
    final_unit: bool
    settled_units: int
    settled_amount: int
    """Money debited by this request for this service."""
    total_amount: int
    """Money debited for this service since the session began."""


class ChargeResult(Struct, frozen=True, array_like=True, gc=False):
    """The stored result of a charge: a repeat answers with exactly this again."""

    code: ResultCode
    transaction_id: str
    """`NNN-<stream id>` of the journal entry; empty in a dry run."""
    services: tuple[ServiceResult, ...]
    available_amount: int
    """Money in the valid money buckets that no session holds (below zero after an overrun)."""
    held_amount: int
    overrun_amount: int
    late_start: bool


class Reply(Struct, frozen=True, gc=False):
    """What the ledger answered to a charge.

    `hit`: the stored result of an earlier copy. `code` differs from `result.code` only for
    CONFLICT, REPEAT_EXPIRED and UNKNOWN_SESSION, for which nothing moved; `result` is then the
    first answer (CONFLICT) or None. `stale` carries the wallet's definitions when the call's
    version was old; nothing moved. `ratings` match `result.services`.
    """

    code: ResultCode
    result: ChargeResult | None = None
    ratings: tuple[str, ...] = ()
    hit: bool = False
    stale: "WalletDefinition | None" = None


ReplyOfOne = Reply | Exception | Awaitable[Reply]
"""What becomes of one of several charges: its reply, what `charge` would raise, or, where the
others are not to wait for it, its reply to come."""


class Settler(StrEnum):
    """What is debited to an account: events as they come, or CDRs when all is over; or nothing.

    NOBODY: an offline account. Its CDRs are rated and recorded; who bills them is not `ocs`.
    """

    EVENTS = "events"
    CDR = "cdr"
    NOBODY = "nobody"


class WalletDefinition(Struct, frozen=True, kw_only=True):
    """What a wallet is: its state and its buckets. The ledger adds the numbers.

    `settled_by` never changes: what one of them has debited the other cannot tell.
    """

    version: int
    currency: str
    active: bool = True
    floor_amount: int = 0
    """`main` may be held and granted down to here: 0 prepaid, below zero postpaid."""
    buckets: tuple[Bucket, ...]
    settled_by: Settler = Settler.EVENTS


class BucketBalance(Struct, frozen=True, kw_only=True):
    """The numbers of one bucket: credited = left + debited, left - held is available."""

    bucket: str
    left: int
    held: int
    credited: int
    debited: int


class WalletBalance(Struct, frozen=True, kw_only=True):
    """A wallet as the ledger holds it now."""

    definition: WalletDefinition
    balances: tuple[BucketBalance, ...]
    open_sessions: int


class HoldView(Struct, frozen=True, kw_only=True):
    """What one service of a session holds of one bucket."""

    rating_group: str
    bucket: str
    amount: int


class SessionView(Struct, frozen=True, kw_only=True):
    """A session as the ledger remembers it, for people and for `verify`."""

    key: SessionKey
    state: State
    opened_ms: int
    deadline_ms: int
    answer_ms: int
    elapsed_units: int
    granted_units: int
    charged_amount: int
    repeats: int
    holds: tuple[HoldView, ...]
    last: ChargeResult | None


class AdjustedUse(Struct, frozen=True):
    """A use that was charged online, and what a re-rating charges for it more (below zero: less).

    `begun_by` is the transaction with which it began.
    """

    session: SessionKey
    rating_group: str
    begun_by: str
    amount: int


class Adjusts(Struct, frozen=True):
    """For which uses a page of a re-rating moves an amount.

    `seen` is the last transaction of the wallet's partition that the page knows of.
    """

    page: str
    seen: str
    uses: tuple[AdjustedUse, ...]


class CreditCall(Struct, frozen=True, kw_only=True):
    """Add to (or, below zero, take from) one bucket, once per `reference`.

    `fingerprint` is what makes two orders of one reference the same; empty: bucket and amount. What
    adjusts uses moves nothing if something of the wallet was reversed that its page has not seen.
    """

    wallet: WalletKey
    bucket: str
    amount: int
    reference: str
    reason: str = "top-up"
    fingerprint: str = ""
    adjusts: Adjusts | None = None


class CreditReply(Struct, frozen=True, kw_only=True):
    """OK, or NO_CREDIT (a debit below the floor), CONFLICT (reference used otherwise; or `why`).

    UNKNOWN_SUBSCRIBER stands for a wallet or bucket that does not exist. `amount` is what moved,
    when the reference was new.
    """

    code: ResultCode
    transaction_id: str = ""
    left: int = 0
    hit: bool = False
    amount: int = 0
    why: str = ""


class ReverseCall(Struct, frozen=True, kw_only=True):
    """Take back what one charge debited, once, whoever asks again and however often.

    Only of what has ended: a one-shot event, or any report of a session that is released.
    """

    wallet: WalletKey
    transaction_id: str
    reason: str = "reversal"


class ReverseReply(Struct, frozen=True, kw_only=True):
    """OK; or UNKNOWN_SESSION or CONFLICT, and `why`, for people.

    UNKNOWN_SESSION: there is no such transaction of this wallet within 30 days, or its entry cannot
    be had here any more. CONFLICT: it is not over yet, or it is no charge, or a re-rating has moved
    something for its session, or perhaps has.
    What one has moved for a one-shot event goes back with it.
    `hit`: it was reversed before; the other fields are those of that time. `amount` is the money
    that went back, `units` what went back to buckets of units; below zero where the charge itself
    had given back.
    """

    code: ResultCode
    transaction_id: str = ""
    amount: int = 0
    units: int = 0
    hit: bool = False
    why: str = ""


MOST_CDRS_DEBITED: Final = 200
"""In one call: about a millisecond of the store, in which no charge is answered."""
CDR_DAYS: Final = 45
"""How many days after the one on which a use ended it may be debited by its CDR."""
DAY_MS: Final = 86_400_000


class CdrFate(StrEnum):
    """What became of a CDR.

    DEBITED: by this chunk, now or before. KNOWN: debited before by another chunk, or twice in this
    call. ONLINE: the ledger knows its session, which was not refused. TOO_OLD, AHEAD: of a day that
    is not remembered any more, or is to come.
    """

    DEBITED = "d"
    KNOWN = "u"
    ONLINE = "o"
    TOO_OLD = "t"
    AHEAD = "a"


class CdrDebit(Struct, frozen=True, gc=False):
    """One finished use and what it costs. `session_id` is what its online events were called."""

    cdr_id: str
    session_id: str
    amount: int


class DebitCall(Struct, frozen=True, kw_only=True):
    """Debit finished CDRs of one account that ended on one day, `MOST_CDRS_DEBITED` at most.

    `day`: days since 1970, UTC. `chunk`: who gives them in; the same chunk again is no duplicate.
    """

    wallet: WalletKey
    account: str
    currency: str
    day: int
    chunk: str
    cdrs: tuple[CdrDebit, ...]


class DebitReply(Struct, frozen=True, kw_only=True):
    """OK, with the fate of each CDR and what was debited for it when it was.

    Nothing moved, and `why`: UNKNOWN_SUBSCRIBER (no such wallet), NOT_CHARGED (CDRs do not settle
    it: `settled_by`), INVALID_EVENT (another currency), RATING_FAILED (more than a bucket holds).
    `overrun_amount`: what was debited now, below the floor.
    """

    code: ResultCode
    transaction_id: str = ""
    overrun_amount: int = 0
    fates: tuple[CdrFate, ...] = ()
    amounts: tuple[int, ...] = ()
    settled_by: Settler = Settler.CDR
    why: str = ""


class Ledger(Protocol):
    """The one door to the money. Every method is one atomic step in the store.

    Raises `LedgerUnavailable` and `OutcomeUnknown`.
    """

    def charge(self, call: ChargeCall) -> Awaitable[Reply]:
        """Settle and hold. The call may leave before it is awaited; it is awaited once."""
        ...

    def charge_all(self, calls: Sequence[ChargeCall]) -> Awaitable[Sequence[ReplyOfOne]]:
        """Make several charges. All that is handed back to be awaited is awaited."""
        ...

    async def credit(self, call: CreditCall) -> CreditReply:
        """Top up, refund or adjust."""
        ...

    async def reverse(self, call: ReverseCall) -> ReverseReply:
        """Take back what a transaction debited."""
        ...

    async def debit(self, call: DebitCall) -> DebitReply:
        """Debit CDRs, each once; the same call again answers the same and moves nothing."""
        ...

    async def expire(self, session: SessionKey) -> bool:
        """Give back what a session past its deadline holds; false when it is not past it."""
        ...

    async def define(self, wallet: WalletKey, definition: WalletDefinition) -> bool:
        """Create (version 1) or change (version n+1 over n) a wallet; false when n is not current.

        A bucket that is left out must be empty, else nothing changes and false is returned.
        """
        ...

    async def balance(self, wallet: WalletKey) -> WalletBalance | None:
        """Read a wallet."""
        ...

    async def session(self, key: SessionKey) -> "SessionView | None":
        """Read one session."""
        ...

    async def sessions(self, tenant: str, limit: int) -> "list[SessionView]":
        """List up to `limit` remembered sessions of a tenant, in no order (a scan: cold path)."""
        ...

    async def due(self, partition: int, limit: int) -> list[SessionKey]:
        """List up to `limit` sessions of a partition whose deadline may have passed."""
        ...

    async def open_sessions(self) -> int:
        """Count the sessions that have a deadline, over all partitions."""
        ...

    async def store_ms(self) -> int:
        """Read the store's clock (milliseconds since the epoch)."""
        ...

    async def park(self, stream: str, key: SessionKey, request: str, entry: bytes) -> str:
        """Append `entry` to a stream of parked events, once per session and request; return its id.

        The streams are named below: `UNRATED`, `LATE`, `EMERGENCY`.
        """
        ...


UNRATED: Final = "unrated"
LATE: Final = "late"
EMERGENCY: Final = "emergency"


class Subscriber(Struct, frozen=True, kw_only=True, gc=False):
    """Who uses, and who pays for it. One identity of many may name the same account."""

    identity: str
    account: str
    wallet_group: str
    plan: str
    currency: str


class Account(Struct, frozen=True, kw_only=True):
    """Who pays. `floor` is a decimal string: 0 for prepaid, below zero for postpaid."""

    account: str
    wallet_group: str
    currency: str


class Directory(Protocol):
    """Who is who, per tenant."""

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        """Find the subscriber of an identity."""
        ...

    async def account(self, tenant: str, account: str) -> Account | None:
        """Find an account."""
        ...

    async def put_subscriber(self, tenant: str, subscriber: Subscriber) -> bool:
        """Write a subscriber; false when the identity is another account's already."""
        ...

    async def put_account(self, tenant: str, account: Account) -> bool:
        """Write an account; false when it exists with other terms."""
        ...

    async def subscribers(self, tenant: str) -> list[Subscriber]:
        """List all subscribers of a tenant, by identity."""
        ...

    async def accounts(self, tenant: str) -> list[Account]:
        """List all accounts of a tenant, by name."""
        ...


encode = msgspec.msgpack.Encoder().encode

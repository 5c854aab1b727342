"""CDRs out of the journal: what was charged online, a record for each session that is over.

A record adds up what the entries of a session say: units and money by price, what each bucket paid,
the numbers, the plan and the tariff generation of its first entry, and the times of its first and
its last. A one-shot event is a record by itself. A session is over when it is released, or when it
expires. What is reported after that makes a record of its own, with what it moved: records of one
session are to be added. Those that are still open are told apart (`open_records`), as far as they
have come.

What the journal does not say, and no record can: within one report that spans a change of the
price, how much of it was before (an entry keeps one price for each service, the one that the report
ended with); and tax, which is part of a price and not told beside it. Both are what the call costs
by its tariffs, which `ocs rate` and rated CDRs tell step by step.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ocs.domain.events import Kind
from ocs.domain.session import State
from ocs.usecases.addresses import parse_session_address
from ocs.usecases.journal import Posted
from ocs.usecases.ports import RatingInfo, ServiceResult

_NO_ATTRIBUTES: Final = Raw(b"{}")
_NO_RATING: Final = RatingInfo("", "", "", "")
_CHARGES: Final = frozenset(Kind)


class About(Struct, frozen=True):
    """What an entry says of its event (`preparing.Info`)."""

    subscriber: str = ""
    direction: str = ""
    usage_type: str = ""
    calling_number: str = ""
    called_number: str = ""
    rated_number: str = ""
    plan: str = ""
    generation: str = ""
    currency: str = ""
    answer_ms: int = 0
    reported_ms: int = 0
    time_flag: bool = False
    attributes: Raw = _NO_ATTRIBUTES
    rated_numbers: Mapping[str, str] | None = None
    """Of services that are rated by another number than the event's, by rating group."""

    def rated(self, rating_group: str) -> str:
        return (self.rated_numbers or {}).get(rating_group, self.rated_number)


class PricedUse(Struct, frozen=True):
    """The use of one service that was charged by one price. Amounts are in money units."""

    rating_group: str
    rated_number: str
    tariff: str
    prefix: str
    destination: str
    model: str
    units: int
    amount: int


class BucketUse(Struct, frozen=True):
    """What a bucket paid: money units, or units."""

    bucket: str
    debited: int


class EntryRow(Struct, frozen=True, kw_only=True):
    """One entry of the journal, flat."""

    transaction_id: str
    partition: int
    at_ms: int
    kind: str
    tenant: str
    wallet_group: str
    account: str
    session_id: str
    request: str
    state: str
    event_ms: int
    code: str
    overrun_amount: int
    available_amount: int
    about: About
    uses: tuple[PricedUse, ...]
    buckets: tuple[BucketUse, ...]
    info: str


class CallRecord(Struct, frozen=True, kw_only=True):
    """What was charged of one usage, of which the last entry is of this `kind`.

    `opened_ms` and `closed_ms` are the store's clock, `started_ms` and `released_ms` the client's,
    of the first entry and of the last. Those of the beginning are 0 where it is not known.
    """

    transaction_id: str
    partition: int
    tenant: str
    wallet_group: str
    account: str
    session_id: str
    kind: str
    about: About
    opened_ms: int
    started_ms: int
    closed_ms: int
    released_ms: int
    reports: int
    units: int
    amount: int
    overrun_amount: int
    uses: tuple[PricedUse, ...]
    buckets: tuple[BucketUse, ...]


def about_of(posted: Posted) -> About:
    """Read what an entry says of its event; nothing for one that is no charge's."""
    if posted.entry.kind not in _CHARGES or not posted.info:
        return About()
    return msgspec.json.decode(posted.info, type=About)


def row_of(posted: Posted) -> EntryRow:
    """Make an entry flat."""
    entry, result = posted.entry, posted.result
    account, session_id = _session(entry.subject)
    return EntryRow(
        transaction_id=entry.transaction_id,
        partition=posted.partition,
        at_ms=entry.at_ms,
        kind=entry.kind,
        tenant=entry.wallet.tenant,
        wallet_group=entry.wallet.wallet_group,
        account=account,
        session_id=session_id,
        request=entry.request,
        state=entry.state,
        event_ms=posted.event_ms,
        code=result.code if result else "",
        overrun_amount=result.overrun_amount if result else 0,
        available_amount=result.available_amount if result else 0,
        about=about_of(posted),
        uses=_uses(posted),
        buckets=tuple(BucketUse(c.bucket, -c.left_by) for c in entry.changes if c.left_by),
        info=posted.info,
    )


class CallRecords:
    """Adds up the entries of one partition, in their order; holds what is not over yet."""

    def __init__(self) -> None:
        self._open: dict[str, _Tally] = {}

    @property
    def open_sessions(self) -> int:
        """Sessions that are not over."""
        return len(self._open)

    def open_records(self) -> Iterator[CallRecord]:
        """Yield what those have come to so far."""
        return (tally.record() for tally in self._open.values())

    def add(self, posted: Posted) -> CallRecord | None:
        """Take an entry; the record, if it ends one."""
        entry = posted.entry
        if entry.state == State.EXPIRED and entry.kind not in _CHARGES:
            tally = self._open.pop(entry.subject, None)
            return None if tally is None else tally.record(posted)
        if entry.kind == Kind.EVENT:
            return _Tally(posted).record()
        if entry.kind not in _CHARGES:
            return None
        tally = self._open.pop(entry.subject, None)
        if tally is None:
            tally = _Tally(posted)
        else:
            tally.add(posted)
        if entry.state == State.CLOSED:
            return tally.record()
        if entry.state != State.REFUSED:
            self._open[entry.subject] = tally
        return None


class _Tally:
    """What a session comes to so far, its first entry included."""

    def __init__(self, first: Posted) -> None:
        self.about = about_of(first)
        is_begun = first.entry.kind != Kind.RELEASE
        self.opened_ms = first.entry.at_ms if is_begun else 0
        self.started_ms = first.event_ms if is_begun else 0
        self.answer_ms = 0
        self.reports = self.overrun = 0
        self.uses: dict[PricedUse, PricedUse] = {}
        self.buckets: Counter[str] = Counter()
        self.add(first)

    def add(self, posted: Posted) -> None:
        self.last = posted
        self.reports += 1
        self.answer_ms = self.answer_ms or about_of(posted).answer_ms
        for use in _uses(posted):
            price = replace(use, units=0, amount=0)
            so_far = self.uses.get(price, price)
            units, amount = so_far.units + use.units, so_far.amount + use.amount
            self.uses[price] = replace(price, units=units, amount=amount)
        for change in posted.changes:
            self.buckets[change.bucket] -= change.left_by
        if posted.result:
            self.overrun += posted.result.overrun_amount

    def record(self, expiry: Posted | None = None) -> CallRecord:
        """Make the record; where the session expired, the entry that says so ends it."""
        last = expiry or self.last
        entry = last.entry
        account, session_id = _session(entry.subject)
        return CallRecord(
            transaction_id=entry.transaction_id,
            partition=last.partition,
            tenant=entry.wallet.tenant,
            wallet_group=entry.wallet.wallet_group,
            account=account,
            session_id=session_id,
            kind=entry.kind,
            about=replace(self.about, answer_ms=self.answer_ms),
            opened_ms=self.opened_ms,
            started_ms=self.started_ms,
            closed_ms=entry.at_ms,
            released_ms=self.last.event_ms,
            reports=self.reports,
            units=sum(use.units for use in self.uses.values()),
            amount=sum(use.amount for use in self.uses.values()),
            overrun_amount=self.overrun,
            uses=tuple(self.uses.values()),
            buckets=_paid(self.buckets),
        )


def _paid(buckets: Mapping[str, int]) -> tuple[BucketUse, ...]:
    return tuple(BucketUse(bucket, debited) for bucket, debited in buckets.items() if debited)


def _session(subject: str) -> tuple[str, str]:
    """Read account and session id of an entry's subject; empty where it is a wallet."""
    if subject.count("/") < 2:  # noqa: PLR2004 -- tenant/wallet group
        return "", ""
    key = parse_session_address(subject)
    return key.account, key.session_id


def _uses(posted: Posted) -> tuple[PricedUse, ...]:
    """Say what an entry settled, by service; what it merely granted is no use."""
    if posted.result is None:
        return ()
    about = about_of(posted)
    return tuple(
        _use(service, rating, about)
        for service, rating in zip(posted.result.services, posted.ratings, strict=True)
        if service.settled_units or service.settled_amount
    )


def _use(service: ServiceResult, rating: str, about: About) -> PricedUse:
    price = _NO_RATING
    if rating:
        price = msgspec.json.decode(rating, type=RatingInfo)
    return PricedUse(
        rating_group=service.rating_group,
        rated_number=about.rated(service.rating_group),
        tariff=price.tariff,
        prefix=price.prefix,
        destination=price.destination,
        model=price.model,
        units=service.settled_units,
        amount=service.settled_amount,
    )

"""The reference ledger: what `docs/design.md` section 2 says, as plainly as Python can say it.

The real ledger is a Lua script that has to be fast, packs its records, counts in doubles and leaps
over thousands of units at once. This one has to be read. It was written from the words of the
specification alone, never from the script; the scenarios and the ledger suite run on both, and a
state machine (`test_ledger_machine.py`) holds the two equal after every step.

    charge      seen before? -> stale? -> settle -> hold -> next state -> store
    settle      room, what was held, give back, the list, overrun       (2.2)
    hold        cap, checks, walk, final unit                           (2.3)

Time stands still until a test moves it: `now_ms` is the store's clock.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from msgspec.structs import replace

from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.domain.session import Row, State, row
from ocs.domain.wallet import MAIN
from ocs.usecases.ports import (
    ChargeCall,
    ChargeResult,
    CreditCall,
    CreditReply,
    DebitCall,
    DebitReply,
    Reply,
    ReverseCall,
    ReverseReply,
    ServiceResult,
    SessionKey,
    SessionView,
    Settler,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.reference_charge import Charge, give_back
from tests.adapters.reference_debit import Debit, concluded
from tests.adapters.reference_price import SECOND_MS
from tests.adapters.reference_records import (
    Books,
    Kept,
    Numbers,
    Session,
    Wallet,
    adjusted_with,
    age_of,
    put_back,
    request_of,
    wallet_of,
)

EXPIRED_KEEP_MS = 3_600_000
GRANTING = (ResultCode.OK, ResultCode.NOT_CHARGED)


@dataclass
class ReferenceLedger:
    """Implements `ocs.usecases.ports.Ledger`."""

    now_ms: int = 0
    forgets: bool = True
    """Whether records of sessions that are over are dropped after their time."""
    books: Books = field(default_factory=Books)
    parked: dict[str, dict[tuple[SessionKey, str], bytes]] = field(default_factory=dict)

    # Charging -----------------------------------------------------------------------------------

    async def charge(self, call: ChargeCall) -> Reply:
        session = self._session(call.session)
        if reply := _seen_before(session, call):
            return reply
        key = wallet_of(call.session)
        wallet = self.books.wallets.get(key)
        if wallet is None:
            return Reply(ResultCode.UNKNOWN_SUBSCRIBER)
        definition = wallet.definition
        if len(definition.buckets) > 1 and definition.version != call.wallet_version:
            return Reply(ResultCode.OK, stale=definition)
        if _unknown(session, call):
            return Reply(ResultCode.UNKNOWN_SESSION)
        return self._move(call, deepcopy(session), self.books.copy(key))

    async def charge_all(self, calls: Sequence[ChargeCall]) -> list[Reply | Exception]:
        return [await self.charge(call) for call in calls]

    def _move(self, call: ChargeCall, session: Session, wallet: Wallet) -> Reply:
        now_ms = max(self.now_ms, wallet.last_ms)
        wallet.last_ms = now_ms
        line = row(session.state, call.kind)
        charge = Charge(call, wallet, session)
        results = charge.run(line)
        session.opened_ms = session.opened_ms or now_ms
        session.state = _next_state(line, session, results)
        _set_times(call, session, now_ms)
        (wallet.open_sessions.add if session.live else wallet.open_sessions.discard)(call.session)
        money = wallet.money(now_ms)
        result = ChargeResult(
            code=_code_of_all([result.code for result in results] or [line.code or ResultCode.OK]),
            transaction_id="" if call.dry_run else self.books.next_id(),
            services=tuple(results),
            available_amount=sum(numbers.left - numbers.held for numbers in money),
            held_amount=sum(numbers.held for numbers in money),
            overrun_amount=charge.overrun,
            late_start=line.state in (State.NONE, State.REFUSED) and call.kind is Kind.UPDATE,
        )
        ratings = charge.ratings()
        if not wallet.within_limits():
            return Reply(ResultCode.RATING_FAILED)
        if not call.dry_run:
            kept = Kept(request_of(call), call.fingerprint, result, ratings)
            self._store(call, session, wallet, kept)
        return Reply(result.code, result, ratings)

    def _store(self, call: ChargeCall, session: Session, wallet: Wallet, kept: Kept) -> None:
        session.remember(kept)
        if call.kind is Kind.START:
            session.start = kept
        self.books.sessions[call.session] = session
        self.books.write(call.kind, wallet_of(call.session), wallet, call.session)

    def _session(self, key: SessionKey) -> Session:
        session = self.books.sessions.get(key)
        if session is None:
            return Session()
        over = not session.live and self.now_ms >= session.forget_ms
        return Session() if over and self.forgets else session

    # The other verbs ----------------------------------------------------------------------------

    async def credit(self, call: CreditCall) -> CreditReply:
        current = self.books.wallets.get(call.wallet)
        if current is None:
            return CreditReply(code=ResultCode.UNKNOWN_SUBSCRIBER)
        fingerprint = call.fingerprint or f"{call.bucket} {call.amount}"
        if call.reference in current.references:
            first, amount, transaction_id, left = current.references[call.reference]
            same = first == fingerprint
            code = ResultCode.OK if same else ResultCode.CONFLICT
            return CreditReply(
                code=code, transaction_id=transaction_id, left=left, hit=same, amount=amount
            )
        if call.bucket not in current.buckets:
            return CreditReply(code=ResultCode.UNKNOWN_SUBSCRIBER)
        if call.adjusts and self._has_reversed(call.wallet, call.adjusts.seen):
            return CreditReply(code=ResultCode.CONFLICT, why="it was reversed since")
        wallet = deepcopy(current)
        wallet.adjusted += [call.adjusts] if call.adjusts else []
        numbers = wallet.buckets[call.bucket]
        after = numbers.left + call.amount
        if call.amount < 0 and after - numbers.held < wallet.floor(call.bucket):
            return CreditReply(code=ResultCode.NO_CREDIT, left=numbers.left)
        numbers.left = after
        if call.amount < 0:
            numbers.debited -= call.amount
        else:
            numbers.credited += call.amount
        wallet.last_ms = max(self.now_ms, wallet.last_ms)
        transaction_id = self.books.next_id()
        wallet.references[call.reference] = (fingerprint, call.amount, transaction_id, after)
        self.books.write(call.reason, call.wallet, wallet, None)
        return CreditReply(
            code=ResultCode.OK, transaction_id=transaction_id, left=after, amount=call.amount
        )

    def _has_reversed(self, wallet: WalletKey, seen: str) -> bool:
        return age_of(seen) < age_of(self.books.last_reversals.get(wallet, ""))

    async def reverse(self, call: ReverseCall) -> ReverseReply:
        if call.transaction_id in self.books.reversed:
            first = self.books.reversed[call.transaction_id]
            return replace(first, hit=True)
        entry = next(
            (e for e in self.books.journal if e.transaction_id == call.transaction_id), None
        )
        if entry is None or entry.wallet != call.wallet:
            return ReverseReply(code=ResultCode.UNKNOWN_SESSION)
        if entry.session is None or entry.what not in list(Kind):
            return ReverseReply(code=ResultCode.CONFLICT)
        session = self._session(entry.session)
        if entry.what != Kind.EVENT:
            if session.live or session.state is State.EXPIRED:
                return ReverseReply(code=ResultCode.CONFLICT)
            for service in session.services.values():
                service.meter.paid.clear()
                service.meter.taken.clear()
        wallet = self.books.copy(call.wallet)
        adjusted, page = adjusted_with(wallet, entry)
        if page:
            return ReverseReply(code=ResultCode.CONFLICT)
        wallet.last_ms = max(self.now_ms, wallet.last_ms)
        units = put_back(wallet, entry)
        wallet.pay_in(MAIN, adjusted)
        reply = ReverseReply(
            code=ResultCode.OK,
            transaction_id=self.books.next_id(),
            amount=entry.money + adjusted,
            units=units,
        )
        self.books.last_reversals[call.wallet] = reply.transaction_id
        self.books.reversed[call.transaction_id] = reply
        self.books.write("reverse", call.wallet, wallet, None)
        return reply

    async def debit(self, call: DebitCall) -> DebitReply:
        if call.wallet not in self.books.wallets:
            return DebitReply(code=ResultCode.UNKNOWN_SUBSCRIBER)
        definition = self.books.wallets[call.wallet].definition
        if definition.settled_by is not Settler.CDR:
            return DebitReply(code=ResultCode.NOT_CHARGED, settled_by=definition.settled_by)
        if definition.currency != call.currency:
            return DebitReply(code=ResultCode.INVALID_EVENT)
        wallet = self.books.copy(call.wallet)
        wallet.last_ms = max(self.now_ms, wallet.last_ms)
        online = {
            key.session_id: self._session(key).state
            for key in self.books.sessions
            if wallet_of(key) == call.wallet and key.account == call.account
        }
        debit = Debit(call, wallet, online)
        fates = debit.run()
        if not wallet.within_limits():
            return DebitReply(code=ResultCode.RATING_FAILED)
        return concluded(self.books, debit, fates)

    async def expire(self, session: SessionKey) -> bool:
        live = self._session(session)
        if not live.live:
            return False
        wallet = self.books.copy(wallet_of(session))
        wallet.last_ms = now_ms = max(self.now_ms, wallet.last_ms)
        if now_ms < live.deadline_ms:
            return False
        expired = deepcopy(live)
        for service in expired.services.values():
            give_back(wallet, service)
        expired.state = State.EXPIRED
        expired.forget_ms = max(expired.known_ms, now_ms + EXPIRED_KEEP_MS)
        wallet.open_sessions.discard(session)
        self.books.sessions[session] = expired
        self.books.write("expire", wallet_of(session), wallet, session)
        return True

    async def define(self, wallet: WalletKey, definition: WalletDefinition) -> bool:
        current = self.books.wallets.get(wallet)
        if definition.version != (current.definition.version if current else 0) + 1:
            return False
        old = current.buckets if current else {}
        if current and not _may_follow(current.definition, definition):
            return False
        names = [bucket.bucket for bucket in definition.buckets]
        if any(old[name].left or old[name].held for name in old if name not in names):
            return False
        changed = deepcopy(current) if current else Wallet(definition, {})
        changed.definition = definition
        changed.buckets = {name: changed.buckets.get(name, Numbers()) for name in names}
        self.books.write("define", wallet, changed, None)
        return True

    async def balance(self, wallet: WalletKey) -> WalletBalance | None:
        found = self.books.wallets.get(wallet)
        return found.balance() if found else None

    async def park(self, stream: str, key: SessionKey, request: str, entry: bytes) -> str:
        entries = self.parked.setdefault(stream, {})
        entries.setdefault((key, request), entry)
        return f"{stream}-{list(entries).index((key, request)) + 1}"

    # Looking ------------------------------------------------------------------------------------

    async def session(self, key: SessionKey) -> SessionView | None:
        session = self._session(key)
        return None if session.state is State.NONE else session.view(key)

    async def sessions(self, tenant: str, limit: int) -> list[SessionView]:
        keys = [key for key in self.books.sessions if key.tenant == tenant]
        views = [await self.session(key) for key in keys]
        return [view for view in views if view][:limit]

    async def due(self, partition: int, limit: int) -> list[SessionKey]:
        """All sessions are in partition 0."""
        late = [
            k for k, s in self.books.sessions.items() if s.live and s.deadline_ms <= self.now_ms
        ]
        return late[:limit] if partition == 0 else []

    async def open_sessions(self) -> int:
        return sum(session.live for session in self.books.sessions.values())

    async def store_ms(self) -> int:
        return self.now_ms

    def check_invariants(self) -> None:
        """Assert what `docs/design.md` 2.8 promises."""
        self.books.check()


def _may_follow(old: WalletDefinition, new: WalletDefinition) -> bool:
    """Whether currency, settler and kinds of buckets stay what they are."""
    kinds = {bucket.bucket: bucket.kind for bucket in old.buckets}
    same = all(kinds.get(bucket.bucket, bucket.kind) is bucket.kind for bucket in new.buckets)
    terms = (old.currency, old.settled_by) == (new.currency, new.settled_by)
    return same and terms


def _seen_before(session: Session, call: ChargeCall) -> Reply | None:
    """Requests that come twice, late, or in the wrong order (2.6)."""
    request = request_of(call)
    kept = session.kept(request)
    if kept is None and (session.seen(request) or session.too_old(request)):
        return Reply(ResultCode.REPEAT_EXPIRED)
    if kept is None:
        if not row(session.state, call.kind).repeats_start:
            return None
        start = session.start
        if start is None or start.fingerprint != call.fingerprint:
            last = session.results[-1]
            return Reply(ResultCode.CONFLICT, last.result, last.ratings)
        kept = session.kept(start.request)
        if kept is None:
            return Reply(ResultCode.REPEAT_EXPIRED)
    if kept.fingerprint != call.fingerprint:
        return Reply(ResultCode.CONFLICT, kept.result, kept.ratings)
    session.repeats += not call.dry_run
    return Reply(kept.result.code, kept.result, kept.ratings, hit=True)


def _unknown(session: Session, call: ChargeCall) -> bool:
    """Whether this is of a session that nobody has heard of, and cannot be opened by it."""
    return call.only_repeats or (session.state is State.NONE and not call.can_open)


def _next_state(line: Row, session: Session, results: list[ServiceResult]) -> State:
    """The right-hand columns of the table, for several services (2.7)."""
    granted = any(service.granted for service in session.services.values())
    good = any(result.code in GRANTING for result in results)
    return line.granted if granted or good or not results else line.refused


def _set_times(call: ChargeCall, session: Session, now_ms: int) -> None:
    """How long the session may stay silent, or how long its record is kept."""
    limits = call.limits
    if session.state is State.IDLE:
        session.deadline_ms = now_ms + limits.come_back_s * SECOND_MS
    elif session.state is State.OPEN:
        granted = [s.granted for s in session.services.values() if s.meter.timed and s.granted]
        talking_s = [units + limits.max_ring_s + 60 for units in granted]
        session.deadline_ms = now_ms + max([2 * limits.validity_s, *talking_s]) * SECOND_MS
    else:
        used = any(s.meter.elapsed or s.meter.charged for s in session.services.values())
        keep_s = limits.closed_keep_s
        if call.kind is Kind.EVENT:
            keep_s = max(keep_s, limits.event_keep_s)
        elif session.state is State.REFUSED and not used:
            keep_s = limits.refused_keep_s
            session.forget_ms = max(session.forget_ms, now_ms + keep_s * SECOND_MS)
            return
        session.forget_ms = max(session.forget_ms, now_ms + keep_s * SECOND_MS)
    keep_s = limits.event_keep_s if call.kind is Kind.EVENT else limits.closed_keep_s
    known_ms = now_ms + (keep_s + limits.lead_s) * SECOND_MS
    session.known_ms = max(session.known_ms, known_ms)
    session.forget_ms = max(session.forget_ms, session.known_ms)


def _code_of_all(codes: list[ResultCode]) -> ResultCode:
    for code in GRANTING:
        if code in codes:
            return code
    return codes[0]

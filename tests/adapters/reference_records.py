"""What the reference ledger remembers: wallets, sessions, the journal; and the rules between them.

Everything is a plain object in a dict. A charge works on deep copies and puts them back at the end,
so that "nothing moves" is the absence of that last step.
"""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field

from ocs.domain.events import Kind
from ocs.domain.session import State
from ocs.domain.wallet import MAIN, Bucket, BucketKind
from ocs.usecases.ports import (
    Adjusts,
    BucketBalance,
    CdrFate,
    ChargeCall,
    ChargeResult,
    HoldView,
    ReverseReply,
    SessionKey,
    SessionView,
    WalletBalance,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.reference_price import Meter, Payment

KEPT_RESULTS = 8
WINDOW = 64


@dataclass
class Numbers:
    """The numbers of one bucket."""

    left: int = 0
    held: int = 0
    credited: int = 0
    debited: int = 0

    def __sub__(self, other: "Numbers") -> "Numbers":
        return Numbers(
            self.left - other.left,
            self.held - other.held,
            self.credited - other.credited,
            self.debited - other.debited,
        )


@dataclass
class Wallet:
    definition: WalletDefinition
    buckets: dict[str, Numbers]
    last_ms: int = 0
    open_sessions: set[SessionKey] = field(default_factory=set)
    references: dict[str, tuple[str, int, str, int]] = field(default_factory=dict)
    """Of each credit: bucket, amount, transaction id, left afterwards."""
    adjusted: list[Adjusts] = field(default_factory=list)
    """What re-ratings have moved for uses that were charged online."""
    cdrs: dict[tuple[str, int, str], tuple[str, CdrFate, int]] = field(default_factory=dict)
    """Of each CDR (account, day, id) that is known: chunk, fate, amount."""

    def floor(self, bucket: str) -> int:
        return self.definition.floor_amount if bucket == MAIN else 0

    def available(self, bucket: str) -> int:
        """What nobody holds, down to the floor."""
        numbers = self.buckets[bucket]
        return max(0, numbers.left - numbers.held - self.floor(bucket))

    def pay_in(self, bucket: str, amount: int) -> None:
        """Undo a debit."""
        self.buckets[bucket].left += amount
        self.buckets[bucket].debited -= amount

    def is_money(self, name: str) -> bool:
        bucket = self.bucket(name)
        return bucket is not None and bucket.kind is BucketKind.MONEY

    def bucket(self, name: str) -> Bucket | None:
        return next((b for b in self.definition.buckets if b.bucket == name), None)

    def money(self, instant_ms: int) -> list[Numbers]:
        """The money buckets that are valid at an instant."""
        return [
            self.buckets[b.bucket]
            for b in self.definition.buckets
            if b.kind is BucketKind.MONEY and b.valid_from_ms <= instant_ms < b.valid_until_ms
        ]

    def within_limits(self) -> bool:
        """Whether every number is one that a double holds exactly."""
        numbers = self.buckets.values()
        return all(abs(n.left) < 2**53 and n.debited < 2**53 for n in numbers)

    def balance(self) -> WalletBalance:
        return WalletBalance(
            definition=self.definition,
            balances=tuple(
                BucketBalance(
                    bucket=b.bucket,
                    left=self.buckets[b.bucket].left,
                    held=self.buckets[b.bucket].held,
                    credited=self.buckets[b.bucket].credited,
                    debited=self.buckets[b.bucket].debited,
                )
                for b in self.definition.buckets
            ),
            open_sessions=len(self.open_sessions),
        )


@dataclass
class Service:
    meter: Meter
    held: list[Payment] = field(default_factory=list)
    granted: int = 0


@dataclass
class Kept:
    """A stored result. `request` is a number, or a key where there are no numbers."""

    request: int | str
    fingerprint: str
    result: ChargeResult
    ratings: tuple[str, ...]


@dataclass
class Session:
    state: State = State.NONE
    services: dict[str, Service] = field(default_factory=dict)
    opened_ms: int = 0
    answer_ms: int = 0
    deadline_ms: int = 0
    forget_ms: int = 0
    """When the record of a session that is over is dropped."""
    known_ms: int = 0
    """Until when each of its requests must be told from its repeat."""
    results: list[Kept] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    start: Kept | None = None
    repeats: int = 0

    @property
    def live(self) -> bool:
        return self.state in (State.OPEN, State.IDLE)

    def kept(self, request: int | str) -> Kept | None:
        return next((kept for kept in self.results if kept.request == request), None)

    def seen(self, request: int | str) -> bool:
        return request in (self.numbers if isinstance(request, int) else self.keys)

    def too_old(self, request: int | str) -> bool:
        if isinstance(request, str) or not self.numbers:
            return False
        return request <= max(self.numbers) - WINDOW

    def remember(self, kept: Kept) -> None:
        if isinstance(kept.request, int):
            self.numbers.append(kept.request)
        else:
            self.keys = [*self.keys, kept.request][-WINDOW:]
        keep = 1 if self.state is State.CLOSED else KEPT_RESULTS
        self.results = [*self.results, kept][-keep:]

    def view(self, key: SessionKey) -> SessionView:
        services = self.services.values()
        return SessionView(
            key=key,
            state=self.state,
            opened_ms=self.opened_ms,
            deadline_ms=self.deadline_ms,
            answer_ms=self.answer_ms,
            elapsed_units=sum(service.meter.elapsed for service in services),
            granted_units=sum(service.granted for service in services),
            charged_amount=sum(service.meter.charged for service in services),
            repeats=self.repeats,
            holds=tuple(
                HoldView(rating_group=group, bucket=hold.bucket, amount=hold.amount)
                for group, service in self.services.items()
                for hold in service.held
            ),
            last=self.results[-1].result if self.results else None,
        )

    def holds(self) -> Iterator[Payment]:
        for service in self.services.values():
            yield from service.held


def request_of(call: ChargeCall) -> int | str:
    return call.request_number if call.request_number >= 0 else call.request_key


@dataclass(frozen=True)
class Entry:
    """One line of the journal: which step it was, and by how much it moved each bucket.

    `money` is what it debited in all, of money.
    """

    transaction_id: str
    what: str
    wallet: WalletKey
    session: SessionKey | None
    moved: dict[str, Numbers]
    money: int


def put_back(wallet: Wallet, entry: Entry) -> int:
    """Give each bucket what an entry debited, or take what it had given; returns the units.

    What a bucket does not have, or cannot be given because it is gone, is `main`'s, if it is money.
    """
    units, rest = 0, entry.money
    for name, moved in entry.moved.items():
        bucket, back = wallet.bucket(name), -moved.left
        if bucket is None:
            continue
        if back < 0:
            back = -min(-back, wallet.available(name))
        wallet.pay_in(name, back)
        if bucket.kind is BucketKind.MONEY:
            rest -= back
        else:
            units += back
    wallet.pay_in(MAIN, rest)
    return units


def adjusted_with(wallet: Wallet, entry: Entry) -> tuple[int, str]:
    """What re-ratings have moved for an event; for a session, by which page (empty: by none).

    A session that has begun by then is the entry's, if it has its name.
    """
    moved = Counter[tuple[SessionKey, str, str]]()
    pages = {}
    for page in wallet.adjusted:
        for use in page.uses:
            is_its_own = use.begun_by == entry.transaction_id
            began = use.session == entry.session and age_of(use.begun_by) < age_of(
                entry.transaction_id
            )
            if is_its_own or (began and entry.what != Kind.EVENT):
                key = use.session, use.rating_group, use.begun_by
                moved[key] += use.amount
                pages[key] = page.page
    if entry.what == Kind.EVENT:
        return sum(moved.values()), ""
    return 0, next((pages[key] for key, amount in moved.items() if amount), "")


def age_of(transaction_id: str) -> int:
    """Transactions are counted."""
    return int(transaction_id.split("-")[1]) if transaction_id else 0


def wallet_of(session: SessionKey) -> WalletKey:
    return WalletKey(session.tenant, session.wallet_group)


@dataclass
class Books:
    """All that is remembered, and the one way to change it: `write`."""

    wallets: dict[WalletKey, Wallet] = field(default_factory=dict)
    sessions: dict[SessionKey, Session] = field(default_factory=dict)
    journal: list[Entry] = field(default_factory=list)
    reversed: dict[str, ReverseReply] = field(default_factory=dict)
    """What became of each transaction that was taken back."""
    last_reversals: dict[WalletKey, str] = field(default_factory=dict)

    def copy(self, key: WalletKey) -> Wallet:
        return deepcopy(self.wallets[key])

    def next_id(self) -> str:
        return f"000-{len(self.journal) + 1}-0"

    def write(self, what: str, key: WalletKey, after: Wallet, session: SessionKey | None) -> str:
        """Put a wallet back, and journal what that changes."""
        before = self.wallets[key].buckets if key in self.wallets else {}
        nothing = Numbers()
        moved = {
            name: after.buckets.get(name, nothing) - before.get(name, nothing)
            for name in after.buckets.keys() | before.keys()
        }
        money = -sum(m.left for name, m in moved.items() if after.is_money(name))
        entry = Entry(self.next_id(), what, key, session, moved, money)
        self.wallets[key] = after
        self.journal.append(entry)
        return entry.transaction_id

    def check(self) -> None:
        """The invariants of `docs/design.md` 2.8."""
        for key, wallet in self.wallets.items():
            held = Counter[str]()
            for session_key, session in self.sessions.items():
                if wallet_of(session_key) == key:
                    assert session.live or not list(session.holds()), (session_key, session)
                    assert session.live == (session_key in wallet.open_sessions)
                    for hold in session.holds():
                        held[hold.bucket] += hold.amount
            for name, numbers in wallet.buckets.items():
                assert numbers.credited == numbers.left + numbers.debited, (name, numbers)
                assert numbers.held == held[name] >= 0, (name, numbers, held)
                assert numbers == self._journaled(key, name), (name, numbers)
        ids = [entry.transaction_id for entry in self.journal]
        assert len(ids) == len(set(ids))
        answers = [k.result.transaction_id for s in self.sessions.values() for k in s.results]
        assert set(answers) <= set(ids)
        assert len(answers) == len(set(answers))

    def _journaled(self, key: WalletKey, bucket: str) -> Numbers:
        total = Numbers()
        for entry in self.journal:
            if entry.wallet == key and bucket in entry.moved:
                total = total - (Numbers() - entry.moved[bucket])
        return total

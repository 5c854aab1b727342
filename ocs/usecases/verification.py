"""Whether the books are right: every rule of `docs/design.md` 2.8, over the whole store.

The journal holds every change with the state after it, so it can be added up and compared with what
the wallets hold now: from its first entry, or on from a checkpoint, which says what they held at an
entry. The store keeps only the last minutes of it; the rest is in files, and a checkpoint is
made of nothing but those, so wallets, stream and files are held against each other either way. That
no entry is missing between two of them is told by counting, too.

A partition is read as one image, in which nothing moves; where that is impossible because the store
is busy, a difference is looked at again before it is reported.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Protocol

from msgspec import Struct

from ocs.domain.session import State
from ocs.usecases.ports import SessionView, WalletBalance, WalletKey

LOOKS: Final = 3
"""How often a partition with a difference is read again before it is reported."""
_MOST_FINDINGS: Final = 1_000
_FADING: Final = frozenset({State.CLOSED, State.EXPIRED, State.REFUSED})
_SURELY_KEPT_MS: Final = 60_000
"""A session that is not open may be forgotten, but not sooner than this."""


class Change(Struct, frozen=True, kw_only=True):
    """What one entry of the journal changed in one bucket, and how the bucket stood after it.

    `floor` is None unless the entry placed a hold on the bucket.
    """

    bucket: str
    left_by: int
    held_by: int
    left: int
    held: int
    floor: int | None


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of the journal. `subject` is the address of a session or of a wallet."""

    transaction_id: str
    wallet: WalletKey
    subject: str
    kind: str
    request: str
    at_ms: int
    state: str
    """The session's state after it; empty for a wallet's entries."""
    changes: tuple[Change, ...]


def _nothing() -> Iterator[Entry]:
    return iter(())


class Base(Struct, frozen=True):
    """Where the adding up begins: so many entries, `last` the id of the last of them.

    `numbers` is left and held of each bucket before `history`, which gives the entries from there
    to `last` that are not in the store.
    """

    last: str = "0"
    entries: int = 0
    numbers: Mapping[tuple[WalletKey, str], tuple[int, int]] = {}
    history: Callable[[], Iterator[Entry]] = _nothing
    replayed: int = 0
    """Entries of the history."""


BEGINNING: Final = Base()


class Image(Struct, frozen=True, kw_only=True):
    """One partition at one moment. `entries` are those behind its base.

    `added`: entries that the journal ever got; None where that is not known.
    """

    partition: int
    entries: tuple[Entry, ...]
    wallets: tuple[tuple[WalletKey, WalletBalance], ...]
    sessions: tuple[SessionView, ...]
    deadlines: frozenset[str]
    """Addresses of sessions that have a deadline."""
    addresses: tuple[str, ...]
    """Addresses of `sessions`, in their order."""
    base: Base = BEGINNING
    added: int | None = None


class Books(Protocol):
    """Reads whole partitions."""

    def images(self) -> AsyncIterator[Image]:
        """Read every partition that holds anything."""
        ...

    async def image(self, partition: int) -> Image:
        """Read one partition anew."""
        ...


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be."""

    partition: int
    rule: str
    subject: str
    detail: str


class Report(Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    partitions: int
    wallets: int
    sessions: int
    open_sessions: int
    entries: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Tell whether every rule held."""
        return not self.findings


async def verify(books: Books) -> Report:
    """Check every partition."""
    partitions = wallets = sessions = open_sessions = entries = 0
    findings: list[Finding] = []
    async for first in books.images():
        image, found = first, list(check(first))
        for _ in range(LOOKS):
            if not found:
                break
            image = await books.image(first.partition)
            found = list(check(image))
        partitions += 1
        wallets += len(image.wallets)
        sessions += len(image.sessions)
        open_sessions += sum(_is_open(s) for s in image.sessions)
        entries += image.base.replayed + len(image.entries)
        findings += found
    return Report(
        partitions=partitions,
        wallets=wallets,
        sessions=sessions,
        open_sessions=open_sessions,
        entries=entries,
        findings=tuple(findings[:_MOST_FINDINGS]),
    )


def check(image: Image) -> Iterator[Finding]:
    """Yield everything that is wrong in one partition."""
    for rule, subject, detail in _wrongs(image):
        yield Finding(partition=image.partition, rule=rule, subject=subject, detail=detail)


def _wrongs(image: Image) -> Iterator[tuple[str, str, str]]:
    yield from _balances(image.wallets)
    yield from _holds(image)
    yield from _whole(image)
    yield from _journal(image)
    yield from _deadlines(image)


def _balances(wallets: Iterable[tuple[WalletKey, WalletBalance]]) -> Iterator[tuple[str, str, str]]:
    for key, wallet in wallets:
        for b in wallet.balances:
            if b.credited != b.left + b.debited:
                yield (
                    "credited = left + debited",
                    _name(key, b.bucket),
                    f"credited {b.credited}, left {b.left}, debited {b.debited}",
                )


def _holds(image: Image) -> Iterator[tuple[str, str, str]]:
    held: Counter[tuple[WalletKey, str]] = Counter()
    opened: Counter[WalletKey] = Counter()
    for session in image.sessions:
        key = WalletKey(session.key.tenant, session.key.wallet_group)
        opened[key] += _is_open(session)
        for hold in session.holds:
            held[key, hold.bucket] += hold.amount
    says = {(key, b.bucket): b.held for key, wallet in image.wallets for b in wallet.balances}
    for at in sorted(says.keys() | held.keys(), key=lambda at: _name(*at)):
        if held[at] != says.get(at, 0):
            detail = f"sessions hold {held[at]}, the bucket says {says.get(at, 0)}"
            yield "held = sum of open holds", _name(*at), detail
    for key, wallet in image.wallets:
        if opened[key] != wallet.open_sessions:
            detail = f"{opened[key]} sessions open, the wallet says {wallet.open_sessions}"
            yield "open sessions are counted", _name(key), detail


def _whole(image: Image) -> Iterator[tuple[str, str, str]]:
    there = image.base.entries + len(image.entries)
    if image.added not in (None, there):
        detail = f"it got {image.added} entries, and {there} can be read (are its files here?)"
        yield "no journal entry is missing", f"partition {image.partition}", detail


def _journal(image: Image) -> Iterator[tuple[str, str, str]]:
    sums, requests = _Sums(image.base.numbers), _Requests()
    for entry in chain(image.base.history(), image.entries):
        yield from sums.add(entry)
        yield from requests.add(entry)
    for key, wallet in image.wallets:
        for b in wallet.balances:
            left, held = sums.of((key, b.bucket))
            if (left, held) != (b.left, b.held):
                detail = f"the journal adds up to {left}/{held}, the wallet holds {b.left}/{b.held}"
                yield "journal = wallets", _name(key, b.bucket), detail


class _Sums:
    """What the journal adds up to, entry after entry."""

    def __init__(self, numbers: Mapping[tuple[WalletKey, str], tuple[int, int]]) -> None:
        self._numbers = dict(numbers)

    def of(self, at: tuple[WalletKey, str]) -> tuple[int, int]:
        return self._numbers.get(at, (0, 0))

    def add(self, entry: Entry) -> Iterator[tuple[str, str, str]]:
        for change in entry.changes:
            at = entry.wallet, change.bucket
            left, held = self.of(at)
            left, held = left + change.left_by, held + change.held_by
            subject = f"{_name(*at)} in {entry.transaction_id}"
            if (left, held) != (change.left, change.held):
                detail = f"adds up to {left}/{held}, says {change.left}/{change.held}"
                yield "the journal has no gap", subject, detail
            self._numbers[at] = change.left, change.held
            if change.floor is not None and change.left - change.held < change.floor:
                detail = f"left {change.left}, held {change.held}, floor {change.floor}"
                yield "no hold below the floor", subject, detail


class _Requests:
    """The requests of sessions that are remembered; bounded by forgetting as the store does."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, str]] = {}
        self._fading_ms: dict[str, int] = {}
        self._forget_at_ms = 0

    def add(self, entry: Entry) -> Iterator[tuple[str, str, str]]:
        self._forget(entry.at_ms)
        subject = entry.subject
        if self._is_forgotten(subject, entry.at_ms):
            self._seen.pop(subject, None)  # the same request is a new one
        self._fading_ms.pop(subject, None)
        if entry.state in _FADING:
            self._fading_ms[subject] = entry.at_ms
        if not entry.request:
            return
        requests = self._seen.setdefault(subject, {})
        if entry.request in requests:
            detail = f"in {requests[entry.request]} and in {entry.transaction_id}"
            yield "each answer once", f"{subject} {entry.request}", detail
        requests[entry.request] = entry.transaction_id

    def _is_forgotten(self, subject: str, at_ms: int) -> bool:
        return at_ms > self._fading_ms.get(subject, at_ms) + _SURELY_KEPT_MS

    def _forget(self, at_ms: int) -> None:
        """Now and then, what would be forgotten when it comes again."""
        if at_ms < self._forget_at_ms:
            return
        self._forget_at_ms = at_ms + _SURELY_KEPT_MS
        for subject in [s for s in self._fading_ms if self._is_forgotten(s, at_ms)]:
            del self._fading_ms[subject]
            self._seen.pop(subject, None)


def _deadlines(image: Image) -> Iterator[tuple[str, str, str]]:
    for address, session in zip(image.addresses, image.sessions, strict=True):
        if _is_open(session) and address not in image.deadlines:
            yield "an open session has a deadline", address, "it would never expire"


def _is_open(session: SessionView) -> bool:
    return session.state in (State.OPEN, State.IDLE)


def _name(key: WalletKey, bucket: str = "") -> str:
    name = f"{key.tenant}/{key.wallet_group}"
    return f"{name} {bucket}" if bucket else name

"""Whether the books are right: every rule of `docs/design.md` 2.8, over the whole store.

The journal holds every change with the state after it, so it can be added up from the first entry
and compared with what the wallets hold now. A partition is read as one image, in which nothing
moves; where that is impossible because the store is busy, a difference is looked at again before it
is reported.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
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


class Image(Struct, frozen=True, kw_only=True):
    """One partition at one moment."""

    partition: int
    entries: tuple[Entry, ...]
    wallets: tuple[tuple[WalletKey, WalletBalance], ...]
    sessions: tuple[SessionView, ...]
    deadlines: frozenset[str]
    """Addresses of sessions that have a deadline."""
    addresses: tuple[str, ...]
    """Addresses of `sessions`, in their order."""


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
        entries += len(image.entries)
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
    yield from _journal(image)
    yield from _repeats(image.entries)
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


def _journal(image: Image) -> Iterator[tuple[str, str, str]]:
    left: dict[tuple[WalletKey, str], int] = {}
    held: dict[tuple[WalletKey, str], int] = {}
    for entry in image.entries:
        for change in entry.changes:
            at = entry.wallet, change.bucket
            left[at] = left.get(at, 0) + change.left_by
            held[at] = held.get(at, 0) + change.held_by
            subject = f"{_name(*at)} in {entry.transaction_id}"
            if (left[at], held[at]) != (change.left, change.held):
                detail = f"adds up to {left[at]}/{held[at]}, says {change.left}/{change.held}"
                yield "the journal has no gap", subject, detail
                left[at], held[at] = change.left, change.held
            if change.floor is not None and change.left - change.held < change.floor:
                detail = f"left {change.left}, held {change.held}, floor {change.floor}"
                yield "no hold below the floor", subject, detail
    for key, wallet in image.wallets:
        for b in wallet.balances:
            at = key, b.bucket
            if (left.get(at, 0), held.get(at, 0)) != (b.left, b.held):
                detail = (
                    f"the journal adds up to {left.get(at, 0)}/{held.get(at, 0)}, "
                    f"the wallet holds {b.left}/{b.held}"
                )
                yield "journal = wallets", _name(*at), detail


def _repeats(entries: Iterable[Entry]) -> Iterator[tuple[str, str, str]]:
    seen: dict[str, dict[str, str]] = {}
    fading_ms: dict[str, int] = {}
    for entry in entries:
        subject = entry.subject
        if entry.at_ms > fading_ms.get(subject, entry.at_ms) + _SURELY_KEPT_MS:
            seen.pop(subject, None)  # forgotten by then: the same request is a new one
        fading_ms.pop(subject, None)
        if entry.state in _FADING:
            fading_ms[subject] = entry.at_ms
        if not entry.request:
            continue
        requests = seen.setdefault(subject, {})
        if entry.request in requests:
            detail = f"in {requests[entry.request]} and in {entry.transaction_id}"
            yield "each answer once", f"{subject} {entry.request}", detail
        requests[entry.request] = entry.transaction_id


def _deadlines(image: Image) -> Iterator[tuple[str, str, str]]:
    for address, session in zip(image.addresses, image.sessions, strict=True):
        if _is_open(session) and address not in image.deadlines:
            yield "an open session has a deadline", address, "it would never expire"


def _is_open(session: SessionView) -> bool:
    return session.state in (State.OPEN, State.IDLE)


def _name(key: WalletKey, bucket: str = "") -> str:
    name = f"{key.tenant}/{key.wallet_group}"
    return f"{name} {bucket}" if bucket else name

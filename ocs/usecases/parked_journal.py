"""What the journal says of sessions of which something is parked.

An event that was parked as *late* may be the repeat of one that was charged: its session is
forgotten, but the journal has it. So has what was charged of a session beside what is parked (its
price came in mid-call, or only one of its services had none): the parked use goes on behind that.
And what was settled out of the streams before stands there with the requests that it was made of.

Where the journal does not reach back to when an event may have been charged, nothing is known, and
whoever asks has to leave it at that.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from ocs.domain.events import Kind
from ocs.domain.results import ResultCode
from ocs.usecases.addresses import session_address
from ocs.usecases.journal import Posted
from ocs.usecases.ports import SessionKey

FOR_EVER: Final = 0
"""The journal is known from its first entry on."""
GAP_MS: Final = 86_400_000
"""Clocks differ by less, and a session that is not heard of for so long is over."""
_SHORT_MS: Final = 2 * 3_600_000
"""As long as nearly all sessions last: they are found by the first look."""
_FURTHER_MS: Final = 7 * GAP_MS
"""How much further back is looked for the beginning of one that lasts longer."""
_CHARGES: Final = frozenset(Kind)


class ParkedTold(Struct, frozen=True):
    """What the journal entry of a settlement says of it: its stream, and the requests in it."""

    stream: str
    requests: tuple[str, ...]


class _About(Struct, frozen=True):
    """What is read of `preparing.Info`."""

    subscriber: str = ""
    rated_number: str = ""
    parked: ParkedTold | None = None


class Charged:
    """What the journal says of one session.

    `answered`: requests and the rating groups for which each was settled. `units` and `amounts` go
    by rating group.
    """

    def __init__(self) -> None:
        self.answered: set[tuple[str, str]] = set()
        self.units: Counter[str] = Counter()
        self.amounts: Counter[str] = Counter()
        self.subscriber = ""
        self.rated_number = ""

    def add(self, posted: Posted) -> None:
        """Take an entry of this session."""
        if posted.entry.kind not in _CHARGES or posted.result is None:
            return
        about = msgspec.json.decode(posted.info, type=_About) if posted.info else _About()
        self.subscriber = self.subscriber or about.subscriber
        self.rated_number = self.rated_number or about.rated_number
        requests = about.parked.requests if about.parked else (posted.entry.request,)
        for service in posted.result.services:
            group = service.rating_group
            if service.code is not ResultCode.NO_RATE:
                self.answered.update((request, group) for request in requests)
            if posted.entry.kind != Kind.EVENT:
                self.units[group] += service.settled_units
                self.amounts[group] += service.settled_amount


class JournalSource(Protocol):
    """The journal of a partition, in the store and in files. LedgerUnavailable, ReelFault."""

    async def read(
        self,
        partition: int,
        subjects: Collection[str],
        since_ms: int,
        take: Callable[[Posted], None],
    ) -> int:
        """Hand on the entries of some sessions, as far back as `since_ms` at least.

        Returns from when on the journal is known, `FOR_EVER` if it is from its beginning.
        """
        ...


Known = Mapping[SessionKey, Charged | None]
"""What the journal says of some sessions; None of one where it does not reach back far enough."""


async def charged_of(
    source: JournalSource,
    sessions: Mapping[SessionKey, int],
    partition_of: Callable[[SessionKey], int],
) -> Known:
    """Look up sessions of which something is parked from an instant on.

    Entries of a name belong to one session as long as each comes within a day of the next one: of a
    session that goes on for a week all counts, as the totals that its client reports do.
    """
    by_partition: dict[int, dict[str, SessionKey]] = {}
    for key in sessions:
        by_partition.setdefault(partition_of(key), {})[session_address(key)] = key
    found: dict[SessionKey, Charged | None] = {}
    for partition, keys in sorted(by_partition.items()):
        since_ms = min(sessions[key] for key in keys.values()) - GAP_MS - _SHORT_MS
        left = keys
        while left:
            since_ms = max(FOR_EVER, since_ms)
            some, known_ms = await _read(source, partition, left, since_ms)
            begins = {
                address: _begin_ms(some[address], sessions[keys[address]]) for address in some
            }
            for address, begin_ms in begins.items():
                found[keys[address]] = _charged(some[address], begin_ms, known_ms)
            left = {each: keys[each] for each in left if known_ms <= begins[each] < since_ms}
            since_ms -= _FURTHER_MS
    return found


async def _read(
    source: JournalSource, partition: int, addresses: Collection[str], since_ms: int
) -> tuple[Mapping[str, list[Posted]], int]:
    """Read the entries of some sessions; also, from when on the journal is known."""
    read: dict[str, list[Posted]] = {address: [] for address in addresses}
    known_ms = await source.read(
        partition,
        frozenset(addresses),
        since_ms,
        lambda each: read[each.entry.subject].append(each),
    )
    return read, known_ms


def _begin_ms(entries: Collection[Posted], oldest_ms: int) -> int:
    """Return from when on entries are of the session; nothing of it came for a day before that."""
    begin_ms = max(FOR_EVER, oldest_ms - GAP_MS)
    for at_ms in sorted((each.entry.at_ms for each in entries if _goes_on(each)), reverse=True):
        if at_ms < begin_ms:
            break
        begin_ms = max(FOR_EVER, min(begin_ms, at_ms - GAP_MS))
    return begin_ms


def _goes_on(posted: Posted) -> bool:
    """Tell whether an entry is of something that lasts; messages of one name may come for ever."""
    return posted.entry.kind in _CHARGES and posted.entry.kind != Kind.EVENT


def _charged(entries: Collection[Posted], begin_ms: int, known_ms: int) -> Charged | None:
    if known_ms > begin_ms:
        return None
    charged = Charged()
    for each in entries:
        if each.entry.at_ms >= begin_ms:
            charged.add(each)
    return charged

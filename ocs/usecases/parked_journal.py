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


class Known(Struct, frozen=True):
    """What the journal says of some sessions, and from when on it says anything of each."""

    charged: Mapping[SessionKey, Charged]
    since_ms: Mapping[SessionKey, int]


async def charged_of(
    source: JournalSource,
    sessions: Mapping[SessionKey, int],
    partition_of: Callable[[SessionKey], int],
) -> Known:
    """Look up sessions, each from an instant on; every partition's journal is read once.

    What came before that instant was another session of the same name.
    """
    found = {session_address(key): (key, since_ms, Charged()) for key, since_ms in sessions.items()}
    by_partition: dict[int, list[str]] = {}
    for address, (key, _, _) in found.items():
        by_partition.setdefault(partition_of(key), []).append(address)

    def take(posted: Posted) -> None:
        _, since_ms, charged = found[posted.entry.subject]
        if posted.entry.at_ms >= since_ms:
            charged.add(posted)

    reach: dict[SessionKey, int] = {}
    for partition, addresses in sorted(by_partition.items()):
        since_ms = min(found[address][1] for address in addresses)
        known_ms = await source.read(partition, frozenset(addresses), since_ms, take)
        reach.update((found[address][0], known_ms) for address in addresses)
    return Known({key: charged for key, _, charged in found.values()}, reach)

"""What became of the parked events: each is counted once, by its fate."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from ocs.usecases.offline_rating import Money
from ocs.usecases.parked import Note, Parked, SettledUse
from ocs.usecases.settling_cdrs import Settled

DROPPED = "dropped"


class Waits(StrEnum):
    """Why an event stays parked, beside the codes of `ResultCode` that say why it has no price."""

    OPEN = "OPEN"
    AHEAD = "AHEAD"
    NOT_KNOWN = "NOT_KNOWN"
    NO_PLAN = "NO_PLAN"
    NO_WALLET = "NO_WALLET"
    BAD_REFERENCE = "BAD_REFERENCE"
    NO_DEBIT = "NO_DEBIT"
    UNREADABLE = "UNREADABLE"
    LATER = "LATER"


class Waiting(Struct, frozen=True, kw_only=True):
    """Events of a stream that stay parked for one reason; `since_ms` is when the first came."""

    stream: str
    reason: str
    events: int
    since_ms: int


class ParkedSummary(Struct, frozen=True, kw_only=True):
    """One run. `events` counts by what became of them; those of `waiting` are parked still.

    `rows` counts the rows by the word in their column `settled`. `finished` are settlements that an
    earlier run had left under way.
    """

    events: Mapping[str, int]
    rows: Mapping[str, int]
    waiting: Sequence[Waiting]
    debited: Sequence[Money]
    overrun: Sequence[Money]
    finished: int
    seconds: float


class ParkedTally:
    """A summary that grows."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.finished = 0
        self._rows: Counter[str] = Counter()
        self._money: Counter[tuple[str, str]] = Counter()
        self._uses: Counter[tuple[str, str]] = Counter()
        self._overrun: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[tuple[str, str], tuple[int, int]] = {}

    def settled(self, note: Note, rows: Sequence[SettledUse]) -> None:
        """Count a settlement whose rows are written."""
        self.events.update(note.fates)
        for row in rows:
            use = row.use
            self._rows[DROPPED if use.dropped else use.settled] += 1
            if use.settled is Settled.DEBITED:
                self._money[use.tenant, use.currency] += row.amount
                self._uses[use.tenant, use.currency] += 1
                self._overrun[use.tenant, use.currency] += row.overrun

    def look_again(self) -> None:
        """Forget what waits: all of it is looked at anew."""
        self._waiting.clear()

    def waits(self, parked: Parked, reason: str) -> None:
        key = parked.ref.stream, reason
        events, since_ms = self._waiting.get(key, (0, parked.ref.at_ms))
        self._waiting[key] = events + 1, min(since_ms, parked.ref.at_ms)

    def summary(self, seconds: float) -> ParkedSummary:
        waiting = [
            Waiting(stream=stream, reason=reason, events=events, since_ms=since_ms)
            for (stream, reason), (events, since_ms) in sorted(self._waiting.items())
        ]
        return ParkedSummary(
            events=dict(sorted(self.events.items())),
            rows=dict(sorted(self._rows.items())),
            waiting=waiting,
            debited=[
                Money(*key, self._uses[key], amount) for key, amount in sorted(self._money.items())
            ],
            overrun=[Money(*key, 0, amount) for key, amount in sorted((+self._overrun).items())],
            finished=self.finished,
            seconds=seconds,
        )

"""What is turned away when the store's memory runs short.

    of its limit   starts        one-shot events   updates, releases
    ────────────────────────────────────────────────────────────────
    from 100 %     the store refuses all that writes
    from  85 %     turned away   turned away       go on
    from  70 %     turned away   go on             go on
    below          go on         go on             go on

A full store refuses the release that would end a call as it refuses the start that would begin one:
holds stay, use is not settled. So what is left of its memory is kept for the calls that are open.
Each of them writes an entry of the journal for every update and for its release; the session itself
was made by its start, and the hold of an update takes the place of the former one.

One-shot events come second: each leaves a record for a day and opens nothing that would have to be
ended, so turning them away early would not help the calls. Whatever reports use goes on, of any
kind: it was delivered. So does what writes nothing (dry runs, balance checks, price enquiries), and
so does a call for help. Whether an event is a repeat only the store knows: one of a start is turned
away like a start, and is answered when it is sent again later.

Rejected: to shed a share of the starts that grows with the memory (a client could not tell why one
call goes and the next does not); to let the script of the store decide (it would cost every charge,
and the store reads and answers what it then refuses).
"""

from enum import IntEnum
from typing import Final

from msgspec import Struct

from ocs.domain.events import Action, Event, Kind


class Shed(IntEnum):
    """What is turned away; each says what the one before says, and more."""

    NOTHING = 0
    STARTS = 1
    ONE_SHOTS = 2


class StoreMemory(Struct, frozen=True):
    """What of the store's memory counts towards its limit; `limit_bytes` is 0 where it has none."""

    used_bytes: int
    limit_bytes: int

    @property
    def used_percent(self) -> int:
        """Whole per cent of a limit that is there."""
        return self.used_bytes * 100 // self.limit_bytes


class ShedLevels(Struct, frozen=True, kw_only=True):
    """Per cent of the limit, 1 to `NEVER`, from which starts, and one-shot events, are shed."""

    starts_percent: int = 70
    one_shots_percent: int = 85


NEVER: Final = 100

_KEPT_UP_PERCENT: Final = 97
"""Of a level: what is shed goes on being shed down to here, some two per cent of the memory
lower. Else the first calls that are let in would close the door behind them, every few seconds."""
_SHED_FROM: Final = {Kind.START: Shed.STARTS, Kind.EVENT: Shed.ONE_SHOTS}
_READS: Final = frozenset({Action.CHECK_BALANCE, Action.PRICE_ENQUIRY})


def shed_at(memory: StoreMemory, levels: ShedLevels, before: Shed) -> Shed:
    """Decide what is to be shed, where `before` was until now."""
    if not memory.limit_bytes:
        return Shed.NOTHING
    for shed, percent in (
        (Shed.ONE_SHOTS, levels.one_shots_percent),
        (Shed.STARTS, levels.starts_percent),
    ):
        kept_percent = _KEPT_UP_PERCENT if before >= shed else 100
        # Compared without a division: per cent of a per cent, hence twice by hundred.
        is_reached = memory.used_bytes * 100 * 100 >= memory.limit_bytes * percent * kept_percent
        if is_reached and percent < NEVER:
            return shed
    return Shed.NOTHING


def is_shed(event: Event, shed: Shed) -> bool:
    """Tell whether an event is to be turned away."""
    first = _SHED_FROM.get(event.kind)
    if first is None or shed < first or event.emergency:
        return False
    writes_nothing = event.dry_run or event.action in _READS
    return not writes_nothing and not _settles(event)


def _settles(event: Event) -> bool:
    """Whether an event reports what was used; a refund names units that were."""
    return event.action is Action.DIRECT_DEBIT and event.used_units > 0

"""How long the store keeps what is safe on disk: as long as is wanted, or as its memory allows.

Entries stay in the store (`keep_ms`) so that they are known without the files, which other hosts
may not have: to reverse a transaction, to settle what was parked. So when its memory runs short
they leave earlier, long before calls would be turned away for it (`shedding`): a service that is
busier than its memory was planned for goes on charging.

    from 60 % of the limit   the older half of what is kept goes, again with every pass,
                             as long as entries are a fifth of the limit
    from 50 % to 60 %        nothing changes
    below 50 %               two per cent more with every pass, until it is what is wanted

Halves, because a pass takes seconds, in which a busy service writes tens of megabytes: five minutes
are cut to twenty seconds within four passes, a day to ten minutes within seven. A fifth, because
what sessions, wallets or somebody else's data fill is not made good by forgetting entries.
Rejected: to remove so many bytes as are too many (the store tells the memory of a stream only by
sampling it, and not what of it would be given back).
"""

from typing import Final

from ocs.usecases.shedding import StoreMemory

SHORT_PERCENT: Final = 60
ROOMY_PERCENT: Final = 50
LEAST_MS: Final = 10_000
"""What is kept in any case: a debit that failed to be delivered is reversed at once."""
ENTRY_BYTES: Final = 600
"""Of the store's memory (measured, docs/design.md, section 3)."""
_LEAST_SHARE: Final = 5
_GROWTH_PERCENT: Final = 102


class Keeping:
    """`keep_ms` is how long entries are kept at present; `most_ms` how long they are wanted."""

    def __init__(self, most_ms: int) -> None:
        self.keep_ms = most_ms
        self._most_ms = most_ms

    @property
    def is_short(self) -> bool:
        """Whether they leave earlier than is wanted."""
        return self.keep_ms < self._most_ms

    def look(self, memory: StoreMemory, entries: int, oldest_ms: int) -> None:
        """Decide anew, once a pass. `entries` are in the store, the oldest so old."""
        is_much = entries * ENTRY_BYTES * _LEAST_SHARE >= memory.limit_bytes
        if not memory.limit_bytes:
            self.keep_ms = self._most_ms
        elif memory.used_percent >= SHORT_PERCENT and is_much:
            halved = min(self.keep_ms, oldest_ms) // 2
            self.keep_ms = min(self._most_ms, max(LEAST_MS, halved))
        elif memory.used_percent < ROOMY_PERCENT and self.is_short:
            grown = self.keep_ms * _GROWTH_PERCENT // 100
            self.keep_ms = min(self._most_ms, grown)

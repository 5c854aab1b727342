"""Giving back what sessions hold whose client has gone silent.

A client that dies leaves holds behind. At its deadline a session expires: holds go back, counters
stay, and if the client does come back its update settles and may be granted again. So expiring late
costs a little credit for a while, and expiring early tears a grant away from a call that goes on.
Hence everything here leans to late:

* After the store was away, or this process was (both look the same to a client: its update was not
  answered), all deadlines may have passed while every client was knocking. Nothing expires for one
  validity, in which they come back.
* Deadlines are times of the store's clock. While it and ours differ by more than half a minute, one
  of them is wrong, and it may be the one that the deadlines were made with.

`expire` checks the deadline again in the store, in one step with giving back, so any number of
workers may sweep the same partition at once.
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from ocs.usecases.ports import Ledger, LedgerUnavailable, OutcomeUnknown


class Standing(StrEnum):
    """Whether sessions may be expired now, and why not."""

    SWEEPING = "sweeping"
    WAITING = "waiting"
    CLOCKS_DIFFER = "clocks_differ"
    STORE_AWAY = "store_away"


class ExpiryLimits(Struct, frozen=True, kw_only=True):
    """`validity_s` is the longest validity of any plan."""

    validity_s: int
    batch: int = 100
    max_clock_difference_ms: int = 30_000


class Expiry:
    """Asked `prepare` once a pass and `sweep` once a partition; times are arguments."""

    def __init__(self, ledger: Ledger, limits: ExpiryLimits, losses: Callable[[], int]) -> None:
        """`losses` counts how often the store was lost; any change of it starts the wait anew."""
        self.expired = 0
        self.clock_difference_ms = 0
        self._ledger = ledger
        self._limits = limits
        self._losses = losses
        self._losses_seen = -1
        self._not_before_s = 0.0

    async def prepare(self, wall_ms: Callable[[], int], monotonic_s: float) -> Standing:
        """Find out whether this pass may expire anything."""
        if self._losses() != self._losses_seen:
            self._losses_seen = self._losses()
            self._not_before_s = monotonic_s + self._limits.validity_s
        before_ms = wall_ms()
        try:
            store_ms = await self._ledger.store_ms()
        except (LedgerUnavailable, OutcomeUnknown):
            return self._lost(monotonic_s)
        # The store's clock was read somewhere between the two: the answer may have taken long.
        after_ms = wall_ms()
        self.clock_difference_ms = store_ms - min(
            max(store_ms, before_ms), max(after_ms, before_ms)
        )
        if abs(self.clock_difference_ms) > self._limits.max_clock_difference_ms:
            return Standing.CLOCKS_DIFFER
        return Standing.WAITING if monotonic_s < self._not_before_s else Standing.SWEEPING

    async def sweep(self, partition: int, monotonic_s: float) -> Standing:
        """Expire up to a batch of sessions of one partition."""
        try:
            for session in await self._ledger.due(partition, self._limits.batch):
                # One at a time, each behind the charges that wait already: nobody waits for this.
                self.expired += await self._ledger.expire(session)
        except (LedgerUnavailable, OutcomeUnknown):
            return self._lost(monotonic_s)
        return Standing.SWEEPING

    def _lost(self, monotonic_s: float) -> Standing:
        self._not_before_s = monotonic_s + self._limits.validity_s
        return Standing.STORE_AWAY

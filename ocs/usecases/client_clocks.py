"""Clients' clocks: whether an event may be charged by its time, and how long it is remembered then.

A request that is sent again is told by its session's record, which the ledger forgets in the end.
From then on only its age tells: what is older than records are kept is not charged but parked. A
clock that is ahead makes an event look younger by its lead, so there would be a time in which it is
forgotten and does not look old. So it is remembered for longer, by just that lead:

    charged at t, its client's clock ahead by L:  event_time = t + L
    it looks old from      t + L + kept    on
    it is remembered until t + L + kept    at least

Whatever comes again is found or is old, for any L, by one clock. Several clocks have a part in it
(this worker's, another one's, the store's), so all is kept for `MARGIN_S` longer than it takes.

What is remembered costs memory, so a lead has a bound, `MOST_AHEAD_S`. Beyond it an event is
charged nowhere, not in a session that is known either: it would have to be remembered until its
time has come. It is refused by the name of its field, what it says was used is parked, and a repeat
of what was charged before is answered as ever. Of a clock that is behind nothing is to be feared:
it makes events look older.

An event that says no time is taken to be of now, however often it comes: only its record tells that
it is a repeat.

Rejected: to charge as before and to refuse from the skew (5 min) on, which refuses every call of a
client whose zone is wrong; to let starts pass, since they debit nothing (behind a start that is
repeated the updates find an open session again); a lead without a bound in known sessions (a client
that writes milliseconds where seconds are meant would fill the store for ever).
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Event, Kind
from ocs.usecases.ports import ChargeCall, ChargeLimits

MOST_AHEAD_S: Final = 23 * 3_600
"""More than any mistake about zones. An hour less than a day, which is how far apart the search for
what was charged (`parked_journal.GAP_MS`) takes clocks to be."""
MARGIN_S: Final = 180
"""The clocks of two workers may each be half a minute off the store's, a call is on its way for up
to a minute, and half a minute of lead (`PUNCTUAL_MS`) is not worth to be written down."""
PUNCTUAL_MS: Final = 30_000
"""Less than that is no lead."""
_STEP_S: Final = 600
"""Leads are told to the ledger in steps, as it remembers what limits it was told."""

TOO_OLD: Final = (
    "the event is older than sessions are remembered, so it may have been charged before; "
    "it is kept for offline rating (is the sender's clock right?)"
)
TOO_OLD_TO_REFUND: Final = (
    "the event is older than one-shot events are remembered, so it may have been refunded before"
)
TOO_FAR_AHEAD: Final = (
    "expected a time that is at most 23 hours ahead: so long nobody could tell whether the event "
    "comes for the second time (is the sender's clock right?)"
)
KEPT_THOUGH_AHEAD: Final = f"{TOO_FAR_AHEAD}; what was used is kept for offline rating"


class Window(Struct, frozen=True):
    """From how old on events of each kind may have been forgotten."""

    kept_ms: Mapping[Kind, int]

    def is_old(self, event: Event, now_ms: int) -> bool:
        """Whether the event may have been charged, and forgotten since."""
        return now_ms - event.reported_ms > self.kept_ms[event.kind]


def window_of(limits: ChargeLimits) -> Window:
    """Make the window of a configuration."""
    kept_ms = dict.fromkeys(Kind, 1000 * limits.closed_keep_s)
    return Window({**kept_ms, Kind.EVENT: 1000 * limits.event_keep_s})


def remembered(limits: ChargeLimits) -> ChargeLimits:
    """Give the limits by which the ledger remembers what is new inside the window."""
    return replace(
        limits,
        closed_keep_s=limits.closed_keep_s + MARGIN_S,
        event_keep_s=limits.event_keep_s + MARGIN_S,
    )


def with_lead(call: ChargeCall, event: Event, now_ms: int) -> ChargeCall:
    """Tell the ledger how far ahead the client's clock is."""
    if is_too_far_ahead(event, now_ms):
        return replace(call, only_repeats=True)
    ahead_ms = event.reported_ms - now_ms
    lead_s = -(-ahead_ms // (1000 * _STEP_S)) * _STEP_S
    return replace(call, limits=replace(call.limits, lead_s=lead_s))


def is_too_far_ahead(event: Event, now_ms: int) -> bool:
    """Whether nothing new may be charged by the event."""
    return event.reported_ms - now_ms > 1000 * MOST_AHEAD_S

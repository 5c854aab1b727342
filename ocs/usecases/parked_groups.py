"""Parked events, gathered by what is settled as one: by session, or each one-shot event by itself.

Who pays is looked up anew: since an event was parked its subscriber may have been created. An
account's session may have events that were parked before anybody knew whose they were, so the
account is what they are gathered by. Of a session that was rated by two numbers (a call that was
transferred) each is a use of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Action, Event, Kind
from ocs.domain.results import ResultCode
from ocs.usecases.parked import Parked
from ocs.usecases.parked_summary import Waits
from ocs.usecases.parked_use import in_order, request_of
from ocs.usecases.paying import BadReference, Payers, Payment
from ocs.usecases.ports import EMERGENCY, SessionKey

MOST_EVENTS: Final = 2_000
"""Of one settlement: about 100 kB of the journal, and a command of as many ids."""


class Group(Struct, frozen=True):
    """Events that are one use. `payment` is None for calls for help, which nobody pays.

    `mark` is that of its session, once somebody has looked.
    """

    events: tuple[Parked, ...]
    payment: Payment | None = None
    mark: bytes = b""

    @property
    def first(self) -> Event:
        event = self.events[0].event
        assert event is not None
        return event

    @property
    def is_one_shot(self) -> bool:
        return self.first.kind is Kind.EVENT

    @property
    def debits(self) -> bool:
        """Whether use is all that was reported: no refund, no enquiry."""
        actions = {one.event.action for one in self.events if one.event is not None}
        return actions == {Action.DIRECT_DEBIT}

    @property
    def last_ms(self) -> int:
        """When the last of them was parked."""
        return max(parked.ref.at_ms for parked in self.events)

    @property
    def told_ms(self) -> int:
        """When the last of them was, by the client's clock."""
        return max(parked.event.reported_ms for parked in self.events if parked.event is not None)

    @property
    def oldest_ms(self) -> int:
        """When the first of them was, by the client's clock or ours."""
        return min(
            min(parked.event.event_ms, parked.event.reported_ms)
            for parked in self.events
            if parked.event is not None
        )


class Gathered(Struct, frozen=True):
    """Groups that may be settled beside each other, and events that wait, each with the reason."""

    groups: Sequence[Group]
    waiting: Sequence[tuple[Parked, str]]


class Gatherer:
    """Finds who pays, and gathers."""

    def __init__(self, payers: Payers) -> None:
        self._payers = payers

    async def gathered(self, events: Iterable[Parked]) -> Gathered:
        """Gather events. LedgerUnavailable: the directory cannot be asked."""
        waiting: list[tuple[Parked, str]] = []
        sessions: defaultdict[SessionKey, list[Parked]] = defaultdict(list)
        payments: dict[SessionKey, Payment] = {}
        for_help: defaultdict[tuple[str, str, str], list[Parked]] = defaultdict(list)
        for parked in events:
            event = parked.event
            if event is None:
                waiting.append((parked, Waits.UNREADABLE))
            elif parked.ref.stream == EMERGENCY:
                for_help[event.tenant, event.session_id, event.called_number].append(parked)
            else:
                payment = await self.payment(event)
                if isinstance(payment, str):
                    waiting.append((parked, payment))
                    continue
                sessions[payment.session].append(parked)
                if payment.session not in payments or payment.plan is not None:
                    payments[payment.session] = payment
        groups = [Group(tuple(in_order(some)[:MOST_EVENTS])) for some in for_help.values()]
        for key, some in sessions.items():
            ready, postponed = _settled_together(some, payments[key])
            groups += ready
            waiting += [(parked, Waits.LATER) for parked in postponed]
        return Gathered(groups, waiting)

    async def payment(self, event: Event) -> Payment | str:
        """Find who pays, or why nobody does."""
        try:
            payment = await self._payers.find(event)
        except BadReference:
            return Waits.BAD_REFERENCE
        return ResultCode.UNKNOWN_SUBSCRIBER if payment is None else payment

    async def with_plan(self, payment: Payment, event: Event, subscriber: str) -> Payment | None:
        """Find the plan of an account that was named by a reference alone, by who used it once."""
        if payment.plan is not None or not subscriber:
            return payment if payment.plan is not None else None
        found = await self.payment(replace(event, subscriber=subscriber))
        if isinstance(found, str) or found.plan is None or found.session != payment.session:
            return None
        return found


def _settled_together(
    events: Sequence[Parked], payment: Payment
) -> tuple[list[Group], list[Parked]]:
    """Part the events of one session into what can be settled now and what has to wait for that."""
    one_shots: defaultdict[str, list[Parked]] = defaultdict(list)
    uses: defaultdict[tuple[str, str], list[Parked]] = defaultdict(list)
    for parked, number in _numbered(in_order(events)):
        event = parked.event
        assert event is not None
        if event.kind is Kind.EVENT:
            one_shots[request_of(event)].append(parked)
        else:
            uses[event.usage_type, number].append(parked)
    groups = [Group(tuple(some), payment) for some in one_shots.values()]
    parts = list(uses.values())
    postponed = [parked for part in parts[1:] for parked in part]
    if parts:
        groups.append(Group(tuple(parts[0][:MOST_EVENTS]), payment))
        postponed += parts[0][MOST_EVENTS:]
    return groups, postponed


def _numbered(events: Sequence[Parked]) -> Iterator[tuple[Parked, str]]:
    """Give each event with the number that it is rated by: an update need not repeat it."""
    number = next((one.event.rated_number for one in events if one.event and _number(one)), "")
    for parked in events:
        number = _number(parked) or number
        yield parked, number


def _number(parked: Parked) -> str:
    return parked.event.rated_number if parked.event else ""

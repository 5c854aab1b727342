"""Parked events of one session, added up as the ledger would have done: what is left to be settled.

The journal comes first: a request that was settled there is a duplicate, and what was settled is
where the parked use begins. Reports that say what was used since the last one are added; totals are
what totals are online (`docs/design.md` 2.9): an update never lowers one, a release sets it, and
nothing goes back below what was settled.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Event, Kind, Reporting, ServiceUse
from ocs.domain.usage import VOICE
from ocs.usecases.parked import Parked
from ocs.usecases.parked_journal import Charged
from ocs.usecases.ports import CDR_DAYS, DAY_MS
from ocs.usecases.settling_cdrs import Settled

_SECOND_MS: Final = 1_000
_NAME_BYTES: Final = 12
_TOLD_ONCE: Final = ("subscriber", "calling_number", "called_number", "trunk_in")
"""Fields that a client need not repeat: of each, what an event says first."""


class WholeUse(Struct, frozen=True):
    """What some parked events of a session come to.

    `event` is all of it as one: a release that says when the use began, or a one-shot event; its
    services are those that owe something. None where nothing is owed. `duplicates` are units of
    requests that were settled before, by rating group. `fates` are the events', in their order:
    DEBITED, DUPLICATE, or RECORDED where nothing was used.
    """

    events: tuple[Parked, ...]
    event: Event | None
    used_ms: int
    duplicates: Mapping[str, int]
    fates: tuple[Settled, ...]

    @property
    def name(self) -> str:
        """What no other settlement is called, as no entry is in two."""
        digest = blake2b(digest_size=_NAME_BYTES)
        for one in sorted(parked.ref for parked in self.events):
            digest.update(f"{one.partition} {one.stream} {one.entry}\n".encode())
        return digest.hexdigest()


def request_of(event: Event) -> str:
    """Spell a request as the journal has it."""
    number = event.request_number
    return event.request_key if number is None else str(number)


def at_its_time(event: Event) -> Event:
    """Give an event that came late the time that its client told.

    Online it counted as of the farthest permitted instant, since a clock may be wrong; here prices
    and bundles are those of when it was used. A clock that is wrong by months is not believed.
    """
    late_ms = event.event_ms - event.reported_ms
    if not event.time_flag or not 0 < late_ms <= CDR_DAYS * DAY_MS:
        return event
    answer_ms = event.answer_ms and max(1, event.answer_ms - late_ms)
    return replace(event, event_ms=event.reported_ms, answer_ms=answer_ms)


def in_order(events: Iterable[Parked]) -> list[Parked]:
    """Put events of a session into the order in which they were meant: its release is the last."""

    def rank(parked: Parked) -> tuple[bool, int, object]:
        event = parked.event
        assert event is not None
        return event.kind is Kind.RELEASE, event.request_number or 0, parked.ref

    return sorted(events, key=rank)


def whole_use(events: Sequence[Parked], charged: Charged) -> WholeUse:
    """Add up the events of one session, one usage type and one number (or a one-shot event)."""
    ordered = in_order(events)
    adding = _Adding(charged, is_one_shot=_event(ordered[0]).kind is Kind.EVENT)
    fates = [adding.add(_event(parked)) for parked in ordered]
    owed = {group: units for group, units in adding.owed().items() if units > 0}
    if not owed:
        fates = [Settled.DUPLICATE if fate is Settled.DEBITED else fate for fate in fates]
    first = next((p for p, f in zip(ordered, fates, strict=True) if f is Settled.DEBITED), None)
    used_ms = _event(first or ordered[0]).event_ms
    event = None
    if first is not None:
        event, used_ms = _as_one([_event(parked) for parked in ordered], _event(first), adding)
    return WholeUse(tuple(ordered), event, used_ms, adding.duplicates, tuple(fates))


class _Adding:
    """Where each service stands, and what it began with."""

    def __init__(self, charged: Charged, *, is_one_shot: bool) -> None:
        self.base: Counter[str] = Counter() if is_one_shot else Counter(charged.units)
        self.at = Counter(self.base)
        self.duplicates: Counter[str] = Counter()
        self._seen = set(charged.answered)

    def add(self, event: Event) -> Settled:
        fate, request = Settled.RECORDED, request_of(event)
        for use in event.services:
            group = use.rating_group
            if use.used_units <= 0:
                continue
            if (request, group) in self._seen:
                self.duplicates[group] += use.used_units
                fate = Settled.DUPLICATE if fate is Settled.RECORDED else fate
                continue
            self._seen.add((request, group))
            self.at[group] = self._behind(event, use)
            fate = Settled.DEBITED
        return fate

    def _behind(self, event: Event, use: ServiceUse) -> int:
        """Return where a service stands behind a report."""
        at, base = self.at[use.rating_group], self.base[use.rating_group]
        if event.kind is Kind.EVENT or event.reporting is Reporting.DELTA:
            return at + use.used_units
        if event.kind is Kind.RELEASE:
            return max(base, use.used_units)
        return at if event.reporting is Reporting.AT_RELEASE else max(at, use.used_units)

    def owed(self) -> dict[str, int]:
        return {group: units - self.base[group] for group, units in self.at.items()}


def _as_one(events: Sequence[Event], first: Event, adding: _Adding) -> tuple[Event, int]:
    """Make one event of all, and tell when the use began. `first` is the first that is owed.

    A call is told as answered so long before as was charged of it: then each unit of what is parked
    is priced by its own time.
    """
    number = next((event.rated_number for event in events if event.rated_number), "")
    services = [
        ServiceUse(group, units, None, rated_number=_number_of(events, group))
        for group, units in adding.owed().items()
        if units > 0
    ]
    last = events[-1]
    one_shot = first.kind is Kind.EVENT
    merged = replace(
        last,
        kind=first.kind if one_shot else Kind.RELEASE,
        rated_number=number,
        services=tuple(services),
        reporting=Reporting.DELTA,
        dry_run=False,
        terms=None,
        **{name: _first(events, name) for name in _TOLD_ONCE},
    )
    if one_shot or first.usage_type != VOICE:
        return replace(merged, event_ms=first.event_ms, answer_ms=None), first.event_ms
    before_s = adding.base[services[0].rating_group]
    answers = [event.answer_ms for event in events if event.answer_ms]
    used_s = max(use.used_units for use in first.services)
    if first.reporting is not Reporting.DELTA:
        used_s -= min(before_s, used_s)
    used_ms = max(1, first.event_ms - _SECOND_MS * used_s)
    if answers and not before_s:
        used_ms = answers[0]
    return replace(merged, answer_ms=max(1, used_ms - _SECOND_MS * before_s)), used_ms


def _number_of(events: Sequence[Event], group: str) -> str:
    """Return what a service is rated by, where it has a number of its own."""
    numbers = (
        use.rated_number for event in events for use in event.services if use.rating_group == group
    )
    return next((number for number in numbers if number), "")


def _first(events: Sequence[Event], name: str) -> str:
    return next((value for event in events if (value := getattr(event, name))), "")


def _event(parked: Parked) -> Event:
    assert parked.event is not None
    return parked.event

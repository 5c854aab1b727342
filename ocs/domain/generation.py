"""A generation: one load of all tariff files, and which rate applies in it, from when.

It never changes: a reload builds a new one and swaps the reference, so a request in flight keeps
the generation that it began with.

The first tariff of a plan with a match wins; within a tariff, the longest prefix that is in force
at the time of use. Tariffs of another usage type than the one used are passed over.

What a call may cost later is known when it begins: a *schedule* is its rate and each later one with
the instant at which it takes over, by a date, by the time of day, by a change of the clocks.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from ocs.domain.offers import Candidate, DeckOffer, Offer, OriginOffer, Timeline, first_of
from ocs.domain.tariff import Deck, PlanTariff, Rate, Used, decks_of
from ocs.domain.zones import Zone

Schedule = tuple[tuple[int, Rate], ...]
"""Rates with the instants from which they hold."""

_MOST_PATHS_KEPT: Final = 10_000
_MOST_TIMELINES_KEPT: Final = 10_000


class TariffMeta(msgspec.Struct, frozen=True):
    """What a loaded tariff is: for `/metrics`, `ocs check` and the log line of a reload."""

    name: str
    currency: str
    usage_type: str
    rates: int


class _Path(msgspec.Struct, frozen=True):
    """The offers that a plan's tariffs mean for a usage type.

    Keeps the tariffs, so that their identity, by which it is remembered, stays taken.
    """

    tariffs: tuple[PlanTariff, ...]
    offers: tuple[Offer, ...]
    is_plain: bool


class Generation:
    """One load of all tariffs. `id` is the hash of what it was built from."""

    __slots__ = ("_by_name", "_offers", "_paths", "_timelines", "decks", "id", "tariffs")

    def __init__(self, generation_id: str, decks: Sequence[Deck]) -> None:
        self.id = generation_id
        self.decks = tuple(decks)
        self._by_name = decks_of(decks)
        self.tariffs = tuple(_meta(of_one) for of_one in self._by_name.values())
        self._offers: dict[tuple[PlanTariff, str], Offer] = {}
        self._paths: dict[tuple[int, str, Zone], _Path] = {}
        self._timelines: dict[tuple[Candidate, ...], Timeline] = {}

    def find(self, tariffs: tuple[PlanTariff, ...], used: Used) -> Rate | None:
        """Return the rate of the first tariff that has one in force for what is used."""
        key = id(tariffs), used.usage_type, used.zone
        path = self._paths.get(key) or self._path(tariffs, used)
        at_ms = used.at_ms
        for offer in path.offers:
            rate = offer.find(used, at_ms)
            if rate is not None:
                return rate
        return None

    def schedule(self, tariffs: tuple[PlanTariff, ...], used: Used, until_ms: int) -> Schedule:
        """Return the rate at `used.at_ms` and each later one with the instant of its take-over.

        Empty where there is no rate at `used.at_ms`. Where a rate ends and nothing follows that can
        be charged, it stays: a call that was begun at a price is finished at it. Where the same
        price follows, it stays too, so that a renewed price list cuts no increment in two.
        """
        key = id(tariffs), used.usage_type, used.zone
        path = self._paths.get(key) or self._path(tariffs, used)
        at_ms, is_steady = used.at_ms, True
        for offer in path.offers:
            if offer.is_plain:
                rate = offer.find(used, at_ms)
            else:
                candidates = offer.candidates(used)
                is_steady = is_steady and not candidates
                rate = first_of(candidates, at_ms)
            if rate is not None:
                return ((at_ms, rate),) if is_steady else self._schedule(path, used, until_ms, rate)
        return ()

    def is_plain(self, tariffs: tuple[PlanTariff, ...], used: Used) -> bool:
        """Whether a number's rate is the same at any time, for any caller and any trunk."""
        key = id(tariffs), used.usage_type, used.zone
        return (self._paths.get(key) or self._path(tariffs, used)).is_plain

    def decks_of(self, tariff: str) -> tuple[Deck, ...]:
        """Return the decks of a tariff; none for an unknown name."""
        return self._by_name.get(tariff, ())

    def _schedule(self, path: _Path, used: Used, until_ms: int, first: Rate) -> Schedule:
        candidates = _candidates(path, used)
        timeline = self._timelines.get(candidates)
        if timeline is None:
            if len(self._timelines) >= _MOST_TIMELINES_KEPT:
                self._timelines.clear()
            timeline = self._timelines[candidates] = Timeline(candidates)
        schedule = [(used.at_ms, first)]
        for instant, rate in timeline.after(used.at_ms, until_ms):
            if rate is not None and _takes_over(rate, schedule[-1][1]):
                schedule.append((instant, rate))
        return tuple(schedule)

    def _path(self, tariffs: tuple[PlanTariff, ...], used: Used) -> _Path:
        """Find the offers of a path that is not remembered; unknown tariffs mean none."""
        offers = tuple(
            self._offer(tariff, used.zone)
            for tariff in tariffs
            for deck in self.decks_of(tariff.name)[:1]
            if deck.head.usage_type == used.usage_type
        )
        if len(self._paths) >= _MOST_PATHS_KEPT:
            self._paths.clear()
        is_plain = all(isinstance(offer, DeckOffer) and offer.is_plain for offer in offers)
        path = _Path(tariffs, offers, is_plain)
        self._paths[id(tariffs), used.usage_type, used.zone] = path
        return path

    def _offer(self, tariff: PlanTariff, zone: Zone) -> Offer:
        """Return what plans with the same percentage and tenants with the same zone share."""
        key = tariff, zone.name
        known = self._offers.get(key)
        if known is None:
            offers = [DeckOffer(deck, tariff.percent, zone) for deck in self._by_name[tariff.name]]
            head = offers[0].deck.head
            known = offers[0]
            if len(offers) > 1 or head.from_prefix or head.trunk:
                known = OriginOffer(offers)
            self._offers[key] = known
        return known


def _candidates(path: _Path, used: Used) -> tuple[Candidate, ...]:
    """Return all rows that may be found, down to one that always counts and hides what follows."""
    found = []
    for offer in path.offers:
        for candidate in offer.candidates(used):
            found.append(candidate)
            if candidate.always:
                return tuple(found)
    return tuple(found)


def _takes_over(rate: Rate, former: Rate) -> bool:
    """Whether a rate that comes into force in mid-call changes what the call costs."""
    return (
        not rate.blocked
        and not former.blocked
        and rate.currency == former.currency
        and rate.ladder != former.ladder
    )


def _meta(decks: tuple[Deck, ...]) -> TariffMeta:
    head = decks[0].head
    rates = sum(len(deck) for deck in decks)
    return TariffMeta(head.tariff, head.currency.code, head.usage_type, rates)

"""An offer: a tariff as a plan offers it, at its percentage, to callers of one tenant's zone.

This is where a row becomes a `Rate`, built once for each row and band and kept, as calls cluster on
few destinations. Others key their own memories by its identity.

In a plain tariff (no dates, no timings, no rows for some callers only) a number has one row, ever.
In others it has several *candidates*, in order of precedence, each with the times at which it
counts. The first that counts at an instant is the price:

    441632...   candidates   4416  from 2027          peak 0.02 | else 0.01
                             44    until 2028         0.03
                             *     at any time        0.50

All that can ever happen to the price of a call stands in its candidates, so they are looked up once
for a whole schedule. They are kept too, by the prefix that leads to them.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final, Protocol

import msgspec

from ocs.domain.ladder import packed, scaled
from ocs.domain.prefix_trie import NO_PREFIX
from ocs.domain.tariff import (
    ALWAYS_FROM_MS,
    CATCH_ALL,
    NEVER_ENDS_MS,
    WHOLE_PERCENT,
    Band,
    Deck,
    Price,
    Rate,
    Used,
)
from ocs.domain.timing import NO_BAND, Timetable
from ocs.domain.zones import DAY_MS, Zone

_MOST_DAYS_KEPT: Final = 32
_MOST_RATES_KEPT: Final = 50_000  # about 20 MB; a full memory is dropped whole and refills
_pack: Final = msgspec.msgpack.Encoder().encode


class Candidate:
    """A row that a number may find, and when it counts; ValueError as for `DeckOffer`."""

    __slots__ = ("_from_ms", "_rates", "_timetable", "_to_ms", "always", "digits")

    def __init__(self, digits: int, rates: tuple[Rate, ...], timetable: Timetable | None) -> None:
        self.digits = digits
        self._rates = rates
        self._timetable = timetable
        self._from_ms, self._to_ms = rates[0].valid_from_ms, rates[0].valid_to_ms
        dated = (self._from_ms, self._to_ms) != (ALWAYS_FROM_MS, NEVER_ENDS_MS)
        self.always = timetable is None and not dated

    def at(self, at_ms: int) -> Rate | None:
        """Return the rate at an instant, None where the row does not count."""
        if not self._from_ms <= at_ms < self._to_ms:
            return None
        if self._timetable is None:
            return self._rates[0]
        band = self._timetable.at(at_ms)
        return None if band == NO_BAND else self._rates[band]

    def changes(self, at_ms: int, until_ms: int) -> Iterable[int]:
        """Return instants, among them all of (at_ms, until_ms) at which `at` changes."""
        if self._timetable is None:
            return self._from_ms, self._to_ms
        switches = self._timetable.switches(at_ms, until_ms)
        return self._from_ms, self._to_ms, *(instant for instant, _ in switches)


class Timeline:
    """The rates of a sequence of candidates over time; days are kept, as calls have them in common.

    A day of UTC is worked out once: when a candidate changes, and what counts from then on.
    """

    __slots__ = ("_candidates", "_days")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._days: dict[int, tuple[tuple[int, Rate | None], ...]] = {}

    def after(self, at_ms: int, until_ms: int) -> Iterator[tuple[int, Rate | None]]:
        """Yield the instants of (at_ms, until_ms) at which another rate may count, and which."""
        for day in range(at_ms // DAY_MS, -(-until_ms // DAY_MS)):
            for change in self._days.get(day) or self._day(day):
                if at_ms < change[0] < until_ms:
                    yield change

    def _day(self, day: int) -> tuple[tuple[int, Rate | None], ...]:
        begin_ms, end_ms = day * DAY_MS, (day + 1) * DAY_MS
        instants = {begin_ms}
        for candidate in self._candidates:
            instants.update(candidate.changes(begin_ms, end_ms))
        if len(self._days) >= _MOST_DAYS_KEPT:
            self._days.clear()
        self._days[day] = tuple(
            (instant, first_of(self._candidates, instant))
            for instant in sorted(instants)
            if begin_ms <= instant < end_ms
        )
        return self._days[day]


class Offer(Protocol):
    """What a plan's tariff is to a look-up. The rates of a plain one do not depend on the time."""

    is_plain: bool

    def find(self, used: Used, at_ms: int) -> Rate | None:
        """Return the rate at an instant."""
        ...

    def candidates(self, used: Used) -> tuple[Candidate, ...]:
        """Return all rows that may be found, in order of precedence."""
        ...


class DeckOffer:
    """A deck at a percentage; ValueError where a price has no exact form at it."""

    def __init__(self, deck: Deck, percent: Fraction, zone: Zone) -> None:
        self.deck = deck
        self.is_plain = deck.is_plain
        self._longest = deck.trie.longest
        self._percent = percent
        self._zone = deck.head.zone or zone
        self._rates: dict[int, Rate] = {}
        self._candidates: dict[int, tuple[Candidate, ...]] = {}
        self._quotes: dict[int, _Quote] = {}

    def find(self, used: Used, at_ms: int) -> Rate | None:
        if not self.is_plain:
            return first_of(self.candidates(used), at_ms)
        row = self._longest(used.number)
        if row == NO_PREFIX:
            return None
        return self._rates.get(row) or self._plain_rate(row, used.number)

    def candidates(self, used: Used) -> tuple[Candidate, ...]:
        prefix = self._longest(used.number)
        if prefix == NO_PREFIX:
            return ()
        known = self._candidates.get(prefix)
        if known is None:
            if len(self._candidates) >= _MOST_RATES_KEPT:
                self._forget()
            rows = self.deck.trie.rows(prefix)
            known = tuple(self._candidate(row, used.number) for row in rows)
            self._candidates[prefix] = known
        return known

    def _plain_rate(self, row: int, number: str) -> Rate:
        if len(self._rates) >= _MOST_RATES_KEPT:
            self._forget()
        quote = self._quote(self.deck.rows.prices[row])
        rate = self._rates[row] = self._rate(row, quote, 0, number)
        return rate

    def _candidate(self, row: int, number: str) -> Candidate:
        quote = self._quote(self.deck.rows.prices[row])
        rates = tuple(self._rate(row, quote, band, number) for band in range(len(quote.bands)))
        return Candidate(self.deck.trie.length(row), rates, quote.timetable)

    def _rate(self, row: int, quote: "_Quote", band: int, number: str) -> Rate:
        deck = self.deck
        head, trie = deck.head, deck.trie
        return Rate(
            tariff=head.tariff,
            prefix=number[: trie.length(row)] or CATCH_ALL,
            destination=deck.destination(row),
            model=quote.price.model,
            currency=head.currency.code,
            ladder=quote.bands[band].ladder,
            packed=quote.packed[band],
            valid_from_ms=self._instant(trie.valid_from_ms[row])
            if deck.is_dated
            else ALWAYS_FROM_MS,
            valid_to_ms=self._instant(trie.valid_to_ms[row]) if deck.is_dated else NEVER_ENDS_MS,
            blocked=quote.price.blocked,
            usage_type=head.usage_type,
            bands=quote.bands,
            band=band,
            tax=quote.price.tax,
            tax_included=quote.price.tax_included,
            zone=self._zone.name,
            from_prefix=head.from_prefix,
            trunk=head.trunk,
            percent=self._percent,
        )

    def _quote(self, number: int) -> "_Quote":
        known = self._quotes.get(number)
        if known is None:
            known = self._quotes[number] = _quote(
                self.deck.price(number), self._percent, self._zone
            )
        return known

    def _instant(self, date_ms: int) -> int:
        """Return the instant of a row's date, which may be a wall time of the zone."""
        if not self.deck.head.wall_dates or date_ms in (ALWAYS_FROM_MS, NEVER_ENDS_MS):
            return date_ms
        return self._zone.instant_ms(date_ms)

    def _forget(self) -> None:
        self._rates.clear()
        self._candidates.clear()
        self._quotes.clear()


class OriginOffer:
    """A tariff with rows for some callers or trunks only.

    Rows that ask for another caller or trunk are not there. Of the rest the longest called prefix
    wins, among equals the longest `from_prefix`, then a named trunk before none.
    """

    def __init__(self, offers: Sequence[DeckOffer]) -> None:
        self.is_plain = all(offer.is_plain for offer in offers)
        self._by_origin: dict[str, list[DeckOffer]] = {}
        for offer in sorted(offers, key=lambda offer: not offer.deck.head.trunk):
            self._by_origin.setdefault(offer.deck.head.from_prefix, []).append(offer)
        self._lengths = sorted({len(prefix) for prefix in self._by_origin}, reverse=True)

    def find(self, used: Used, at_ms: int) -> Rate | None:
        return first_of(self.candidates(used), at_ms)

    def candidates(self, used: Used) -> tuple[Candidate, ...]:
        found = [
            candidate
            for length in self._lengths
            if length <= len(used.caller)
            for offer in self._by_origin.get(used.caller[:length], ())
            if offer.deck.head.trunk in ("", used.trunk)
            for candidate in offer.candidates(used)
        ]
        return tuple(sorted(found, key=lambda candidate: -candidate.digits))


class _Quote(msgspec.Struct, frozen=True):
    """A price at the plan's percentage: its bands, packed, and when each is active."""

    price: Price
    bands: tuple[Band, ...]
    packed: tuple[bytes, ...]
    timetable: Timetable | None


def first_of(candidates: Iterable[Candidate], at_ms: int) -> Rate | None:
    """Return the rate of the first candidate that counts at an instant."""
    for candidate in candidates:
        rate = candidate.at(at_ms)
        if rate is not None:
            return rate
    return None


def bands_at(price: Price, percent: Fraction) -> tuple[Band, ...]:
    """Return the bands of a price at a percentage; ValueError where they have no exact form."""
    if percent == WHOLE_PERCENT:
        return price.bands
    return tuple(Band(band.timing, scaled(band.ladder, percent / 100)) for band in price.bands)


def _quote(price: Price, percent: Fraction, zone: Zone) -> _Quote:
    bands = bands_at(price, percent)
    timings = [band.timing for band in bands]
    return _Quote(
        price=price,
        bands=bands,
        packed=tuple(_pack(packed(band.ladder)) for band in bands),
        timetable=Timetable(timings, zone) if price.is_timed else None,
    )

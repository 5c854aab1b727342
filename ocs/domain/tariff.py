"""A tariff, as it lies in a compiled generation: decks of prices by prefix.

A deck of a million rows holds few distinct prices and few distinct destinations. So a row is two
integers, and prices and destinations are numbered records, decoded when a call first needs them:

    number --PrefixTrie--> row --prices[row]-------> Price {model, blocked, bands, tax}
                               --destinations[row]-> "Germany mobile"

A tariff is one deck, or several side by side where rows ask for the caller or the trunk: one for
each (from_prefix, trunk) that occurs, so that a tariff without such rows costs nothing for them.

Dates are instants, except in a deck whose file names no zone (`wall_dates`): there they are wall
times, and whose they are is known only when somebody of some tenant calls.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import msgspec

from ocs.domain.ladder import Ladder
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import Longs, PrefixTrie
from ocs.domain.timing import Timing
from ocs.domain.zones import UTC_ZONE, Zone

ALWAYS_FROM_MS: Final = 0
NEVER_ENDS_MS: Final = 2**53 - 1
"""The validity of a row without dates."""

CATCH_ALL: Final = "*"
"""How tariff files and answers write the empty prefix, which matches everything."""

ANY_CURRENCY: Final = ""
"""The currency of what costs nothing or is refused whoever pays."""

WHOLE_PERCENT: Final = Fraction(100)


class Used(msgspec.Struct, frozen=True, gc=False):
    """What a price is looked up for: a clean number, its use, when, where, by whom, over what.

    `zone` is the tenant's. `caller` and `trunk` matter where rows ask for them.
    """

    number: str
    usage_type: str
    at_ms: int
    zone: Zone = UTC_ZONE
    caller: str = ""
    trunk: str = ""


class PlanTariff(msgspec.Struct, frozen=True, gc=False):
    """A tariff in a plan, at so many per cent of its prices."""

    name: str
    percent: Fraction = WHOLE_PERCENT


def plan_tariffs(*names: str) -> tuple[PlanTariff, ...]:
    """Return tariffs at their own prices, in order of precedence."""
    return tuple(PlanTariff(name) for name in names)


class Band(msgspec.Struct, frozen=True, array_like=True):
    """A ladder and when it is in force; no timing means at any time."""

    timing: Timing | None
    ladder: Ladder


class Price(msgspec.Struct, frozen=True, array_like=True):
    """A distinct price of a tariff; rows with the same cells share it.

    Tax is inside the ladders. `tax` (a fraction such as "0.2") and `tax_included` (whether the
    file's prices held it already) are kept for who has to tell it apart again.
    """

    model: str
    blocked: bool
    bands: tuple[Band, ...]
    tax: str = "0"
    tax_included: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether this price depends on the time."""
        return len(self.bands) > 1 or self.bands[0].timing is not None


def untimed(ladder: Ladder) -> tuple[Band, ...]:
    """Return the one band of a price that is the same at any time."""
    return (Band(None, ladder),)


class Rate(msgspec.Struct, frozen=True):
    """The price of one destination, as it applies to a call.

    `packed` is the ladder as the ledger's script takes it: a msgpack array of integers. In force
    from `valid_from_ms` (inclusive) to `valid_to_ms` (exclusive), and of `bands` the one with the
    number `band`; bands and ladder are at the plan's `percent`.
    """

    tariff: str
    prefix: str
    destination: str
    model: str
    currency: str
    ladder: Ladder
    packed: bytes
    valid_from_ms: int
    valid_to_ms: int
    blocked: bool
    usage_type: str
    bands: tuple[Band, ...] = ()
    band: int = 0
    tax: str = "0"
    tax_included: bool = False
    zone: str = UTC_ZONE.name
    from_prefix: str = ""
    trunk: str = ""
    percent: Fraction = WHOLE_PERCENT


class Records:
    """Numbered byte strings: record i lies between `offsets[i]` and `offsets[i + 1]` of `blob`."""

    __slots__ = ("blob", "offsets")

    def __init__(self, offsets: Longs, blob: memoryview) -> None:
        self.offsets = offsets
        self.blob = blob

    def __getitem__(self, number: int) -> memoryview:
        """Return one record, not copied."""
        return self.blob[self.offsets[number] : self.offsets[number + 1]]

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self.offsets) - 1


class Rows(msgspec.Struct, frozen=True, gc=False):
    """What the rows of a deck mean: each row's price and destination, by number."""

    prices: Longs
    destinations: Longs
    price_records: Records
    destination_records: Records


class DeckHead(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all rows of a deck.

    They count for callers that begin with `from_prefix` and for calls that come in over `trunk`;
    empty: for all. `zone` is the one that the file names, None for the tenant's.
    """

    tariff: str
    usage_type: str
    currency: Currency
    zone: Zone | None = None
    from_prefix: str = ""
    trunk: str = ""
    wall_dates: bool = False
    is_timed: bool = False


class Deck:
    """Rows of one tariff, for one usage type; `price` and `destination` read their records."""

    __slots__ = ("_decode", "head", "is_dated", "rows", "trie")

    def __init__(self, head: DeckHead, trie: PrefixTrie, rows: Rows) -> None:
        self.head = head
        self.trie = trie
        self.rows = rows
        self.is_dated = bool(trie.first_rows)
        self._decode = msgspec.msgpack.Decoder(Price).decode

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows.prices)

    @property
    def is_plain(self) -> bool:
        """Whether a number finds the same row at any time, and the row the same ladder."""
        return not (self.is_dated or self.head.is_timed)

    def price(self, number: int) -> Price:
        """Decode a price by its number, which is what `rows.prices` holds."""
        return self._decode(self.rows.price_records[number])

    def destination(self, row: int) -> str:
        """Return the name of a row's destination."""
        return str(self.rows.destination_records[self.rows.destinations[row]], "utf-8")


def decks_of(decks: Sequence[Deck]) -> dict[str, tuple[Deck, ...]]:
    """Return the decks of each tariff, by its name."""
    found: dict[str, tuple[Deck, ...]] = {}
    for deck in decks:
        found[deck.head.tariff] = (*found.get(deck.head.tariff, ()), deck)
    return found

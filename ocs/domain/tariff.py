"""A deck: the rates of one tariff, by prefix, as they lie in a compiled tariff generation.

A deck of a million rows holds few distinct prices and few distinct destinations. So a row is two
integers, and prices and destinations are numbered records, decoded when a call first needs them:

    number --PrefixTrie--> row --prices[row]-------> Price {model, blocked, ladder}
                               --destinations[row]-> "Germany mobile"

What comes out is a `Rate`, built once per row and kept, as calls cluster on few destinations.
"""

from typing import Final

import msgspec

from ocs.domain.ladder import Ladder, packed
from ocs.domain.money import Currency
from ocs.domain.prefix_trie import NO_ROW, Longs, PrefixTrie

ALWAYS_FROM_MS: Final = 0
NEVER_ENDS_MS: Final = 2**53 - 1
"""The validity of a row without dates."""

CATCH_ALL: Final = "*"
"""How tariff files and answers write the empty prefix, which matches everything."""

_MOST_RATES_KEPT: Final = 50_000  # about 20 MB; a full memory is dropped whole and refills
_PRICE_ENCODER: Final = msgspec.msgpack.Encoder()


class Price(msgspec.Struct, frozen=True, array_like=True):
    """A distinct price of a tariff; rows with the same cells share it."""

    model: str
    blocked: bool
    ladder: Ladder


class Rate(msgspec.Struct, frozen=True):
    """The price of one destination, as it applies to a call.

    `packed` is the ladder as the ledger's script takes it: a msgpack array of integers. In force
    from `valid_from_ms` (inclusive) to `valid_to_ms` (exclusive).
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


class Deck:
    """One tariff for one usage type, ready for look-ups."""

    __slots__ = (
        "_price_decoder",
        "_prices",
        "_rates",
        "currency",
        "is_dated",
        "rows",
        "tariff",
        "trie",
        "usage",
    )

    def __init__(
        self, tariff: str, usage_type: str, currency: Currency, trie: PrefixTrie, rows: Rows
    ) -> None:
        self.tariff = tariff
        self.usage = usage_type
        self.currency = currency
        self.trie = trie
        self.rows = rows
        self.is_dated = bool(trie.first_rows)
        self._rates: dict[int, Rate] = {}
        self._prices: dict[int, tuple[Price, bytes]] = {}
        self._price_decoder = msgspec.msgpack.Decoder(Price)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows.prices)

    def find(self, number: str, at_ms: int) -> Rate | None:
        """Return the rate of the longest prefix of `number` in force at `at_ms`."""
        row = self.trie.find(number, at_ms) if self.is_dated else self.trie.longest(number)
        if row == NO_ROW:
            return None
        rate = self._rates.get(row)
        return self._read(row, number) if rate is None else rate

    def _read(self, row: int, number: str) -> Rate:
        price, packed_ladder = self._price(self.rows.prices[row])
        trie = self.trie
        rate = Rate(
            tariff=self.tariff,
            prefix=number[: trie.length(row)] or CATCH_ALL,
            destination=str(self.rows.destination_records[self.rows.destinations[row]], "utf-8"),
            model=price.model,
            currency=self.currency.code,
            ladder=price.ladder,
            packed=packed_ladder,
            valid_from_ms=trie.valid_from_ms[row] if self.is_dated else ALWAYS_FROM_MS,
            valid_to_ms=trie.valid_to_ms[row] if self.is_dated else NEVER_ENDS_MS,
            blocked=price.blocked,
            usage_type=self.usage,
        )
        if len(self._rates) >= _MOST_RATES_KEPT:
            self._rates.clear()
            self._prices.clear()
        self._rates[row] = rate
        return rate

    def _price(self, number: int) -> tuple[Price, bytes]:
        known = self._prices.get(number)
        if known is None:
            price = self._price_decoder.decode(self.rows.price_records[number])
            known = price, _PRICE_ENCODER.encode(packed(price.ladder))
            self._prices[number] = known
        return known

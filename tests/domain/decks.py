"""Decks and generations for tests, from tables: (prefix, price a minute[, valid from, to])."""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

import msgspec

from ocs.domain.ladder import FREE, compile_ladder
from ocs.domain.money import currency
from ocs.domain.plan import Generation
from ocs.domain.prefix_trie import compile_trie
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS, Deck, Price, Records, Rows

BLOCKED = None
Line = tuple[str, int | None] | tuple[str, int | None, int, int]


def deck(name: str, lines: Sequence[Line], *, usage_type: str = "voice", code: str = "EUR") -> Deck:
    """Build a deck; money units for a begun minute, None for a blocked row."""
    dated = sorted(
        (line[0], *(line[2:] or (ALWAYS_FROM_MS, NEVER_ENDS_MS)), line[1]) for line in lines
    )
    prefixes = sorted({line[0] for line in dated})
    is_dated = any(len(line) > 2 for line in lines)
    firsts = [[line[0] for line in dated].index(prefix) for prefix in prefixes]
    distinct = sorted({line[-1] for line in dated}, key=str)
    prices = [
        Price("blocked", blocked=True, ladder=FREE)
        if price is BLOCKED
        else Price(
            "flat", blocked=False, ladder=compile_ladder(Fraction(0), [(0, 60, Fraction(price))])
        )
        for price in distinct
    ]
    trie = compile_trie(
        prefixes,
        array("i", [*firsts, len(dated)] if is_dated else []),
        array("q", [line[1] for line in dated] if is_dated else []),
        array("q", [line[2] for line in dated] if is_dated else []),
    )
    rows = Rows(
        prices=[distinct.index(line[-1]) for line in dated],
        destinations=range(len(dated)),
        price_records=_records([msgspec.msgpack.encode(price) for price in prices]),
        destination_records=_records([f"to {line[0]}".encode() for line in dated]),
    )
    return Deck(name, usage_type, currency(code), trie, rows)


def generation(*decks: Deck) -> Generation:
    return Generation("test", decks)


def _records(encoded: list[bytes]) -> Records:
    return Records(
        array("q", accumulate(map(len, encoded), initial=0)), memoryview(b"".join(encoded))
    )

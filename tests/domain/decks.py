"""Decks and generations for tests, from tables: (prefix, price a minute[, valid from, to])."""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any

import msgspec

from ocs.domain.generation import Generation
from ocs.domain.ladder import FREE, Ladder, compile_ladder
from ocs.domain.money import currency
from ocs.domain.prefix_trie import compile_trie
from ocs.domain.tariff import (
    ALWAYS_FROM_MS,
    NEVER_ENDS_MS,
    Band,
    Deck,
    DeckHead,
    Price,
    Records,
    Rows,
    untimed,
)
from ocs.domain.timing import Timing

BLOCKED = None
Amount = int | Ladder | None | tuple[tuple[Timing | None, int | Ladder], ...]
Line = tuple[str, Amount] | tuple[str, Amount, int, int]


def deck(
    name: str, lines: Sequence[Line], *, usage_type: str = "voice", code: str = "EUR", **head: Any
) -> Deck:
    """Build a deck; money units for a begun minute or a ladder, None for a blocked row, or such by
    timing."""
    dated = sorted(
        ((line[0], *(line[2:] or (ALWAYS_FROM_MS, NEVER_ENDS_MS)), line[1]) for line in lines),
        key=lambda line: line[:2],
    )
    prefixes = sorted({line[0] for line in dated})
    is_dated = any(len(line) > 2 for line in lines)
    firsts = [[line[0] for line in dated].index(prefix) for prefix in prefixes]
    distinct = sorted({line[-1] for line in dated}, key=str)
    prices = [_price(amount) for amount in distinct]
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
    is_timed = any(price.is_timed for price in prices)
    about = DeckHead(
        tariff=name, usage_type=usage_type, currency=currency(code), is_timed=is_timed, **head
    )
    return Deck(about, trie, rows)


def generation(*decks: Deck) -> Generation:
    return Generation("test", decks)


def _price(amount: Amount) -> Price:
    if amount is BLOCKED:
        return Price("blocked", blocked=True, bands=untimed(FREE))
    if isinstance(amount, int | Ladder):
        return Price("flat", blocked=False, bands=untimed(_a_minute(amount)))
    return Price(
        "flat", blocked=False, bands=tuple(Band(timing, _a_minute(each)) for timing, each in amount)
    )


def _a_minute(amount: int | Ladder) -> Ladder:
    if isinstance(amount, Ladder):
        return amount
    return compile_ladder(Fraction(0), [(0, 60, Fraction(amount))])


def _records(encoded: list[bytes]) -> Records:
    return Records(
        array("q", accumulate(map(len, encoded), initial=0)), memoryview(b"".join(encoded))
    )

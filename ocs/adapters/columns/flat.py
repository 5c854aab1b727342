"""A plan's tariffs at one instant, laid flat: which row prices each stretch of the line of numbers.

    tariff 1   49  4917        |-------49-------|--4917--|------49------|
    tariff 2   4   491     |-4-|--------------491---------------|---4---|
    flat                   |-4-|-------49-------|--4917--|------49------|
                           (2) (1)              (1)      (1)

Each deck knows the longest prefix of each range of the line already (`domain/prefix_trie.py`);
where its rows are dated, a prefix without a row in force leaves its place to its parent. Laying one
deck over another cuts the line at the starts of both and takes, for each piece, what a look-up
would take: within a tariff the longest prefix, the more particular deck among equals; between
tariffs the one that the plan names first.

Whatever is not a number stands before the line, in a range of its own, where only catch-alls are.
A number shorter than the prefix of its range cannot be told here: `digits` lets the caller see it.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Final

import msgspec
import polars as pl

from ocs.adapters.columns.lines import NO_POINT, column, reached
from ocs.domain.generation import Generation
from ocs.domain.prefix_trie import MAX_PREFIX_DIGITS, Longs, PrefixTrie
from ocs.domain.tariff import ALWAYS_FROM_MS, NEVER_ENDS_MS, Deck, PlanTariff
from ocs.domain.zones import Zone

NO_DIGITS: Final = -1
"""In `digits`: the range belongs to no prefix."""


_NOTHING: Final = pl.DataFrame({"start": [NO_POINT], "digits": [NO_DIGITS], "row": [None]}).cast(
    pl.Int64
)
"""A line without a prefix."""


class Section(msgspec.Struct, frozen=True):
    """A deck as a plan offers it: in which of its tariffs, at which percentage, in whose zone.

    The rows of all sections of a plan are numbered through; those of this one from `first_row` on.
    """

    tariff: int
    deck: Deck
    percent: Fraction
    zone: Zone
    first_row: int

    def instants(self) -> frozenset[int]:
        """Return when rows of the deck come into force or end."""
        trie = self.deck.trie
        dates = frozenset(trie.valid_from_ms) | frozenset(trie.valid_to_ms)
        dates -= {ALWAYS_FROM_MS, NEVER_ENDS_MS}
        if self.deck.head.wall_dates:
            return frozenset(map(self.zone.instant_ms, dates))
        return dates


def sections_of(
    generation: Generation, tariffs: Sequence[PlanTariff], usage_type: str, zone: Zone
) -> tuple[Section, ...]:
    """Number the decks of a plan's tariffs through, the more particular first within a tariff."""
    sections: list[Section] = []
    first_row = 0
    for place, tariff in enumerate(tariffs):
        decks = generation.decks_of(tariff.name)
        for deck in sorted(decks, key=_particular):
            if deck.head.usage_type == usage_type:
                in_zone = deck.head.zone or zone
                sections.append(Section(place, deck, tariff.percent, in_zone, first_row))
                first_row += len(deck)
    return tuple(sections)


def flatten(sections: Sequence[Section], at_ms: int) -> pl.DataFrame:
    """Return the ranges of the line: `start`, and the `row` in force at `at_ms` for each.

    `digits` is the length of the row's prefix, -1 where there is none. Sections stand in the order
    of the plan, within a tariff the more particular first.
    """
    if not sections:
        return _NOTHING
    layers: dict[int, list[pl.DataFrame]] = {}
    for section in sections:
        layers.setdefault(section.tariff, []).append(_ranges(section, at_ms))
    return reduce(_first_over, (reduce(_longer_over, decks) for decks in layers.values()))


def _particular(deck: Deck) -> tuple[int, bool]:
    """Return what sorts a deck for some callers or one trunk before those for more."""
    return -len(deck.head.from_prefix), not deck.head.trunk


def _longer_over(upper: pl.DataFrame, lower: pl.DataFrame) -> pl.DataFrame:
    return _laid(upper, lower, pl.col("digits_lower") > pl.col("digits"))


def _first_over(upper: pl.DataFrame, lower: pl.DataFrame) -> pl.DataFrame:
    return _laid(upper, lower, pl.col("digits") == NO_DIGITS)


def _laid(upper: pl.DataFrame, lower: pl.DataFrame, lower_wins: pl.Expr) -> pl.DataFrame:
    starts = pl.concat([upper["start"], lower["start"]]).unique().sort()
    both = pl.DataFrame(starts).hstack(_at(upper, starts)).hstack(_at(lower, starts, "_lower"))
    return both.select(
        "start",
        *(
            pl.when(lower_wins).then(f"{name}_lower").otherwise(name).alias(name)
            for name in upper.columns
            if name != "start"
        ),
    )


def _at(ranges: pl.DataFrame, starts: pl.Series, suffix: str = "") -> pl.DataFrame:
    pieces = ranges.drop("start").select(pl.all().gather(reached(ranges["start"], starts)))
    return pieces.rename(lambda name: name + suffix)


def _ranges(section: Section, at_ms: int) -> pl.DataFrame:
    """Return the ranges of one deck, with one before the line for what is not a number."""
    trie = section.deck.trie
    date_ms = section.zone.reached_ms(at_ms) if section.deck.head.wall_dates else at_ms
    prefixes = _in_force(trie, date_ms)
    catch_all = 0 if trie.lengths and trie.lengths[0] == 0 else None
    owners = pl.concat([pl.Series([catch_all], dtype=pl.Int64), _numbers(trie.prefixes)])
    return pl.DataFrame(
        {
            "start": pl.concat([pl.Series([NO_POINT]), column(trie.starts)]),
            "digits": prefixes["digits"].gather(owners).fill_null(NO_DIGITS),
            "row": prefixes["row"].gather(owners) + section.first_row,
        }
    )


def _in_force(trie: PrefixTrie, date_ms: int) -> pl.DataFrame:
    """Return, by prefix, the row that a number of its range finds, and that row's digits."""
    digits = column(trie.lengths)
    own = pl.int_range(len(digits), dtype=pl.Int64, eager=True)
    if not trie.first_rows:
        return pl.DataFrame({"digits": digits, "row": own})
    rows = _dated_rows(trie, date_ms)
    found = own.zip_with(rows.is_not_null(), _numbers(trie.parents))
    for _ in range(MAX_PREFIX_DIGITS.bit_length()):  # each pass goes twice as far up
        found = found.gather(found)
    return pl.DataFrame({"digits": digits.gather(found), "row": rows.gather(found)})


def _dated_rows(trie: PrefixTrie, date_ms: int) -> pl.Series:
    """Return the first row of each prefix that is in force, null where there is none."""
    rows = pl.DataFrame({"from": column(trie.valid_from_ms), "to": column(trie.valid_to_ms)})
    number = pl.int_range(len(rows), dtype=pl.Int64, eager=True)
    rows = rows.with_columns(row=number, prefix=reached(column(trie.first_rows), number))
    rows = rows.filter(pl.col("from") <= date_ms, pl.col("to") > date_ms)
    rows = rows.unique("prefix", keep="first", maintain_order=True)
    none = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(trie.lengths))
    return none.scatter(rows["prefix"], rows["row"])


def _numbers(numbers: Longs) -> pl.Series:
    """Return numbers of prefixes, null for none."""
    found = column(numbers)
    return found.set(found < 0, None)

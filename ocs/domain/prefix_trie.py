"""Longest prefix match over a million prefixes: the trie, flattened to sorted disjoint ranges.

A number, padded with zeros to 18 digits, is a point on a line; a prefix is the range of all numbers
that start with it; nested prefixes are nested ranges. Sorted by (start, length), one sweep with a
stack cuts them into disjoint ranges, each of which knows its longest prefix:

    prefixes   49          |===========================================|
               4917                     |============|
    starts     0           490...       4917...      4918...           500...
    prefix     none        49           4917         49                none

A look-up is then one binary search, on arrays that need no decoding: they are built once, written
to a file, mapped by every worker and shared as the page cache holds them. A table over the leading
digits (`index`) says between which ranges to search, which halves the time on a large deck: slot i
holds how many ranges begin at or before the first number of its leading digits.

Two things are not in the line. A number shorter than the prefix that it would match (49 padded lies
in the range of 490) climbs to the parent prefix. So does a number whose longest prefix has nothing
in force at the time: rows are dated, [valid_from_ms, valid_to_ms), and one prefix may have several;
`rows` goes through all of them, and whoever knows the time picks.

Rejected: a dict probed from the longest prefix down (twice as much memory, Python objects in every
worker), nested dicts (2.4 us and 430 bytes a prefix), marisa-trie (half as fast, a dependency).
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

import msgspec

MAX_PREFIX_DIGITS: Final = 18
"""Longest prefix: 10^18 is the last power of ten below 2^63. E.164 numbers have at most 15."""

NO_PREFIX: Final = -1
_END_OF_LINE: Final = 10**MAX_PREFIX_DIGITS
_WIDTHS: Final = tuple(10 ** (MAX_PREFIX_DIGITS - digits) for digits in range(19))
"""How many points of the line a prefix of so many digits covers."""

_MOST_INDEX_DIGITS: Final = 6
"""The index has at most as many slots as there are ranges (4 bytes beside 12), so a million: from
five to six digits a look-up at a million prefixes gains 13 %, with four it loses 22 %."""

Longs = Sequence[int]
"""64-bit or 32-bit integers: an array, or a cast memoryview of a mapped file."""


class PrefixTrie(msgspec.Struct, frozen=True, gc=False):
    """The compiled prefixes of one deck. All members are flat arrays.

    By range: `starts`, `prefixes` (-1: none). By prefix: `lengths`, `parents` (-1: none). By row of
    the deck: `valid_from_ms`, `valid_to_ms`; `first_rows` has the first row of each prefix and an
    end. These last three are empty where each prefix has one row, always in force. `index_width` is
    the width of a slot of the index, `most_digits` the length of the longest prefix.
    """

    starts: Longs
    prefixes: Longs
    index: Longs
    lengths: Longs
    parents: Longs
    first_rows: Longs
    valid_from_ms: Longs
    valid_to_ms: Longs
    index_width: int
    most_digits: int

    def longest(self, number: str) -> int:
        """Return the longest prefix that `number` starts with, or -1.

        What is not a number (a SIP user) matches only the empty prefix, the catch-all.
        """
        size = len(number)
        if number.isdecimal() and number.isascii():
            if size <= MAX_PREFIX_DIGITS:
                point = int(number) * _WIDTHS[size]
            else:
                point = int(number[:MAX_PREFIX_DIGITS])
            slot = point // self.index_width
            index = self.index
            prefix = self.prefixes[
                bisect_right(self.starts, point, index[slot], index[slot + 1]) - 1
            ]
        else:
            size, prefix = 0, self.prefixes[0]
        if size < self.most_digits:
            while prefix >= 0 and self.lengths[prefix] > size:
                prefix = self.parents[prefix]
        return prefix

    def rows(self, prefix: int) -> Iterator[int]:
        """Yield the rows of a prefix that `longest` found, then those of each shorter one."""
        first_rows = self.first_rows
        while prefix >= 0:
            if first_rows:
                yield from range(first_rows[prefix], first_rows[prefix + 1])
            else:
                yield prefix
            prefix = self.parents[prefix]

    def spelled(self) -> Iterator[str]:
        """Yield every prefix that decides about some number, in sorted order of first use.

        One whose ten longer ones are all there decides about nothing and is left out.
        """
        met = bytearray(len(self.lengths))
        for start, prefix in zip(self.starts, self.prefixes, strict=True):
            if prefix >= 0 and not met[prefix]:
                met[prefix] = True
                yield f"{start:0{MAX_PREFIX_DIGITS}d}"[: self.lengths[prefix]]

    def length(self, row: int) -> int:
        """Return how many digits the prefix of a row has."""
        if not self.first_rows:
            return self.lengths[row]
        return self.lengths[bisect_right(self.first_rows, row) - 1]


def compile_trie(
    prefixes: Sequence[str],
    first_rows: Longs = (),
    valid_from_ms: Longs = (),
    valid_to_ms: Longs = (),
) -> PrefixTrie:
    """Build the ranges of distinct digit strings in sorted order ("" first, "49" before "490")."""
    starts, owners = array("q", [0]), array("i", [NO_PREFIX])
    lengths, parents = array("b"), array("i")
    open_ends: list[int] = [_END_OF_LINE + 1]  # a sentinel that is never closed
    open_prefixes: list[int] = [NO_PREFIX]
    for prefix, digits in enumerate(prefixes):
        width = _WIDTHS[len(digits)]
        start = int(digits) * width if digits else 0
        while open_ends[-1] <= start:
            end = open_ends.pop()
            open_prefixes.pop()
            _cut(starts, owners, end, open_prefixes[-1])
        _cut(starts, owners, start, prefix)
        lengths.append(len(digits))
        parents.append(open_prefixes[-1])
        open_ends.append(start + width)
        open_prefixes.append(prefix)
    while open_ends[-1] < _END_OF_LINE:
        end = open_ends.pop()
        open_prefixes.pop()
        _cut(starts, owners, end, open_prefixes[-1])
    index, width = _compile_index(starts)
    return PrefixTrie(
        starts=starts,
        prefixes=owners,
        index=index,
        lengths=lengths,
        parents=parents,
        first_rows=first_rows,
        valid_from_ms=valid_from_ms,
        valid_to_ms=valid_to_ms,
        index_width=width,
        most_digits=max(lengths, default=0),
    )


def _cut(starts: "array[int]", owners: "array[int]", start: int, owner: int) -> None:
    """Begin a range at `start`; a range that ends where it began is overwritten."""
    if starts[-1] == start:
        owners[-1] = owner
    else:
        starts.append(start)
        owners.append(owner)


def _compile_index(starts: Longs) -> tuple["array[int]", int]:
    """Say, for each group of leading digits, where among the ranges a search begins and ends."""
    digits = min(len(str(len(starts))) - 1, _MOST_INDEX_DIGITS)
    width = _WIDTHS[digits]
    begun = array("i", bytes(4 * (10**digits + 1)))
    for start in starts:
        begun[-(-start // width)] += 1
    return array("i", accumulate(begun)), width

"""Which decks count for a caller and a trunk: rows of a tariff may ask for either.

Of all beginnings that a plan's decks ask for, the longest that a caller has says which others he
has; of the trunks, only those that are asked for matter. So callers and trunks fall into few
classes, and all calls of a class find the same decks.
"""

from collections.abc import Sequence
from itertools import groupby

import msgspec
import polars as pl

from ocs.adapters.columns.flat import Section


class Origin(msgspec.Struct, frozen=True):
    """A class of calls: the longest beginning that a deck asks for, and the trunk if one does."""

    from_prefix: str
    trunk: str

    def counts(self, section: Section) -> bool:
        """Whether a deck counts for these calls."""
        head = section.deck.head
        return self.from_prefix.startswith(head.from_prefix) and head.trunk in ("", self.trunk)


class Origins:
    """The classes that the decks of a plan make."""

    def __init__(self, sections: Sequence[Section]) -> None:
        heads = [section.deck.head for section in sections]
        prefixes = sorted({head.from_prefix for head in heads} - {""}, key=len, reverse=True)
        self._prefixes = [(length, list(those)) for length, those in groupby(prefixes, key=len)]
        self._trunks = sorted({head.trunk for head in heads} - {""})

    def of(self, caller: pl.Expr, trunk: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
        """Return the `from_prefix` and the `trunk` of each call's class."""
        begins = [
            pl.when(caller.str.head(length).is_in(prefixes)).then(caller.str.head(length))
            for length, prefixes in self._prefixes
        ]
        asked = pl.when(trunk.is_in(self._trunks)).then(trunk) if self._trunks else pl.lit("")
        return pl.coalesce(*begins, pl.lit("")), pl.coalesce(asked, pl.lit(""))

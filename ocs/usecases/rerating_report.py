"""What is asked of a re-rating, and what it found: the words of its report."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct


class Period(Struct, frozen=True):
    """From an instant up to, and without, another one."""

    from_ms: int
    to_ms: int


class Selection(Struct, frozen=True, kw_only=True):
    """Which uses are rated again: by tenant the period in which they began; empty means any.

    `prefixes` are those of the called number, `destinations` what it was charged as.
    """

    periods: Mapping[str, Period]
    accounts: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


class By(StrEnum):
    """What a report tells differences apart by."""

    DESTINATION = "destination"
    ACCOUNT = "account"
    DAY = "day"


class Line(Struct, frozen=True):
    """The uses of one kind whose price changes. `due` is what of the difference may be applied."""

    tenant: str
    currency: str
    key: str
    uses: int
    old: int
    new: int
    difference: int
    due: int


class Biggest(Struct, frozen=True):
    """One use whose price changes by much."""

    tenant: str
    account: str
    source: str
    use_id: str
    destination: str
    units: int
    currency: str
    old: int
    new: int
    difference: int


class Compared(Struct, frozen=True, kw_only=True):
    """What rating again came to. `uses` were compared, of which the price of `changed` differs.

    `left_out` are uses that were not compared, by why; `not_applied` those that are not put right
    although their price differs or cannot be told.
    """

    uses: int
    changed: int
    left_out: Mapping[str, int]
    not_applied: Mapping[str, int]
    lines: Sequence[Line]
    biggest: Sequence[Biggest]

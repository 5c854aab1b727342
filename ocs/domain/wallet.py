"""Which buckets may pay, and in which order.

Python chooses, Lua moves: the order, the increments and the factors are decided here from the
wallet's definitions, which workers cache by version; the numbers `left` and `held` live in the
store and are moved there. So a new kind of bucket grows this file, not the Lua.

`main` is the money bucket that every wallet has. It takes what no other bucket pays, and overrun.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

MAIN: Final = "main"
FOREVER_MS: Final = 2**53 - 1
"""`valid_until_ms` of a bucket that does not expire."""


class BucketKind(StrEnum):
    """What a bucket holds: money (units of 10^-scale of the currency) or units of use."""

    MONEY = "money"
    UNITS = "units"


class Bucket(Struct, frozen=True, kw_only=True):
    """The definition of one bucket (its numbers live in the ledger).

    `usage_types` and `zones` (prefixes of the rated number) limit what it pays; empty means
    everything. A units bucket pays whole increments of `increment_units`, counted on the session's
    total, and each used unit takes `factor` units from it. Valid from inclusive, until exclusive.
    Where a `blocker` may pay, no bucket behind it does, even when it is empty: it is a limit for
    what it pays for (overrun still falls on `main`).
    """

    bucket: str
    kind: BucketKind = BucketKind.MONEY
    priority: int = 0
    valid_from_ms: int = 0
    valid_until_ms: int = FOREVER_MS
    usage_types: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    increment_units: int = 1
    factor: int = 1
    blocker: bool = False

    def pays(self, usage_type: str, rated_number: str) -> bool:
        """Tell whether this bucket may pay for such use, at any time of its validity."""
        if self.usage_types and usage_type not in self.usage_types:
            return False
        if self.kind is BucketKind.UNITS and not self.usage_types:
            return False
        return not self.zones or rated_number.startswith(self.zones)


class Payer(Struct, frozen=True, array_like=True, gc=False):
    """One entry of the ordered list that a charge carries. Money has `increment_units` 0."""

    bucket: str
    increment_units: int
    factor: int


MAIN_PAYER: Final = Payer(MAIN, 0, 1)
MAIN_ONLY: Final = (MAIN_PAYER,)
MAIN_BUCKET: Final = Bucket(bucket=MAIN)


class Wallet(Struct, frozen=True):
    """The definitions of one wallet. `version` grows with every change of them, from 1."""

    version: int
    buckets: tuple[Bucket, ...] = (MAIN_BUCKET,)

    @property
    def is_plain(self) -> bool:
        """Tell whether `main` pays everything, at any time, because there is nothing else."""
        return self.buckets == (MAIN_BUCKET,)

    def payers(self, usage_type: str, rated_number: str) -> tuple[Payer, ...]:
        """Order the buckets that may pay: higher priority, then earlier expiry, then name.

        Validity is not filtered here: the ledger checks it at the time of use.
        """
        able = sorted(
            (b for b in self.buckets if b.pays(usage_type, rated_number)),
            key=lambda b: (-b.priority, b.valid_until_ms, b.bucket),
        )
        blockers = (place for place, b in enumerate(able, 1) if b.blocker)
        return tuple(
            Payer(b.bucket, 0, 1)
            if b.kind is BucketKind.MONEY
            else Payer(b.bucket, b.increment_units, b.factor)
            for b in able[: next(blockers, None)]
        )

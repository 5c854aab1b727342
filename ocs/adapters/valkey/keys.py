"""Every key of the store is spelled here, and nowhere else.

    {p017}w:demo/acme                   a wallet
    {p017}v:demo/acme                   its definitions, for Python
    {p017}s:demo/acme/acme/call-1       a session
    {p017}d                             deadlines of open sessions (sorted set of session addresses)
    {p017}j                             the journal (stream)
    {p017}f                             the fence of its drainer (journal.py)
    {p017}unrated, …late, …emergency    parked events (streams)
    {p017}m                             settlements of parked events that are under way (hash)
    {p017}g                             the fence of who settles them (parked.py)
    {p017}c:demo/acme/acme/20412        finished CDRs of an account and day that are known (hash)
    {p017}r:demo/acme/<reference>       a credit that was carried out
    {p017}u:demo/acme                   what re-ratings moved for a wallet's uses (adjusted.lua)
    {p017}o:<stream>:<address>:<req>    an event that was parked
    n:demo/441632960001, a:demo/acme    subscribers and accounts (directory)
    ocs:partitions                      the number of partitions, fixed at the first start
    ocs:journal                         who drains the journal, where to, and how it stands
    ocs:parked                          which output parked events are settled into, and the epoch
    ocs:work:{cdr}:shares, …            pieces of CDR files that sidecars share (work_stream.py)
    ocs:reratings                       where re-ratings are written down, and which there are

A wallet's partition is crc32 of its address modulo the number of partitions. The tag in braces puts
all keys of a partition into one cluster slot, so that one call can name them all. Addresses are
spelled in `ocs.usecases.addresses`.
"""

from typing import Final
from zlib import crc32

from ocs.usecases.addresses import quoted

PARTITIONS_KEY: Final = "ocs:partitions"
"""Says with how many partitions a store was begun, and in which form its records are."""
JOURNAL_KEY: Final = "ocs:journal"
PARKED_KEY: Final = "ocs:parked"
RERATINGS_KEY: Final = "ocs:reratings"


def partition_of(address: str, partitions: int) -> int:
    """Return the partition of a wallet's address, 0 to `partitions` - 1."""
    return crc32(address.encode()) % partitions


def label(partition: int) -> str:
    """Spell a partition as transaction ids and session references begin."""
    return f"{partition:03d}"


def subscriber_key(tenant: str, identity: str) -> str:
    """Spell the key of a subscriber; with an empty identity, what a tenant's begin with."""
    return f"n:{quoted(tenant)}/{quoted(identity)}"


def account_key(tenant: str, account: str) -> str:
    """Spell the key of an account; with an empty account, what a tenant's begin with."""
    return f"a:{quoted(tenant)}/{quoted(account)}"


class Keys:
    """The keys of one partition."""

    __slots__ = (
        "deadlines",
        "fence",
        "journal",
        "label",
        "parked_fence",
        "partition",
        "reversals",
        "settlements",
        "tag",
    )

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.label = label(partition)
        self.tag = f"{{p{self.label}}}"
        self.deadlines = f"{self.tag}d"
        self.journal = f"{self.tag}j"
        self.fence = f"{self.tag}f"
        self.reversals = f"{self.tag}x"
        self.settlements = f"{self.tag}m"
        self.parked_fence = f"{self.tag}g"

    def wallet(self, address: str) -> str:
        """Spell the key of a wallet."""
        return f"{self.tag}w:{address}"

    def definitions(self, address: str) -> str:
        """Spell the key of a wallet's definitions."""
        return f"{self.tag}v:{address}"

    def session(self, address: str) -> str:
        """Spell the key of a session."""
        return f"{self.tag}s:{address}"

    def known_cdrs(self, account: str, day: int) -> str:
        """Spell the key that remembers the CDRs of a day; `account` is an address."""
        return f"{self.tag}c:{account}{day}"

    def reference(self, address: str, reference: str) -> str:
        """Spell the key that remembers a credit."""
        return f"{self.tag}r:{address}/{quoted(reference)}"

    def stream(self, name: str) -> str:
        """Spell the key of a stream of parked events: `unrated`, `late`, `emergency`."""
        return f"{self.tag}{name}"

    def adjusted(self, address: str) -> str:
        """What re-ratings have moved for uses of a wallet; `address` is the wallet's."""
        return f"{self.tag}u:{address}"

    def parked(self, stream: str, address: str, request: str) -> str:
        """Spell the key that remembers a parked event."""
        return f"{self.tag}o:{stream}:{address}:{quoted(request)}"


class WorkKeys:
    """The keys of one queue of shared work."""

    __slots__ = ("aside", "known", "output", "reasons", "shares", "way")

    def __init__(self, name: str) -> None:
        begin = f"ocs:work:{{{quoted(name)}}}:"
        self.shares = f"{begin}shares"
        self.known = f"{begin}known"
        self.aside = f"{begin}aside"
        self.reasons = f"{begin}reasons"
        self.output = f"{begin}output"
        self.way = f"{begin}way"

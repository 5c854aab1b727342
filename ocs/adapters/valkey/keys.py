"""Every key of the store is spelled here, and nowhere else.

    {p017}w:demo/acme                   a wallet
    {p017}s:demo/acme/acme/call-1       a session
    {p017}d                             deadlines of open sessions (sorted set of session addresses)
    {p017}j                             the journal (stream)
    {p017}unrated, {p017}late           parked events (streams)
    {p017}r:demo/acme/<reference>       a credit that was carried out
    {p017}o:<stream>:<address>:<req>    an event that was parked
    n:demo/441632960001, a:demo/acme    subscribers and accounts (directory)
    ocs:partitions                      the number of partitions, fixed at the first start

A wallet's partition is crc32 of its address modulo the number of partitions. The tag in braces puts
all keys of a partition into one cluster slot, so that one call can name them all. Parts of an
address are percent-encoded, so that `/` always divides.
"""

from typing import Final
from urllib.parse import quote, unquote
from zlib import crc32

from ocs.usecases.ports import SessionKey, WalletKey

PARTITIONS_KEY: Final = "ocs:partitions"
_PLAIN: Final = "-._~:@+"


def _quoted(part: str) -> str:
    # Most parts are plain; isalnum is far cheaper than quote.
    return part if part.isascii() and part.isalnum() else quote(part, safe=_PLAIN)


def wallet_address(key: WalletKey | SessionKey) -> str:
    """Spell tenant and wallet group."""
    return f"{_quoted(key.tenant)}/{_quoted(key.wallet_group)}"


def session_address(key: SessionKey) -> str:
    """Spell a session; also the member of the deadlines and the journal's subject."""
    return f"{wallet_address(key)}/{_quoted(key.account)}/{_quoted(key.session_id)}"


def parse_wallet_address(text: str) -> WalletKey:
    """Read what `wallet_address` wrote; ValueError when it is not one."""
    tenant, wallet_group = (unquote(part) for part in text.split("/"))
    return WalletKey(tenant, wallet_group)


def parse_session_address(text: str) -> SessionKey:
    """Read what `session_address` wrote; ValueError when it is not one."""
    tenant, wallet_group, account, session_id = (unquote(part) for part in text.split("/"))
    return SessionKey(tenant, wallet_group, account, session_id)


def subscriber_key(tenant: str, identity: str) -> str:
    """Spell the key of an identity; with an empty one, what all keys of a tenant begin with."""
    return f"n:{_quoted(tenant)}/{_quoted(identity)}"


def account_key(tenant: str, account: str) -> str:
    """Spell the key of an account; with an empty one, what all keys of a tenant begin with."""
    return f"a:{_quoted(tenant)}/{_quoted(account)}"


def partition_of(address: str, partitions: int) -> int:
    """Return the partition of a wallet's address, 0 to `partitions` - 1."""
    return crc32(address.encode()) % partitions


def label(partition: int) -> str:
    """Spell a partition as transaction ids and session references begin."""
    return f"{partition:03d}"


class Keys:
    """The keys of one partition."""

    __slots__ = ("deadlines", "journal", "label", "late", "tag", "unrated")

    def __init__(self, partition: int) -> None:
        self.label = label(partition)
        self.tag = f"{{p{self.label}}}"
        self.deadlines = f"{self.tag}d"
        self.journal = f"{self.tag}j"
        self.unrated = f"{self.tag}unrated"
        self.late = f"{self.tag}late"

    def wallet(self, address: str) -> str:
        """Spell the key of a wallet."""
        return f"{self.tag}w:{address}"

    def session(self, address: str) -> str:
        """Spell the key of a session."""
        return f"{self.tag}s:{address}"

    def reference(self, address: str, reference: str) -> str:
        """Spell the key that remembers a credit."""
        return f"{self.tag}r:{address}/{_quoted(reference)}"

    def parked(self, stream: str, address: str, request: str) -> str:
        """Spell the key that remembers a parked event."""
        return f"{self.tag}o:{stream}:{address}:{_quoted(request)}"

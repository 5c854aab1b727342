"""Where a store is: the URL forms that `store.url` may take.

    unix:///run/ocs/store.sock        unix://user:password@/run/ocs/store.sock?db=1
    redis://user:password@host:6379/0 (valkey:// means the same; rediss:// and valkeys:// with TLS)

A password is never part of a message or a repr: errors name the store by `str(address)`.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

DEFAULT_PORT = 6379
_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class AddressError(ValueError):
    """The URL names no store; the message says why, without the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAddress:
    unix_path: str = ""
    host: str = ""
    port: int = DEFAULT_PORT
    tls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    def __str__(self) -> str:
        if self.unix_path:
            return f"unix://{self.unix_path}"
        return f"{'rediss' if self.tls else 'redis'}://{self.host}:{self.port}/{self.database}"


def parse_address(url: str) -> StoreAddress:
    """Raises `AddressError`."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
    except ValueError as error:
        raise AddressError(f"store.url: {error}") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.startswith("/"):
            raise AddressError("store.url: a unix socket is written unix:///absolute/path")
        path = unquote(parts.path)
        return StoreAddress(
            unix_path=path, user=user, password=password, database=_database(parts, "")
        )
    if parts.scheme not in _SCHEMES:
        known = ", ".join(["unix", *_SCHEMES])
        raise AddressError(f"store.url: unknown scheme {parts.scheme!r}, known are {known}")
    if not parts.hostname:
        raise AddressError("store.url: the host is missing")
    return StoreAddress(
        host=parts.hostname,
        port=port,
        tls=_SCHEMES[parts.scheme],
        user=user,
        password=password,
        database=_database(parts, parts.path.strip("/")),
    )


def _database(parts: SplitResult, in_path: str) -> int:
    options = parse_qs(parts.query, keep_blank_values=True)
    named = options.pop("db", [in_path or "0"])[-1]
    if options:
        raise AddressError(f"store.url: unknown option {min(options)!r}, known is db")
    if not (named.isascii() and named.isdigit()):
        raise AddressError(f"store.url: the database must be a number, not {named!r}")
    return int(named)


async def dial(address: StoreAddress, protocol: ProtocolT) -> ProtocolT:
    """Connects `protocol` to the store. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    if address.unix_path:
        await loop.create_unix_connection(lambda: protocol, address.unix_path)
        return protocol
    # The system's authorities take 20 ms to read, in which a worker can answer many.
    context = await asyncio.to_thread(ssl.create_default_context) if address.tls else None
    await loop.create_connection(lambda: protocol, address.host, address.port, ssl=context)
    return protocol

"""Who may ask: bearer tokens with roles, tenants and networks.

Tokens are long and random, so their SHA-256 is enough: the configuration holds no secret, and a
look-up by digest takes the same time whatever is presented (a slow password hash would cost 100 ms
of every event). Without any credential everybody may do everything, on the loopback only: a laptop
and a test bench need no ceremony, and nobody else can reach them.

The tenant comes from the credential. One that serves several says which with the header
`X-OCS-Tenant` or the field `tenant`, within its list.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from msgspec import Struct

from ocs.domain.results import ResultCode

TENANT_HEADER: Final = "X-OCS-Tenant"
_SCHEME: Final = "bearer "


class Role(StrEnum):
    """What a credential is for."""

    CHARGE = "charge"
    OPERATE = "operate"


class Credential(Struct, frozen=True, kw_only=True):
    """A client, as the configuration names it. `networks` (CIDR) is empty for any address."""

    name: str
    token_sha256: str
    roles: frozenset[Role] = frozenset({Role.CHARGE})
    tenants: tuple[str, ...]
    networks: tuple[str, ...] = ()


class Caller(Struct, frozen=True):
    """Whom a request may act for. `tenant` is empty while it has to choose one of several."""

    tenant: str
    tenants: frozenset[str]


class Refused(Exception):
    """The request may not be answered; `code` is UNAUTHORIZED or FORBIDDEN."""

    def __init__(self, code: ResultCode, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Known(Struct, frozen=True):
    caller: Caller
    roles: frozenset[Role]
    networks: tuple[IPv4Network | IPv6Network, ...]


class Authenticator:
    """Knows the credentials of one configuration."""

    def __init__(
        self, credentials: Iterable[Credential], *, tenants: Iterable[str], default_tenant: str
    ) -> None:
        """Raises ValueError, naming the credential, for one that can never match."""
        self._known = {c.token_sha256.lower(): _known(c) for c in credentials}
        self._anybody = Caller(default_tenant, frozenset(tenants) | {default_tenant})

    @property
    def looks_at_peer(self) -> bool:
        """Whether who may ask depends on where it is asked from."""
        return any(known.networks for known in self._known.values())

    def caller(self, headers: Mapping[str, str], peer: str | None, role: Role) -> Caller:
        """Return whom this request may act for; raises Refused."""
        caller = self._identify(headers, peer, role) if self._known else self._anybody
        chosen = headers.get(TENANT_HEADER)
        if chosen is None:
            return caller
        if chosen not in caller.tenants:
            raise Refused(ResultCode.FORBIDDEN, "the credential is not for this tenant")
        return Caller(chosen, frozenset({chosen}))

    def _identify(self, headers: Mapping[str, str], peer: str | None, role: Role) -> Caller:
        presented = headers.get("Authorization", "")
        if presented[: len(_SCHEME)].lower() != _SCHEME:
            raise Refused(ResultCode.UNAUTHORIZED)
        token = presented[len(_SCHEME) :].strip()
        known = self._known.get(sha256(token.encode("utf-8", "surrogateescape")).hexdigest())
        if known is None:
            raise Refused(ResultCode.UNAUTHORIZED)
        if role not in known.roles:
            raise Refused(ResultCode.FORBIDDEN, f"the credential lacks the role {role}")
        if known.networks and not _is_within(peer, known.networks):
            raise Refused(ResultCode.FORBIDDEN, "the credential is not for this address")
        return known.caller


def _known(credential: Credential) -> _Known:
    digest = credential.token_sha256
    if len(digest) != sha256().digest_size * 2 or not set(digest.lower()) <= set(
        "0123456789abcdef"
    ):
        raise ValueError(f"credential {credential.name}: token_sha256 is not a SHA-256 in hex")
    if not credential.tenants:
        raise ValueError(f"credential {credential.name}: names no tenant")
    try:
        networks = tuple(ip_network(network) for network in credential.networks)
    except ValueError as error:
        raise ValueError(f"credential {credential.name}: networks: {error}") from None
    tenant = credential.tenants[0] if len(credential.tenants) == 1 else ""
    return _Known(Caller(tenant, frozenset(credential.tenants)), credential.roles, networks)


def _is_within(peer: str | None, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Tell whether an address is in one of the networks; a unix socket has none and is in none."""
    if not peer:
        return False
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)

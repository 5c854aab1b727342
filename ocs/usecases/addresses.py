"""How a wallet and a session are spelled: in keys, in the journal, and to the client.

    demo/acme                    a wallet: tenant, wallet group
    demo/acme/acme/call-1        a session: … account, session id

The parts are percent-encoded, so that `/` always divides. A session's address is also its
`session_ref`: an event that carries it back needs no look-up to find the payer. It names the
partition too, which follows from the wallet's part.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from ocs.usecases.ports import SessionKey, WalletKey

_PLAIN: Final = "-._~:@+"
_is_plain: Final = re.compile(r"[A-Za-z0-9\-._~:@+]*").fullmatch
_MOST_KEPT: Final = 100_000
"""Accounts whose spelling is remembered, about 30 MB at the most."""
_SESSION_PARTS: Final = 4


def quoted(part: str) -> str:
    """Encode one part of an address."""
    # Most parts are plain, and to see that is far cheaper than to quote.
    return part if _is_plain(part) else quote(part, safe=_PLAIN)


def wallet_address(key: WalletKey | SessionKey) -> str:
    """Spell tenant and wallet group."""
    return _spell_wallet(key.tenant, key.wallet_group)


@lru_cache(maxsize=_MOST_KEPT)
def _spell_wallet(tenant: str, wallet_group: str) -> str:
    return f"{quoted(tenant)}/{quoted(wallet_group)}"


def session_address(key: SessionKey) -> str:
    """Spell a session."""
    part = key.session_id
    if not _is_plain(part):
        part = quoted(part)
    return sessions_of(key.tenant, key.wallet_group, key.account) + part


@lru_cache(maxsize=_MOST_KEPT)
def sessions_of(tenant: str, wallet_group: str, account: str) -> str:
    """Spell what the addresses of an account's sessions begin with; the quoted id follows."""
    return f"{_spell_wallet(tenant, wallet_group)}/{quoted(account)}/"


def parse_wallet_address(text: str) -> WalletKey:
    """Read what `wallet_address` wrote; ValueError when it is not one."""
    tenant, wallet_group = (unquote(part) for part in text.split("/"))
    return WalletKey(tenant, wallet_group)


def parse_session_address(text: str) -> SessionKey:
    """Read what `session_address` wrote; ValueError when it is not one."""
    parts = [unquote(part) for part in text.split("/")]
    if len(parts) != _SESSION_PARTS or not all(parts):
        raise ValueError(f"{text!r} is not the address of a session")
    return SessionKey(*parts)

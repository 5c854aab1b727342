"""How a wallet and a session are spelled: in keys, in the journal, and to the client.

    demo/acme                    a wallet: tenant, wallet group
    demo/acme/acme/call-1        a session: … account, session id

The parts are percent-encoded, so that `/` always divides. A session's address is also its
`session_ref`: an event that carries it back needs no look-up to find the payer. It names the
partition too, which follows from the wallet's part.
"""

from typing import Final
from urllib.parse import quote, unquote

from ocs.usecases.ports import SessionKey, WalletKey

_PLAIN: Final = "-._~:@+"
_SESSION_PARTS: Final = 4


def quoted(part: str) -> str:
    """Encode one part of an address."""
    # Most parts are plain, and isalnum is far cheaper than quote.
    return part if part.isascii() and part.isalnum() else quote(part, safe=_PLAIN)


def wallet_address(key: WalletKey | SessionKey) -> str:
    """Spell tenant and wallet group."""
    return f"{quoted(key.tenant)}/{quoted(key.wallet_group)}"


def session_address(key: SessionKey) -> str:
    """Spell a session."""
    return f"{wallet_address(key)}/{quoted(key.account)}/{quoted(key.session_id)}"


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

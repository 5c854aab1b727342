"""How wallets and sessions are spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.usecases.addresses import (
    parse_session_address,
    parse_wallet_address,
    session_address,
    wallet_address,
)
from ocs.usecases.ports import SessionKey, WalletKey

PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
PARTS = st.text(PRINTABLE, min_size=1, max_size=20)


@given(PARTS, PARTS, PARTS, PARTS)
def test_what_is_spelled_can_be_read(tenant: str, group: str, account: str, session: str) -> None:
    key = SessionKey(tenant, group, account, session)
    assert parse_session_address(session_address(key)) == key
    wallet = WalletKey(tenant, group)
    assert parse_wallet_address(wallet_address(wallet)) == wallet


def test_plain_parts_are_legible() -> None:
    key = SessionKey("demo", "acme", "441632960001", "1-9354@127.0.0.1")
    assert session_address(key) == "demo/acme/441632960001/1-9354@127.0.0.1"


@pytest.mark.parametrize("text", ["", "a/b/c", "a/b/c/d/e", "a//c/d"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        parse_session_address(text)

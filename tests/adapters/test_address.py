"""What `store.url` may say."""

import pytest

from ocs.adapters.valkey.address import AddressError, StoreAddress, parse_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("unix:///run/ocs/a.sock", StoreAddress(unix_path="/run/ocs/a.sock")),
        (
            "unix://bob:p%40ss@/run/a%20b.sock?db=2",
            StoreAddress(unix_path="/run/a b.sock", user="bob", password="p@ss", database=2),
        ),
        ("redis://host", StoreAddress(host="host")),
        ("redis://:secret@host/", StoreAddress(host="host", password="secret")),
        (
            "valkey://bob:secret@[::1]:7000/3",
            StoreAddress(host="::1", port=7000, user="bob", password="secret", database=3),
        ),
        ("rediss://host", StoreAddress(host="host", tls=True)),
        ("valkeys://host?db=4", StoreAddress(host="host", tls=True, database=4)),
    ],
)
def test_a_url_names_a_store(url: str, address: StoreAddress) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://host", "unknown scheme 'http'"),
        ("redis://", "the host is missing"),
        ("redis://host:port", "Port could not be cast"),
        ("redis://host/main", "the database must be a number, not 'main'"),
        ("redis://host?database=1", "unknown option 'database'"),
        ("unix://relative.sock", "unix:///absolute/path"),
    ],
)
def test_a_wrong_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse_address(url)


def test_a_password_is_never_shown() -> None:
    for url in ("redis://bob:hush@host:1/2", "unix://bob:hush@/a.sock"):
        address = parse_address(url)
        assert "hush" not in f"{address} {address!r}"

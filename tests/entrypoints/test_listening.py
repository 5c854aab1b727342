"""Who may have a port: one `ocs`, whatever else is running."""

import socket
from collections.abc import Iterator

import pytest

from ocs.entrypoints.listening import (
    CannotListen,
    Sockets,
    is_loopback,
    open_sockets,
    port_of,
    url_of,
)

HOST = "127.0.0.1"


def opened(port: int = 0, operations_port: int = 0, *, count: int = 1) -> Sockets:
    return open_sockets(
        (HOST, port), (HOST, operations_port), count, patience_s=0, sleep=lambda _: None
    )


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((HOST, 0))
        other.listen()
        yield other


def test_all_slots_share_the_port_and_none_the_operations_port() -> None:
    sockets = opened(count=3)
    assert len({port_of(slot.service) for slot in sockets.slots}) == 1
    assert len({port_of(slot.operations) for slot in sockets.slots}) == 3
    assert [slot.number for slot in sockets.slots] == [0, 1, 2]
    sockets.close()
    assert all(slot.service.fileno() == -1 for slot in sockets.slots)


def test_the_operations_port_is_a_thousand_above_unless_that_is_taken() -> None:
    sockets = opened()
    port = port_of(sockets.slots[0].service)
    assert port_of(sockets.slots[0].operations) == port + 1000
    with socket.socket() as other:
        sockets.close()
        other.bind((HOST, port + 1000))
        sockets = opened(port)
    assert port_of(sockets.slots[0].operations) not in {port, port + 1000}
    sockets.close()


def opened_at_a_named_operations_port() -> tuple[int, Sockets]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = port_of(probe)
    try:
        return port, opened(0, port, count=2)
    except CannotListen:
        # Somebody else has one of the two by now.
        return opened_at_a_named_operations_port()


def test_a_named_operations_port_is_counted_up() -> None:
    port, sockets = opened_at_a_named_operations_port()
    assert [port_of(slot.operations) for slot in sockets.slots] == [port, port + 1]
    sockets.close()


def test_a_port_in_use_is_refused_by_name_even_if_its_owner_would_share(
    taken: socket.socket,
) -> None:
    port = port_of(taken)
    with pytest.raises(CannotListen, match=f"port {port} on {HOST} is in use by another program"):
        opened(port)
    with pytest.raises(CannotListen, match=f"port {port}"):
        opened(0, port)


def test_a_second_ocs_is_told_so_before_the_first_one_listens() -> None:
    first = opened()
    port = port_of(first.slots[0].service)
    with pytest.raises(CannotListen, match=f"port {port}: another `ocs serve` is using it"):
        opened(port)
    first.close()
    opened(port).close()


def test_a_port_that_is_left_in_time_is_taken(taken: socket.socket) -> None:
    port = port_of(taken)
    asked = 0

    def sleep(_: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            taken.close()

    sockets = open_sockets((HOST, port), (HOST, 0), 1, patience_s=5, sleep=sleep)
    assert asked == 3
    sockets.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_an_address_that_is_not_ours_is_refused_by_name(host: str) -> None:
    with pytest.raises(CannotListen, match=host):
        open_sockets((host, 0), (HOST, 0), 1, patience_s=0, sleep=lambda _: None)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("192.0.2.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")],  # noqa: S104
)
def test_the_url_that_is_shown_can_be_used(host: str, shown: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.bind((host, 0))
        assert url_of(bound) == f"http://{shown}:{port_of(bound)}"

"""The sockets of a service: one a worker, all on one port, and nobody else's.

    port 8080 ── kernel ──┬── socket of slot 0 ── worker 0
                          └── socket of slot 1 ── worker 1

SO_REUSEPORT gives every worker a queue of its own. It also lets any process of the same user join
the port without a word: a second `ocs serve` would take every other connection and answer it from
another store. So the port is first proved free by a plain bind, and claimed by name, which closes
the gap between two starts at the same moment.

The parent binds and keeps the sockets; workers inherit them and listen. A worker that dies leaves
its queue to its successor.
"""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

_MORE_THAN_PORT = 1_000
"""Where the operations port is looked for, seen from the service's."""
_LOOK_INTERVAL_S = 0.1


class CannotListen(Exception):
    """A port or an address is not to be had; the message says which and why."""


class Slot(Struct, frozen=True):
    """What one worker listens on; the sockets outlive the worker."""

    number: int
    service: socket.socket
    operations: socket.socket

    def close(self) -> None:
        self.service.close()
        self.operations.close()


class Sockets(Struct, frozen=True):
    """All slots, and the name that keeps a second `ocs` off the port."""

    slots: tuple[Slot, ...]
    claim: socket.socket

    def close(self) -> None:
        for slot in self.slots:
            slot.close()
        self.claim.close()


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_bind(host: str, credentials: Sequence[object]) -> bool:
    """Tell whether a server may listen on `host`: off the loopback only with credentials."""
    return is_loopback(host) or bool(credentials)


def open_sockets(
    service: tuple[str, int],
    operations: tuple[str, int],
    count: int,
    *,
    patience_s: float,
    sleep: Callable[[float], None],
) -> Sockets:
    """Bind a socket of each kind for `count` slots; port 0 is any free one.

    A port that is taken although no `ocs` claims it is asked for again for `patience_s`: workers
    whose parent was killed still finish what they have in hand. Raises `CannotListen`.
    """
    host, port = service
    with contextlib.ExitStack() as undo:
        claims = [undo.enter_context(_claim(port))] if port else []
        _prove_free(host, port, patience_s, sleep)
        opened: list[Slot] = []
        for number in range(count):
            main = undo.enter_context(_bind(host, port, shared=True))
            port = port_of(main)
            watched = undo.enter_context(_bind_operations(operations, port, number))
            opened.append(Slot(number, main, watched))
        (claim,) = claims or [undo.enter_context(_claim(port))]
        undo.pop_all()
    return Sockets(tuple(opened), claim)


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


def url_of(bound: socket.socket) -> str:
    """Write the address for people; an unspecified one as the loopback, where it answers too."""
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 -- read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _claim(port: int) -> socket.socket:
    # A name in the kernel, not a file: it is gone with its process, whatever ends it.
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0ocs-port-{port}")
    except OSError:
        claim.close()
        raise CannotListen(
            f"port {port}: another `ocs serve` is using it; stop it, or name another with --port"
        ) from None
    return claim


def _prove_free(host: str, port: int, patience_s: float, sleep: Callable[[float], None]) -> None:
    attempts = int(patience_s / _LOOK_INTERVAL_S)
    for attempt in range(attempts + 1):
        try:
            _bind(host, port, shared=False).close()
        except _Taken:
            if attempt == attempts:
                raise
            sleep(_LOOK_INTERVAL_S)
        else:
            return


class _Taken(CannotListen):
    """Somebody has the port."""


def _bind_operations(wanted: tuple[str, int], service_port: int, number: int) -> socket.socket:
    host, port = wanted
    if port:
        return _bind(host, port + number, shared=False)
    near = service_port + _MORE_THAN_PORT + number
    with contextlib.suppress(CannotListen):
        return _bind(host, near, shared=False)
    return _bind(host, 0, shared=False)


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    failed = f"nothing is known of host {host!r}"
    for family, address in _addresses(host, port):
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Connections of a former server that are still closing do not count as a server.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except (OSError, OverflowError) as error:
            bound.close()
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise _Taken(f"port {port} on {host} is in use by another program") from None
            failed = str(error)
        else:
            return bound
    raise CannotListen(f"port {port} on {host} cannot be used: {failed}")


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[str, int]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, OverflowError) as error:
        raise CannotListen(f"host {host!r} cannot be used: {error}") from None
    for family, _, _, _, address in found:
        yield family, (str(address[0]), int(address[1]))

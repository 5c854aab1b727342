"""What a request's head says, understood once and then remembered.

Heads of one client repeat byte for byte, but for the length of the body: understanding the same
150 bytes again for every event would be a tenth of its cost. So a bounded memory leads from the
exact bytes of a head, the blank line included, to what was understood of it.

*One grammar.* Two parsers that disagree about where a request ends are what request smuggling is
made of. A head that is not remembered is therefore read by aiohttp's own parser, the same that the
connection would be handed to, and counts as plain only if nothing in it but `Content-Length` could
say how long the body is, and nothing in its address but the name of an event source could say what
the event is. All else is handed over (see `front`), bytes untouched.

*One sender.* What is remembered depends on nothing but the head and, where a credential is bound to
networks, on the peer's address, which is then part of what is looked up. A head that is refused is
not remembered: whoever knows no credential cannot drive out what others left there.

Rejected: cutting the length out of the head before the look-up, which would need a second idea of
what a header line is; a memory for each connection, which short connections would never fill.
"""

import asyncio
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from msgspec import Struct

from ocs.entrypoints.http.auth import Authenticator, Caller, Refused, Role
from ocs.entrypoints.http.named import only_names_source, source_named

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
REALTIME_PATH: Final = "/realtime"
BLANK_LINE: Final = b"\r\n\r\n"

LONGEST_HEAD: Final = 2_048
"""In bytes. Longer ones (cookies, traces) are handed over; it bounds the memory to some 10 MB."""
MOST_KEPT: Final = 4_096
"""Heads kept: bodies of one client have some hundred lengths. All are dropped when it is full."""

_BEGINNING: Final = f"POST {REALTIME_PATH}".encode()
# Each changes what the body is, where it ends or what is expected before it.
_UNUSUAL: Final = ("Transfer-Encoding", "Content-Encoding", "Expect", "Upgrade", "Trailer")
_PARSER_BUFFER: Final = 65_536


class PlainHead(Struct, frozen=True, gc=False):
    """A request for `/realtime` on a connection that stays, with a body of a known length.

    `source` is the event source that it names, if it does.
    """

    body_bytes: int
    caller: Caller
    idempotency_key: str = ""
    source: str = ""


class Heads:
    """The heads that one server has understood. Made inside its event loop."""

    def __init__(self, authenticator: Authenticator, most_body_bytes: int) -> None:
        """`most_body_bytes`: a head that announces more is not plain."""
        self._authenticator = authenticator
        self._most_body_bytes = most_body_bytes
        self._known: dict[bytes, PlainHead] = {}
        self._with_peer = authenticator.looks_at_peer
        self._loop = asyncio.get_running_loop()
        self._protocol = BaseProtocol(self._loop)  # for the parser; no body is ever fed

    def plain(self, head: bytes, peer: str | None) -> PlainHead | None:
        """Say what a head means that ends with its blank line; None: it is to be handed over."""
        key = b"%b\n%b" % ((peer or "").encode(), head) if self._with_peer else head
        known = self._known.get(key)
        if known is not None:
            return known
        understood = self._understand(head, peer)
        # A key is another for each request.
        if understood is not None and not understood.idempotency_key:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = understood
        return understood

    def may_become_plain(self, part: bytes) -> bool:
        """Tell whether it is worth waiting for the rest of a head."""
        if len(part) > LONGEST_HEAD or not _BEGINNING.startswith(part[: len(_BEGINNING)]):
            return False
        try:
            self._parser().feed_data(part)
        except HttpProcessingError:
            return False
        return True

    def _understand(self, head: bytes, peer: str | None) -> PlainHead | None:
        message = self._parse(head)
        if message is None or not _is_plain(message):
            return None
        headers = message.headers
        body_bytes = int(headers["Content-Length"])
        if body_bytes > self._most_body_bytes:
            return None
        try:
            caller = self._authenticator.caller(headers, peer, Role.CHARGE)
        except Refused:
            return None
        source = source_named(message.path, headers)
        return PlainHead(body_bytes, caller, headers.get(IDEMPOTENCY_HEADER, ""), source)

    def _parse(self, head: bytes) -> RawRequestMessage | None:
        if len(head) > LONGEST_HEAD or not head.startswith(_BEGINNING):
            return None
        try:
            messages, _, _ = self._parser().feed_data(head)
        except HttpProcessingError:
            return None
        assert len(messages) == 1, "one blank line ends one head"
        return messages[0][0]

    def _parser(self) -> HttpRequestParser:
        return HttpRequestParser(self._protocol, self._loop, _PARSER_BUFFER)


def _is_plain(message: RawRequestMessage) -> bool:
    """Tell whether a POST is one that the front serves."""
    headers = message.headers
    return (
        message.path.partition("?")[0] == REALTIME_PATH
        and only_names_source(message.path)
        and message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.chunked)
        and not any(name in headers for name in _UNUSUAL)
        and len(headers.getall("Content-Length", ())) == 1
    )

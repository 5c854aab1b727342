"""What the store knows of re-ratings: in which book they are written, and which pages it has.

    ocs:reratings    book -> its id     page:<number> -> its name

The book is a folder, and folders are copied, lost and brought back from last week. What was moved
is in the store; so the store says which folder has to know of it. A number has one page: of two
copies of a folder that go on at once, one comes first.
"""

from collections.abc import Awaitable
from typing import Final, Protocol, TypeVar

import msgspec

from ocs.adapters.valkey.faults import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.faults import ReplyError, StoreUnavailable
from ocs.adapters.valkey.keys import RERATINGS_KEY
from ocs.usecases.ports import LedgerUnavailable

_BOOK: Final = "book"
_PAGE: Final = "page:"
_Reply = TypeVar("_Reply")


class Store(Protocol):
    """What is needed of a connection."""

    def execute(self, *arguments: str | bytes | int) -> Awaitable[object]:
        """Send one command; the reply comes with the future."""
        ...


class ValkeyBookmark:
    """Implements the port `Bookmark`. All of it may be done again, so no fault is left unknown."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def book(self) -> str:
        return await self._field(_BOOK)

    async def begin(self, mine: str) -> str:
        return await self._first(_BOOK, mine)

    async def pages(self) -> frozenset[str]:
        found = await _answered(self._store.execute("HGETALL", RERATINGS_KEY))
        flat = [part.decode() for part in msgspec.convert(found, list[bytes])]
        named = zip(flat[::2], flat[1::2], strict=True)
        return frozenset(name for field, name in named if field.startswith(_PAGE))

    async def add(self, page: str) -> str:
        return await self._first(_PAGE + page.partition("-")[0], page)

    async def _first(self, field: str, value: str) -> str:
        """Set a field if there is none, and return what there is."""
        await _answered(self._store.execute("HSETNX", RERATINGS_KEY, field, value))
        return await self._field(field)

    async def _field(self, field: str) -> str:
        found = await _answered(self._store.execute("HGET", RERATINGS_KEY, field))
        return (msgspec.convert(found, bytes | None) or b"").decode()


async def _answered(reply: Awaitable[_Reply]) -> _Reply:
    try:
        return await reply
    except (StoreUnavailable, StoreOutcomeUnknown, ReplyError) as fault:
        raise LedgerUnavailable(str(fault)) from fault

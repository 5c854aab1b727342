"""The store knows in which book its re-ratings are written."""

import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.rerating import ValkeyBookmark
from ocs.usecases.ports import LedgerUnavailable


async def test_the_first_book_stays(store: Connection) -> None:
    bookmark = ValkeyBookmark(store)
    assert await bookmark.pages() == frozenset()
    assert await bookmark.book() == ""
    assert [await bookmark.begin(name) for name in ("mine", "other")] == ["mine", "mine"]
    assert await bookmark.book() == "mine"
    added = [await bookmark.add(name) for name in ("0001-a", "0002-b", "0001-a", "0002-c")]
    assert added == ["0001-a", "0002-b", "0001-a", "0002-b"], "one page of each number"
    assert await bookmark.pages() == {"0001-a", "0002-b"}


async def test_a_store_that_is_away(store: Connection) -> None:
    bookmark = ValkeyBookmark(store)
    await store.close()
    with pytest.raises(LedgerUnavailable):
        await bookmark.pages()

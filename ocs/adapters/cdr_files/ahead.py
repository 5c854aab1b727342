"""One item ahead: the next chunk is read while this one is rated and written.

Reading is a third of the work, and most of it is done by libraries that let other threads run
meanwhile. One ahead and not more, since a chunk is some 100 MB.
"""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")


def one_ahead(items: Generator[_T, None, None]) -> Iterator[_T]:
    """Yield the same items and raise the same errors; they are made in a thread."""
    with ThreadPoolExecutor(1, "ocs-reader") as pool:
        try:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item
        finally:
            pool.shutdown()
            items.close()

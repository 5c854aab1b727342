"""Debiting the CDRs of an offline run: the store's ledger, for who has no loop of his own."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager

from ocs.bootstrap.stores import open_stores
from ocs.config.settings import Settings
from ocs.usecases.settling_cdrs import Bill, Settle, Settlements, SettlingCdrs


@contextmanager
def opened_settling(settings: Settings) -> Iterator[Settle]:
    """Give what debits; the loop runs only meanwhile. Raises `CannotStart`."""
    with asyncio.Runner() as runner:
        kept_open = AsyncExitStack()
        stores = runner.run(kept_open.enter_async_context(open_stores(settings)))
        settling = SettlingCdrs(stores.ledger)

        def settle(chunk: str, bills: Iterable[Bill]) -> Settlements:
            return runner.run(settling.settle(chunk, bills))

        try:
            yield settle
        finally:
            runner.run(kept_open.aclose())

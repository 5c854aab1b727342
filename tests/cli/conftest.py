import asyncio
from collections.abc import Callable

import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.keys import PARTITIONS_KEY
from ocs.bootstrap.stores import begun_with
from ocs.config.settings import Ledger
from tests.cli.terminal import Terminal

Execute = Callable[..., object]


@pytest.fixture
def execute(store_server: EmbeddedStore) -> Execute:
    """Ask the store something, behind the back of the commands."""

    async def ask(arguments: tuple[str | bytes | int, ...]) -> object:
        async with Connection(store_server.url) as connection:
            return await connection.execute(*arguments)

    return lambda *arguments: asyncio.run(ask(arguments))


@pytest.fixture
def terminal(store_server: EmbeddedStore, execute: Execute) -> Terminal:
    """A terminal beside a store that a service has begun and left empty."""
    execute("FLUSHALL")
    execute("SET", PARTITIONS_KEY, begun_with(Ledger().partitions))
    return Terminal({"OCS_STORE_URL": store_server.url})

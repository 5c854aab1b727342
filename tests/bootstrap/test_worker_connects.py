"""A worker that starts without a store: it goes on where that may come, for emergency calls."""

import logging
from typing import cast

import pytest

from ocs.adapters.valkey.connection import (
    Connection,
    StoreUnavailable,
    StoreUntrusted,
    StoreUnusable,
)
from ocs.bootstrap import worker


class Faulty:
    """A connection that meets a fault."""

    def __init__(self, fault: StoreUnavailable) -> None:
        self._fault = fault

    def start(self) -> None:
        """Nothing comes of it."""

    async def wait_connected(self, _timeout_s: float) -> None:
        raise self._fault


@pytest.mark.parametrize("fault", [StoreUnavailable("is away"), StoreUntrusted("has expired")])
async def test_it_goes_on(fault: StoreUnavailable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await worker._connect(cast("Connection", Faulty(fault)))
    assert f"nothing but emergency calls is granted: {fault}" in caplog.text


async def test_it_ends_where_waiting_cannot_help() -> None:
    with pytest.raises(StoreUnusable, match="version 6"):
        await worker._connect(cast("Connection", Faulty(StoreUnusable("version 6"))))

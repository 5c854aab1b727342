"""SIGTERM in the moments of the start in which nobody seems to listen ends the service all the same."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ocs.bootstrap import serve
from ocs.config.settings import Settings
from ocs.entrypoints import supervisor

SETTINGS = Settings(tenants=(), plans=())


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    former = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@asynccontextmanager
async def no_stores(*_: object, **__: object) -> AsyncIterator[None]:
    yield


def end_me() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("moment", ["in it", "behind it"])
def test_while_the_store_is_prepared(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    waiting: list[asyncio.Task[None]] = []

    async def last_of_all() -> None:
        """Is there still when the loop ends what is left."""
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(end_me)

    async def seed(*_: object) -> None:
        if moment == "in it":
            end_me()
        waiting.append(asyncio.create_task(last_of_all()))
        await asyncio.sleep(0)

    monkeypatch.setattr(serve, "open_stores", no_stores)
    monkeypatch.setattr(serve, "seed", seed)
    serve._let_signals_end_it()
    with pytest.raises(SystemExit) as ended:
        serve._run_prepare(SETTINGS)
    assert ended.value.code == 128 + signal.SIGTERM


def test_while_the_supervisor_begins_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before each step of that: either the former handler hears it, or the supervisor does."""
    heard: list[int] = []
    sent = 0

    def with_a_signal(step: Any) -> Any:
        def stepping(*given: Any, **named: Any) -> Any:
            nonlocal sent
            sent += 1
            end_me()
            return step(*given, **named)

        return stepping

    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    monkeypatch.setattr(signal, "signal", with_a_signal(signal.signal))
    monkeypatch.setattr(signal, "set_wakeup_fd", with_a_signal(signal.set_wakeup_fd))
    with supervisor._signals() as wake:
        told = supervisor._received(wake)
    monkeypatch.undo()
    # Each was heard by one of both or, while the steps were taken, by both.
    begun = 1 + len(supervisor._SIGNALS)
    assert sent == 2 * begun
    assert len(heard) + told.count(signal.SIGTERM) >= begun
    assert told.count(signal.SIGTERM) >= 1

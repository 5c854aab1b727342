"""The life of a worker, step by step, with parts that only note what is done to them."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from ocs.entrypoints.worker import WorkerParts, receive_specification, work


class Parts:
    """Notes, in order, what becomes of the parts."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.noted = asyncio.Event()
        self.store_is_there = asyncio.Event()
        self.store_is_there.set()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()

    async def wait_for(self, text: str) -> None:
        while text not in self.notes:
            self.noted.clear()
            await self.noted.wait()

    def served(self, name: str) -> "FakeServer":
        return FakeServer(name, self)

    async def connect(self) -> None:
        await self.store_is_there.wait()
        self.note("connected")

    async def disconnect(self) -> None:
        self.note("disconnected")

    def use_tariffs(self, path: str) -> str:
        if path.startswith("bad"):
            raise ValueError(path)
        self.note(f"uses {path}")
        return f"id of {path}"


class FakeServer:
    def __init__(self, name: str, parts: Parts) -> None:
        self._name = name
        self._parts = parts

    async def start(self) -> None:
        self._parts.note(f"{self._name} up")

    async def stop(self, within_s: float) -> None:
        self._parts.note(f"{self._name} down within {within_s:g}")


class Life:
    """A worker that lives in this process, and the parent's end of its socket."""

    def __init__(self, parts: Parts, made: WorkerParts, parent: socket.socket) -> None:
        self.parts = parts
        self.made = made
        self.parent = parent
        self.task: asyncio.Task[None] | None = None

    def begin(self, **changes: object) -> None:
        made = replace(self.made, **changes)
        self.task = asyncio.get_running_loop().create_task(work(made))

    async def end(self) -> list[str]:
        assert self.task is not None
        await self.task
        return self.parts.notes

    async def says(self) -> str:
        loop = asyncio.get_running_loop()
        return (await loop.sock_recv(self.parent, 1000)).decode()


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    parts = Parts()
    parent, control = socket.socketpair()
    parent.setblocking(False)  # noqa: FBT003 -- its only parameter
    made = WorkerParts(
        control=control,
        operations=parts.served("operations"),
        service=parts.served("service"),
        connect=parts.connect,
        disconnect=parts.disconnect,
        use_tariffs=parts.use_tariffs,
        background=(),
        set_draining=lambda: parts.note("draining"),
        drain_delay_s=0,
        drain_s=7,
    )
    former = signal.getsignal(signal.SIGHUP)
    yield Life(parts, made, parent)
    parent.close()
    signal.signal(signal.SIGHUP, former)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


WHOLE_LIFE = [
    "operations up",
    "connected",
    "service up",
    "draining",
    "service down within 7",
    "operations down within 0",
    "disconnected",
]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_drains(life: Life, number: signal.Signals) -> None:
    life.begin()
    assert await life.says() == "ready\n"
    os.kill(os.getpid(), number)
    assert await life.end() == WHOLE_LIFE


async def test_it_ends_in_the_same_way_when_its_parent_is_gone(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.begin()
    assert await life.says() == "ready\n"
    life.parent.close()
    assert await life.end() == WHOLE_LIFE
    assert "the parent process is gone" in caplog.text


async def test_it_does_not_serve_without_a_store_and_still_ends(life: Life) -> None:
    life.parts.store_is_there.clear()
    life.begin()
    await life.parts.wait_for("operations up")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life.end() == ["operations up", "operations down within 0", "disconnected"]


async def test_a_store_that_is_unusable_ends_it_with_the_reason(life: Life) -> None:
    async def refused() -> None:
        raise ValueError("the store is version 6.0")

    life.begin(connect=refused)
    with pytest.raises(ValueError, match=r"6\.0"):
        await life.end()
    assert life.parts.notes == ["operations up", "disconnected"]


async def test_it_takes_up_new_tariffs_and_keeps_the_former_if_they_are_unusable(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.begin()
    assert await life.says() == "ready\n"
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(life.parent, b"tariffs bad.tariffs\ntariffs new.tariffs\n")
    assert await life.says() == "tariffs id of new.tariffs\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert (await life.end())[3] == "uses new.tariffs"
    assert "bad.tariffs" in caplog.text


async def test_a_hang_up_is_the_parents_business(life: Life) -> None:
    life.begin()
    assert await life.says() == "ready\n"
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await life.end() == WHOLE_LIFE


def forever(parts: Parts) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            parts.note("background ended")

    return run


async def failing() -> None:
    raise LookupError("a bug in the sweeper")


async def test_the_background_ends_after_the_last_request(life: Life) -> None:
    life.begin(background=(forever(life.parts),))
    assert await life.says() == "ready\n"
    os.kill(os.getpid(), signal.SIGTERM)
    assert (await life.end())[4:6] == ["service down within 7", "background ended"]


async def test_it_ends_when_a_part_of_the_background_fails(
    life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.begin(background=(forever(life.parts), failing))
    notes = await life.end()
    assert notes[-1] == "disconnected"
    assert "draining" in notes
    assert "a bug in the sweeper" in caplog.text


def test_the_specification_is_the_first_line() -> None:
    parent, control = socket.socketpair()
    with parent, control:
        parent.sendall(b'{"slot":1')
        parent.sendall(b"}\n")
        assert receive_specification(control) == b'{"slot":1}\n'


def test_a_worker_that_was_never_told_anything_just_ends() -> None:
    parent, control = socket.socketpair()
    with control:
        parent.close()
        with pytest.raises(SystemExit) as end:
            receive_specification(control)
    assert end.value.code == 0

"""A clock that moves only when everything waits for it."""

import asyncio
import heapq
from collections.abc import Coroutine
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")
SETTLED_AFTER_TICKS = 30  # longer than any chain of callbacks in what is tested here


class VirtualTime:
    def __init__(self) -> None:
        self.now_s = 1_000.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def clock_s(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.now_s + delay_s, next(self._order), wake))
        await wake

    async def run(self, main: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(main)
        while not task.done():
            for _ in range(SETTLED_AFTER_TICKS):
                await asyncio.sleep(0)
            if self._waiting and not task.done():
                wake_s, _, wake = heapq.heappop(self._waiting)
                self.now_s = max(self.now_s, wake_s)
                wake.set_result(None)
        return await task

"""Lanes: several connections to one store, for what is charged together.

    an array of 100 charges ──┬─ partitions 0, 4, 8 … ──► main link ─┐
                              ├─ partitions 1, 5, 9 … ──► side link ─┼─► one turn of the store's
                              └─ …                    ──► side link ─┘   loop: one sync for all

The store reads 16 KB of a link, some 25 charges, in a turn of its loop, and syncs its log at the
end of each: an array on one link costs it a sync for every 25 events, on four links one for a
hundred. Measured: 24,000 to 28,000 events a second instead of 16,000 to 20,000 (the figures are in
benchmarks/README.md). Few commands gain nothing by it, so they stay together on the main link.

What belongs to one partition, and so to one wallet, goes over one lane and keeps its order.

Side links are there while large arrays come: the first one opens them, itself over the main link,
and after some seconds without any they are closed; likewise when the main link was made anew. So
they are never idle for long, which stores and middle boxes end without a word; a service without
arrays has none; and they do not stay with a store that the main link has left. One that is away
holds nothing up: the others take its part. What was on it when it broke has the fate of any command
on a lost link (`faults`). Only the main link is waited for, asked about and loaded through.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ocs.adapters.valkey.connection import Connection

SIDE_LINKS: Final = 3
"""Besides the main one, of a worker."""
IDLE_S: Final = 10.0
"""Without a large array for so long (up to twice that), side links are closed."""
_MOST_ON_ONE: Final = 32
"""Commands that gain nothing by being spread."""


class Lanes:
    """Sends packed commands together. `make_side` makes connections to where `main` leads."""

    def __init__(self, main: Connection, make_side: Callable[[], Connection] | None = None) -> None:
        self._main = main
        self._make_side = make_side
        self._side: list[Connection] = []
        self._opened_at = 0
        """After how many reconnects of the main link the side ones were opened."""
        self._was_used = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def execute_all(
        self, commands: Sequence[bytes], partitions: Sequence[int]
    ) -> Awaitable[Sequence[object]] | None:
        """The replies to commands of these partitions; None: only one by one, or not at all."""
        if len(commands) <= _MOST_ON_ONE or self._make_side is None or not self._main.connected:
            return self._main.execute_all(commands)
        self._keep_open(self._make_side)
        lanes = [self._main, *(side for side in self._side if side.connected)]
        if len(lanes) == 1:
            return self._main.execute_all(commands)
        positions: list[list[int]] = [[] for _ in lanes]
        for position, partition in enumerate(partitions):
            positions[partition % len(lanes)].append(position)
        parts = [
            (of_lane, self._sent(lane, [commands[position] for position in of_lane]))
            for lane, of_lane in zip(lanes, positions, strict=True)
            if of_lane
        ]
        return _joined(len(commands), parts)

    @property
    def waiting(self) -> int:
        """Commands on all lanes that have no reply."""
        return self._main.waiting + sum(side.waiting for side in self._side)

    async def close(self) -> None:
        """Wait for the replies on side links, and close them; nothing is sent any more."""
        self._make_side = None
        self._close_side()
        if self._closing:
            await asyncio.wait(self._closing)

    def _keep_open(self, make_side: Callable[[], Connection]) -> None:
        self._was_used = True
        if self._side and self._opened_at != self._main.reconnects:
            self._close_side()
        if not self._side:
            self._opened_at = self._main.reconnects
            self._side = [make_side() for _ in range(SIDE_LINKS)]
            for side in self._side:
                side.start()
            self._look_later()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, self._look)

    def _look(self) -> None:
        if self._was_used:
            self._was_used = False
            self._look_later()
        else:
            self._close_side()

    def _close_side(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for side in self._side:
            task = asyncio.get_running_loop().create_task(side.close())
            self._closing.add(task)  # the loop itself does not keep it
            task.add_done_callback(self._closing.discard)
        self._side = []

    def _sent(self, lane: Connection, commands: Sequence[bytes]) -> Awaitable[Sequence[object]]:
        """Send over a lane, else over the main link, else see what becomes of each."""
        replies = lane.execute_all(commands)
        if replies is None and lane is not self._main:
            replies = self._main.execute_all(commands)
        if replies is not None:
            return replies
        each = map(self._main.execute_packed, commands)
        return asyncio.gather(*each, return_exceptions=True)


async def _joined(
    commands: int, parts: Sequence[tuple[Sequence[int], Awaitable[Sequence[object]]]]
) -> Sequence[object]:
    """Wait for the replies of all lanes, and put them in the order of their commands."""
    joined: list[object] = [None] * commands
    for positions, replies in parts:
        for position, reply in zip(positions, await replies, strict=True):
            joined[position] = reply
    return joined

"""Ray: a function is made once in each of the cluster's processes, and called there item by item.

    make ──► actor 1: do ◄── item, item        as many actors as the cluster has processors,
    make ──► actor 2: do ◄── item, item        two items on their way to each

An actor that dies is started again by Ray, on another machine if need be, and its item is given to
it again; so `do` has to bear that. Rejected: a task for each item (each process would load the
tariffs whenever Ray starts one anew), Ray Data (it wants to own reading and writing, and knows no
"all of it or nothing" for a chunk that is several files).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

ON_THEIR_WAY: Final = 2
"""Items for each actor: the next is there when one is done."""
RESTARTS: Final = 4
"""How often an actor is started again, and an item is tried again, as in the store's queue."""

_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class EngineFault(Exception):
    """The cluster cannot be reached, or its processes die of what they are given."""


@contextmanager
def ray_cluster() -> Iterator[int]:
    """Join the cluster that RAY_ADDRESS names, or start one here; give its processors."""
    try:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    except (RayError, OSError, ValueError, ConnectionError, RuntimeError) as error:
        raise EngineFault(f"Ray: {error}") from None
    try:
        yield max(1, int(ray.cluster_resources().get("CPU", 1)))
    finally:
        ray.shutdown()


class _Actor(Generic[_Item, _Done]):
    """What Ray runs in a process of the cluster."""

    def __init__(self, make: Callable[[], Callable[[_Item], _Done]]) -> None:
        self._do = make()

    def do(self, item: _Item) -> _Done:
        return self._do(item)


def spread(
    make: Callable[[], Callable[[_Item], _Done]], items: Iterable[_Item], actors: int
) -> Iterator[_Done]:
    """Do all items in so many processes; yield what came of them as it comes.

    `make`, items and what comes of them are pickled. What `do` raises is raised here. EngineFault.
    """
    kind = ray.remote(max_restarts=RESTARTS, max_task_retries=RESTARTS)(_Actor)
    crew = [kind.remote(make) for _ in range(actors)]
    coming = iter(items)
    busy: dict[Any, Any] = {}
    for _, actor in zip(range(ON_THEIR_WAY * actors), crew * ON_THEIR_WAY, strict=True):
        for item in islice(coming, 1):
            busy[actor.do.remote(item)] = actor
    while busy:
        (ready,), _ = ray.wait(list(busy), num_returns=1)
        actor = busy.pop(ready)
        for item in islice(coming, 1):
            busy[actor.do.remote(item)] = actor
        yield _answer(ready)


def _answer(ready: Any) -> Any:  # noqa: ANN401 - Ray's references are not typed
    try:
        return ray.get(ready)
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise EngineFault(f"Ray: {error}") from None

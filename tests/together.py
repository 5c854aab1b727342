"""What became of things that were charged together, those that were to come included."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar, cast

OutcomeT = TypeVar("OutcomeT")


async def outcomes(
    given: Sequence[OutcomeT | Exception | Awaitable[OutcomeT]],
) -> list[OutcomeT | Exception]:
    return [await _outcome(one) for one in given]


async def _outcome(one: OutcomeT | Exception | Awaitable[OutcomeT]) -> OutcomeT | Exception:
    if not isinstance(one, Awaitable):
        return one
    try:
        return await cast("Awaitable[OutcomeT]", one)
    except Exception as problem:  # noqa: BLE001 -- it is what became of it
        return problem

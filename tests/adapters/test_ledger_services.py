"""The suite for both ledgers, eighth part: services side by side, one for each rating group.

Each test reads as one sentence of `docs/design.md` 2.13. Amounts are bare money units.
"""

from itertools import permutations
from typing import Any

import pytest

from ocs.domain.session import State
from ocs.usecases.ports import ServiceCall
from tests.adapters.calls import (
    call,
    charge,
    charged,
    later,
    main,
    open_wallet,
    price,
    result_of,
    session,
    total,
    use,
)
from tests.adapters.ledgers import Bench


def each(groups: range, ask: int, kind: str = "") -> list[ServiceCall]:
    """One use of each rating group, at a price of its own."""
    return [
        use(0 if kind == "start" else 7 * (n + 1), ask, price(n + 1, 5), rating_group=str(n))
        for n in groups
    ]


@pytest.mark.parametrize("groups", range(1, 11))
async def test_each_rating_group_has_its_own_hold_and_counters(bench: Bench, groups: int) -> None:
    await open_wallet(bench, 10_000)
    names = range(groups)
    start = await charged(bench, "start", 0, *each(names, 10, "start"))
    assert start.held_amount == sum(2 * (n + 1) for n in names)
    update = await charged(bench, "update", 1, *each(names, 10))
    due = [-(-7 * (n + 1) // 5) * (n + 1) for n in names]
    assert [s.settled_amount for s in update.services] == due
    assert [s.rating_group for s in update.services] == [str(n) for n in names]
    release = await charged(bench, "release", 2, *each(names, -1))
    whole = [-(-14 * (n + 1) // 5) * (n + 1) for n in names]
    assert [s.total_amount for s in release.services] == whole
    assert await main(bench) == (10_000 - sum(whole), 0)


async def test_updates_of_different_groups_may_come_in_any_order(bench: Bench) -> None:
    await open_wallet(bench, 10_000)
    ends = set()
    for run, order in enumerate(permutations(range(4))):
        key = session(f"run {run}")
        uses = each(range(4), 10)
        start = call("start", 0, *each(range(4), 10, "start"), session=key)
        await bench.ledger.charge(start)
        before, _ = await main(bench)
        seen = {}
        for n in order:
            reply = await bench.ledger.charge(call("update", n + 1, uses[n], session=key))
            [service] = result_of(reply).services
            seen[n] = service
        left, held = await main(bench)
        view = await bench.ledger.session(key)
        assert view
        end = (before - left, held, view.charged_amount, sorted(view.holds, key=str))
        ends.add(str((end, sorted(seen.items()))))
        await bench.ledger.charge(call("release", 9, session=key))
        assert (await main(bench))[1] == 0
    assert len(ends) == 1


async def test_a_group_that_ends_alone_gives_back_what_it_held(bench: Bench) -> None:
    await open_wallet(bench, 100)
    one: dict[str, Any] = {"rating_group": "1"}
    two: dict[str, Any] = {"rating_group": "2"}
    await charge(bench, "start", 0, use(0, 30, **one), use(0, 40, **two))
    assert await main(bench) == (100, 70)
    await charge(bench, "update", 1, use(10, 0, **one))
    assert await main(bench) == (90, 40), "the other one goes on"
    view = await bench.ledger.session(session())
    assert view
    assert (view.state, view.granted_units) == (State.OPEN, 40)
    await charge(bench, "update", 2, use(0, 20, **one))
    assert await main(bench) == (90, 60), "and this one may come back"
    await charge(bench, "release", 3, use(40, **two))
    assert await main(bench) == (50, 0)


async def test_of_several_services_each_reports_in_its_own_way(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    kinds = (use, total, later)
    results = []
    for number, used in enumerate((0, 10, 30)):
        uses = [k(used, 50, rating_group=str(g)) for g, k in enumerate(kinds)]
        results.append(await charged(bench, "update", number, *uses))
    assert [(s.settled_units, s.total_amount) for s in results[-1].services] == [
        (30, 40),
        (20, 30),
        (0, 0),
    ]
    assert await main(bench) == (930, 50 + 50 + 150)
    last = [k(25, rating_group=str(g)) for g, k in enumerate(kinds)]
    result = await charged(bench, "release", 3, *last)
    assert [s.settled_units for s in result.services] == [25, -5, 25]
    assert await main(bench) == (1_000 - 65 - 25 - 25, 0)

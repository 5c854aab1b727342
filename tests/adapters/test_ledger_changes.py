"""The suite for both ledgers, sixth part: a change of tariff in data.

Each test reads as one sentence of `docs/design.md` 2.11. Amounts are bare money units.
"""

from typing import Any

import pytest

from ocs.domain.wallet import Bucket, Payer
from tests.adapters.calls import (
    NOW_MS,
    call,
    charge,
    main,
    numbers,
    open_wallet,
    price,
    result_of,
    segment,
    total,
    use,
)
from tests.adapters.ledgers import Bench

DAY, NIGHT = price(2, 10), price(1, 10)
BY_DAY: dict[str, Any] = {"before": (segment(DAY),), "before_subject": "day"}
BY_NIGHT: dict[str, Any] = {"segments": (segment(NIGHT),), "subject": "night"}


@pytest.mark.parametrize(
    ("before", "due"),
    [(0, 10), (1, 12), (45, 10 + 6), (50, 10 + 5), (100, 20), (140, 20)],
)
async def test_what_was_used_before_has_the_price_before(
    bench: Bench, before: int, due: int
) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, use(0, 100, DAY, subject="day"))
    seen = await charge(bench, "update", 1, use(100, 0, before_units=before, **BY_DAY, **BY_NIGHT))
    assert (seen.settled_units, seen.settled_amount) == (100, due)
    assert await main(bench) == (100 - due, 0)


async def test_both_parts_are_paid_by_one_hold(bench: Bench) -> None:
    """Also by what is not valid any more: the list has nothing."""
    payers = (Payer("bonus", 0, 1),)
    await open_wallet(bench, 0, Bucket(bucket="bonus", valid_until_ms=NOW_MS + 10_000))
    await charge(bench, "start", 0, use(0, 500, DAY, subject="day", payers=payers))
    assert await numbers(bench, "bonus") == (100, 100)
    part = use(300, 0, before_units=200, payers=payers, **BY_DAY, **BY_NIGHT)
    result = result_of(await bench.ledger.charge(call("update", 1, part, event_ms=NOW_MS + 20_000)))
    assert (result.services[0].settled_amount, result.overrun_amount) == (50, 0)
    assert (await numbers(bench, "bonus"), await main(bench)) == ((50, 0), (0, 0))


async def test_a_first_report_may_have_both_parts(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, use(100, 0, before_units=50, **BY_DAY, **BY_NIGHT))
    assert await main(bench) == (85, 0)


async def test_a_total_has_its_new_units_in_both_parts(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, total(50, 0, DAY, subject="day"))
    seen = await charge(bench, "update", 1, total(80, 0, before_units=10, **BY_DAY, **BY_NIGHT))
    assert (seen.settled_units, seen.settled_amount) == (30, 2 + 2)
    last = await charge(bench, "release", 2, total(65, -1, before_units=5, **BY_DAY, **BY_NIGHT))
    assert (last.settled_units, last.settled_amount) == (-15, -1)


@pytest.mark.parametrize(
    ("now", "coming", "money", "granted", "held"),
    [
        (DAY, NIGHT, 100, 200, 40),
        (NIGHT, DAY, 100, 200, 40),
        (NIGHT, DAY, 31, 150, 30),
        (DAY, NIGHT, 31, 150, 30),
        (NIGHT, price(0, fee=50), 60, 200, 50),
        (NIGHT, price(0, fee=50), 40, 0, 0),
    ],
)
async def test_the_dearer_of_two_prices_is_held_for(
    bench: Bench, now: Any, coming: Any, money: int, granted: int, held: int
) -> None:
    await open_wallet(bench, money)
    seen = await charge(bench, "start", 0, use(0, 200, now, coming=(segment(coming),)))
    assert seen.granted_units == granted
    assert await main(bench) == (money, held)


async def test_a_coming_price_does_not_know_what_was_begun(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, use(5, 0, DAY, subject="day"))
    coming: dict[str, Any] = {"subject": "day", "coming": (segment(NIGHT),)}
    await charge(bench, "update", 1, use(0, 5, DAY, **coming))
    assert await main(bench) == (98, 1), "room by day, an increment by night"


async def test_what_is_behind_the_coming_price_tells_whether_a_grant_is_the_last(
    bench: Bench,
) -> None:
    await open_wallet(bench, 30)
    plain = await charge(bench, "start", 0, use(0, 150, NIGHT))
    assert not plain.final_unit
    both = await charge(bench, "update", 1, use(0, 150, NIGHT, coming=(segment(DAY),)))
    assert (both.granted_units, both.final_unit) == (150, True)

"""The suite for both ledgers, third part: volume pricing, quantum, limit and end.

Amounts are bare money units. `FALLING` costs 10 each up to 100, and 4 each for all of them above.
"""

from fractions import Fraction
from typing import Any

import pytest

from ocs.domain.ladder import Ladder, compile_ladder
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import Reply, ServiceResult
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    credit,
    definition,
    main,
    numbers,
    open_wallet,
    price,
    result_of,
    segment,
    session,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench

A, B = Payer("a", 0, 1), Payer("b", 0, 1)


def rows(*parts: tuple[int, int, int], **bounds: Any) -> Ladder:
    """(start, increment, price of one) of each row."""
    return compile_ladder(Fraction(0), [(s, i, Fraction(p)) for s, i, p in parts], **bounds)


FALLING = rows((0, 1, 10), (100, 1, 4), by_total=True)


def only(reply: Reply) -> ServiceResult:
    (service,) = result_of(reply).services
    return service


# --- Volume pricing -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asks", "held"), [(99, 990), (100, 1_000), (101, 1_000), (250, 1_000), (251, 1_004)]
)
async def test_the_dearest_stop_is_held_for(bench: Bench, asks: int, held: int) -> None:
    await open_wallet(bench, 2_000)
    reply = await bench.ledger.charge(call("start", 0, use(0, asks, FALLING)))
    assert only(reply).granted_units == asks
    assert await main(bench) == (2_000, held)


@pytest.mark.parametrize(
    ("amount", "granted"), [(999, 99), (1_000, 250), (1_003, 250), (1_004, 251)]
)
async def test_what_cannot_pay_for_every_stop_buys_none_behind_it(
    bench: Bench, amount: int, granted: int
) -> None:
    await open_wallet(bench, amount)
    reply = await bench.ledger.charge(call("start", 0, use(0, 300, FALLING)))
    assert (only(reply).granted_units, only(reply).final_unit) == (granted, True)


async def test_stops_that_are_behind_do_not_matter_any_more(bench: Bench) -> None:
    await open_wallet(bench, 520)
    await bench.ledger.charge(call("update", 0, use(120, 0, FALLING)))
    assert await main(bench) == (40, 0)
    reply = await bench.ledger.charge(call("update", 1, use(0, 60, FALLING)))
    assert (only(reply).granted_units, only(reply).final_unit) == (10, True)


async def test_what_the_dearest_stop_takes_is_not_there_for_more(bench: Bench) -> None:
    """The last grant is final, though its end costs less than a stop before."""
    await open_wallet(bench, 1_000)
    reply = await bench.ledger.charge(call("start", 0, use(0, 240, FALLING, minimum_units=10)))
    assert only(reply).granted_units == 240
    assert not only(reply).final_unit
    reply = await bench.ledger.charge(call("update", 1, use(0, 240, FALLING, minimum_units=11)))
    assert only(reply).final_unit


async def test_an_increment_of_a_volume_price_counts_from_the_start(bench: Bench) -> None:
    """60s up to 90 at 6, then at 5: 91 are two increments, and room reaches to 120."""
    await open_wallet(bench, 100)
    sixties = rows((0, 60, 6), (90, 60, 5), by_total=True)
    for number, (used, left, held) in enumerate([(61, 88, 0), (30, 90, 0), (29, 90, 5)]):
        asks = [29, 29, 1][number]
        reply = await bench.ledger.charge(call("update", number, use(used, asks, sixties)))
        assert only(reply).granted_units == asks
        assert await main(bench) == (left, held), number


async def test_the_greatest_edge_of_a_later_row_is_found(bench: Bench) -> None:
    """Increments of 60 from the start, a row from 90: 120, 180, 240, not 150, 210, 270."""
    await open_wallet(bench, 17)
    sixties = rows((0, 60, 6), (90, 60, 5), by_total=True)
    reply = await bench.ledger.charge(call("start", 0, use(0, 250, sixties)))
    assert only(reply).granted_units == 180
    assert await main(bench) == (17, 15)


async def test_a_fee_that_cannot_be_paid_is_found_out_without_a_walk(bench: Bench) -> None:
    """Behind it all is free: a store that tried edge after edge would be away for hours."""
    await open_wallet(bench, 4)
    free = price(0, fee=5)
    reply = await bench.ledger.charge(call("start", 0, use(0, 2**50, free)))
    assert reply.code is ResultCode.NO_CREDIT


async def test_who_paid_last_gets_back_first_and_no_more_than_it_paid(bench: Bench) -> None:
    """`a` pays, then `b`, then `a` again, then `main`; then 10 each become 1 each."""
    await open_wallet(bench, 1_000, Bucket(bucket="a"), Bucket(bucket="b"))
    falling = rows((0, 1, 10), (10, 1, 1), by_total=True)
    for number, (used, payer) in enumerate([(4, A), (2, B), (3, A), (1, MAIN_PAYER)]):
        await bench.ledger.charge(call("update", number, use(used, 0, falling, payers=(payer,))))
    assert (await numbers(bench, "a"), await numbers(bench, "b")) == ((30, 0), (80, 0))
    reply = await bench.ledger.charge(call("update", 4, use(5, 0, falling, payers=(B,))))
    assert (only(reply).settled_amount, only(reply).total_amount) == (-85, 15)
    assert await main(bench) == (1_000, 0)
    assert (await numbers(bench, "a"), await numbers(bench, "b")) == ((100, 0), (85, 0))
    await bench.check(FAMILY)


async def test_a_repeat_of_what_paid_back_pays_nothing_back(bench: Bench) -> None:
    await open_wallet(bench, 2_000)
    await bench.ledger.charge(call("update", 0, use(100, 0, FALLING)))
    request = call("update", 1, use(1, 0, FALLING))
    first = await bench.ledger.charge(request)
    assert only(first).settled_amount == -596
    again = await bench.ledger.charge(request)
    assert (again.hit, again.result) == (True, first.result)
    assert await main(bench) == (2_000 - 404, 0)
    await bench.check(FAMILY)


async def test_what_was_paid_back_is_not_paid_back_again(bench: Bench) -> None:
    """10 each, 11 at 7 each, 12 at 1 each; `a` paid 50, and then `main`."""
    await open_wallet(bench, 1_000, Bucket(bucket="a"))
    falling = rows((0, 1, 10), (10, 1, 7), (11, 1, 1), by_total=True)
    lefts = []
    for number, (used, payer) in enumerate([(5, A), (5, MAIN_PAYER), (1, A), (1, A)]):
        await bench.ledger.charge(call("update", number, use(used, 0, falling, payers=(payer,))))
        lefts.append(((await numbers(bench, "a"))[0], (await main(bench))[0]))
    assert lefts == [(50, 1_000), (50, 950), (50, 973), (88, 1_000)]


@pytest.mark.parametrize("named_again", [False, True])
async def test_a_bucket_that_is_gone_has_main_take_it(bench: Bench, named_again: bool) -> None:
    """Also where a bucket of units has its name now, and has paid for more units than `a` did."""
    await open_wallet(bench, 1_000, Bucket(bucket="a"))
    falling = rows((0, 1, 10), (10, 1, 1), by_total=True)
    await bench.ledger.charge(call("update", 0, use(9, 0, falling, payers=(A,))))
    await bench.ledger.charge(call("update", 1, use(1, 0, falling)))
    await credit(bench, -10, "a", "the rest of it")
    assert await bench.ledger.define(FAMILY, definition(2))
    version = 2
    if named_again:
        version = 3
        assert await bench.ledger.define(FAMILY, definition(3, units_bucket("a")))
        await credit(bench, 100, "a", "units")
        used = use(95, 0, falling, payers=(Payer("a", 1, 1),))
        await bench.ledger.charge(call("update", 2, used, wallet_version=version))
    reply = await bench.ledger.charge(call("update", 3, use(1, 0, falling), wallet_version=version))
    assert only(reply).settled_amount == -89
    assert await main(bench) == (1_000 - 10 + 89, 0)
    await bench.check(FAMILY)


async def test_a_fee_without_use_is_not_paid_back(bench: Bench) -> None:
    """It stays as it was settled when the price changes."""
    await open_wallet(bench, 100)
    dear = price(5, fee=20, by_total=True)
    await bench.ledger.charge(call("update", 0, use(0, 0, dear), answered=True))
    assert await main(bench) == (80, 0)
    cheap = use(1, 0, rows((0, 1, 5), by_total=True), subject="cheap")
    reply = await bench.ledger.charge(call("update", 1, cheap))
    assert only(reply).settled_amount == 0
    reply = await bench.ledger.charge(call("update", 2, use(5, 0, None, subject="cheap")))
    assert await main(bench) == (70, 0)


async def test_what_fell_before_a_switch_is_paid_back_behind_it(bench: Bench) -> None:
    """Volume pricing up to the 110th second, then 10 each."""
    await open_wallet(bench, 2_000)
    segments = (segment(FALLING), segment(price(10), NOW_MS + 110_000))
    timed: dict[str, Any] = {"timed": 1, "segments": segments}
    await bench.ledger.charge(call("update", 0, use(90, 0, **timed), answer_ms=NOW_MS))
    assert await main(bench) == (1_100, 0)
    reply = await bench.ledger.charge(call("update", 1, use(30, 0, **timed)))
    assert only(reply).total_amount == 110 * 4 + 10 * 10
    assert await main(bench) == (2_000 - 540, 0)


@pytest.mark.parametrize(("amount", "code"), [(480, "OK"), (479, "NO_CREDIT")])
async def test_a_one_shot_event_stops_at_its_end_only(bench: Bench, amount: int, code: str) -> None:
    await open_wallet(bench, amount)
    reply = await bench.ledger.charge(call("event", 0, use(0, 120, FALLING)))
    assert reply.code == code
    assert await main(bench) == ((0, 0) if code == "OK" else (amount, 0))


async def test_a_one_shot_event_that_is_not_covered_whole_is_covered_stop_by_stop(
    bench: Bench,
) -> None:
    """50 from `a`, then units, then the rest; delivered anyway, so overrun is possible."""
    await open_wallet(bench, 300, Bucket(bucket="a"), units_bucket("u"))
    payers = (A, Payer("u", 1, 1), MAIN_PAYER)
    reply = await bench.ledger.charge(call("event", 0, use(120, -1, FALLING, payers=payers)))
    # 10 units for the 100 of `a`, 100 units of `u`, 10 units of `main`.
    assert only(reply).settled_amount == 200
    assert (await numbers(bench, "a"), await main(bench)) == ((0, 0), (200, 0))


async def test_what_a_grace_had_put_off_is_no_overrun(bench: Bench) -> None:
    """33 units for the 100 of `a`, 27 for nobody; the grace ends among those."""
    await open_wallet(bench, 0, Bucket(bucket="a"), units_bucket("u"))
    payers = (A, Payer("u", 1_000, 1), MAIN_PAYER)
    used = use(60, 0, price(3, grace=40), payers=payers)
    result = result_of(await bench.ledger.charge(call("update", 0, used)))
    assert (result.services[0].settled_amount, result.overrun_amount) == (180, 81)
    assert (await numbers(bench, "a"), await main(bench)) == ((1, 0), (-81, 0))


async def test_all_of_a_one_shot_event_is_used_at_its_time(bench: Bench) -> None:
    """Also of a call's, within a session whose answer is known: no switch falls inside."""
    await open_wallet(bench, 1_000)
    segments = (segment(price(1)), segment(price(5), NOW_MS + 10_000))
    timed: dict[str, Any] = {"timed": 1, "segments": segments}
    await bench.ledger.charge(call("start", 0, use(0, 0, **timed), answer_ms=NOW_MS))
    for number, spent in enumerate([use(40, -1, **timed), use(0, 40, **timed)], 1):
        reply = await bench.ledger.charge(call("event", number, spent))
        assert only(reply).settled_amount == 40, number


async def test_room_of_units_is_granted_though_the_grace_lasts(bench: Bench) -> None:
    """2 of 5 units are used of the bucket's first increment; 3 seconds of money are unpaid yet."""
    await open_wallet(bench, 1_000, units_bucket("u"))
    graced: dict[str, Any] = {"ladder": price(10, grace=8), "payers": (MAIN_PAYER,)}
    await bench.ledger.charge(call("update", 0, use(3, 0, **graced)))
    graced["payers"] = (Payer("u", 5, 1),)
    await bench.ledger.charge(call("update", 1, use(2, 0, **graced)))
    reply = await bench.ledger.charge(call("update", 2, use(0, 8, **graced)))
    assert only(reply).granted_units == 8
    assert await numbers(bench, "u") == (95, 5)


# --- Quantum, limit, end --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounding", "costs"),
    [
        ("half_up", [10, 10, 20, 20, 30]),
        ("half_even", [0, 10, 20, 20, 20]),
        ("up", [10, 10, 20, 20, 30]),
        ("down", [0, 10, 10, 20, 20]),
    ],
)
async def test_costs_are_multiples_of_the_quantum(
    bench: Bench, rounding: str, costs: list[int]
) -> None:
    await open_wallet(bench, 1_000)
    fives = price(5, rounding=rounding, quantum=10)
    total = 0
    for number, cost_so_far in enumerate(costs):
        reply = await bench.ledger.charge(call("update", number, use(1, 0, fives)))
        total += only(reply).settled_amount
        assert total == cost_so_far, number


@pytest.mark.parametrize(("rounding", "granted"), [("half_up", 6), ("up", 5), ("down", 7)])
async def test_what_rounds_to_what_is_there_is_granted(
    bench: Bench, rounding: str, granted: int
) -> None:
    """25 pay for 20 at most: whatever rounds to that."""
    await open_wallet(bench, 25)
    fours = price(4, rounding=rounding, quantum=10)
    reply = await bench.ledger.charge(call("start", 0, use(0, 60, fours)))
    assert only(reply).granted_units == granted
    assert await main(bench) == (25, 20)


async def test_quantum_and_limit_are_those_of_the_first_price(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    first = price(4, quantum=10, limit=40)
    await bench.ledger.charge(call("update", 0, use(2, 0, first)))
    assert await main(bench) == (990, 0)
    second: dict[str, Any] = {"ladder": price(7), "subject": "second"}
    # 8 and 4 times 7 are 36, which is 40; a fifth would be 43, which is 40 too; a sixth is 50.
    reply = await bench.ledger.charge(call("update", 1, use(0, 60, **second)))
    assert (only(reply).granted_units, only(reply).final_unit) == (5, True)
    assert await main(bench) == (990, 30)
    reply = await bench.ledger.charge(call("update", 2, use(7, 1, **second)))
    assert (only(reply).code, only(reply).total_amount) == (ResultCode.LIMIT_REACHED, 60)


async def test_the_end_is_that_of_the_price_in_force(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    await bench.ledger.charge(call("update", 0, use(30, 0, price(1, end=40))))
    ended: dict[str, Any] = {"ladder": price(1, 7, end=50), "subject": "ended"}
    reply = await bench.ledger.charge(call("update", 1, use(0, 60, **ended)))
    assert (only(reply).granted_units, only(reply).final_unit) == (20, True)
    # 18 used: the third increment reaches to 51, but its last unit is behind the end.
    reply = await bench.ledger.charge(call("update", 2, use(18, 60, **ended)))
    assert (only(reply).granted_units, only(reply).final_unit) == (2, True)


async def test_an_end_that_is_passed_leaves_the_room_of_a_units_bucket(bench: Bench) -> None:
    await open_wallet(bench, 1_000, units_bucket("u"))
    payers = (Payer("u", 40, 1), MAIN_PAYER)
    ended: dict[str, Any] = {"ladder": price(1, end=10), "payers": payers}
    reply = await bench.ledger.charge(call("start", 0, use(0, 300, **ended)))
    # 80 of the bucket's 100, then 10 of money.
    assert (only(reply).granted_units, only(reply).final_unit) == (90, True)


@pytest.mark.parametrize(
    ("bounds", "amount", "minimum", "code"),
    [
        ({"limit": 90}, 1_000, 9, "OK"),
        ({"limit": 90}, 1_000, 10, "LIMIT_REACHED"),
        ({"limit": 90}, 50, 10, "LIMIT_REACHED"),
        ({"limit": 90}, 50, 9, "NO_CREDIT"),
        ({"end": 9}, 1_000, 9, "OK"),
        ({"end": 9}, 50, 10, "LIMIT_REACHED"),
        ({"end": 9}, 50, 9, "NO_CREDIT"),
        ({}, 50, 10, "NO_CREDIT"),
    ],
)
async def test_what_no_money_can_buy_is_told_apart_from_no_credit(
    bench: Bench, bounds: dict[str, int], amount: int, minimum: int, code: str
) -> None:
    await open_wallet(bench, amount)
    asks = use(0, 60, price(10, **bounds), minimum_units=minimum)
    assert (await bench.ledger.charge(call("start", 0, asks))).code == code
    whole = use(0, minimum, price(10, **bounds))
    at_once = call("event", 1, whole, session=session("at once"))
    expected = "NO_CREDIT" if code == "OK" and amount < 10 * minimum else code
    if code == "OK":
        await bench.ledger.charge(call("release", 2, use(0)))
    assert (await bench.ledger.charge(at_once)).code == expected


async def test_settling_knows_neither_limit_nor_end(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    tight = rows((0, 1, 10), (4, 1, 20), limit=30, end=5)
    reply = await bench.ledger.charge(call("release", 0, use(7, -1, tight)))
    assert only(reply).settled_amount == 4 * 10 + 3 * 20
    assert result_of(reply).overrun_amount == 0


async def test_a_switch_does_not_lead_past_the_end_of_what_was_begun(bench: Bench) -> None:
    """The second minute is begun before the switch at 65 s, and the end at 70 lies within it."""
    await open_wallet(bench, 1_000)
    segments = (segment(price(60, 60, end=70)), segment(price(2), NOW_MS + 65_000))
    asks = use(0, 300, timed=1, segments=segments)
    reply = await bench.ledger.charge(call("start", 0, asks, answer_ms=NOW_MS))
    assert (only(reply).granted_units, only(reply).final_unit) == (70, True)
    assert await main(bench) == (1_000, 120)
    # Used all the same: the begun minute to its end, and from there the new price.
    release = use(130, -1, timed=1, segments=segments)
    reply = await bench.ledger.charge(call("release", 1, release))
    assert only(reply).total_amount == 120 + 20


async def test_what_was_begun_within_the_grace_is_held_for_at_its_own_price(bench: Bench) -> None:
    """Nobody has paid for the begun minute yet, and the price has switched meanwhile."""
    await open_wallet(bench, 1_000)
    segments = (segment(price(60, 60, grace=40)), segment(price(2, grace=40), NOW_MS + 20_000))
    timed: dict[str, Any] = {"timed": 1, "segments": segments}
    await bench.ledger.charge(call("start", 0, use(0, 60, **timed), answer_ms=NOW_MS))
    reply = await bench.ledger.charge(call("update", 1, use(30, 40, **timed)))
    assert (only(reply).settled_amount, only(reply).granted_units) == (0, 40)
    assert await main(bench) == (1_000, 60 + 10 * 2)
    reply = await bench.ledger.charge(call("release", 2, use(40, -1, **timed)))
    assert only(reply).settled_amount == 60 + 10 * 2


async def test_room_behind_the_end_is_used_before_anybody_else_pays(bench: Bench) -> None:
    await open_wallet(bench, 1_000, units_bucket("u"))
    minutes = price(60, 60, end=90)
    await bench.ledger.charge(call("update", 0, use(61, 0, minutes)))
    both = (Payer("u", 1, 1), MAIN_PAYER)
    reply = await bench.ledger.charge(call("update", 1, use(50, 0, minutes, payers=both)))
    assert only(reply).settled_amount == 0
    assert await numbers(bench, "u") == (100, 0)

"""The suite for both ledgers, fourth part: where the short ways of the store's script end.

For the common cases the script has short ways to the result that the rules of `docs/design.md`
section 2 lead to (`settle_plainly`, `hold_plainly`), and short shapes for what it keeps. Each test
stands on the edge of one: next to what it is for, in what it must leave to the long way.
"""

from fractions import Fraction
from typing import Any

from ocs.domain.ladder import compile_ladder
from ocs.domain.results import ResultCode
from ocs.domain.wallet import FOREVER_MS, MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import Segment, ServiceCall, ServiceResult
from tests.adapters.calls import (
    NOW_MS,
    call,
    credit,
    main,
    numbers,
    open_wallet,
    price,
    result_of,
    segment,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench

SIXES = (Payer("minutes", 6, 1), MAIN_PAYER)
"""A units bucket in increments of six."""


async def charge(bench: Bench, kind: str, number: int, *uses: ServiceCall) -> ServiceResult:
    reply = await bench.ledger.charge(call(kind, number, *uses))
    return result_of(reply).services[0]


# --- Units ----------------------------------------------------------------------------------------


async def test_a_begun_increment_of_units_is_used_to_its_end(bench: Bench) -> None:
    await open_wallet(bench, 0, units_bucket("minutes"))
    await charge(bench, "start", 0, use(0, 20, payers=SIXES))
    assert await numbers(bench, "minutes") == (100, 24)
    # 7 units are two increments; of the second 5 units are room, so 11 more take one increment.
    await charge(bench, "update", 1, use(7, 11, payers=SIXES))
    assert await numbers(bench, "minutes") == (88, 6)
    await charge(bench, "update", 2, use(5, 0, payers=SIXES))
    assert await numbers(bench, "minutes") == (88, 0)
    await charge(bench, "update", 3, use(0, 7, payers=SIXES))
    await charge(bench, "update", 4, use(7, 5, payers=SIXES))
    assert await numbers(bench, "minutes") == (76, 0), "5 units of room, and nothing to hold"
    await charge(bench, "release", 5, use(5, payers=SIXES))
    assert await numbers(bench, "minutes") == (76, 0)


async def test_more_units_than_were_held_are_taken_from_the_bucket_all_the_same(
    bench: Bench,
) -> None:
    await open_wallet(bench, 0, units_bucket("minutes"))
    await charge(bench, "start", 0, use(0, 10, payers=SIXES))
    assert await numbers(bench, "minutes") == (100, 12)
    await charge(bench, "release", 1, use(13, payers=SIXES))
    assert await numbers(bench, "minutes") == (82, 0)


async def test_an_increment_is_used_to_its_end_before_another_bucket_pays(bench: Bench) -> None:
    payers = (Payer("sixes", 6, 1), Payer("tens", 10, 1))
    await open_wallet(bench, 0, units_bucket("sixes"), units_bucket("tens"))
    await charge(bench, "start", 0, use(0, 96, payers=payers))
    await charge(bench, "update", 1, use(94, 20, payers=payers))
    # 94 units are 16 increments of six: two units of room, then two increments of ten.
    assert await numbers(bench, "sixes") == (4, 0)
    assert await numbers(bench, "tens") == (100, 20)
    await charge(bench, "update", 2, use(10, 3, payers=payers))
    assert await numbers(bench, "tens") == (90, 10), "8 of ten, and 2 units of room"
    await charge(bench, "release", 3, use(3, payers=payers))
    assert await numbers(bench, "tens") == (80, 0)


async def test_the_room_of_two_buckets_is_not_mixed(bench: Bench) -> None:
    payers = (Payer("sixes", 6, 1), Payer("tens", 10, 1))
    await open_wallet(bench, 0, units_bucket("sixes"), units_bucket("tens"))
    await charge(bench, "start", 0, use(0, 105, payers=payers))
    await charge(bench, "update", 1, use(105, 5, payers=payers))
    assert await numbers(bench, "tens") == (90, 10), "1 unit of room, and 4 of a second increment"
    await charge(bench, "update", 2, use(5, 6, payers=payers))
    assert await numbers(bench, "tens") == (80, 0), "6 units of room"
    await charge(bench, "release", 3, use(6, payers=payers))
    assert await numbers(bench, "tens") == (80, 0)


async def test_units_wait_for_the_room_that_money_has_paid(bench: Bench) -> None:
    minute = price(60, 60)
    await open_wallet(bench, 1_000, units_bucket("minutes", valid_from_ms=NOW_MS))
    await charge(bench, "start", 0, use(0, 60, minute))
    late = (Payer("minutes", 1, 1), MAIN_PAYER)
    await charge(bench, "update", 1, use(30, 60, minute, payers=late))
    assert await numbers(bench, "minutes") == (100, 30), "30 units of the minute are room"
    await charge(bench, "release", 2, use(30, 0, minute, payers=late))
    assert await numbers(bench, "minutes") == (100, 0)
    assert await main(bench) == (940, 0)


async def test_the_last_units_are_final(bench: Bench) -> None:
    await open_wallet(bench, 0, units_bucket("minutes"))
    nearly = await charge(bench, "start", 0, use(0, 90, payers=SIXES, minimum_units=6))
    assert (nearly.granted_units, nearly.final_unit) == (90, False)
    last = await charge(bench, "update", 1, use(90, 6, payers=SIXES, minimum_units=6))
    assert (last.granted_units, last.final_unit) == (6, True)


async def test_what_is_free_is_paid_by_the_money_that_is_asked_first(bench: Bench) -> None:
    ladder = compile_ladder(Fraction(0), [(0, 1, Fraction(0)), (10, 1, Fraction(1))])
    payers = (Payer("empty", 0, 1), Payer("minutes", 1, 1), MAIN_PAYER)
    await open_wallet(bench, 50, Bucket(bucket="empty"), units_bucket("minutes"))
    await credit(bench, -100, "empty", "emptied")
    await charge(bench, "start", 0, use(0, 15, ladder, payers=payers))
    assert await numbers(bench, "minutes") == (100, 5)
    await charge(bench, "release", 1, use(15, 0, ladder, payers=payers))
    assert await numbers(bench, "minutes") == (95, 0)


# --- What the common cases are looked up by --------------------------------------------------------


async def test_an_answer_names_the_price_in_force(bench: Bench) -> None:
    await open_wallet(bench, 500)
    dear = Segment(NOW_MS + 10_000, segment(price(2)).ladder, "later")
    switching: dict[str, Any] = {"timed": 1, "segments": (segment(price(1)), dear)}
    started = await bench.ledger.charge(call("start", 0, use(0, 5, **switching), answer_ms=NOW_MS))
    assert started.ratings == ("rating",)
    later = call("update", 1, use(15, 5, **switching), event_ms=NOW_MS + 15_000)
    assert (await bench.ledger.charge(later)).ratings == ("later",)


async def test_numbers_in_a_row_are_remembered_behind_a_word_of_them(bench: Bench) -> None:
    await open_wallet(bench, 500)
    for number in range(40):
        await charge(bench, "event", number, use(0, 1))
    again = await bench.ledger.charge(call("event", 3, use(0, 1)))
    assert again.code is ResultCode.REPEAT_EXPIRED
    assert await main(bench) == (460, 0)


async def test_numbers_behind_a_gap_are_remembered(bench: Bench) -> None:
    await open_wallet(bench, 500)
    for number in (0, 33, 34):
        await charge(bench, "update", number, use(0, 1))
    assert (await bench.ledger.charge(call("update", 0, use(0, 1)))).hit
    new = await bench.ledger.charge(call("update", 1, use(0, 2)))
    assert not new.hit
    assert await main(bench) == (500, 2)


# --- What is kept ---------------------------------------------------------------------------------


async def test_money_may_be_held_where_units_were_taken(bench: Bench) -> None:
    await open_wallet(bench, 500, units_bucket("minutes"))
    await charge(bench, "start", 0, use(0, 96, payers=SIXES))
    await charge(bench, "update", 1, use(93, 30, payers=SIXES))
    # 3 units of room; 4 are left of the bucket, which is less than an increment; money has 27.
    assert await numbers(bench, "minutes") == (4, 0)
    assert await main(bench) == (500, 27)
    await charge(bench, "release", 2, use(30, payers=SIXES))
    assert await numbers(bench, "minutes") == (4, 0)
    assert await main(bench) == (473, 0)


async def test_two_buckets_of_money_may_change_at_once(bench: Bench) -> None:
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    await open_wallet(bench, 500, Bucket(bucket="bonus"))
    await charge(bench, "start", 0, use(0, 130, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((100, 100), (500, 30))
    await charge(bench, "release", 1, use(130, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((0, 0), (470, 0))


async def test_a_bucket_in_the_middle_may_change_alone(bench: Bench) -> None:
    buckets = (Bucket(bucket="a"), Bucket(bucket="b"), Bucket(bucket="c"))
    await open_wallet(bench, 500, *buckets)
    for number, name in enumerate(("b", "a", "c", "main")):
        await charge(bench, "event", number, use(0, 10, payers=(Payer(name, 0, 1),)))
    left = [await numbers(bench, name) for name in ("a", "b", "c", "main")]
    assert left == [(90, 0), (90, 0), (90, 0), (490, 0)]


async def test_money_that_is_not_valid_yet_is_no_balance(bench: Bench) -> None:
    later = Bucket(bucket="later", valid_from_ms=NOW_MS + 1_000, valid_until_ms=FOREVER_MS)
    await open_wallet(bench, 500, later)
    first = result_of(await bench.ledger.charge(call("start", 0, use(0, 10))))
    assert (first.available_amount, first.held_amount) == (490, 10)
    await bench.set_now(NOW_MS + 1_000)
    second = result_of(await bench.ledger.charge(call("update", 1, use(10, 10))))
    assert (second.available_amount, second.held_amount) == (580, 10)


async def test_services_are_told_apart_by_their_group(bench: Bench) -> None:
    await open_wallet(bench, 500)
    one, two = price(1), price(2)
    started = call("start", 0, use(0, 10, one), use(0, 10, two, rating_group="7"))
    await bench.ledger.charge(started)
    assert await main(bench) == (500, 30)
    reply = await bench.ledger.charge(call("update", 1, use(10, 0, two, rating_group="7")))
    assert result_of(reply).services[0].settled_amount == 20
    assert await main(bench) == (480, 10)
    await bench.ledger.charge(call("release", 2, use(10, 0, one)))
    assert await main(bench) == (470, 0)

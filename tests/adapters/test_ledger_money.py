"""The suite for both ledgers, second part: wallets, credits, and numbers that are hard to get right.

Each test reads as one sentence of `docs/design.md` section 2. Amounts are bare money units.
"""

from fractions import Fraction

import msgspec
import pytest

from ocs.domain.money import Rounding
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import CreditCall, Reply, WalletKey
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
    session,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench

LARGEST = 2**53 - 1


# --- Wallets --------------------------------------------------------------------------------------


async def test_a_definition_follows_the_one_in_force(bench: Bench) -> None:
    await bench.set_now(NOW_MS)
    define = bench.ledger.define
    assert not await define(FAMILY, definition(2))
    assert await define(FAMILY, definition(1))
    assert not await define(FAMILY, definition(1))
    assert not await define(FAMILY, definition(3))
    assert await define(FAMILY, definition(2, Bucket(bucket="bonus")))
    assert not await define(FAMILY, msgspec.structs.replace(definition(3), currency="USD"))
    assert not await define(FAMILY, definition(3, units_bucket("bonus"))), "money stays money"
    balance = await bench.ledger.balance(FAMILY)
    assert balance
    assert balance.definition == definition(2, Bucket(bucket="bonus"))
    assert [b.bucket for b in balance.balances] == ["bonus", "main"]


@pytest.mark.parametrize("held", [0, 10])
async def test_a_bucket_that_is_not_empty_cannot_be_left_out(bench: Bench, held: int) -> None:
    await open_wallet(bench, 0, Bucket(bucket="bonus"))
    payers = (Payer("bonus", 0, 1),)
    if held:
        await bench.ledger.charge(call("start", 0, use(0, held, payers=payers)))
    assert not await bench.ledger.define(FAMILY, definition(2))
    await bench.ledger.charge(call("release", 1, use(90, payers=payers)))
    assert not await bench.ledger.define(FAMILY, definition(2))
    await bench.ledger.charge(call("event", 0, use(10, payers=payers), session=session("e")))
    assert await numbers(bench, "bonus") == (0, 0)
    assert await bench.ledger.define(FAMILY, definition(2))


async def test_a_caller_with_old_definitions_is_told_the_new_ones(bench: Bench) -> None:
    await open_wallet(bench, 100, Bucket(bucket="bonus"))
    for version in (0, 2):
        reply = await bench.ledger.charge(call("start", 0, use(0, 10), wallet_version=version))
        assert reply.stale == definition(1, Bucket(bucket="bonus"))
        assert reply.result is None
    assert await bench.ledger.session(session()) is None, "nothing moved, nothing is remembered"
    assert (await bench.ledger.charge(call("start", 0, use(0, 10)))).code is ResultCode.OK
    repeated = await bench.ledger.charge(call("start", 0, use(0, 10), wallet_version=0))
    assert repeated.hit, "seen requests are answered before anything else is looked at"


async def test_a_wallet_with_only_main_needs_no_version(bench: Bench) -> None:
    """A caller may even know of buckets that are gone."""
    await open_wallet(bench, 100, Bucket(bucket="bonus"))
    await bench.ledger.credit(
        CreditCall(wallet=FAMILY, bucket="bonus", amount=-100, reference="empty it")
    )
    assert await bench.ledger.define(FAMILY, definition(2))
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    reply = await bench.ledger.charge(call("start", 0, use(0, 10, payers=payers), wallet_version=1))
    assert reply.code is ResultCode.OK
    assert await main(bench) == (100, 10)


async def test_what_is_available_is_valid_money_that_nobody_holds(bench: Bench) -> None:
    gone = Bucket(bucket="gone", valid_until_ms=NOW_MS)
    await open_wallet(bench, 100, Bucket(bucket="bonus"), gone, units_bucket("minutes"))
    result = result_of(await bench.ledger.charge(call("start", 0, use(0, 30))))
    assert (result.available_amount, result.held_amount) == (170, 30)


# --- Credits --------------------------------------------------------------------------------------


async def test_a_credit_is_carried_out_once_for_its_reference(bench: Bench) -> None:
    await open_wallet(bench, 0)
    top_up = CreditCall(wallet=FAMILY, bucket="main", amount=50, reference="voucher 1")
    first = await bench.ledger.credit(top_up)
    assert (first.code, first.left, first.hit) == (ResultCode.OK, 50, False)
    await credit(bench, 5, "main", "voucher 2")
    assert await bench.ledger.credit(top_up) == msgspec.structs.replace(first, hit=True)
    for other in (
        msgspec.structs.replace(top_up, amount=51),
        msgspec.structs.replace(top_up, bucket="bonus"),
    ):
        assert (await bench.ledger.credit(other)).code is ResultCode.CONFLICT
    assert await main(bench) == (55, 0)


@pytest.mark.parametrize(
    ("floor", "amount", "code"),
    [
        (0, -40, ResultCode.OK),
        (0, -41, ResultCode.NO_CREDIT),
        (-20, -60, ResultCode.OK),
        (-20, -61, ResultCode.NO_CREDIT),
    ],
)
async def test_what_is_held_or_below_the_floor_cannot_be_taken(
    bench: Bench, floor: int, amount: int, code: ResultCode
) -> None:
    await open_wallet(bench, 100, floor_amount=floor)
    await bench.ledger.charge(call("start", 0, use(0, 60)))
    reply = await bench.ledger.credit(
        CreditCall(wallet=FAMILY, bucket="main", amount=amount, reference="take")
    )
    assert reply.code is code
    assert await main(bench) == (100 + (amount if code is ResultCode.OK else 0), 60)
    await bench.check(FAMILY)


async def test_a_refused_debit_may_be_tried_again(bench: Bench) -> None:
    """Unlike a charge: an operator repeats it when there is money."""
    await open_wallet(bench, 0)
    take = CreditCall(wallet=FAMILY, bucket="main", amount=-10, reference="take")
    assert (await bench.ledger.credit(take)).code is ResultCode.NO_CREDIT
    await credit(bench, 10, "main", "top-up")
    assert (await bench.ledger.credit(take)).code is ResultCode.OK


@pytest.mark.parametrize(("group", "bucket"), [("family", "bonus"), ("nobody", "main")])
async def test_a_credit_needs_a_bucket(bench: Bench, group: str, bucket: str) -> None:
    await open_wallet(bench, 0)
    reply = await bench.ledger.credit(
        CreditCall(wallet=WalletKey("demo", group), bucket=bucket, amount=1, reference="r")
    )
    assert reply.code is ResultCode.UNKNOWN_SUBSCRIBER


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [1, 2**20, 2**40, 2**52 - 1])
async def test_amounts_are_exact_up_to_2_to_the_53(bench: Bench, each: int) -> None:
    await open_wallet(bench, LARGEST)
    affordable = LARGEST // each
    ladder = price(each)
    asks = min(affordable, 3_600)
    reply = await bench.ledger.charge(call("start", 0, use(0, asks, ladder)))
    assert result_of(reply).services[0].granted_units == asks
    assert await main(bench) == (LARGEST, asks * each)
    await bench.ledger.charge(call("release", 1, use(asks, -1, ladder)))
    assert await main(bench) == (LARGEST - asks * each, 0)


async def test_a_cost_above_2_to_the_53_is_refused_and_moves_nothing(bench: Bench) -> None:
    await open_wallet(bench, LARGEST)
    reply = await bench.ledger.charge(call("start", 0, use(0, 3, price(2**52))))
    assert result_of(reply).services[0].granted_units == 1, "of what is asked, what can be paid"
    reply = await bench.ledger.charge(call("update", 1, use(3, 1, price(2**52))))
    assert reply == Reply(ResultCode.RATING_FAILED)
    assert await main(bench) == (LARGEST, 2**52)


async def test_a_third_of_a_cent_never_adds_up(bench: Bench) -> None:
    """However a use is reported, it costs what all of it costs, rounded once."""
    await open_wallet(bench, 1_000)
    third = price(Fraction(1, 3))
    for number in range(100):
        await bench.ledger.charge(call("update", number, use(1, 1, third)))
    await bench.ledger.charge(call("release", 100, use(0, -1, third)))
    assert await main(bench) == (1_000 - 33, 0)


async def test_costs_with_no_common_denominator_are_rounded_where_they_meet(bench: Bench) -> None:
    """1/3^10 and 1/2^20 have none up to 2^26; 1/2^20 and 1/2^26 have."""
    await open_wallet(bench, 1_000)
    fine, finer = Fraction(3**10 - 1, 3**10), Fraction(2**20 - 1, 2**20)
    finest = Fraction(2**26 - 1, 2**26)
    for number, each in enumerate((fine, finer, finest)):
        ladder = price(each, rounding="down")
        reply = await bench.ledger.charge(
            call("update", number, use(10, 1, ladder, subject=f"rate {number}"))
        )
        assert reply.code is ResultCode.OK
    # 9.99… is cut to 9 as it meets the second; the second and the third add up to 19.99….
    assert await main(bench) == (1_000 - 9 - 19, 0 + 1)


@pytest.mark.parametrize(
    ("rounding", "costs"),
    [
        (Rounding.HALF_UP, [1, 1, 2, 2, 3, 3]),
        (Rounding.HALF_EVEN, [0, 1, 2, 2, 2, 3]),
        (Rounding.UP, [1, 1, 2, 2, 3, 3]),
        (Rounding.DOWN, [0, 1, 1, 2, 2, 3]),
    ],
)
async def test_costs_are_rounded_by_the_rule_of_the_price(
    bench: Bench, rounding: Rounding, costs: list[int]
) -> None:
    await open_wallet(bench, 100)
    half = price(Fraction(1, 2), rounding=rounding)
    for used, cost in enumerate(costs, 1):
        reply = await bench.ledger.charge(
            call("release", 0, use(used, -1, half), session=session(f"used {used}"))
        )
        assert result_of(reply).services[0].settled_amount == cost, used


async def test_a_cost_is_at_least_the_minimum_and_at_most_the_maximum(bench: Bench) -> None:
    await open_wallet(bench, 1_000)
    bounded = price(10, fee=5, minimum=30, maximum=50)
    for used, cost in {0: 0, 1: 30, 2: 30, 3: 35, 4: 45, 5: 50, 90: 50}.items():
        key = session(f"used {used}")
        reply = await bench.ledger.charge(call("start", 0, use(0, 90, bounded), session=key))
        assert result_of(reply).services[0].granted_units == 90, "never dearer than 50"
        reply = await bench.ledger.charge(call("release", 1, use(used, -1, bounded), session=key))
        assert result_of(reply).services[0].settled_amount == cost, used
    reply = await bench.ledger.charge(call("release", 0, use(0, -1, bounded), answered=True))
    assert result_of(reply).services[0].settled_amount == 30, "answered, and hung up at once"


async def test_one_wallet_sold_to_many_is_sold_once(bench: Bench) -> None:
    """The sum of the grants is what was there, to the last unit, and nobody overdraws."""
    await open_wallet(bench, 1_000)
    grants = []
    for number in range(20):
        reply = await bench.ledger.charge(
            call("start", 0, use(0, 64), session=session(f"s{number}"))
        )
        grants.append(result_of(reply).services[0].granted_units)
    assert grants == [64] * 15 + [40] + [0] * 4
    for number, granted in enumerate(grants):
        await bench.ledger.charge(call("release", 1, use(granted), session=session(f"s{number}")))
    assert await main(bench) == (0, 0)
    await bench.check(FAMILY)


async def test_units_paid_in_increments_and_factors_are_given_back_whole(bench: Bench) -> None:
    await open_wallet(bench, 0, units_bucket("minutes"))
    payers = (Payer("minutes", 10, 3), MAIN_PAYER)
    reply = await bench.ledger.charge(call("start", 0, use(0, 60, payers=payers)))
    assert result_of(reply).services[0].granted_units == 30, "ten units cost 30 of 100"
    assert await numbers(bench, "minutes") == (100, 90)
    await bench.ledger.charge(call("release", 1, use(11, -1, payers=payers)))
    assert await numbers(bench, "minutes") == (40, 0)
    await bench.check(FAMILY)


# --- What may be held -----------------------------------------------------------------------------


async def test_half_of_an_increment_is_not_held(bench: Bench) -> None:
    await open_wallet(bench, 5)
    reply = await bench.ledger.charge(call("start", 0, use(0, 30, price(6, 60))))
    assert reply.code is ResultCode.NO_CREDIT
    assert await main(bench) == (5, 0)


async def test_a_bucket_that_is_not_valid_yet_is_passed_over(bench: Bench) -> None:
    await open_wallet(bench, 100, Bucket(bucket="bonus", valid_from_ms=NOW_MS + 1))
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    reply = await bench.ledger.charge(call("start", 0, use(0, 30, payers=payers)))
    assert reply.code is ResultCode.OK
    assert await numbers(bench, "bonus") == (100, 0)
    assert await main(bench) == (100, 30)

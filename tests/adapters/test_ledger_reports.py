"""The suite for both ledgers, fifth part: running totals, and what is settled at release.

Each test reads as one sentence of `docs/design.md` 2.9 and 2.10; the worked numbers stand in the
scenarios. Amounts are bare money units.
"""

from fractions import Fraction

import msgspec
import pytest

from ocs.domain.ladder import compile_ladder
from ocs.domain.results import ResultCode
from ocs.domain.session import State
from ocs.domain.wallet import MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import Segment
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    charge,
    charged,
    credit,
    definition,
    later,
    main,
    numbers,
    open_wallet,
    price,
    result_of,
    segment,
    session,
    total,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench

SIXES = (Payer("minutes", 6, 1), MAIN_PAYER)


# --- Totals ---------------------------------------------------------------------------------------


async def test_a_total_of_an_update_never_lowers(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, total(0, 10))
    seen = [(await charge(bench, "update", n, total(t, 10))) for n, t in ((2, 10), (1, 4), (3, 12))]
    assert [(s.settled_units, s.settled_amount) for s in seen] == [(10, 10), (0, 0), (2, 2)]
    last = await charge(bench, "release", 4, total(5))
    assert (last.settled_units, last.settled_amount, last.total_amount) == (-7, -7, 5)
    assert await main(bench) == (95, 0)


@pytest.mark.parametrize("kind", ["update", "release"])
async def test_nothing_goes_back_behind_a_release(bench: Bench, kind: str) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "release", 0, total(10))
    behind = await charge(bench, kind, 1, total(4))
    assert (behind.settled_units, behind.settled_amount) == (0, 0)
    more = await charge(bench, kind, 2, total(13))
    assert (more.settled_units, more.settled_amount) == (3, 3)


async def test_an_event_reports_what_it_used(bench: Bench) -> None:
    """And a service of its own: what the session used before is nothing to it."""
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, total(0, 10))
    await charge(bench, "update", 1, total(10, 0))
    for number, reports in ((2, total), (3, later)):
        seen = await charge(bench, "event", number, reports(4))
        assert (seen.settled_units, seen.settled_amount) == (4, 4)


@pytest.mark.parametrize(
    ("used", "minutes", "money"),
    [(98, 4, 98), (96, 4, 100), (95, 4, 100), (90, 10, 100), (5, 94, 100), (0, 100, 100)],
)
async def test_units_go_back_out_of_money_and_then_out_of_the_bucket(
    bench: Bench, used: int, minutes: int, money: int
) -> None:
    """The bucket pays 96 of its 100, in sixteen increments."""
    await open_wallet(bench, 100, units_bucket("minutes"))
    await charge(bench, "start", 0, total(0, 60, payers=SIXES))
    await charge(bench, "update", 1, total(100, 0, payers=SIXES))
    assert (await numbers(bench, "minutes"), await main(bench)) == ((4, 0), (96, 0))
    last = await charge(bench, "release", 2, total(used, payers=SIXES))
    assert last.settled_units == used - 100
    assert (await numbers(bench, "minutes"))[0] == minutes
    assert (await main(bench))[0] == money


async def test_the_bucket_that_was_used_first_gets_its_units_back_last(bench: Bench) -> None:
    payers = (Payer("a", 1, 2), Payer("b", 10, 1), MAIN_PAYER)
    await open_wallet(bench, 0, units_bucket("a"), units_bucket("b"))
    await charge(bench, "update", 0, total(75, 0, payers=payers))
    assert (await numbers(bench, "a"), await numbers(bench, "b")) == ((0, 0), (70, 0))
    await charge(bench, "release", 1, total(40, payers=payers))
    assert (await numbers(bench, "a"), await numbers(bench, "b")) == ((20, 0), (100, 0))
    # All of `b` has gone back and 10 of `a`, twofold; `a` is asked first again.
    await charge(bench, "update", 2, total(55, payers=payers))
    assert (await numbers(bench, "a"), await numbers(bench, "b")) == ((0, 0), (90, 0))


async def test_each_bucket_knows_what_it_paid_in_the_short_way_too(bench: Bench) -> None:
    payers = (Payer("sixes", 6, 1), Payer("tens", 10, 1))
    await open_wallet(bench, 0, units_bucket("sixes"), units_bucket("tens"))
    await charge(bench, "start", 0, total(0, 105, payers=payers))
    await charge(bench, "update", 1, total(105, 5, payers=payers))
    await charge(bench, "update", 2, total(110, 0, payers=payers))
    assert (await numbers(bench, "sixes"), await numbers(bench, "tens")) == ((4, 0), (80, 0))
    await charge(bench, "release", 3, total(100, payers=payers))
    assert (await numbers(bench, "sixes"), await numbers(bench, "tens")) == ((4, 0), (90, 0))


async def test_of_a_bucket_that_the_call_does_not_list_nothing_goes_back(bench: Bench) -> None:
    await open_wallet(bench, 100, units_bucket("minutes"))
    await charge(bench, "update", 0, total(100, 0, payers=SIXES))
    last = await charge(bench, "release", 1, total(50))
    assert (last.settled_units, last.settled_amount) == (-4, -4)
    assert (await numbers(bench, "minutes"), await main(bench)) == ((4, 0), (100, 0))


async def test_begun_increments_of_money_and_of_a_bucket_are_both_used_to_their_end(
    bench: Bench,
) -> None:
    """They stand side by side only where use has gone back."""
    minute = price(60, 60)
    tens = (Payer("minutes", 10, 1), MAIN_PAYER)
    await open_wallet(bench, 200, units_bucket("minutes"))
    await charge(bench, "update", 0, total(60, 0, minute))
    await charge(bench, "update", 1, total(67, 0, minute, payers=tens))
    await charge(bench, "release", 2, total(65, -1, minute, payers=tens))
    assert (await numbers(bench, "minutes"), await main(bench)) == ((90, 0), (140, 0))
    await charge(bench, "update", 3, total(70, 0, minute, payers=tens))
    assert await numbers(bench, "minutes") == (90, 0), "2 units of money's, 3 of the bucket's"
    await charge(bench, "update", 4, total(71, 0, minute, payers=tens))
    assert (await numbers(bench, "minutes"), await main(bench)) == ((80, 0), (140, 0))


async def test_money_goes_back_to_who_paid_it_last_first(bench: Bench) -> None:
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    await open_wallet(bench, 50, Bucket(bucket="bonus"))
    await charge(bench, "start", 0, total(0, 120, payers=payers))
    await charge(bench, "update", 1, total(120, 0, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((0, 0), (30, 0))
    await charge(bench, "release", 2, total(90, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((10, 0), (50, 0))


async def test_who_paid_in_the_short_way_is_known_too(bench: Bench) -> None:
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    await open_wallet(bench, 50, Bucket(bucket="bonus"))
    for number, used in enumerate((0, 40, 80)):
        await charge(bench, "update", number, total(used, 40, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((20, 20), (50, 20))
    await charge(bench, "release", 3, total(70, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((30, 0), (50, 0))


async def test_money_of_a_bucket_that_is_gone_goes_back_to_main(bench: Bench) -> None:
    await open_wallet(bench, 10, Bucket(bucket="bonus"))
    await charge(bench, "update", 0, total(100, 0, payers=(Payer("bonus", 0, 1), MAIN_PAYER)))
    assert await bench.ledger.define(FAMILY, definition(2))
    await charge(bench, "release", 1, total(30))
    assert await main(bench) == (80, 0)


async def test_of_what_was_reported_otherwise_nobody_knows_who_paid(bench: Bench) -> None:
    """Not even when another session has just reported a total."""
    await open_wallet(bench, 100)
    other = call("update", 0, total(10, 0), session=session("other"))
    await bench.ledger.charge(other)
    await charge(bench, "update", 0, use(10, 0))
    last = await charge(bench, "release", 1, total(5))
    assert (last.settled_units, last.settled_amount) == (-5, 0)


async def test_what_was_not_used_at_all_has_no_fee_that_was_put_off(bench: Bench) -> None:
    ladder, payers = price(fee=7), (Payer("bonus", 0, 1), MAIN_PAYER)
    await open_wallet(bench, 0, Bucket(bucket="bonus"))
    await charge(bench, "update", 0, total(10, 0, ladder, payers=payers))
    await charge(bench, "release", 1, total(0, -1, ladder, payers=payers))
    await credit(bench, -95, "bonus", "spent otherwise")
    # The pool cannot pay for a unit with its fee: it is overrun, and `main` owes all of it.
    await charge(bench, "update", 2, total(3, 0, ladder, payers=payers))
    assert (await numbers(bench, "bonus"), await main(bench)) == ((5, 0), (-10, 0))


@pytest.mark.parametrize(("used", "left"), [(20, 80), (19, 100), (0, 100)])
async def test_what_falls_below_a_grace_costs_nothing_again(
    bench: Bench, used: int, left: int
) -> None:
    ladder = price(grace=20)
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, total(0, 60, ladder))
    await charge(bench, "update", 1, total(40, 0, ladder))
    await charge(bench, "release", 2, total(used, -1, ladder))
    assert await main(bench) == (left, 0)


@pytest.mark.parametrize(("answered", "left"), [(False, 100), (True, 93)])
async def test_an_answered_call_of_nothing_owes_its_fee(
    bench: Bench, answered: bool, left: int
) -> None:
    ladder = price(fee=7)
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, total(10, 0, ladder))
    release = call("release", 1, total(0, -1, ladder), answered=answered)
    result = result_of(await bench.ledger.charge(release))
    assert result.services[0].settled_amount == 83 - left
    assert await main(bench) == (left, 0)


async def test_the_minimum_of_a_price_stays_until_nothing_is_left(bench: Bench) -> None:
    ladder = price(minimum=15, quantum=10)
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, total(34, 0, ladder))
    assert await main(bench) == (70, 0)
    await charge(bench, "release", 1, total(1, -1, ladder))
    assert await main(bench) == (85, 0)


async def test_fewer_units_may_cost_more(bench: Bench) -> None:
    """With volume pricing; what is due is taken from the hold, then as ever."""
    rows = [(0, 1, Fraction(3)), (30, 1, Fraction(1))]
    ladder = compile_ladder(Fraction(0), rows, by_total=True)
    await open_wallet(bench, 80)
    await charge(bench, "start", 0, total(0, 20, ladder))
    await charge(bench, "update", 1, total(40, 20, ladder))
    assert await main(bench) == (40, 20)
    await charge(bench, "release", 2, total(30, -1, ladder))
    assert await main(bench) == (-10, 0)


async def test_closed_segments_stay_as_they_are(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "update", 0, total(10, 0))
    await charge(bench, "update", 1, total(30, 0, price(2), subject="other"))
    assert await main(bench) == (50, 0)
    last = await charge(bench, "release", 2, total(4, -1, price(2), subject="other"))
    assert (last.settled_units, last.settled_amount) == (-20, -40)
    assert await main(bench) == (90, 0)


async def test_the_first_total_tells_when_the_call_was_answered(bench: Bench) -> None:
    """A price that rises 20 s before the report of 30 s: ten of them are cheap."""
    dear = Segment(NOW_MS - 20_000, segment(price(2)).ladder, "later")
    await open_wallet(bench, 100)
    segments = (segment(price()), dear)
    await charge(bench, "start", 0, total(0, 30, timed=1, segments=segments))
    await charge(bench, "update", 1, total(30, 0, timed=1, segments=segments))
    assert await main(bench) == (50, 0)


# --- Settled at release ---------------------------------------------------------------------------


async def test_grants_add_up_until_the_release(bench: Bench) -> None:
    await open_wallet(bench, 100)
    for number, kind in enumerate(("start", "update", "update")):
        result = await charged(bench, kind, number, later(7, 20))
        [service] = result.services
        assert (service.granted_units, service.settled_units) == (20, 0)
        assert result.held_amount == 20 * (number + 1)
    last = await charge(bench, "release", 3, later(50))
    assert (last.settled_units, last.settled_amount) == (50, 50)
    assert await main(bench) == (50, 0)


@pytest.mark.parametrize("blocked", [False, True])
async def test_a_refusal_keeps_what_was_held(bench: Bench, blocked: bool) -> None:
    await open_wallet(bench, 50)
    await charge(bench, "start", 0, later(0, 45))
    if blocked:
        assert await bench.ledger.define(FAMILY, definition(2, active=False))
    seen = await charge(bench, "update", 1, later(0, 20, minimum_units=10))
    code = ResultCode.SUBSCRIBER_BLOCKED if blocked else ResultCode.NO_CREDIT
    assert (seen.code, seen.granted_units) == (code, 0)
    assert await main(bench) == (50, 45)
    view = await bench.ledger.session(session())
    assert view
    assert (view.state, view.granted_units) == (State.OPEN, 45)


async def test_a_refusal_says_what_is_missing_of_the_ask(bench: Bench) -> None:
    await open_wallet(bench, 100)
    ladder = price(limit=40)
    await charge(bench, "start", 0, later(0, 30, ladder))
    assert (await charge(bench, "update", 1, later(0, 30, ladder))).granted_units == 10
    assert (await charge(bench, "update", 2, later(0, 30, ladder))).code is ResultCode.LIMIT_REACHED
    assert await main(bench) == (100, 40)


async def test_the_life_of_a_session_bounds_the_sum(bench: Bench) -> None:
    await open_wallet(bench, 100)
    limits = msgspec.structs.replace(call("start", 0).limits, life_units=50)
    seen = []
    for number in range(3):
        ask = call("update", number, later(0, 30, timed=1), limits=limits)
        seen.append(result_of(await bench.ledger.charge(ask)).services[0])
    assert [s.granted_units for s in seen] == [30, 20, 0]
    assert seen[2].code is ResultCode.LIMIT_REACHED
    assert await main(bench) == (100, 50)


async def test_the_sum_is_held_anew_by_what_is_valid_now(bench: Bench) -> None:
    payers = (Payer("minutes", 1, 1), MAIN_PAYER)
    await open_wallet(bench, 100, units_bucket("minutes", valid_until_ms=NOW_MS + 10_000))
    await charge(bench, "start", 0, later(0, 30, payers=payers))
    ask = call("update", 1, later(0, 30, payers=payers), event_ms=NOW_MS + 20_000)
    await bench.ledger.charge(ask)
    assert (await numbers(bench, "minutes"), await main(bench)) == ((100, 0), (100, 60))


async def test_nothing_is_settled_before_the_release_not_even_a_fee(bench: Bench) -> None:
    ladder = price(fee=7)
    await open_wallet(bench, 100)
    for number, kind in enumerate(("start", "update")):
        ask = call(kind, number, later(0, 10, ladder), answered=True)
        assert result_of(await bench.ledger.charge(ask)).services[0].settled_amount == 0
    await bench.ledger.charge(call("release", 2, later(0, -1, ladder), answered=True))
    assert await main(bench) == (93, 0)


async def test_the_price_is_that_of_the_release(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, later(0, 20))
    await charge(bench, "update", 1, later(0, 10, price(2), subject="other"))
    assert await main(bench) == (100, 60)
    await charge(bench, "release", 2, later(30, -1, price(2), subject="other"))
    assert await main(bench) == (40, 0)


async def test_an_answer_is_not_told_by_use_that_is_not_settled(bench: Bench) -> None:
    await open_wallet(bench, 100)
    await charge(bench, "start", 0, later(0, 10, timed=1))
    await charge(bench, "update", 1, later(10, 10, timed=1))
    view = await bench.ledger.session(session())
    assert view
    assert view.answer_ms == 0

"""The suite for both ledgers: what a re-rating has moved for uses, and reversals of their charges.

Each test reads as one sentence of `docs/design.md` 2.12. Amounts are bare money units.
"""

from itertools import count

import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.results import ResultCode
from ocs.usecases.ports import (
    AdjustedUse,
    Adjusts,
    ChargeResult,
    CreditCall,
    CreditReply,
    ReverseCall,
    ReverseReply,
)
from tests.adapters.calls import FAMILY, call, charged, main, open_wallet, result_of, session, use
from tests.adapters.ledgers import Bench, real_bench

CONFLICT, OK = ResultCode.CONFLICT, ResultCode.OK
PAGES = count(1)


async def adjust(
    bench: Bench,
    *moved: tuple[ChargeResult, int],
    name: str = "s1",
    seen: str = "",
    page: str = "",
    group: str = "0",
    account: str = "",
) -> CreditReply:
    """Move what a page says of uses, each begun by a transaction; it knows of the last of them."""
    page = page or f"{next(PAGES):04d}-abc"
    uses = tuple(AdjustedUse(session(name), group, r.transaction_id, n) for r, n in moved)
    adjusts = Adjusts(page, seen or moved[-1][0].transaction_id, uses)
    amount = -sum(amount for _, amount in moved)
    return await bench.ledger.credit(
        CreditCall(
            wallet=FAMILY,
            bucket="main",
            amount=amount,
            reference=f"{page} {account}",
            adjusts=adjusts,
        )
    )


async def reverse(bench: Bench, result: ChargeResult) -> ReverseReply:
    reply = await bench.ledger.reverse(
        ReverseCall(wallet=FAMILY, transaction_id=result.transaction_id)
    )
    await bench.check(FAMILY)
    return reply


async def event(bench: Bench, name: str, units: int) -> ChargeResult:
    return result_of(await bench.ledger.charge(call("event", 0, use(units), session=session(name))))


@pytest.mark.parametrize("amounts", [(7,), (-4,), (-10,), (7, -3), (5, -5)])
async def test_an_event_is_reversed_with_its_adjustments(
    bench: Bench, amounts: tuple[int, ...]
) -> None:
    """As if it had never been; and again says the same."""
    await open_wallet(bench, 50)
    spent, other = await event(bench, "e1", 10), await event(bench, "e2", 3)
    for amount in amounts:
        assert (await adjust(bench, (spent, amount), (other, 1), name="e1")).code is OK
    reply = await reverse(bench, spent)
    assert (reply.code, reply.amount, reply.hit) == (OK, 10 + sum(amounts), False)
    again = await reverse(bench, spent)
    assert (again.amount, again.hit) == (reply.amount, True)
    assert await main(bench) == (50 - 3 - len(amounts), 0)


async def test_all_services_of_an_event_count(bench: Bench) -> None:
    await open_wallet(bench, 50)
    spent = await event(bench, "e1", 10)
    await adjust(bench, (spent, 2), name="e1")
    await adjust(bench, (spent, 3), name="e1", group="1")
    assert (await reverse(bench, spent)).amount == 15
    assert await main(bench) == (50, 0)


async def test_adjustments_that_cancel_out_are_noted(bench: Bench) -> None:
    """Nothing moves for the account, but each event costs another amount."""
    await open_wallet(bench, 50)
    one, other = await event(bench, "e1", 10), await event(bench, "e2", 10)
    reply = await adjust(bench, (one, 4), (other, -4))
    assert (reply.code, await main(bench)) == (OK, (30, 0))
    assert [(await reverse(bench, each)).amount for each in (one, other)] == [14, 6]
    assert await main(bench) == (50, 0)


async def test_a_page_is_noted_once(bench: Bench) -> None:
    """However often it is applied."""
    await open_wallet(bench, 50)
    spent = await event(bench, "e1", 10)
    for hit in (False, True):
        assert (await adjust(bench, (spent, 4), name="e1", page="0001-a")).hit is hit
    assert (await reverse(bench, spent)).amount == 14


async def test_accounts_of_one_wallet_are_noted_beside_each_other(bench: Bench) -> None:
    """A page moves an amount for each of them, and knows of the same entries."""
    await open_wallet(bench, 50)
    hers, his = await event(bench, "e1", 10), await event(bench, "e2", 10)
    for account, spent, amount in (("ann", hers, 4), ("bob", his, -3)):
        await adjust(
            bench, (spent, amount), page="0001-a", seen=his.transaction_id, account=account
        )
    assert [(await reverse(bench, spent)).amount for spent in (hers, his)] == [14, 7]
    assert await main(bench) == (50, 0)


async def test_what_is_refused_is_not_noted(bench: Bench) -> None:
    await open_wallet(bench, 12)
    spent = await event(bench, "e1", 10)
    assert (await adjust(bench, (spent, 4), name="e1")).code is ResultCode.NO_CREDIT
    assert (await reverse(bench, spent)).amount == 10


@pytest.mark.parametrize("at", [0, 1])
async def test_a_session_is_not_reversed_behind_an_adjustment(bench: Bench, at: int) -> None:
    """It cannot be told what part of it is a transaction's, until it was taken back."""
    await open_wallet(bench, 50)
    reports = [
        await charged(bench, "update", 0, use(5)),
        await charged(bench, "release", 1, use(6)),
    ]
    await adjust(bench, (reports[0], 4), seen=reports[1].transaction_id, page="0001-a")
    reply = await reverse(bench, reports[at])
    assert (reply.code, await main(bench)) == (CONFLICT, (35, 0))
    await adjust(bench, (reports[0], -4), seen=reports[1].transaction_id, page="0002-b")
    assert (await reverse(bench, reports[at])).amount == (5, 6)[at]


async def test_services_of_a_session_are_taken_back_each(bench: Bench) -> None:
    await open_wallet(bench, 50)
    spent = await charged(bench, "release", 0, use(5))
    await adjust(bench, (spent, 4), group="0")
    await adjust(bench, (spent, -4), group="1")
    assert (await reverse(bench, spent)).code is CONFLICT


async def test_other_sessions_are_reversed_as_ever(bench: Bench) -> None:
    """Also a later one, and an event, beside what was adjusted; and an earlier one of the name."""
    await open_wallet(bench, 90)
    earlier = await charged(bench, "release", 0, use(5))
    adjusted = await charged(bench, "update", 1, use(6))
    inside = await charged(bench, "event", 2, use(7))
    elsewhere = await event(bench, "e2", 8)
    other = call("release", 0, use(9), session=session("s3"))
    elsewhen = result_of(await bench.ledger.charge(other))
    await adjust(bench, (adjusted, 4), seen=elsewhere.transaction_id)
    amounts = [
        (await reverse(bench, each)).amount for each in (earlier, inside, elsewhere, elsewhen)
    ]
    assert amounts == [5, 7, 8, 9]


async def test_why_it_is_refused_names_the_page(store_server: EmbeddedStore) -> None:
    async with real_bench(store_server.url) as bench:
        await open_wallet(bench, 50)
        spent = await charged(bench, "release", 0, use(5))
        await adjust(bench, (spent, 4), page="0001-a")
        reply = await reverse(bench, spent)
        assert "re-rating 0001-a" in reply.why
        assert "former tariffs" in reply.why


async def test_a_page_that_does_not_know_of_a_reversal_moves_nothing(bench: Bench) -> None:
    """Whatever of the account was reversed; one that has seen it moves the rest."""
    await open_wallet(bench, 50)
    gone, kept = await event(bench, "e1", 10), await event(bench, "e2", 3)
    back = await reverse(bench, gone)
    refused = await adjust(bench, (gone, 4), (kept, 1), page="0001-a")
    assert (refused.code, await main(bench)) == (CONFLICT, (47, 0))
    assert (await adjust(bench, (kept, 1), name="e2", seen=back.transaction_id)).code is OK
    assert await main(bench) == (46, 0)
    voucher = CreditCall(wallet=FAMILY, bucket="main", amount=7, reference="voucher")
    assert (await bench.ledger.credit(voucher)).code is OK, "other credits have nothing to see"


async def test_a_page_that_was_applied_is_answered_behind_a_reversal(bench: Bench) -> None:
    """So that one which a kill left half applied is gone on with."""
    await open_wallet(bench, 50)
    spent = await event(bench, "e1", 10)
    await adjust(bench, (spent, 4), name="e1", page="0001-a")
    await reverse(bench, spent)
    assert (await adjust(bench, (spent, 4), name="e1", page="0001-a")).hit
    assert await main(bench) == (50, 0)

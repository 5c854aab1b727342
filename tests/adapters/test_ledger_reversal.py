"""The suite for both ledgers, seventh part: a transaction is taken back.

Each test reads as one sentence of `docs/design.md` 2.12. Amounts are bare money units.
"""

from fractions import Fraction

import msgspec
import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.ladder import compile_ladder
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_PAYER, Bucket, Payer
from ocs.usecases.ports import ChargeResult, CreditCall, Reply, ReverseCall, ReverseReply, WalletKey
from tests.adapters.calls import (
    FAMILY,
    NOW_MS,
    call,
    charge,
    charged,
    credit,
    definition,
    main,
    numbers,
    open_wallet,
    result_of,
    session,
    total,
    units_bucket,
    use,
)
from tests.adapters.ledgers import Bench, real_bench
from tests.together import outcomes

SIXES = (Payer("minutes", 6, 1), MAIN_PAYER)
CONFLICT, OK, UNKNOWN = ResultCode.CONFLICT, ResultCode.OK, ResultCode.UNKNOWN_SESSION


async def reverse(bench: Bench, result: ChargeResult, wallet: WalletKey = FAMILY) -> ReverseReply:
    reply = await bench.ledger.reverse(
        ReverseCall(wallet=wallet, transaction_id=result.transaction_id)
    )
    await bench.check(FAMILY)
    return reply


async def test_a_charge_is_reversed_once_and_for_all(bench: Bench) -> None:
    await open_wallet(bench, 100, units_bucket("minutes"))
    spent = await charged(bench, "release", 0, use(120, payers=SIXES))
    first = await reverse(bench, spent)
    assert (first.code, first.amount, first.units, first.hit) == (OK, 24, 96, False)
    assert (await numbers(bench, "minutes"), await main(bench)) == ((100, 0), (100, 0))
    second = await bench.ledger.reverse(
        ReverseCall(wallet=FAMILY, transaction_id=spent.transaction_id, reason="once more")
    )
    assert second == msgspec.structs.replace(first, hit=True)
    assert first.transaction_id not in ("", spent.transaction_id)
    assert (await numbers(bench, "minutes"), await main(bench)) == ((100, 0), (100, 0))


async def test_two_reversals_do_not_know_each_other(bench: Bench) -> None:
    """Not even where the journal wrote both charges in one millisecond."""
    await open_wallet(bench, 100)
    calls = [call("event", 0, use(n), session=session(f"e{n}")) for n in range(1, 9)]
    answers = await outcomes(await bench.ledger.charge_all(calls))
    spent = [result_of(answer) for answer in answers if isinstance(answer, Reply)]
    replies = [await reverse(bench, result) for result in spent]
    assert [(reply.amount, reply.hit) for reply in replies] == [(n, False) for n in range(1, 9)]
    again = [await reverse(bench, result) for result in spent]
    assert [(reply.amount, reply.hit) for reply in again] == [(n, True) for n in range(1, 9)]
    assert await main(bench) == (100, 0)


async def test_only_what_is_over_is_reversed(bench: Bench) -> None:
    await open_wallet(bench, 50)
    await charge(bench, "start", 0, use(0, 10))
    spent = await charged(bench, "update", 1, use(10, 10))
    event = await charged(bench, "event", 2, use(5))
    assert (await reverse(bench, spent)).code is CONFLICT
    assert (await reverse(bench, event)).amount == 5, "an event is over"
    await charge(bench, "update", 3, use(0, 1_000, minimum_units=1_000))
    assert (await reverse(bench, spent)).code is CONFLICT, "idle"
    await bench.set_now(NOW_MS + 10**7)
    assert await bench.ledger.expire(session())
    assert (await reverse(bench, spent)).code is CONFLICT, "expired: it may go on"
    await charge(bench, "release", 4, use(0))
    assert (await reverse(bench, spent)).amount == 10
    assert await main(bench) == (50, 0)


async def test_only_a_charge_is_reversed(bench: Bench) -> None:
    await open_wallet(bench, 50)
    spent = await charged(bench, "release", 0, use(10))
    undone = await reverse(bench, spent)
    voucher = CreditCall(wallet=FAMILY, bucket="main", amount=7, reference="voucher")
    top_up = await bench.ledger.credit(voucher)
    for transaction_id in (undone.transaction_id, top_up.transaction_id):
        again = await bench.ledger.reverse(
            ReverseCall(wallet=FAMILY, transaction_id=transaction_id)
        )
        assert again.code is CONFLICT
    assert await main(bench) == (57, 0)


@pytest.mark.parametrize("transaction_id", ["", "000", "000-1", "999-1-0", "000-1-0", "000-x-y"])
async def test_a_transaction_that_is_not_there(bench: Bench, transaction_id: str) -> None:
    await open_wallet(bench, 50, active=False)
    call = ReverseCall(wallet=WalletKey("demo", "nobody"), transaction_id=transaction_id)
    assert (await bench.ledger.reverse(call)).code is UNKNOWN


def spelled_otherwise(transaction_id: str) -> list[str]:
    """Ids that mean the same entry to a store that reads numbers out of them."""
    label, ms, count = transaction_id.split("-")
    return [
        f"{label}-0{ms}-{count}",
        f"{label}-{ms}-0{count}",
        f"{label}-{ms}",
        f"{label}-{ms}-+{count}",
        f" {transaction_id}",
        f"{label}-{'9' * 20}-{count}",
    ]


async def test_a_transaction_has_one_name(bench: Bench) -> None:
    """By another spelling it would be given back a second time."""
    await open_wallet(bench, 50)
    spent = await charged(bench, "release", 0, use(10))
    assert (await reverse(bench, spent)).amount == 10
    for transaction_id in spelled_otherwise(spent.transaction_id):
        call = ReverseCall(wallet=FAMILY, transaction_id=transaction_id)
        assert (await bench.ledger.reverse(call)).code is UNKNOWN, transaction_id
    assert await main(bench) == (50, 0)


async def test_a_transaction_of_another_wallet_is_not_known(bench: Bench) -> None:
    await open_wallet(bench, 50)
    spent = await charged(bench, "release", 0, use(10))
    for group in ("famil", "family2", "other"):
        assert (await reverse(bench, spent, WalletKey("demo", group))).code is UNKNOWN
    assert await main(bench) == (40, 0)


async def test_a_bucket_gets_its_own_back_whatever_it_is_by_now(bench: Bench) -> None:
    """Money of one that is gone goes to `main`, its units nowhere."""
    payers = (Payer("minutes", 1, 1), Payer("bonus", 0, 1), Payer("gone", 0, 1), MAIN_PAYER)
    buckets = (units_bucket("minutes"), Bucket(bucket="bonus"), Bucket(bucket="gone"))
    await open_wallet(bench, 0, *buckets)
    spent = await charged(bench, "release", 0, use(300, payers=payers))
    ended = Bucket(bucket="bonus", valid_until_ms=NOW_MS - 1)
    assert await bench.ledger.define(FAMILY, definition(2, ended))
    reply = await reverse(bench, spent)
    assert (reply.amount, reply.units) == (200, 0)
    assert (await numbers(bench, "bonus"), await main(bench)) == ((100, 0), (100, 0))


@pytest.mark.parametrize(
    ("spent", "bonus", "left"), [(0, 70, 100), (60, 10, 100), (80, 0, 90), (100, 0, 70)]
)
async def test_what_had_gone_back_is_taken_again(
    bench: Bench, spent: int, bonus: int, left: int
) -> None:
    """From the bucket that has it, as far as it has it; the rest is the affair of `main`."""
    payers = (Payer("bonus", 0, 1), MAIN_PAYER)
    await open_wallet(bench, 100, Bucket(bucket="bonus"))
    await charge(bench, "update", 0, total(50, 0, payers=payers))
    release = await charged(bench, "release", 1, total(20, payers=payers))
    assert await numbers(bench, "bonus") == (80, 0)
    await credit(bench, 20, "bonus", "more")
    if spent:
        await bench.ledger.charge(
            call("event", 0, use(spent, payers=payers), session=session("other"))
        )
    reply = await reverse(bench, release)
    assert (reply.amount, reply.units) == (-30, 0)
    assert (await numbers(bench, "bonus"), await main(bench)) == ((bonus, 0), (left, 0))


@pytest.mark.parametrize(("held", "left", "units"), [(0, 70, -30), (90, 90, -10), (100, 100, 0)])
async def test_units_are_taken_again_as_far_as_nobody_holds_them(
    bench: Bench, held: int, left: int, units: int
) -> None:
    payers = (Payer("minutes", 1, 1), MAIN_PAYER)
    await open_wallet(bench, 0, units_bucket("minutes"))
    await charge(bench, "update", 0, total(30, 0, payers=payers))
    release = await charged(bench, "release", 1, total(0, payers=payers))
    other = call("start", 0, use(0, held, payers=payers), session=session("other"))
    await bench.ledger.charge(other)
    assert (await reverse(bench, release)).units == units
    assert await numbers(bench, "minutes") == (left, held)


async def test_a_session_that_was_reversed_pays_nothing_back(bench: Bench) -> None:
    """Volume pricing, and a report that comes late: what it would give back has gone back."""
    rows = [(0, 1, Fraction(3)), (30, 1, Fraction(1))]
    ladder = compile_ladder(Fraction(0), rows, by_total=True)
    payers = (Payer("minutes", 1, 1), MAIN_PAYER)
    await open_wallet(bench, 100, units_bucket("minutes"))
    spent = await charged(bench, "release", 0, use(125, -1, ladder, payers=payers))
    assert await main(bench) == (25, 0)
    await reverse(bench, spent)
    assert (await numbers(bench, "minutes"), await main(bench)) == ((100, 0), (100, 0))
    late = await charge(bench, "update", 1, use(10, -1, ladder))
    assert (late.settled_units, late.settled_amount) == (10, 0)


async def test_a_repeat_of_what_was_reversed_gets_its_answer(bench: Bench) -> None:
    await open_wallet(bench, 50)
    spent = await charged(bench, "release", 0, use(10))
    await reverse(bench, spent)
    again = await bench.ledger.charge(call("release", 0, use(10)))
    assert again.hit
    assert again.result == spent
    assert await main(bench) == (50, 0)


async def test_a_reversal_does_not_prolong_the_memory_of_a_session(
    store_server: EmbeddedStore,
) -> None:
    async with real_bench(store_server.url) as bench:
        await open_wallet(bench, 100)
        spent = result_of(await bench.ledger.charge(call("release", 0, use(10))))
        (record,) = await bench.keys("*}s:*")
        await bench.connection.execute("PEXPIRE", record, 50_000)
        await reverse(bench, spent)
        left_ms = await bench.connection.execute("PTTL", record)
        assert isinstance(left_ms, int)
        assert 0 < left_ms <= 50_000

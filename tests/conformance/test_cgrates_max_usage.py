"""How long a call may last on an account: CGRateS's maximum usage, asked of the ledger.

The peer asks the most precise destination first, then the weight, units before money. Here a
bucket's priority says all of that, so it is worked out from those.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from ocs.adapters.tariff_import.cgrates_plan import NANOSECONDS, raw_units
from ocs.domain.money import currency
from ocs.domain.wallet import MAIN_BUCKET, Bucket, BucketKind, Wallet
from tests.adapters import calls
from tests.adapters.ledgers import Bench
from tests.conformance.cases import Case, cases
from tests.conformance.cgrates_rating import CURRENCY, call_of

Balance = Mapping[str, object]
Destinations = Mapping[str, Sequence[str]]


@pytest.mark.parametrize(
    "case", cases("cgrates.json", "max_usage", wanted=lambda case: case["conformance"] == "must")
)
async def test_max_usage(bench: Bench, case: Case) -> None:
    """A start asks for the whole usage; what it is granted is the maximum."""
    destinations: Destinations = case["tariff"]["destinations"]
    number = case["call"]["destination"]
    balances = [
        each
        for each in case["account"]["balances"]
        if not _is_elsewhere(each, number, destinations)
    ]
    buckets = _buckets(balances, number, destinations)
    await bench.set_now(calls.NOW_MS)
    assert await bench.ledger.define(calls.FAMILY, calls.definition(1, *buckets))
    for balance, bucket in zip(balances, buckets, strict=True):
        if _amount(balance):
            await calls.credit(bench, _amount(balance), bucket.bucket, bucket.bucket)
    call = call_of(case)
    payers = Wallet(1, (*buckets, MAIN_BUCKET)).payers("voice", number)
    segments = tuple(calls.segment(rate.ladder, from_ms) for from_ms, rate in call.schedule)
    free = not any(
        rate.ladder.fee or any(row.price for row in rate.ladder.rows) for _, rate in call.schedule
    )
    asked = calls.use(0, call.units, timed=1, free=int(free), payers=payers, segments=segments)
    reply = await bench.ledger.charge(
        calls.call("start", 0, asked, event_ms=call.at_ms, answer_ms=call.at_ms)
    )
    granted = calls.result_of(reply).services[0].granted_units
    assert granted == raw_units(case["expect"]["max_usage"]) // NANOSECONDS


def _is_elsewhere(balance: Balance, number: str, destinations: Destinations) -> bool:
    return bool(balance.get("destinations")) and not _precision(balance, number, destinations)


def _precision(balance: Balance, number: str, destinations: Destinations) -> int:
    """Return the length of the longest prefix by which a balance is for this number."""
    named = balance.get("destinations") or ()
    assert isinstance(named, Sequence)
    prefixes = [prefix for name in named for prefix in destinations[name]]
    return max((len(each) for each in prefixes if number.startswith(each)), default=0)


def _buckets(
    balances: Sequence[Balance], number: str, destinations: Destinations
) -> tuple[Bucket, ...]:
    """Return a bucket for each balance; the first to pay has the highest priority."""
    order = sorted(
        range(len(balances)),
        key=lambda at: (
            balances[at]["type"] == "*voice",
            _precision(balances[at], number, destinations),
            balances[at].get("weight", 0),
        ),
    )
    return tuple(
        Bucket(
            bucket=f"b{at}",
            kind=BucketKind.UNITS if balance["type"] == "*voice" else BucketKind.MONEY,
            usage_types=("voice",),
            priority=1 + order.index(at),
            blocker=bool(balance.get("blocker")),
        )
        for at, balance in enumerate(balances)
    )


def _amount(balance: Balance) -> int:
    value = Decimal(str(balance["value"]))
    if balance["type"] == "*voice":
        return int(value)
    return int(value * currency(CURRENCY).units_a_whole)

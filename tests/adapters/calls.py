"""Short hands for calls of the ledger: what a test does not say is plain.

`call("update", 3, use(30, 60))` is an update with request number 3 of session s1 of the wallet
`family`, which used 30 units and asks for 60, at 1 money unit a unit, paid by `main`.
"""

from fractions import Fraction
from typing import Any

import msgspec

from ocs.domain.events import Kind, Reporting
from ocs.domain.ladder import Ladder, compile_ladder, packed
from ocs.domain.wallet import MAIN_BUCKET, MAIN_ONLY, Bucket, BucketKind
from ocs.usecases.ports import (
    ChargeCall,
    ChargeLimits,
    ChargeResult,
    CreditCall,
    Reply,
    Segment,
    ServiceCall,
    ServiceResult,
    SessionKey,
    WalletDefinition,
    WalletKey,
)
from tests.adapters.ledgers import Bench

NOW_MS = 4_102_444_800_000
"""1 January 2100: what the store lets fade by its own clock never fades during a test."""
FAMILY = WalletKey("demo", "family")


def session(name: str = "s1", account: str = "ann") -> SessionKey:
    return SessionKey(FAMILY.tenant, FAMILY.wallet_group, account, name)


def price(
    each: int | Fraction = 1, increment: int = 1, *, fee: int | Fraction = 0, **terms: Any
) -> Ladder:
    """`each` money units for each begun `increment`."""
    return compile_ladder(Fraction(fee), [(0, increment, Fraction(each))], **terms)


def segment(ladder: Ladder, from_ms: int = 0) -> Segment:
    return Segment(from_ms, msgspec.Raw(msgspec.msgpack.encode(packed(ladder))), "rating")


def use(used: int = 0, ask: int = -1, ladder: Ladder | None = None, **fields: Any) -> ServiceCall:
    plain: dict[str, Any] = {
        "rating_group": "0",
        "cap_units": ask,
        "minimum_units": 1,
        "timed": 0,
        "free": 0,
        "subject": "rate",
        "payers": MAIN_ONLY,
        "segments": (segment(ladder or price()),),
    }
    return ServiceCall(used_units=used, ask_units=ask, **{**plain, **fields})


def call(kind: str, number: int, *uses: ServiceCall, **fields: Any) -> ChargeCall:
    plain: dict[str, Any] = {
        "session": session(),
        "request_key": "",
        "fingerprint": f"{kind} {[(u.used_units, u.ask_units, u.subject) for u in uses]}",
        "wallet_version": 1,
        "event_ms": NOW_MS,
        "answer_ms": 0,
        "answered": False,
        "dry_run": False,
        "can_open": True,
        "limits": ChargeLimits(),
        "services": uses,
    }
    return ChargeCall(kind=Kind(kind), request_number=number, **{**plain, **fields})


def units_bucket(name: str, **fields: Any) -> Bucket:
    return Bucket(bucket=name, kind=BucketKind.UNITS, usage_types=("voice",), **fields)


def definition(version: int, *buckets: Bucket, **fields: Any) -> WalletDefinition:
    return WalletDefinition(
        version=version, currency="EUR", buckets=(*buckets, MAIN_BUCKET), **fields
    )


async def open_wallet(bench: Bench, amount: int, *buckets: Bucket, **fields: Any) -> None:
    """Version 1 of the wallet, with `amount` in `main` and 100 in every other bucket."""
    await bench.set_now(NOW_MS)
    assert await bench.ledger.define(FAMILY, definition(1, *buckets, **fields))
    for bucket in buckets:
        await credit(bench, 100, bucket.bucket, f"opening {bucket.bucket}")
    if amount:
        await credit(bench, amount, "main", "opening")


async def credit(bench: Bench, amount: int, bucket: str, reference: str) -> None:
    reply = await bench.ledger.credit(
        CreditCall(wallet=FAMILY, bucket=bucket, amount=amount, reference=reference)
    )
    assert reply.transaction_id


def result_of(reply: Reply) -> ChargeResult:
    assert reply.result
    return reply.result


def total(used: int = 0, ask: int = -1, *args: Any, **fields: Any) -> ServiceCall:
    """A use whose `used` is a running total."""
    return use(used, ask, *args, reporting=Reporting.TOTAL, **fields)


def later(used: int = 0, ask: int = -1, *args: Any, **fields: Any) -> ServiceCall:
    """A use that is settled at the release."""
    return use(used, ask, *args, reporting=Reporting.AT_RELEASE, **fields)


async def charged(bench: Bench, kind: str, number: int, *uses: ServiceCall) -> ChargeResult:
    """Charge session s1, and look at the books."""
    result = result_of(await bench.ledger.charge(call(kind, number, *uses)))
    await bench.check(FAMILY)
    return result


async def charge(bench: Bench, kind: str, number: int, *uses: ServiceCall) -> ServiceResult:
    """The same, for what became of the first service."""
    return (await charged(bench, kind, number, *uses)).services[0]


async def main(bench: Bench) -> tuple[int, int]:
    """Left and held of `main`."""
    return await numbers(bench, "main")


async def numbers(bench: Bench, name: str) -> tuple[int, int]:
    balance = await bench.ledger.balance(FAMILY)
    assert balance
    return next((b.left, b.held) for b in balance.balances if b.bucket == name)

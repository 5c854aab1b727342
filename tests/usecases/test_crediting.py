import pytest

from ocs.domain.results import ResultCode
from ocs.domain.wallet import Bucket, BucketKind
from ocs.usecases.crediting import CreditAnswer, Crediting, CreditKind, CreditOrder
from ocs.usecases.ports import Account
from ocs.usecases.provisioning import Provisioning, account_terms
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger

MINUTES = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",))
OK = ResultCode.OK


class Desk:
    def __init__(self) -> None:
        self.directory = MemoryDirectory()
        self.ledger = ReferenceLedger(now_ms=1_000)
        self.crediting = Crediting(self.directory, self.ledger)

    async def open(self) -> None:
        provisioning = Provisioning(self.directory, self.ledger)
        await provisioning.create_account("demo", account_terms("acme", "EUR"))
        await provisioning.add_bucket("demo", "acme", MINUTES)

    async def credit(
        self, amount: str, reference: str = "r1", kind: str = "top-up", **fields: str
    ) -> CreditAnswer:
        order = CreditOrder(
            tenant="demo",
            account=fields.get("account", "acme"),
            kind=CreditKind(kind),
            amount=amount,
            reference=reference,
            bucket=fields.get("bucket", "main"),
        )
        return await self.crediting.credit(order)


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.open()
    return desk


async def test_a_top_up_is_answered_with_what_is_left(desk: Desk) -> None:
    answer = await desk.credit("10.00")
    assert (answer.code, answer.amount, answer.left, answer.unit) == (OK, "10.00", "10.00", "EUR")
    assert answer.transaction_id
    assert not answer.hit


async def test_a_reference_moves_money_once(desk: Desk) -> None:
    first = await desk.credit("10.00")
    again = await desk.credit("10")
    assert (again.hit, again.transaction_id, again.left) == (True, first.transaction_id, "10.00")
    other = await desk.credit("11.00")
    assert other.code is ResultCode.CONFLICT
    assert "this reference was used" in other.reason
    assert (await desk.credit("1", "r2")).left == "11.00"


async def test_an_adjustment_takes_away_down_to_the_floor(desk: Desk) -> None:
    await desk.credit("10.00")
    assert (await desk.credit("-4.5", "r2", "adjust")).left == "5.50"
    refused = await desk.credit("-5.500001", "r3", "adjust")
    assert refused.code is ResultCode.NO_CREDIT
    assert refused.reason == "this would take the balance below its floor"


async def test_units_are_credited_whole(desk: Desk) -> None:
    answer = await desk.credit("3600", bucket="minutes")
    assert (answer.code, answer.left, answer.unit) == (OK, "3600", "units")


@pytest.mark.parametrize(
    ("amount", "kind", "bucket", "reason"),
    [
        ("0", "top-up", "main", "nothing would move"),
        ("-1", "top-up", "main", "an adjustment may take away"),
        ("-1", "refund", "main", "a refund adds"),
        ("ten", "adjust", "main", "not a decimal"),
        ("1.0000001", "adjust", "main", "more than the 6 decimals"),
        ("1.5", "top-up", "minutes", "not a whole number of units"),
        ("9007199254740992", "top-up", "minutes", "not a whole number of units"),
    ],
)
async def test_an_impossible_amount_moves_nothing(
    desk: Desk, amount: str, kind: str, bucket: str, reason: str
) -> None:
    answer = await desk.credit(amount, kind=kind, bucket=bucket)
    assert answer.code is ResultCode.INVALID_EVENT
    assert reason in answer.reason
    assert answer.transaction_id == ""


@pytest.mark.parametrize("reference", ["", "x" * 301])
async def test_a_reference_has_a_length(desk: Desk, reference: str) -> None:
    assert (await desk.credit("1", reference)).code is ResultCode.INVALID_EVENT


async def test_whom_and_what_it_does_not_know(desk: Desk) -> None:
    unknown = ResultCode.UNKNOWN_SUBSCRIBER
    nobody = await desk.credit("1", account="nobody")
    assert (nobody.code, nobody.reason) == (unknown, "there is no account nobody")
    bucket = await desk.credit("1", bucket="data")
    assert (bucket.code, bucket.reason) == (unknown, "account acme has no bucket data")


async def test_an_account_without_its_wallet_is_told_so(desk: Desk) -> None:
    half = Account(account="half", wallet_group="half", currency="EUR")
    await desk.directory.put_account("demo", half)
    answer = await desk.credit("1", account="half")
    assert answer.code is ResultCode.UNKNOWN_SUBSCRIBER
    assert answer.reason == "the account has no such wallet or bucket"
    answer = await desk.credit("1", account="half", bucket="minutes")
    assert answer.reason == "account half has no bucket minutes"

import msgspec
import pytest

from ocs.domain.wallet import MAIN_BUCKET, Bucket, BucketKind
from ocs.usecases.crediting import Crediting, CreditKind, CreditOrder
from ocs.usecases.ports import Account, Settler, Subscriber, WalletDefinition, WalletKey
from ocs.usecases.provisioning import (
    AccountTerms,
    Outcome,
    Provisioning,
    TermsError,
    account_terms,
    checked_bucket,
)
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger

MINUTES = Bucket(bucket="minutes", kind=BucketKind.UNITS, usage_types=("voice",), priority=10)


class Office:
    def __init__(self) -> None:
        self.directory = MemoryDirectory()
        self.ledger = ReferenceLedger(now_ms=1_000)
        self.provisioning = Provisioning(self.directory, self.ledger)
        self.crediting = Crediting(self.directory, self.ledger)

    async def create(self, account: str = "acme", **terms: str) -> Outcome:
        return await self.provisioning.create_account(
            "demo", account_terms(account, "EUR", **terms)
        )

    async def definition(self, wallet_group: str = "acme") -> WalletDefinition:
        wallet = await self.ledger.balance(WalletKey("demo", wallet_group))
        assert wallet is not None
        return wallet.definition


@pytest.fixture
def office() -> Office:
    return Office()


async def test_an_account_is_created_once(office: Office) -> None:
    assert await office.create() is Outcome.CREATED
    assert await office.create() is Outcome.UNCHANGED
    view = await office.provisioning.account("demo", "acme")
    assert view is not None
    assert view.account == Account(account="acme", wallet_group="acme", currency="EUR")
    assert await office.definition() == WalletDefinition(
        version=1, currency="EUR", buckets=(MAIN_BUCKET,)
    )


async def test_a_postpaid_account_has_its_floor_and_buckets(office: Office) -> None:
    terms = account_terms("acme", "EUR", kind="postpaid", floor="-100.00")
    terms = msgspec.structs.replace(terms, buckets=(MINUTES,))
    assert await office.provisioning.create_account("demo", terms) is Outcome.CREATED
    definition = await office.definition()
    assert definition.floor_amount == -100_000_000
    assert definition.buckets == (MAIN_BUCKET, MINUTES)


@pytest.mark.parametrize(
    "terms",
    [
        AccountTerms(account="acme", wallet_group="acme", currency="USD"),
        AccountTerms(account="acme", wallet_group="family", currency="EUR"),
        AccountTerms(account="acme", wallet_group="acme", currency="EUR", floor_amount=-1),
        AccountTerms(account="acme", wallet_group="acme", currency="EUR", buckets=(MINUTES,)),
        AccountTerms(
            account="acme", wallet_group="acme", currency="EUR", settled_by=Settler.NOBODY
        ),
    ],
)
async def test_other_terms_are_a_conflict(office: Office, terms: AccountTerms) -> None:
    await office.create()
    assert await office.provisioning.create_account("demo", terms) is Outcome.CONFLICT


@pytest.mark.parametrize(
    ("terms", "settler"),
    [
        ({}, Settler.EVENTS),
        ({"kind": "postpaid", "floor": "-1"}, Settler.EVENTS),
        ({"kind": "postpaid", "floor": "-1", "settled_by": "events"}, Settler.EVENTS),
        ({"kind": "postpaid", "floor": "-1", "settled_by": "cdr"}, Settler.CDR),
        ({"kind": "offline"}, Settler.NOBODY),
    ],
)
async def test_an_account_says_what_is_debited_to_it(
    office: Office, terms: dict[str, str], settler: Settler
) -> None:
    """And has further buckets only where events are: no CDR would be paid by them."""
    await office.create(**terms)
    assert (await office.definition()).settled_by is settler
    if settler is Settler.EVENTS:
        assert await office.provisioning.add_bucket("demo", "acme", MINUTES) is Outcome.CHANGED
        return
    with pytest.raises(TermsError, match="settled by events"):
        await office.provisioning.add_bucket("demo", "acme", MINUTES)


async def test_an_interrupted_creation_is_completed_by_the_next_try(office: Office) -> None:
    account = Account(account="acme", wallet_group="acme", currency="EUR")
    await office.directory.put_account("demo", account)
    view = await office.provisioning.account("demo", "acme")
    assert view is not None
    assert view.wallet is None
    assert await office.provisioning.set_active("demo", "acme", active=False) is Outcome.UNKNOWN
    assert await office.create() is Outcome.CREATED


async def test_accounts_of_one_group_share_a_wallet(office: Office) -> None:
    assert await office.create("mother", wallet_group="family") is Outcome.CREATED
    assert await office.create("child", wallet_group="family") is Outcome.UNCHANGED
    money = CreditOrder(
        tenant="demo", account="child", kind=CreditKind.TOP_UP, amount="5", reference="r"
    )
    await office.crediting.credit(money)
    mother = await office.provisioning.account("demo", "mother")
    assert mother is not None
    assert mother.wallet is not None
    assert mother.wallet.balances[0].left == 5_000_000


async def test_a_blocked_account_stays_what_it_is(office: Office) -> None:
    await office.create()
    block = [await office.provisioning.set_active("demo", "acme", active=False) for _ in range(2)]
    assert block == [Outcome.CHANGED, Outcome.UNCHANGED]
    assert not (await office.definition()).active
    assert await office.create() is Outcome.UNCHANGED
    assert await office.provisioning.set_active("demo", "acme", active=True) is Outcome.CHANGED
    assert (await office.definition()).version == 3


async def test_a_bucket_is_added_once(office: Office) -> None:
    await office.create()
    assert await office.provisioning.add_bucket("demo", "acme", MINUTES) is Outcome.CHANGED
    assert await office.provisioning.add_bucket("demo", "acme", MINUTES) is Outcome.UNCHANGED
    other = msgspec.structs.replace(MINUTES, priority=1)
    assert await office.provisioning.add_bucket("demo", "acme", other) is Outcome.CONFLICT
    assert (await office.definition()).buckets == (MAIN_BUCKET, MINUTES)


async def test_who_changes_a_wallet_at_the_same_time_waits_for_nobody(office: Office) -> None:
    """Somebody else's version is in force by the time that ours arrives: read again, try again."""

    class Racing(ReferenceLedger):
        races = 2

        async def define(self, wallet: WalletKey, definition: WalletDefinition) -> bool:
            if definition.version > 1 and self.races > 0:
                self.races -= 1
                current = await self.balance(wallet)
                assert current is not None
                other = msgspec.structs.replace(
                    current.definition, version=definition.version, floor_amount=-self.races
                )
                assert await super().define(wallet, other)
            return await super().define(wallet, definition)

    office.ledger = Racing()
    office.provisioning = Provisioning(office.directory, office.ledger)
    await office.create()
    assert await office.provisioning.set_active("demo", "acme", active=False) is Outcome.CHANGED
    definition = await office.definition()
    assert (definition.version, definition.active, definition.floor_amount) == (4, False, 0)
    office.ledger.races = 100
    assert await office.provisioning.set_active("demo", "acme", active=True) is Outcome.CONFLICT


async def test_a_subscriber_belongs_to_an_account(office: Office) -> None:
    create = office.provisioning.create_subscriber
    assert await create("demo", "4411", "acme", "standard") is Outcome.UNKNOWN
    await office.create("acme", wallet_group="family")
    await office.create("other")
    assert await create("demo", "4411", "acme", "standard") is Outcome.CREATED
    assert await create("demo", "4411", "acme", "standard") is Outcome.UNCHANGED
    assert await create("demo", "4411", "acme", "gold") is Outcome.CHANGED
    assert await create("demo", "4411", "other", "gold") is Outcome.CONFLICT
    assert await office.directory.subscriber("demo", "4411") == Subscriber(
        identity="4411", account="acme", wallet_group="family", plan="gold", currency="EUR"
    )


async def test_what_does_not_exist_is_unknown(office: Office) -> None:
    assert await office.provisioning.account("demo", "nobody") is None
    assert await office.provisioning.add_bucket("demo", "nobody", MINUTES) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("terms", "field", "reason"),
    [
        ({"account": ""}, "account", "no name"),
        ({"account": "a b"}, "account", "no name"),
        ({"account": "a/b"}, "account", "no name"),
        ({"account": "x" * 256}, "account", "no name"),
        ({"wallet_group": "{p1}"}, "wallet_group", "no name"),
        ({"currency": "EURO"}, "currency", "unknown currency 'EURO'"),
        ({"kind": "free"}, "kind", "none of prepaid, postpaid, offline"),
        ({"floor": "-1"}, "floor", "a prepaid account stops at 0"),
        ({"kind": "postpaid"}, "floor", "needs a floor below 0"),
        ({"kind": "postpaid", "floor": "5"}, "floor", "needs a floor below 0"),
        ({"floor": "much"}, "floor", "not a decimal"),
        ({"kind": "offline", "floor": "-5"}, "floor", "has no balance"),
        ({"kind": "offline", "settled_by": "cdr"}, "settled_by", "settled by nobody"),
        ({"settled_by": "cdr"}, "settled_by", "for postpaid accounts"),
        ({"settled_by": "nobody"}, "settled_by", "neither events nor cdr"),
    ],
)
def test_impossible_terms_name_their_field(terms: dict[str, str], field: str, reason: str) -> None:
    given = {"account": "acme", "currency": "EUR", **terms}
    with pytest.raises(TermsError, match=reason) as error:
        account_terms(given.pop("account"), given.pop("currency"), **given)
    assert error.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bucket": "main"}, "bucket"),
        ({"bucket": "Gold Minutes"}, "bucket"),
        ({"valid_from_ms": 5, "valid_until_ms": 5}, "valid_until"),
        ({"increment_units": 0}, "increment_units"),
        ({"factor": 0}, "increment_units"),
    ],
)
def test_impossible_buckets_name_their_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(TermsError) as error:
        checked_bucket(msgspec.structs.replace(MINUTES, **changes))
    assert error.value.field == field


def test_a_possible_bucket_is_returned() -> None:
    assert checked_bucket(MINUTES) is MINUTES

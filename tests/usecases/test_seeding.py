import asyncio

import msgspec
import pytest

from ocs.domain.numbers import clean_number
from ocs.usecases.crediting import Crediting, CreditKind, CreditOrder
from ocs.usecases.ports import CreditCall, CreditReply, WalletKey
from ocs.usecases.provisioning import Provisioning
from ocs.usecases.seed_files import BadSeedLine, SeedFile
from ocs.usecases.seeding import Seeding, SeedReport
from tests.adapters.memory_directory import MemoryDirectory
from tests.adapters.reference_ledger import ReferenceLedger

ACCOUNTS = """\
# the accounts of a demonstration

account,currency,kind,floor,balance,wallet_group
a1, EUR, prepaid, , 10.00,
a2,EUR,postpaid,-50,0,
a3,JPY,prepaid,0,,a3
"""
SUBSCRIBERS = """\
plan,identity,account
standard,+44 1632 960001,a1
standard,441632960002,a2
gold,sip:Carol@example.com,a3
"""


class Garden:
    def __init__(self) -> None:
        self.directory = MemoryDirectory()
        self.ledger = ReferenceLedger(now_ms=1_000)
        self.crediting = Crediting(self.directory, self.ledger)
        provisioning = Provisioning(self.directory, self.ledger)
        self.seeding = Seeding(provisioning, self.crediting, clean_number)

    async def seed(self, accounts: str = ACCOUNTS, subscribers: str = SUBSCRIBERS) -> SeedReport:
        return await self.seeding.seed(
            "demo",
            SeedFile("accounts.csv", accounts),
            SeedFile("subscribers.csv", subscribers),
            {"standard", "gold"},
        )

    async def left(self, account: str) -> int:
        wallet = await self.ledger.balance(WalletKey("demo", account))
        assert wallet is not None
        return wallet.balances[0].left


@pytest.fixture
def garden() -> Garden:
    return Garden()


async def test_a_seed_creates_what_it_names(garden: Garden) -> None:
    report = await garden.seed()
    assert report == SeedReport(accounts_created=3, subscribers_created=3, credited=1)
    assert await garden.left("a1") == 10_000_000
    identities = [one.identity for one in await garden.directory.subscribers("demo")]
    assert identities == ["441632960001", "441632960002", "carol"]


async def test_a_second_run_changes_nothing_even_after_use(garden: Garden) -> None:
    await garden.seed()
    order = CreditOrder(
        tenant="demo", account="a1", kind=CreditKind.ADJUST, amount="-9", reference="r"
    )
    await garden.crediting.credit(order)
    assert await garden.seed() == SeedReport(unchanged=6)
    assert await garden.left("a1") == 1_000_000


async def test_an_interrupted_seed_is_completed_by_the_next(garden: Garden) -> None:
    first_line = "\n".join(ACCOUNTS.splitlines()[:4])
    await garden.seed(first_line.replace("10.00", ""), "identity,account,plan")
    report = await garden.seed()
    assert report == SeedReport(accounts_created=2, subscribers_created=3, credited=1, unchanged=0)
    assert await garden.left("a1") == 10_000_000


async def test_an_opening_balance_is_given_once_though_the_ledger_forgets_references(
    garden: Garden,
) -> None:
    await garden.seed()
    for wallet in garden.ledger.books.wallets.values():
        wallet.references.clear()
    assert await garden.seed() == SeedReport(unchanged=6)
    assert await garden.left("a1") == 10_000_000


async def test_two_seeds_at_once_give_one_opening_balance(garden: Garden) -> None:
    await asyncio.gather(garden.seed(), garden.seed(), garden.seed())
    assert await garden.left("a1") == 10_000_000


async def test_another_opening_balance_that_comes_first_is_told(garden: Garden) -> None:
    class Overtaken(ReferenceLedger):
        async def credit(self, call: CreditCall) -> CreditReply:
            await super().credit(msgspec.structs.replace(call, amount=7))
            return await super().credit(call)

    await garden.seed(ACCOUNTS.replace("10.00", ""))
    garden.ledger.__class__ = Overtaken
    report = await garden.seed()
    assert [(wrong.line, wrong.column) for wrong in report.bad] == [(4, "balance")]
    assert await garden.left("a1") == 7


async def test_accounts_that_share_a_wallet_have_one_opening_balance(garden: Garden) -> None:
    header = "account,currency,kind,floor,balance,wallet_group\n"
    family = "mother,EUR,prepaid,0,10,family\nson,EUR,prepaid,0,0,family\n"
    report = await garden.seed(header + family, "identity,account,plan")
    assert (report.accounts_created, report.unchanged, report.credited) == (1, 1, 1)
    report = await garden.seed(
        header + family + "aunt,EUR,prepaid,0,5,family\n", "identity,account,plan"
    )
    [wrong] = report.bad
    assert (wrong.line, wrong.column, wrong.reason) == (
        4,
        "balance",
        "line 2 opens the wallet family",
    )


async def test_another_plan_is_a_change(garden: Garden) -> None:
    await garden.seed()
    report = await garden.seed(subscribers=SUBSCRIBERS.replace("standard", "gold"))
    assert (report.subscribers_changed, report.unchanged) == (2, 4)


async def test_every_bad_line_is_reported_and_nothing_is_done(garden: Garden) -> None:
    accounts = ACCOUNTS + (
        "a1,EUR,prepaid,0,1,\n"
        "a4,EURO,prepaid,0,1,\n"
        "a5,EUR,prepaid,0,-1,\n"
        "a6,EUR,prepaid,0,1.0000001,\n"
        "a7,EUR\n"
        'a8,"EUR" x,prepaid,0,1,\n'
        "a9,EUR,postpaid,,1,\n"
    )
    subscribers = SUBSCRIBERS + (
        "standard,00441632960001,a1\nsilver,441,a1\nstandard,,a1\nstandard,442,a 1\n"
    )
    report = await garden.seed(accounts, subscribers)
    where = [(wrong.file, wrong.line, wrong.column) for wrong in report.bad]
    assert where == [
        ("accounts.csv", 7, "account"),
        ("accounts.csv", 8, "currency"),
        ("accounts.csv", 9, "balance"),
        ("accounts.csv", 10, "balance"),
        ("accounts.csv", 11, ""),
        ("accounts.csv", 12, ""),
        ("accounts.csv", 13, "floor"),
        ("subscribers.csv", 5, "identity"),
        ("subscribers.csv", 6, "plan"),
        ("subscribers.csv", 7, "identity"),
        ("subscribers.csv", 8, "account"),
    ]
    assert report.bad[0].reason == "a1 is on line 4 already"
    assert report.bad[4].reason == "2 values for 6 columns"
    assert report.bad[5].reason.startswith("not CSV: ")
    assert report.bad[8].reason == "there is no plan 'silver'; known: gold, standard"
    assert report == SeedReport(bad=report.bad)
    assert await garden.directory.accounts("demo") == []


async def test_a_seed_says_what_is_debited(garden: Garden) -> None:
    """An offline account has no balance to begin with: nobody will ever look at it."""
    header = "account,currency,kind,floor,balance,settled_by\n"
    lines = "a1,EUR,prepaid,,1,\na2,EUR,postpaid,-5,,cdr\na3,EUR,offline,,,\n"
    assert (await garden.seed(header + lines)).accounts_created == 3
    settlers = []
    for account in ("a1", "a2", "a3"):
        wallet = await garden.ledger.balance(WalletKey("demo", account))
        assert wallet
        settlers.append(wallet.definition.settled_by)
    assert settlers == ["events", "cdr", "nobody"]
    [wrong] = (await garden.seed(header + "a4,EUR,offline,,5,\n")).bad
    assert (wrong.line, wrong.column) == (2, "balance")


@pytest.mark.parametrize(
    ("accounts", "column", "reason"),
    [
        ("", "account", "the header has no column account, currency, kind, floor, balance"),
        ("account,currency,kind,floor\n", "balance", "the header has no column balance"),
        ("account,currency,kind,floor,balance,colour\n", "colour", "unknown column 'colour'"),
        ("account,currency,kind,floor,balance,kind\n", "kind", "column 'kind' is there twice"),
    ],
)
async def test_below_a_bad_header_nothing_is_read(
    garden: Garden, accounts: str, column: str, reason: str
) -> None:
    report = await garden.seed(accounts)
    [wrong] = report.bad
    assert (wrong.file, wrong.line, wrong.column) == ("accounts.csv", 1, column)
    assert reason in wrong.reason


async def test_a_spreadsheet_s_byte_order_mark_is_no_column(garden: Garden) -> None:
    body = "\n".join(ACCOUNTS.splitlines()[2:])
    assert (await garden.seed("\ufeff" + body)).accounts_created == 3


async def test_lines_that_meet_other_terms_are_reported_and_the_others_applied(
    garden: Garden,
) -> None:
    await garden.seed()
    accounts = "account,currency,kind,floor,balance\na1,EUR,prepaid,0,20\na2,USD,prepaid,0,1\na4,EUR,prepaid,0,1\n"
    subscribers = "identity,account,plan\n441632960001,a2,gold\n4499,a4,gold\n4498,a9,gold\n"
    report = await garden.seed(accounts, subscribers)
    assert (report.accounts_created, report.subscribers_created, report.credited) == (1, 1, 1)
    assert await garden.left("a1") == 10_000_000, "an opening balance is given once"
    assert report.bad == (
        BadSeedLine(
            "accounts.csv",
            3,
            "account",
            "a2 exists on other terms (currency, wallet group, floor, settled_by)",
        ),
        BadSeedLine("subscribers.csv", 2, "identity", "441632960001 is another account's already"),
        BadSeedLine("subscribers.csv", 4, "account", "there is no account a9"),
    )


async def test_an_amount_that_no_wallet_holds_is_a_bad_line(garden: Garden) -> None:
    accounts = "account,currency,kind,floor,balance\nx,JPY,prepaid,0,9007199254740991\n"
    report = await garden.seed(accounts, "identity,account,plan")
    assert [wrong.column for wrong in report.bad] == ["balance"]
    assert "too large" in report.bad[0].reason


async def test_the_longest_name_has_an_opening_balance_too(garden: Garden) -> None:
    accounts = f"account,currency,kind,floor,balance\n{'x' * 255},EUR,prepaid,0,1\n"
    assert (await garden.seed(accounts, "identity,account,plan")).credited == 1

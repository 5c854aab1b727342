"""The books of the real store: read whole, in order when the ledger kept them, and not when not."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from ocs.adapters.valkey.books import ValkeyBooks
from ocs.adapters.valkey.connection import Connection, ConnectionSettings
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.functions import assemble
from ocs.adapters.valkey.keys import Keys, partition_of
from ocs.adapters.valkey.ledger import ValkeyLedger
from ocs.adapters.valkey.pipeline import LinkLimits
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN_BUCKET
from ocs.usecases.ports import CreditCall, SessionKey, WalletDefinition, WalletKey
from ocs.usecases.verification import BEGINNING, Base, Report, verify
from tests.adapters.test_ledger_faults import call

PARTITIONS = 16
LIBRARY = assemble()


class Bank:
    """A ledger of its own on the shared server, and its books."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.ledger = ValkeyLedger(connection, PARTITIONS, LIBRARY)

    async def open(self, name: str) -> None:
        wallet = WalletKey("demo", name)
        definition = WalletDefinition(version=1, currency="EUR", buckets=(MAIN_BUCKET,))
        assert await self.ledger.define(wallet, definition)
        await self.ledger.credit(
            CreditCall(wallet=wallet, bucket="main", amount=10**12, reference="opening")
        )

    async def start(self, name: str, session_id: str) -> str:
        key = SessionKey("demo", name, name, session_id)
        reply = await self.ledger.charge(msgspec.structs.replace(call(), session=key))
        assert reply.code is ResultCode.OK
        assert reply.result is not None
        return reply.result.transaction_id

    def keys(self, name: str) -> Keys:
        return Keys(partition_of(f"demo/{name}", PARTITIONS))

    async def verify(self) -> Report:
        return await verify(ValkeyBooks(self.connection))


@pytest.fixture
async def bank(store_server: EmbeddedStore) -> AsyncIterator[Bank]:
    async with Connection(store_server.url, library=LIBRARY) as connection:
        await connection.execute("FLUSHALL")
        bank = Bank(connection)
        for name in ("alice", "bob", "carol"):
            await bank.open(name)
        yield bank


async def test_books_that_the_ledger_kept_are_in_order(bank: Bank) -> None:
    await asyncio.gather(
        *(bank.start(name, f"s{n}") for name in ("alice", "bob", "carol") for n in range(5))
    )
    report = await bank.verify()
    assert report.findings == ()
    assert (report.wallets, report.sessions, report.open_sessions) == (3, 15, 15)
    assert report.entries == 3 * (2 + 5)


async def test_an_empty_store_has_nothing_wrong(bank: Bank) -> None:
    await bank.connection.execute("FLUSHALL")
    report = await bank.verify()
    assert (report.clean, report.partitions) == (True, 0)


async def test_a_journal_entry_that_is_missing_is_found(bank: Bank) -> None:
    transaction_id = await bank.start("alice", "s1")
    await bank.start("alice", "s2")
    _, _, entry_id = transaction_id.partition("-")
    assert await bank.connection.execute("XDEL", bank.keys("alice").journal, entry_id) == 1
    rules = {finding.rule for finding in (await bank.verify()).findings}
    assert "the journal has no gap" in rules


async def test_a_session_that_is_missing_is_found(bank: Bank) -> None:
    await bank.start("bob", "s1")
    assert await bank.connection.execute("DEL", bank.keys("bob").session("demo/bob/bob/s1")) == 1
    rules = {finding.rule for finding in (await bank.verify()).findings}
    assert rules == {"held = sum of open holds", "open sessions are counted"}


async def test_a_deadline_that_is_missing_is_found(bank: Bank) -> None:
    await bank.start("carol", "s1")
    keys = bank.keys("carol")
    assert await bank.connection.execute("ZREM", keys.deadlines, "demo/carol/carol/s1") == 1
    findings = (await bank.verify()).findings
    assert [(f.rule, f.subject) for f in findings] == [
        ("an open session has a deadline", "demo/carol/carol/s1")
    ]


async def test_books_are_right_while_charges_go_on(bank: Bank) -> None:
    stop = asyncio.Event()

    async def charge_on(name: str) -> int:
        number = 0
        while not stop.is_set():
            await bank.start(name, f"busy{number}")
            number += 1
            await asyncio.sleep(0.001)
        return number

    busy = [asyncio.create_task(charge_on(name)) for name in ("alice", "bob")]
    reports = [await bank.verify() for _ in range(3)]
    stop.set()
    assert all(count > 0 for count in await asyncio.gather(*busy))
    assert [report.findings for report in reports] == [(), (), ()]


async def test_a_partition_with_more_sessions_than_commands_may_wait_is_read(
    bank: Bank, store_server: EmbeddedStore
) -> None:
    """The waiting commands of a connection are bounded; what a partition holds is not."""
    total = 300
    await asyncio.gather(*(bank.start("alice", f"many-{number}") for number in range(total)))
    async with Connection(
        store_server.url,
        library=LIBRARY,
        settings=ConnectionSettings(limits=LinkLimits(waiting_commands=50)),
    ) as narrow:
        report = await verify(ValkeyBooks(narrow))
    assert report.clean, report.findings
    assert report.sessions == total


async def test_books_go_on_from_a_checkpoint(bank: Bank) -> None:
    await bank.start("alice", "s1")
    partition = partition_of("demo/alice", PARTITIONS)
    image = await ValkeyBooks(bank.connection).image(partition)
    last, *_ = (e.transaction_id.partition("-")[2] for e in reversed(image.entries))
    numbers = {(e.wallet, c.bucket): (c.left, c.held) for e in image.entries for c in e.changes}
    base = Base(last, len(image.entries), numbers)
    await bank.start("alice", "s2")
    await bank.connection.execute("XTRIM", bank.keys("alice").journal, "MINID", last)
    books = ValkeyBooks(bank.connection, lambda n: base if n == partition else BEGINNING)
    report = await verify(books)
    assert report.findings == ()
    (read,) = [i async for i in books.images() if i.partition == partition]
    assert (len(read.entries), read.added) == (1, base.entries + 1)
    rules = {finding.rule for finding in (await bank.verify()).findings}
    assert rules >= {"no journal entry is missing", "the journal has no gap"}

"""The drainer's calls on the real store: one holder at a time, and a fence behind it."""

from collections.abc import AsyncIterator

import pytest

from ocs.adapters.valkey import journal as journal_module
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import (
    ValkeyStream,
    find_entry,
    journal_folder_id,
    journal_status,
    moves_of,
    posted,
)
from ocs.adapters.valkey.keys import JOURNAL_KEY, Keys
from ocs.domain.results import ResultCode
from ocs.usecases.journal import JournalStatus, Lease, LeaseLost, StreamState, parse_id
from ocs.usecases.ports import LedgerUnavailable, OutcomeUnknown
from tests.adapters.test_books import LIBRARY, PARTITIONS, Bank

ALICE = 17
STATUS = JournalStatus("draining", "", 1, 2, 3, 4, 5, 6, 7, 8, 9)


@pytest.fixture
async def stream(store: Connection) -> ValkeyStream:
    return ValkeyStream(store, 256, "first")


async def fill(store: Connection, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        await store.execute("XADD", Keys(ALICE).journal, f"{number}-1", "e", b"x" * 570)


async def test_one_holds_the_lease(store: Connection, stream: ValkeyStream) -> None:
    second = ValkeyStream(store, 256, "second")
    lease = await stream.take("here")
    assert (lease.epoch, lease.elsewhere) == (1, "")
    assert (await stream.take("here")).epoch == 1
    held = await second.take("here")
    assert held == Lease(0, held.store_ms)
    await second.give_back()  # not its own
    assert (await second.take("here")).epoch == 0
    await stream.give_back()
    assert (await second.take("here")).epoch == 2
    assert await journal_folder_id(store) == "here"


async def test_a_lease_ends(store: Connection, stream: ValkeyStream) -> None:
    lease = await stream.take("here")
    second = ValkeyStream(store, 256, "second")
    for until_ms, epoch in (
        (lease.store_ms - 1, 2),
        # Set by a clock that has gone back since: nobody is kept waiting for an hour.
        (lease.store_ms + 3_600_000, 3),
    ):
        await store.execute("HSET", JOURNAL_KEY, "until_ms", until_ms, "owner", "somebody")
        assert (await second.take("here")).epoch == epoch


async def test_a_journal_has_one_folder(store: Connection, stream: ValkeyStream) -> None:
    assert await journal_folder_id(store) == ""
    await stream.take("here")
    lease = await ValkeyStream(store, 256, "second").take("there")
    assert (lease.epoch, lease.elsewhere) == (0, "here")


async def test_a_stream_is_seen_and_read(store: Connection, stream: ValkeyStream) -> None:
    assert await stream.state(ALICE) is None
    await fill(store, 30)
    assert await stream.state(ALICE) == StreamState((1, 1), (30, 1), 30, 30)
    page = await stream.read(ALICE, (10, 1), 5)
    assert [parse_id(each[0].decode()) for each in page] == [(n, 1) for n in range(11, 16)]
    assert page[0][1] == b"x" * 570
    assert await stream.read(ALICE, (30, 1), 5) == []
    assert await find_entry(store, ALICE, (12, 1)) == (b"12-1", b"x" * 570)
    assert await find_entry(store, ALICE, (12, 2)) is None


async def test_a_trim_is_counted(store: Connection, stream: ValkeyStream) -> None:
    await fill(store, 100)
    assert await stream.claim(ALICE, 1)
    gone = await stream.trim(ALICE, 1, (50, 0))
    assert 40 <= gone <= 49  # whole nodes of the stream
    state = await stream.state(ALICE)
    assert state == StreamState((gone + 1, 1), (100, 1), 100, 100 - gone)
    assert state.gone == gone
    await stream.trim(ALICE, 1, (1_000, 0))
    emptied = await stream.state(ALICE)
    assert emptied == StreamState((100, 1), (100, 1), 100, 0)


async def test_a_past_holder_cannot_trim(store: Connection, stream: ValkeyStream) -> None:
    await fill(store, 100)
    assert await stream.claim(ALICE, 1)
    assert await stream.claim(ALICE, 1)
    assert await stream.claim(ALICE, 2)
    assert not await stream.claim(ALICE, 1)
    with pytest.raises(LeaseLost):
        await stream.trim(ALICE, 1, (1_000, 0))
    assert await store.execute("XLEN", Keys(ALICE).journal) == 100
    assert await stream.trim(ALICE, 2, (1_000, 0)) == 100


async def test_the_status_is_left_for_others(store: Connection, stream: ValkeyStream) -> None:
    assert await journal_status(store) is None
    await stream.tell(STATUS)
    assert await journal_status(store) == STATUS


async def test_a_full_store_can_be_trimmed(own_server: EmbeddedStore) -> None:
    """It is what makes room again."""
    async with Connection(own_server.url) as store:
        stream = ValkeyStream(store, 256, "first")
        await fill(store, 500)
        await store.execute("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(Exception, match="OOM"):
            await store.execute("SET", "x", "y")
        assert (await stream.take("here")).epoch == 1
        assert await stream.claim(ALICE, 1)
        assert await stream.trim(ALICE, 1, (1_000, 0)) == 500
        await stream.give_back()
        await stream.tell(STATUS)
        assert await journal_status(store) == STATUS


async def test_faults_are_those_of_the_ports(
    own_server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Connection(own_server.url) as store:
        stream = ValkeyStream(store, 256, "first")
        await store.execute("SET", Keys(ALICE).journal, "no stream")
        with pytest.raises(OutcomeUnknown):  # an error within a script may come after a write
            await stream.trim(ALICE, 1, (1, 0)) if await stream.claim(ALICE, 1) else None
        with pytest.raises(LedgerUnavailable, match="WRONGTYPE"):
            await stream.state(ALICE)
        monkeypatch.setattr(journal_module, "_CLAIM", "return")
        assert not await stream.claim(ALICE, 1)
    for call in (stream.take("here"), stream.state(ALICE)):
        with pytest.raises(LedgerUnavailable):
            await call
    assert await journal_status(store) is None


@pytest.fixture
async def bank(store: Connection, store_server: EmbeddedStore) -> AsyncIterator[Bank]:
    async with Connection(store_server.url, library=LIBRARY) as connection:
        await store.execute("FLUSHALL")
        one = Bank(connection)
        await one.open("alice")
        yield one


async def test_an_entry_is_read_with_all_that_it_says(bank: Bank) -> None:
    transaction_id = await bank.start("alice", "s1")
    label, _, entry_id = transaction_id.partition("-")
    stream = ValkeyStream(bank.connection, PARTITIONS, "first")
    raw = (await stream.read(int(label), (0, 0), 100))[-1]
    assert raw[0].decode() == entry_id
    wallet, moves = moves_of(raw[1])
    ((bucket, left, held),) = moves
    assert (wallet, bucket) == ("demo/alice", "main")
    one = posted(int(label), raw)
    assert one.result is not None
    assert (one.entry.transaction_id, one.result.code) == (transaction_id, ResultCode.OK)
    assert (one.entry.kind, one.entry.subject) == ("start", "demo/alice/alice/s1")
    assert [(c.bucket, c.left, c.held) for c in one.changes] == [(bucket, left, held)]
    assert len(one.ratings) == 1
    opening = posted(int(label), (await stream.read(int(label), (0, 0), 2))[1])
    assert (opening.entry.kind, opening.result, opening.ratings) == ("credit", None, ())

"""One suite for both directories; then the cache, and what only a store can do to one."""

import asyncio
from collections.abc import Awaitable

import msgspec
import pytest

from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.directory import CachedDirectory, ValkeyDirectory
from ocs.adapters.valkey.faults import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.faults import ReplyError, StoreUnavailable
from ocs.usecases.ports import Account, Directory, LedgerUnavailable, OutcomeUnknown, Subscriber
from tests.adapters.memory_directory import MemoryDirectory

ALICE = Subscriber(
    identity="441632960001", account="acme", wallet_group="acme", plan="standard", currency="EUR"
)
ACME = Account(account="acme", wallet_group="acme", currency="EUR")


@pytest.fixture(params=["memory", "valkey"])
def directory(request: pytest.FixtureRequest) -> Directory:
    if request.param == "memory":
        return MemoryDirectory()
    return ValkeyDirectory(request.getfixturevalue("store"))


async def test_nobody_is_there_at_first(directory: Directory) -> None:
    assert await directory.subscriber("demo", "441632960001") is None
    assert await directory.account("demo", "acme") is None
    assert await directory.subscribers("demo") == []
    assert await directory.accounts("demo") == []


async def test_what_is_written_is_found_in_its_tenant_only(directory: Directory) -> None:
    assert await directory.put_account("demo", ACME)
    assert await directory.put_subscriber("demo", ALICE)
    assert await directory.account("demo", "acme") == ACME
    assert await directory.subscriber("demo", "441632960001") == ALICE
    assert await directory.subscriber("other", "441632960001") is None
    assert await directory.accounts("other") == []


async def test_writing_the_same_again_is_fine(directory: Directory) -> None:
    for _ in range(2):
        assert await directory.put_account("demo", ACME)
        assert await directory.put_subscriber("demo", ALICE)


async def test_an_account_keeps_its_terms(directory: Directory) -> None:
    await directory.put_account("demo", ACME)
    for other in ({"currency": "USD"}, {"wallet_group": "family"}):
        assert not await directory.put_account("demo", msgspec.structs.replace(ACME, **other))
    assert await directory.account("demo", "acme") == ACME


async def test_an_identity_may_change_its_plan_but_not_its_account(directory: Directory) -> None:
    await directory.put_subscriber("demo", ALICE)
    gold = msgspec.structs.replace(ALICE, plan="gold")
    assert await directory.put_subscriber("demo", gold)
    assert not await directory.put_subscriber(
        "demo", msgspec.structs.replace(ALICE, account="other")
    )
    assert await directory.subscriber("demo", ALICE.identity) == gold


async def test_of_two_accounts_that_want_an_identity_one_gets_it(directory: Directory) -> None:
    wanted = [msgspec.structs.replace(ALICE, account=f"a{number}") for number in range(20)]
    given = await asyncio.gather(*(directory.put_subscriber("demo", one) for one in wanted))
    assert given.count(True) == 1
    assert await directory.subscriber("demo", ALICE.identity) == wanted[given.index(True)]


async def test_lists_are_complete_and_in_order(directory: Directory) -> None:
    accounts = [msgspec.structs.replace(ACME, account=f"a{number:04}") for number in range(1_200)]
    subscribers = [
        msgspec.structs.replace(ALICE, identity=f"4416{number:04}") for number in range(1_200)
    ]
    await asyncio.gather(*(directory.put_account("demo", account) for account in accounts))
    await asyncio.gather(*(directory.put_subscriber("demo", one) for one in subscribers))
    # Neighbours whose names would match if they were taken for patterns or prefixes.
    await directory.put_account("demo2", ACME)
    await directory.put_account("d*", ACME)
    assert await directory.accounts("demo") == accounts
    assert await directory.subscribers("demo") == subscribers
    assert await directory.accounts("d*") == [ACME]


@pytest.mark.parametrize("name", ["sip:alice", "a b", "ünï", "x/y", "[1]*?", "%41", "{p001}"])
async def test_every_name_is_its_own(directory: Directory, name: str) -> None:
    odd = msgspec.structs.replace(ALICE, identity=name)
    await directory.put_subscriber("demo", odd)
    assert await directory.subscriber("demo", name) == odd
    assert await directory.subscribers("demo") == [odd]


async def test_a_record_from_a_newer_ocs_is_not_guessed_at(store: Connection) -> None:
    await ValkeyDirectory(store).put_account("demo", ACME)
    await store.execute("SETRANGE", "a:demo/acme", 0, b"\x02")
    with pytest.raises(LedgerUnavailable, match="record of version 2"):
        await ValkeyDirectory(store).account("demo", "acme")


class BrokenStore:
    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def execute(self, *_arguments: str | bytes | int) -> Awaitable[object]:
        async def broken() -> object:
            raise self.fault

        return broken()


@pytest.mark.parametrize(
    ("fault", "when_reading", "when_writing"),
    [
        (StoreUnavailable("down"), LedgerUnavailable, LedgerUnavailable),
        (StoreOutcomeUnknown("lost"), LedgerUnavailable, OutcomeUnknown),
        (ReplyError("OOM", "used memory"), LedgerUnavailable, LedgerUnavailable),
        (ReplyError("ERR", "something else"), LedgerUnavailable, OutcomeUnknown),
    ],
)
async def test_faults_say_whether_something_may_have_changed(
    fault: Exception, when_reading: type[Exception], when_writing: type[Exception]
) -> None:
    directory = ValkeyDirectory(BrokenStore(fault))
    with pytest.raises(when_reading):
        await directory.subscriber("demo", "x")
    with pytest.raises(when_writing):
        await directory.put_subscriber("demo", ALICE)
    with pytest.raises(when_writing):
        await directory.put_account("demo", ACME)


class Cache:
    """A cache with room for three over a directory that counts, on a clock that a test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.behind = MemoryDirectory()
        self.cached = CachedDirectory(self.behind, lambda: self.now_ms, seconds=10, max_entries=3)

    def peek(self, identity: str) -> Subscriber | None:
        return self.cached.peek("demo", identity, self.now_ms)

    async def add(self, identity: str, plan: str = "standard") -> Subscriber:
        subscriber = msgspec.structs.replace(ALICE, identity=identity, plan=plan)
        await self.behind.put_subscriber("demo", subscriber)
        return subscriber


async def test_a_known_subscriber_is_asked_for_once_in_ten_seconds() -> None:
    cache = Cache()
    first = await cache.add("1")
    assert cache.peek("1") is None
    assert await cache.cached.subscriber("demo", "1") == first
    changed = await cache.add("1", plan="gold")
    cache.now_ms += 9_999
    assert cache.peek("1") == first
    assert await cache.cached.subscriber("demo", "1") == first
    assert cache.behind.look_ups == 1
    cache.now_ms += 1
    assert cache.peek("1") is None
    assert await cache.cached.subscriber("demo", "1") == changed


async def test_a_stranger_is_asked_for_once_a_second() -> None:
    cache = Cache()
    for _ in range(3):
        assert await cache.cached.subscriber("demo", "9") is None
    assert cache.peek("9") is None
    assert cache.behind.look_ups == 1
    known = await cache.add("9")
    cache.now_ms += 1_000
    assert await cache.cached.subscriber("demo", "9") == known


async def test_a_clock_that_is_set_back_does_not_keep_an_entry_alive() -> None:
    cache = Cache()
    await cache.add("1")
    await cache.cached.subscriber("demo", "1")
    cache.now_ms -= 1
    assert cache.peek("1") is None


async def test_the_oldest_entries_make_room() -> None:
    cache = Cache()
    for identity in "12314":
        await cache.add(identity)
        await cache.cached.subscriber("demo", identity)
    assert [cache.peek(one) is not None for one in "1234"] == [
        False,
        True,
        True,
        True,
    ]


async def test_its_own_writes_are_seen_at_once_and_the_rest_passes_through() -> None:
    cache = Cache()
    await cache.cached.put_account("demo", ACME)
    await cache.cached.put_subscriber("demo", ALICE)
    assert await cache.cached.subscriber("demo", ALICE.identity) == ALICE
    gold = msgspec.structs.replace(ALICE, plan="gold")
    assert await cache.cached.put_subscriber("demo", gold)
    assert await cache.cached.subscriber("demo", ALICE.identity) == gold
    assert await cache.cached.account("demo", "acme") == ACME
    assert await cache.cached.accounts("demo") == [ACME]
    assert await cache.cached.subscribers("demo") == [gold]

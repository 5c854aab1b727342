"""Shares of work on the real store: each is given to one, until he is gone or it is done."""

import asyncio

import pytest

from ocs.adapters.valkey import work_stream
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.keys import WorkKeys
from ocs.adapters.valkey.work_stream import KNOWN_MS, NO_WORD, ValkeyWorkStream
from ocs.usecases.ports import LedgerUnavailable
from ocs.usecases.sharing_work import MOST_ATTEMPTS, Backlog, Bound, Held, Piece, Share, Way

KEYS = WorkKeys("cdr")
LONG_MS = 3_600_000


def share(name: str) -> Share:
    piece = Piece(name=name, offset=7, size=9, first_line=3, lines=2, header=b"a,\xffb", digest="d")
    return Share(
        name=name, file="in/a.csv", size=9, format="csv", options={"zone": "UTC"}, piece=piece
    )


def worker(store: Connection, name: str, lease_ms: int = LONG_MS) -> ValkeyWorkStream:
    return ValkeyWorkStream(store, "cdr", name, lease_ms=lease_ms)


@pytest.fixture
async def first(store: Connection) -> ValkeyWorkStream:
    stream = worker(store, "first")
    await stream.join("here", Way.DEBIT)
    return stream


@pytest.fixture
async def second(store: Connection) -> ValkeyWorkStream:
    """To him everybody who was not heard of for a moment is dead."""
    return worker(store, "second", lease_ms=0)


async def taken(stream: ValkeyWorkStream) -> Held:
    held = await stream.take()
    assert held is not None
    return held


async def test_each_share_is_given_out_once(first: ValkeyWorkStream, store: Connection) -> None:
    assert await first.add([share("a"), share("b")]) == 2
    other = worker(store, "other")
    a, b = await taken(first), await taken(other)
    assert (a.share, a.attempt) == (share("a"), 1)
    assert (b.share, b.attempt) == (share("b"), 1)
    assert await first.take() is None
    assert await first.backlog() == Backlog(waiting=0, under_way=2, aside=0)
    assert not (await first.backlog()).is_empty
    await first.done(a)
    await other.done(b)
    assert (await first.backlog()).is_empty


async def test_what_was_put_in_is_known(first: ValkeyWorkStream, store: Connection) -> None:
    assert await first.add([share("a"), share("a"), share("b")]) == 2
    await first.done(await taken(first))
    assert await first.add([share("a"), share("b"), share("c")]) == 1
    assert await first.backlog() == Backlog(waiting=2, under_way=0, aside=0)
    now_ms = int(float(await store.execute("ZSCORE", KEYS.known, "a")))  # type: ignore[arg-type]
    await store.execute("ZADD", KEYS.known, now_ms - KNOWN_MS - 1, "a")
    assert await first.add([share("a"), share("b")]) == 1, "a was forgotten"


async def test_who_is_dead_loses_what_he_had(
    first: ValkeyWorkStream, second: ValkeyWorkStream
) -> None:
    await first.add([share("a")])
    held = await taken(first)
    assert await first.renew(held)
    again = await taken(second)
    assert (again.share, again.attempt) == (share("a"), 2)
    assert not await first.renew(held), "another has it"
    await first.give_back(held)
    await first.failed(held, "too late")
    (under_way,) = await second.under_way()
    assert (under_way.worker, under_way.attempt) == ("second", 2)
    await first.done(held)  # he was alive after all, and it is durable
    assert (await second.backlog()).is_empty


async def test_who_renews_keeps_it(first: ValkeyWorkStream, store: Connection) -> None:
    patient = worker(store, "patient", lease_ms=200)
    await first.add([share("a")])
    held = await taken(first)
    for _ in range(6):
        await asyncio.sleep(0.05)
        assert await first.renew(held)
        assert await patient.take() is None
    assert held.attempt == 1
    (under_way,) = await first.under_way()
    assert under_way.attempt == 1, "to renew is no attempt"


async def test_what_is_given_back_was_not_taken(first: ValkeyWorkStream, store: Connection) -> None:
    await first.add([share("a")])
    for _ in range(MOST_ATTEMPTS + 2):
        held = await taken(first)
        assert held.attempt == 1
        await first.give_back(held)
    assert (await taken(worker(store, "other"))).attempt == 1


async def test_what_kills_its_workers_is_set_aside(
    first: ValkeyWorkStream, second: ValkeyWorkStream
) -> None:
    await first.add([share("a"), share("b")])
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert (await taken(second)).attempt == attempt
    assert (await taken(second)).share == share("b"), "a is not given out any more"
    assert await second.backlog() == Backlog(waiting=0, under_way=1, aside=1)
    (aside,) = await first.aside()
    assert (aside.share, aside.reason) == (share("a"), NO_WORD)


async def test_the_last_failure_sets_it_aside_with_its_reason(
    first: ValkeyWorkStream, second: ValkeyWorkStream
) -> None:
    await first.add([share("a")])
    for attempt in range(1, MOST_ATTEMPTS + 1):
        held = await taken(second)
        assert held.attempt == attempt
        assert (await first.aside()) == []
        await second.failed(held, f"no disk {attempt}")
    assert await second.take() is None
    (aside,) = await first.aside()
    assert aside.reason == f"no disk {MOST_ATTEMPTS}"
    assert await first.again() == 1
    assert await first.aside() == []
    held = await taken(first)
    assert (held.share, held.attempt) == (share("a"), 1)


async def test_what_was_set_aside_can_be_forgotten_and_added_anew(
    first: ValkeyWorkStream, second: ValkeyWorkStream
) -> None:
    await first.add([share("a"), share("b")])
    for _ in range(MOST_ATTEMPTS):
        await second.failed(await taken(second), "no disk")
    assert len(await first.aside()) == 1
    assert await first.drop() == 1
    assert await first.aside() == []
    assert await first.add([share("a"), share("b")]) == 1
    assert await first.drop() == 0
    assert await first.backlog() == Backlog(waiting=2, under_way=0, aside=0)


async def test_a_failure_before_the_last_waits_for_the_lease(first: ValkeyWorkStream) -> None:
    await first.add([share("a")])
    await first.failed(await taken(first), "no disk")
    assert await first.take() is None
    assert await first.backlog() == Backlog(waiting=0, under_way=1, aside=0)


async def test_a_queue_has_one_output(store: Connection) -> None:
    first, other = worker(store, "first"), worker(store, "other")
    assert (await first.join("here", Way.DEBIT)).output == "here"
    assert (await other.join("there", Way.DEBIT)).output == "here"
    another = await ValkeyWorkStream(store, "another", "other").join("there", Way.DEBIT)
    assert another.output == "there"


async def test_a_queue_is_worked_in_one_way(store: Connection) -> None:
    first, other = worker(store, "first"), worker(store, "other")
    assert await other.bound() == Bound("", "")
    assert await first.join("here", Way.NO_DEBIT) == Bound("here", Way.NO_DEBIT)
    assert await other.join("here", Way.DEBIT) == Bound("here", Way.NO_DEBIT)
    assert await other.bound() == Bound("here", Way.NO_DEBIT)
    another = ValkeyWorkStream(store, "another", "other")
    assert await another.join("here", Way.SUBSCRIBERS) == Bound("here", Way.SUBSCRIBERS)


async def test_who_is_refused_for_his_output_says_nothing_of_the_way(store: Connection) -> None:
    """As of a queue that was begun when it did not know a way yet."""
    await store.execute("SET", KEYS.output, "here")
    assert await worker(store, "first").join("there", Way.NO_DEBIT) == Bound("here", "")
    assert await worker(store, "other").join("here", Way.DEBIT) == Bound("here", Way.DEBIT)


async def test_workers_that_are_long_gone_are_forgotten(
    first: ValkeyWorkStream, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await first.add([share("a"), share("b")])
    idler = worker(store, "idler")
    await taken(first)
    await idler.done(await taken(idler))

    async def consumers() -> int:
        await first.join("here", Way.DEBIT)
        told = await store.execute("XINFO", "CONSUMERS", KEYS.shares, "workers")
        assert isinstance(told, list)
        return len(told)

    assert await consumers() == 2, "not for a day"
    monkeypatch.setattr(work_stream, "_LONG_AGO_MS", -1)
    assert await consumers() == 1, "who has a share is not"


async def test_a_store_that_is_away_is_a_fault(own_server: EmbeddedStore) -> None:
    connection = Connection(own_server.url)
    with pytest.raises(LedgerUnavailable):
        await worker(connection, "first").backlog()


async def test_a_queue_that_was_never_used_is_empty(store: Connection) -> None:
    fresh = worker(store, "first")
    assert (await fresh.backlog()).is_empty
    assert await fresh.under_way() == []
    assert await fresh.aside() == []
    assert await fresh.again() == 0

"""Sessions are looked up in the journal wherever it is: in the store, in files, and in both."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.reels.reading import Journal
from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.adapters.valkey.journal import ValkeyStream
from ocs.bootstrap.parked_journal import StoreJournal
from ocs.usecases.addresses import session_address
from ocs.usecases.journal import EntryId, Posted, RawEntry, StreamState
from ocs.usecases.parked_journal import FOR_EVER
from tests.bootstrap.drained import drain, trim
from tests.usecases.charging_desk import EUR
from tests.usecases.parked_scene import PARTITIONS, Scene, opened


@pytest.fixture
async def scene(store_server: EmbeddedStore) -> AsyncIterator[Scene]:
    async with opened(store_server.url) as scene:
        await scene.desk.open(EUR)
        yield scene


async def requests(
    scene: Scene, files: Callable[[], Journal | None], session_id: str = "s1", since_ms: int = 0
) -> tuple[list[str], int]:
    """The requests of a session that are found, and from when on the journal is known."""
    stream = ValkeyStream(scene.connection, PARTITIONS, "test")
    key = scene.session
    address = session_address(key).removesuffix("s1") + session_id
    found: list[Posted] = []
    source = StoreJournal(stream, files)
    partition = scene.store().partition_of(key)
    known_ms = await source.read(partition, {address}, since_ms, found.append)
    return [posted.entry.request for posted in found], known_ms


async def charge(scene: Scene, *numbers: int, session_id: str = "s1") -> None:
    for number in numbers:
        await scene.charge("update", number, used=1, asks=0, session_id=session_id)


async def test_of_the_store_alone(scene: Scene) -> None:
    await charge(scene, 1, 2)
    await charge(scene, 7, session_id="s2")
    assert await requests(scene, lambda: None) == (["1", "2"], FOR_EVER)
    assert await requests(scene, lambda: None, "s2") == (["7"], FOR_EVER)


async def test_of_files_and_the_store_each_entry_comes_once(scene: Scene, tmp_path: Path) -> None:
    await charge(scene, 1, 2)
    journal = await drain(scene.connection, PARTITIONS, tmp_path)
    assert await requests(scene, lambda: journal) == (["1", "2"], FOR_EVER)
    await trim(scene.connection, PARTITIONS, keeps=1)
    await charge(scene, 3)
    assert await requests(scene, lambda: journal) == (["1", "2", "3"], FOR_EVER)
    await trim(scene.connection, PARTITIONS)


async def test_without_its_files_the_journal_is_known_from_its_first_entry_on(
    scene: Scene, tmp_path: Path
) -> None:
    await charge(scene, 1, 2)
    await drain(scene.connection, PARTITIONS, tmp_path)
    await trim(scene.connection, PARTITIONS, keeps=1)
    told, known_ms = await requests(scene, lambda: None)
    assert told == ["2"]
    assert known_ms > scene.now_ms


async def test_what_is_in_neither_is_not_known(scene: Scene, tmp_path: Path) -> None:
    await charge(scene, 1)
    journal = await drain(scene.connection, PARTITIONS, tmp_path)
    await charge(scene, 2, 3)
    await trim(scene.connection, PARTITIONS, keeps=1)
    told, known_ms = await requests(scene, lambda: journal)
    assert told == ["3"]
    assert known_ms > scene.now_ms


async def test_only_as_far_back_as_is_asked(scene: Scene) -> None:
    await charge(scene, 1)
    assert await requests(scene, lambda: None, since_ms=scene.now_ms + 10**9) == ([], FOR_EVER)


async def test_where_nothing_was_charged_all_is_known(store_server: EmbeddedStore) -> None:
    async with opened(store_server.url) as scene:
        assert await requests(scene, lambda: None) == ([], FOR_EVER)


async def test_what_is_trimmed_meanwhile_is_read_from_the_files(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drainer goes on while the journal is read."""
    await charge(scene, 1, 2)
    journals: list[Any] = [None]
    read = ValkeyStream.state
    looks = 0

    async def state(self: ValkeyStream, partition: int) -> StreamState | None:
        nonlocal looks
        looks += 1
        if looks == 2 and journals[0] is None:
            journals[0] = await drain(scene.connection, PARTITIONS, tmp_path)
            await trim(scene.connection, PARTITIONS)
        return await read(self, partition)

    monkeypatch.setattr(ValkeyStream, "state", state)
    assert await requests(scene, lambda: journals[0]) == (["1", "2"], FOR_EVER)


async def test_the_first_trim_ever_while_the_store_is_read(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files have what went; but they were not read, as nothing had gone before."""
    await charge(scene, 1, 2)
    journal = await drain(scene.connection, PARTITIONS, tmp_path)
    read = ValkeyStream.read
    looks = 0

    async def trimmed(
        self: ValkeyStream, partition: int, after: EntryId, count: int
    ) -> list[RawEntry]:
        nonlocal looks
        looks += 1
        if looks == 1:
            await trim(scene.connection, PARTITIONS)
        return await read(self, partition, after, count)

    monkeypatch.setattr(ValkeyStream, "read", trimmed)
    assert await requests(scene, lambda: journal) == (["1", "2"], FOR_EVER)
    assert looks > 1


async def test_another_trim_while_it_is_read_behind_the_files(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes was read from them: there is no need to begin again."""
    await charge(scene, 1, 2, 3)
    journal = await drain(scene.connection, PARTITIONS, tmp_path)
    await trim(scene.connection, PARTITIONS, keeps=1)
    read = ValkeyStream.state
    looks = 0

    async def state(self: ValkeyStream, partition: int) -> StreamState | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            await trim(scene.connection, PARTITIONS)
        return await read(self, partition)

    monkeypatch.setattr(ValkeyStream, "state", state)
    assert await requests(scene, lambda: journal) == (["1", "2", "3"], FOR_EVER)
    assert looks == 2


async def test_what_is_trimmed_each_time_while_it_is_read_is_not_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are elsewhere: what the reader missed may be what was charged."""
    read = ValkeyStream.state
    numbers = iter(range(1, 100))

    async def state(self: ValkeyStream, partition: int) -> StreamState | None:
        await charge(scene, next(numbers))
        await trim(scene.connection, PARTITIONS, keeps=1)
        return await read(self, partition)

    await charge(scene, next(numbers))
    monkeypatch.setattr(ValkeyStream, "state", state)
    told, known_ms = await requests(scene, lambda: None)
    assert told == []
    assert known_ms > scene.now_ms + 10**9


async def test_a_repeat_is_found_in_files(scene: Scene, tmp_path: Path) -> None:
    """Charged two hours ago, drained, trimmed and forgotten: it is debited once all the same."""
    scene.desk.now_ms -= 7_200_000
    await scene.charge("release", 1, used=61, ago_s=7_200)
    scene.desk.now_ms = scene.now_ms
    journal = await drain(scene.connection, PARTITIONS, tmp_path)
    await trim(scene.connection, PARTITIONS)
    await scene.forget()
    assert not (await scene.charge("release", 1, used=61, ago_s=7_200)).settled
    paid = await scene.main()
    run = scene.parked_run()
    assert await run.run("shelf", moves=False)
    assert [w.reason for w in run.tally.summary(0.0).waiting] == ["NOT_KNOWN"]
    run = scene.parked_run(files=journal)
    assert await run.run("shelf", moves=False)
    assert run.tally.summary(0.0).events == {"duplicate": 1}
    assert await scene.main() == paid

"""Runs that settle parked events: given up, wherever they die, two at once; and all of it at random."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.events import Action, Event, Reporting
from ocs.usecases import parked_groups, parked_settling
from ocs.usecases.parked import TakenOver
from ocs.usecases.parked_settling import Dropping
from ocs.usecases.ports import Account
from tests.usecases.charging_desk import EUR
from tests.usecases.parked_scene import HOUR_MS, MINUTE, Scene, opened, park_call, told_of


@pytest.fixture
async def scene(store_server: EmbeddedStore) -> AsyncIterator[Scene]:
    async with opened(store_server.url) as scene:
        yield scene


async def test_an_operator_gives_up_what_has_no_way_to_go(scene: Scene) -> None:
    """Only for the reason that he names, and only what has waited so long."""
    await park_call(scene, 30, 61)
    for reasons, until_ms in (
        ({"NO_RATE"}, scene.now_ms + HOUR_MS),
        ({"UNKNOWN_SUBSCRIBER"}, scene.now_ms - HOUR_MS),
    ):
        assert not (await scene.run(drop=Dropping(frozenset(reasons), until_ms))).events
    drop = Dropping(frozenset({"UNKNOWN_SUBSCRIBER"}), scene.now_ms + HOUR_MS)
    assert (await scene.run(drop=drop)).events == {"dropped": 2}
    assert sum(units for _, _, units, _ in told_of(scene.shelf.rows)) == 91
    assert {row.use.dropped for row in scene.shelf.rows} == {"UNKNOWN_SUBSCRIBER"}
    assert await scene.waiting() == {}


async def test_what_has_no_price_is_given_up_too(scene: Scene) -> None:
    await park_call(scene, 61, rated_number="900")
    await scene.desk.open(EUR)
    drop = Dropping(frozenset({"RATE_BLOCKED"}), scene.now_ms + HOUR_MS)
    assert (await scene.run(drop=drop)).events == {"dropped": 1}
    assert await scene.main() == EUR


async def test_what_cannot_be_read_waits_and_is_kept_when_given_up(scene: Scene) -> None:
    await scene.ledger.park("unrated", scene.session, "9", b"[1]")
    assert [w.reason for w in (await scene.run()).waiting] == ["UNREADABLE"]
    drop = Dropping(frozenset({"UNREADABLE"}), scene.now_ms + HOUR_MS)
    assert (await scene.run(drop=drop)).events == {"dropped": 1}
    (row,) = scene.shelf.rows
    assert row.use.attributes == "[1]"


async def test_a_refund_is_no_debit(scene: Scene) -> None:
    event = scene.event("event", 1, used=5, usage_type="sms", action=Action.REFUND)
    assert not (await scene.desk.charge(event)).settled
    await scene.desk.open(EUR)
    assert [w.reason for w in (await scene.run()).waiting] == ["NO_DEBIT"]


async def test_a_reference_to_nobody_waits(scene: Scene) -> None:
    await scene.desk.open(EUR)
    event = scene.event("update", 1, used=5, subscriber="bob", session_ref="demo/x/x/s1")
    await scene.park_again(event)
    assert [w.reason for w in (await scene.run()).waiting] == ["BAD_REFERENCE"]


async def test_who_named_only_the_session_is_known_by_the_journal(scene: Scene) -> None:
    """An update may name the session alone; its plan is that of who began it."""
    await scene.desk.open(EUR)
    account = Account(account="alice", wallet_group="alice", currency="EUR")
    await scene.desk._directory.put_account("demo", account)
    answer = await scene.charge("start", 0, asks=60)
    await scene.charge("release", 1, used=60)
    event = scene.event("update", 2, used=10, subscriber="", session_ref=answer.session_ref)
    await scene.park_again(event)
    assert (await scene.run()).events == {"debited": 1}
    assert told_of(scene.shelf.rows) == [("s1", "debited", 10, MINUTE)]


class _Dies(Exception):
    pass


class _Dying:
    """A store that dies before or behind its nth step."""

    def __init__(self, store: Any, step: int) -> None:
        self._store, self._left = store, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def _step(self, name: str, *arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            raise _Dies
        done = await getattr(self._store, name)(*arguments)
        self._left -= 1
        if self._left == 0:
            raise _Dies
        return done

    async def settle(self, *arguments: Any) -> Any:
        return await self._step("settle", *arguments)

    async def note(self, *arguments: Any) -> Any:
        return await self._step("note", *arguments)

    async def remove(self, *arguments: Any) -> Any:
        return await self._step("remove", *arguments)

    async def forget(self, *arguments: Any) -> Any:
        return await self._step("forget", *arguments)


@pytest.mark.parametrize("step", range(1, 15))
async def test_wherever_a_run_dies_the_next_one_comes_to_the_same(scene: Scene, step: int) -> None:
    """Also where more of a session is parked between the two: it costs what the whole costs."""
    for number in range(3):
        await park_call(scene, 30, 61, session_id=f"s{number}")
    await scene.desk.open(2 * EUR)
    await scene.charge("release", 9, used=61, ago_s=7_200, session_id="late")
    await scene.charge("start", 8, ago_s=7_200, session_id="nothing")
    dying: Any = _Dying(scene.store(), step)
    with pytest.raises(_Dies):
        await scene.parked_run(dying).run("shelf", moves=False)
    await scene.park_again(scene.event("update", 5, used=600, session_id="s0"))
    summary = await scene.run()
    units, amounts = Counter[str](), Counter[str]()
    for session_id, _, used, amount in told_of(scene.shelf.rows):
        units[session_id] += used
        amounts[session_id] += amount
    assert units == {"s0": 691, "s1": 91, "s2": 91, "late": 61, "nothing": 0}
    assert amounts == {
        "s0": 12 * MINUTE,
        "s1": 2 * MINUTE,
        "s2": 2 * MINUTE,
        "late": 2 * MINUTE,
        "nothing": 0,
    }
    assert len({row.name for row in scene.shelf.rows}) == len(scene.shelf.rows)
    assert await scene.main() == 2 * EUR - 18 * MINUTE
    assert (summary.waiting, await scene.waiting()) == ([], {})


CALLS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 150), min_size=1, max_size=5),
        st.integers(0, 5),
        st.sets(st.integers(1, 5)),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)
"""Of each call what it reports, from which report on somebody knows who pays, what comes again,
and whether it reports totals."""


@pytest.mark.slow
@given(CALLS)
@settings(deadline=None, max_examples=60)
async def test_a_call_costs_what_it_costs_however_much_of_it_was_parked(
    store_server: EmbeddedStore, calls: list[tuple[list[int], int, set[int], bool]]
) -> None:
    async with opened(store_server.url) as scene:
        await scene.desk.open(100 * EUR)
        due, unsettled = 0, 0
        for call, (reports, known_from, again, in_totals) in enumerate(calls):
            said: dict[str, Any] = {"session_id": f"s{call}", "subscriber": f"user{call}"}
            due += -(-sum(reports) // 60) * MINUTE
            events = list(_reports(scene, reports, said, in_totals=in_totals))
            repeats = [events[number - 1] for number in sorted(again) if number <= len(events)]
            repeats += events[-1:] if repeats else []
            for number, event in enumerate([*events, *repeats]):
                if number == known_from or number == len(events):
                    await scene.desk.also(f"user{call}")
                unsettled += not (await scene.desk.charge(event)).settled
            await scene.desk.also(f"user{call}")
        lying = sum((await scene.waiting()).values())
        assert lying <= unsettled
        summary = await scene.run()
        assert (sum(summary.events.values()), summary.waiting) == (lying, [])
        assert await scene.main() == 100 * EUR - due


def _reports(
    scene: Scene, reports: list[int], said: dict[str, Any], *, in_totals: bool
) -> Iterator[Event]:
    so_far = 0
    for number, units in enumerate(reports, 1):
        so_far += units
        kind = "release" if number == len(reports) else "update"
        used = so_far if in_totals else units
        reporting = Reporting.TOTAL if in_totals else Reporting.DELTA
        yield scene.event(kind, number, used=used, asks=0, reporting=reporting, **said)


async def test_a_run_that_was_overtaken_debits_nothing_more(scene: Scene) -> None:
    await park_call(scene, 61)
    await scene.desk.open(EUR)
    slow, quick = scene.store(), scene.store()
    run = scene.parked_run(slow)
    judge_settle = slow.settle

    async def settle_late(order: Any) -> Any:
        assert await scene.parked_run(quick).run("shelf", moves=False)
        return await judge_settle(order)

    slow.settle = settle_late  # type: ignore[method-assign]
    with pytest.raises(TakenOver):
        await run.run("shelf", moves=False)
    assert told_of(scene.shelf.rows) == [("s1", "debited", 61, 2 * MINUTE)]
    assert await scene.main() == EUR - 2 * MINUTE


async def test_what_is_charged_between_look_and_debit_is_seen(scene: Scene) -> None:
    """The client sends its release again in the very moment in which it is settled."""
    await park_call(scene, 30, 31)
    await scene.desk.open(EUR)
    store: Any = scene.store()
    settle, repeats = store.settle, [scene.event("release", 2, used=31)]

    async def settle_late(order: Any) -> Any:
        if repeats:
            assert (await scene.desk.charge(repeats.pop())).settled
        return await settle(order)

    store.settle = settle_late
    run = scene.parked_run(store)
    assert await run.run("shelf", moves=False)
    assert run.tally.events == {"debited": 1, "duplicate": 1}
    assert told_of(scene.shelf.rows) == [("s1", "debited", 30, MINUTE), ("s1", "duplicate", 31, 0)]
    assert await scene.main() == EUR - 2 * MINUTE


async def test_an_earlier_session_of_the_same_name_is_another_one(scene: Scene) -> None:
    """What the journal has from more than a day before is no repeat, and no beginning."""
    await scene.desk.open(EUR)
    await scene.charge("release", 1, used=30)
    await scene.forget()
    scene.now_ms += 25 * HOUR_MS
    await scene.park_again(scene.event("release", 1, used=30))
    assert (await scene.run(later_s=90_000)).events == {"debited": 1}
    assert await scene.main() == EUR - 2 * MINUTE


async def test_another_output_is_refused(scene: Scene) -> None:
    assert await scene.parked_run().run("shelf", moves=False)
    assert not await scene.parked_run().run("elsewhere", moves=False)
    assert await scene.parked_run().run("elsewhere", moves=True)


async def test_bounded_pieces_come_to_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three events in memory, two of a settlement, two settlements of a file."""
    for module, name, value in (
        (parked_settling, "MOST_READ", 3),
        (parked_settling, "_PAGE", 2),
        (parked_settling, "CHUNK_ROWS", 2),
        (parked_groups, "MOST_EVENTS", 2),
    ):
        monkeypatch.setattr(module, name, value)
    for number in range(4):
        await park_call(scene, 30, 30, 31, session_id=f"s{number}")
    await scene.desk.open(EUR)
    summary = await scene.run()
    assert (summary.events, summary.waiting) == ({"debited": 12}, [])
    assert await scene.main() == EUR - 8 * MINUTE
    assert sum(row.units for row in scene.shelf.rows) == 4 * 91
    assert len(scene.shelf.chunks) > 1


async def test_passes_have_an_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parked_settling, "_PASSES", 1)
    monkeypatch.setattr(parked_groups, "MOST_EVENTS", 1)
    await park_call(scene, 30, 31)
    await scene.desk.open(EUR)
    assert [(w.reason, w.events) for w in (await scene.run()).waiting] == [("LATER", 1)]
    assert (await scene.run()).events == {"debited": 1}
    assert await scene.main() == EUR - 2 * MINUTE


async def test_a_store_from_an_older_copy_writes_no_row_over_another(scene: Scene) -> None:
    """It counts epochs anew, and the output has chunks of the runs that it forgot."""
    await scene.desk.open(EUR)
    for session_id in ("s1", "s2"):
        await scene.park_again(scene.event("release", 1, used=60, session_id=session_id))
        await scene.run()
        await scene.connection.execute("DEL", "ocs:parked")
        for partition in range(4):
            await scene.connection.execute("DEL", f"{{p{partition:03d}}}g")
    assert told_of(scene.shelf.rows) == [(s, "debited", 60, MINUTE) for s in ("s1", "s2")]

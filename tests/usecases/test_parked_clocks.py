"""Parked events of clients whose clocks are ahead: settled when nobody could charge them any more."""

from collections.abc import AsyncIterator

import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.domain.results import ResultCode
from ocs.usecases.client_clocks import MOST_AHEAD_S
from ocs.usecases.parked_journal import GAP_MS
from tests.usecases.charging_desk import EUR
from tests.usecases.parked_scene import HOUR_MS, MINUTE, Scene, opened, told_of

HOUR_S = 3_600
DAY_S = 24 * HOUR_S


@pytest.fixture
async def scene(store_server: EmbeddedStore) -> AsyncIterator[Scene]:
    async with opened(store_server.url) as scene:
        yield scene


@pytest.mark.parametrize(("kind", "quiet_s"), [("release", 600), ("event", 1_200)])
@pytest.mark.parametrize("lead_s", [2 * HOUR_S, 40 * DAY_S])
async def test_what_may_come_again_and_not_look_late_waits(
    scene: Scene, kind: str, quiet_s: int, lead_s: int
) -> None:
    """Its subscriber is known by now: it would be charged online."""
    ahead_ms = scene.now_ms + 1_000 * lead_s
    told = {"event_ms": scene.now_ms + 300_000, "reported_ms": ahead_ms, "time_flag": True}
    answer = await scene.charge(kind, 0, used=30, **told)
    assert (answer.code, answer.settled) == (ResultCode.UNKNOWN_SUBSCRIBER, False)
    await scene.desk.open(EUR)
    for later_s, reason in (
        (quiet_s - 10, "OPEN"),
        (quiet_s + 10, "AHEAD"),
        (quiet_s + lead_s - 10, "AHEAD"),
    ):
        summary = await scene.run(quiet_s=600, later_s=later_s)
        assert [(w.reason, w.events) for w in summary.waiting] == [(reason, 1)]
    summary = await scene.run(quiet_s=600, later_s=quiet_s + lead_s + 10)
    assert summary.events == {"debited": 1}
    assert await scene.main() == EUR - MINUTE


@pytest.mark.parametrize("kind", ["release", "event"])
async def test_a_late_repeat_is_found_however_far_ahead_it_was(scene: Scene, kind: str) -> None:
    """As far ahead as anything is charged, for the journal is searched by the client's time."""
    assert GAP_MS - 1_000 * MOST_AHEAD_S == HOUR_MS, "an hour for the clocks of store and workers"
    await scene.desk.open(EUR)
    lead_ms = 1_000 * MOST_AHEAD_S
    told = {"event_ms": scene.now_ms + 300_000, "reported_ms": scene.now_ms + lead_ms}
    assert (await scene.charge(kind, 0, used=30, **told)).code is ResultCode.OK
    await scene.forget()
    scene.desk.now_ms += lead_ms + 25 * HOUR_MS
    late = {"event_ms": scene.desk.now_ms - 300_000, "reported_ms": scene.now_ms + lead_ms}
    answer = await scene.charge(kind, 0, used=30, time_flag=True, **late)
    assert (answer.code, answer.settled) == (ResultCode.REPEAT_EXPIRED, False)
    summary = await scene.run(later_s=3 * DAY_S)
    assert summary.events == {"duplicate": 1}
    assert told_of(scene.shelf.rows) == [("s1", "duplicate", 30, 0)]
    assert await scene.main() == EUR - MINUTE


async def test_the_last_of_a_session_to_look_late_counts(scene: Scene) -> None:
    """A clock that was put right in mid-session."""
    ahead = {"event_ms": scene.now_ms + 300_000, "reported_ms": scene.now_ms + 2 * HOUR_MS}
    await scene.charge("update", 0, used=30, time_flag=True, **ahead)
    await scene.charge("release", 1, used=20)
    await scene.desk.open(EUR)
    summary = await scene.run(quiet_s=600, later_s=HOUR_S)
    assert [(w.reason, w.events) for w in summary.waiting] == [("AHEAD", 2)]
    assert (await scene.run(quiet_s=600, later_s=3 * HOUR_S)).events == {"debited": 2}

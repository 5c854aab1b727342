"""The replay on a virtual clock: what is sent when, and what is counted from when."""

import json
from collections import deque

from ocs.usecases.recording import Recorded, read_recording
from ocs.usecases.replay_tally import Exchange, ReplayReport
from ocs.usecases.replaying import TIMER_SLACK_S, Pace, Replayer, ReplayOptions
from tests.usecases.virtual_time import VirtualTime

WALL_MS = 1_800_000_000_000
OK = Exchange(200, b'{"return_name":"OK"}')
BUSY = Exchange(503, b'{"return_name":"TOO_BUSY"}')


class Service:
    """Answers after `takes_s`; `script` may say what, and `None` is a lost connection."""

    def __init__(self, time: VirtualTime, takes_s: float = 0.010) -> None:
        self.time = time
        self.takes_s = takes_s
        self.script: deque[Exchange | None] = deque()
        self.sent: list[tuple[float, str]] = []
        self.bodies: list[bytes] = []
        self.under_way: set[str] = set()
        self.overlaps = 0

    async def post(self, body: bytes) -> Exchange:
        session = json.loads(body)["session_id"]
        self.overlaps += session in self.under_way
        self.under_way.add(session)
        self.sent.append((round(self.time.now_s - 1_000, 4), session))
        self.bodies.append(body)
        answer = self.script.popleft() if self.script else OK
        await self.time.sleep(self.takes_s)
        self.under_way.discard(session)
        if answer is None:
            raise ConnectionResetError
        return answer


def recording(*events: tuple[float, str]) -> list[Recorded]:
    return read_recording(
        json.dumps({"offset_s": at, "event": {"session_id": session, "event_time": 7}}).encode()
        for at, session in events
    )


async def replay(
    time: VirtualTime, service: Service, events: list[Recorded], options: ReplayOptions
) -> ReplayReport:
    replayer = Replayer(service, options, clock_s=time.clock_s, wall_ms=WALL_MS, sleep=time.sleep)
    await time.run(replayer.run(events))
    return replayer.tally.report(replayer.elapsed_s)


async def test_events_leave_at_their_recorded_pace() -> None:
    time = VirtualTime()
    service = Service(time)
    events = recording((5.0, "a"), (6.0, "b"), (8.0, "a"))
    report = await replay(time, service, events, ReplayOptions(suffix="x"))
    slack = TIMER_SLACK_S
    assert service.sent == [(0.0, "a-x"), (1 - slack, "b-x"), (3 - slack, "a-x")]
    assert report.latency.max_ms == 10.0
    assert [json.loads(body)["event_time"] for body in service.bodies] == [
        1_800_000_000,
        1_800_000_001,
        1_800_000_003,
    ]


async def test_speed_and_rate_set_another_pace() -> None:
    events = recording((0.0, "a"), (10.0, "b"), (20.0, "c"))
    for pace in (Pace(speed=10.0), Pace(rate=1.0)):
        time = VirtualTime()
        service = Service(time)
        await replay(time, service, events, ReplayOptions(suffix="x", pace=pace))
        assert [at for at, _ in service.sent] == [0.0, 0.999, 1.999]


async def test_a_session_waits_for_its_answers_and_the_wait_counts_as_latency() -> None:
    time = VirtualTime()
    service = Service(time, takes_s=2.0)
    events = recording((0.0, "a"), (1.0, "a"), (1.0, "b"))
    report = await replay(time, service, events, ReplayOptions(suffix="x"))
    assert service.overlaps == 0
    assert [session for _, session in service.sent] == ["a-x", "b-x", "a-x"]
    # The second event of `a` was due at 1 s, left at 2 s, and was answered at 4 s.
    assert report.latency.max_ms == 3000.0


async def test_others_do_not_wait_for_a_slow_session() -> None:
    time = VirtualTime()
    service = Service(time, takes_s=60.0)
    events = recording((0.0, "a"), (0.5, "b"), (1.0, "c"))
    await replay(time, service, events, ReplayOptions(suffix="x"))
    assert [at for at, _ in service.sent] == [0.0, 0.499, 0.999]


async def test_a_503_and_a_lost_connection_are_sent_again_with_the_same_body() -> None:
    time = VirtualTime()
    service = Service(time)
    service.script.extend([BUSY, None, OK])
    report = await replay(time, service, recording((0.0, "a")), ReplayOptions(suffix="x"))
    assert len(service.bodies) == 3
    assert len(set(service.bodies)) == 1
    assert report.return_codes == {"OK": 1}
    assert report.retries == 2
    assert report.clean


async def test_what_is_never_answered_is_given_up() -> None:
    time = VirtualTime()
    service = Service(time)
    service.script.extend([None] * 100)
    options = ReplayOptions(suffix="x", give_up_s=1.0)
    report = await replay(time, service, recording((0.0, "a"), (0.0, "a")), options)
    assert (report.unanswered, report.answered) == (2, 0)
    assert report.retries > 2
    assert not report.clean


async def test_without_retries_a_503_is_the_answer() -> None:
    time = VirtualTime()
    service = Service(time)
    service.script.append(BUSY)
    options = ReplayOptions(suffix="x", give_up_s=0.0)
    report = await replay(time, service, recording((0.0, "a")), options)
    assert report.return_codes == {"TOO_BUSY": 1}
    assert (report.retries, report.clean) == (0, False)


async def test_copies_leave_together_and_the_next_event_waits_for_both() -> None:
    time = VirtualTime()
    service = Service(time)
    events = recording((0.0, "a"), (0.0, "a"))
    report = await replay(time, service, events, ReplayOptions(suffix="x", copies=2))
    assert [at for at, _ in service.sent] == [0.0, 0.0, 0.01, 0.01]
    assert report.answered == 2
    assert report.clean


async def test_nothing_recorded_is_nothing_sent() -> None:
    time = VirtualTime()
    report = await replay(time, Service(time), [], ReplayOptions(suffix="x"))
    assert report.events == 0

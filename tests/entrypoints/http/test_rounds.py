"""Events of one turn of the loop are charged together, and none of them waits for a slow one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from ocs.domain.events import Event, Kind
from ocs.domain.results import ResultCode
from ocs.entrypoints.dialects import Decoded, Dialect
from ocs.entrypoints.http.responses import Answered
from ocs.entrypoints.http.rounds import Request, Rounds
from ocs.usecases.answer import Answer, AnswerOfOne
from tests.entrypoints.http.lines import Line, names
from tests.entrypoints.http.odd_requests import request
from tests.entrypoints.http.serving import NOW_MS, serving
from tests.usecases.test_charging import event

DIALECT = Dialect("default", None, None)  # type: ignore[arg-type]  # it is handed through only
BUG = KeyError("a bug")


class Desk:
    """Charges as it is told to, and notes which events came together and what was told."""

    def __init__(self) -> None:
        self.together: list[list[str]] = []
        self.becomes: dict[str, Callable[[], AnswerOfOne]] = {}
        self.breaks = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.told: dict[str, bytes] = {}
        self.rounds = Rounds(self.charge_all, self.respond)

    async def charge_all(self, events: Sequence[Event]) -> list[AnswerOfOne]:
        self.together.append([event.session_id for event in events])
        await self.gate.wait()
        if self.breaks:
            raise BUG
        return [self.becomes.get(e.session_id, granted)() for e in events]

    def respond(self, request: Request, outcome: Answer | Exception) -> Answered:
        assert isinstance(request.event, Event)
        said = outcome.code if isinstance(outcome, Answer) else type(outcome).__name__
        return Answered(200, said.encode(), 0)

    def add(self, *names: str) -> None:
        for name in names:
            one = event(Kind.START, 0, session_id=name)
            self.rounds.add(Request(one, Decoded(one), DIALECT, NOW_MS), self.tell(name))

    def tell(self, name: str) -> Callable[[Answered], None]:
        def tell(answered: Answered) -> None:
            assert name not in self.told, "told once"
            if name == "gone":
                raise ConnectionResetError
            self.told[name] = answered.whole(keep_alive=True).rpartition(b"\r\n")[2]

        return tell


def granted() -> Answer:
    return Answer(code=ResultCode.OK)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def turns(n: int = 6) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_events_of_one_turn_are_charged_together(desk: Desk) -> None:
    desk.add("a", "b", "c")
    await turns()
    desk.add("d")
    await turns()
    assert desk.together == [["a", "b", "c"], ["d"]]
    assert desk.told == dict.fromkeys("abcd", b"OK")


async def test_what_comes_while_a_round_is_charged_goes_with_the_next(desk: Desk) -> None:
    desk.gate.clear()
    desk.add("a")
    await turns()
    desk.add("b")
    await turns()
    assert (desk.together, desk.told) == ([["a"], ["b"]], {})
    desk.gate.set()
    await turns()
    assert desk.told == dict.fromkeys("ab", b"OK")


async def test_a_full_round_is_closed(desk: Desk) -> None:
    many = [f"s{n}" for n in range(100)]
    desk.add(*many)
    await turns()
    assert [name for some in desk.together for name in some] == many
    sizes = [len(some) for some in desk.together]
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {sizes[0]}
    assert desk.told == dict.fromkeys(many, b"OK")


async def test_one_that_takes_longer_keeps_no_other(desk: Desk) -> None:
    ready = asyncio.Event()

    async def slow(outcome: Answer | Exception) -> Answer:
        await ready.wait()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def later(outcome: Answer | Exception) -> Callable[[], Awaitable[Answer]]:
        return lambda: slow(outcome)

    desk.becomes = {"late": later(Answer(code=ResultCode.NO_CREDIT)), "worse": later(BUG)}
    desk.add("late", "worse", "good")
    await turns()
    assert desk.told == {"good": b"OK"}
    ready.set()
    await turns()
    assert desk.told == {"good": b"OK", "late": b"NO_CREDIT", "worse": b"KeyError"}


async def test_a_bug_is_answered_to_the_event_that_met_it(desk: Desk) -> None:
    desk.becomes = {"bad": lambda: BUG}
    desk.add("bad", "good")
    await turns()
    assert desk.told == {"bad": b"KeyError", "good": b"OK"}


async def test_a_bug_of_all_is_answered_to_all(desk: Desk) -> None:
    desk.breaks = True
    desk.add("a", "b")
    await turns()
    assert desk.told == dict.fromkeys("ab", b"KeyError")


async def test_an_answer_that_cannot_be_sent_keeps_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.add("gone", "good")
    await turns()
    assert desk.told == {"good": b"OK"}
    assert "could not be sent" in caplog.text


# --- Through the front ----------------------------------------------------------------------------


async def test_connections_share_a_round_and_calls_for_help_wait_for_nobody() -> None:
    async with serving() as face:
        lines = [Line(face) for _ in range(4)]
        for line in lines[:3]:
            line.protocol.data_received(request())
        help_me = request(
            body=b'{"record_type":"start_request","session_id":"s",'
            b'"request_number":0,"subscriber":"441632960001","called_number":"112"}'
        )
        lines[3].protocol.data_received(help_me)
        for line in lines:
            await line.settle()
        assert [names(line) for line in lines] == [["OK"]] * 4
        assert face.charger.together == [3]
        assert face.realtime.in_flight == 0

"""What the front does beside answering: it keeps time, withstands pressure, comes to an end."""

import asyncio
import json

import pytest
import uvloop

from ocs.domain.results import ResultCode
from ocs.entrypoints.http import heads
from ocs.entrypoints.http.front import ConnectionLimits, Front
from ocs.entrypoints.http.realtime import Realtime, RealtimeLimits
from ocs.entrypoints.http.responses import Answered
from tests.entrypoints.http.lines import Line, charged, names
from tests.entrypoints.http.odd_requests import EVENT, chunked, request
from tests.entrypoints.http.serving import serving, until

# --- Time -----------------------------------------------------------------------------------------


async def test_a_head_that_does_not_come_in_time_ends_the_connection() -> None:
    async with serving(connections=ConnectionLimits(header_timeout_s=0.01)) as face:
        silent, halfway = Line(face), Line(face)
        await halfway.send(request()[:40])
        await until(lambda: silent.is_lost and halfway.is_lost)

    assert silent.written == halfway.written == b""


@pytest.mark.parametrize("answered", [1, 2])
async def test_a_connection_that_idles_is_closed(answered: int) -> None:
    async with serving(connections=ConnectionLimits(keepalive_timeout_s=0.01)) as face:
        line = await Line(face).send(*[request()] * answered)
        await until(lambda: line.is_lost)

    assert names(line) == ["OK"] * answered


async def test_an_answer_that_takes_long_is_waited_for() -> None:
    async with serving(connections=ConnectionLimits(keepalive_timeout_s=0.01)) as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        await asyncio.sleep(0.03)
        assert not line.is_closed
        face.charger.gate.set()
        await line.settle()
        assert names(line) == ["OK"]
        await until(lambda: line.is_lost)


async def test_every_answer_gives_new_time() -> None:
    async with serving(connections=ConnectionLimits(keepalive_timeout_s=0.2)) as face:
        line = Line(face)
        for _ in range(4):
            await asyncio.sleep(0.1)
            await line.send(request())
        assert names(line) == ["OK"] * 4


@pytest.mark.parametrize("lines", [(), (b"Idempotency-Key: k",)])
async def test_of_a_body_that_does_not_come_what_has_come_is_answered(
    lines: tuple[bytes, ...],
) -> None:
    async with serving(limits=RealtimeLimits(body_timeout_s=0.01)) as face:
        line = await Line(face).send(request(), request(*lines)[:-1])
        await until(lambda: line.is_lost)

    assert names(line) == ["OK", "INVALID_EVENT"]
    assert [reply.headers["Connection"] for reply in line.replies] == ["keep-alive", "close"]
    assert len(face.charger.events) == 1


async def test_a_body_that_comes_late_but_in_time_is_an_event() -> None:
    limits = ConnectionLimits(keepalive_timeout_s=0.01)
    async with serving(connections=limits) as face:
        line = await Line(face).send(request()[:-1])
        await asyncio.sleep(0.03)  # the keep-alive time is not the body's
        await line.send(request()[-1:])
        assert names(line) == ["OK"]


async def test_a_connection_that_is_handed_over_has_the_time_that_was_left() -> None:
    async with serving(connections=ConnectionLimits(header_timeout_s=0.02)) as face:
        line = await Line(face).send(b"GET /livez HTTP/1.1\r\n")
        assert not isinstance(line.protocol, Front)
        await until(lambda: line.is_lost)

    assert line.written == b""


# --- Pressure -------------------------------------------------------------------------------------


async def test_requests_without_pause_are_answered_one_at_a_time() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(*(request(body=EVENT % name) for name in (b"a", b"b")))
        assert charged(face) == [("demo", "a")]
        face.charger.gate.set()
        await line.settle()

    assert [json.loads(reply.text)["session_id"] for reply in line.replies] == ["a", "b"]


async def test_a_thousand_refusals_in_one_segment_are_a_thousand_answers() -> None:
    async with serving() as face:
        line = await Line(face).send(request(body=b"{") * 1_000)

    assert names(line) == ["INVALID_EVENT"] * 1_000


async def test_a_client_that_sends_without_end_is_not_read_any_further() -> None:
    limits = RealtimeLimits(body_bytes=500)
    async with serving(limits=limits) as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        sent = 1
        while line.reads:
            await line.send(request())
            sent += 1
        assert sent * len(request()) < 3 * (heads.LONGEST_HEAD + limits.body_bytes)
        face.charger.gate.set()
        await line.settle()
        assert line.reads
        assert names(line) == ["OK"] * sent


async def test_one_that_was_not_read_is_read_by_who_takes_over() -> None:
    async with serving(limits=RealtimeLimits(body_bytes=500)) as face:
        face.charger.gate = asyncio.Event()
        probe = b"GET /livez HTTP/1.1\r\nHost: x\r\nCookie: %b\r\n\r\n" % (b"x" * 3_000)
        line = await Line(face).send(request(), probe)
        assert not line.reads
        face.charger.gate.set()
        await line.settle()
        assert line.reads
        assert [reply.status for reply in line.replies] == [200, 200]


async def test_a_client_that_does_not_read_is_asked_nothing_more() -> None:
    async with serving() as face:
        line = Line(face)
        line.protocol.pause_writing()
        await line.send(request(), request())
        assert face.charger.events == []
        line.protocol.resume_writing()
        await line.settle()
        assert names(line) == ["OK", "OK"]


async def test_a_client_that_stops_reading_during_its_request_gets_the_next_later() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        line.protocol.pause_writing()
        face.charger.gate.set()
        await line.send(request())
        assert names(line) == ["OK"]
        line.protocol.resume_writing()
        await line.send(request())
        assert names(line) == ["OK"] * 3


async def test_a_client_that_reads_again_is_still_served_one_at_a_time() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request(), request())
        line.protocol.pause_writing()
        line.protocol.resume_writing()
        await line.settle()
        assert len(face.charger.events) == 1


async def test_reading_again_gives_no_new_time_for_a_body() -> None:
    async with serving() as face:
        line = await Line(face).send(request()[:-1])
        assert isinstance(line.protocol, Front)
        due_s = line.protocol._due_s
        line.protocol.pause_writing()
        line.protocol.resume_writing()
        assert line.protocol._due_s == due_s


async def test_a_client_that_never_reads_is_cut_off() -> None:
    async with serving(connections=ConnectionLimits(keepalive_timeout_s=0.01)) as face:
        line = await Line(face).send(request())
        line.protocol.pause_writing()
        await line.send(request())
        await until(lambda: line.is_lost)

    assert line.is_aborted
    assert names(line) == ["OK"]


# --- Ends -----------------------------------------------------------------------------------------


async def test_a_client_that_goes_leaves_its_event_behind() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request(), request(body=EVENT % b"next"))
        line.hang_up()
        await line.settle()
        assert face.realtime.in_flight == 1
        face.charger.gate.set()
        await line.settle()
        assert face.realtime.in_flight == 0
        assert face.server._fronts == set()

    # What waited behind it was never begun.
    assert charged(face) == [("demo", "s")]
    assert line.written == b""


async def test_a_client_that_goes_as_its_answer_is_ready_gets_nothing() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        face.charger.gate.set()
        line.hang_up()
        await line.settle()
        assert face.realtime.in_flight == 0
        assert face.server._fronts == set()

    assert line.written == b""


@pytest.mark.parametrize("client_goes", [True, False])
async def test_what_waits_for_its_turn_at_the_end_is_not_begun(*, client_goes: bool) -> None:
    async with serving() as face:
        line = Line(face)
        line.protocol.data_received(request(body=b"{") + request())
        assert isinstance(line.protocol, Front)
        if client_goes:
            line.lose()
        else:
            line.protocol.end()
        await line.settle()

    assert names(line) == ["INVALID_EVENT"]
    assert face.charger.events == []


async def test_a_server_that_stops_answers_what_is_in_hand_and_nothing_else() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        busy = await Line(face).send(request(), request(body=EVENT % b"next"))
        idle = Line(face)
        halfway = await Line(face).send(request()[:-1])
        stopping = asyncio.create_task(face.server.stop(5))
        await until(lambda: idle.is_lost and halfway.is_lost)
        assert not stopping.done()
        face.charger.gate.set()
        await stopping
        assert busy.is_lost

    assert names(busy) == ["OK"]
    assert busy.replies[0].headers["Connection"] == "close"
    assert charged(face) == [("demo", "s")]
    assert idle.written == halfway.written == b""


async def test_a_server_that_stops_waits_for_events_whose_client_is_gone() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        line.hang_up()
        stopping = asyncio.create_task(face.server.stop(5))
        await line.settle()
        assert not stopping.done()
        face.charger.gate.set()
        await stopping
        assert face.realtime.in_flight == 0


async def test_a_server_that_stops_waits_no_longer_than_it_is_told() -> None:
    async with serving() as face:
        face.charger.gate = asyncio.Event()
        line = await Line(face).send(request())
        await face.server.stop(0.01)
        await line.settle()
        assert line.is_aborted
        # It is charged all the same; the client will ask again.
        face.charger.gate.set()
        await until(lambda: face.realtime.in_flight == 0)

    assert line.written == b""


@pytest.mark.parametrize("where", ["_take", "_respond"])
async def test_a_bug_is_one_requests_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def fail(*_: object, **__: object) -> Answered:
        raise ZeroDivisionError

    async with serving() as face:
        with monkeypatch.context() as patch:
            patch.setattr(Realtime, where, fail)
            line = await Line(face).send(request())
        await line.send(request())

    assert [reply.status for reply in line.replies] == [500, 200]
    assert json.loads(line.replies[0].text)["status"] == 500
    assert [record.message for record in caplog.records] == ["a request could not be answered"]
    assert face.realtime.in_flight == 0


async def test_outcomes_come_with_their_headers() -> None:
    async with serving(limits=RealtimeLimits(max_in_flight=1)) as face:
        face.charger.gate = asyncio.Event()
        first = await Line(face).send(request())
        beside = await Line(face).send(request())
        face.charger.gate.set()
        await first.settle()

    assert names(beside) == [ResultCode.TOO_BUSY]
    assert beside.replies[0].headers["Retry-After"] == "1"


# --- On a real socket, on the loop that `ocs` runs on ---------------------------------------------


def test_a_connection_is_handed_over_on_uvloop() -> None:
    """`set_protocol` in the middle of a segment is the transport's business."""

    async def talk() -> bytes:
        async with serving() as face:
            reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
            writer.write(request() + chunked() + request(b"Connection: close"))
            received = await reader.read()
            writer.close()
            await writer.wait_closed()
            return received

    assert uvloop.run(talk()).count(b"HTTP/1.1 200 OK") == 3

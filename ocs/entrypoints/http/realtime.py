"""`POST /realtime`: one event or an array of them, charged and answered.

It is reached in two ways: `answer` with a body that is there and a sender that is known, from the
front that serves plain requests by itself, and `handle` with any request that aiohttp has read.

The order of refusals is that of `ResultCode`: credential and tenant before the body is read, then
its size, then whether it is an event, then whether there is room for it.

*Room.* Each event in hand counts; when many are, new calls are turned away first, then updates, and
releases last, which free money and end work. What was taken in is finished: a handler is not
cancelled when its client goes, because the client will ask again and must find the outcome.

*Arrays.* Events of one session are charged in their order, sessions beside each other, so an array
leaves in few batches to the store; but only so many at once that one array alone never fills the
worker's room. Each event has its own answer; the array itself is answered with 200. When the store
is away, all of it together waits no longer than one event would, and the rest is turned away.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.results import TRANSIENT, ResultCode
from ocs.entrypoints.decoders.canonical import CanonicalDecoder, Decoded, Origin
from ocs.entrypoints.http.answers import AnswerWriter, problem_body
from ocs.entrypoints.http.auth import Authenticator, Caller, Refused, Role
from ocs.entrypoints.http.heads import IDEMPOTENCY_HEADER
from ocs.entrypoints.http.responses import Answered
from ocs.usecases.answer import Answer

Charge = Callable[[Event], Awaitable[Answer]]
ChargeAll = Callable[[Sequence[Event]], Awaitable[list[Answer | Exception]]]
"""Charges one event each of several sessions; an exception is the bug that one event met."""
Observe = Callable[[str, Answer], None]
"""Told of each event that is answered here without being charged: its kind ("" if not known)."""

_log = logging.getLogger(__name__)

# Parts of `max_in_flight` up to which each kind is taken in.
_ROOM: Final = {Kind.START: 0.8, Kind.EVENT: 0.9, Kind.UPDATE: 0.9, Kind.RELEASE: 1.0}
_BLANKS: Final = b" \t\r\n"
_HIT: Final = "Idempotency-Hit: true\r\n"


_NONE: Final = Answer(code=ResultCode.RATING_FAILED)

Begun = tuple[Event | None, Answer | Awaitable[Answer]]
"""An event and its answer to come; or None, and the answer that it has already."""


class RealtimeLimits(Struct, frozen=True, kw_only=True):
    """Bounds of one request and of one worker.

    A body is read whole before it is judged; `max_in_flight` bounds the memory and the queue to the
    store of one worker (512 events are some 10 ms of work). `retry_after_s` is what a client that
    is turned away is told.
    """

    body_bytes: int = 65_536
    array_bytes: int = 1_048_576
    body_timeout_s: float = 10.0
    max_in_flight: int = 512
    retry_after_s: int = 1


class Realtime:
    """Handles the events of one worker."""

    def __init__(  # noqa: PLR0913 -- keyword-only: what it is made of
        self,
        *,
        charge: Charge,
        charge_all: ChargeAll,
        decoder: CanonicalDecoder,
        writer: AnswerWriter,
        authenticator: Authenticator,
        limits: RealtimeLimits,
        wall_ms: Callable[[], int],
        observers: Sequence[Observe] = (),
    ) -> None:
        self.authenticator = authenticator
        self.in_flight = 0
        self.limits = limits
        self._charge = charge
        self._charge_all = charge_all
        self._decoder = decoder
        self._writer = writer
        self._wall_ms = wall_ms
        self._observers = tuple(observers)
        self._room = {kind: int(limits.max_in_flight * part) or 1 for kind, part in _ROOM.items()}
        self._together = self._room[Kind.START] // 4 or 1

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it holds."""
        headers = request.headers
        try:
            caller = self.authenticator.caller(headers, request.remote, Role.CHARGE)
        except Refused as refused:
            answer = Answer(code=refused.code, reason=refused.reason)
            return self._refuse(answer, self._wall_ms()).response()
        content = request.content
        body = content.read_nowait() if content.is_eof() else await self._read(request)
        answered = self.answer(body, caller, headers.get(IDEMPOTENCY_HEADER, ""))
        return (answered if isinstance(answered, Answered) else await answered).response()

    def answer(
        self, body: bytes, caller: Caller, idempotency_key: str = ""
    ) -> Answered | Awaitable[Answered]:
        """Answer a body: at once where nothing is charged, else in what is to be awaited, once.

        A single event that can be charged has been begun when this returns.
        """
        now_ms = self._wall_ms()
        is_array = body[:1] == b"[" or body.lstrip(_BLANKS)[:1] == b"["
        problem = self._size_problem(body, is_array=is_array)
        if problem is not None:
            return self._refuse(problem, now_ms)
        origin = Origin(now_ms, caller.tenant, caller.tenants, idempotency_key)
        if is_array:
            return self._answer_array(body, origin)
        decoded = self._decoder.decode(body, origin)
        begun = self._begin(decoded)
        if begun[0] is None:
            assert isinstance(begun[1], Answer)
            return self._respond(begun[1], now_ms, itemised=decoded.itemised)
        return self._conclude(begun, now_ms, itemised=decoded.itemised)

    def broken(self) -> Answered:
        """Answer a request that a bug keeps from being answered; called where it is handled."""
        _log.exception("a request could not be answered")
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return Answered(status, problem_body(status), self._wall_ms() // 1_000)

    async def _conclude(self, begun: Begun, now_ms: int, *, itemised: bool) -> Answered:
        return self._respond(await self._end(begun), now_ms, itemised=itemised)

    def _size_problem(self, body: bytes, *, is_array: bool) -> Answer | None:
        limit = self.limits.array_bytes if is_array else self.limits.body_bytes
        if len(body) <= limit:
            return None
        return Answer(code=ResultCode.TOO_LARGE, field="body", reason=f"at most {limit} bytes")

    async def _read(self, request: web.BaseRequest) -> bytes:
        """Read a body that has not arrived with its headers.

        Reading stops above the limit: what is returned is then too long, and not all there is. Of
        one that does not come in time, what has come is returned: it is cut off, and so no event.
        """
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, size = [], 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.body_timeout_s):
                async for part in request.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > self.limits.array_bytes:
                        break
        return b"".join(parts)

    def _begin(self, decoded: Decoded) -> Begun:
        """Begin to answer an event: what is remembered leaves for the store in this tick."""
        event = decoded.outcome
        refusal = self._admit(event)
        if refusal is not None:
            return None, refusal
        assert type(event) is Event
        try:
            return event, self._charge(event)
        except Exception as bug:  # noqa: BLE001 -- only this event is to suffer from it
            self.in_flight -= 1
            return None, _failed(event, bug)

    def _admit(self, outcome: Event | Answer, *, late: bool = False) -> Answer | None:
        """Take an event in hand (None), or answer it without charging it.

        `late`: the time that its array had is used up.
        """
        if type(outcome) is Answer:
            self._observe("", outcome)
            return outcome
        assert type(outcome) is Event
        if late or self.in_flight >= self._room[outcome.kind]:
            return self._turn_away(outcome)
        self.in_flight += 1
        return None

    async def _end(self, begun: Begun) -> Answer:
        event, charging = begun
        if event is None:
            assert isinstance(charging, Answer)
            return charging
        assert not isinstance(charging, Answer)
        try:
            return await charging
        except Exception as bug:  # noqa: BLE001 -- faults of the store are answers by now
            return _failed(event, bug)
        finally:
            self.in_flight -= 1

    def _turn_away(self, event: Event) -> Answer:
        answer = Answer(
            code=ResultCode.TOO_BUSY,
            session_id=event.session_id,
            request_number=event.request_number,
        )
        self._observe(event.kind, answer)
        return answer

    async def _answer_array(self, body: bytes, origin: Origin) -> Answered:
        decoded = self._decoder.decode_array(body, origin)
        if isinstance(decoded, Answer):
            return self._refuse(decoded, origin.now_ms)
        answers = await self._answer_all(decoded)
        forms = [one.itemised for one in decoded]
        are_repeats = bool(answers) and all(answer.hit for answer in answers)
        return Answered(
            200,
            self._writer.write_array(zip(answers, forms, strict=True)),
            origin.now_ms // 1_000,
            _HIT if are_repeats else "",
        )

    async def _answer_all(self, decoded: list[Decoded]) -> list[Answer]:
        """Charge sessions beside each other, the events of one in order."""
        answers = [_NONE] * len(decoded)
        late = False
        for positions in _rounds(decoded):
            for start in range(0, len(positions), self._together):
                some = positions[start : start + self._together]
                # The store did not answer in time: no event gets a time of its own after that.
                late = await self._answer_some(decoded, some, answers, late=late) or late
        return answers

    async def _answer_some(
        self, decoded: list[Decoded], positions: list[int], answers: list[Answer], *, late: bool
    ) -> bool:
        """Answer events of different sessions; tell whether the store kept one of them waiting."""
        taken, events = [], []
        for position in positions:
            outcome = decoded[position].outcome
            refusal = self._admit(outcome, late=late)
            if refusal is not None:
                answers[position] = refusal
            elif type(outcome) is Event:
                taken.append(position)
                events.append(outcome)
        if not taken:
            return False
        try:
            charged = await self._charge_all(events)
        finally:
            self.in_flight -= len(taken)
        for position, event, answer in zip(taken, events, charged, strict=True):
            answers[position] = answer if type(answer) is Answer else _failed(event, answer)
        return any(answers[position].code in TRANSIENT for position in taken)

    def _refuse(self, answer: Answer, now_ms: int) -> Answered:
        self._observe("", answer)
        return self._respond(answer, now_ms, itemised=False)

    def _respond(self, answer: Answer, now_ms: int, *, itemised: bool) -> Answered:
        code = answer.code
        headers = _HIT if answer.hit else ""
        if code in TRANSIENT:
            headers += f"Retry-After: {self.limits.retry_after_s}\r\n"
        if code is ResultCode.UNAUTHORIZED:
            headers += "WWW-Authenticate: Bearer\r\n"
        status, body = self._writer.write(answer, itemised=itemised)
        return Answered(status, body, now_ms // 1_000, headers)

    def _observe(self, kind: str, answer: Answer) -> None:
        for observe in self._observers:
            observe(kind, answer)


def _rounds(decoded: list[Decoded]) -> list[list[int]]:
    """Part the positions of an array: first the first event of each session, then the second."""
    turns: dict[object, int] = {}
    first: list[int] = []
    rounds = [first]
    for position, one in enumerate(decoded):
        event = one.outcome
        key = (event.tenant, event.session_id) if type(event) is Event else position
        if key not in turns:
            turns[key] = 0
            first.append(position)
            continue
        turn = turns[key] = turns[key] + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(position)
    return rounds


def _failed(event: Event, bug: object) -> Answer:
    """Answer an event that a bug keeps from being charged."""
    assert isinstance(bug, Exception)
    _log.error("an event could not be charged", exc_info=bug)
    return Answer(
        code=ResultCode.RATING_FAILED,
        session_id=event.session_id,
        request_number=event.request_number,
    )

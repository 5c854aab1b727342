"""`POST /realtime`: one event or an array of them, charged and answered.

It is reached in two ways: `begin` with a body that is there and a sender that is known, from the
front that serves plain requests by itself, and `handle` with any request that aiohttp has read. The
front's single events go in rounds (`rounds`).

*Dialects.* A request names its event source, or the event does, or it is `default`; the source's
dialect reads the body and writes the answer, also that of a refusal before anything is read.

The order of refusals is that of `ResultCode`: credential and tenant before the body is read, then
its size, then whether it is an event, then whether there is room for it.

*Room.* Each event in hand counts; when many are, new calls are turned away first, then updates, and
releases last, which free money and end work. For an emergency call there is always room: it waits
for nothing. What was taken in is finished: a handler is not cancelled when its client goes, because
the client will ask again and must find the outcome.

*Memory.* While the store's runs short, new calls are turned away in the same words, then one-shot
events (`usecases.shedding`). What is shed is set from outside: an event that is not shed pays one
look at an attribute for it.

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
from ocs.entrypoints.dialects import DEFAULT_SOURCE, Decoded, Dialect, Dialects, Origin
from ocs.entrypoints.http.answers import problem_body
from ocs.entrypoints.http.auth import Authenticator, Caller, Refused, Role
from ocs.entrypoints.http.heads import IDEMPOTENCY_HEADER
from ocs.entrypoints.http.named import request_in, source_named
from ocs.entrypoints.http.responses import Answered
from ocs.entrypoints.http.rounds import ChargeAll, Request, Rounds, Tell
from ocs.usecases.answer import Answer, AnswerOfOne
from ocs.usecases.shedding import Shed, is_shed

Charge = Callable[[Event], Awaitable[Answer]]
Observe = Callable[[str, Answer], None]
"""Told of each event that is answered here without being charged: its kind ("" if not known)."""

_log = logging.getLogger(__name__)

# Parts of `max_in_flight` up to which each kind is taken in.
_ROOM: Final = {Kind.START: 0.8, Kind.EVENT: 0.9, Kind.UPDATE: 0.9, Kind.RELEASE: 1.0}
_HIT: Final = "Idempotency-Hit: true\r\n"
_SHORT_OF_MEMORY: Final = "the store is short of memory"

# A member of an enumeration costs 75 ns each time that it is looked up on its class.
_UNAUTHORIZED: Final = ResultCode.UNAUTHORIZED
_NONE: Final = Answer(code=ResultCode.RATING_FAILED)


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
        dialects: Dialects,
        authenticator: Authenticator,
        limits: RealtimeLimits,
        wall_ms: Callable[[], int],
        observers: Sequence[Observe] = (),
    ) -> None:
        self.authenticator = authenticator
        self.in_flight = 0
        self.shed = Shed.NOTHING
        self.shed_events = dict.fromkeys(_ROOM, 0)
        self.limits = limits
        self._charge = charge
        self._charge_all = charge_all
        self._rounds = Rounds(charge_all, self._responded)
        self._dialects = dialects
        self._default = dialects[DEFAULT_SOURCE]
        self._wall_ms = wall_ms
        self._observers = tuple(observers)
        self._room = {kind: int(limits.max_in_flight * part) or 1 for kind, part in _ROOM.items()}
        self._together = self._room[Kind.START] // 4 or 1

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it holds."""
        headers = request.headers
        source = source_named(request.raw_path, headers)
        try:
            caller = self.authenticator.caller(headers, request.remote, Role.CHARGE)
        except Refused as refused:
            answer = Answer(code=refused.code, reason=refused.reason)
            return self._refuse(answer, self._wall_ms(), self._dialect(source)).response()
        content = request.content
        body = content.read_nowait() if content.is_eof() else await self._read(request)
        answered = self.answer(
            body or request_in(request.raw_path),
            caller,
            headers.get(IDEMPOTENCY_HEADER, ""),
            source,
        )
        return (answered if isinstance(answered, Answered) else await answered).response()

    def answer(
        self, body: bytes, caller: Caller, idempotency_key: str = "", source: str = ""
    ) -> Answered | Awaitable[Answered]:
        """Answer a body: at once where nothing is charged, else in what is to be awaited, once.

        `source` is what the request names, if it does.
        """
        taken = self._take(body, caller, idempotency_key, source)
        return self._charged(taken) if isinstance(taken, Request) else taken

    def begin(
        self, body: bytes, caller: Caller, idempotency_key: str, source: str, tell: Tell
    ) -> Answered | Awaitable[Answered] | None:
        """Answer a body as `answer` does; None: it is told when its round is charged."""
        taken = self._take(body, caller, idempotency_key, source)
        if not isinstance(taken, Request):
            return taken
        if taken.event.emergency:
            return self._charged(taken)
        self._rounds.add(taken, tell)
        return None

    def _take(
        self, body: bytes, caller: Caller, idempotency_key: str, source: str
    ) -> Answered | Awaitable[Answered] | Request:
        """Read a body; a single event that is to be charged is in hand when this returns."""
        now_ms = self._wall_ms()
        dialect = self._dialect(source) if source else self._default
        is_array = dialect.decoder.is_array(body)
        problem = self._size_problem(body, is_array=is_array)
        if problem is not None:
            return self._refuse(problem, now_ms, dialect)
        if source and source not in self._dialects:
            return self._refuse(unknown_source(), now_ms, dialect)
        origin = Origin(now_ms, caller.tenant, caller.tenants, idempotency_key)
        if is_array:
            return self._answer_array(body, origin, dialect)
        decoded = dialect.decoder.decode(body, origin)
        if decoded.source and decoded.source != dialect.source:
            dialect = self._dialects[decoded.source]
        event = decoded.outcome
        refusal = self._admit(event)
        if refusal is not None:
            return self._respond(refusal, now_ms, dialect, decoded)
        assert type(event) is Event
        return Request(event, decoded, dialect, now_ms)

    def broken(self) -> Answered:
        """Answer a request that a bug keeps from being answered; called where it is handled."""
        _log.exception("a request could not be answered")
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return Answered(status, problem_body(status), self._wall_ms() // 1_000)

    def _dialect(self, source: str) -> Dialect:
        """Return the dialect of a source; of one that is not there, the default one."""
        return self._dialects.get(source, self._default)

    async def _charged(self, request: Request) -> Answered:
        """Charge a request by itself."""
        outcome: Answer | Exception
        try:
            outcome = await self._charge(request.event)
        except Exception as bug:  # noqa: BLE001 -- faults of the store are answers by now
            outcome = bug
        return self._responded(request, outcome)

    def _responded(self, request: Request, outcome: Answer | Exception) -> Answered:
        """Answer a request that is charged; raises nothing."""
        self.in_flight -= 1
        try:
            answer = outcome if type(outcome) is Answer else _failed(request.event, outcome)
            return self._respond(answer, request.now_ms, request.dialect, request.decoded)
        except Exception:  # noqa: BLE001 -- of a round the others are to be answered
            return self.broken()

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

    def _admit(self, outcome: Event | Answer, *, late: bool = False) -> Answer | None:
        """Take an event in hand (None), or answer it without charging it.

        `late`: the time that its array had is used up.
        """
        if type(outcome) is Answer:
            self._observe("", outcome)
            return outcome
        assert type(outcome) is Event
        if (late or self.in_flight >= self._room[outcome.kind]) and not outcome.emergency:
            return self._turn_away(outcome)
        if self.shed and is_shed(outcome, self.shed):
            self.shed_events[outcome.kind] += 1
            return self._turn_away(outcome, _SHORT_OF_MEMORY)
        self.in_flight += 1
        return None

    def _turn_away(self, event: Event, reason: str = "") -> Answer:
        answer = Answer(
            code=ResultCode.TOO_BUSY,
            session_id=event.session_id,
            request_number=event.request_number,
            reason=reason,
        )
        self._observe(event.kind, answer)
        return answer

    async def _answer_array(self, body: bytes, origin: Origin, dialect: Dialect) -> Answered:
        decoded = dialect.decoder.decode_array(body, origin)
        if isinstance(decoded, Answer):
            return self._refuse(decoded, origin.now_ms, dialect)
        answers = await self._answer_all(decoded)
        are_repeats = bool(answers) and all(answer.hit for answer in answers)
        written = dialect.encoder.write_array(zip(answers, decoded, strict=True))
        return Answered(
            written.status,
            written.body,
            origin.now_ms // 1_000,
            _HIT if are_repeats else "",
            written.content_type,
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
            for position, event, one in zip(taken, events, charged, strict=True):
                answers[position] = one if type(one) is Answer else await _settled(event, one)
        finally:
            self.in_flight -= len(taken)
        return any(answers[position].code in TRANSIENT for position in taken)

    def _refuse(self, answer: Answer, now_ms: int, dialect: Dialect) -> Answered:
        self._observe("", answer)
        return self._respond(answer, now_ms, dialect, Decoded(answer))

    def _respond(self, answer: Answer, now_ms: int, dialect: Dialect, decoded: Decoded) -> Answered:
        code = answer.code
        headers = _HIT if answer.hit else ""
        if code in TRANSIENT:
            headers += f"Retry-After: {self.limits.retry_after_s}\r\n"
        if code is _UNAUTHORIZED:
            headers += "WWW-Authenticate: Bearer\r\n"
        written = dialect.encoder.write(answer, decoded)
        return Answered(
            written.status, written.body, now_ms // 1_000, headers, written.content_type
        )

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


def unknown_source() -> Answer:
    """Answer a request of an event source that is not there."""
    return Answer(code=ResultCode.INVALID_EVENT, field="source", reason="there is no such source")


async def _settled(event: Event, charged: AnswerOfOne) -> Answer:
    """Wait for an answer to come; answer a bug."""
    try:
        if isinstance(charged, Exception):
            return _failed(event, charged)
        return charged if isinstance(charged, Answer) else await charged
    except Exception as bug:  # noqa: BLE001 -- faults of the store are answers by now
        return _failed(event, bug)


def _failed(event: Event, bug: object) -> Answer:
    """Answer an event that a bug keeps from being charged."""
    assert isinstance(bug, Exception)
    _log.error("an event could not be charged", exc_info=bug)
    return Answer(
        code=ResultCode.RATING_FAILED,
        session_id=event.session_id,
        request_number=event.request_number,
    )

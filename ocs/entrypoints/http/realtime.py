"""`POST /realtime`: one event or an array of them, charged and answered.

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
from typing import Final

from aiohttp import web
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.results import TRANSIENT, ResultCode
from ocs.entrypoints.decoders.canonical import CanonicalDecoder, Decoded, Origin
from ocs.entrypoints.http.answers import AnswerWriter
from ocs.entrypoints.http.auth import Authenticator, Refused, Role
from ocs.entrypoints.http.responses import Answered
from ocs.usecases.answer import Answer

Charge = Callable[[Event], Awaitable[Answer]]
Observe = Callable[[str, Answer], None]
"""Told of each event that is answered here without being charged: its kind ("" if not known)."""

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"

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
        decoder: CanonicalDecoder,
        writer: AnswerWriter,
        authenticator: Authenticator,
        limits: RealtimeLimits,
        wall_ms: Callable[[], int],
        observers: Sequence[Observe] = (),
    ) -> None:
        self.in_flight = 0
        self._charge = charge
        self._decoder = decoder
        self._writer = writer
        self._authenticator = authenticator
        self._limits = limits
        self._wall_ms = wall_ms
        self._observers = tuple(observers)
        self._room = {kind: int(limits.max_in_flight * part) or 1 for kind, part in _ROOM.items()}
        self._together = self._room[Kind.START] // 4 or 1

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it holds."""
        now_ms = self._wall_ms()
        headers = request.headers
        try:
            caller = self._authenticator.caller(headers, request.remote, Role.CHARGE)
        except Refused as refused:
            return self._refuse(Answer(code=refused.code, reason=refused.reason), now_ms)
        content = request.content
        body = content.read_nowait() if content.is_eof() else await self._read(request)
        is_array = body[:1] == b"[" or body.lstrip(_BLANKS)[:1] == b"["
        problem = self._size_problem(body, is_array=is_array)
        if problem is not None:
            return self._refuse(problem, now_ms)
        key = headers.get(IDEMPOTENCY_HEADER, "")
        origin = Origin(now_ms, caller.tenant, caller.tenants, key)
        if is_array:
            return await self._answer_array(body, origin)
        decoded = self._decoder.decode(body, origin)
        answer = await self._end(self._begin(decoded))
        return self._respond(answer, now_ms, itemised=decoded.itemised)

    def _size_problem(self, body: bytes, *, is_array: bool) -> Answer | None:
        limit = self._limits.array_bytes if is_array else self._limits.body_bytes
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
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for part in request.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > self._limits.array_bytes:
                        break
        return b"".join(parts)

    def _begin(self, decoded: Decoded, *, late: bool = False) -> Begun:
        """Begin to answer an event: what is remembered leaves for the store in this tick.

        `late`: the time that its array had is used up.
        """
        event = decoded.outcome
        if type(event) is Answer:
            self._observe("", event)
            return None, event
        assert type(event) is Event
        if late or self.in_flight >= self._room[event.kind]:
            return None, self._turn_away(event)
        try:
            charging = self._charge(event)
        except Exception:  # noqa: BLE001 -- a bug, and only this event is to suffer from it
            return None, _failed(event)
        self.in_flight += 1
        return event, charging

    async def _end(self, begun: Begun) -> Answer:
        event, charging = begun
        if event is None:
            assert isinstance(charging, Answer)
            return charging
        assert not isinstance(charging, Answer)
        try:
            return await charging
        except Exception:  # noqa: BLE001 -- a bug: faults of the store are answers by now
            return _failed(event)
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

    async def _answer_array(self, body: bytes, origin: Origin) -> web.StreamResponse:
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
        ).response()

    async def _answer_all(self, decoded: list[Decoded]) -> list[Answer]:
        """Charge sessions beside each other, the events of one in order."""
        sessions: dict[object, list[int]] = {}
        for position, one in enumerate(decoded):
            event = one.outcome
            key = (event.tenant, event.session_id) if type(event) is Event else position
            sessions.setdefault(key, []).append(position)
        answers = [_NONE] * len(decoded)
        rounds = max(map(len, sessions.values()), default=0)
        late = False
        for turn in range(rounds):
            ready = [at[turn] for at in sessions.values() if len(at) > turn]
            for start in range(0, len(ready), self._together):
                positions = ready[start : start + self._together]
                begun = [self._begin(decoded[position], late=late) for position in positions]
                for position, charging in zip(positions, begun, strict=True):
                    answer = answers[position] = await self._end(charging)
                    # The store did not answer in time: no event gets a time of its own after that.
                    late = late or (answer.code in TRANSIENT and charging[0] is not None)
        return answers

    def _refuse(self, answer: Answer, now_ms: int) -> web.StreamResponse:
        self._observe("", answer)
        return self._respond(answer, now_ms, itemised=False)

    def _respond(self, answer: Answer, now_ms: int, *, itemised: bool) -> web.StreamResponse:
        code = answer.code
        headers = _HIT if answer.hit else ""
        if code in TRANSIENT:
            headers += f"Retry-After: {self._limits.retry_after_s}\r\n"
        if code is ResultCode.UNAUTHORIZED:
            headers += "WWW-Authenticate: Bearer\r\n"
        status, body = self._writer.write(answer, itemised=itemised)
        return Answered(status, body, now_ms // 1_000, headers).response()

    def _observe(self, kind: str, answer: Answer) -> None:
        for observe in self._observers:
            observe(kind, answer)


def _failed(event: Event) -> Answer:
    """Answer an event that a bug keeps from being charged."""
    _log.exception("an event could not be charged")
    return Answer(
        code=ResultCode.RATING_FAILED,
        session_id=event.session_id,
        request_number=event.request_number,
    )

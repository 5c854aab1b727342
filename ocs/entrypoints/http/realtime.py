"""`POST /realtime`: one event or an array of them, charged and answered.

The order of refusals is that of `ResultCode`: credential and tenant before the body is read, then
its size, then whether it is an event, then whether there is room for it.

*Room.* Each event in hand counts; when many are, new calls are turned away first, then updates, and
releases last, which free money and end work. What was taken in is finished: a handler is not
cancelled when its client goes, because the client will ask again and must find the outcome.

*Arrays.* Events of one session are charged in their order, sessions beside each other, so a whole
array leaves in one or two batches to the store. Each event has its own answer; the array itself is
answered with 200.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web
from msgspec import Struct

from ocs.domain.events import Event, Kind
from ocs.domain.results import TRANSIENT, ResultCode
from ocs.entrypoints.decoders.canonical import CanonicalDecoder, Decoded, Origin
from ocs.entrypoints.http.answers import AnswerWriter
from ocs.entrypoints.http.auth import Authenticator, Caller, Refused, Role
from ocs.usecases.answer import Answer

Charge = Callable[[Event], Awaitable[Answer]]
Observe = Callable[[str, Answer], None]
"""Told of each event that is answered here without being charged: its kind ("" if not known)."""

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
HIT_HEADER: Final = "Idempotency-Hit"

_log = logging.getLogger(__name__)

# Parts of `max_in_flight` up to which each kind is taken in.
_ROOM: Final = {Kind.START: 0.8, Kind.EVENT: 0.9, Kind.UPDATE: 0.9, Kind.RELEASE: 1.0}
_BLANKS: Final = b" \t\r\n"


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

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, whatever it holds."""
        headers = request.headers
        try:
            caller = self._authenticator.caller(headers, request.remote, Role.CHARGE)
        except Refused as refused:
            return self._refuse(Answer(code=refused.code, reason=refused.reason))
        content = request.content
        body = content.read_nowait() if content.is_eof() else await self._read(request)
        if body is None:
            return self._refuse(
                Answer(code=ResultCode.INVALID_EVENT, field="body", reason="not received in time")
            )
        is_array = body[:1] == b"[" or body.lstrip(_BLANKS)[:1] == b"["
        limit = self._limits.array_bytes if is_array else self._limits.body_bytes
        if len(body) > limit:
            return self._refuse(
                Answer(code=ResultCode.TOO_LARGE, field="body", reason=f"at most {limit} bytes")
            )
        origin = self._origin(caller, headers.get(IDEMPOTENCY_HEADER))
        if is_array:
            return await self._answer_array(body, origin)
        decoded = self._decoder.decode(body, origin)
        answer = await self._answer(decoded)
        return self._respond(answer, itemised=decoded.itemised)

    def _origin(self, caller: Caller, idempotency_key: str | None) -> Origin:
        return Origin(self._wall_ms(), caller.tenant, caller.tenants, idempotency_key or "")

    async def _read(self, request: web.BaseRequest) -> bytes | None:
        """Read a body that has not arrived with its headers; None when it does not come.

        Reading stops above the limit: what is returned is then too long, and not all there is.
        """
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, size = [], 0
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for part in request.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > self._limits.array_bytes:
                        break
        except TimeoutError:
            return None
        return b"".join(parts)

    async def _answer(self, decoded: Decoded) -> Answer:
        event = decoded.outcome
        if type(event) is Answer:
            self._observe("", event)
            return event
        assert type(event) is Event
        if self.in_flight >= self._room[event.kind]:
            return self._turn_away(event)
        self.in_flight += 1
        try:
            return await self._charge(event)
        except Exception:
            # A bug: faults of the store are answers by now. The call goes on being controlled.
            _log.exception("an event could not be charged")
            return Answer(
                code=ResultCode.RATING_FAILED,
                session_id=event.session_id,
                request_number=event.request_number,
            )
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

    async def _answer_array(self, body: bytes, origin: Origin) -> web.Response:
        decoded = self._decoder.decode_array(body, origin)
        if isinstance(decoded, Answer):
            return self._refuse(decoded)
        answers = await self._answer_all(decoded)
        forms = (one.itemised for one in decoded)
        response = _json(200, self._writer.write_array(zip(answers, forms, strict=True)))
        if answers and all(answer.hit for answer in answers):
            response.headers[HIT_HEADER] = "true"
        return response

    async def _answer_all(self, decoded: list[Decoded]) -> list[Answer]:
        """Charge sessions beside each other, the events of one in order."""
        answers: dict[int, Answer] = {}

        async def charge_in_order(positions: list[int]) -> None:
            for position in positions:
                answers[position] = await self._answer(decoded[position])

        groups: dict[object, list[int]] = {}
        for position, one in enumerate(decoded):
            event = one.outcome
            key = (event.tenant, event.session_id) if type(event) is Event else position
            groups.setdefault(key, []).append(position)
        if len(groups) == 1:
            await charge_in_order(*groups.values())
        else:
            await asyncio.gather(*map(charge_in_order, groups.values()))
        return [answers[position] for position in range(len(decoded))]

    def _refuse(self, answer: Answer) -> web.Response:
        self._observe("", answer)
        response = self._respond(answer, itemised=False)
        if answer.code is ResultCode.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _respond(self, answer: Answer, *, itemised: bool) -> web.Response:
        body = self._writer.write(answer, itemised=itemised)
        response = _json(self._writer.status(answer.code), body)
        if answer.hit:
            response.headers[HIT_HEADER] = "true"
        if answer.code in TRANSIENT:
            response.headers["Retry-After"] = str(self._limits.retry_after_s)
        return response

    def _observe(self, kind: str, answer: Answer) -> None:
        for observe in self._observers:
            observe(kind, answer)


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        body=body, status=status, headers={"Content-Type": "application/json", "Server": "ocs"}
    )

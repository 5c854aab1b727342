"""A `/realtime` face on a real socket, with charging that tests decide.

`FakeCharger` charges one second for each that is asked, and remembers what it was given; `answers`
holds what to answer instead, and `gate`, when set, holds events back until it is opened.
"""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import aiohttp
import msgspec

from ocs.domain.events import Event
from ocs.domain.numbers import NumberRules
from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.http.app import HttpServer, operations_routes, service_routes
from ocs.entrypoints.http.auth import Authenticator, Credential
from ocs.entrypoints.http.front import ConnectionLimits
from ocs.entrypoints.http.operations import Check, Operations, Readiness
from ocs.entrypoints.http.realtime import Observe, Realtime, RealtimeLimits
from ocs.entrypoints.return_codes import load_return_codes, return_codes_path
from ocs.entrypoints.sources.dialects import Writing, make_dialects
from ocs.entrypoints.sources.source import Answering, Source
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.ports import RatingInfo

CODES = load_return_codes(return_codes_path())
NOW_MS = 1_795_166_545_000
START: dict[str, Any] = {
    "record_type": "start_request",
    "session_id": "s1",
    "request_number": 0,
    "subscriber": "441632960166",
    "called_number": "260955123456",
    "requested_units": 60,
}
SBC = Source(
    "sbc",
    "a client with words of its own",
    fields={
        "session_id": "call",
        "request_number": "seq",
        "subscriber": "from",
        "record_type": "type",
    },
    answer=Answering(
        form="mapped",
        encoding="kv",
        http_status="200",
        fields={"code": "return_code", "granted": "granted_units", "wrong": "field"},
    ),
)
RATING = RatingInfo("a-z", "2609", "Zambia mobile", "interval")


class FakeCharger:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.together: list[int] = []
        self.answers: dict[str, Answer | Exception] = {}
        self.gate: asyncio.Event | None = None

    async def charge(self, event: Event) -> Answer:
        self.events.append(event)
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0)
        answer = self.answers.get(event.session_id)
        if isinstance(answer, Exception):
            raise answer
        return answer or granted(event)

    async def charge_all(self, events: Sequence[Event]) -> list[Answer | Exception]:
        self.together.append(len(events))
        charges = [self.charge(event) for event in events]
        outcomes = await asyncio.gather(*charges, return_exceptions=True)
        return [one for one in outcomes if isinstance(one, Answer | Exception)]


def granted(event: Event) -> Answer:
    services = tuple(
        ServiceAnswer(
            rating_group=service.rating_group,
            code=ResultCode.OK,
            granted_units=service.requested_units or 0,
            validity_s=300,
            quota_threshold_units=0,
            final_unit=False,
            settled_units=service.used_units,
            settled_amount=service.used_units * 1_000,
            total_amount=service.used_units * 1_000,
            rating=RATING,
        )
        for service in event.services
    )
    return Answer(
        code=ResultCode.OK,
        session_id=event.session_id,
        request_number=event.request_number,
        transaction_id="007-1795166545000-0",
        session_ref=f"p007-{event.session_id}",
        services=services,
        currency="EUR",
        available_amount=9_940_000,
        held_amount=60_000,
    )


class Face:
    """What a test talks to."""

    def __init__(
        self, charger: FakeCharger, realtime: Realtime, server: HttpServer, port: int
    ) -> None:
        self.charger = charger
        self.realtime = realtime
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @cached_property
    def protocols(self) -> Callable[[], asyncio.BaseProtocol]:
        """What makes the protocol of a connection, for connections that no socket brings."""
        return self.server._protocols()


async def no_trouble() -> str:
    return ""


@asynccontextmanager
async def serving(  # the parts of a face that tests vary
    *,
    limits: RealtimeLimits | None = None,
    connections: ConnectionLimits | None = None,
    credentials: Iterable[Credential] = (),
    observers: Iterable[Observe] = (),
    checks: Mapping[str, Check] | None = None,
    operations_port: bool = False,
    front: bool = True,
    sources: Iterable[Source] = (),
    within_s: float = 5.0,
) -> AsyncIterator[Face]:
    charger = FakeCharger()
    authenticator = Authenticator(credentials, tenants=["demo", "other"], default_tenant="demo")
    realtime = Realtime(
        charge=charger.charge,
        charge_all=charger.charge_all,
        dialects=make_dialects(
            sources, DecoderSettings(number_rules={"demo": NumberRules()}), Writing(CODES)
        ),
        authenticator=authenticator,
        limits=limits or RealtimeLimits(),
        wall_ms=lambda: NOW_MS,
        observers=tuple(observers),
    )
    operations = Operations(
        Readiness(checks if checks is not None else {"store": no_trouble}),
        lambda: (b"ocs_up 1\n", "text/plain"),
        authenticator,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    routes = (
        operations_routes(operations) if operations_port else service_routes(realtime, operations)
    )
    events = None if operations_port or not front else realtime
    server = HttpServer(routes, listener, connections, events=events)
    await server.start()
    try:
        yield Face(charger, realtime, server, listener.getsockname()[1])
    finally:
        if charger.gate is not None:
            charger.gate.set()
        await server.stop(within_s)


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: Any


async def call(
    face: Face,
    path: str = "/realtime",
    body: object = None,
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> Reply:
    """Send one request on a connection of its own; `body` is JSON unless it is bytes."""
    data = io.BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, face.url + path, data=data, headers=headers) as response,
    ):
        content = await response.read()
        is_json = response.content_type == "application/json" and method != "HEAD"
        answer = msgspec.json.decode(content) if is_json else content
        return Reply(response.status, dict(response.headers), answer)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something has happened."""
    async with asyncio.timeout(10):
        # What is waited for lies inside of the server, which has no events for tests.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

"""`POST /cdr`: who may, what is said of a body, and the status by which a switch keeps its copy."""

import asyncio
import base64
import gzip
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import aiohttp
import pytest

from ocs.entrypoints.http.app import HttpServer
from ocs.entrypoints.http.auth import Authenticator, Credential
from ocs.entrypoints.http.cdr import CDR_PATH, CdrLimits, Cdrs
from ocs.usecases.posted_cdrs import MOST_ENTRIES, Fault, Posted, judge
from ocs.usecases.taking_cdrs import Intake, Kept, NoRoom, Outcome, Unreadable
from tests.entrypoints.http.serving import serving

CDR = b'{"cdr_id":"1"}'
LIMITS = CdrLimits(body_bytes=50_000, body_timeout_s=5.0, answer_s=5.0, retry_after_s=7)


class MemoryFolder:
    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.kept: list[Posted] = []
        self.is_full = False
        self.bug: Exception | None = None

    def keep(self, batch: Sequence[Posted]) -> list[Outcome]:
        if self.bug is not None:
            raise self.bug
        return [self._outcome(posted) for posted in batch]

    def _outcome(self, posted: Posted) -> Outcome:
        if self.is_full:
            return NoRoom("it is full")
        judged = judge(posted)
        if not judged.is_readable:
            return Unreadable(judged.faults[0] if judged.faults else Fault(1, "", "is empty"))
        self.kept.append(posted)
        return Kept(judged.entries, len(judged.faults))

    def tend(self) -> None:
        pass


class Desk:
    def __init__(self, folder: MemoryFolder, intake: Intake, http: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.intake = intake
        self.http = http
        self.is_slow = False

    async def post(
        self, body: Any = CDR, query: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.post(f"{CDR_PATH}{query}", data=body, headers=named) as response:
            self.headers = response.headers
            return response.status, await response.json()


@asynccontextmanager
async def desk(
    limits: CdrLimits = LIMITS, credentials: Iterable[Credential] = ()
) -> AsyncIterator[Desk]:
    folder = MemoryFolder()
    slow = asyncio.Event()

    async def aside(work: Callable[[], object]) -> None:
        if here.is_slow:
            await slow.wait()
        work()

    intake = Intake(folder, aside, 1_000_000)
    authenticator = Authenticator(credentials, tenants=["demo", "acme"], default_tenant="demo")
    cdrs = Cdrs(intake, authenticator, limits)
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer({CDR_PATH: {"POST": cdrs.handle}}, listener)
    await server.start()
    running = asyncio.create_task(intake.run())
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with aiohttp.ClientSession(url) as http:
        here = Desk(folder, intake, http)
        yield here
    await server.stop(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def credential(name: str, *tenants: str, role: Any = "charge") -> Credential:
    digest = sha256(f"{name}-token".encode()).hexdigest()
    return Credential(name=name, token_sha256=digest, roles=frozenset({role}), tenants=tenants)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_what_is_kept_is_accepted() -> None:
    async with desk() as here:
        answer = await here.post(CDR + b"\nbroken\n")
        assert answer == (202, {"status": 202, "desc": "Accepted", "entries": 2, "unreadable": 1})
        assert here.headers["Content-Type"] == "application/json"
        (posted,) = here.folder.kept
        assert (posted.tenant, posted.format, posted.switch) == ("demo", "ndjson", "")
        assert here.intake.received == {"ndjson": 2}


@pytest.mark.parametrize(
    ("query", "form", "switch", "tenant"),
    [
        ("?format=freeswitch-json", "freeswitch-json", "", "demo"),
        ("?format=freeswitch-json&switch=pbx1?uuid=a_8a1c", "freeswitch-json", "pbx1", "demo"),
        ("?format=freeswitch-json?uuid=8a1c", "freeswitch-json", "", "demo"),
        ("?uuid=8a1c&format=freeswitch-json&tenant=acme", "freeswitch-json", "", "acme"),
    ],
)
async def test_the_address_says_what_it_is(query: str, form: str, switch: str, tenant: str) -> None:
    async with desk() as here:
        status, _ = await here.post(b'{"variables":{}}', query)
        assert status == 202
        (posted,) = here.folder.kept
        assert (posted.format, posted.switch, posted.tenant) == (form, switch, tenant)


@pytest.mark.parametrize(
    ("query", "field"),
    [("?format=parquet", "format"), ("?switch=../x", "switch"), ("?switch=.x", "switch")],
)
async def test_what_the_address_says_wrongly_is_named(query: str, field: str) -> None:
    async with desk() as here:
        status, told = await here.post(CDR, query)
        assert (status, told["field"]) == (400, field)
        assert here.folder.kept == []
        assert here.intake.refused == {"asked_wrongly": 1}


async def test_what_can_never_be_read_is_told_with_line_and_column() -> None:
    async with desk() as here:
        status, told = await here.post(b'{"called":"1"}')
        assert (status, told["line"], told["field"]) == (400, 1, "cdr_id")
        status, told = await here.post(b"")
        assert (status, told["field"], told["reason"]) == (400, "body", "is empty")
        assert here.intake.refused == {"unreadable": 2}


@pytest.mark.parametrize("body", [b"x" * 50_001, b"\n" * (MOST_ENTRIES + 1)])
async def test_what_is_too_large_is_told(body: bytes) -> None:
    async with desk() as here:
        status, told = await here.post(body)
        assert (status, told["field"]) == (413, "body")
        assert here.intake.refused == {"too_large": 1}


async def test_packed_bodies_are_unpacked() -> None:
    async with desk() as here:
        assert (await here.post(gzip.compress(CDR), Content_Encoding="gzip"))[0] == 202
        assert here.folder.kept[0].body == CDR
        bomb = gzip.compress(b"x" * 10_000_000)
        assert (await here.post(bomb, Content_Encoding="gzip"))[0] == 413
        assert (await here.post(CDR, Content_Encoding="zip"))[0] == 415
        assert (await here.post(CDR, Content_Encoding="gzip"))[0] == 400
        assert (await here.post())[0] == 202
        assert here.intake.refused == {"too_large": 1, "asked_wrongly": 2}


async def test_without_room_the_sender_is_to_come_again() -> None:
    async with desk() as here:
        here.folder.is_full = True
        status, told = await here.post()
        assert (status, told["reason"], told["retry_after"]) == (503, "it is full", 7)
        assert here.headers["Retry-After"] == "7"
        here.folder.is_full = False
        assert (await here.post())[0] == 202


async def test_a_slow_disk_is_not_waited_for() -> None:
    limits = CdrLimits(
        body_bytes=100, body_timeout_s=5.0, answer_s=0.05, retry_after_s=1, most_at_once=1
    )
    async with desk(limits) as here:
        here.is_slow = True
        first, second = await asyncio.gather(here.post(), here.post())
        assert {told["reason"] for _, told in (first, second)} == {
            "the disk is slow",
            "too many at once",
        }
        assert here.intake.refused == {"late": 1, "no_room": 1}
        assert {first[0], second[0]} == {503}


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    limits = CdrLimits(body_bytes=100, body_timeout_s=0.05, answer_s=5.0, retry_after_s=1)

    async def body() -> AsyncIterator[bytes]:
        yield CDR
        await asyncio.sleep(10)

    async with desk(limits) as here:
        status, told = await here.post(body())
        assert (status, told["field"]) == (408, "body")
        assert here.folder.kept == []


async def test_a_bug_is_no_acknowledgement() -> None:
    async with desk() as here:
        here.folder.bug = ZeroDivisionError("a bug")
        status, _ = await here.post()
        assert status == 500


async def test_a_client_may_ask_first() -> None:
    async with desk() as here:
        assert (await here.post(CDR, Expect="100-continue"))[0] == 202


@pytest.mark.parametrize(
    ("presented", "status"),
    [
        ("Bearer sbc-token", 202),
        (basic("anything", "sbc-token"), 202),
        (basic("sbc-token", ""), 401),
        ("Basic no base64", 401),
        ("Bearer other", 401),
        ("", 401),
        ("Bearer office-token", 403),
    ],
)
async def test_who_may_is_known_by_a_token(presented: str, status: int) -> None:
    credentials = [credential("sbc", "demo"), credential("office", "demo", role="operate")]
    async with desk(credentials=credentials) as here:
        found, _ = await here.post(CDR, Authorization=presented)
        assert found == status
        assert len(here.folder.kept) == (status == 202)
        if status == 401:
            assert "Basic" in here.headers["WWW-Authenticate"]
        assert here.intake.refused["unauthorized"] == (status != 202)


async def test_the_tenant_is_one_of_the_credentials() -> None:
    async with desk(credentials=[credential("sbc", "demo", "acme")]) as here:
        token = "Bearer sbc-token"
        status, told = await here.post(Authorization=token)
        assert (status, told["field"]) == (403, "tenant")
        assert (await here.post(Authorization=token, X_OCS_Tenant="acme"))[0] == 202
        assert (await here.post(query="?tenant=demo", Authorization=token))[0] == 202
        assert (await here.post(query="?tenant=other", Authorization=token))[0] == 403
        assert [posted.tenant for posted in here.folder.kept] == ["acme", "demo"]
    async with desk(credentials=[credential("sbc", "demo")]) as here:
        status, told = await here.post(b'{"cdr_id":"1","tenant":"acme"}', Authorization=token)
        assert (status, told["field"]) == (400, "tenant")


async def test_without_an_intake_there_is_no_such_path() -> None:
    async with (
        serving() as face,
        aiohttp.ClientSession() as http,
        http.post(f"{face.url}{CDR_PATH}", data=CDR) as response,
    ):
        assert response.status == 404

"""Probes and metrics, as an orchestrator and Prometheus see them."""

import asyncio
from hashlib import sha256

import pytest
from aiohttp import web  # noqa: TC002 -- read by a fake's annotation

from ocs.entrypoints.http.auth import Authenticator, Credential, Role
from ocs.entrypoints.http.operations import Operations, Readiness
from tests.entrypoints.http.serving import call, no_trouble, serving


async def away() -> str:
    return "no link"


async def broken() -> str:
    raise ConnectionResetError("gone")


async def hung() -> str:
    await asyncio.Event().wait()
    return ""


async def test_alive_whatever_the_store_does() -> None:
    async with serving(checks={"store": hung}) as face:
        reply = await call(face, "/livez", method="GET")

    assert (reply.status, reply.body) == (200, {"alive": True})


async def test_ready_when_every_check_passes() -> None:
    async with serving(checks={"store": no_trouble, "tariffs": no_trouble}) as face:
        reply = await call(face, "/readyz", method="GET")

    assert reply.status == 200
    assert reply.body == {
        "ready": True,
        "checks": {"store": "ok", "tariffs": "ok", "draining": "ok"},
    }


async def test_not_ready_says_why() -> None:
    checks = {"store": away, "functions": broken, "tariffs": hung, "disk": no_trouble}
    async with serving(checks=checks) as face:
        reply = await call(face, "/readyz", method="GET")

    assert reply.status == 503
    assert reply.body == {
        "ready": False,
        "checks": {
            "store": "no link",
            "functions": "ConnectionResetError: gone",
            "tariffs": "no answer within 50 ms",
            "disk": "ok",
            "draining": "ok",
        },
    }


async def test_not_ready_while_draining() -> None:
    readiness = Readiness({})
    assert await readiness.results() == {"draining": "ok"}

    readiness.draining = True

    assert await readiness.results() == {"draining": "this worker is about to end"}


async def test_metrics_are_on_the_operations_port_only() -> None:
    async with serving(operations_port=True) as face:
        metrics = await call(face, "/metrics", method="GET")
        ready = await call(face, "/readyz", method="GET")
        events = await call(face, "/realtime")
    async with serving() as face:
        hidden = await call(face, "/metrics", method="GET")

    assert (metrics.status, metrics.body) == (200, b"ocs_up 1\n")
    assert (ready.status, events.status, hidden.status) == (200, 404, 404)


async def test_a_head_request_has_no_body() -> None:
    async with serving() as face:
        reply = await call(face, "/livez", method="HEAD")

    assert (reply.status, reply.body) == (200, b"")


class Asked:
    """The two things that /metrics reads of a request, from an address a test cannot have."""

    def __init__(self, remote: str, headers: dict[str, str]) -> None:
        self.remote = remote
        self.headers = headers


@pytest.mark.parametrize(
    ("remote", "token", "status"),
    [
        ("127.0.0.1", "", 200),
        ("192.0.2.1", "", 401),
        ("192.0.2.1", "charger", 403),
        ("192.0.2.1", "watcher", 200),
    ],
)
async def test_metrics_from_elsewhere_need_the_role(remote: str, token: str, status: int) -> None:
    credentials = [
        Credential(
            name=name,
            token_sha256=sha256(name.encode()).hexdigest(),
            roles=frozenset({role}),
            tenants=("demo",),
        )
        for name, role in (("watcher", Role.OPERATE), ("charger", Role.CHARGE))
    ]
    operations = Operations(
        Readiness({}),
        lambda: (b"", "text/plain"),
        Authenticator(credentials, tenants=[], default_tenant="demo"),
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request: web.BaseRequest = Asked(remote, headers)  # type: ignore[assignment]

    assert (await operations.metrics(request)).status == status


async def test_what_only_the_store_knows_is_looked_at_before_a_scrape() -> None:
    looks: list[str] = []

    async def look() -> None:
        looks.append("looked")

    operations = Operations(
        Readiness({}),
        lambda: (" ".join(looks).encode(), "text/plain"),
        Authenticator([], tenants=[], default_tenant="demo"),
        look,
    )
    request: web.BaseRequest = Asked("127.0.0.1", {})  # type: ignore[assignment]

    assert (await operations.metrics(request)).body == b"looked"

"""Who may ask for what, for which tenant, from where."""

from hashlib import sha256
from typing import Any

import pytest

from ocs.domain.results import ResultCode
from ocs.entrypoints.http.auth import Authenticator, Caller, Credential, Refused, Role
from ocs.entrypoints.listening import may_bind
from tests.entrypoints.http.serving import call, serving


def credential(name: str, **changes: Any) -> Credential:
    fields = {"name": name, "token_sha256": sha256(name.encode()).hexdigest(), "tenants": ("demo",)}
    return Credential(**(fields | changes))


CREDENTIALS = [
    credential("one"),
    credential("both", tenants=("demo", "other")),
    credential("upper", token_sha256=sha256(b"upper").hexdigest().upper()),
    credential("ops", roles=frozenset({Role.OPERATE})),
    credential("lan", networks=("192.0.2.0/24", "2001:db8::/32", "127.0.0.0/8")),
]
KNOWN = Authenticator(CREDENTIALS, tenants=["demo", "other"], default_tenant="demo")
ANYBODY = Authenticator([], tenants=["demo", "other"], default_tenant="demo")
DEMO = frozenset({"demo"})
BOTH = frozenset({"demo", "other"})


def ask(headers: dict[str, str], peer: str = "198.51.100.1", role: Role = Role.CHARGE) -> Caller:
    return KNOWN.caller(headers, peer, role)


def bearer(token: str, **others: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | others


@pytest.mark.parametrize(
    ("headers", "peer", "role", "expected"),
    [
        (bearer("one"), "", Role.CHARGE, Caller("demo", DEMO)),
        ({"Authorization": "bearer   one "}, "", Role.CHARGE, Caller("demo", DEMO)),
        (bearer("upper"), "", Role.CHARGE, Caller("demo", DEMO)),
        (bearer("both"), "", Role.CHARGE, Caller("", BOTH)),
        (bearer("both") | {"X-OCS-Tenant": "other"}, "", Role.CHARGE, Caller("other", frozenset({"other"}))),
        (bearer("one") | {"X-OCS-Tenant": "demo"}, "", Role.CHARGE, Caller("demo", DEMO)),
        (bearer("ops"), "", Role.OPERATE, Caller("demo", DEMO)),
        (bearer("lan"), "192.0.2.7", Role.CHARGE, Caller("demo", DEMO)),
        (bearer("lan"), "::ffff:192.0.2.7", Role.CHARGE, Caller("demo", DEMO)),
        (bearer("lan"), "2001:db8::1", Role.CHARGE, Caller("demo", DEMO)),
    ],
)  # fmt: skip
def test_known_callers(headers: dict[str, str], peer: str, role: Role, expected: Caller) -> None:
    assert ask(headers, peer, role) == expected


@pytest.mark.parametrize(
    ("headers", "peer", "role", "code"),
    [
        ({}, "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        ({"Authorization": ""}, "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        ({"Authorization": "Basic b25lOm9uZQ=="}, "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        (bearer(""), "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        (bearer("One"), "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        (bearer("\udcff"), "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        (bearer(sha256(b"one").hexdigest()), "", Role.CHARGE, ResultCode.UNAUTHORIZED),
        (bearer("ops"), "", Role.CHARGE, ResultCode.FORBIDDEN),
        (bearer("one"), "", Role.OPERATE, ResultCode.FORBIDDEN),
        (bearer("one") | {"X-OCS-Tenant": "other"}, "", Role.CHARGE, ResultCode.FORBIDDEN),
        (bearer("lan"), "198.51.100.1", Role.CHARGE, ResultCode.FORBIDDEN),
        (bearer("lan"), "", Role.CHARGE, ResultCode.FORBIDDEN),
        (bearer("lan"), "not an address", Role.CHARGE, ResultCode.FORBIDDEN),
    ],
)
def test_refused_callers(headers: dict[str, str], peer: str, role: Role, code: ResultCode) -> None:
    with pytest.raises(Refused) as refused:
        ask(headers, peer, role)

    assert refused.value.code is code


def test_without_credentials_everybody_is_the_default_tenant() -> None:
    assert ANYBODY.caller({}, None, Role.CHARGE) == Caller("demo", BOTH)
    chosen = ANYBODY.caller({"X-OCS-Tenant": "other"}, None, Role.CHARGE)
    assert chosen.tenant == "other"
    with pytest.raises(Refused):
        ANYBODY.caller({"X-OCS-Tenant": "foreign"}, None, Role.CHARGE)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"token_sha256": "secret"}, "token_sha256 is not a SHA-256 in hex"),
        ({"token_sha256": "x" * 64}, "token_sha256 is not a SHA-256 in hex"),
        ({"tenants": ()}, "names no tenant"),
        ({"networks": ("192.0.2.1/24",)}, "networks: 192.0.2.1/24 has host bits set"),
    ],
)
def test_a_credential_that_can_never_match_is_refused(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=f"credential bad: {problem}"):
        Authenticator([credential("bad", **changes)], tenants=[], default_tenant="demo")


@pytest.mark.parametrize(
    ("host", "credentials", "allowed"),
    [
        ("127.0.0.1", [], True),
        ("127.8.9.1", [], True),
        ("::1", [], True),
        ("localhost", [], True),
        ("0.0.0.0", [], False),  # noqa: S104 -- not bound, asked about
        ("192.0.2.1", [], False),
        ("example.com", [], False),
        ("0.0.0.0", CREDENTIALS, True),  # noqa: S104
    ],
)
def test_without_credentials_only_the_loopback_is_bound(
    host: str, credentials: list[Credential], *, allowed: bool
) -> None:
    assert may_bind(host, credentials) is allowed


START = {
    "record_type": "start_request",
    "session_id": "s1",
    "request_number": 0,
    "subscriber": "441632960166",
}


@pytest.mark.parametrize(
    ("headers", "body", "status", "name"),
    [
        ({}, START, 401, "UNAUTHORIZED"),
        (bearer("wrong"), START, 401, "UNAUTHORIZED"),
        (bearer("ops"), START, 403, "FORBIDDEN"),
        (bearer("both"), START, 403, "FORBIDDEN"),
        (bearer("both"), START | {"tenant": "other"}, 200, "OK"),
        (bearer("both") | {"X-OCS-Tenant": "other"}, START, 200, "OK"),
        (bearer("both") | {"X-OCS-Tenant": "other"}, START | {"tenant": "demo"}, 403, "FORBIDDEN"),
        (bearer("one"), START | {"tenant": "other"}, 403, "FORBIDDEN"),
        (bearer("one"), START, 200, "OK"),
        ({}, b"\xff not even JSON", 401, "UNAUTHORIZED"),
    ],
)
async def test_events_over_the_wire(
    headers: dict[str, str], body: object, status: int, name: str
) -> None:
    async with serving(credentials=CREDENTIALS) as face:
        reply = await call(face, body=body, headers=headers)

    assert (reply.status, reply.body["return_name"]) == (status, name)
    assert ("WWW-Authenticate" in reply.headers) == (status == 401)
    assert len(face.charger.events) == (status == 200)


async def test_the_tenant_of_an_event_is_the_credentials() -> None:
    async with serving(credentials=CREDENTIALS) as face:
        await call(face, body=START | {"tenant": "other"}, headers=bearer("both"))
        await call(face, body=START, headers=bearer("one"))

    assert [event.tenant for event in face.charger.events] == ["other", "demo"]

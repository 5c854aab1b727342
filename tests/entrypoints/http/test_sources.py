"""Whose words a request is in, and that it is answered in the same, however it is said."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from ocs.entrypoints.http.auth import Credential
from ocs.entrypoints.http.realtime import RealtimeLimits
from ocs.entrypoints.sources.source import Answering, Identity, Reports, Source
from tests.entrypoints.http.serving import SBC, START, Reply, call, serving

SENT = {
    "call": "c1",
    "seq": 0,
    "from": "441632960166",
    "type": "start_request",
    "requested_units": 60,
}
GRANTED = b"code=1\ngranted=60\n"
AS_TEXT = quote(json.dumps(SENT))

NAMED: list[tuple[str, str, dict[str, str], object]] = [
    ("POST", "/realtime?source=sbc", {}, SENT),
    ("POST", "/realtime?file_type=sbc", {}, SENT),
    ("POST", "/realtime?file_type=other&source=sbc", {}, SENT),
    ("POST", "/realtime", {"X-OCS-Source": "sbc"}, SENT),
    ("POST", "/realtime?source=sbc", {"X-OCS-Source": "other"}, SENT),
    ("POST", "/realtime", {}, {"file_type": "sbc", "request": SENT}),
    ("POST", "/realtime", {}, {"file_type": "sbc", "request": json.dumps(SENT)}),
    ("POST", "/realtime", {}, SENT | {"file_type": "sbc"}),
    ("POST", "/realtime", {}, f"file_type=sbc&request={AS_TEXT}".encode()),
    ("POST", "/realtime?source=sbc", {}, f"request={AS_TEXT}".encode()),
    ("POST", f"/realtime?file_type=sbc&request={AS_TEXT}", {}, b""),
    ("GET", f"/realtime?file_type=sbc&request={AS_TEXT}", {}, b""),
]


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize(("method", "path", "headers", "body"), NAMED)
async def test_a_source_can_be_named_in_many_ways(
    method: str, path: str, headers: dict[str, str], body: object, *, front: bool
) -> None:
    async with serving(sources=[SBC], front=front) as face:
        reply = await call(face, path, body, method=method, headers=headers)

    assert (reply.status, reply.body) == (200, GRANTED)
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    (event,) = face.charger.events
    assert (event.session_id, event.subscriber) == ("c1", "441632960166")


async def refused(path: str, body: object = START, **headers: str) -> Reply:
    async with serving(sources=[SBC]) as face:
        reply = await call(face, path, body, headers=headers)
    assert face.charger.events == []
    return reply


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/realtime?source=nobody", START, {}),
        ("/realtime?source=nobody", b"", {}),
        ("/realtime?source=nobody", [START], {}),
        ("/realtime", START, {"X-OCS-Source": "nobody"}),
        ("/realtime", START | {"file_type": "nobody"}, {}),
        ("/realtime", b"file_type=nobody&request={}", {}),
    ],
)
async def test_a_source_that_is_not_there(path: str, body: object, headers: dict[str, str]) -> None:
    reply = await refused(path, body, **headers)

    assert (reply.status, reply.body["return_name"]) == (400, "INVALID_EVENT")
    assert reply.body["field"] == "source"


@pytest.mark.parametrize("file_type", ["default", "", 5, None, ["sbc"]])
async def test_a_file_type_that_names_no_other_source_is_kept(file_type: object) -> None:
    async with serving(sources=[SBC]) as face:
        reply = await call(face, body=START | {"file_type": file_type})

    assert reply.body["return_name"] == "OK"
    (event,) = face.charger.events
    assert json.loads(event.attributes) == {"file_type": file_type}


@pytest.mark.parametrize(
    "body",
    [
        {"file_type": "default", "request": START},
        {"file_type": "default", "request": json.dumps(START)},
        {"request": START},
        {"request": START | {"session_id": "inner"}, "session_id": "outer", "file_type": "default"},
        f"file_type=default&request={quote(json.dumps(START))}".encode(),
        f"request={quote(json.dumps(START))}".encode(),
    ],
)
async def test_an_event_of_default_may_be_wrapped_too(body: Any) -> None:
    async with serving(sources=[SBC]) as face:
        assert (await call(face, body=body)).body["granted_units"] == 60
        assert (await call(face, body=[body])).status == 200 or isinstance(body, bytes)

    assert {event.subscriber for event in face.charger.events} == {START["subscriber"]}
    assert "outer" not in {event.session_id for event in face.charger.events}


@pytest.mark.parametrize("inner", [5, None, [START], "{", '"text"'])
async def test_what_is_wrapped_is_an_event(inner: object) -> None:
    reply = await refused("/realtime", {"file_type": "default", "request": inner})

    assert (reply.body["return_name"], reply.body["field"]) == ("INVALID_EVENT", "request")


@pytest.mark.parametrize("path", ["/realtime?source=default", "/realtime?source=", "/realtime?x=1"])
async def test_default_is_a_source_too(path: str) -> None:
    async with serving(sources=[SBC]) as face:
        assert (await call(face, path, START)).body["granted_units"] == 60


@pytest.mark.parametrize(
    "item",
    [
        START | {"file_type": "sbc", "from": "441632960166"},
        START | {"file_type": "nobody"},
        {"file_type": "sbc", "request": SENT},
    ],
)
@pytest.mark.parametrize("default", [[], [Source("default", "mapped", identify=(Identity("a"),))]])
async def test_an_event_in_an_array_cannot_name_another_source(
    item: object, default: list[Source]
) -> None:
    """Read as `default`, it would lose what it reports in names of its own."""
    async with serving(sources=[SBC, *default]) as face:
        reply = await call(face, body=[item])

    assert face.charger.events == []
    ((answer),) = reply.body
    assert (answer["return_name"], answer["field"]) == ("INVALID_EVENT", "file_type")


async def test_an_array_of_a_source_is_answered_in_its_words() -> None:
    async with serving(sources=[SBC]) as face:
        reply = await call(face, "/realtime?source=sbc", [SENT, SENT | {"seq": "x"}])

    assert (reply.status, reply.body) == (200, GRANTED + b"\ncode=-10\ngranted=0\nwrong=seq\n")


async def test_what_is_refused_before_the_event_is_read_is_in_the_sources_words_too() -> None:
    limits = RealtimeLimits(body_bytes=100)
    token = Credential(name="c", token_sha256="0" * 64, tenants=("demo",))
    async with serving(sources=[SBC], limits=limits) as face:
        large = await call(face, "/realtime?source=sbc", b" " * 101)
    async with serving(sources=[SBC], credentials=[token]) as face:
        unknown = await call(face, "/realtime", SENT, headers={"X-OCS-Source": "sbc"})
        nobody = await call(face, "/realtime?source=nobody", SENT)

    assert (large.status, large.body) == (200, b"code=-9\ngranted=0\nwrong=body\n")
    assert (unknown.status, unknown.body) == (200, b"code=-7\ngranted=0\n")
    assert unknown.headers["WWW-Authenticate"] == "Bearer"
    assert (nobody.status, nobody.body["return_name"]) == (401, "UNAUTHORIZED")


async def test_default_can_be_changed_like_any_source() -> None:
    changed: dict[str, Any] = {
        "reports": Reports(used="total"),
        "answer": Answering(form="canonical"),
    }
    plain = Source("default", "", **changed)
    renamed = Source("default", "", fields=SBC.fields, **changed)
    for source, body in (
        (plain, START),
        (renamed, SENT),
        (renamed, {"file_type": "sbc", "request": SENT}),
    ):
        async with serving(sources=[source, SBC]) as face:
            reply = await call(face, body=body)
        assert reply.status == 200
        (event,) = face.charger.events
        assert event.reporting == (0 if "file_type" in body else 1)

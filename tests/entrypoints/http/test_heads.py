"""Heads that are remembered: once for all, within a bound, and never for another sender."""

from hashlib import sha256
from typing import Any

import pytest
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

from ocs.entrypoints.http import heads
from ocs.entrypoints.http.auth import Credential
from ocs.entrypoints.http.front import Front
from tests.entrypoints.http.lines import Line, charged, names
from tests.entrypoints.http.odd_requests import BODY, EVENT, request
from tests.entrypoints.http.serving import serving

# --- What is remembered ---------------------------------------------------------------------------


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Heads that were parsed, in their order."""
    found: list[bytes] = []
    parse = heads.Heads._parse

    def note(self: heads.Heads, head: bytes) -> Any:
        found.append(head)
        return parse(self, head)

    monkeypatch.setattr(heads.Heads, "_parse", note)
    return found


async def test_a_head_is_parsed_once_for_all_connections(parsed: list[bytes]) -> None:
    async with serving() as face:
        for name in (b"a", b"b", b"c"):
            line = await Line(face).send(request(body=EVENT % name))
            assert names(line) == ["OK"]

    assert len(parsed) == 1
    assert charged(face) == [("demo", "a"), ("demo", "b"), ("demo", "c")]


async def test_heads_with_a_key_are_not_remembered(parsed: list[bytes]) -> None:
    body = BODY.replace(b'"request_number":0,', b"")
    async with serving() as face:
        line = await Line(face).send(
            *(request(b"Idempotency-Key: %b" % key, body=body) for key in (b"k1", b"k2", b"k1"))
        )
        assert isinstance(line.protocol, Front)

    assert len(parsed) == 3
    assert [event.request_key for event in face.charger.events] == ["key:k1", "key:k2", "key:k1"]


async def test_the_memory_is_bounded(parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MOST_KEPT", 2)
    async with serving() as face:
        await Line(face).send(*(request(b"X: %d" % number) for number in (1, 2, 1, 3, 3, 1)))

    # The third drives out the first two.
    assert [head[head.index(b"X: ") + 3] - ord("0") for head in parsed] == [1, 2, 3, 1]


async def test_a_head_without_end_is_not_waited_for() -> None:
    async with serving() as face:
        line = await Line(face).send(request()[:40] + b"a" * heads.LONGEST_HEAD)
        assert not isinstance(line.protocol, Front)


def test_one_length_only_is_plain() -> None:
    """The parser refuses two by itself; this must not hang on it alone."""
    lengths = [("Content-Length", "5"), ("Content-Length", "6")]
    plain = [heads._is_plain(_message(lengths[:count])) for count in (0, 1, 2)]
    assert plain == [False, True, False]


def _message(headers: list[tuple[str, str]]) -> RawRequestMessage:
    fields: Any = CIMultiDictProxy(CIMultiDict(headers))
    url: Any = None
    return RawRequestMessage(
        method="POST",
        path="/realtime",
        version=HttpVersion11,
        headers=fields,
        raw_headers=(),
        should_close=False,
        compression=None,
        upgrade=False,
        chunked=False,
        url=url,
    )


# --- Who sends ------------------------------------------------------------------------------------


def credential(name: str, **changes: Any) -> Credential:
    fields = {"name": name, "token_sha256": sha256(name.encode()).hexdigest(), "tenants": ("demo",)}
    return Credential(**(fields | changes))


def bearer(token: bytes, *lines: bytes, name: bytes = b"s") -> bytes:
    return request(b"Authorization: Bearer " + token, *lines, body=EVENT % name)


LAN = credential("lan", networks=("192.0.2.0/24",))
BOTH = credential("both", tenants=("demo", "other"))
ONE = credential("one")


@pytest.mark.parametrize("peers", [("192.0.2.7", "198.51.100.1"), ("198.51.100.1", "192.0.2.7")])
async def test_what_one_peer_may_is_not_remembered_for_another(peers: tuple[str, str]) -> None:
    expected = {"192.0.2.7": ["OK", "OK"], "198.51.100.1": ["FORBIDDEN", "FORBIDDEN"]}
    async with serving(credentials=[LAN, ONE]) as face:
        lines = {peer: Line(face, peer) for peer in peers}
        for _ in range(2):
            for line in lines.values():
                await line.send(bearer(b"lan"))

    assert {peer: names(line) for peer, line in lines.items()} == expected
    assert len(face.charger.events) == 2


async def test_each_request_acts_for_its_own_sender() -> None:
    other = b"X-OCS-Tenant: other"
    async with serving(credentials=[BOTH, ONE]) as face:
        line = await Line(face).send(
            bearer(b"both", other, name=b"1"),
            bearer(b"one", name=b"2"),
            bearer(b"both", b"X-OCS-Tenant: demo", name=b"3"),
            bearer(b"both", other, name=b"4"),
            bearer(b"both", name=b"5"),
        )
        assert isinstance(line.protocol, Front)
        await line.send(bearer(b"one", other, name=b"6"))
        beside = await Line(face).send(request(), bearer(b"two"))

    assert names(line) == ["OK", "OK", "OK", "OK", "FORBIDDEN", "FORBIDDEN"]
    assert names(beside) == ["UNAUTHORIZED"] * 2
    assert charged(face) == [("other", "1"), ("demo", "2"), ("demo", "3"), ("other", "4")]


async def test_who_is_refused_drives_nothing_out(
    parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "MOST_KEPT", 1)
    async with serving(credentials=[ONE]) as face:
        for head in (bearer(b"one"), bearer(b"two"), request(), bearer(b"one")):
            await Line(face).send(head)

    assert len(parsed) == 3

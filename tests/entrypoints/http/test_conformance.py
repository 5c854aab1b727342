"""The front is not to be noticed: the same bytes, however they are cut, come out as from aiohttp.

Each stream is given to a server with the front and to one without, and what they did is compared:
the replies, whether the connection is left open, and above all which events were charged. The one
without is given plain requests one at a time: of a segment that holds a good request and a
malformed one aiohttp answers the malformed one alone, and the front both.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise, takewhile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.events import Event
from ocs.entrypoints.http.front import Front
from ocs.entrypoints.http.realtime import RealtimeLimits
from tests.entrypoints.http.lines import Line, Reply
from tests.entrypoints.http.odd_requests import ALL, ODD, PLAIN, SMUGGLED
from tests.entrypoints.http.serving import SBC, Face, serving

PLAIN_REQUESTS = frozenset(PLAIN.values()) | {SMUGGLED}
LIMITS = RealtimeLimits(body_bytes=600, array_bytes=1_200)


class Outcome(msgspec.Struct):
    replies: list[Reply]
    is_closed: bool
    events: list[Event]


class Both:
    """A server with the front, and one without."""

    def __init__(self, front: Face, plain: Face) -> None:
        self.front = front
        self.plain = plain
        self._expected: dict[tuple[bytes, ...], Outcome] = {}

    async def compare(self, requests: Sequence[bytes], cuts: Iterable[int] = ()) -> None:
        """Give both the same requests, cut at these positions of the stream."""
        stream = b"".join(requests)
        found = await _outcome(self.front, _cut(stream, cuts))
        singly = list(takewhile(PLAIN_REQUESTS.__contains__, requests))
        at = sum(map(len, singly))
        segments = (*singly, *_cut(stream[at:], [cut - at for cut in cuts]))
        if segments not in self._expected:
            self._expected[segments] = await _outcome(self.plain, segments)
        assert found == self._expected[segments]


async def _outcome(face: Face, segments: Sequence[bytes]) -> Outcome:
    face.charger.events.clear()
    line = await Line(face).send(*segments)
    outcome = Outcome(line.replies, line.is_closed, list(face.charger.events))
    line.close()
    await asyncio.sleep(0)
    return outcome


def _cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = sorted({0, *(cut for cut in cuts if 0 < cut < len(stream)), len(stream)})
    return [stream[start:end] for start, end in pairwise(at)]


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    async with _serving_both() as servers:
        yield servers


@asynccontextmanager
async def _serving_both() -> AsyncIterator[Both]:
    async with (
        serving(front=True, limits=LIMITS, sources=[SBC], within_s=0) as front,
        serving(front=False, limits=LIMITS, sources=[SBC], within_s=0) as plain,
    ):
        yield Both(front, plain)


def named(requests: dict[str, bytes]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("request_", requests.values(), ids=requests)


@named(ALL)
async def test_a_request_whole_and_in_crumbs(both: Both, request_: bytes) -> None:
    await both.compare([request_])
    await both.compare([request_], range(0, len(request_), len(request_) // 500 + 1))


@named(ALL)
async def test_a_request_before_and_after_a_plain_one(both: Both, request_: bytes) -> None:
    for requests in ([request_, SMUGGLED], [SMUGGLED, request_], [SMUGGLED, request_, SMUGGLED]):
        await both.compare(requests)
        await both.compare(requests, [len(requests[0])])


@named(ALL)
async def test_a_request_three_times_in_one_segment(both: Both, request_: bytes) -> None:
    await both.compare([request_] * 3)


@named(PLAIN | {name: ODD[name] for name in ("chunked", "folded", "the last one", "asks first")})
async def test_two_requests_cut_at_every_position(both: Both, request_: bytes) -> None:
    requests = [request_, SMUGGLED]
    for position in range(1, sum(map(len, requests))):
        await both.compare(requests, [position])


@given(
    names=st.lists(st.sampled_from(list(PLAIN) * 4 + list(ODD)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(min_value=1, max_value=2_000), max_size=8),
)
async def test_any_requests_cut_anywhere(names: list[str], cuts: list[int]) -> None:
    async with _serving_both() as both:
        await both.compare([ALL[name] for name in names], cuts)


@named(PLAIN)
async def test_plain_requests_stay_with_the_front(both: Both, request_: bytes) -> None:
    line = await Line(both.front).send(request_, request_)

    assert isinstance(line.protocol, Front)
    assert len(line.replies) == 2
    line.close()


@named(ODD)
async def test_odd_requests_are_handed_over(both: Both, request_: bytes) -> None:
    line = await Line(both.front).send(request_)

    assert not isinstance(line.protocol, Front)
    line.close()

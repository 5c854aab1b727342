"""Real calls: SIPp dials, Kamailio asks with the configuration that is shipped, `ocs` charges."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.acceptance.sip import Call, Kamailio, Posted, missing
from tests.acceptance.stage import (
    BLOCKED,
    BROKE,
    BUSY,
    CENT,
    CROWD,
    FIRST,
    LONDON,
    NOBODY,
    POOR,
    PREMIUM,
    QUOTA_S,
    SECOND,
    STEADY,
    THIRD,
    Stage,
)

MISSING = ", ".join(missing())
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}"),
]


class Proxied(Stage):
    """The stage with Kamailio between callers and callee."""

    kamailio: Kamailio

    def __init__(self, folder: Path, credential: str = "", **settings: str) -> None:
        def make(folder: Path, url: str) -> Kamailio:
            self.kamailio = Kamailio(folder, url, credential, **settings)
            return self.kamailio

        super().__init__(folder, make, credential)

    def another_proxy(self, credential: str) -> None:
        self.kamailio = Kamailio(self.folder, self.service.url, credential)
        self._switch = self.kamailio
        self._ends.callback(self.kamailio.sweep_away)

    def settled(self, calls: list[Call]) -> dict[str, list[Posted]]:
        """Wait for the release of each call; the answered requests, by Call-ID."""
        wanted = {call.call_id for call in calls}

        def released() -> set[str]:
            answered = self.kamailio.answered(wanted)
            return {name for name, posts in answered.items() if posts[-1:] and _ends(posts)}

        until(lambda: released() == wanted, "the releases")
        return self.kamailio.answered(wanted)


def _ends(posts: list[Posted]) -> bool:
    return posts[-1].kind == "release"


@pytest.fixture(scope="module")
def stage() -> Iterator[Proxied]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        one = Proxied(Path(folder))
        try:
            yield one
        finally:
            one.sweep_away()


def price_of(posts: list[Posted]) -> int:
    return sum(post.used for post in posts) * CENT


def hold_together(calls: list[Call], settled: dict[str, list[Posted]]) -> None:
    """What was reported of each call is what it lasted, in requests without a gap."""
    for call in calls:
        posts = settled[call.call_id]
        assert [post.number for post in posts] == list(range(len(posts)))
        assert {post.fields["return_name"] for post in posts} == {"OK"}
        assert abs(sum(post.used for post in posts) - call.duration_s) <= 1, (call, posts)


def test_a_call_goes_on_from_quota_to_quota(stage: Proxied) -> None:
    calls = stage.dial((STEADY, LONDON), hold_s=9).calls()
    settled = stage.settled(calls)
    hold_together(calls, settled)
    (posts,) = settled.values()
    assert [post.kind for post in posts] == ["start", *["update"] * (len(posts) - 2), "release"]
    assert len(posts) >= 2 + 9 // QUOTA_S
    assert stage.books().debited[STEADY] == price_of(posts)


def test_a_call_is_cut_when_the_money_ends(stage: Proxied) -> None:
    calls = stage.dial((POOR, LONDON), hold_s=20).calls()
    assert [call.how for call in calls] == ["cut"]
    settled = stage.settled(calls)
    hold_together(calls, settled)
    (posts,) = settled.values()
    assert posts[-2].fields["final_unit"] == 1
    debited = stage.books().debited[POOR]
    assert debited == price_of(posts)
    assert 7 * CENT <= debited <= 8 * CENT


def test_a_call_is_cut_when_an_update_is_refused(stage: Proxied) -> None:
    caller = stage.dial((BLOCKED, LONDON), hold_s=20)
    until(lambda: _updates(stage, BLOCKED), "an update")
    stage.block(BLOCKED)
    (call,) = caller.calls()
    (posts,) = stage.settled([call]).values()
    assert call.how == "cut"
    assert [post.fields["return_name"] for post in posts[-2:]] == ["SUBSCRIBER_BLOCKED", "OK"]
    assert abs(sum(post.used for post in posts) - call.duration_s) <= 1
    assert stage.books().debited[BLOCKED] == price_of(posts)


@pytest.mark.parametrize(
    ("who", "number", "answer", "name"),
    [
        (BROKE, LONDON, "402", "NO_CREDIT"),
        (STEADY, PREMIUM, "403", "RATE_BLOCKED"),
        (NOBODY, LONDON, "404", "UNKNOWN_SUBSCRIBER"),
    ],
)
def test_a_call_is_refused(stage: Proxied, who: str, number: str, answer: str, name: str) -> None:
    (call,) = stage.dial((who, number)).calls()
    assert call.how == answer
    ((post,),) = stage.kamailio.answered([call.call_id]).values()
    assert (post.kind, post.fields["return_name"]) == ("start", name)


def test_a_call_that_nobody_takes_costs_nothing(stage: Proxied) -> None:
    calls = stage.dial((THIRD, BUSY)).calls()
    assert [call.how for call in calls] == ["486"]
    (posts,) = stage.settled(calls).values()
    assert [(post.kind, post.used) for post in posts] == [("start", 0), ("release", 0)]
    books = stage.books()
    assert (books.debited[THIRD], books.left[THIRD]) == (0, 1000 * CENT)


def test_300_calls_at_50_a_second(stage: Proxied) -> None:
    crowd = [(CROWD[n % len(CROWD)], LONDON) for n in range(300)]
    calls = stage.dial(*crowd, hold_s=5, rate=50).calls()
    assert Counter(call.how for call in calls) == {"hung-up": 300}
    settled = stage.settled(calls)
    hold_together(calls, settled)
    priced = Counter[str]()
    for posts in settled.values():
        priced[str(posts[0].fields["subscriber"])] += price_of(posts)
    books = stage.books()
    assert {who: books.debited[who] for who in CROWD} == dict(priced)


def test_the_service_is_killed_and_nothing_is_lost(stage: Proxied) -> None:
    ends_meanwhile = stage.dial((FIRST, LONDON), hold_s=7)
    goes_on = stage.dial((SECOND, LONDON), hold_s=14)
    until(lambda: len(_updates(stage, FIRST, SECOND)) == 2, "an update of each call")
    port = stage.kill_the_service()

    (refused,) = stage.dial((STEADY, LONDON)).calls()
    assert refused.how == "503"
    first = ends_meanwhile.calls()
    assert [note[1] for note in goes_on.noted()] == ["answered"]
    stage.serve_again(port)
    second = goes_on.calls()

    calls = [*first, *second]
    assert [call.how for call in calls] == ["hung-up", "hung-up"]
    settled = stage.settled(calls)
    hold_together(calls, settled)
    assert {post.fields["tries"] > 1 for posts in settled.values() for post in posts} == {
        True,
        False,
    }
    books = stage.books()
    one, other = (settled[call.call_id] for call in calls)
    assert (books.debited[FIRST], books.debited[SECOND]) == (price_of(one), price_of(other))


def _updates(stage: Proxied, *subscribers: str) -> set[str]:
    """Tell whose updates were answered."""
    posts = (post for post in stage.kamailio.posted() if post.answered and post.kind == "update")
    return {post.fields["subscriber"] for post in posts} & set(subscribers)


def test_the_service_hangs_and_callers_are_not_kept_waiting() -> None:
    """A running call gets its bound; of the new ones one at a time asks, all are refused."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        stage = Proxied(Path(folder), OCS_TIMEOUT_S="1", OCS_GO_ON_S="3")
        try:
            _hang(stage)
        finally:
            stage.sweep_away()


def _hang(stage: Proxied) -> None:
    running = stage.dial((STEADY, LONDON), hold_s=30)
    until(lambda: _updates(stage, STEADY), "an update")
    (worker,) = stage.service.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        refused = stage.dial((FIRST, LONDON)).calls()
        refused += stage.dial(*((who, LONDON) for who in CROWD)).calls()
        calls = running.calls()
    finally:
        os.kill(worker, signal.SIGCONT)
    assert {call.how for call in refused} == {"503"}
    assert [call.how for call in calls] == ["cut"]
    settled = stage.settled(calls)
    hold_together(calls, settled)
    (posts,) = settled.values()
    *told, late, release = posts
    assert [late.fields["tries"] > 1, release.kind] == [True, "release"]
    # The grant counts from what was told with it; three seconds are the bound.
    granted_s = sum(post.used for post in told) + QUOTA_S
    assert abs(calls[0].duration_s - (granted_s + 3)) <= 1
    asked = [post.call_id for post in stage.kamailio.posted() if post.kind == "start"]
    asked = [call_id for call_id in asked if call_id != calls[0].call_id]
    assert 1 <= len(set(asked)) == len(asked) < len(CROWD) / 2
    released = stage.settled([call for call in refused if call.call_id in asked])
    assert {post.used for posts in released.values() for post in posts} == {0}
    assert sum(stage.books().debited.values()) == price_of(posts)


def test_it_shows_its_credential() -> None:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        stage = Proxied(Path(folder), credential="of-a-test")
        try:
            calls = stage.dial((STEADY, LONDON), hold_s=2.5).calls()
            hold_together(calls, stage.settled(calls))
            stage.another_proxy("of-somebody-else")
            (refused,) = stage.dial((STEADY, LONDON)).calls()
            assert refused.how == "503"
        finally:
            stage.sweep_away()

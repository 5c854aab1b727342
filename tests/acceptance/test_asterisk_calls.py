"""Real calls: SIPp dials, Asterisk asks with the dialplan that is shipped, `ocs` charges."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.asterisk import Asterisk, Told, missing
from tests.acceptance.service import until
from tests.acceptance.sip import Call
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


class Switched(Stage):
    """The stage with Asterisk between callers and callee."""

    asterisk: Asterisk

    def __init__(self, folder: Path, credential: str = "", **settings: str) -> None:
        def make(folder: Path, url: str) -> Asterisk:
            self.asterisk = Asterisk(folder, url, **settings)
            return self.asterisk

        super().__init__(folder, make, credential)

    def settled(self, calls: list[Call]) -> dict[str, list[Told]]:
        """Wait for the release of each call; the answered requests, by Call-ID, it as the last.

        An update that it overtook decides nothing any more, and is left out.
        """
        wanted = {call.call_id for call in calls}

        def released() -> set[str]:
            told = self.asterisk.told(wanted)
            return {name for name, posts in told.items() if _release(posts)}

        until(lambda: released() == wanted, "the releases")
        told = self.asterisk.told(wanted)
        return {name: posts[: posts.index(_release(posts)[0]) + 1] for name, posts in told.items()}


def _release(posts: list[Told]) -> list[Told]:
    return [post for post in posts if post.kind == "release"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Switched]:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        one = Switched(Path(folder))
        try:
            yield one
        finally:
            one.sweep_away()


def price_of(posts: list[Told]) -> int:
    """The release tells the total; halves of seconds are rounded up."""
    return int(posts[-1].used_s + 0.5) * CENT


def hold_together(calls: list[Call], settled: dict[str, list[Told]]) -> None:
    """What was reported of each call is what it lasted; totals rise."""
    for call in calls:
        *before, release = settled[call.call_id]
        assert [post.number for post in before] == list(range(len(before)))
        assert {post.outcome for post in settled[call.call_id]} == {"OK"}
        totals = [post.used_s for post in settled[call.call_id]]
        assert totals == sorted(totals)
        assert abs(release.used_s - call.duration_s) <= 0.5, (call, release)


def nothing_is_left(stage: Switched) -> None:
    """No watch outlives its call."""
    until(
        lambda: "0 active channels" in stage.asterisk.command("core show channels"), "the watches"
    )


def test_a_call_goes_on_from_quota_to_quota(stage: Switched) -> None:
    calls = stage.dial((STEADY, LONDON), hold_s=9).calls()
    settled = stage.settled(calls)
    hold_together(calls, settled)
    (posts,) = settled.values()
    assert [post.kind for post in posts] == ["start", *["update"] * (len(posts) - 2), "release"]
    assert len(posts) >= 2 + 9 // QUOTA_S
    assert stage.books().debited[STEADY] == price_of(posts)
    nothing_is_left(stage)


def test_a_call_is_cut_when_the_money_ends(stage: Switched) -> None:
    calls = stage.dial((POOR, LONDON), hold_s=20).calls()
    assert [call.how for call in calls] == ["cut"]
    settled = stage.settled(calls)
    hold_together(calls, settled)
    (posts,) = settled.values()
    assert posts[-2].final_unit
    assert posts[-1].used_s == pytest.approx(7, abs=0.2)
    assert stage.books().debited[POOR] == 7 * CENT


def test_a_call_is_cut_when_an_update_is_refused(stage: Switched) -> None:
    caller = stage.dial((BLOCKED, LONDON), hold_s=20)
    until(lambda: len(stage.asterisk.posted("answer")) and _updated(stage, caller.noted()), "it")
    stage.block(BLOCKED)
    (call,) = caller.calls()
    (posts,) = stage.settled([call]).values()
    assert call.how == "cut"
    assert [post.outcome for post in posts[-2:]] == ["SUBSCRIBER_BLOCKED", "OK"]
    assert stage.books().debited[BLOCKED] == price_of(posts)


def _updated(stage: Switched, *noted: list[list[str]]) -> bool:
    """Tell whether an update of each of these callers' calls was answered."""
    call_ids = {line[0] for lines in noted for line in lines}
    told = stage.asterisk.told(call_ids)
    updated = [any(post.kind == "update" for post in posts) for posts in told.values()]
    return len(updated) == len(noted) and all(updated)


@pytest.mark.parametrize(
    ("who", "number", "answer", "name"),
    [
        (BROKE, LONDON, "402", "NO_CREDIT"),
        (STEADY, PREMIUM, "403", "RATE_BLOCKED"),
        (NOBODY, LONDON, "404", "UNKNOWN_SUBSCRIBER"),
    ],
)
def test_a_call_is_refused(stage: Switched, who: str, number: str, answer: str, name: str) -> None:
    (call,) = stage.dial((who, number)).calls()
    assert call.how == answer
    ((post,),) = stage.asterisk.told([call.call_id]).values()
    assert (post.kind, post.outcome) == ("start", name)


def test_a_call_that_nobody_takes_costs_nothing(stage: Switched) -> None:
    calls = stage.dial((THIRD, BUSY)).calls()
    assert [call.how for call in calls] == ["486"]
    (posts,) = stage.settled(calls).values()
    assert [(post.kind, post.used_s) for post in posts] == [("start", 0), ("release", 0)]
    books = stage.books()
    assert (books.debited[THIRD], books.left[THIRD]) == (0, 1000 * CENT)


def test_100_calls_at_20_a_second(stage: Switched) -> None:
    crowd = [(CROWD[n % len(CROWD)], LONDON) for n in range(100)]
    calls = stage.dial(*crowd, hold_s=5, rate=20).calls()
    assert Counter(call.how for call in calls) == {"hung-up": 100}
    settled = stage.settled(calls)
    hold_together(calls, settled)
    books = stage.books()
    assert sum(books.debited[who] for who in CROWD) == sum(map(price_of, settled.values()))
    nothing_is_left(stage)


def test_the_service_is_killed_and_nothing_is_lost(stage: Switched) -> None:
    ends_meanwhile = stage.dial((FIRST, LONDON), hold_s=7)
    goes_on = stage.dial((SECOND, LONDON), hold_s=14)
    until(lambda: _updated(stage, ends_meanwhile.noted(), goes_on.noted()), "an update of each")
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
    assert {post.call_id for post in stage.asterisk.posted("no-answer")} & settled.keys()
    books = stage.books()
    one, other = (settled[call.call_id] for call in calls)
    assert (books.debited[FIRST], books.debited[SECOND]) == (price_of(one), price_of(other))
    nothing_is_left(stage)


def test_a_release_outlives_the_switch() -> None:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        stage = Switched(Path(folder))
        try:
            _restart(stage)
        finally:
            stage.sweep_away()


def _restart(stage: Switched) -> None:
    caller = stage.dial((STEADY, LONDON), hold_s=6)
    until(lambda: _updated(stage, caller.noted()), "an update")
    port = stage.kill_the_service()
    calls = caller.calls()
    until(lambda: "1 results" in stage.asterisk.command("database show ocs-release"), "it is kept")
    stage.asterisk.run_again()
    stage.serve_again(port)
    settled = stage.settled(calls)
    hold_together(calls, settled)
    assert stage.books().debited[STEADY] == price_of(settled[calls[0].call_id])
    until(
        lambda: "0 results" in stage.asterisk.command("database show ocs-release"), "the end of it"
    )


def test_the_service_hangs_and_callers_are_not_kept_waiting() -> None:
    """A running call gets its bound, and ends; all new ones are refused, most of them at once."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        stage = Switched(Path(folder), OCS_TIMEOUT_S="1", OCS_GO_ON_S="3")
        try:
            _hang(stage)
        finally:
            stage.sweep_away()


def _hang(stage: Switched) -> None:
    running = stage.dial((STEADY, LONDON), hold_s=30)
    until(lambda: _updated(stage, running.noted()), "an update")
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
    *before, release = settled[calls[0].call_id]
    # The grant counts from what was told with it; three seconds are the bound.
    assert release.used_s == pytest.approx(before[-1].used_s + QUOTA_S + 3, abs=0.5)
    stage.settled(refused)
    books = stage.books()
    assert sum(books.debited.values()) == price_of(settled[calls[0].call_id])


def test_it_goes_on_unasked_where_it_is_told_to() -> None:
    """No service from the first ring on: the call is bounded, and its use is reported later."""
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        stage = Switched(Path(folder), OCS_FAIL_OPEN="1", OCS_GO_ON_S="4")
        try:
            port = stage.kill_the_service()
            calls = stage.dial((STEADY, LONDON), hold_s=20).calls()
            assert [call.how for call in calls] == ["cut"]
            assert calls[0].duration_s == pytest.approx(4, abs=0.5)
            stage.serve_again(port)
            (posts,) = stage.settled(calls).values()
            assert [(post.kind, post.outcome) for post in posts] == [("release", "OK")]
            assert stage.books().debited[STEADY] == price_of(posts)
        finally:
            stage.sweep_away()


def test_it_shows_its_credential() -> None:
    with tempfile.TemporaryDirectory(prefix="ocs-") as folder:
        authorization = "Bearer of-a-test"
        stage = Switched(Path(folder), credential="of-a-test", OCS_AUTHORIZATION=authorization)
        try:
            calls = stage.dial((STEADY, LONDON), hold_s=5).calls()
            hold_together(calls, stage.settled(calls))
        finally:
            stage.sweep_away()

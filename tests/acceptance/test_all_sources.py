"""Clients of every shipped source at once, on one service, each in its own words.

What they use is known, and what it must cost is reckoned plainly (`source_mix.py`). Whatever is sent
again, in the same order or at once, moves nothing more; whatever is damaged is refused by the name of
a field, and costs nobody else anything.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from msgspec import Struct

from ocs.usecases.verification import Entry
from tests.acceptance.bookkeeping import images_of, millionths
from tests.acceptance.service import ROOT, Client, Service, with_own_tariffs
from tests.acceptance.source_answers import Told, answers_in, field_of, outcome_of
from tests.acceptance.source_mix import (
    ACCOUNTS,
    LANES,
    POOR,
    RICH_EUR,
    TARIFFS,
    Post,
    cost_of,
    damaged,
    is_refused,
    lanes,
    stories,
)
from tests.acceptance.source_words import WORDS, Story

pytestmark = pytest.mark.slow

EVENTS = 5_000
LEAST_OF_A_SOURCE = 200
DAMAGED = 0.05
GOOD = {"OK", "NOT_CHARGED"}


class Reply(Struct, frozen=True):
    """What came back for a request; `hit` only of a single event."""

    status: int
    hit: bool
    body: bytes
    told: list[Told]


class State(Struct, frozen=True):
    """All that the books hold, without the names and times of one run."""

    buckets: dict[str, tuple[tuple[str, int, int, int], ...]]
    sessions: dict[str, tuple[str, int, int, int]]
    entries: Counter[tuple[object, ...]]


def mix(seed: int) -> tuple[list[Story], list[list[Post]]]:
    random = Random(seed)
    told = stories(random, EVENTS, f"s{seed}", int(time.time()))
    return told, lanes(random, told)


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    file = with_own_tariffs(folder / "config")
    for name, text in TARIFFS.items():
        (file.parent / "tariffs" / f"{name}.csv").write_text(text, encoding="utf-8")
    accounts = [f"{who},EUR,prepaid,0,{0 if who in POOR else RICH_EUR}\n" for who in ACCOUNTS]
    subscribers = [f"{who},{who},standard\n" for who in ACCOUNTS]
    heads = {
        "accounts": "account,currency,kind,floor,balance\n",
        "subscribers": "identity,account,plan\n",
    }
    for (name, head), lines in zip(heads.items(), (accounts, subscribers), strict=True):
        (file.parent / f"{name}.csv").write_text(head + "".join(lines), encoding="utf-8")
    text = file.read_text(encoding="utf-8").replace('["a-z"]', '["calls", "texts", "bytes"]')
    # The whole of it takes longer than refused starts are remembered.
    file.write_text(text.replace("refused_keep_s = 120", "refused_keep_s = 3600"), encoding="utf-8")
    service = Service(folder / "var", "--port", "0", "--config", str(file))
    try:
        yield service
    finally:
        service.sweep_away()


def reply_to(client: Client, post: Post) -> Reply:
    status, headers, body = client.send(post.path, post.body, post.headers)
    told = answers_in(headers["Content-Type"], body)
    return Reply(status, "Idempotency-Hit" in headers, body, told)


def post_all(service: Service, posts: list[list[Post]], times: int = 1) -> list[list[Reply]]:
    """Send each lane over a connection of its own, every request so often, and all alike."""

    def sent(client: Client, post: Post) -> Reply:
        replies = [reply_to(client, post) for _ in range(times)]
        first, *copies = replies
        for copy in copies:
            assert (copy.status, copy.body) == (first.status, first.body), post
            assert copy.hit or post.is_array, post
        return first

    def lane(each: Sequence[Post]) -> list[Reply]:
        with service.client() as client:
            return [sent(client, post) for post in each]

    with ThreadPoolExecutor(LANES) as pool:
        return list(pool.map(lane, posts))


def state_of(service: Service) -> State:
    """Read the books; they are right in themselves, or this fails."""
    images = asyncio.run(images_of(service.directory))
    return State(
        buckets={
            key.wallet_group: tuple((b.bucket, b.left, b.held, b.debited) for b in wallet.balances)
            for image in images
            for key, wallet in image.wallets
        },
        sessions={
            view.key.session_id: (
                str(view.state),
                view.elapsed_units,
                view.charged_amount,
                sum(hold.amount for hold in view.holds),
            )
            for image in images
            for view in image.sessions
        },
        entries=Counter(
            (entry.subject, entry.kind, entry.request, entry.state, _moved(entry))
            for image in images
            for entry in (*image.base.history(), *image.entries)
        ),
    )


def _moved(entry: Entry) -> tuple[tuple[str, int, int], ...]:
    return tuple(sorted((each.bucket, each.left_by, each.held_by) for each in entry.changes))


def pairs(posts: list[list[Post]], replies: list[list[Reply]]) -> Iterator[tuple[Post, Reply]]:
    for lane, answered in zip(posts, replies, strict=True):
        yield from zip(lane, answered, strict=True)


def test_every_shipped_source_is_in_the_mix() -> None:
    shipped = {path.stem for path in (ROOT / "config" / "sources").glob("*.toml")}
    told, _ = mix(1)
    events = Counter[str]()
    for story in told:
        events[story.source] += len(story.steps)
    assert set(events) == shipped == set(WORDS)
    assert min(events.values()) >= LEAST_OF_A_SOURCE
    assert events.total() >= EVENTS


def test_whatever_is_sent_again_moves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    told, posts = mix(1)
    with served(tmp_path_factory.mktemp("once")) as service:
        first = post_all(service, posts)
        once = state_of(service)
        check_answers(told, posts, first)
        check_costs(told, once)
        again = post_all(service, posts)
        assert state_of(service) == once
        check_repeats(posts, first, again)
    with served(tmp_path_factory.mktemp("twice")) as service:
        post_all(service, posts, times=2)
        assert state_of(service) == once


def check_answers(told: list[Story], posts: list[list[Post]], replies: list[list[Reply]]) -> None:
    refused = {story.session for story in told if is_refused(story)}
    for post, reply in pairs(posts, replies):
        outcomes = [outcome_of(each) for each in reply.told]
        expected = ["NO_CREDIT" if session in refused else "OK" for session in post.sessions]
        assert outcomes == expected, (post, reply)


def check_costs(told: list[Story], state: State) -> None:
    """Hold wallets and sessions against the plain reckoning."""
    costs = Counter[str]()
    for story in told:
        costs[story.who] += cost_of(story)
        if story.who not in POOR and story.usage != "sms":
            assert state.sessions[story.session][2] == cost_of(story), story
    assert costs.total() > 0
    for who in ACCOUNTS:
        ((_, left, _, debited),) = state.buckets[who]
        assert debited == costs[who], who
        assert left == (0 if who in POOR else millionths(RICH_EUR)) - debited, who


def check_repeats(
    posts: list[list[Post]], first: list[list[Reply]], again: list[list[Reply]]
) -> None:
    """Hold each answer against the first: the same, or no longer kept."""
    kept = Counter[bool]()
    for (post, before), (_, after) in zip(pairs(posts, first), pairs(posts, again), strict=True):
        assert len(before.told) == len(after.told)
        assert post.is_array or after.hit or outcome_of(after.told[0]) == "REPEAT_EXPIRED"
        for then, now in zip(before.told, after.told, strict=True):
            kept[now == then] += 1
            assert now == then or outcome_of(now) == "REPEAT_EXPIRED", (post, then, now)
    assert min(kept.values()) > LEAST_OF_A_SOURCE


def test_what_is_damaged_is_refused_by_a_field(folder: Path) -> None:
    told, posts = mix(2)
    random = Random(2)
    spoiled: set[str] = set()
    for lane in posts:
        for at, post in enumerate(lane):
            if random.random() < DAMAGED:
                lane[at] = damaged(random, post)
                spoiled.update(post.sessions)
    with served(folder) as service:
        replies = post_all(service, posts)
        state = state_of(service)
    refused = [
        each
        for _, reply in pairs(posts, replies)
        for each in reply.told
        if outcome_of(each) == "INVALID_EVENT"
    ]
    assert len(refused) > 20
    assert [each for each in refused if not field_of(each)] == []
    assert [reply for _, reply in pairs(posts, replies) if reply.status >= 500] == []
    for story in told:
        if story.session not in spoiled and story.who not in POOR and story.usage != "sms":
            assert state.sessions[story.session][2] == cost_of(story), story

"""Known use of many clients, interleaved: the requests that tell it, and what it must have cost.

The prices are such that the plain reckoning of `cost_of` is exact. Requests come in lanes, one for
each connection: an account's are all in one lane, so that their order is known. In an array are
events of one source, at most one of a session.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from random import Random
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from ocs.entrypoints.dialects import DEFAULT_SOURCE
from tests.acceptance.source_words import (
    BY_GROUPS,
    BY_TOTALS,
    IN_MILLISECONDS,
    TELLS,
    WITHOUT_ARRAYS,
    WORDS,
    Body,
    Step,
    Story,
    tells_delivered,
)

LANES: Final = 6
ACCOUNTS: Final = tuple(f"4416329600{n:02}" for n in range(1, 43))
POOR: Final = frozenset(ACCOUNTS[::14])
"""Who has nothing: what they ask for is refused, and they tell no more."""
RICH_EUR: Final = "1000.00"

TARIFFS: Final = {
    "calls": (
        "# currency = EUR\n# usage_type = voice\n# per = 60\n"
        "prefix,destination,price_1,price_n,interval_1,interval_n,connect_fee\n"
        "44,UK,0.06,0.06,60,60,0.01\n49,Germany,0.036,0.036,30,6,0\n"
    ),
    "texts": (
        "# currency = EUR\n# usage_type = sms\n# model = flat\nprefix,destination,price\n"
        "44,UK,0.05\n49,Germany,0.09\n"
    ),
    "bytes": (
        "# currency = EUR\n# usage_type = data\n# model = tiered\nprefix,destination,steps\n"
        "*,Internet,0-: 0.0064 per MiB by 64KiB\n"
        "100,Web,0-1MiB: 0.0128 per MiB by 64KiB; 1MiB-: 0.0032 per MiB by 64KiB\n"
        "200,Video,0-: 0.0256 per MiB by 64KiB\n"
    ),
}
_DIALLED: Final = ("442071234567", "4930123456")
_SPAN_S: Final = 200
_RELEASED: Final = 0.93
_STEP: Final = 65_536
_MIB_STEPS: Final = 16
_OPEN_AT_A_TIME: Final = 12
_MOST_IN_ARRAY: Final = 8


class Post(Struct, frozen=True, kw_only=True):
    """One request, of one event or of an array."""

    source: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    sessions: tuple[str, ...]
    is_array: bool


def stories(random: Random, events: int, name: str, begin_s: int) -> list[Story]:
    """Tell of so many events or a few more, of every source and all that its clients tell of.

    `begin_s`: before which all of it happens; `name`: what its sessions' names begin with.
    """
    told: list[Story] = []
    length = 0
    kinds = [(source, usage) for source, usages in TELLS.items() for usage in usages]
    for number in count():
        if length >= events:
            return told
        source, usage = kinds[number % len(kinds)]
        who = random.choice(ACCOUNTS)
        steps = tuple(_steps(random, source, usage, begin_s))
        steps = steps[:1] if who in POOR else steps
        length += len(steps)
        told.append(
            Story(
                source=source,
                # All of one length: none is what is left of another when a body is cut.
                session=f"{name}-{number:06}",
                who=who,
                usage=usage,
                dialled="internet" if usage == "data" else random.choice(_DIALLED),
                variant=random.randrange(2),
                steps=steps,
            )
        )
    raise AssertionError


def _steps(random: Random, source: str, usage: str, begin_s: int) -> Iterator[Step]:
    def step(kind: str, number: int, used: dict[str, int], total_ms: int = 0) -> Step:
        at_s = begin_s - random.randrange(_SPAN_S)
        return Step(kind=kind, number=number, at_s=at_s, used=used, total_ms=total_ms)

    if usage == "sms":
        yield step("event", 0, {"": random.randint(1, 3)})
        return
    by_groups = usage == "data" and source in BY_GROUPS
    groups = random.choice((("100",), ("100", "200"))) if by_groups else ("",)
    yield step("start", 0, dict.fromkeys(groups, 0))
    total_ms, updates = 0, random.choice((0, 1, 1, 2, 3, 9))
    for number in range(1, updates + 1):
        total_ms += _more_ms(random, source)
        yield step("update", number, {group: _use(random, usage) for group in groups}, total_ms)
    if random.random() < _RELEASED:
        total_ms = random.choice(
            (total_ms, total_ms + _more_ms(random, source), total_ms // 2_000 * 1_000)
        )
        used = {group: _use(random, usage) * random.randrange(3) for group in groups}
        yield step("release", updates + 1, used, total_ms)


def _use(random: Random, usage: str) -> int:
    return random.randint(1, 200) if usage == "voice" else random.randint(1, 900_000)


def _more_ms(random: Random, source: str) -> int:
    seconds = random.randint(1, 150)
    return seconds * 1_000 + (random.randrange(1_000) if source in IN_MILLISECONDS else 0)


def is_refused(story: Story) -> bool:
    """Tell whether there is no money for it; what was delivered already is charged all the same."""
    return story.who in POOR and not (story.usage == "sms" and tells_delivered(story))


def cost_of(story: Story) -> int:
    """Reckon in millionths what a story's use costs, as plainly as can be."""
    if is_refused(story):
        return 0
    if story.usage == "voice":
        return _cost_of_call(story.dialled, _seconds(story))
    used = Counter[str]()
    for step in story.steps:
        used.update(step.used)
    if story.usage == "sms":
        return used[""] * (50_000 if story.dialled.startswith("44") else 90_000)
    return sum(_cost_of_data(group, octets) for group, octets in used.items())


def _seconds(story: Story) -> int:
    if story.source not in BY_TOTALS:
        return sum(step.units for step in story.steps)
    last = story.steps[-1]
    total_ms = last.total_ms if last.kind == "release" else max(s.total_ms for s in story.steps)
    return (total_ms + 500) // 1_000


def _cost_of_call(dialled: str, seconds: int) -> int:
    if not seconds:
        return 0
    if dialled.startswith("44"):
        return 10_000 + -(-seconds // 60) * 60_000
    return 18_000 + max(0, -(-(seconds - 30) // 6)) * 3_600


def _cost_of_data(group: str, octets: int) -> int:
    steps = -(-octets // _STEP)
    if group == "100":
        return min(steps, _MIB_STEPS) * 800 + max(0, steps - _MIB_STEPS) * 200
    return steps * (1_600 if group == "200" else 400)


def lanes(random: Random, told: list[Story]) -> list[list[Post]]:
    """Interleave what is told."""
    shares: list[list[Story]] = [[] for _ in range(LANES)]
    for story in told:
        shares[ACCOUNTS.index(story.who) % LANES].append(story)
    return [list(_lane(random, share)) for share in shares]


def _lane(random: Random, waiting: list[Story]) -> Iterator[Post]:
    waiting.reverse()
    going: list[tuple[Story, list[Step]]] = []
    while waiting or going:
        while waiting and len(going) < _OPEN_AT_A_TIME:
            story = waiting.pop()
            going.append((story, list(story.steps)))
        random.shuffle(going)
        chosen = _together(random, going)
        said = [WORDS[story.source](story, steps.pop(0)) for story, steps in chosen]
        yield _post(random, [story for story, _ in chosen], said)
        going = [(story, steps) for story, steps in going if steps]


def _together(
    random: Random, going: list[tuple[Story, list[Step]]]
) -> list[tuple[Story, list[Step]]]:
    """Choose what is told next: one event, or those that one array can have."""
    source = going[0][0].source
    if source in WITHOUT_ARRAYS or random.random() < 0.5:
        return going[:1]
    same = [(story, steps) for story, steps in going if story.source == source]
    objects = [each for each in same if isinstance(WORDS[source](each[0], each[1][0]), dict)]
    return objects[: random.randint(1, _MOST_IN_ARRAY)] or going[:1]


def _post(random: Random, told: list[Story], said: list[Body]) -> Post:
    """Make a request of events, which names its source in one of the ways that there are."""
    source, is_array = told[0].source, len(said) > 1
    path = "/realtime"
    headers: dict[str, str] = {}
    whole: Body | list[Body] = said if is_array else said[0]
    way = random.randrange(4)
    in_body = isinstance(whole, dict) and "file_type" not in whole and source != DEFAULT_SOURCE
    if way == 0 and in_body:
        whole = {"file_type": source, "request": whole}
    elif way == 1:
        headers = {"X-OCS-Source": source}
    elif source != DEFAULT_SOURCE or way == 2:
        path = f"/realtime?{('source', 'file_type')[way % 2]}={source}"
    body = whole if isinstance(whole, str) else json.dumps(whole)
    return Post(
        source=source,
        path=path,
        headers=headers,
        body=body.encode(),
        sessions=tuple(story.session for story in told),
        is_array=is_array,
    )


def damaged(random: Random, post: Post) -> Post:
    """Cut bytes out of a request's body, or take a field out of it."""
    if random.random() < 0.5:
        at = random.randrange(len(post.body))
        return replace(post, body=post.body[:at] + post.body[at + random.randint(1, 40) :])
    if post.body[:1] in (b"{", b"["):
        tree = json.loads(post.body)
        _take_out(random, tree)
        return replace(post, body=json.dumps(tree).encode())
    between = b"\n" if b"\n" in post.body else b"&"
    fields = post.body.split(between)
    fields.pop(random.randrange(len(fields)))
    return replace(post, body=between.join(fields))


def _take_out(random: Random, tree: Any) -> None:
    """Take something out of a tree that holds something, at any depth."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = random.choice(keys)
    if isinstance(tree[key], dict | list) and tree[key] and random.random() < 0.8:
        _take_out(random, tree[key])
    else:
        del tree[key]

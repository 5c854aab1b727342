"""Whatever a client of a source sends, it is answered in the source's own form, and never with a
crash: recorded bodies with something wrong in them, and bytes that were never a body.

Each decoder is shown 10,000 of them at night, a few hundred by day.
"""

import asyncio
import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocs.entrypoints.decoders.levels import known_names
from ocs.entrypoints.sources.source import Source
from tests.entrypoints.sources.recordings import FOLDER, read, recordings
from tests.entrypoints.sources.stage import Reply, Stage, shipped_sources

SOURCES = {source.name: source for source in shipped_sources()}
NAMES = sorted(path.name for path in FOLDER.iterdir())
# Not so large that their price is beyond what money can be counted in, which is refused as a fault.
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 59.5, 1e300, 2**31, 2**53, 2**64, -(2**70), "", " ", "0", "-5", "60", "6e1",
    "x" * 300, "é\u2028\ud7ff", "\x00", "NaN", "1795166545", "2026-11-20T09:22:25Z", "sip:@;", [], {}, [[]], [1, 2],
    [{}], {"a": None}, ["441632960001"], {"Unit-Value": 5}, {"CC-Time": 5}, {"CC-Money": {}},
]  # fmt: skip
OURS = [*known_names(), "source", "request"]
"""Names that mean something to every source, whether its clients know them or not."""


def bodies(name: str) -> list[Any]:
    return [
        step["request"]["body"]
        for path in recordings()
        if path.parent.name == name
        for step in read(path)["steps"]
        if step["request"]["body"]
    ]


def spoiled(body: Any, random: Random) -> bytes:
    """Change a few things of a recorded body, of its bytes or of what they mean."""
    if isinstance(body, str) or random.random() < 0.2:
        text = bytearray(body.encode() if isinstance(body, str) else json.dumps(body).encode())
        for _ in range(random.randint(1, 3)):
            start = random.randrange(len(text) + 1)
            some = bytes(random.choices(b'=&%+\r\n{}[]",:0aF\xff\x00', k=random.randint(0, 4)))
            text[start : start + random.randint(0, 6)] = some
        return bytes(text)
    tree = json.loads(json.dumps({"": body}))
    for _ in range(random.randint(1, 4)):
        _change(tree, random)
    return json.dumps(tree[""]).encode()


def _change(tree: Any, random: Random) -> None:
    """Walk down at random and spoil what is found there."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = random.choice(keys)
        inner = tree[key]
        if not (isinstance(inner, dict | list) and inner) or random.random() < 0.15:
            break
        tree = inner
    change = random.randrange(5)
    if change == 0 and key != "":
        del tree[key]
    elif change == 2 and isinstance(tree, dict) and key != "":
        tree[random.choice(OURS)] = deepcopy(random.choice(ODD_VALUES))
    elif change == 1:
        tree[key] = [tree[key]] * random.randint(1, 2)
    else:
        tree[key] = deepcopy(random.choice(ODD_VALUES))


def _check_json(reply: Reply) -> None:
    for answer in reply.body if isinstance(reply.body, list) else [reply.body]:
        assert isinstance(answer, dict)
        assert answer


def _check_lines(reply: Reply) -> None:
    assert reply.body or reply.outcome is None
    assert all("=" in line for line in reply.body.split("\n") if line)


def _check_diameter(reply: Reply) -> None:
    for answer in reply.body if isinstance(reply.body, list) else [reply.body]:
        assert 1000 <= answer["Result-Code"] <= 5999
        for service in answer.get("Multiple-Services-Credit-Control", []):
            assert 1000 <= service["Result-Code"] <= 5999


def checks(source: Source) -> Callable[[Reply], None]:
    if source.answer.form == "diameter":
        return _check_diameter
    return _check_lines if source.answer.encoding == "kv" else _check_json


@pytest.mark.parametrize(
    "examples",
    [pytest.param(150, id="some"), pytest.param(10_000, id="many", marks=pytest.mark.nightly)],
)
@pytest.mark.parametrize("name", NAMES)
def test_every_body_is_answered_in_the_form_of_its_source(name: str, examples: int) -> None:
    source, recorded = SOURCES[name], bodies(name)
    check = checks(source)
    strange = st.binary(max_size=300)
    known = st.builds(spoiled, st.sampled_from(recorded), st.randoms(use_true_random=False))
    with asyncio.Runner() as runner:
        stage = runner.run(Stage.open([source]))

        @settings(max_examples=examples)
        @given(body=known | known | known | strange)
        def answered(body: bytes) -> None:
            request = {"path": f"/realtime?source={name}", "body": body}
            reply = runner.run(stage.post(request))
            check(reply)
            assert reply.outcome not in ("RATING_FAILED", "OUTCOME_UNKNOWN", "TOO_BUSY"), (
                reply.outcome
            )
            assert reply.outcome != "INVALID_EVENT" or all(
                answer.field for answer in stage.answers if answer.code == "INVALID_EVENT"
            )

        answered()
    stage.ledger.check_invariants()

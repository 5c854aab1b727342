"""Recorded requests, and what is expected of each: `tests/data/sources/<source>/<case>.json`.

A recording is a story for one service (`stage.py`) that nothing was told before:

    about       what it shows
    steps       each with
      request   `path` (left out: /realtime?source=<source>), `headers`, `body`: JSON, or a text
      event     what was understood of it, without defaults; left out where it was refused unread
      outcome   the return code
      hit       true: the answer of an earlier copy
      answer    `status`, `body` (JSON or a text), `content_type` where it is not JSON

`python -m tests.entrypoints.sources.recordings FILE...` answers the requests of files and writes
down what came of them: for new recordings, and to see in the diff what a change does to the others.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.entrypoints.sources.stage import Reply, Stage, shipped_sources

FOLDER: Final = Path(__file__).parents[2] / "data" / "sources"
_JSON: Final = "application/json"


def recordings() -> Iterator[Path]:
    yield from sorted(FOLDER.glob("*/*.json"))


def read(path: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recording


def request_of(step: dict[str, Any], path: Path) -> dict[str, Any]:
    return {"path": f"/realtime?source={path.parent.name}", **step["request"]}


def told(reply: Reply) -> dict[str, Any]:
    """Write a reply as a recording has it."""
    answer: dict[str, Any] = {"status": reply.status, "body": reply.body}
    if reply.content_type != _JSON:
        answer["content_type"] = reply.content_type
    return {
        **({"event": reply.event} if reply.event is not None else {}),
        "outcome": str(reply.outcome),
        **({"hit": True} if reply.hit else {}),
        "answer": answer,
    }


async def _answered(recording: dict[str, Any], path: Path) -> dict[str, Any]:
    stage = await Stage.open(shipped_sources())
    steps = [
        {"request": step["request"]} | told(await stage.post(request_of(step, path)))
        for step in recording["steps"]
    ]
    return recording | {"steps": steps}


def _record(path: Path) -> None:
    answered = asyncio.run(_answered(read(path), path))
    path.write_text(json.dumps(answered, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        _record(Path(name).resolve())

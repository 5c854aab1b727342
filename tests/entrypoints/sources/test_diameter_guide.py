"""The examples of docs/clients/diameter.md are what happens."""

import json
import re
from pathlib import Path

from ocs.config.sources import read_source
from tests.entrypoints.sources.stage import Stage, shipped_sources

PAGE = (Path(__file__).parents[3] / "docs" / "clients" / "diameter.md").read_text(encoding="utf-8")


async def test_requests_are_answered_as_the_page_says() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    stage = await Stage.open(shipped_sources())
    assert examples
    for request, answer in zip(examples[::2], examples[1::2], strict=True):
        reply = await stage.post({"path": "/realtime?source=diameter", "body": request})
        assert (reply.status, reply.body) == (200, answer)


def test_the_source_of_the_page_can_be_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "two-operators.toml"
    path.write_text(text, encoding="utf-8")
    source = read_source(path)
    assert (source.format, source.tenants["two.example"]) == ("diameter", "two")

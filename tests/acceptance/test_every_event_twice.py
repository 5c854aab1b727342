"""The recording with every event sent twice at once: two equal bodies, and the money of one."""

from pathlib import Path

import pytest

from ocs.cli.demo import RECORDING, served
from tests.cli.terminal import Terminal

SPEED = "25"
WITHOUT_FUNDS = "7"
"""Subscribers whose number ends in it have 0.05: which of their calls is refused is a race."""


def balances(folder: Path, *options: str) -> tuple[dict[str, str], dict[str, object]]:
    """Replay into a fresh service; give what each account has left, and the report."""
    terminal = Terminal()
    with served(folder) as (url, _):
        order = ["replay", str(RECORDING), "--url", url, "--speed", SPEED, *options]
        report = terminal.json(*order)
        terminal.run("verify", "--dir", str(folder))
        accounts = terminal.json("account", "list", "--dir", str(folder))
    left = {account["account"]: account["buckets"][0]["left"] for account in accounts}
    return left, report


@pytest.mark.slow
def test_every_event_twice_at_once_costs_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    once, _ = balances(tmp_path_factory.mktemp("once"))
    twice, report = balances(tmp_path_factory.mktemp("twice"), "--duplicate")
    assert report["answered"] == 8226
    assert report["copies_that_differ"] == 0
    assert report["idempotency_hits"] == 8226
    with_funds = [account for account in once if not account.endswith(WITHOUT_FUNDS)]
    assert len(with_funds) == 360
    assert {name: twice[name] for name in with_funds} == {name: once[name] for name in with_funds}

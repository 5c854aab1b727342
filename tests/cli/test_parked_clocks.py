"""`ocs offline parked`, and clients whose clocks are ahead."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from ocs.adapters.valkey.embedded import EmbeddedStore
from ocs.bootstrap import parked
from ocs.bootstrap.parked import ParkedJob
from ocs.config.settings import Ledger
from ocs.usecases.client_clocks import remembered
from ocs.usecases.ports import LATE, ChargeLimits
from tests.cli.terminal import Terminal
from tests.cli.test_offline_parked import Desk


@pytest.fixture
def desk(terminal: Terminal, tmp_path: Path, store_server: EmbeddedStore) -> Desk:
    return Desk(terminal, tmp_path, store_server.url)


def test_what_is_ahead_is_no_failure_and_may_be_given_up(desk: Desk) -> None:
    desk.create("pre")
    desk.park(LATE, "pre", 30, reported_ms=desk.at_ms + 40 * 86_400_000)
    assert "AHEAD" in desk.run()
    assert "dropped  1" in desk.run("--drop", "AHEAD", "--drop-after", "0")


def test_parked_use_is_settled_when_the_ledger_has_forgotten(desk: Desk, tmp_path: Path) -> None:
    """Not sooner than the last worker takes a repeat for late."""
    settings = replace(desk.settings, ledger=Ledger(closed_keep_s=700, event_keep_s=900))
    quiet = parked._quiet(settings, ParkedJob(out=tmp_path))
    kept = remembered(ChargeLimits(closed_keep_s=700, event_keep_s=900))
    assert (quiet.session_s, quiet.event_s) == (kept.closed_keep_s, kept.event_keep_s)
    assert quiet.session_s > 700
